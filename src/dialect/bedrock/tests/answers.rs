use super::*;
use crate::dialect::conversation::Usage;
use crate::exchange::eventstream::{self, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

const STREAM: &str = "application/vnd.amazon.eventstream";

fn message(kind: &str, name: &str, data: &Value) -> Vec<u8> {
    let said = |text: &str| HeaderValue::Text(text.into());
    let headers = [
        (":message-type", said(kind)),
        (if kind == "event" { ":event-type" } else { ":exception-type" }, said(name)),
    ];
    eventstream::encode(&headers, data.to_string().as_bytes()).unwrap()
}

fn chunks(inner: &[Value]) -> Vec<u8> {
    let chunk =
        |data: &Value| message("event", "chunk", &json!({"bytes": STANDARD.encode(data.to_string())}));
    inner.iter().map(chunk).collect::<Vec<_>>().concat()
}

#[test]
fn reasoning_calls_and_citations_are_put_together() {
    let delta = |index: u64, delta: Value| {
        message("event", "contentBlockDelta", &json!({"contentBlockIndex": index, "delta": delta}))
    };
    let stream = [
        message("event", "messageStart", &json!({"role": "assistant"})),
        delta(0, json!({"reasoningContent": {"text": "let me "}})),
        delta(0, json!({"reasoningContent": {"text": "see"}})),
        delta(0, json!({"reasoningContent": {"signature": "c2ln"}})),
        delta(1, json!({"reasoningContent": {"redactedContent": "AAAA"}})),
        delta(2, json!({"text": "As "})),
        delta(2, json!({"citation": {"title": "t"}})),
        delta(2, json!({"text": "told"})),
        message(
            "event",
            "contentBlockStart",
            &json!({"contentBlockIndex": 3, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}),
        ),
        delta(3, json!({"toolUse": {"input": "{\"a\""}})),
        message("event", "somethingNew", &json!({"contentBlockIndex": 3})),
        delta(3, json!({"toolUse": {"input": ":1}"}})),
        message(
            "event",
            "contentBlockStart",
            &json!({"contentBlockIndex": 4, "start": {"toolUse": {"toolUseId": "u", "name": "g"}}}),
        ),
    ]
    .concat();
    let end = [
        message("event", "messageStop", &json!({"stopReason": "tool_use"})),
        message("event", "metadata", &json!({"usage": {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": 10, "cacheWriteInputTokens": 20}})),
    ]
    .concat();
    let read = |body: &[u8]| BedrockConverse.read_answer(&head(200, STREAM), body);
    let answer = read(&[stream.clone(), end].concat());
    let plain = json!({"output": {"message": {"role": "assistant", "content": [
        {"reasoningContent": {"reasoningText": {"text": "let me see", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "AAAA"}},
        {"citationsContent": {"content": [{"text": "As told"}], "citations": [{"title": "t"}]}},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
        {"toolUse": {"toolUseId": "u", "name": "g", "input": {}}},
    ]}}, "stopReason": "tool_use",
    "usage": {"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": 10, "cacheWriteInputTokens": 20}});
    assert_eq!(
        answer,
        BedrockConverse.read_answer(&head(200, "application/json"), plain.to_string().as_bytes())
    );
    assert_eq!(
        answer.usage,
        Some(Usage { input: 33, output: 4, cache_read: 10, cache_write: 20, reasoning: 0 })
    );
    assert!(answer.whole && answer.text() == "As told");
    let failed = message("exception", "throttlingException", &json!({"message": "Too many"}));
    let broken = read(&[stream.clone(), failed].concat());
    assert_eq!((broken.error.as_deref(), broken.whole), (Some("Too many"), true));
    assert!(!read(&stream).whole);
    let mut bad = stream;
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert_eq!(read(&bad).tool_calls().count(), 1, "what does not agree with its checksum is left out");
}

#[test]
fn errors_are_read_and_written() {
    for dialect in [&BedrockConverse as &dyn Dialect, &BedrockInvoke] {
        let read = |status: u16, body: &[u8]| dialect.read_answer(&head(status, "application/json"), body);
        let own = dialect.render_error(429, "slow down");
        assert_eq!(read(429, &own).error.as_deref(), Some("slow down"));
        assert!(String::from_utf8_lossy(&own).contains("ThrottlingException"));
        let gate = br#"{"Message":"The security token is invalid"}"#;
        assert_eq!(read(403, gate).error.as_deref(), Some("The security token is invalid"));
        assert_eq!(read(500, b"").error.as_deref(), Some("HTTP status 500"));
    }
}

#[test]
fn what_is_written_reads_as_it_was() {
    let blocks = [
        text("Let me look into that for you, if I may."),
        Block::ToolCall {
            id: "t1".into(),
            name: "f".into(),
            args: json!({"n": 1, "s": "a \"long\" text, longer than a piece"}),
        },
    ];
    let targets = [
        "/model/anthropic.claude-v3/",
        "/model/amazon.nova-lite-v1%3A0/",
        "/model/openai.gpt-oss-20b-1%3A0/",
    ];
    let dialects: [(&dyn Dialect, [&str; 2]); 2] = [
        (&BedrockConverse, ["converse", "converse-stream"]),
        (&BedrockInvoke, ["invoke", "invoke-with-response-stream"]),
    ];
    for (target, (dialect, verbs)) in targets.iter().flat_map(|t| dialects.iter().map(move |d| (t, d))) {
        for verb in verbs {
            let stream = verb.ends_with("stream");
            let target = format!("{target}{verb}");
            let rendered = dialect.render_answer(&target, &blocks, None, "m", stream);
            assert_eq!(rendered.content_type, if stream { STREAM } else { "application/json" });
            let answer = dialect.read_answer(&head(200, rendered.content_type), &rendered.body);
            assert_eq!(answer.blocks, blocks, "{target}");
            assert!(
                answer.whole && answer.error.is_none() && answer.stop_reason.is_some(),
                "{target} {answer:?}"
            );
            assert_eq!(rendered.cuts.last(), Some(&rendered.body.len()));
            if stream {
                let ends: Vec<usize> =
                    eventstream::read(&rendered.body).0.iter().map(|m| m.span.end).collect();
                assert_eq!(rendered.cuts, ends, "{target}");
            }
        }
    }
}

#[test]
fn answers_to_a_prompt_are_written_and_read() {
    let said = text("A text that is longer than one piece of a stream.");
    for model in
        ["meta.llama3-8b", "amazon.titan-text-lite-v1", "mistral.mixtral-8x7b", "cohere.command-text-v14"]
    {
        for verb in ["invoke", "invoke-with-response-stream"] {
            let target = format!("/model/{model}/{verb}");
            let rendered = BedrockInvoke.render_answer(
                &target,
                std::slice::from_ref(&said),
                None,
                "m",
                verb != "invoke",
            );
            let answer = BedrockInvoke.read_answer(&head(200, rendered.content_type), &rendered.body);
            assert_eq!(answer.blocks, std::slice::from_ref(&said), "{target}");
            assert!(answer.whole && answer.stop_reason.is_some(), "{target}");
        }
    }
}

#[test]
fn vendors_say_it_in_their_own_words() {
    let plain =
        |body: Value| BedrockInvoke.read_answer(&head(200, "application/json"), body.to_string().as_bytes());
    let of = |answer: ModelAnswer| {
        (
            answer.text(),
            answer.stop_reason.unwrap_or_default(),
            answer.usage.map(|u| (u.input, u.output)),
            answer.whole,
        )
    };
    let said = |stop: &str, usage| ("Hi".to_string(), stop.to_string(), usage, true);
    assert_eq!(
        of(plain(json!({"completion": "Hi", "stop_reason": "stop_sequence"}))),
        said("stop_sequence", None)
    );
    let llama = json!({"generation": "Hi", "prompt_token_count": 3, "generation_token_count": 2, "stop_reason": "stop"});
    assert_eq!(of(plain(llama)), said("stop", Some((3, 2))));
    let titan = json!({"inputTextTokenCount": 3, "results": [{"tokenCount": 2, "outputText": "Hi", "completionReason": "FINISH"}]});
    assert_eq!(of(plain(titan)), said("FINISH", Some((3, 2))));
    assert_eq!(of(plain(json!({"choices": [{"text": "Hi", "stop_reason": "stop"}]}))), said("stop", None));
    assert_eq!(
        of(plain(
            json!({"completions": [{"data": {"text": "Hi"}, "finishReason": {"reason": "endoftext"}}]})
        ))
        .0,
        "Hi"
    );
    assert_eq!(
        plain(json!({"images": ["AA=="]})).blocks,
        [Block::Other { value: json!({"images": ["AA=="]}) }]
    );

    let mut counted = head(200, "application/json");
    counted.headers.push("X-Amzn-Bedrock-Input-Token-Count", "18");
    counted.headers.push("X-Amzn-Bedrock-Output-Token-Count", "87");
    let answer = BedrockInvoke.read_answer(&counted, br#"{"completion":"Hi"}"#);
    assert_eq!(answer.usage, Some(Usage { input: 18, output: 87, ..Usage::default() }));

    let streamed = |inner: &[Value]| BedrockInvoke.read_answer(&head(200, STREAM), &chunks(inner));
    let metrics = json!({"inputTokenCount": 3, "outputTokenCount": 2});
    let llama = [
        json!({"generation": "H"}),
        json!({"generation": "i", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": metrics}),
    ];
    assert_eq!(of(streamed(&llama)), said("stop", Some((3, 2))));
    assert!(!streamed(&llama[..1]).whole);
    let nova = [
        json!({"messageStart": {"role": "assistant"}}),
        json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hi"}}}),
        json!({"messageStop": {"stopReason": "end_turn"}}),
        json!({"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2, "cacheReadInputTokenCount": 1}}, "amazon-bedrock-invocationMetrics": metrics}),
    ];
    assert_eq!(of(streamed(&nova)), said("end_turn", Some((4, 2))));
    let failed =
        [chunks(&llama[..1]), message("exception", "modelStreamErrorException", &json!({"message": "no"}))]
            .concat();
    assert_eq!(BedrockInvoke.read_answer(&head(200, STREAM), &failed).error.as_deref(), Some("no"));
}

proptest! {
    #[test]
    fn damaged_streams_are_read_as_far_as_they_go(
        at in any::<prop::sample::Index>(), flip in 1u8..=255, cut in any::<prop::sample::Index>(), junk in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let blocks = [text("Hello there, this is a longer text than a piece."), Block::ToolCall { id: "t".into(), name: "f".into(), args: json!({"a": 1}) }];
        for (dialect, target) in [(&BedrockConverse as &dyn Dialect, "/model/m/converse-stream"), (&BedrockInvoke, "/model/m/invoke-with-response-stream")] {
            let body = dialect.render_answer(target, &blocks, None, "m", true).body.to_vec();
            let mut other = body.clone();
            other[at.index(body.len())] ^= flip;
            let read = |body: &[u8]| dialect.read_answer(&head(200, STREAM), body);
            let whole = read(&body);
            for part in [&other[..], &other[..cut.index(other.len())]] {
                let part = read(part);
                prop_assert!(whole.text().starts_with(&part.text()), "{:?}", part);
                prop_assert!(!part.whole || part.blocks == whole.blocks);
            }
            dialect.read_answer(&head(200, STREAM), &junk);
            dialect.read_answer(&head(200, "application/json"), &junk);
        }
    }
}
