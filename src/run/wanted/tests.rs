use super::*;
use crate::diff::tests::fake::Fake;
use crate::prices::Prices;
use serde_json::json;

fn run() -> Fake {
    let mut run = Fake::new("refund.1");
    run.model("gpt-4o").user("go");
    run.calls(&[("look", json!({}), "fine"), ("pay", json!({}), "Card refused")]).tool_failed();
    run.says("Done.").end(1);
    run.manifest.labels.insert("task".into(), "A 1".into());
    run
}

fn steps(terms: &str) -> Vec<u32> {
    let run = run();
    let prices = Prices::default();
    let cost = |turn: &Turn| prices.cost(&turn.model, &turn.usage?);
    Wanted::parse(terms).unwrap().steps(&run.outline, &cost, &Told::default())
}

#[test]
fn steps_are_found_by_what_they_are() {
    for (terms, found) in [
        ("tool=pay", &[3][..]),
        ("tool!=pay", &[2]),
        ("tool~A", &[3]),
        ("tool=pay status=error agent=main", &[3]),
        ("tool=look status=error", &[]),
        ("status=error", &[3]),
        ("model=gpt-4o", &[1, 4]),
        ("model~GPT tool=look", &[2]),
        ("text~refused", &[3]),
        ("text=Done.", &[4]),
        ("tokens>0", &[1, 4]),
        ("tokens>0 tool~o", &[2]),
        ("tokens<0", &[]),
        ("cost>0", &[1, 4]),
        ("cost>$1", &[]),
        ("cost=n/a", &[]),
        ("cost!=n/a", &[1, 4]),
        ("time>=0s", &[1, 2, 3, 4]),
        ("time<1ms", &[]),
        ("time<5ms", &[2, 3]),
        ("time<0.005", &[2, 3]),
        ("time<90ms", &[1, 2, 3, 4]),
        ("time>=1m", &[]),
        ("agent!=main", &[]),
        ("lane=main time<0", &[]),
    ] {
        assert_eq!(steps(terms), found, "{terms}");
    }
}

#[test]
fn runs_are_found_by_what_is_said_of_them() {
    let run = run();
    for (terms, fits) in [
        ("name=refund", true),
        ("name=refund.1", true),
        ("name!=refund", false),
        ("name!=refund.2", true),
        ("exit=1 steps>=4", true),
        ("exit!=1", false),
        ("steps>4", false),
        ("label:task=\"A 1\"", true),
        ("label:task~a", true),
        ("label:other=x", false),
        ("label:other!=x", true),
    ] {
        let wanted = Wanted::parse(terms).unwrap();
        assert!(!wanted.is_about_steps());
        assert_eq!(wanted.fits(&run.manifest, Some(4)), fits, "{terms}");
    }
}

#[test]
fn what_makes_no_sense_is_said() {
    let told: Vec<String> = [
        "",
        "tool",
        "tool!pay",
        "tol=pay",
        "modle~x",
        "colour=red",
        "tokens>many",
        "tokens~1",
        "tool>5",
        "status=bad",
        "text=\"a",
        "agent=researcher of tides status=ok",
        "tokens>1 000",
        "time>soon",
        "time>5 ms",
        "cost>n/a",
        "cost=much",
        "label:=x",
        "trace=sold",
        "trace~0af7651916cd",
        "span>3",
        "=x",
    ]
    .iter()
    .map(|terms| Wanted::parse(terms).expect_err(terms))
    .map(|unclear| format!("{}\n    {}", unclear.what, unclear.hint))
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

mod spans {
    use super::*;
    use crate::run::tree::{Node, NodeKind};
    use crate::span::{SpanId, SpanKey, TraceId};
    use std::collections::HashMap;

    fn key(id: u8) -> SpanKey {
        SpanKey { trace: TraceId([9; 16]), span: SpanId([id; 8]) }
    }

    fn node(kind: NodeKind, name: &str, id: u8, step: Option<u32>, children: Vec<Node>) -> Node {
        let start = u64::from(id) * 1_000_000;
        Node { span: Some(key(id)), step, children, ..Node::new(kind, name, start, start + 500_000) }
    }

    /// Steps, then names of spans with where they stand, of the run above under agents.
    fn found(terms: &str) -> (Vec<u32>, Vec<String>) {
        use NodeKind::*;
        let failed = |node: Node, why: &str| Node { error: Some(why.into()), ..node };
        let pay =
            node(Tool, "pay", 6, Some(3), vec![failed(node(Other, "bank", 7, None, vec![]), "refused")]);
        let clerk = node(
            Agent,
            "clerk",
            1,
            None,
            vec![
                node(Model, "gpt-4o", 2, Some(1), vec![]),
                failed(node(Tool, "look", 3, Some(2), vec![]), "slow"),
                node(Agent, "payer", 5, None, vec![pay]),
                node(Model, "gpt-4o", 8, Some(4), vec![]),
                failed(node(Other, "check", 9, None, vec![]), "no good"),
            ],
        );
        let mut run_of = Node::new(Run, "refund.1", 0, 1);
        run_of.children = vec![node(Other, "start", 0, None, vec![]), clerk];
        let names = HashMap::from([(key(1), "invoke_agent clerk"), (key(6), "execute_tool pay")]);
        let wanted = Wanted::parse(terms).unwrap();
        let mut told = Told::of(&run_of, &names, &|names| wanted.asks_for_span(names));
        for sought in wanted.traces() {
            told.trace(sought.clone(), [2, 3].into());
        }
        let place = |span: &FoundSpan| {
            let FoundSpan { name, within, around, after, .. } = span;
            format!("{name} {within:?} {around:?} {after:?}")
        };
        let run = run();
        let spans = wanted.spans(&told).into_iter().map(place).collect();
        (wanted.steps(&run.outline, &|_| None, &told), spans)
    }

    #[test]
    fn steps_are_found_below_spans() {
        for (terms, steps) in [
            ("agent=payer", &[3][..]),
            ("agent=clerk", &[1, 2, 4]),
            ("agent!=clerk", &[3]),
            ("agent=main", &[1, 2, 3, 4]),
            ("span=payer", &[3]),
            ("span=\"execute_tool pay\"", &[3]),
            ("span~INVOKE tool=look", &[2]),
            ("span!=payer", &[1, 2, 4]),
            ("span=clerk span!=payer status=ok", &[1, 4]),
            ("span=clerk status=error", &[2, 3]),
            ("agent=clerk status=error", &[2]),
            ("tool=look status=error", &[2]),
            ("tool=look status=ok", &[]),
            ("tool=look status!=error", &[]),
            ("status=ok", &[1, 4]),
            ("trace=0af7651916cd43dd8448eb211c80319c", &[2, 3]),
            ("trace!=0af7651916cd43dd8448eb211c80319c", &[1, 4]),
            ("trace=0af7651916cd tool=pay", &[3]),
        ] {
            assert_eq!(found(terms).0, steps, "{terms}");
        }
    }

    #[test]
    fn a_tool_has_failed_when_the_span_around_it_says_so() {
        let mut run_of = Node::new(NodeKind::Run, "refund.1", 0, 1);
        let call = node(NodeKind::Tool, "tools/call look", 2, Some(2), vec![]);
        let around = node(NodeKind::Tool, "look", 1, None, vec![call]);
        run_of.children = vec![Node { error: Some("slow".into()), ..around }];
        let wanted = Wanted::parse("tool=look status=error").unwrap();
        let found = |tree: &Node| {
            let told = Told::of(tree, &HashMap::new(), &|_| false);
            wanted.steps(&run().outline, &|_| None, &told)
        };
        assert_eq!(found(&run_of), [2]);
        run_of.children[0].error = None;
        assert_eq!(found(&run_of), [0u32; 0]);
    }

    #[test]
    fn what_no_step_is_below_stands_by_time() {
        use NodeKind::*;
        let step = |id, number| node(Model, "m", id, Some(number), vec![]);
        let span = |name: &str, start: u64, end: u64| Node {
            span: Some(key(9)),
            ..Node::new(Other, name, start * 1_000_000, end * 1_000_000)
        };
        let spans = || vec![span("early", 0, 1), span("long", 2, 4), span("gap", 5, 6), span("none", 6, 6)];
        let told = |steps: Vec<Node>| {
            let mut run = Node::new(Run, "x.1", 0, 1);
            run.children = spans().into_iter().chain(steps).collect();
            let told = Told::of(&run, &HashMap::new(), &|_| true);
            let places = told.spans().iter().map(|span| (span.during.clone(), span.after, span.before));
            places.collect::<Vec<_>>()
        };
        // They run from 2 to 2.5 s, and so on.
        assert_eq!(
            told(vec![step(2, 1), step(3, 2), step(4, 3)]),
            [
                (vec![], None, Some(1)),
                (vec![1, 2], None, None),
                (vec![], Some(3), None),
                (vec![], Some(3), None)
            ]
        );
        assert_eq!(told(vec![]), vec![(vec![], None, None); 4]);
    }

    #[test]
    fn spans_that_are_no_steps_are_found_with_the_steps_about_them() {
        let clerk = "clerk None [1, 2, 3, 4] None";
        for (terms, spans) in [
            ("span=clerk", &[clerk][..]),
            ("span=clerk status=error", &[]),
            ("span=bank", &["bank Some(3) [] None"]),
            ("span~c status=error agent=clerk", &["check None [] Some(4)"]),
            ("span=check text~GOOD time<1", &["check None [] Some(4)"]),
            ("span=start", &["start None [] None"]),
            ("span~ agent=payer", &["payer None [3] None", "bank Some(3) [] None"]),
            ("span=clerk tool=pay", &[]),
            ("span=clerk model=gpt-4o", &[]),
            ("span=clerk tokens>0", &[]),
            ("agent=clerk", &[]),
            ("span!=clerk", &[]),
            ("span~c span!=clerk status=error", &[]),
        ] {
            assert_eq!(found(terms).1, spans, "{terms}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_terms_are_too_odd(text in "[a-z:é!=<>~\" 0-9]{0,40}") {
        if let Err(unclear) = Wanted::parse(&text) {
            assert!(!unclear.what.is_empty());
        }
    }
}
