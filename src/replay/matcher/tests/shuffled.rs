//! One schedule recorded, the unmodified agent replayed under others.

use super::program::{Menu, Program, program};
use super::tape::Tape;
use super::world::{Answerer, Given, Matched, Out, Recorded, Run, Verdict, in_order, record, run, verdict};
use crate::dialect::conversation::{Block, ModelAnswer};
use crate::replay::matcher::Ask;
use crate::run::likeness;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

const PLAIN: Menu = Menu { flaky: false, retries: false, crossed: false };

fn replay<'a>(program: &'a Program, recorded: &Recorded, schedule: u64) -> (Run<'a>, Matched) {
    let mut matched = Matched::new(&recorded.tape);
    let run = run(program, schedule, schedule + 2, &mut matched);
    (run, matched)
}

/// Everything decidable must be right; only exchanges of identical calls are allowed.
fn check(menu: Menu, seed: u64, recorded_under: u64, replayed_under: u64) {
    let program = program(seed, menu);
    let recorded = record(&program, recorded_under);
    let (run, matched) = replay(&program, &recorded, replayed_under);
    let verdict = verdict(&program, &recorded, &run);
    let keys: Vec<String> = recorded.tape.outline.lanes.iter().map(|l| l.key.clone()).collect();
    assert!(
        matches!(verdict, Verdict::Right | Verdict::Exchanged),
        "{verdict:?} {:?}\n{keys:?}",
        run.refused.as_deref().unwrap_or_default()
    );
    assert_eq!(matched.0.unasked(), vec![]);
    let counters = matched.counters();
    assert_eq!(counters.missed + counters.live, 0);
    if !menu.flaky {
        assert_eq!(counters.pins, 0);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_request_gets_the_answer_of_its_own_lane_and_turn(seed: u64, a: u64, b in 0u64..1 << 60) {
        check(PLAIN, seed, a, b);
    }

    #[test]
    fn results_that_vary_are_pinned(seed: u64, a: u64, b in 0u64..1 << 60) {
        check(Menu { flaky: true, ..PLAIN }, seed, a, b);
    }

    #[test]
    fn failed_attempts_are_served_as_such(seed: u64, a: u64, b in 0u64..1 << 60) {
        check(Menu { retries: true, ..PLAIN }, seed, a, b);
    }

    #[test]
    fn identical_children_of_different_parents_are_told_apart_by_gates(seed: u64, a: u64, b in 0u64..1 << 60) {
        check(Menu { crossed: true, ..PLAIN }, seed, a, b);
    }

    #[test]
    fn everything_at_once_is_never_silently_wrong(seed: u64, a: u64, b in 0u64..1 << 60) {
        let menu = Menu { flaky: true, retries: true, crossed: true };
        let program = program(seed, menu);
        let recorded = record(&program, a);
        let (run, _) = replay(&program, &recorded, b);
        prop_assert_ne!(verdict(&program, &recorded, &run), Verdict::Wrong);
    }

    #[test]
    fn lanes_and_parents_are_those_of_the_program(seed: u64, schedule: u64) {
        check_lanes(Menu { flaky: true, retries: true, crossed: true }, seed, schedule);
    }

    #[test]
    fn a_changed_message_is_noticed(seed: u64, a: u64, b in 0u64..1 << 60, place: usize) {
        let program = program(seed, PLAIN);
        let mut recorded = record(&program, a);
        let mut calls: Vec<_> = in_order(&recorded.tape).into_iter().cloned().collect();
        let at = place % calls.len();
        let request = Arc::make_mut(&mut calls[at].request);
        match request.messages.last_mut().and_then(|m| m.blocks.last_mut()) {
            Some(Block::Text { text } | Block::ToolResult { text, .. }) => text.push_str(" changed"),
            _ => unreachable!(),
        }
        recorded.tape = Tape::new(calls);
        let (run, matched) = replay(&program, &recorded, b);
        prop_assert!(run.refused.is_some() || matched.counters().pins > 0);
    }
}

/// The n-th request gets the n-th answer.
struct Nth(Tape, u32);

/// Requests in canonical form, first in first out.
struct Fifo(HashMap<String, VecDeque<(u32, Arc<ModelAnswer>)>>);

impl Answerer for Nth {
    fn ask(&mut self, ask: Ask, _: (&str, u32, u32), _: u64) -> Out {
        let given = match self.0.calls.get(&self.1) {
            Some(call) => Given::Answer { exchange: self.1, answer: Arc::clone(&call.answer) },
            None => Given::Refused("more requests than recorded".into()),
        };
        self.1 += 1;
        vec![(ask.id.0, given)]
    }
    fn delivered(&mut self, _: u32, _: u64) -> Out {
        vec![]
    }
    fn idle(&mut self) -> Out {
        vec![]
    }
}

/// The request with all tool-call ids masked.
fn masked(request: &crate::dialect::conversation::ModelRequest) -> String {
    let mut request = request.clone();
    for block in request.messages.iter_mut().flat_map(|m| &mut m.blocks) {
        match block {
            Block::ToolCall { id, .. } => id.clear(),
            Block::ToolResult { call_id, .. } => call_id.clear(),
            _ => {}
        }
    }
    likeness::hex(&likeness::request_key(&request))
}

impl Answerer for Fifo {
    fn ask(&mut self, ask: Ask, _: (&str, u32, u32), _: u64) -> Out {
        let given = match self.0.get_mut(&masked(&ask.request)).and_then(VecDeque::pop_front) {
            Some((exchange, answer)) => Given::Answer { exchange, answer },
            None => Given::Refused("no such request".into()),
        };
        vec![(ask.id.0, given)]
    }
    fn delivered(&mut self, _: u32, _: u64) -> Out {
        vec![]
    }
    fn idle(&mut self) -> Out {
        vec![]
    }
}

/// The examiner can fail a matcher: of two simple ones the first is silently wrong, the second finds hardly anything.
#[test]
fn simple_matchers_are_caught() {
    let mut table: BTreeMap<&str, BTreeMap<Verdict, u32>> = BTreeMap::new();
    for seed in 0..40 {
        let program = program(seed, Menu { crossed: true, retries: true, ..PLAIN });
        let recorded = record(&program, seed);
        for schedule in 100..103 {
            let mut fifo = Fifo(HashMap::new());
            for call in in_order(&recorded.tape) {
                let queue = fifo.0.entry(masked(&call.request)).or_default();
                queue.push_back((call.id, Arc::clone(&call.answer)));
            }
            let mut nth = Nth(recorded.tape.clone(), 0);
            let mut ours = Matched::new(&recorded.tape);
            let all: [(&str, &mut dyn Answerer); 3] =
                [("nth", &mut nth), ("fifo", &mut fifo), ("ours", &mut ours)];
            for (name, answerer) in all {
                let run = run(&program, schedule, schedule, answerer);
                *table.entry(name).or_default().entry(verdict(&program, &recorded, &run)).or_default() += 1;
            }
        }
    }
    println!("{table:#?}");
    let count = |name: &str, verdict| table[name].get(&verdict).copied().unwrap_or_default();
    let right = |name: &str| count(name, Verdict::Right) + count(name, Verdict::Exchanged);
    assert!(count("nth", Verdict::Wrong) > 40, "{table:?}");
    assert!(right("fifo") < 60, "{table:?}");
    assert_eq!(right("ours"), 120, "{table:?}");
}
