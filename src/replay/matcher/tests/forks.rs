//! Forks: what an edit touches goes live, everything else keeps its recorded answer.

use super::tape::*;
use crate::dialect::conversation::{Message, ModelAnswer, ModelRequest};
use crate::exchange::{ExchangeId, SpanContext};
use crate::replay::matcher::{Decision, Matcher, Options};
use serde_json::json;
use std::sync::Arc;

const FORK: fn() -> Options = || Options { live_on_drift: true, ..Options::default() };

fn grown(request_before: &ModelRequest, messages: Vec<Message>) -> ModelRequest {
    let mut all = request_before.messages.clone();
    all.extend(messages);
    request(all)
}

/// A main lane that sends two workers, each of which runs one command. Requests in order: main, a, a, b, b, main.
struct Family {
    tape: Tape,
    main: [ModelRequest; 2],
    a: [ModelRequest; 2],
    b: [ModelRequest; 2],
    a_asks: ModelAnswer,
}

fn family() -> Family {
    let main_first = request(vec![user(vec![text("Do both.")])]);
    let sends = answer(vec![
        call("t1", "task", json!({"prompt": "Work on part A."})),
        call("t2", "task", json!({"prompt": "Work on part B."})),
    ]);
    let worker = |name: &str| {
        let first = request(vec![user(vec![text(&format!("Work on part {name}."))])]);
        let asks = answer(vec![call(&format!("w{name}"), "bash", json!({"cmd": format!("run {name}")}))]);
        let second =
            grown(&first, vec![says(&asks), user(vec![result(&format!("w{name}"), &format!("ran {name}"))])]);
        (first, asks, second, answer(vec![text(&format!("Part {name} is done."))]))
    };
    let (a1, a_asks, a2, a_done) = worker("A");
    let (b1, b_asks, b2, b_done) = worker("B");
    let main_second = grown(
        &main_first,
        vec![says(&sends), user(vec![result("t1", "Part A is done."), result("t2", "Part B is done.")])],
    );
    let tape = Tape::in_sequence(vec![
        (main_first.clone(), sends),
        (a1.clone(), a_asks.clone()),
        (a2.clone(), a_done),
        (b1.clone(), b_asks),
        (b2.clone(), b_done),
        (main_second.clone(), answer(vec![text("All done.")])),
    ]);
    Family { tape, main: [main_first, main_second], a: [a1, a2], b: [b1, b2], a_asks }
}

fn serve(matcher: &mut Matcher<Tape>, id: u32, request: &ModelRequest, lane: u32, turn: u32) {
    let decision = only(matcher.on_request(ask(id, request.clone())));
    assert!(
        matches!(decision, Decision::Serve { lane: l, turn: t, .. } if (l, t) == (lane, turn)),
        "{decision:?}"
    );
    matcher.delivered(ExchangeId(id));
}

fn live(matcher: &mut Matcher<Tape>, id: u32, request: &ModelRequest, answered: &ModelAnswer) -> (u32, u32) {
    match only(matcher.on_request(ask(id, request.clone()))) {
        Decision::Live { lane, turn, .. } => {
            matcher.answered_live(ExchangeId(id), answered);
            matcher.delivered(ExchangeId(id));
            (lane, turn)
        }
        other => panic!("not live: {other:?}"),
    }
}

#[test]
fn only_the_edited_lane_and_what_depends_on_it_goes_live() {
    let family = family();
    let keys: Vec<&str> = family.tape.outline.lanes.iter().map(|l| l.key.as_str()).collect();
    assert_eq!(keys, ["main", "main/0.0", "main/0.1"]);
    let mut matcher = family.tape.matcher(FORK());
    // The result of A's command is edited: A's second turn is another question.
    matcher.mark_dirty(1, 1);
    serve(&mut matcher, 1, &family.main[0], 0, 0);
    serve(&mut matcher, 2, &family.a[0], 1, 0);
    let new = answer(vec![text("Part A has failed.")]);
    assert_eq!(live(&mut matcher, 3, &family.a[1], &new), (1, 1));
    serve(&mut matcher, 4, &family.b[0], 2, 0);
    serve(&mut matcher, 5, &family.b[1], 2, 1);
    let mut changed = family.main[1].clone();
    changed.messages[2].blocks[0] = result("t1", "Part A has failed.");
    assert_eq!(live(&mut matcher, 6, &changed, &answer(vec![text("Half done.")])), (0, 1));
    assert_eq!(matcher.counters().live, 2);
    assert_eq!(matcher.unasked(), vec![]);
}

#[test]
fn a_live_lane_goes_on_beyond_the_recording() {
    let family = family();
    let mut matcher = family.tape.matcher(FORK());
    matcher.mark_dirty(1, 1);
    serve(&mut matcher, 1, &family.main[0], 0, 0);
    serve(&mut matcher, 2, &family.a[0], 1, 0);
    let again = answer(vec![text("Once more."), call("n1", "bash", json!({"cmd": "run A again"}))]);
    assert_eq!(live(&mut matcher, 3, &family.a[1], &again), (1, 1));
    let third = grown(&family.a[1], vec![says(&again), user(vec![result("n1", "ran")])]);
    assert_eq!(live(&mut matcher, 4, &third, &answer(vec![text("Now.")])), (1, 2));
}

#[test]
fn an_edit_of_a_first_turn_goes_live_at_once() {
    let family = family();
    let mut matcher = family.tape.matcher(FORK());
    matcher.mark_dirty(0, 0);
    let sends = answer(vec![call("n1", "task", json!({"prompt": "Work on part A."}))]);
    assert_eq!(live(&mut matcher, 1, &family.main[0], &sends), (0, 0));
    // A child whose request is the recorded one keeps its recorded answer; one that is new goes live as a new lane.
    serve(&mut matcher, 2, &family.a[0], 1, 0);
    let other = request(vec![user(vec![text("Work on part C.")])]);
    assert_eq!(live(&mut matcher, 3, &other, &answer(vec![text("C.")])), (3, 0));
}

#[test]
fn an_edited_answer_steers_and_nothing_recorded_follows() {
    let family = family();
    let mut matcher = family.tape.matcher(FORK());
    serve(&mut matcher, 1, &family.main[0], 0, 0);
    let decision = only(matcher.on_request(ask(2, family.a[0].clone())));
    assert!(matches!(decision, Decision::Serve { lane: 1, turn: 0, .. }));
    let edited = answer(vec![call("wA", "bash", json!({"cmd": "run A carefully"}))]);
    matcher.answered_live(ExchangeId(2), &edited);
    matcher.delivered(ExchangeId(2));
    let second = grown(&family.a[0], vec![says(&edited), user(vec![result("wA", "ran A")])]);
    assert_eq!(live(&mut matcher, 3, &second, &answer(vec![text("Done.")])), (1, 1));
}

#[test]
fn results_that_vary_are_pinned_in_what_goes_live() {
    let family = family();
    let mut matcher = family.tape.matcher(FORK());
    matcher.mark_dirty(1, 1);
    serve(&mut matcher, 1, &family.main[0], 0, 0);
    serve(&mut matcher, 2, &family.a[0], 1, 0);
    let varied = grown(&family.a[0], vec![says(&family.a_asks), user(vec![result("wA", "ran A in 3 s")])]);
    let Decision::Live { pins, .. } = only(matcher.on_request(ask(3, varied.clone()))) else { panic!() };
    assert_eq!((pins.len(), pins[0].message, pins[0].recorded.as_str()), (1, 2, "ran A"));
    let more = answer(vec![text("More."), call("n1", "bash", json!({"cmd": "x"}))]);
    matcher.answered_live(ExchangeId(3), &more);
    let fourth = grown(&varied, vec![says(&more), user(vec![result("n1", "y")])]);
    let Decision::Live { pins, .. } = only(matcher.on_request(ask(4, fourth))) else { panic!() };
    assert_eq!(pins.len(), 1, "the pin of an earlier turn is listed again");
}

#[test]
fn a_plain_replay_refuses_what_a_fork_would_ask() {
    let family = family();
    let mut matcher = family.tape.matcher(Options::default());
    serve(&mut matcher, 1, &family.main[0], 0, 0);
    let other = request(vec![user(vec![text("Work on part C.")])]);
    assert!(matches!(only(matcher.on_request(ask(2, other))), Decision::Miss { .. }));
    let mut changed = family.main[1].clone();
    changed.messages[2].blocks[0] = result("t1", "Part A has failed.");
    let Decision::Miss { miss, .. } = only(matcher.on_request(ask(3, changed))) else { panic!() };
    assert!(miss.reason.contains("never pinned"), "{miss:?}");
    assert_eq!(matcher.unasked().len(), 5);
}

#[test]
fn twins_of_different_parents_are_refused_when_nothing_tells_them_apart() {
    // Both parents have asked before either child begins; without a gate (it was given up) that is undecidable.
    let root = |name: &str| request(vec![user(vec![text(&format!("Area {name}."))])]);
    let sends = |id: &str| answer(vec![call(id, "task", json!({"prompt": "Count the files."}))]);
    let child = || request(vec![user(vec![text("Count the files.")])]);
    let joined = |name: &str, id: &str, said: &str| {
        grown(&root(name), vec![says(&sends(id)), user(vec![result(id, said)])])
    };
    let taped = |id: u32, started: u64, ended: u64, request: ModelRequest, answer: ModelAnswer| Taped {
        id,
        started,
        ended,
        path: "/v1/messages".into(),
        context: SpanContext::default(),
        request: Arc::new(request),
        answer: Arc::new(answer),
    };
    let tape = Tape::new(vec![
        taped(1, 10, 15, root("N"), sends("n")),
        taped(2, 20, 25, child(), answer(vec![text("There are seven.")])),
        taped(3, 30, 35, joined("N", "n", "There are seven."), answer(vec![text("N.")])),
        taped(4, 40, 45, root("S"), sends("s")),
        taped(5, 50, 55, child(), answer(vec![text("There are nine.")])),
        taped(6, 60, 65, joined("S", "s", "There are nine."), answer(vec![text("S.")])),
    ]);
    let mut matcher = tape.matcher(Options::default());
    serve(&mut matcher, 1, &root("N"), 0, 0);
    assert!(matcher.on_request(ask(2, root("S"))).is_empty(), "held until N's child has begun");
    assert!(matcher.holds());
    let released = only(matcher.idle());
    assert!(matches!(released, Decision::Serve { id: ExchangeId(2), lane: 2, .. }), "{released:?}");
    matcher.delivered(ExchangeId(2));
    let Decision::Miss { miss, .. } = only(matcher.on_request(ask(3, child()))) else { panic!() };
    assert!(miss.reason.contains("cannot be told apart"), "{miss:?}");
    assert_eq!(matcher.counters().gate_timeouts, 1);
}

#[test]
fn a_lane_whose_changed_turn_has_the_recorded_answer_goes_on_as_recorded() {
    let Family { tape, a, a_asks, main, .. } = family();
    let other = answer(vec![call("wA", "bash", json!({"cmd": "run A twice"}))]);
    for (answered, comes_back) in [(a_asks, true), (other, false)] {
        let mut matcher = tape.matcher(FORK());
        matcher.mark_alone(1, 0);
        serve(&mut matcher, 1, &main[0], 0, 0);
        assert_eq!(live(&mut matcher, 2, &a[0], &answered), (1, 0));
        let next = grown(&a[0], vec![says(&answered), user(vec![result("wA", "ran A")])]);
        if comes_back {
            serve(&mut matcher, 3, &next, 1, 1);
        } else {
            assert_eq!(live(&mut matcher, 3, &next, &answer(vec![text("Done.")])), (1, 1));
        }
    }
}

#[test]
fn a_lane_that_the_edit_does_not_reach_goes_live_by_drift_and_that_is_said() {
    let Family { tape, a, b, main, .. } = family();
    let mut matcher = tape.matcher(FORK());
    matcher.mark_dirty(1, 1);
    serve(&mut matcher, 1, &main[0], 0, 0);
    serve(&mut matcher, 2, &a[0], 1, 0);
    live(&mut matcher, 3, &a[1], &answer(vec![text("Part A has failed.")]));
    serve(&mut matcher, 4, &b[0], 2, 0);
    let mut other = b[1].clone();
    other.messages[0] = user(vec![text("Work on part B, please.")]);
    live(&mut matcher, 5, &other, &answer(vec![text("B?")]));
    let drifts = matcher.drifts();
    assert_eq!(drifts.len(), 1, "{drifts:?}");
    assert_eq!((drifts[0].lane.as_str(), drifts[0].path.as_str()), ("main/0.1", "messages[0].text"));
    // The parent's next turn has the results of both: what differs there follows from them.
    let mut changed = main[1].clone();
    changed.messages[2].blocks[0] = result("t1", "Part A has failed.");
    live(&mut matcher, 6, &changed, &answer(vec![text("Half done.")]));
    assert_eq!(matcher.drifts().len(), 1);
}
