//! A run of many spans: all that can be known is found, nothing else.

use super::super::Method;
use super::cases::{asked, key, span};
use super::join;
use crate::exchange::ExchangeId;
use crate::span::asked::Asked;
use crate::span::claims::Claims;
use serde_json::json;

const EXCHANGES: u32 = 10_000;
/// Spans of each exchange: an agent's, eight of its own doing, and the model's.
const SPANS: u32 = 10;

/// Exchange n runs from n * 2 ms on for half a second, so that hundreds are under way at any time. Its span has the id of
/// the answer, a traceparent, the same answer as all others (one in four), or nothing.
fn run() -> (Vec<Asked>, Vec<Claims>) {
    let mut all = Vec::new();
    let mut spans = Vec::new();
    for n in 0..EXCHANGES {
        let (start, end) = (u64::from(n) * 2, u64::from(n) * 2 + 500);
        let base = n * SPANS;
        let mut exchange = asked(n + 1, (start, end));
        exchange.body = u128::from(n).to_be_bytes();
        exchange.request_model = Some("m".into());
        let mut attributes = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"});
        match n % 4 {
            0 => {
                exchange.response_id = Some(format!("resp_{n}"));
                attributes["gen_ai.response.id"] = json!(format!("resp_{n}"));
            }
            1 => exchange.parents = vec![key(1, base + 9)],
            _ => {}
        }
        let mut own = vec![Claims::of(&span(
            base,
            None,
            (start, end + 20),
            json!({"gen_ai.operation.name": "invoke_agent"}),
        ))];
        own.extend(
            (1..9).map(|at| Claims::of(&span(base + at, Some(base), (start, end + 10), json!({"step": at})))),
        );
        let mut model = Claims::of(&span(base + 9, Some(base + 8), (start, end + 1), attributes));
        if n % 4 == 2 {
            (exchange.output, model.output) = (Some([1; 16]), Some([1; 16]));
        }
        own.push(model);
        spans.extend(own);
        all.push(exchange);
    }
    (all, spans)
}

#[test]
fn a_hundred_thousand_spans_are_joined() {
    let (asked, mut spans) = run();
    assert_eq!(spans.len(), 100_000);
    spans.reverse();
    let links = join(&asked, &spans);
    for link in &links {
        let n = link.exchange.0 - 1;
        assert_eq!(link.span, key(1, n * SPANS + 9), "{link:?}");
        let expected = if n % 4 == 0 { Method::ResponseId } else { Method::Traceparent };
        assert_eq!(link.method, expected);
    }
    assert_eq!(
        links.len(),
        EXCHANGES as usize / 2,
        "what only time or the same answer could tell stays open"
    );
    assert!(links.iter().all(|link| link.exchange != ExchangeId(0)));
}
