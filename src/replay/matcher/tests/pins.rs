//! Results that differ: pinned, effects of the edit, stale, never pinned.

use super::tape::*;
use crate::dialect::conversation::{Block, Message, ModelAnswer, ModelRequest, Role};
use crate::exchange::ExchangeId;
use crate::replay::matcher::{Decision, MatchClass, Matcher, Options, Pin, Unpin, Unpinned};
use crate::replay::tools::{ToolClass, ToolClasses};
use crate::run::CallSite;
use serde_json::json;
use std::collections::HashSet;

/// What a lane did: the calls of each turn (tool, argument) and their results. The last turn just speaks.
type Turns<'a> = &'a [&'a [(&'a str, &'a str, &'a str)]];

fn asks(turn: usize, calls: &[(&str, &str, &str)], ids: fn(usize, usize) -> String) -> ModelAnswer {
    let calls = calls.iter().enumerate();
    let blocks = calls.map(|(n, (name, arg, _))| call(&ids(turn, n), name, json!({ "x": arg })));
    answer(std::iter::once(text(&format!("Turn {turn}."))).chain(blocks).collect())
}

fn results(turn: usize, calls: &[(&str, &str, &str)], ids: fn(usize, usize) -> String) -> Message {
    user(calls.iter().enumerate().map(|(n, (_, _, out))| result(&ids(turn, n), out)).collect())
}

fn unique(turn: usize, n: usize) -> String {
    format!("c{turn}.{n}")
}

/// The requests and answers of a lane.
fn conversation(turns: Turns<'_>, ids: fn(usize, usize) -> String) -> Vec<(ModelRequest, ModelAnswer)> {
    let mut messages = vec![user(vec![text("Go.")])];
    let mut out = Vec::new();
    for (turn, calls) in turns.iter().enumerate() {
        let said = asks(turn, calls, ids);
        out.push((request(messages.clone()), said.clone()));
        messages.extend([says(&said), results(turn, calls, ids)]);
    }
    out.push((request(messages), answer(vec![text("Done.")])));
    out
}

fn sites(calls: &[(u32, u32)]) -> Option<HashSet<CallSite>> {
    Some(calls.iter().map(|(turn, call)| CallSite { lane: 0, turn: *turn, call: *call }).collect())
}

fn fork(noise: &[(u32, u32)]) -> Options {
    Options { live_on_drift: true, noise: sites(noise), ..Options::default() }
}

/// Plays a lane that is live from its first turn on against a recording, and gives the pins of the last request and
/// what went as it is, by turn and call.
fn live(matcher: &mut Matcher<Tape>, turns: Turns<'_>) -> (Vec<Pin>, Vec<(u32, u32, Unpinned)>) {
    matcher.mark_dirty(0, 0);
    let mut pins = Vec::new();
    for (id, (request, said)) in (1..).zip(conversation(turns, unique)) {
        let Decision::Live { pins: all, .. } = only(matcher.on_request(ask(id, request))) else {
            panic!("not live")
        };
        pins = all;
        matcher.answered_live(ExchangeId(id), &said);
        matcher.delivered(ExchangeId(id));
    }
    let sent = matcher.sent_as_they_are().iter();
    (pins, sent.map(|s| (s.result.site.turn, s.result.site.call, s.why)).collect())
}

fn places(pins: &[Pin]) -> Vec<(u32, u32)> {
    pins.iter().map(|pin| (pin.site.turn, pin.site.call)).collect()
}

const RECORDED: Turns<'_> = &[
    &[("clock", "", "9:00"), ("quote", "", "recorded"), ("make", "", "id 1")],
    &[("clock", "", "9:01"), ("note", "a", "ok")],
    &[("clock", "", "9:02")],
];

#[test]
fn in_what_is_live_only_what_varies_by_itself_is_pinned() {
    let tape = Tape::in_sequence(conversation(RECORDED, unique));
    let noise = fork(&[(0, 0), (0, 2), (1, 0), (2, 0)]);
    let read = declared("quote", ToolClass::Read);
    let today: Turns<'_> = &[
        &[("clock", "", "10:00"), ("quote", "", "today"), ("make", "", "id 2")],
        &[("clock", "", "10:01"), ("note", "a", "ok")],
        &[("clock", "", "10:02")],
    ];
    let mut matcher = tape.matcher(Options { classes: read, ..noise.clone() });
    let (pins, sent) = live(&mut matcher, today);
    assert_eq!(places(&pins), [(0, 0), (0, 2), (1, 0), (2, 0)]);
    assert_eq!(pins[3].recorded, "9:02");
    assert_eq!(sent, [(0, 1, Unpinned::Effect)], "a read that the edit changed leaves the rest alone");
    // Of unknown class it may have written: what comes after it is stale.
    let (pins, sent) = live(&mut tape.matcher(noise), today);
    assert_eq!(places(&pins), [(0, 0)]);
    let stale = Unpinned::AfterWrite;
    assert_eq!(sent, [(0, 1, Unpinned::Effect), (0, 2, stale), (1, 0, stale), (2, 0, stale)]);
}

#[test]
fn unclassified_calls_that_are_as_recorded_change_nothing_and_others_do() {
    let tape = Tape::in_sequence(conversation(RECORDED, unique));
    let noise = fork(&[(0, 0), (0, 2), (1, 0), (2, 0)]);
    let first: &[(&str, &str, &str)] =
        &[("clock", "", "10:00"), ("quote", "", "recorded"), ("make", "", "id 1")];
    let last: &[(&str, &str, &str)] = &[("clock", "", "10:02")];
    let second = |calls: &[(&str, &str, &str)]| live(&mut tape.matcher(noise.clone()), &[first, calls, last]);
    assert_eq!(places(&second(&[("clock", "", "10:01"), ("note", "a", "ok")]).0), [(0, 0), (1, 0), (2, 0)]);
    let changed: [&[(&str, &str, &str)]; 4] = [
        &[("clock", "", "10:01"), ("note", "b", "ok")],
        &[("clock", "", "10:01"), ("note", "a", "failed")],
        &[("clock", "", "10:01")],
        &[("clock", "", "10:01"), ("note", "a", "ok"), ("other", "", "ok")],
    ];
    for calls in changed {
        let (pins, sent) = second(calls);
        assert_eq!(places(&pins), [(0, 0), (1, 0)], "{calls:?}");
        assert_eq!(sent.last(), Some(&(2, 0, Unpinned::AfterWrite)), "{calls:?}");
    }
    // In another order it is the same calls; what stands at another place has no counterpart.
    let (pins, _) = second(&[("note", "a", "ok"), ("clock", "", "10:01")]);
    assert_eq!(places(&pins), [(0, 0), (2, 0)]);
}

#[test]
fn a_write_that_returns_something_else_is_a_changed_one_even_if_it_varies_by_itself() {
    let recorded: Turns<'_> = &[&[("pay", "1", "receipt 1")], &[("clock", "", "9:01")]];
    let tape = Tape::in_sequence(conversation(recorded, unique));
    let today: Turns<'_> = &[&[("pay", "1", "receipt 2")], &[("clock", "", "10:01")]];
    for (write, stale) in [(true, true), (false, false)] {
        let classes = declared("pay", if write { ToolClass::Write } else { ToolClass::Read });
        let mut matcher = tape.matcher(Options { classes: classes.clone(), ..fork(&[(0, 0), (1, 0)]) });
        let (pins, sent) = live(&mut matcher, today);
        assert_eq!(places(&pins), if stale { vec![(0, 0)] } else { vec![(0, 0), (1, 0)] });
        assert_eq!(sent.len(), usize::from(stale));
        // A replay serves what was recorded, and says that it is stale.
        let mut matcher = tape.matcher(Options { classes, ..Options::default() });
        let served = replayed(&mut matcher, conversation(today, unique));
        let pay = CallSite { lane: 0, turn: 0, call: 0 };
        assert_eq!(served.iter().map(|pin| pin.stale).collect::<Vec<_>>(), [None, stale.then_some(pay)]);
    }
}

#[test]
fn in_a_fork_a_tool_of_unknown_class_may_have_written_unless_it_is_known_to_vary() {
    let recorded: Turns<'_> = &[&[("look", "", "ten apples")], &[("clock", "", "early")]];
    let today: Turns<'_> = &[&[("look", "", "two pears")], &[("clock", "", "late")]];
    let tape = Tape::in_sequence(conversation(recorded, unique));
    let all = [
        (None, true, true),
        (None, false, false),
        (sites(&[(1, 0)]), true, true),
        (sites(&[(0, 0)]), true, false),
    ];
    for (noise, live_on_drift, stale) in all {
        let mut matcher = tape.matcher(Options { noise, live_on_drift, ..Options::default() });
        let served = replayed(&mut matcher, conversation(today, unique));
        assert_eq!(served.iter().map(|pin| pin.stale.is_some()).collect::<Vec<_>>(), [false, stale]);
    }
    // Ids and clocks of a write tell of no other world.
    let recorded: Turns<'_> = &[&[("pay", "", r#"{"checked_at":1760000001.5}"#)], &[("clock", "", "early")]];
    let today: Turns<'_> = &[&[("pay", "", r#"{"checked_at":1760000007.5}"#)], &[("clock", "", "late")]];
    let tape = Tape::in_sequence(conversation(recorded, unique));
    let mut matcher =
        tape.matcher(Options { classes: declared("pay", ToolClass::Write), ..Options::default() });
    let served = replayed(&mut matcher, conversation(today, unique));
    assert!(served.iter().all(|pin| pin.stale.is_none()), "{served:?}");
}

#[test]
fn an_edited_write_makes_stale_what_follows_and_an_edited_look_does_not() {
    let recorded: Turns<'_> = &[&[("pay", "", "paid")], &[("clock", "", "early")]];
    let today: Turns<'_> = &[&[("pay", "", "paid")], &[("clock", "", "late")]];
    let tape = Tape::in_sequence(conversation(recorded, unique));
    let pay = CallSite { lane: 0, turn: 0, call: 0 };
    for (class, stale) in [(ToolClass::Write, true), (ToolClass::Unclassified, false)] {
        let mut matcher = tape.matcher(Options { classes: declared("pay", class), ..fork(&[(1, 0)]) });
        matcher.mark_result(pay);
        let (pins, sent) = live(&mut matcher, today);
        assert_eq!(places(&pins), if stale { vec![] } else { vec![(1, 0)] });
        assert_eq!(matcher.sent_as_they_are().first().and_then(|s| s.result.stale), stale.then_some(pay));
        assert_eq!(sent.len(), usize::from(stale));
    }
}

#[test]
fn a_recorded_result_goes_live_with_the_names_of_today() {
    let (then, now) = ("5f1c2a9e-0b1d-4c57-9a63-d2f0a1b3c4e5", "c0ffee12-7d3a-4e21-8b90-1a2b3c4d5e6f");
    let [made, made_now] = [then, now].map(|id| format!(r#"{{"order":"{id}"}}"#));
    let status = |id: &str, mood: &str| format!(r#"{{"order":"{id}","mood":"{mood}"}}"#);
    let [was, is] = [status(then, "calm"), status(now, "hectic")];
    let recorded: Turns<'_> = &[&[("make", "", &made)], &[("status", "", &was)]];
    let today: Turns<'_> = &[&[("make", "", &made_now)], &[("status", "", &is)]];
    let tape = Tape::in_sequence(conversation(recorded, unique));
    // From which turn on the model is asked: the id is met in the replayed part, or in the live one.
    for first in [2, 0] {
        let mut matcher = tape.matcher(fork(&[(1, 0)]));
        matcher.mark_dirty(0, first);
        let mut last = Vec::new();
        for (id, (request, said)) in (1..).zip(conversation(today, unique)) {
            let decision = only(matcher.on_request(ask(id, request)));
            match decision {
                Decision::Live { pins, .. } => {
                    last = pins;
                    matcher.answered_live(ExchangeId(id), &said);
                }
                Decision::Serve { .. } if id <= first => {}
                other => panic!("{other:?}"),
            }
            if id < 3 {
                matcher.delivered(ExchangeId(id));
            }
        }
        let pin = last.iter().find(|pin| !pin.renamed).expect("a pin");
        assert_eq!((pin.site.turn, pin.recorded.as_str()), (1, was.as_str()));
        assert_eq!(matcher.in_todays_words(ExchangeId(3), &pin.recorded), status(now, "calm"));
        // The id itself goes as it is: it is bound.
        assert!(last.iter().all(|pin| pin.renamed || pin.site.turn == 1), "{last:?}");
    }
}

fn declared(tool: &str, class: ToolClass) -> ToolClasses {
    let mut classes = ToolClasses::default();
    assert!(classes.declare(tool, class));
    classes
}

/// All pins of a replay; panics when a request is not answered.
fn replayed(matcher: &mut Matcher<Tape>, conversation: Vec<(ModelRequest, ModelAnswer)>) -> Vec<Pin> {
    let mut all = Vec::new();
    for (id, (request, _)) in (1..).zip(conversation) {
        let decision = only(matcher.on_request(ask(id, request)));
        let Decision::Serve { pins, class, .. } = decision else { panic!("{decision:?}") };
        assert_eq!(class == MatchClass::Exact, all.is_empty() && pins.is_empty());
        all.extend(pins);
        matcher.delivered(ExchangeId(id));
    }
    all
}

#[test]
fn unpinned_results_are_drift_in_a_replay_and_go_as_they_are_in_a_fork() {
    let recorded: Turns<'_> = &[&[("clock", "", "9:00"), ("make", "", "id 1")]];
    let tape = Tape::in_sequence(conversation(recorded, unique));
    let today: Turns<'_> = &[&[("clock", "", "10:00"), ("make", "", "id 2")]];
    for unpin in [Unpin::Everything, Unpin::Tools(["make".to_string()].into())] {
        let all = unpin == Unpin::Everything;
        let mut matcher = tape.matcher(Options { unpin: unpin.clone(), ..Options::default() });
        let requests = conversation(today, unique);
        matcher.on_request(ask(1, requests[0].0.clone()));
        matcher.delivered(ExchangeId(1));
        let Decision::Miss { miss, .. } = only(matcher.on_request(ask(2, requests[1].0.clone()))) else {
            panic!("served")
        };
        assert!(format!("{miss:?}").contains("--unpin"), "{miss:?}");
        let (pins, sent) = live(&mut tape.matcher(Options { unpin, ..fork(&[(0, 0), (0, 1)]) }), today);
        assert_eq!(places(&pins), if all { vec![] } else { vec![(0, 0)] });
        assert!(
            sent.iter().all(|(.., why)| *why == Unpinned::Unwanted) && sent.len() == 1 + usize::from(all)
        );
    }
}

#[test]
fn results_pair_by_place_whatever_their_ids_and_their_order() {
    fn same(_: usize, _: usize) -> String {
        "call_1".into()
    }
    fn two(_: usize, n: usize) -> String {
        format!("call_{}", n / 2)
    }
    let recorded: Turns<'_> = &[
        &[("a", "1", "A"), ("b", "2", "B"), ("c", "3", "C")],
        &[("a", "1", "A again"), ("b", "2", "B again"), ("c", "3", "C again")],
    ];
    let today: Turns<'_> = &[
        &[("a", "1", "A"), ("b", "2", "B today"), ("c", "3", "C")],
        &[("a", "1", "A again"), ("b", "2", "B again"), ("c", "3", "C today")],
    ];
    for ids in [unique, same, two] {
        let tape = Tape::in_sequence(conversation(recorded, ids));
        for reordered in [false, true] {
            let mut requests = conversation(today, ids);
            if reordered && ids(0, 0) != ids(0, 1) {
                // In the order of completion: C first.
                requests
                    .iter_mut()
                    .flat_map(|(r, _)| &mut r.messages)
                    .filter(|m| m.role == Role::User)
                    .for_each(|message| {
                        let is_last =
                            |b: &Block| matches!(b, Block::ToolResult { text, .. } if text.starts_with('C'));
                        message.blocks.sort_by_key(|b| !is_last(b));
                    });
            }
            let pins = replayed(&mut tape.matcher(Options::default()), requests);
            assert_eq!(places(&pins), [(0, 1), (1, 2)], "{} {reordered}", ids(0, 1));
            assert_eq!((pins[0].live.as_str(), pins[1].recorded.as_str()), ("B today", "C again"));
        }
    }
}

/// What a worker has found so far, as its next request.
fn worker(n: usize, found: &[&str]) -> ModelRequest {
    let mut messages = vec![user(vec![text("Look into your tree.")])];
    for (turn, found) in found.iter().enumerate() {
        messages.extend([says(&look(n, turn)), user(vec![result(&format!("w{n}.{turn}"), found)])]);
    }
    request(messages)
}

fn look(n: usize, turn: usize) -> ModelAnswer {
    answer(vec![call(&format!("w{n}.{turn}"), "look", json!({ "turn": turn }))])
}

/// Two identical workers that look each into a tree of their own, twice, and the agent that sent them.
fn twins() -> (Tape, ModelRequest) {
    let main = request(vec![user(vec![text("Send two.")])]);
    let task = |id: &str| call(id, "task", json!({"prompt": "Look into your tree."}));
    let mut calls = vec![(main.clone(), answer(vec![task("t0"), task("t1")]))];
    for (n, [tree, again]) in [["oak", "oak again"], ["elm", "elm again"]].into_iter().enumerate() {
        calls.push((worker(n, &[]), look(n, 0)));
        calls.push((worker(n, &[tree]), look(n, 1)));
        calls.push((worker(n, &[tree, again]), answer(vec![text(&format!("It is an {tree}."))])));
    }
    (Tape::in_sequence(calls), main)
}

#[test]
fn the_value_of_a_twin_is_never_pinned() {
    let (tape, main) = twins();
    assert_eq!(tape.outline.lanes.len(), 3);
    let settled = |options: Options| {
        let mut matcher = tape.matcher(options);
        for (id, request) in (1..).zip([main.clone(), worker(0, &[]), worker(0, &["oak"])]) {
            let decision = only(matcher.on_request(ask(id, request)));
            assert!(matches!(decision, Decision::Serve { .. }), "{decision:?}");
            matcher.delivered(ExchangeId(id));
        }
        matcher
    };
    let third = |matcher: &mut Matcher<Tape>, found: &str| {
        only(matcher.on_request(ask(4, worker(0, &["oak", found]))))
    };
    match third(&mut settled(Options::default()), "oak after 3 s") {
        Decision::Serve { lane: 1, turn: 2, pins, .. } => assert_eq!(pins.len(), 1),
        other => panic!("{other:?}"),
    }
    match third(&mut settled(Options::default()), "elm again") {
        Decision::Miss { miss, .. } => assert!(format!("{miss:?}").contains("identical lane"), "{miss:?}"),
        other => panic!("{other:?}"),
    }
    for (found, pinned) in [("oak after 3 s", 1), ("elm again", 0)] {
        let mut matcher = settled(Options { live_on_drift: true, ..Options::default() });
        matcher.mark_dirty(1, 2);
        let Decision::Live { pins, .. } = third(&mut matcher, found) else { panic!("served") };
        assert_eq!(pins.len(), pinned, "{found}");
        assert!(matcher.sent_as_they_are().iter().all(|s| s.why == Unpinned::Swapped));
    }
}

#[test]
fn the_answer_of_a_sub_agent_is_no_result_to_pin() {
    let task = |id: &str| answer(vec![call(id, "task", json!({"prompt": "Work on the part."}))]);
    let first = request(vec![user(vec![text("Send one.")])]);
    let second = |found: &str| {
        let mut messages = first.messages.clone();
        messages.extend([says(&task("t")), user(vec![result("t", found)])]);
        request(messages)
    };
    let tape = Tape::in_sequence(vec![
        (first.clone(), task("t")),
        (request(vec![user(vec![text("Work on the part.")])]), answer(vec![text("Worked.")])),
        (second("Worked."), answer(vec![text("Done.")])),
    ]);
    assert!(tape.outline.lanes.iter().any(|lane| lane.parent.is_some()));
    let mut matcher = tape.matcher(Options { live_on_drift: true, ..Options::default() });
    matcher.mark_dirty(0, 1);
    only(matcher.on_request(ask(1, first.clone())));
    matcher.delivered(ExchangeId(1));
    let Decision::Live { pins, .. } = only(matcher.on_request(ask(2, second("Worked otherwise.")))) else {
        panic!("served")
    };
    assert!(pins.is_empty());
    assert_eq!(matcher.sent_as_they_are()[0].why, Unpinned::Lane);
}

#[test]
fn a_failed_live_attempt_says_nothing_of_calls() {
    let tape = Tape::in_sequence(conversation(RECORDED, unique));
    let mut matcher = tape.matcher(fork(&[(0, 0)]));
    matcher.mark_dirty(0, 0);
    let requests = conversation(RECORDED, unique);
    only(matcher.on_request(ask(1, requests[0].0.clone())));
    matcher.answered_live(ExchangeId(1), &failure());
    only(matcher.on_request(ask(2, requests[0].0.clone())));
    matcher.answered_live(ExchangeId(2), &requests[0].1);
    matcher.delivered(ExchangeId(2));
    let mut today = requests[1].0.clone();
    today.messages[2].blocks[0] = result("c0.0", "10:00");
    let Decision::Live { pins, .. } = only(matcher.on_request(ask(3, today))) else { panic!("served") };
    assert_eq!(places(&pins), [(0, 0)]);
}

#[test]
fn equal_calls_that_changed_places_are_no_effect() {
    let recorded: Turns<'_> = &[
        &[("roll", "6", "two"), ("roll", "6", "five"), ("roll", "8", "one"), ("roll", "6", "six")],
        &[("quote", "", "recorded")],
    ];
    let tape = Tape::in_sequence(conversation(recorded, unique));
    let today: Turns<'_> = &[
        &[("roll", "6", "five"), ("roll", "6", "two"), ("roll", "8", "five"), ("roll", "6", "nine")],
        &[("quote", "", "recorded")],
    ];
    let mut matcher = tape.matcher(fork(&[]));
    let (pins, sent) = live(&mut matcher, today);
    assert_eq!(places(&pins), [(0, 0), (0, 1)], "the recorded ones stand in their places");
    assert!(pins.iter().all(|pin| pin.swapped && pin.stale.is_none()));
    assert_eq!(matcher.counters().swapped, 2);
    let effects = [(0, 2, Unpinned::Effect), (0, 3, Unpinned::Effect)];
    assert_eq!(sent, effects, "another call, and a result that nothing else had");
    let unpin = Options { unpin: Unpin::Everything, ..fork(&[]) };
    let (pins, _) = live(&mut tape.matcher(unpin), today);
    assert!(pins.is_empty(), "not those that are not to be pinned");
}
