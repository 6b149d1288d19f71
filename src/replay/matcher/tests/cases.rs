//! Single behaviours of the matcher.

use super::tape::*;
use crate::dialect::conversation::{Block, ModelAnswer, ModelRequest};
use crate::exchange::ExchangeId;
use crate::holes::{Hole, HoleKind, Rules, Side, Surroundings, Within};
use crate::replay::matcher::{Decision, MatchClass, Matcher, Miss, Options};
use serde_json::json;
use std::collections::HashSet;

/// Two turns: a command, its result.
fn listing() -> (Vec<(ModelRequest, ModelAnswer)>, ModelAnswer) {
    let first = request(vec![user(vec![text("List the files.")])]);
    let asks = answer(vec![text("Looking."), call("c1", "bash", json!({"cmd": "ls"}))]);
    let second = request(vec![
        user(vec![text("List the files.")]),
        says(&asks),
        user(vec![result("c1", "a.txt at 10:01")]),
    ]);
    (vec![(first, asks.clone()), (second, answer(vec![text("One file.")]))], asks)
}

fn with_result(asks: &ModelAnswer, text_of_result: &str) -> ModelRequest {
    request(vec![user(vec![text("List the files.")]), says(asks), user(vec![result("c1", text_of_result)])])
}

fn refused(decisions: Vec<Decision>) -> Miss {
    match only(decisions) {
        Decision::Miss { miss, .. } => *miss,
        other => panic!("not refused: {other:?}"),
    }
}

fn begin(matcher: &mut Matcher<Tape>, request: ModelRequest) {
    assert!(matches!(only(matcher.on_request(ask(1, request))), Decision::Serve { turn: 0, .. }));
    matcher.delivered(ExchangeId(1));
}

#[test]
fn a_result_that_varies_is_pinned_once_and_carried_along() {
    let (mut calls, asks) = listing();
    let more = answer(vec![text("More."), call("c2", "bash", json!({"cmd": "pwd"}))]);
    calls[1].1 = more.clone();
    let third = |listing: &str| {
        let mut request = with_result(&asks, listing);
        request.messages.extend([says(&more), user(vec![result("c2", "/src")])]);
        request.spans = request.messages.iter().map(|_| 0..0).collect();
        request
    };
    calls.push((third("a.txt at 10:01"), answer(vec![text("Done.")])));
    let mut matcher = Tape::in_sequence(calls).matcher(Options::default());
    begin(&mut matcher, request(vec![user(vec![text("List the files.")])]));
    let Decision::Serve { turn: 1, class: MatchClass::Pinned, pins, .. } =
        only(matcher.on_request(ask(2, with_result(&asks, "a.txt at 11:59"))))
    else {
        panic!("not pinned")
    };
    assert_eq!(pins.len(), 1);
    assert_eq!((pins[0].tool.as_str(), pins[0].message, pins[0].block), ("bash", 2, 0));
    assert_eq!((pins[0].recorded.as_str(), pins[0].live.as_str()), ("a.txt at 10:01", "a.txt at 11:59"));
    matcher.delivered(ExchangeId(2));
    let decision = only(matcher.on_request(ask(3, third("a.txt at 11:59"))));
    assert!(
        matches!(&decision, Decision::Serve { turn: 2, class: MatchClass::Pinned, pins, .. } if pins.is_empty()),
        "{decision:?}"
    );
    assert_eq!(matcher.counters().pins, 1);
    assert_eq!(matcher.unasked(), vec![]);
}

#[test]
fn a_pin_may_not_change_again_in_later_turns() {
    let (mut calls, asks) = listing();
    let more = answer(vec![text("More."), call("c2", "bash", json!({"cmd": "pwd"}))]);
    calls[1].1 = more.clone();
    let third = |listing: &str| {
        let mut request = with_result(&asks, listing);
        request.messages.extend([says(&more), user(vec![result("c2", "/src")])]);
        request
    };
    calls.push((third("a.txt at 10:01"), answer(vec![text("Done.")])));
    let mut matcher = Tape::in_sequence(calls).matcher(Options::default());
    begin(&mut matcher, request(vec![user(vec![text("List the files.")])]));
    matcher.on_request(ask(2, with_result(&asks, "a.txt at 10:01")));
    matcher.delivered(ExchangeId(2));
    let miss = refused(matcher.on_request(ask(3, third("another history"))));
    assert_eq!(miss.nearest[0].path, "messages[2].result");
}

#[test]
fn the_same_request_gets_its_answers_in_order_and_no_third() {
    let question = || request(vec![user(vec![text("Vote.")])]);
    let calls = ["yes", "no"].map(|a| (question(), answer(vec![text(a)])));
    let tape = Tape::in_sequence(calls.to_vec());
    let mut matcher = tape.matcher(Options::default());
    for (id, lane) in [(1, 0), (2, 1)] {
        let decision = only(matcher.on_request(ask(id, question())));
        assert!(matches!(decision, Decision::Serve { lane: l, turn: 0, .. } if l == lane), "{decision:?}");
        matcher.delivered(ExchangeId(id));
    }
    let miss = refused(matcher.on_request(ask(3, question())));
    assert!(miss.reason.contains("2 times"), "{miss:?}");
}

#[test]
fn every_field_is_compared_and_named() {
    let base = || request(vec![user(vec![text("The refund is $49.99.")])]);
    let tape = Tape::in_sequence(vec![(base(), answer(vec![text("ok")]))]);
    type Change = fn(&mut ModelRequest);
    let changes: [(&str, Change); 7] = [
        ("messages[0].text", |r| r.messages[0].blocks = vec![text("The refund is $4,999.")]),
        ("system", |r| r.system = vec![text("You work slowly.")]),
        ("model", |r| r.model = "n".into()),
        ("stream", |r| r.stream = true),
        ("tools[0].description", |r| r.tools = vec![json!({"name": "bash", "description": "Runs."})]),
        ("params.temperature", |r| {
            r.params.insert("temperature".into(), json!(0));
        }),
        ("messages[0].role", |r| r.messages[0].role = crate::dialect::conversation::Role::System),
    ];
    for (path, change) in changes {
        let mut asked = base();
        change(&mut asked);
        let miss = refused(tape.matcher(Options::default()).on_request(ask(1, asked)));
        assert_eq!(miss.nearest[0].path, path, "{miss:?}");
    }
    let mut elsewhere = ask(1, base());
    elsewhere.path = "/v1/other".into();
    let miss = refused(tape.matcher(Options::default()).on_request(elsewhere));
    assert_eq!(miss.nearest[0].path, "path");
}

#[test]
fn a_difference_far_into_a_text_is_shown() {
    let long = "x".repeat(5_000);
    let one = |end: &str| request(vec![user(vec![text(&format!("{long}{end}"))])]);
    let tape = Tape::in_sequence(vec![(one("49.99"), answer(vec![text("ok")]))]);
    let miss = refused(tape.matcher(Options::default()).on_request(ask(1, one("4999"))));
    assert!(miss.nearest[0].recorded.ends_with("49.99"), "{miss:?}");
    assert!(miss.nearest[0].live.ends_with("4999"));
    assert!(miss.nearest[0].live.chars().count() < 100);
}

#[test]
fn a_rewritten_history_is_drift() {
    let (calls, asks) = listing();
    let mut matcher = Tape::in_sequence(calls).matcher(Options::default());
    begin(&mut matcher, request(vec![user(vec![text("List the files.")])]));
    let mut asked = with_result(&asks, "a.txt at 10:01");
    asked.messages[0] = user(vec![text("List no files.")]);
    let miss = refused(matcher.on_request(ask(2, asked)));
    assert_eq!(miss.nearest[0].path, "messages[0].text");
    assert_eq!((miss.nearest[0].lane.as_str(), miss.nearest[0].step), ("main", Some(3)));
}

#[test]
fn an_agent_that_goes_on_where_the_recording_ends_is_told_so() {
    let (mut calls, asks) = listing();
    calls.truncate(1);
    let mut matcher = Tape::in_sequence(calls).matcher(Options::default());
    begin(&mut matcher, request(vec![user(vec![text("List the files.")])]));
    let miss = refused(matcher.on_request(ask(2, with_result(&asks, "a.txt"))));
    assert!(miss.reason.contains("the recorded agent was finished here; yours asked again"), "{miss:?}");
    assert!(miss.nearest.is_empty(), "it is said once: {miss:?}");
    assert!(miss.hints.iter().any(|h| h.contains("fork RUN --at 2")), "{miss:?}");
}

#[test]
fn an_undelivered_answer_is_served_again_to_a_declared_retry() {
    let (calls, _) = listing();
    let first = calls[0].0.clone();
    let mut matcher = Tape::in_sequence(calls).matcher(Options::default());
    matcher.on_request(ask(1, first.clone()));
    let mut again = ask(2, first);
    again.context.retry_count = 1;
    let decision = only(matcher.on_request(again));
    assert!(matches!(decision, Decision::Serve { lane: 0, turn: 0, .. }), "{decision:?}");
    assert_eq!(matcher.counters().repeats, 1);
}

#[test]
fn clients_that_do_not_number_retries_get_the_next_attempt() {
    let first = request(vec![user(vec![text("Go.")])]);
    let tape = Tape::in_sequence(vec![
        (first.clone(), failure()),
        (first.clone(), failure()),
        (first.clone(), answer(vec![text("ok")])),
    ]);
    assert_eq!(tape.outline.lanes.len(), 1);
    let mut matcher = tape.matcher(Options::default());
    for (id, expected) in [(1, 0), (2, 1), (3, 2)] {
        let decision = only(matcher.on_request(ask(id, first.clone())));
        assert!(matches!(decision, Decision::Serve { attempt, .. } if attempt == expected), "{decision:?}");
        matcher.delivered(ExchangeId(id));
    }
}

#[test]
fn stand_ins_match_any_text_of_their_length_one_to_one() {
    let told = |a: &str, b: &str| request(vec![user(vec![text(&format!("key {a} and {b}, again {a}"))])]);
    let (x, y) = ("sk-AAAAAAAA", "sk-BBBBBBBB");
    let options = || Options { secrets: HashSet::from([x.to_string(), y.to_string()]), ..Options::default() };
    let tape = Tape::in_sequence(vec![(told(x, y), answer(vec![text("ok")]))]);
    let mut matcher = tape.matcher(options());
    let decision = only(matcher.on_request(ask(1, told("sk-today123", "sk-other456"))));
    assert!(matches!(decision, Decision::Serve { class: MatchClass::Renamed, .. }), "{decision:?}");
    assert_eq!(matcher.secrets().get(x).map(String::as_str), Some("sk-today123"));
    for (a, b) in [("sk-today123", "sk-today123"), ("sk-longer1234", "sk-other456")] {
        refused(tape.matcher(options()).on_request(ask(1, told(a, b))));
    }
    refused(tape.matcher(Options::default()).on_request(ask(1, told("sk-today123", "sk-other456"))));
}

#[test]
fn a_revealed_stand_in_does_not_lose_the_lane() {
    let (stand_in, secret) = ("sk-AAAAAAAA", "sk-today123");
    let first = |key: &str| request(vec![user(vec![text(&format!("Use {key}."))])]);
    let reply =
        |key: &str| answer(vec![text(&format!("Using {key}.")), call("c1", "bash", json!({"cmd": key}))]);
    let second = |key: &str| {
        request(vec![
            user(vec![text(&format!("Use {key}."))]),
            says(&reply(key)),
            user(vec![result("c1", "done")]),
        ])
    };
    let tape = Tape::in_sequence(vec![
        (first(stand_in), reply(stand_in)),
        (second(stand_in), answer(vec![text("ok")])),
    ]);
    let mut matcher =
        tape.matcher(Options { secrets: HashSet::from([stand_in.to_string()]), ..Options::default() });
    matcher.on_request(ask(1, first(secret)));
    matcher.served_as(ExchangeId(1), &reply(secret));
    matcher.delivered(ExchangeId(1));
    let decision = only(matcher.on_request(ask(2, second(secret))));
    assert!(matches!(decision, Decision::Serve { turn: 1, class: MatchClass::Renamed, .. }), "{decision:?}");
}

#[test]
fn a_lane_name_tells_twins_apart() {
    let question = || request(vec![user(vec![text("Vote.")])]);
    let mut calls: Vec<Taped> =
        Tape::in_sequence(["left", "right"].map(|a| (question(), answer(vec![text(a)]))).to_vec())
            .calls
            .into_values()
            .collect();
    calls.sort_by_key(|c| c.id);
    calls.iter_mut().zip(["left", "right"]).for_each(|(c, name)| c.context.lane = Some(name.into()));
    let tape = Tape::new(calls);
    assert_eq!(tape.outline.lanes[1].key, "right");
    let mut matcher = tape.matcher(Options::default());
    let mut named = ask(1, question());
    named.context.lane = Some("right".into());
    assert!(matches!(only(matcher.on_request(named)), Decision::Serve { lane: 1, .. }));
}

#[test]
fn branches_of_one_history_are_found_by_content() {
    // Two requests go on from one answer; the second is a lane of its own. They may come in any order.
    let (mut calls, asks) = listing();
    calls.push((with_result(&asks, "another branch"), answer(vec![text("Other.")])));
    let tape = Tape::in_sequence(calls);
    assert_eq!(tape.outline.lanes.len(), 2);
    let mut matcher = tape.matcher(Options::default());
    begin(&mut matcher, request(vec![user(vec![text("List the files.")])]));
    let decision = only(matcher.on_request(ask(2, with_result(&asks, "another branch"))));
    assert!(
        matches!(decision, Decision::Serve { lane: 1, turn: 0, class: MatchClass::Exact, .. }),
        "{decision:?}"
    );
    let decision = only(matcher.on_request(ask(3, with_result(&asks, "a.txt at 10:01"))));
    assert!(
        matches!(decision, Decision::Serve { lane: 0, turn: 1, class: MatchClass::Exact, .. }),
        "{decision:?}"
    );
}

#[test]
fn reasoning_and_white_space_of_an_echo_do_not_count() {
    let (calls, asks) = listing();
    let mut matcher = Tape::in_sequence(calls).matcher(Options::default());
    begin(&mut matcher, request(vec![user(vec![text("List the files.")])]));
    let mut echo = says(&asks);
    echo.blocks[0] = text("Looking.\n");
    echo.blocks.insert(0, Block::Reasoning { text: "hm".into(), signed: true });
    let mut asked = with_result(&asks, "a.txt at 10:01");
    asked.messages[1] = echo;
    assert!(matches!(only(matcher.on_request(ask(2, asked))), Decision::Serve { turn: 1, .. }));
}

#[test]
fn twins_that_differ_in_a_declared_hole_may_be_quoted_in_another_order() {
    let asked =
        |ticket: u32| request(vec![user(vec![text(&format!("Look. This is about ticket {ticket}."))])]);
    let begun = answer(vec![call("t", "both", json!({}))]);
    let end = |first: &str, second: &str| {
        let said = format!("[\"{first}\", \"{second}\"]");
        request(vec![user(vec![text("Go.")]), says(&begun), user(vec![result("t", &said)])])
    };
    let (one, two) = ("The first of them found 17 things", "The second of them found nothing at all");
    let calls = vec![
        (request(vec![user(vec![text("Go.")])]), begun.clone()),
        (asked(1111), answer(vec![text(one)])),
        (asked(2222), answer(vec![text(two)])),
        (end(one, two), answer(vec![text("Done.")])),
    ];
    let tape = Tape::in_sequence(calls);
    let rule = Hole::new(Within::default(), r"about ticket (\d+)", HoleKind::Any).unwrap();
    let rules = Rules::new(Vec::new(), vec![rule]);
    let mut matcher = tape.matcher(Options { rules, ..Options::default() });
    for (id, request) in [(1, request(vec![user(vec![text("Go.")])])), (2, asked(3333)), (3, asked(4444))] {
        let decisions = matcher.on_request(ask(id, request));
        assert!(matches!(decisions.first(), Some(Decision::Serve { .. })), "{decisions:?}");
        matcher.delivered(ExchangeId(id));
    }
    let decisions = matcher.on_request(ask(4, end(two, one)));
    let Some(Decision::Serve { class, .. }) = decisions.first() else { panic!("{decisions:?}") };
    assert_eq!(*class, MatchClass::Reordered);
}

#[test]
fn temporary_names_bind_though_one_of_them_looks_like_a_word() {
    let side = || Side { temp: "/tmp".into(), ..Side::default() };
    let asked = |path: &str| request(vec![user(vec![text(&format!("Write to {path}/log.txt."))])]);
    let placed = |recorded: &str, live: &str| {
        let tape = Tape::in_sequence(vec![(asked(recorded), answer(vec![text("Done.")]))]);
        let surroundings = Some(Surroundings { recorded: side(), live: side() });
        let mut matcher = tape.matcher(Options { surroundings, ..Options::default() });
        matches!(only(matcher.on_request(ask(1, asked(live)))), Decision::Serve { .. })
    };
    for (recorded, live, same) in [
        ("/tmp/agent-zelg2ody", "/tmp/agent-kv_tpbzx", true),
        ("/tmp/agent-qrfkhnrn", "/tmp/agent-4_qj77_9", true),
        ("/tmp/agent-settings", "/tmp/agent-profiles", false),
        ("/tmp/agent-settings", "/tmp/agent-settings", true),
        ("/srv/agent-zelg2ody", "/srv/agent-4_qj77_9", false),
    ] {
        assert_eq!(placed(recorded, live), same, "{recorded} {live}");
    }
}

/// A client that puts a text of its own beside calls, or leaves theirs out: the conversation goes on, and what it added
/// has to be what it added when it was recorded.
#[test]
fn an_echo_with_a_text_of_the_clients_own_goes_on_with_its_conversation() {
    let calls = |text_of_answer: &[&str]| {
        let said = text_of_answer.iter().map(|t| text(t));
        answer(said.chain([call("c1", "bash", json!({"cmd": "ls"}))]).collect())
    };
    for (given, sent, other) in
        [(&[][..], &["[none]"][..], &["[nothing]"][..]), (&["Looking."], &[], &["Hm."])]
    {
        let first = request(vec![user(vec![text("List the files.")])]);
        let recorded = vec![
            (first.clone(), calls(given)),
            (with_result(&calls(sent), "a.txt at 10:01"), answer(vec![text("One file.")])),
        ];
        let tape = Tape::in_sequence(recorded);
        assert_eq!(tape.outline.lanes.len(), 1, "{given:?} sent as {sent:?}");
        assert!(tape.outline.lanes[0].turns[0].calls[0].result.is_some());
        let mut matcher = tape.matcher(Options::default());
        begin(&mut matcher, first.clone());
        let decision = only(matcher.on_request(ask(2, with_result(&calls(sent), "a.txt at 11:59"))));
        assert!(
            matches!(decision, Decision::Serve { turn: 1, class: MatchClass::Pinned, .. }),
            "{given:?} sent as {sent:?}: {decision:?}"
        );
        let mut matcher = tape.matcher(Options::default());
        begin(&mut matcher, first);
        refused(matcher.on_request(ask(2, with_result(&calls(other), "a.txt at 10:01"))));
    }
}
