//! `show` and `ls`.

use crate::diff::RunView;
use crate::diff::tests::fake::{Fake, SECOND, START, refund, refused};
use crate::prices::{Cost, Spent};
use crate::report::checkpoint::{CheckpointView, LaneHead, checkpoint};
use crate::report::runs::list;
use crate::report::step::{show_context, show_step};
use crate::report::steps::{Notes, rows, show};
use crate::report::{Style, words};
use crate::run::{CallSite, LaneKind, RunState};
use crate::store::RunSummary;
use insta::assert_snapshot;
use serde_json::json;

fn shown(run: &RunView) -> String {
    show(run, &Notes::new(), Style::default())
}

fn one_step(run: &Fake, step: u32) -> String {
    show_step(&run.view(), step, false, Style::default()).expect("a step")
}

#[test]
fn a_run() {
    let run = refund("refund.1");
    let notes = Notes::from([(7, "changes every run".to_string())]);
    assert_snapshot!(show(&run.view(), &notes, Style::default()));
}

#[test]
fn a_run_in_a_narrow_terminal() {
    let text = show(&refund("refund.1").view(), &Notes::new(), Style::plain(60));
    assert!(text.lines().all(|l| words::width(l) <= 60), "{text}");
    assert_snapshot!(text);
}

#[test]
fn a_run_in_color() {
    let mut run = Fake::new("small.1");
    run.user("hi").says("hello").end(1);
    let text = show(&run.view(), &Notes::new(), Style { color: true, width: 100 });
    assert_snapshot!(text.replace('\x1b', "ESC"));
}

#[test]
fn a_fork() {
    let mut run = refused("refund.2", "refund.1");
    run.manifest.note = Some("does high risk block it?".into());
    run.manifest.labels.insert("kind".into(), "what-if".into());
    assert_snapshot!(shown(&run.view()));
}

#[test]
fn no_steps_and_one_step() {
    let mut empty = Fake::new("empty.1");
    empty.end(0);
    let mut one = Fake::new("one.1");
    one.user("hi").says("").end(0);
    assert_snapshot!(format!("{}\n{}", shown(&empty.view()), shown(&one.view())));
}

#[test]
fn lanes_models_and_sub_agents() {
    let mut run = Fake::new("research.1");
    run.user("compare law and tax").calls(&[
        ("task", json!({"prompt": "read about law"}), "law is long"),
        ("task", json!({"prompt": "read about tax"}), "tax is high"),
    ]);
    for (call, topic) in ["law", "tax"].into_iter().enumerate() {
        let site = CallSite { lane: 0, turn: 0, call: call as u32 };
        run.open(&format!("main/0.{call}"), LaneKind::Child, Some(site)).model("gpt-tiny");
        run.user(topic).calls(&[("search", json!({"q": topic}), "found")]).says(&format!("{topic} is long"));
    }
    run.on(0).model("gpt-small").says("Both are long.").end(0);
    run.outline.lanes[1].named = Some("lawyer".into());
    assert_snapshot!(shown(&run.view()));
}

#[test]
fn failures_retries_and_cut_off_runs() {
    let mut run = Fake::new("bad.1");
    run.user("go")
        .calls(&[("fetch", json!({"url": "https://example.org"}), "connection refused")])
        .tool_failed();
    run.after_failure("429: rate limited, try again in 2 s");
    run.says("half an ans");
    run.outline.lanes[0].turns[1].error = Some("the stream ended before its last event".into());
    run.fails("500: overloaded");
    run.calls(&[("never_seen", json!({}), "nobody sees this")]);
    run.state = RunState::Interrupted;
    run.outline.others = vec![crate::exchange::ExchangeId(99)];
    run.manifest.stand_ins = 1;
    assert_snapshot!(shown(&run.view()));
}

#[test]
fn long_wide_and_hostile_text_stays_in_its_row() {
    let mut run = Fake::new("odd.1");
    let tool = "a_tool_whose_name_is_sixty_characters_long_as_some_of_them_are";
    let blob = format!("{{\"rows\":[{}]}}", "{\"id\":1,\"v\":\"x\"},".repeat(50).trim_end_matches(','));
    run.user("go")
        .calls(&[(tool, json!({"path": "/a/b/c".repeat(40), "n": 1}), &blob), ("b", json!({}), "")])
        .calls_saying(
            "先に注文を調べます。",
            &[("調べる", json!({"注文": "A123"}), "ok\n\n\x1b[2Jwiped\u{202e}txt")],
        )
        .says("\x1b]0;owned\x07 Done.\r\nReally   done.")
        .end(0);
    let text = shown(&run.view());
    assert!(text.lines().all(|l| words::width(l) <= 100), "{text}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
    assert_snapshot!(text);
}

#[test]
fn rows_as_data() {
    let rows = rows(&refused("refund.2", "refund.1").view(), &Notes::new());
    insta::assert_json_snapshot!(rows.into_iter().skip(5).collect::<Vec<_>>());
}

#[test]
fn model_steps_in_full() {
    let mut run = refund("refund.1");
    run.param("temperature", json!(0.0)).after_failure("429: rate limited");
    let first = one_step(&run, 1);
    assert_snapshot!(format!("{first}\n{}\n{}", one_step(&run, 3), one_step(&run, 10)));
}

#[test]
fn tool_steps_in_full() {
    let mut run = Fake::new("long.1");
    let lines = (0..60).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
    run.user("go")
        .calls(&[("read", json!({"path": "a.txt"}), &lines), ("lost", json!("not json"), "x")])
        .says("done");
    run.outline.lanes[0].turns[0].calls[1].result = None;
    let edited = refused("refund.2", "refund.1");
    assert_snapshot!(format!("{}\n{}\n{}", one_step(&run, 2), one_step(&run, 3), one_step(&edited, 7)));
}

#[test]
fn contexts() {
    let run = refund("refund.1");
    let of = |step, versus| match show_context(&run.view(), step, versus, false, Style::default()) {
        Ok(text) => text,
        Err(trouble) => trouble.to_string(),
    };
    let mut other = Fake::new("other.1");
    let long = "All of the policy, word for word. ".repeat(20);
    other.system("You handle refunds. Amounts are in cents.").model("gpt-big").param("temperature", json!(1));
    other
        .user("My laptop from order A123 is broken, refund me please")
        .calls(&[("lookup_order", json!({"order_id": "A123"}), &long)])
        .says("ok");
    let mut cut = Fake::new("cut.1");
    cut.user("My laptop from order A123 is broken, refund me please")
        .calls(&[("lookup_order", json!({"order_id": "A123"}), &long[..200])])
        .says("ok");
    let all = [
        of(8, Some((&run.view(), 6))),
        of(3, None),
        of(1, None),
        of(3, Some((&other.view(), 3))),
        show_context(&cut.view(), 3, Some((&other.view(), 3)), false, Style::default()).expect("a context"),
        of(8, Some((&run.view(), 8))),
        of(7, None),
        of(11, None),
    ];
    assert_snapshot!(all.join("\n"));
}

#[test]
fn a_checkpoint() {
    let lane = |name: &str, pending: &[&str]| LaneHead {
        lane: name.into(),
        turns: 3,
        messages: 7,
        pending: pending.iter().map(|p| p.to_string()).collect(),
        last_step: Some(6),
    };
    let view = CheckpointView {
        name: "refund.1@7".into(),
        lanes: vec![lane("main", &["check_fraud", "get_policy"]), lane("main/0.0", &[])],
        bindings: vec![("/tmp/a1".into(), "/tmp/b2".into())],
        usage: refund("refund.1").outline.usage(),
    };
    assert_snapshot!(checkpoint(&view, Style::default()));
}

#[test]
fn runs() {
    let summary = |run: &Fake, age: u64| {
        let mut manifest = run.manifest.clone();
        manifest.started_us -= age * SECOND;
        let steps = run.outline.steps.len() as u32;
        RunSummary {
            manifest,
            state: run.state,
            exchanges: steps,
            steps: Some(steps),
            model_steps: Some(steps / 2),
            usage: run.outline.usage(),
            bytes: 6_100 + age,
            problem: None,
        }
    };
    let mut fork = refused("refund.2", "refund.1");
    fork.manifest.note = Some("does high risk block it?".into());
    let mut killed = Fake::new("a-name-of-some-length-but-legal.12");
    killed.user("x").says("y");
    killed.state = RunState::Interrupted;
    killed.manifest.labels.insert("suite".into(), "nightly".into());
    let mut damaged = summary(&killed, 0);
    damaged.steps = None;
    damaged.problem = Some("segment-000001: the header is not one of retake's".into());
    let all = [summary(&refund("refund.1"), 90_000), summary(&fork, 400), summary(&killed, 20), damaged];
    let spent =
        [None, Some(Spent { known: Cost(12_300_000_000), priced: 3, ..Spent::default() }), None, None];
    let names = all.iter().map(|run| (run.manifest.uuid.clone(), run.manifest.id.clone())).collect();
    assert_snapshot!(format!(
        "{}\n{}",
        list(&all, &spent, &names, START, Style::default()),
        list(&[], &[], &names, START, Style::default())
    ));
}

#[test]
fn spans_that_are_no_steps() {
    use crate::report::runs::{found_span, steps};
    use crate::run::RunId;
    use crate::run::tree::NodeKind;
    use crate::run::wanted::FoundSpan;
    use crate::span::{SpanId, SpanKey, TraceId};
    let span = |name: &str| FoundSpan {
        span: SpanKey { trace: TraceId([1; 16]), span: SpanId([2; 8]) },
        kind: NodeKind::Other,
        name: name.into(),
        under: Some("run".into()),
        within: None,
        around: vec![],
        during: vec![],
        after: None,
        before: None,
        error: None,
        start_us: 0,
        took_us: Some(21_000),
        input: 0,
        output: 0,
        cost: None,
        agent: None,
        names: vec![],
    };
    let all = [
        FoundSpan { within: Some(3), ..span("in") },
        FoundSpan { around: vec![1, 2, 4], ..span("above") },
        FoundSpan { during: vec![1, 2], ..span("beside two") },
        FoundSpan { during: vec![2], error: Some("no\nshelf".into()), ..span("beside one") },
        FoundSpan { after: Some(4), ..span("later") },
        FoundSpan { before: Some(1), ..span("earlier") },
        span("in a run without steps"),
    ];
    let run: RunId = RunId::try_from("x.1".to_string()).expect("a name");
    let rows: Vec<_> = all.iter().map(|span| found_span(&run, span)).collect();
    assert_snapshot!(steps(&rows, Style::default()));
}
