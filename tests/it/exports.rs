//! What is exported holds to what backends of traces expect of any exporter: ids, one tree, times, names.

use crate::examples::{Model, command};
use crate::support::env::TestEnv;
use crate::support::exporting::{Exporting, NOWHERE, SAID};
use crate::support::raw::{Raw, chat_head};
use crate::support::upstream::{FakeUpstream, Script};
use prost::Message;
use retake::otlp::proto::{AnyValue, KeyValue, Link, ResourceSpans, ScopeSpans, Span, Status, Traces, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The attributes of OpenTelemetry's conventions for generative models that an export may have without its content.
const GEN_AI: [&str; 16] = [
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.agent.name",
    "gen_ai.workflow.name",
    "gen_ai.tool.name",
    "gen_ai.tool.call.id",
    "gen_ai.tool.type",
];
/// What is said, which is there when it is asked for.
const CONTENT: [&str; 5] = [
    "gen_ai.system_instructions",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
];

fn value<'s>(attributes: &'s [KeyValue], key: &str) -> Option<&'s Value> {
    attributes.iter().find(|one| one.key == key)?.value.as_ref()?.value.as_ref()
}

fn text<'s>(attributes: &'s [KeyValue], key: &str) -> &'s str {
    match value(attributes, key) {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

fn spans(traces: &Traces) -> Vec<&Span> {
    let scopes = traces.resource_spans.iter().flat_map(|of| &of.scope_spans);
    scopes.flat_map(|of| &of.spans).collect()
}

fn is_id(id: &[u8], bytes: usize) -> bool {
    id.len() == bytes && id.iter().any(|byte| *byte != 0)
}

/// Holds what is exported of one run to all that; gives back its root.
#[track_caller]
fn sound(traces: &Traces, content: bool) -> Span {
    for of in &traces.resource_spans {
        let resource = of.resource.as_ref().expect("a resource");
        assert!(!text(&resource.attributes, "service.name").is_empty(), "{resource:?}");
        assert!(of.scope_spans.iter().all(|of| of.scope.is_some() && !of.spans.is_empty()));
    }
    let spans = spans(traces);
    let ids: BTreeSet<&[u8]> = spans.iter().map(|span| span.span_id.as_slice()).collect();
    assert_eq!(ids.len(), spans.len(), "every id once");
    let roots: Vec<&&Span> = spans.iter().filter(|span| span.parent_span_id.is_empty()).collect();
    assert_eq!(roots.len(), 1, "one root");
    let parents: BTreeMap<&[u8], &[u8]> =
        spans.iter().map(|span| (span.span_id.as_slice(), span.parent_span_id.as_slice())).collect();
    for span in &spans {
        assert!(is_id(&span.trace_id, 16) && is_id(&span.span_id, 8), "{span:?}");
        assert_eq!(span.trace_id, roots[0].trace_id, "one trace: {span:?}");
        let mut above = span.parent_span_id.as_slice();
        for _ in 0..=spans.len() {
            if !above.is_empty() {
                above = parents.get(above).unwrap_or_else(|| panic!("no parent: {span:?}"));
            }
        }
        assert!(above.is_empty(), "its own ancestor: {span:?}");
        assert!(span.start_time_unix_nano > 0, "{span:?}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        assert!(!span.name.is_empty() && (1..=5).contains(&span.kind), "{span:?}");
        assert!(span.links.iter().all(|link| is_id(&link.trace_id, 16) && is_id(&link.span_id, 8)));
        let attributes = &span.attributes;
        let keys: BTreeSet<&str> = attributes.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys.len(), attributes.len(), "every attribute once: {span:?}");
        let is_known = |key: &&str| GEN_AI.contains(key) || content && CONTENT.contains(key);
        let odd: Vec<&&str> =
            keys.iter().filter(|key| key.starts_with("gen_ai.") && !is_known(key)).collect();
        assert_eq!(odd, Vec::<&&str>::new());
        let failed = match &span.status {
            Some(status) => {
                assert!((0..=2).contains(&status.code), "{span:?}");
                assert!(content || status.message.is_empty(), "{span:?}");
                status.code == 2
            }
            None => false,
        };
        let is_step = value(attributes, "retake.step").is_some();
        assert!(!is_step || failed == keys.contains("error.type"), "{span:?}");
        let needs: &[&str] = match text(attributes, "gen_ai.operation.name") {
            "chat" => {
                assert_eq!(span.kind, 3, "{span:?}");
                assert!(
                    ["openai", "anthropic"].contains(&text(attributes, "gen_ai.provider.name")),
                    "{span:?}"
                );
                &["gen_ai.request.model", "server.address", "server.port"]
            }
            "execute_tool" => &["gen_ai.tool.name", "gen_ai.tool.call.id"],
            "invoke_agent" => &["gen_ai.agent.name"],
            "invoke_workflow" => &["gen_ai.workflow.name"],
            other => {
                assert_eq!(other, "", "{span:?}");
                &[]
            }
        };
        for need in needs {
            assert!(keys.contains(need), "no {need}: {span:?}");
        }
    }
    let steps = spans.iter().filter_map(|span| match value(&span.attributes, "retake.step") {
        Some(Value::Int(step)) => Some(*step),
        _ => None,
    });
    let mut steps: Vec<i64> = steps.collect();
    steps.sort_unstable();
    assert_eq!(steps, (1..=steps.len() as i64).collect::<Vec<_>>(), "every step once");
    (*roots[0]).clone()
}

/// What is exported of a run: the same as protobuf and as JSON.
#[track_caller]
fn exported(env: &TestEnv, run: &str, flags: &[&str]) -> Traces {
    let written = |name: &str| {
        env.retake([&["export", run, "--force", "--otlp", name], flags].concat()).expect(0);
        std::fs::read(env.work().join(name)).expect("a file")
    };
    let traces = Traces::decode(&*written("x.pb")).expect("protobuf");
    assert_eq!(retake::otlp::json::traces(&written("x.json")).expect("JSON"), traces);
    traces
}

#[test]
fn every_kind_of_run_is_a_sound_trace() {
    let model = Model::start(&["--vary"]);
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    for (script, flags) in [
        ("agent_loop.py", &[][..]),
        ("agent_loop.py", &["--api", "anthropic", "--stream"]),
        ("recursive_thought.py", &[]),
        ("workflow.py", &["--mixed"]),
        ("parallel_research.py", &[]),
    ] {
        for without in [false, true] {
            let mut words = command(&["run", "--name", "x"], script, flags);
            if without {
                let at = words.iter().position(|word| word == "--").expect("a command") + 1;
                words.splice(at..at, ["env", "-u", "OTEL_EXPORTER_OTLP_ENDPOINT"].map(String::from));
            }
            env.retake(words).expect(0);
        }
    }
    for run in env.listed() {
        for flags in [&[][..], &["--openinference"], &["--content"], &["--content", "--openinference"]] {
            sound(&exported(&env, &run, flags), flags.contains(&"--content"));
        }
    }
}

#[test]
fn a_fork_points_to_its_parent_and_a_failure_says_what_kind() {
    let model = Model::start(&[]);
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    env.retake(command(&["run", "--name", "x"], "agent_loop.py", &[])).expect(0);
    env.retake(["fork", "x.1", "--set", "3:result=\"9\""]).expect(0);
    env.retake(["fork", "x.2", "--set", "4:fault=429"]).expect(0);
    env.retake(["replay", "x.1", "--record"]).expect(0);
    let roots: Vec<(Traces, Span)> = ["x.1", "x.2", "x.3", "x.4"]
        .map(|run| {
            let traces = exported(&env, run, &[]);
            let root = sound(&traces, false);
            (traces, root)
        })
        .into();
    assert!(roots[0].1.links.is_empty());
    for (fork, parent, at, kind) in [(1, 0, 3, "fork"), (2, 1, 4, "fork"), (3, 0, 8, "replay")] {
        let [link] = roots[fork].1.links.as_slice() else { panic!("one link: {:?}", roots[fork].1) };
        assert_eq!(text(&link.attributes, "retake.link"), kind);
        let target = spans(&roots[parent].0).into_iter().find(|span| span.span_id == link.span_id);
        let target = target.unwrap_or_else(|| panic!("x.{} links to nothing", fork + 1));
        assert_eq!(target.trace_id, link.trace_id);
        let step = value(&target.attributes, "retake.step").cloned();
        let shown =
            env.retake(["ls", "--json"]).expect(0).json()[fork]["manifest"]["parent"]["at_step"].as_i64();
        assert_eq!(shown, Some(at));
        assert_eq!(step, shown.filter(|step| *step > 0).map(Value::Int), "the step up to which they are one");
        assert_ne!(roots[fork].1.trace_id, roots[parent].1.trace_id);
    }
    let failed: Vec<&str> = spans(&roots[2].0)
        .into_iter()
        .filter(|span| span.status.as_ref().is_some_and(|status| status.code == 2))
        .filter(|span| text(&span.attributes, "gen_ai.operation.name") == "chat")
        .map(|span| text(&span.attributes, "error.type"))
        .collect();
    assert_eq!(failed, ["429"]);
    env.retake(["rm", "x.1"]).expect(0);
    let alone = sound(&exported(&env, "x.2", &[]), false);
    assert!(alone.links.is_empty(), "a link to what is nowhere");
    assert_eq!(text(&alone.attributes, "retake.parent.run.id"), "x.1");
}

/// Two traces with the same ids, ends before beginnings, no name, links to nothing: as some exporters send.
#[test]
fn odd_spans_become_a_sound_trace() {
    let mut env = TestEnv::new();
    let model = FakeUpstream::always(Script::json(SAID));
    env.upstream(&model.origin());
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", NOWHERE);
    let mut recording = Exporting::start(&env, &[]);
    let span = |trace: u8, id: u8, parent: &[u8], name: &str, start: u64, end: u64| Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        parent_span_id: parent.to_vec(),
        name: name.into(),
        kind: 1,
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        links: vec![Link { trace_id: vec![0; 16], span_id: vec![1; 8], ..Link::default() }],
        status: Some(Status { code: 2, message: "said so".into() }),
        attributes: vec![KeyValue {
            key: "http.route".into(),
            value: Some(AnyValue { value: Some(Value::String("/".into())) }),
        }],
        ..Span::default()
    };
    let odd = vec![
        span(1, 5, &[], "root", 2_000_000, 9_000_000),
        span(1, 6, &[5; 8], "late", 8_000_000, 3_000_000),
        span(1, 7, &[6; 8], "never ended", 4_000_000, 0),
        span(2, 5, &[], "of another trace", 5_000_000, 6_000_000),
        span(2, 6, &[5; 8], "with the same id", 5_000_000, 6_000_000),
        span(3, 8, &[99; 8], "of a parent that nobody sent", 5_000_000, 6_000_000),
    ];
    let scope_spans = vec![ScopeSpans { spans: odd, ..ScopeSpans::default() }];
    let body = Traces { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] };
    let told =
        recording.post("/otlp/v1/traces", "Content-Type: application/x-protobuf\r\n", &body.encode_to_vec());
    assert_eq!(told.status, 200);
    let mut agent = Raw::connect(&recording.origin).expect("it listens");
    agent.send(&chat_head(1, 2)).expect("sent");
    agent.send(b"{}").expect("sent");
    let head = agent.head().expect("a head");
    agent.body(&head, false).expect("a body");
    recording.end();
    let traces = exported(&env, "x.1", &[]);
    let root = sound(&traces, false);
    assert_eq!(root.name, "invoke_workflow x.1");
    let names: BTreeSet<&str> = spans(&traces).into_iter().map(|span| span.name.as_str()).collect();
    for name in ["root", "late", "never ended", "of another trace", "with the same id"] {
        assert!(names.contains(name), "no {name}: {names:?}");
    }
}
