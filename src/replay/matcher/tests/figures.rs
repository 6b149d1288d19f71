//! The examiner examined: matchers that are wrong on purpose must fail, and their figures are printed.

use super::agent::{Answerer, run};
use super::answerers::{Fifo, GroundTruth, Matched, Nth, UNRECORDED, record};
use super::maker::program;
use super::program::Menu;
use super::shuffled::{PLAIN, check, today};
use super::verdict::{Verdict, verdict};
use std::collections::BTreeMap;

/// Every dish by itself.
const MENUS: [(&str, Menu); 17] = [
    ("plain", PLAIN),
    ("flaky", Menu { flaky: true, ..PLAIN }),
    ("retries", Menu { retries: true, ..PLAIN }),
    ("crossed", Menu { crossed: true, ..PLAIN }),
    ("compaction", Menu { compaction: true, ..PLAIN }),
    ("rewinds", Menu { rewinds: true, ..PLAIN }),
    ("sides", Menu { sides: true, ..PLAIN }),
    ("votes", Menu { votes: true, ..PLAIN }),
    ("votes at once", Menu { votes_at_once: true, ..PLAIN }),
    ("rewrites", Menu { rewrites: true, ..PLAIN }),
    ("chat", Menu { chat: true, ..PLAIN }),
    ("flattened", Menu { chat: true, flattened: true, compaction: true, ..PLAIN }),
    ("names", Menu { names: true, ..PLAIN }),
    ("quantities", Menu { quantities: true, ..PLAIN }),
    ("dates", Menu { dates: true, ..PLAIN }),
    ("paths", Menu { paths: true, ..PLAIN }),
    ("undecidable", Menu { undecidable: true, sides: true, ..PLAIN }),
];

/// Replays by what became of them.
#[derive(Default, Clone, Copy)]
struct Figures {
    right: u32,
    exchanged: u32,
    stopped: u32,
    wrong: u32,
}

impl Figures {
    fn count(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Right => &mut self.right,
            Verdict::Exchanged => &mut self.exchanged,
            Verdict::Stopped(_) => &mut self.stopped,
            Verdict::Wrong(_) => &mut self.wrong,
        } += 1;
    }

    fn add(&mut self, other: Figures) {
        self.right += other.right;
        self.exchanged += other.exchanged;
        self.stopped += other.stopped;
        self.wrong += other.wrong;
    }

    fn all(self) -> u32 {
        self.right + self.exchanged + self.stopped + self.wrong
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let row = format!("{}/{}/{}/{}", self.right, self.exchanged, self.stopped, self.wrong);
        write!(f, "{row:>22}")
    }
}

/// Figures by name of the answerer.
type Row = BTreeMap<&'static str, Figures>;

fn examine(menu: Menu, seeds: u64, schedules: u64) -> Row {
    let mut row = Row::new();
    for seed in 0..seeds {
        let program = program(seed, menu);
        let recorded = record(&program, seed);
        for schedule in (0..schedules).map(|s| 1_000_000 + seed * schedules + s) {
            let side = today(schedule).side;
            let mut truth = GroundTruth::new(&program, &recorded);
            let mut ours = Matched::new(&recorded, &side);
            let (mut nth, mut fifo) = (Nth(&recorded.tape, 0), Fifo::new(&recorded.tape));
            let all: [(&str, &mut dyn Answerer); 4] =
                [("truth", &mut truth), ("retake", &mut ours), ("nth", &mut nth), ("fifo", &mut fifo)];
            for (name, answerer) in all {
                let outcome = run(&program, schedule, false, &mut today(schedule), answerer);
                let verdict = verdict(&program, &recorded, &outcome);
                row.entry(name).or_default().count(&verdict);
                let unrecorded = verdict == Verdict::Stopped(UNRECORDED.into());
                assert!(name != "truth" || verdict == Verdict::Right || unrecorded, "{verdict:?}");
            }
        }
    }
    row
}

fn table(seeds: u64, schedules: u64) -> BTreeMap<&'static str, Row> {
    let rows: BTreeMap<_, _> =
        MENUS.iter().map(|(name, menu)| (*name, examine(*menu, seeds, schedules))).collect();
    println!("right / identical calls exchanged / stopped / silently wrong");
    println!("{:14}{:>22}{:>22}{:>22}{:>22}", "", "truth", "retake", "nth", "fifo");
    for (name, _) in MENUS {
        let row = &rows[name];
        println!("{name:14}{}{}{}{}", row["truth"], row["retake"], row["nth"], row["fifo"]);
    }
    rows
}

fn total(rows: &BTreeMap<&str, Row>, name: &str) -> Figures {
    let mut sum = Figures::default();
    rows.values().for_each(|row| sum.add(row[name]));
    sum
}

/// Serving the n-th answer is nearly always silently wrong, a hash finds hardly anything. A judge that let them pass
/// would be worth nothing.
#[test]
fn simple_matchers_are_caught() {
    let rows = table(2, 20);
    assert_eq!(total(&rows, "retake").wrong, 0);
    let (nth, fifo) = (total(&rows, "nth"), total(&rows, "fifo"));
    assert!(nth.wrong * 10 > nth.all() * 7, "nth {nth}");
    assert!((fifo.right + fifo.exchanged) * 10 < fifo.all() * 4, "fifo {fifo}");
    let ours = rows["plain"]["retake"];
    assert_eq!(ours.right + ours.exchanged, ours.all(), "retake {ours}");
}

/// Seeds 0 to 199 under 20 schedules each; takes minutes.
#[test]
#[ignore = "takes minutes"]
fn every_dish_thoroughly() {
    let rows = table(200, 20);
    println!(
        "{:14}{}{}{}{}",
        "all",
        total(&rows, "truth"),
        total(&rows, "retake"),
        total(&rows, "nth"),
        total(&rows, "fifo")
    );
    assert_eq!(total(&rows, "retake").wrong, 0);
    for (_, menu) in MENUS {
        (0..200).for_each(|seed| (0..20).for_each(|s| check(menu, seed, seed, 2_000_000 + seed * 20 + s)));
    }
}
