use super::*;
use crate::dialect::conversation::Usage;
use crate::otlp::json::traces;
use crate::span::{SpanId, SpanKey, TraceId};

const CAME: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},
    {"key":"process.command_args","value":{"stringValue":"secret plan"}}]},"scopeSpans":[{"scope":{"name":"lib"},"spans":[
    {"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"ChatCompletion","kind":1,
     "status":{"code":2,"message":"said so"},"attributes":[
        {"key":"input.value","value":{"stringValue":"what a user said"}},{"key":"llm.model_name","value":{"stringValue":"m"}},
        {"key":"gen_ai.usage.input_tokens","value":{"intValue":999}},{"key":"x","value":{"intValue":1}}]}]}]}]}"#;

fn exported(content: bool, spanned: bool) -> (Traces, String) {
    let came = if spanned { traces(CAME.as_bytes()).unwrap() } else { Traces::default() };
    let key = SpanKey {
        trace: TraceId::parse("0af7651916cd43dd8448eb211c80319c").unwrap(),
        span: SpanId::parse("b7ad6b7169203331").unwrap(),
    };
    let mut model = Node::new(NodeKind::Model, "gpt", 1, 2);
    model.step = Some(1);
    model.usage = Some(Usage { input: 10, output: 2, ..Usage::default() });
    model.span = spanned.then_some(key);
    let mut tool = Node::new(NodeKind::Tool, "look", 2, 3);
    tool.step = Some(2);
    tool.at_most = !spanned;
    let mut run = Node::new(NodeKind::Run, "fix.1", 1, 3);
    run.children = vec![model, tool];
    let of = Telling {
        uuid: [7; 16],
        run: "fix.1",
        convention: Convention::OpenInference,
        content,
        known: &|step| if step == 1 { vec![text("server.address", "api.openai.com")] } else { Vec::new() },
        parent: None,
        forked_at: None,
        said: &|step| vec![("gen_ai.output.messages".into(), format!("said in {step}"))],
    };
    let told = told(&run, &came, &of);
    let json = crate::otlp::json::of_traces(&told).to_string();
    (told, json)
}

fn all(traces: &Traces) -> Vec<&Span> {
    traces.resource_spans.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans).collect()
}

#[test]
fn a_run_is_one_trace_and_one_tree() {
    for spanned in [false, true] {
        let (told, _) = exported(false, spanned);
        let spans = all(&told);
        assert_eq!(spans.len(), 3);
        let roots: Vec<_> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
        assert_eq!(roots.len(), 1);
        assert!(spans.iter().all(|span| span.trace_id == roots[0].trace_id && span.span_id.len() == 8));
        let below = spans.iter().filter(|span| span.parent_span_id == roots[0].span_id);
        assert_eq!(below.count(), 2);
    }
}

#[test]
fn a_time_that_is_a_bound_says_so() {
    for spanned in [false, true] {
        let (told, _) = exported(false, spanned);
        let bound = truth("retake.duration.upper_bound");
        let marked = all(&told).into_iter().filter(|span| span.attributes.contains(&bound));
        let names: Vec<&str> = marked.map(|span| span.name.as_str()).collect();
        assert_eq!(names, if spanned { vec![] } else { vec!["execute_tool look"] });
    }
}

#[test]
fn nothing_that_was_said_leaves_unasked() {
    let (_, json) = exported(false, true);
    for said in ["what a user said", "said so", "said in", "secret plan"] {
        assert!(!json.contains(said), "{said} in {json}");
    }
    for told in ["openinference.span.kind", "shop", "retake.step", "api.openai.com", "ChatCompletion"] {
        assert!(json.contains(told), "no {told} in {json}");
    }
    assert!(!json.contains("999"), "what the wire says of tokens goes before what the span says");
    let (_, json) = exported(true, true);
    for said in ["what a user said", "said so", "said in 1"] {
        assert!(json.contains(said), "no {said} in {json}");
    }
}

#[test]
fn the_same_run_gives_the_same_ids() {
    assert_eq!(exported(false, false).0, exported(false, false).0);
}

proptest::proptest! {
    /// Whatever exporters send (ids that come twice, circles, ends before beginnings): one trace, one root, every
    /// parent there, every id once.
    #[test]
    fn any_spans_become_one_sound_trace(odd in proptest::collection::vec((1u8..4, 0u8..7, 0u8..7, 0u64..9, 0u64..9), 0..24)) {
        let span = |(trace, id, parent, start, end): &(u8, u8, u8, u64, u64)| Span {
            trace_id: vec![*trace; 16],
            span_id: vec![*id; 8],
            parent_span_id: if *parent == 0 { Vec::new() } else { vec![*parent; 8] },
            start_time_unix_nano: start * 1_000_000,
            end_time_unix_nano: end * 1_000_000,
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: odd.iter().map(span).collect(), ..ScopeSpans::default() }];
        let came = Traces { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
        let spans = crate::span::spans(&came);
        let claims: Vec<_> = spans.iter().map(crate::span::claims::Claims::of).collect();
        let settled = crate::span::settled::Settled::new(&claims);
        let of = crate::run::tree::Spans { settled: &settled, links: &[] };
        let tree = crate::run::tree::spanned(&crate::run::Outline::default(), "x.1", of, true);
        let of = Telling {
            uuid: [7; 16],
            run: "x.1",
            convention: Convention::GenAi,
            content: false,
            known: &|_| Vec::new(),
            said: &|_| Vec::new(),
            parent: None,
            forked_at: None,
        };
        let told = told(&tree, &came, &of);
        let told = all(&told);
        let ids: BTreeSet<&[u8]> = told.iter().map(|span| span.span_id.as_slice()).collect();
        proptest::prop_assert_eq!(ids.len(), told.len());
        let roots = told.iter().filter(|span| span.parent_span_id.is_empty()).count();
        proptest::prop_assert_eq!(roots, 1);
        for span in &told {
            proptest::prop_assert!(span.parent_span_id.is_empty() || ids.contains(span.parent_span_id.as_slice()));
            proptest::prop_assert!(is_id(&span.span_id, 8) && span.trace_id == told[0].trace_id);
            proptest::prop_assert!(span.start_time_unix_nano <= span.end_time_unix_nano && !span.name.is_empty());
        }
    }
}
