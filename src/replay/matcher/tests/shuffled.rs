//! One schedule recorded, the unmodified agent replayed under others.

use super::agent::{Outcome, run};
use super::answerers::{GroundTruth, Matched, Recorded, UNRECORDED, record};
use super::maker::program;
use super::program::{Menu, Program, QUOTA};
use super::values::Values;
use super::verdict::{Verdict, verdict};
use proptest::prelude::*;
use std::collections::HashMap;

pub const PLAIN: Menu = Menu::PLAIN;

/// The values of a replay: its run is a day later than the recorded one.
pub fn today(schedule: u64) -> Values {
    Values::new(schedule, 1)
}

pub fn replay(program: &Program, recorded: &Recorded, schedule: u64) -> (Outcome, Matched<'static>) {
    let mut values = today(schedule);
    let mut matched = Matched::new(recorded, &values.side.clone());
    let outcome = run(program, schedule, false, &mut values, &mut matched);
    (outcome, matched)
}

/// Whether the recording holds all that the agent asks under a schedule. What is served by ground truth is right: else
/// the generator or the judge is broken.
pub fn is_recorded(program: &Program, recorded: &Recorded, schedule: u64) -> bool {
    let mut truth = GroundTruth::new(program, recorded);
    let outcome = run(program, schedule, false, &mut today(schedule), &mut truth);
    match verdict(program, recorded, &outcome) {
        Verdict::Right => true,
        Verdict::Stopped(why) if why == UNRECORDED => false,
        other => panic!("served by ground truth: {other:?}"),
    }
}

/// Everything that can be decided must be right, with nothing pinned that holes explain; nothing may be silently wrong.
pub fn check(menu: Menu, seed: u64, recorded_under: u64, replayed_under: u64) {
    let program = program(seed, menu);
    let recorded = record(&program, recorded_under);
    let decidable = !program.undecidable && is_recorded(&program, &recorded, replayed_under);
    let (outcome, matched) = replay(&program, &recorded, replayed_under);
    let keys = || recorded.tape.outline.lanes.iter().map(|l| l.key.as_str()).collect::<Vec<_>>().join(" ");
    match verdict(&program, &recorded, &outcome) {
        Verdict::Wrong(why) => panic!("silently wrong: {why}\n{}", keys()),
        Verdict::Stopped(why) => assert!(!decidable, "{why}\n{}", keys()),
        Verdict::Right | Verdict::Exchanged => {
            let counters = matched.matcher.counters();
            assert_eq!(counters.missed + counters.live, 0);
            assert!(menu.flaky || counters.pins == 0, "{counters:?}");
            let outline = &recorded.tape.outline;
            let path_of = |(lane, turn): (u32, u32)| {
                let attempt = outline.turn(lane, turn).and_then(|t| t.attempts.last()).unwrap();
                &recorded.truth[&attempt.0].0
            };
            let missing = matched.matcher.unasked().into_iter().map(path_of);
            let unasked: Vec<_> = missing.filter(|p| *p != QUOTA && !p.ends_with("#title")).collect();
            assert!(unasked.is_empty(), "{unasked:?}");
        }
    }
}

/// The lanes are those of the program, each with its parent.
fn check_lanes(menu: Menu, seed: u64, schedule: u64) {
    let program = program(seed, menu);
    let recorded = record(&program, schedule);
    let outline = &recorded.tape.outline;
    let mut key_of: HashMap<&str, &str> = HashMap::new();
    for lane in &outline.lanes {
        for (turn, t) in lane.turns.iter().enumerate() {
            for attempt in &t.attempts {
                let (path, true_turn) = &recorded.truth[&attempt.0];
                // Failed attempts of identical siblings have no identity of their own.
                if recorded.tape.calls[&attempt.0].answer.error.is_none() {
                    assert_eq!(*true_turn as usize, turn, "{path}");
                    assert_eq!(*key_of.entry(path).or_insert(&lane.key), lane.key, "{path}");
                }
            }
        }
    }
    for (path, key) in &key_of {
        if let Some((up, place)) = path.rsplit_once('/') {
            assert_eq!(**key, format!("{}/{place}", key_of[up]), "{path}");
        }
    }
}

/// How many cases a property tries: `PROPTEST_CASES`, or some.
pub fn cases(unless_told: u32) -> ProptestConfig {
    let told = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig::with_cases(told.unwrap_or(unless_told))
}

macro_rules! properties {
    ($cases:expr; $($(#[$attribute:meta])* $name:ident: $menu:expr;)*) => {
        proptest! {
            #![proptest_config(cases($cases))]
            $(
                #[test]
                $(#[$attribute])*
                fn $name(seed: u64, recorded in 0u64..1 << 60, replayed in 0u64..1 << 60) {
                    check($menu, seed, recorded, replayed);
                }
            )*
        }
    };
}

properties! { 40;
    every_request_gets_the_answer_of_its_own_lane_and_turn: PLAIN;
    results_that_vary_are_pinned: Menu { flaky: true, ..PLAIN };
    failed_attempts_are_served_as_such: Menu { retries: true, ..PLAIN };
    identical_children_of_different_parents_are_told_apart_by_gates: Menu { crossed: true, ..PLAIN };
    samples_drawn_in_turn_come_in_their_order: Menu { votes: true, ..PLAIN };
    a_compacted_conversation_goes_on: Menu { compaction: true, distinct: true, ..PLAIN };
    a_rewound_conversation_goes_on: Menu { rewinds: true, distinct: true, ..PLAIN };
    a_rewritten_history_is_known_again: Menu { rewrites: true, distinct: true, ..PLAIN };
    plain_chat_without_ids_is_followed: Menu { chat: true, distinct: true, ..PLAIN };
}

// Identical siblings may have been exchanged: what quotes them then stands in another order.
properties! { 40;
    a_compacted_conversation_with_twins_goes_on: Menu { compaction: true, ..PLAIN };
    plain_chat_with_twins_is_followed: Menu { chat: true, ..PLAIN };
    samples_drawn_at_once_are_told_by_their_join: Menu { votes_at_once: true, ..PLAIN };
    results_joined_as_they_came_are_known_again: Menu { flattened: true, chat: true, compaction: true, ..PLAIN };
    a_rewound_conversation_with_twins_goes_on: Menu { rewinds: true, ..PLAIN };
    a_rewritten_history_with_twins_is_known_again: Menu { rewrites: true, ..PLAIN };
    side_calls_may_repeat_and_may_be_missing: Menu { sides: true, ..PLAIN };
}

properties! { 40;
    names_are_bound_and_served_as_those_of_today: Menu { names: true, ..PLAIN };
    quantities_match_by_their_type: Menu { quantities: true, ..PLAIN };
    today_and_tomorrow_are_computed: Menu { dates: true, ..PLAIN };
    directories_are_those_of_today: Menu { paths: true, ..PLAIN };
    values_of_every_kind_together: EVERY_VALUE;
    values_of_every_kind_with_pins_and_retries: Menu { flaky: true, retries: true, ..EVERY_VALUE };
}

const EVERY_VALUE: Menu = Menu { names: true, quantities: true, dates: true, paths: true, ..PLAIN };

// Everything that has no property of its own yet: nothing is ever silently wrong.
properties! { 24;
    up_to_64_lanes: Menu { large: true, retries: true, crossed: true, ..PLAIN };
    undecidable_lanes_are_refused_with_a_reason: Menu { undecidable: true, sides: true, flaky: true, ..PLAIN };
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn everything_at_once_is_never_silently_wrong(seed: u64, a in 0u64..1 << 60, b in 0u64..1 << 60, dishes: u16) {
        never_silently_wrong(Menu { names: false, paths: false, ..Menu::of(dishes) }, seed, a, b);
    }

    #[test]
    fn everything_with_values_is_never_silently_wrong(seed: u64, a in 0u64..1 << 60, b in 0u64..1 << 60, dishes: u16) {
        never_silently_wrong(Menu::of(dishes), seed, a, b);
    }

    #[test]
    fn lanes_and_parents_are_those_of_the_program(seed: u64, schedule in 0u64..1 << 60) {
        check_lanes(Menu { flaky: true, retries: true, crossed: true, ..PLAIN }, seed, schedule);
    }
}

fn never_silently_wrong(menu: Menu, seed: u64, recorded_under: u64, replayed_under: u64) {
    let program = program(seed, menu);
    let recorded = record(&program, recorded_under);
    is_recorded(&program, &recorded, replayed_under);
    let verdict = verdict(&program, &recorded, &replay(&program, &recorded, replayed_under).0);
    assert!(!matches!(verdict, Verdict::Wrong(_)), "{verdict:?}");
}
