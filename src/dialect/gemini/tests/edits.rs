use super::*;
use serde_json::json;

/// One edit of each kind.
pub(super) fn every_edit(message: usize) -> Vec<RequestEdit> {
    let t = || "x\"y".to_string();
    vec![
        RequestEdit::SetSystem(t()),
        RequestEdit::AppendSystem(t()),
        RequestEdit::SetMessageText { message, text: t() },
        RequestEdit::SetToolResult { message, block: 0, text: t() },
        RequestEdit::SetToolResult { message, block: 1, text: "{\"a\":1}".into() },
        RequestEdit::ReplaceMessage { message, json: Bytes::from_static(b"{\"parts\":[]}") },
        RequestEdit::SetField { name: "temperature".into(), value: json!(0) },
        RequestEdit::SetField { name: "safety_settings".into(), value: json!(null) },
        RequestEdit::RemoveTool("f".into()),
        RequestEdit::AddTool(json!({"name": "new"})),
        RequestEdit::DropReasoning { before: message },
    ]
}

fn edit(body: &str, edit: RequestEdit) -> String {
    String::from_utf8(Gemini.edit_request(body.as_bytes(), &[edit]).unwrap().to_vec()).unwrap()
}

/// The body with one replacement: what a byte-exact edit leaves.
fn body_with(old: &str, new: &str) -> String {
    assert_eq!(BODY.matches(old).count(), 1, "{old}");
    BODY.replace(old, new)
}

fn set(name: &str, value: serde_json::Value) -> RequestEdit {
    RequestEdit::SetField { name: name.into(), value }
}

#[test]
fn the_system_prompt_is_set_and_extended() {
    let set = |t: &str| RequestEdit::SetSystem(t.into());
    let append = |t: &str| RequestEdit::AppendSystem(t.into());
    assert_eq!(edit(BODY, append("In cents.")), body_with("You help.", "You help.\\nIn cents."));
    let parts = r#"{"parts":{"text":"You help."}}"#;
    assert_eq!(edit(BODY, set("New.")), body_with(parts, r#"{"parts":[{"text":"New."}]}"#));
    for (old, set_to, appended) in [
        (
            r#"{"contents":[]}"#,
            r#"{"contents":[],"systemInstruction":{"parts":[{"text":"S"}]}}"#,
            r#"{"contents":[],"systemInstruction":{"parts":[{"text":"S"}]}}"#,
        ),
        (
            r#"{"systemInstruction":{"parts":[{"text":"a"},{"text":"b"}]},"contents":[]}"#,
            r#"{"systemInstruction":{"parts":[{"text":"S"}]},"contents":[]}"#,
            r#"{"systemInstruction":{"parts":[{"text":"a"},{"text":"b\nS"}]},"contents":[]}"#,
        ),
        (
            r#"{"system_instruction":"a","contents":[]}"#,
            r#"{"system_instruction":{"parts":[{"text":"S"}]},"contents":[]}"#,
            r#"{"system_instruction":"a\nS","contents":[]}"#,
        ),
    ] {
        assert_eq!(edit(old, set("S")), set_to);
        assert_eq!(edit(old, append("S")), appended);
    }
}

#[test]
fn messages_and_results_are_set_where_they_stand() {
    let result =
        |message, block, text: &str| RequestEdit::SetToolResult { message, block, text: text.into() };
    assert_eq!(edit(BODY, result(2, 0, "low")), body_with("\"high\"", "\"low\""));
    // All of the response is the result: JSON stays JSON, a text becomes Google's own field.
    let whole = r#"{"b":1,"a":[2.0]}"#;
    assert_eq!(edit(BODY, result(2, 1, r#"{"b":2}"#)), body_with(whole, r#"{"b":2}"#));
    assert_eq!(edit(BODY, result(2, 1, "gone")), body_with(whole, r#"{"output":"gone"}"#));
    assert_eq!(edit(BODY, result(2, 2, "more")), body_with(r#""error":"none""#, r#""error":"more""#));
    assert_eq!(
        edit(BODY, result(2, 3, "x")),
        body_with(r#""name":"i"}"#, r#""name":"i","response":{"output":"x"}}"#)
    );
    assert_eq!(edit(BODY, result(3, 0, r#"{"k":8}"#)), body_with(r#"{"k":7}"#, r#"{"k":8}"#));
    assert_eq!(edit(BODY, result(3, 0, "none")), body_with(r#"{"k":7}"#, r#""none""#));

    let words = |message, text: &str| RequestEdit::SetMessageText { message, text: text.into() };
    assert_eq!(edit(BODY, words(0, "Ho")), body_with("\"Hi\"", "\"Ho\""));
    assert_eq!(edit(BODY, words(1, "See:")), body_with("\"Look:\"", "\"See:\""));
    assert_eq!(
        edit(BODY, words(2, "Also")),
        body_with(r#""name":"i"}}]"#, r#""name":"i"}},{"text":"Also"}]"#)
    );
    for bad in [result(2, 9, "x"), result(1, 2, "x"), result(4, 0, "x"), words(4, "x")] {
        assert!(Gemini.edit_request(BODY.as_bytes(), std::slice::from_ref(&bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn parameters_are_set_where_they_belong() {
    assert_eq!(edit(BODY, set("temperature", json!(0))), body_with("0.70", "0"));
    assert_eq!(edit(BODY, set("max_tokens", json!(5))), body_with(r#"tokens":9"#, r#"tokens":5"#));
    assert_eq!(edit(BODY, set("top_p", json!(1))), body_with(r#""seed":null"#, r#""seed":null,"topP":1"#));
    assert_eq!(edit(BODY, set("temperature", json!(null))), body_with(r#""temperature":0.70,"#, ""));
    assert_eq!(
        edit(BODY, set("cached_content", json!(null))),
        body_with(r#","cachedContent":"cachedContents/1""#, "")
    );
    assert_eq!(
        edit(r#"{"contents":[]}"#, set("temperature", json!(0))),
        r#"{"contents":[],"generationConfig":{"temperature":0}}"#
    );
    let refused = Gemini.edit_request(BODY.as_bytes(), &[set("stream", json!(true))]).unwrap_err();
    assert!(refused.to_string().contains("path"), "{refused}");
    let tools = json!([{"name": "a"}, {"googleSearch": {}}, {"name": "b"}]);
    assert_eq!(
        edit(r#"{"contents":[],"tools":[]}"#, set("tools", tools)),
        r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"a"},{"name":"b"}]},{"googleSearch":{}}]}"#
    );
}

#[test]
fn another_model_is_asked_under_another_path() {
    let asked = |target: &str, name: &str| Gemini.edit_target(target, &[set("model", json!(name))]);
    assert_eq!(edit(BODY, set("model", json!("m"))), BODY);
    assert_eq!(
        asked(TARGET, "gemini-2.5-flash").as_deref(),
        Some("/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse")
    );
    assert_eq!(
        asked("/models/a%3AgenerateContent", "models/b").as_deref(),
        Some("/models/b%3AgenerateContent")
    );
    assert_eq!(
        asked("/v1/models/a:generateContent", "x/é").as_deref(),
        Some("/v1/models/x%2F%C3%A9:generateContent")
    );
    assert_eq!(Gemini.edit_target(TARGET, &[set("temperature", json!(0))]), None);
    assert!(Gemini.edit_request(BODY.as_bytes(), &[set("model", json!(null))]).is_err());
}

#[test]
fn tools_are_removed_and_added() {
    let remove = |name: &str| RequestEdit::RemoveTool(name.into());
    assert_eq!(
        edit(BODY, remove("f")),
        body_with(r#"[{"name":"f"},{"name":"g"}]"#, r#"[{"name":"g"}]"#).replace(r#"["f","g"]"#, r#"["g"]"#)
    );
    assert_eq!(edit(BODY, remove("codeExecution")), body_with(r#",{"codeExecution":{}}"#, ""));
    assert_eq!(edit(BODY, remove("googleSearch")), body_with(r#","googleSearch":{}"#, ""));
    let only = r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"f"}]}],"toolConfig":{}}"#;
    assert_eq!(edit(only, remove("f")), r#"{"contents":[]}"#);
    let beside = r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"f"}],"googleSearch":{}}]}"#;
    assert_eq!(edit(beside, remove("f")), r#"{"contents":[],"tools":[{"googleSearch":{}}]}"#);
    let error = Gemini.edit_request(BODY.as_bytes(), &[remove("h")]).unwrap_err();
    assert_eq!(error.to_string(), "there is no tool \"h\"; the tools are f, g, googleSearch, codeExecution");

    let add = |tool| RequestEdit::AddTool(tool);
    assert_eq!(
        edit(BODY, add(json!({"name": "h"}))),
        body_with(r#"[{"name":"f"},{"name":"g"}]"#, r#"[{"name":"f"},{"name":"g"},{"name":"h"}]"#)
    );
    assert_eq!(
        edit(BODY, add(json!({"urlContext": {}}))),
        body_with(r#"{"codeExecution":{}}"#, r#"{"codeExecution":{}},{"urlContext":{}}"#)
    );
    assert_eq!(
        edit(r#"{"contents":[]}"#, add(json!({"name": "h"}))),
        r#"{"contents":[],"tools":[{"functionDeclarations":[{"name":"h"}]}]}"#
    );
}

#[test]
fn thoughts_are_dropped_in_the_way_that_is_accepted() {
    let dropped = |body: &str, before| edit(body, RequestEdit::DropReasoning { before });
    assert_eq!(dropped(BODY, 1), BODY);
    // The turn is open: its calls keep a signature, the one that says that there was none.
    let open = body_with(r#"{"text":"hm","thought":true},"#, "")
        .replace(r#"{"text":"Look:","thoughtSignature":"c2ln"}"#, r#"{"text":"Look:"}"#)
        .replace(
            r#""thought_signature":"c2ln""#,
            r#""thought_signature":"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=""#,
        );
    assert_eq!(dropped(BODY, 4), open);
    let closed = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"name":"f"},"thoughtSignature":"c2ln"}]},{"role":"model","parts":[{"text":"hm","thought":true}]},{"role":"user","parts":[{"text":"b"}]}]}"#;
    let bare = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"functionCall":{"name":"f"}}]},{"role":"model","parts":[{"text":"[reasoning left out]"}]},{"role":"user","parts":[{"text":"b"}]}]}"#;
    assert_eq!(dropped(closed, 4), bare);
}
