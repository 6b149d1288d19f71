//! One schedule recorded, the unmodified agent replayed under others.

use super::agent::{Outcome, run};
use super::answerers::{Fifo, GroundTruth, Matched, Nth, Recorded, record};
use super::maker::program;
use super::program::{Menu, Program};
use super::values::Values;
use super::verdict::{Verdict, verdict};
use proptest::prelude::*;

const PLAIN: Menu = Menu::PLAIN;

/// The values of a replay: a day later than those of the recording.
fn today(schedule: u64) -> Values {
    Values::new(schedule, 1)
}

fn replay(program: &Program, recorded: &Recorded, schedule: u64) -> (Outcome, Matched<'static>) {
    let mut values = today(schedule);
    let mut matched = Matched::new(recorded, &values.side.clone());
    let outcome = run(program, schedule, false, &mut values, &mut matched);
    (outcome, matched)
}

#[test]
fn probe() {
    let menus = [
        ("plain", PLAIN),
        ("flaky", Menu { flaky: true, ..PLAIN }),
        ("retries", Menu { retries: true, ..PLAIN }),
        ("crossed", Menu { crossed: true, ..PLAIN }),
        ("compaction", Menu { compaction: true, ..PLAIN }),
        ("rewinds", Menu { rewinds: true, ..PLAIN }),
        ("sides", Menu { sides: true, ..PLAIN }),
        ("votes", Menu { votes: true, ..PLAIN }),
        ("votes_at_once", Menu { votes_at_once: true, ..PLAIN }),
        ("rewrites", Menu { rewrites: true, ..PLAIN }),
        ("chat", Menu { chat: true, ..PLAIN }),
        ("flattened", Menu { chat: true, flattened: true, compaction: true, ..PLAIN }),
        ("names", Menu { names: true, ..PLAIN }),
        ("quantities", Menu { quantities: true, ..PLAIN }),
        ("dates", Menu { dates: true, ..PLAIN }),
        ("paths", Menu { paths: true, ..PLAIN }),
        ("large", Menu { large: true, ..PLAIN }),
        ("undecidable", Menu { undecidable: true, sides: true, ..PLAIN }),
    ];
    for (name, menu) in menus {
        if std::env::var("F").is_ok_and(|f| f != name) { continue; }
        let mut table = std::collections::BTreeMap::new();
        let begun = std::time::Instant::now();
        let mut why: Option<(u64, String)> = None;
        let mut lanes = 0;
        for seed in 0..60 {
            let program = program(seed, menu);
            let recorded = record(&program, seed);
            lanes = lanes.max(recorded.tape.outline().lanes.len());
            let mut truth = GroundTruth::new(&program, &recorded);
            let outcome = run(&program, 1000 + seed, false, &mut today(1000 + seed), &mut truth);
            *table.entry(("truth", verdict(&program, &recorded, &outcome))).or_insert(0) += 1;
            let outcome = run(&program, 1000 + seed, false, &mut today(1000 + seed), &mut Nth(&recorded.tape, 0));
            *table.entry(("nth", verdict(&program, &recorded, &outcome))).or_insert(0) += 1;
            let outcome = run(&program, 1000 + seed, false, &mut today(1000 + seed), &mut Fifo::new(&recorded.tape));
            *table.entry(("fifo", verdict(&program, &recorded, &outcome))).or_insert(0) += 1;
            let (outcome, _) = replay(&program, &recorded, 1000 + seed);
            let v = verdict(&program, &recorded, &outcome);
            *table.entry(("ours", v)).or_insert(0) += 1;
            if v == Verdict::Stopped || v == Verdict::Wrong {
                let what = outcome.refused.clone().unwrap_or(format!("WRONG {:?}", outcome.stale));
                let short = what.lines().filter(|l| ["reason", "recorded", "live", "WRONG", "path"].iter().any(|w| l.contains(w))).take(4).map(|l| l.trim().chars().take(150).collect::<String>()).collect::<Vec<_>>().join("\n          ");
                println!("   {seed} {:?} {:?} {:?} sib {} {}", program.main.compacts, program.worker.compacts, program.ids, program.tool_messages, short);
                why = Some((seed, String::new()));
            }
        }
        println!("{name} {table:?} lanes {lanes} {:?}", begun.elapsed());
        if let Some((seed, why)) = why { println!("   seed {seed}: {}", why.lines().take(14).collect::<Vec<_>>().join(" ")); }
    }
}

use crate::replay::matcher::Recording;
