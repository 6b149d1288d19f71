//! Runs whose spans tell where their steps stand.

use super::*;
use crate::run::tree::places::Places;
use crate::run::tree::{Node, NodeKind};
use crate::span::{SpanId, SpanKey, TraceId};

/// A tree in words: `agent planner(1 tool delegate(agent worker(2 3)))`. A number is a step, everything else a span.
fn tree(text: &str) -> Node {
    let mut open = vec![Node::new(NodeKind::Run, "x", 0, 1)];
    let mut spans = 0;
    let mut words = text.replace('(', " ( ").replace(')', " ) ");
    words.push(' ');
    let mut kind = None;
    for word in words.split_whitespace() {
        spans += 1;
        let span = Some(SpanKey { trace: TraceId([1; 16]), span: SpanId([spans; 8]) });
        let mut add = |node: Node| open.last_mut().unwrap().children.push(node);
        match (word, kind.take()) {
            ("(", _) => {
                let last = open.last_mut().unwrap().children.pop().unwrap();
                open.push(last);
            }
            (")", _) => {
                let done = open.pop().unwrap();
                open.last_mut().unwrap().children.push(done);
            }
            (name, Some(kind)) => add(Node { span, ..Node::new(kind, name, 0, 1) }),
            ("agent", None) => kind = Some(NodeKind::Agent),
            ("workflow", None) => kind = Some(NodeKind::Workflow),
            ("tool", None) => kind = Some(NodeKind::Tool),
            ("span", None) => kind = Some(NodeKind::Other),
            (step, None) => {
                add(Node { span, step: Some(step.parse().unwrap()), ..Node::new(NodeKind::Model, "m", 0, 1) })
            }
        }
    }
    open.pop().unwrap()
}

fn placed(mut run: Fake, text: &str) -> Fake {
    run.places = Places::of(&tree(text), &|_| false);
    run
}

/// What is told of the trees, and the exit code.
fn told(left: &Fake, right: &Fake) -> (Vec<String>, u8) {
    let c = compare(&left.view(), &right.view());
    let text = crate::report::difference::difference(&c, true, crate::report::Style::default());
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("tree "))
        .take_while(|line| line.starts_with("tree ") || line.starts_with("          "));
    (lines.map(|line| line[10..].to_string()).collect(), c.exit_code())
}

/// Two agents with the same prompt.
fn twins(id: &str, first: &str, second: &str) -> Fake {
    let mut run = Fake::new(id);
    run.user("Argue.").says(first);
    run.open("main.2", LaneKind::Root, None).user("Argue.").says(second).end(0);
    run
}

#[test]
fn an_agent_is_known_by_its_name_whatever_it_was_answered() {
    let (left, right) = (twins("a.1", "yes", "no"), twins("a.2", "no", "yes"));
    // By what was said these are the same two conversations.
    assert_eq!(lines(&compare(&left.view(), &right.view())), Vec::<String>::new());
    let names = "agent pro(1) agent contra(2)";
    let (left, right) = (placed(left, names), placed(right, names));
    let c = compare(&left.view(), &right.view());
    assert_eq!(lines(&c), ["main 1|1 Model Changed", "main.2 2|2 Model Changed"]);
    assert!(c.structure.unwrap().is_empty());
    // Who came first does not matter.
    let late = placed(twins("a.3", "no", "yes"), "agent contra(1) agent pro(2)");
    let c = compare(&left.view(), &late.view());
    assert_eq!((lines(&c), c.structure.unwrap().is_empty()), (vec![], true));
}

#[test]
fn a_step_at_another_place_is_the_same_step() {
    let steps = "1 2 3 4 5 6 7 8 9 10";
    let left = placed(refund("refund.1"), &format!("agent clerk({steps})"));
    let cases = [
        (format!("agent clerk({steps})"), vec![]),
        (
            format!("workflow shop(agent clerk({steps}))"),
            vec!["steps 1-10 run under workflow shop as well, which was not there"],
        ),
        (
            "agent clerk(1 agent expert(2 3) 4 5 6 7 8 9 10)".into(),
            vec!["steps 2-3 run under agent expert, were directly under agent clerk"],
        ),
        (format!("agent desk({steps})"), vec!["steps 1-10 run under agent desk, were under agent clerk"]),
        (format!("agent clerk({steps}) agent critic(span x)"), vec!["agent critic is new"]),
        (steps.to_string(), vec!["steps 1-10 run under none, were under agent clerk"]),
    ];
    for (tree, wanted) in cases {
        let right = placed(refund("refund.2"), &tree);
        let (lines, exit) = told(&left, &right);
        assert_eq!((lines.iter().map(String::as_str).collect::<Vec<_>>(), exit), (wanted, 0), "{tree}");
    }
    // The other way round.
    let right = placed(refund("refund.2"), "agent clerk(1 tool ask(agent expert(2 3)) 4 5 6 7 8 9 10)");
    let (lines, _) = told(&right, &left);
    assert_eq!(lines, ["steps 2-3 run directly under agent clerk, were under tool ask › agent expert"]);
}

#[test]
fn rounds_that_are_counted_and_traces_that_are_cut_off_are_no_difference() {
    let left = placed(refund("refund.1"), "agent clerk(span turn-1(1 2) span turn-2(3 4 5 6 7 8 9 10))");
    let right = placed(refund("refund.2"), "agent clerk(span turn-2(1 2) span turn-3(3 4 5 6 7 8 9 10))");
    assert_eq!(told(&left, &right), (vec![], 0));
    let mut cut = refund("refund.3");
    // Its outermost span never ended.
    cut.places = Places::of(&tree("span turn-1(1 2) span turn-2(3 4 5 6 7 8 9 10)"), &|_| true);
    assert_eq!(told(&left, &cut), (vec!["agent clerk was not run (it took steps 1-10)".to_string()], 0));
    cut.state = crate::run::RunState::Interrupted;
    assert_eq!(told(&left, &cut).0, Vec::<String>::new());
}

#[test]
fn runs_of_which_one_has_no_spans_are_compared_as_ever() {
    let left = placed(refund("refund.1"), "agent clerk(1 2 3 4 5 6 7 8 9 10)");
    let c = compare(&left.view(), &refund("refund.2").view());
    assert_eq!((&c.structure, c.exit_code()), (&None, 0));
    assert!(c.rows.iter().all(|row| row.place.is_none()));
}

/// A worker that looks something up, and a planner that does it itself.
#[test]
fn a_call_that_another_conversation_makes_has_moved() {
    let look = [("look", json!({"order": "A123"}), "two lamps")];
    let mut left = Fake::new("x.1");
    left.user("Plan.").says("First I think.").user("Go on.").says("All is well.");
    left.open("main.2", LaneKind::Root, None).user("Work.").calls(&look).says("There are two lamps.").end(0);
    let mut right = Fake::new("x.2");
    right.user("Plan.").says("First I think.").user("Go on.").calls(&look).says("All is well.");
    right.open("main.2", LaneKind::Root, None).user("Work.").says("There are two lamps.").end(0);
    let plain = compare(&left.view(), &right.view());
    assert_eq!(plain.counts.moved, 0);
    let (left, right) = (
        placed(left, "agent planner(1 2) agent worker(3 4 5)"),
        placed(right, "agent planner(1 2 3 4) agent worker(5)"),
    );
    let c = compare(&left.view(), &right.view());
    assert_eq!((c.counts.moved, c.counts.only_left, c.counts.only_right), (2, 0, 0), "{:?}", lines(&c));
    let (lines, exit) = told(&left, &right);
    assert_eq!(lines, ["steps 3-4 (right: 2-3) run under agent planner, were under agent worker"]);
    assert_eq!(exit, 1, "another agent acts");
}
