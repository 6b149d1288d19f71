//! What it costs to place a request in a recording, without sockets.
//!
//! `cargo bench --bench matching`: conversations of 200 turns that re-send up to 300 KB, replayed byte for byte, equal
//! but written otherwise, and with other values in their holes, against recordings of several sizes; then first turns
//! against 10,000 lanes. `--rounds N`, `--quick` for a smoke test. The recording lies in files, as it does for
//! `retake replay`; reading it is given apart.

mod agent;
mod recording;

use agent::{Conversation, LONG, NOW, SHORT, Size, THEN, World};
use recording::{PATH, Recorded, Watch};
use retake::dialect::by_name;
use retake::exchange::{ExchangeId, SpanContext};
use retake::holes::{Side, Surroundings};
use retake::replay::matcher::{Ask, Decision, MatchClass, Matcher, Options};
use retake::run::likeness;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const DIALECT: &str = "anthropic-messages";

/// How the requests of the replay differ from the recorded ones.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Byte for byte.
    Bytes,
    /// Equal, and not placed by their bytes.
    Read,
    /// With other values in their holes.
    Holes,
}

impl Way {
    fn world(self) -> &'static World {
        if self == Way::Holes { &NOW } else { &THEN }
    }
}

/// What one request cost, in microseconds.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// Reading the live request.
    read: f64,
    /// Placing it, without reading the recording.
    placed: f64,
    /// Reading the recording.
    recording: f64,
}

struct Replay {
    matcher: Matcher<recording::Timed>,
    watch: Watch,
    next: u32,
    /// What was read ahead of the first request, which a replay does beside the start of the agent.
    ahead: Duration,
}

impl Replay {
    fn new(recorded: &Recorded, way: Way) -> Replay {
        let (recording, watch) = recorded.fresh();
        let side = |world: &World| Side {
            directory: world.directory.into(),
            home: world.home.into(),
            temp: "/tmp".into(),
            started_us: world.noon * 1_000_000,
            ended_us: (world.noon + 3_600) * 1_000_000,
            zone_s: 0,
        };
        let surroundings = Some(Surroundings { recorded: side(&THEN), live: side(way.world()) });
        let matcher =
            Matcher::new(recording, Options { surroundings, ..Options::default() }).expect("matcher");
        let start = Instant::now();
        if let Some(read) = matcher.reads_ahead() {
            read();
        }
        Replay { matcher, watch, next: 0, ahead: start.elapsed() }
    }

    /// Asks, and has the answer delivered.
    fn ask(&mut self, body: &[u8], way: Way) -> (Cost, Option<MatchClass>) {
        self.next += 1;
        let id = ExchangeId(self.next);
        self.watch.take();
        let (read, out, whole);
        if way == Way::Bytes {
            let start = Instant::now();
            let key = likeness::body_key(PATH, body);
            read = start.elapsed();
            let start = Instant::now();
            out =
                self.matcher.on_bytes(id, &key, body, &SpanContext::default()).expect("placed by its bytes");
            whole = start.elapsed();
        } else {
            let start = Instant::now();
            let request = by_name(DIALECT).expect("dialect").read_request("", body).expect("request");
            read = start.elapsed();
            let ask =
                Ask { id, dialect: DIALECT, path: PATH.into(), context: SpanContext::default(), request };
            let start = Instant::now();
            out = self.matcher.on_request(ask);
            whole = start.elapsed();
        }
        let recording = self.watch.take();
        let class = match out.first() {
            Some(Decision::Serve { class, .. }) => Some(*class),
            _ => None,
        };
        self.matcher.delivered(id);
        let us = |d: Duration| d.as_secs_f64() * 1e6;
        (Cost { read: us(read), placed: us(whole - recording.min(whole)), recording: us(recording) }, class)
    }
}

fn percentile(figures: &mut [f64], of: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len().saturating_sub(1) as f64 * of).round() as usize;
    figures.get(at).copied().unwrap_or(f64::NAN)
}

fn row(what: &str, costs: &[Cost]) {
    let told = |of: fn(&Cost) -> f64| {
        let mut figures: Vec<f64> = costs.iter().map(of).collect();
        format!("{:.0} / {:.0}", percentile(&mut figures, 0.5), percentile(&mut figures, 0.99))
    };
    println!("| {what} | {} | {} | {} |", told(|c| c.read), told(|c| c.placed), told(|c| c.recording));
}

fn head(title: &str) {
    println!("\n### {title}\n\n| us, p50 / p99 | request read (or hashed) | placed | recording read |");
    println!("| --- | --- | --- | --- |");
}

/// A whole conversation against a recording.
fn conversation(recorded: &Recorded, size: Size, rounds: usize) {
    head(&format!("{} lanes of {} turns", size.lanes, size.turns));
    let mut ahead = Duration::ZERO;
    for (way, name) in [(Way::Bytes, "byte for byte"), (Way::Read, "read"), (Way::Holes, "holes")] {
        let mut costs: BTreeMap<&str, Vec<Cost>> = BTreeMap::new();
        for _ in 0..rounds {
            let mut replay = Replay::new(recorded, way);
            ahead = ahead.max(replay.ahead);
            for (turn, body) in Conversation::new(way.world(), 0, size).enumerate() {
                let (cost, class) = replay.ask(&body, way);
                let expected = if way == Way::Holes { MatchClass::Renamed } else { MatchClass::Exact };
                assert_eq!(class, Some(expected), "{name}, turn {}", turn + 1);
                let window = match turn + 1 {
                    1 => "turn 1",
                    2 => "turn 2 (first new name)",
                    46..=55 if size.turns >= 200 => "turn 50",
                    t if t + 9 >= size.turns => "the last turns",
                    _ => continue,
                };
                costs.entry(window).or_default().push(cost);
            }
        }
        for (window, costs) in &costs {
            row(&format!("{name}: {window}"), costs);
        }
    }
    // A result that came out differently: the first comparison that fails.
    let mut failed = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        let mut replay = Replay::new(recorded, Way::Holes);
        for (at, failed) in failed.iter_mut().enumerate() {
            let mut agent = Conversation::new(&NOW, at, size);
            agent.drifts_at = Some(3);
            if at == size.lanes {
                break;
            }
            for (turn, body) in agent.enumerate().take(4) {
                let (cost, class) = replay.ask(&body, Way::Holes);
                assert!(class.is_some(), "turn {}", turn + 1);
                if turn == 3 {
                    assert_eq!(class, Some(MatchClass::Pinned));
                    failed.push(cost);
                }
            }
        }
    }
    row("first result that is another", &failed[0]);
    row("the next one", &failed[1]);
    let mut late = Vec::new();
    for _ in 0..rounds {
        let mut replay = Replay::new(recorded, Way::Holes);
        let mut agent = Conversation::new(&NOW, 0, size);
        agent.drifts_at = Some(size.turns - 1);
        late.extend(agent.map(|body| replay.ask(&body, Way::Holes).0).last());
    }
    row("first result that is another, at the last turn", &late);
    println!("\nRead ahead, once: {} ms.", ahead.as_millis());
}

/// First turns against many lanes.
fn first_turns(recorded: &Recorded, size: Size, rounds: usize) {
    head(&format!("first turns against {} lanes", size.lanes));
    for (way, name, offset) in [
        (Way::Bytes, "byte for byte", 0),
        (Way::Read, "read", 0),
        (Way::Holes, "another directory", 0),
        (Way::Read, "a miss", size.lanes),
        (Way::Holes, "a miss in another directory", size.lanes),
    ] {
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let mut replay = Replay::new(recorded, way);
            for at in 0..if offset > 0 { 4 } else { 50 } {
                let lane = at * 97 % size.lanes + offset;
                let body = Conversation::new(way.world(), lane, size).next().expect("turn");
                let (cost, class) = replay.ask(&body, way);
                assert_eq!(class.is_some(), offset == 0, "{name}, lane {lane}");
                if at == 0 { first.push(cost) } else { later.push(cost) }
            }
        }
        row(&format!("{name}: the first"), &first);
        row(&format!("{name}: the others"), &later);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if recording::records(&args) {
        return;
    }
    let flag = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned();
    let quick = args.iter().any(|a| a == "--quick");
    let rounds = flag("--rounds").and_then(|n| n.parse().ok()).unwrap_or(if quick { 1 } else { 5 });
    let part = args.first().map_or("", String::as_str);
    let wanted = |name: &str| part.is_empty() || part.starts_with("--") || part == name;
    let many = if quick { 5 } else { 50 };
    for (name, size) in [
        ("one", LONG),
        ("fifty", Size { lanes: many, ..LONG }),
        ("wide", Size { lanes: many * 10, turns: 20, ..LONG }),
    ] {
        if wanted(name) {
            conversation(&Recorded::new(size), size, rounds);
        }
    }
    if wanted("first") {
        let size = Size { lanes: SHORT.lanes / if quick { 10 } else { 1 }, ..SHORT };
        first_turns(&Recorded::new(size), size, rounds);
    }
}
