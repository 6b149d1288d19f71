//! One rule at a time, on captures and on what is made up for it.

use super::super::{Link, Method, Part};
use super::captures::Capture;
use super::{join, join_by};
use crate::exchange::ExchangeId;
use crate::span::asked::{Asked, Kind};
use crate::span::claims::Claims;
use crate::span::content::Input;
use crate::span::{Attributes, Origin, Side, Span, SpanId, SpanKey, Status, TraceId};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

pub fn key(trace: u8, span: u32) -> SpanKey {
    let [a, b, c, d] = span.to_be_bytes();
    SpanKey { trace: TraceId([trace; 16]), span: SpanId([1, 0, 0, 0, a, b, c, d]) }
}

/// A span of trace 1 with times in milliseconds.
pub fn span(id: u32, parent: Option<u32>, (start, end): (u64, u64), attributes: Value) -> Span {
    Span {
        key: key(1, id),
        parent: parent.map(|parent| key(1, parent).span),
        name: "made up".into(),
        side: Side::Internal,
        start_ns: start * 1_000_000,
        end_ns: end * 1_000_000,
        status: Status::Unset,
        attributes: Attributes(attributes.as_object().unwrap().clone().into_iter().collect()),
        events: vec![],
        links: vec![],
        origin: Arc::new(Origin { scope: "one".into(), ..Origin::default() }),
    }
}

/// A call of a model with times in milliseconds.
pub fn asked(id: u32, (start, end): (u64, u64)) -> Asked {
    Asked {
        id: ExchangeId(id),
        kind: Kind::Model,
        started_us: start * 1000,
        ended_us: end * 1000,
        failed: false,
        parents: vec![],
        body: [id as u8; 16],
        retries: 0,
        response_id: None,
        request_ids: vec![],
        request_model: None,
        response_model: None,
        output: None,
        asked_ids: vec![],
        input: None,
        call_ids: vec![],
        tool: None,
        rpc: vec![],
        rpc_session: None,
        agent_ids: vec![],
        sessions: vec![],
    }
}

fn claims(spans: &[Span]) -> Vec<Claims> {
    spans.iter().map(Claims::of).collect()
}

fn model() -> Value {
    json!({"gen_ai.operation.name": "chat"})
}

fn primary(links: &[Link], exchange: u32) -> Option<(SpanKey, Method)> {
    let mut found = links.iter().filter(|link| link.exchange == ExchangeId(exchange) && link.primary);
    let first = found.next().map(|link| (link.span, link.method));
    assert_eq!(found.next(), None, "one primary span at most");
    first
}

fn of(links: &[Link], exchange: u32) -> Vec<&Link> {
    links.iter().filter(|link| link.exchange == ExchangeId(exchange)).collect()
}

fn named(capture: &Capture, key: SpanKey) -> &str {
    &capture.spans.iter().find(|span| span.key == key).unwrap().name
}

#[test]
fn of_two_traceparents_both_are_linked_and_the_call_above_stands_for_the_exchange() {
    let capture = Capture::load("node-undici");
    let links = join_by(&capture.asked(), &capture.claims(), &[Method::Traceparent]);
    for exchange in [8, 9] {
        let parts: Vec<(&str, Part)> =
            of(&links, exchange).iter().map(|link| (named(&capture, link.span), link.part)).collect();
        assert_eq!(parts, [("anthropic.messages.create", Part::Model), ("POST", Part::Http)]);
        assert_eq!(capture.asked()[exchange as usize - 1].parents.len(), 2);
    }
}

#[test]
fn a_parent_that_never_comes_says_in_which_trace_to_look() {
    let capture = Capture::load("py-lmnr-http");
    let (asked, claims) = (capture.asked(), capture.claims());
    let third = asked.iter().find(|of| of.id == ExchangeId(3)).unwrap();
    assert!(claims.iter().all(|claims| claims.key != third.parents[0]), "the parent dangles");
    let links = join(&asked, &claims);
    let (span, method) = primary(&links, 3).unwrap();
    assert_eq!((named(&capture, span), method), ("anthropic.chat", Method::ResponseId));
    assert_eq!(span.trace, third.parents[0].trace);

    // The same answer in two traces: the dangling parent tells which.
    let mut one = asked[0].clone();
    (one.parents, one.output, one.response_id) = (vec![key(1, 99)], Some([7; 16]), None);
    let mut here = Claims::of(&span_at(1));
    let mut there = Claims::of(&span_at(2));
    (here.output, there.output) = (one.output, one.output);
    (one.started_us, one.ended_us) = (1_000, 2_000);
    assert_eq!(primary(&join(&[one.clone()], &[there.clone(), here]), 1), Some((key(1, 1), Method::Output)));
    // While nothing of that trace is there, the other is the only one.
    one.parents = vec![key(3, 99)];
    assert_eq!(primary(&join(&[one.clone()], &[there.clone()]), 1), Some((key(2, 1), Method::Output)));
    // But time alone does not go against it.
    one.output = None;
    assert_eq!(primary(&join(&[one], &[there]), 1), None);
}

fn span_at(trace: u8) -> Span {
    Span { key: key(trace, 1), ..span(1, None, (0, 10), model()) }
}

#[test]
fn two_instrumentations_side_by_side_are_both_linked() {
    let capture = Capture::load("py-openllmetry");
    let links = join(&capture.asked(), &capture.claims());
    for exchange in [10, 11, 12] {
        let calls: Vec<&str> = of(&links, exchange)
            .iter()
            .filter(|link| link.part == Part::Model)
            .map(|link| named(&capture, link.span))
            .collect();
        assert_eq!(calls, ["anthropic.messages.create", "anthropic.chat"], "x{exchange}");
    }
}

#[test]
fn attempts_of_one_call_share_its_span_and_the_last_settles_it() {
    for (name, failed, succeeded) in [("py-openllmetry", 5, 6), ("node-undici+openinference", 4, 4)] {
        let capture = Capture::load(name);
        let links = join(&capture.asked(), &capture.claims());
        let (first, last) = (primary(&links, failed).unwrap(), primary(&links, succeeded).unwrap());
        assert_eq!(first.0, last.0, "{name}");
        let settles =
            |id| links.iter().any(|l| l.exchange == ExchangeId(id) && l.span == last.0 && l.settles);
        assert_eq!((settles(failed), settles(succeeded)), (failed == succeeded, true), "{name}");
    }
    // Without a traceparent the count of retries tells.
    let retry = |id, time, retries, failed| Asked { retries, failed, body: [9; 16], ..asked(id, time) };
    let mut last = retry(3, (60, 80), 2, false);
    last.response_id = Some("r".into());
    let all = [retry(1, (10, 20), 0, true), retry(2, (30, 40), 1, true), last];
    let span = span(1, None, (5, 90), json!({"gen_ai.operation.name": "chat", "gen_ai.response.id": "r"}));
    let links = join(&all, &claims(&[span]));
    let methods: Vec<Method> = links.iter().map(|link| link.method).collect();
    assert_eq!(methods, [Method::Attempt, Method::Attempt, Method::ResponseId]);
    assert!(links.iter().all(|link| link.primary));
    // Two that failed could each be the first: neither is taken.
    let mut twins = all.to_vec();
    twins.push(retry(4, (11, 21), 0, true));
    let links = join(
        &twins,
        &claims(&[self::span(
            1,
            None,
            (5, 90),
            json!({"gen_ai.operation.name": "chat", "gen_ai.response.id": "r"}),
        )]),
    );
    assert_eq!(links.iter().map(|link| link.exchange.0).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn claude_codes_response_id_is_the_id_of_the_request() {
    let capture = Capture::load("claude-code-json");
    let links = join_by(&capture.asked(), &capture.claims(), &[Method::RequestId]);
    for exchange in [1, 2] {
        let (span, method) = primary(&links, exchange).unwrap();
        assert_eq!((named(&capture, span), method), ("claude_code.llm_request", Method::RequestId));
    }
    assert!(links.iter().all(|link| !link.disputed), "it is not taken for the id of another answer");
    let links = join_by(&capture.asked(), &capture.claims(), &[Method::Agent]);
    assert_eq!(links.len(), 2, "the session names the agent");
    assert!(links.iter().all(|l| l.part == Part::Ancestor
        && !l.primary
        && named(&capture, l.span) == "claude_code.interaction"));
}

#[test]
fn baggage_names_the_agent() {
    let capture = Capture::load("py-logfire-openai");
    let links = join_by(&capture.asked(), &capture.claims(), &[Method::Agent]);
    let names: Vec<(u32, &str)> =
        links.iter().map(|link| (link.exchange.0, named(&capture, link.span))).collect();
    assert_eq!(names, [(3, "invoke_agent Claudey")]);
}

#[test]
fn messages_to_servers_of_tools_are_joined_by_their_meta_or_their_id() {
    for name in ["mcp-http", "mcp-stdio"] {
        let capture = Capture::load(name);
        for (methods, expected) in
            [(&[Method::Traceparent][..], Method::Traceparent), (&[Method::RpcId], Method::RpcId)]
        {
            let links = join_by(&capture.asked(), &capture.claims(), methods);
            let found: Vec<(&str, Method, Part)> =
                links.iter().map(|link| (named(&capture, link.span), link.method, link.part)).collect();
            let all = ["initialize", "tools/list", "tools/call get_weather", "tools/call bad"];
            let all = all.map(|message| format!("MCP send {message}"));
            let expected: Vec<(&str, Method, Part)> =
                all.iter().map(|message| (message.as_str(), expected, Part::Mcp)).collect();
            assert_eq!(found, expected, "{name}");
        }
    }
    // One inner span for each message, which the tool's span is above.
    let capture = Capture::load("mcp-stdio-openllmetry");
    let links = join(&capture.asked(), &capture.claims());
    let tools: Vec<&str> =
        links.iter().filter(|link| link.part == Part::Tool).map(|link| named(&capture, link.span)).collect();
    assert_eq!(tools, ["get_weather.tool", "bad.tool"]);
    assert!(links.iter().filter(|link| link.part == Part::Tool).all(|link| link.primary));
    // The span around both calls is that of neither.
    let capture = Capture::load("mcp-stdio-openinference");
    let links = join(&capture.asked(), &capture.claims());
    assert_eq!(
        links.iter().map(|link| (link.part, link.primary)).collect::<Vec<_>>(),
        [(Part::Ancestor, false); 2]
    );
}

#[test]
fn a_wrapped_function_has_the_spans_with_its_call() {
    let wrapped =
        |id, call: &str| Asked { kind: Kind::Tool, call_ids: vec![call.into()], ..asked(id, (100, 200)) };
    let tool = |id, parent, time, call: &str| {
        span(id, parent, time, json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.id": call}))
    };
    let spans =
        [tool(1, None, (80, 210), "a"), tool(2, Some(1), (90, 205), "a"), tool(3, None, (90, 205), "b")];
    let links = join(&[wrapped(1, "a"), wrapped(2, "b"), wrapped(3, "c")], &claims(&spans));
    let found: Vec<(u32, SpanKey, bool)> = links.iter().map(|l| (l.exchange.0, l.span, l.primary)).collect();
    assert_eq!(found, [(1, key(1, 2), true), (1, key(1, 1), false), (2, key(1, 3), true)]);
    assert!(links.iter().all(|link| (link.method, link.part) == (Method::CallId, Part::Tool)));
    // The model's call that asked for it is another thing.
    let model =
        span(4, None, (90, 205), json!({"gen_ai.operation.name": "chat", "gen_ai.tool.call.id": "a"}));
    assert_eq!(join(&[wrapped(1, "a")], &claims(&[model])), []);
}

#[test]
fn a_span_that_was_announced_gives_way_to_the_real_one() {
    let capture = Capture::load("py-pydantic-ai-logfire");
    let claims = capture.claims();
    let settled = crate::span::settled::Settled::new(&claims);
    let settled = settled.claims();
    assert!(claims.iter().any(|claims| claims.open) && settled.iter().all(|claims| !claims.open));
    assert_eq!(settled.len(), 7, "spans came two or three times");
    // Before it is there, the announcement stands for it, with the real parent.
    let open: Vec<Claims> = claims.iter().filter(|claims| claims.open).cloned().collect();
    assert!(open.iter().any(|open| {
        settled.iter().any(|real| real.key == open.key && real.parent == open.parent && open.parent.is_some())
    }));
}

#[test]
fn an_id_that_several_answers_have_joins_none_of_them() {
    let answer = |id, time| Asked {
        response_id: Some("same".into()),
        output: Some([id as u8; 16]),
        ..asked(id, time)
    };
    let told = |id, time| {
        span(id, None, time, json!({"gen_ai.operation.name": "chat", "gen_ai.response.id": "same"}))
    };
    let spans = claims(&[told(1, (0, 200)), told(2, (300, 500))]);
    let all = [answer(1, (50, 150)), answer(2, (350, 450))];
    assert_eq!(join_by(&all, &spans, &[Method::ResponseId]), []);
    assert_eq!(primary(&join(&all, &spans), 1), Some((key(1, 1), Method::Time)));
}

#[test]
fn equal_answers_are_told_apart_by_time_or_not_at_all() {
    let say = |mut claims: Claims| {
        claims.output = Some([1; 16]);
        claims
    };
    let answer = |id, time| Asked { output: Some([1; 16]), ..asked(id, time) };
    let one = |id, time| say(Claims::of(&span(id, None, time, model())));
    let apart =
        join(&[answer(1, (100, 200)), answer(2, (300, 400))], &[one(2, (290, 410)), one(1, (90, 210))]);
    assert_eq!(primary(&apart, 1), Some((key(1, 1), Method::Output)));
    assert_eq!(primary(&apart, 2), Some((key(1, 2), Method::Output)));
    let over = join(&[answer(1, (100, 200)), answer(2, (101, 201))], &[one(2, (90, 210)), one(1, (91, 211))]);
    assert_eq!(over, []);
    // A copy from the program's own cache, a moment later.
    let cached = join(&[answer(1, (100, 200))], &[one(1, (90, 210)), one(2, (300, 301))]);
    assert_eq!(primary(&cached, 1), Some((key(1, 1), Method::Output)));
    assert_eq!(cached.len(), 1);
}

#[test]
fn input_joins_what_has_no_answer() {
    let input = Some(Input { last: [4; 16], turns: 3 });
    let failed = Asked { failed: true, input, ..asked(1, (10, 20)) };
    let mut told = Claims::of(&span(1, None, (5, 18), model()));
    told.input = input;
    let other = Claims {
        input: Some(Input { last: [4; 16], turns: 5 }),
        ..Claims::of(&span(2, None, (5, 18), model()))
    };
    assert_eq!(primary(&join(&[failed], &[told, other]), 1), Some((key(1, 1), Method::Input)));
}

#[test]
fn nothing_is_guessed_across_models_kinds_and_programs() {
    let chat = |id, model: &str, time| {
        span(id, None, time, json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": model}))
    };
    let exchange = Asked { request_model: Some("gpt-5".into()), ..asked(1, (10, 20)) };
    let joins = |spans: &[Span]| {
        primary(&join(std::slice::from_ref(&exchange), &claims(spans)), 1).map(|found| found.0)
    };
    assert_eq!(joins(&[chat(1, "claude-5", (0, 30))]), None);
    assert_eq!(joins(&[chat(1, "openai/GPT-5-2026", (0, 30))]), Some(key(1, 1)));
    assert_eq!(joins(&[span(1, None, (0, 30), json!({"gen_ai.operation.name": "embeddings"}))]), None);
    assert_eq!(joins(&[span(1, None, (0, 30), json!({"gen_ai.operation.name": "execute_tool"}))]), None);

    // A server's span is no request of its own, and what called that server is not looked for above it.
    let mut exchange = exchange.clone();
    exchange.parents = vec![key(1, 3)];
    let mut server = span(3, Some(2), (5, 25), json!({"http.request.method": "POST"}));
    server.side = Side::Server;
    let client = span(2, Some(1), (2, 28), json!({"http.request.method": "POST"}));
    let spans = claims(&[chat(1, "gpt-5", (0, 30)), client, server]);
    let links = join_by(&[exchange.clone()], &spans, &[Method::Traceparent]);
    assert_eq!(
        links.iter().map(|link| (link.span, link.part)).collect::<Vec<_>>(),
        [(key(1, 3), Part::Caller)]
    );
    // An agent stops the search as well.
    let spans = claims(&[
        chat(1, "gpt-5", (0, 30)),
        span(2, Some(1), (1, 29), json!({"gen_ai.operation.name": "invoke_agent"})),
        span(3, Some(2), (2, 28), json!({})),
    ]);
    let links = join_by(&[exchange], &spans, &[Method::Traceparent]);
    assert_eq!(links.iter().map(|link| link.span).collect::<Vec<_>>(), [key(1, 3)]);
}

#[test]
fn spans_in_a_ring_and_far_away_end_the_search() {
    let mut exchange = asked(1, (10, 20));
    exchange.parents = vec![key(1, 0)];
    let ring = claims(&[span(0, Some(1), (0, 30), json!({})), span(1, Some(0), (0, 30), json!({}))]);
    assert_eq!(join(&[exchange.clone()], &ring).len(), 1);
    let chain = |hops: u32| {
        let mut spans: Vec<Span> = (0..hops).map(|at| span(at, Some(at + 1), (0, 30), json!({}))).collect();
        spans.push(span(hops, None, (0, 30), model()));
        let links = join_by(&[exchange.clone()], &claims(&spans), &[Method::Traceparent]);
        links.iter().any(|link| link.part == Part::Model)
    };
    assert_eq!((chain(16), chain(17)), (true, false));
}

#[test]
fn late_spans_are_joined_in_the_next_pass() {
    let capture = Capture::load("par-openinference");
    let (asked, claims) = (capture.asked(), capture.claims());
    let all = join(&asked, &claims);
    assert_eq!(join(&asked, &[]), []);
    for first in [1, 10, 20] {
        let early = join(&asked, &claims[..first]);
        assert!(early.len() < all.len());
        assert!(
            early.iter().all(|link| all.iter().any(|l| (l.exchange, l.span) == (link.exchange, link.span)))
        );
    }
    // Spans first, exchanges later.
    assert!(join(&asked[..5], &claims).iter().all(|link| all.contains(link)));
    assert_eq!(join(&asked, &claims), all);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_order_of_arrival_does_not_matter(seed in any::<u64>(), which in 0usize..5) {
        let name = ["py-logfire-openai", "py-openllmetry", "node-undici", "py-pydantic-ai-logfire", "py-zerocode"][which];
        let capture = Capture::load(name);
        let (mut asked, mut claims) = (capture.asked(), capture.claims());
        let expected = join(&asked, &claims);
        let mut state = seed | 1;
        let mut next = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        for at in (1..claims.len()).rev() {
            claims.swap(at, next(at + 1));
        }
        for at in (1..asked.len()).rev() {
            asked.swap(at, next(at + 1));
        }
        claims.extend(claims[..claims.len() / 2].to_vec());
        prop_assert_eq!(join(&asked, &claims), expected);
    }
}
