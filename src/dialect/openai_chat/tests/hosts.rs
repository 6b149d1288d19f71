//! What is theirs of the hosts that speak this dialect, on real traffic.

use super::*;
use crate::dialect::conversation::Usage;

fn fixture(file: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/wire/openai-chat/");
    std::fs::read(format!("{root}{file}")).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn answer(file: &str) -> ModelAnswer {
    OpenAiChat.read_answer(&head(200, file.ends_with("sse")), &fixture(file))
}

fn reasoning(blocks: &[Block]) -> Vec<(&str, bool)> {
    let told = blocks.iter().filter_map(|b| match b {
        Block::Reasoning { text, signed } => Some((text.as_str(), *signed)),
        _ => None,
    });
    told.collect()
}

#[test]
fn reasoning_is_read_wherever_it_stands() {
    for (file, begins, signed) in [
        ("deepseek-thinking-stream/0.200.response.sse", "Hmm, the user just said", false),
        ("deepseek-thinking-tools/0.200.response.json", "", false),
        ("cerebras-reasoning/0.200.response.json", "", false),
        ("groq-reasoning/0.200.response.json", "", false),
        ("mistral-thinking/0.200.response.json", "", false),
        ("mistral-thinking-stream/0.200.response.sse", "Okay, the user is asking", false),
        ("openrouter-encrypted-reasoning/1.200.response.json", "", true),
        ("openrouter-reasoning-stream/0.200.response.sse", "", true),
    ] {
        let answer = answer(file);
        let told = reasoning(&answer.blocks);
        assert_eq!(told.len(), 1, "{file}: {told:?}");
        assert!(told[0].0.starts_with(begins), "{file}: {}", told[0].0);
        assert_eq!(told[0].1, signed, "{file}");
        assert!(answer.whole && answer.usage.is_some() && answer.stop_reason.is_some(), "{file}");
        assert!(answer.blocks.len() >= 2, "{file}: {:?}", answer.blocks);
    }
}

#[test]
fn a_stream_of_mistral_thinks_in_parts_and_speaks_in_texts() {
    let answer = answer("mistral-thinking-stream/0.200.response.sse");
    assert_eq!(answer.blocks.len(), 2, "{:?}", answer.blocks);
    assert!(answer.text().starts_with("To cross the street"), "{}", answer.text());
    assert_eq!(answer.usage.map(|u| (u.input, u.output)), Some((10, 232)));
}

#[test]
fn azure_begins_with_what_it_filtered() {
    let streamed = answer("azure-stream/0.200.response.sse");
    assert_eq!(streamed.model.as_deref(), Some("gpt-35-turbo"));
    assert!(streamed.text().starts_with("Why did the") && streamed.stop_reason.as_deref() == Some("stop"));
    let filtered = answer("azure-content-filter/0.200.response.json");
    assert_eq!(filtered.stop_reason.as_deref(), Some("content_filter"));
    let refused = answer("azure-prompt-filter/0.200.response.json");
    assert!(refused.error.unwrap().starts_with("The response was filtered"));
}

#[test]
fn groq_counts_in_a_field_of_its_own() {
    let answer = answer("groq-stream/0.200.response.sse");
    assert!(matches!(answer.usage, Some(Usage { input, output, .. }) if input > 0 && output > 0));
    assert!(!answer.text().is_empty());
}

#[test]
fn openrouter_tells_of_errors_inside_a_stream_and_before_it() {
    let broken = answer("openrouter-error-stream/0.200.response.sse");
    assert!(broken.error.is_some() && broken.whole);
    assert!(!reasoning(&broken.blocks)[0].1);
    let limited =
        OpenAiChat.read_answer(&head(429, false), &fixture("openrouter-errors/0.429.response.json"));
    assert_eq!(limited.error.as_deref(), Some("Provider returned error"));
}

#[test]
fn only_signed_reasoning_is_left_out_for_another_model() {
    let body = fixture("deepseek-thinking-tools/2.request.json");
    let drop = RequestEdit::DropReasoning { before: usize::MAX };
    assert_eq!(OpenAiChat.edit_request(&body, std::slice::from_ref(&drop)).unwrap(), body);
    // What OpenRouter said, sent back.
    let said: serde_json::Value =
        serde_json::from_slice(&fixture("openrouter-encrypted-reasoning/1.200.response.json")).unwrap();
    let message = &said["choices"][0]["message"];
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}, message]}).to_string();
    let dropped = OpenAiChat.edit_request(body.as_bytes(), &[drop]).unwrap();
    let read = OpenAiChat.read_request("", &dropped).unwrap();
    assert_eq!(reasoning(&read.messages[1].blocks), []);
    assert_eq!(read.messages[1].text(), message["content"].as_str().unwrap());
}

#[test]
fn failures_of_a_provider_behind_the_host_are_told() {
    let choice = br#"{"choices":[{"finish_reason":"error","message":{"content":"a"},"error":{"message":"overloaded"}}]}"#;
    let answer = OpenAiChat.read_answer(&head(200, false), choice);
    assert_eq!((answer.error.as_deref(), answer.text()), (Some("overloaded"), "a".into()));
    let vllm = b"data: {\"object\":\"error\",\"message\":\"too long\",\"code\":400}\n\ndata: [DONE]\n\n";
    assert_eq!(OpenAiChat.read_answer(&head(200, true), vllm).error.as_deref(), Some("too long"));
}
