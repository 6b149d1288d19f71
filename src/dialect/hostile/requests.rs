//! Requests: bytes that are none, and what nobody knows in them.

use super::*;
use crate::dialect::RequestEdit;
use crate::dialect::conversation::{Message, Role};
use crate::dialect::histories::Histories;
use crate::dialect::wire::Exchange;
use crate::exchange::json;
use proptest::prelude::*;
use serde_json::json;

const NOVEL: &[u8] = br#""x_novel":{"a":[1.50,  "\u0041"]}"#;

/// The body with a member that nobody knows in its root and in every message.
fn with_novel_members(exchange: &Exchange) -> Vec<u8> {
    let body = &exchange.request;
    let root = json::parse(body).unwrap();
    let mut places = vec![root.span.start + 1];
    for key in ["messages", "contents", "input"] {
        let messages = root.get(key).map(json::Node::elements).unwrap_or_default();
        places.extend(messages.iter().filter(|m| !m.members().is_empty()).map(|m| m.span.start + 1));
    }
    places.sort_unstable();
    let mut out = Vec::new();
    let mut done = 0;
    for at in places {
        out.extend_from_slice(&body[done..at]);
        out.extend_from_slice(NOVEL);
        out.push(b',');
        done = at;
    }
    out.extend_from_slice(&body[done..]);
    out
}

fn count(body: &[u8], needle: &[u8]) -> usize {
    memchr::memmem::find_iter(body, needle).count()
}

fn said(messages: &[Message]) -> Vec<(Role, String, usize)> {
    messages.iter().map(|m| (m.role, m.text(), m.tool_calls().count())).collect()
}

#[test]
fn members_that_nobody_knows_are_kept_by_edits_of_other_places() {
    for exchange in exchanges() {
        let (dialect, novel) = (exchange.dialect, with_novel_members(&exchange));
        let known = exchange.request();
        let read = dialect.read_request(&exchange.target, &novel).unwrap();
        assert_eq!(said(&read.messages), said(&known.messages), "{}", exchange.name);
        let before = count(&novel, NOVEL);
        assert!(before > 0);
        let user = known.messages.iter().rposition(|m| m.role == Role::User && !m.text().is_empty());
        let edits = [
            Some(RequestEdit::SetField { name: "temperature".into(), value: json!(0.5) }),
            user.map(|message| RequestEdit::SetMessageText { message, text: "other".into() }),
            Some(RequestEdit::AppendSystem("more".into())),
        ];
        for edit in edits.into_iter().flatten() {
            let Ok(edited) = dialect.edit_request(&novel, std::slice::from_ref(&edit)) else {
                assert!(dialect.edit_request(&exchange.request, &[edit]).is_err(), "{}", exchange.name);
                continue;
            };
            assert_eq!(count(&edited, NOVEL), before, "{} after {edit:?}", exchange.name);
            assert!(dialect.read_request(&exchange.target, &edited).is_ok(), "{}", exchange.name);
        }
    }
}

#[test]
fn a_request_that_is_cut_or_no_text_is_malformed() {
    for exchange in exchanges() {
        let (dialect, body) = (exchange.dialect, exchange.request.trim_ascii_end());
        for at in places(body.len(), 20) {
            let cut = &body[..at];
            let bad = [cut, b"\xff", &body[at..]].concat();
            for body in [cut, &bad] {
                let why = dialect.read_request(&exchange.target, body).unwrap_err();
                assert!(why.at <= body.len() && !why.what.is_empty(), "{}", exchange.name);
                assert!(dialect.edit_request(body, &[RequestEdit::SetSystem("x".into())]).is_err());
                dialect.unfold(body, None, &Histories::default());
                dialect.recalled(body);
                dialect.keeps(body, &head(200, "application/json"), body);
            }
        }
    }
}

#[test]
fn results_with_one_id_are_edited_one_by_one() {
    let mut seen = 0;
    for exchange in exchanges() {
        let (dialect, request) = (exchange.dialect, exchange.request());
        let results = request.messages.iter().enumerate().flat_map(|(m, message)| {
            let of = move |(b, block): (usize, &Block)| {
                matches!(block, Block::ToolResult { .. }).then_some((m, b))
            };
            message.blocks.iter().enumerate().filter_map(of).collect::<Vec<_>>()
        });
        let Some((message, block)) = results.last() else { continue };
        let edit = RequestEdit::SetToolResult { message, block, text: "edited here".into() };
        // Every id becomes the same.
        let mut body = exchange.request.clone();
        for said in &request.messages {
            for block in &said.blocks {
                let Block::ToolResult { call_id, .. } = block else { continue };
                let same = "i".repeat(call_id.len());
                let text = String::from_utf8(body).unwrap();
                body = if call_id.is_empty() { text } else { text.replace(call_id.as_str(), &same) }
                    .into_bytes();
            }
        }
        let Ok(edited) = dialect.edit_request(&body, &[edit]) else { continue };
        let edited = dialect.read_request(&exchange.target, &edited).unwrap();
        let texts =
            edited.messages.iter().flat_map(|m| &m.blocks).filter(
                |block| matches!(block, Block::ToolResult { text, .. } if text.contains("edited here")),
            );
        assert_eq!(texts.count(), 1, "{}", exchange.name);
        seen += 1;
    }
    assert!(seen > 5, "{seen}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_bytes_make_a_request_fail(
        one in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(),
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..12),
            prop::sample::select(vec!["null", "[]", "{}", "\"\"", "[[[", "1e999", "-0", "\\ud800"])
                .prop_map(|s| s.as_bytes().to_vec()),
        ],
        gone in 0usize..30,
    ) {
        thread_local! {
            static ALL: Vec<Exchange> = exchanges().filter(|e| e.request.len() < 20_000).collect();
        }
        ALL.with(|all| {
            let exchange = &all[one.index(all.len())];
            let mut body = exchange.request.clone();
            let start = at.index(body.len());
            let end = (start + gone).min(body.len());
            body.splice(start..end, bytes);
            let dialect = exchange.dialect;
            if let Ok(request) = dialect.read_request(&exchange.target, &body) {
                assert_eq!(dialect.edit_request(&body, &[]).unwrap(), body);
                for message in 0..request.messages.len().min(5) {
                    let edits = [
                        RequestEdit::SetMessageText { message, text: "x".into() },
                        RequestEdit::SetToolResult { message, block: 0, text: "x".into() },
                        RequestEdit::DropReasoning { before: message },
                    ];
                    for edit in edits {
                        let Ok(edited) = dialect.edit_request(&body, &[edit]) else { continue };
                        assert!(dialect.read_request(&exchange.target, &edited).is_ok());
                    }
                }
            }
            dialect.unfold(&body, None, &Histories::default());
            dialect.keeps(&body, &head(200, "application/json"), &body);
        });
    }
}
