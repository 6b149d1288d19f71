//! What spans cost: taking them in, joining them, and a page of the tree.
//!
//! `cargo bench --bench spans`: 100,000 spans of 1,000 agents in one run, with 2,000 model calls on the wire, in exports
//! of 512 as the SDKs send them. `--spans N`, `--calls N`, `--rounds N`; `--fan`: all of them under one root. The
//! recorder's memory is measured by `cargo bench --bench wire`.

mod made;

use made::Made;
use retake::otlp::{Batch, Encoding, Signal};
use retake::redact::Redactor;
use retake::run::tree::{Spans, spanned};
use retake::span::asked::Asked;
use retake::span::join::join;
use retake::span::settled::Settled;
use retake::store::{RunReader, SpanReader, SpanWriter};
use std::process::Command;
use std::time::{Duration, Instant};

/// Parts, in the order of their work.
const PARTS: [&str; 6] = [
    "taking in: reading, redacting, writing",
    "tree: claims from the file",
    "tree: what was asked, from the exchanges",
    "tree: the join",
    "tree: nodes",
    "a page of `show --tree`, the whole command",
];

fn main() {
    let flag = |name: &str| {
        let mut args = std::env::args().skip_while(|arg| arg != name);
        args.nth(1).and_then(|value| value.parse().ok())
    };
    let (spans, calls) = (flag("--spans").unwrap_or(100_000), flag("--calls").unwrap_or(2_000));
    let fan = std::env::args().any(|arg| arg == "--fan");
    let rounds = flag("--rounds").unwrap_or(5);
    let made = Made::new(spans, calls, fan);
    let mut all = vec![Vec::new(); PARTS.len()];
    for _ in 0..rounds {
        for (times, time) in all.iter_mut().zip(round(&made)) {
            times.push(time);
        }
    }
    println!("{spans} spans ({} MB), {calls} model calls, {rounds} rounds", made.bytes() / 1_000_000);
    for (part, mut times) in PARTS.iter().zip(all) {
        times.sort();
        let (low, middle, high) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        let each = middle.as_secs_f64() * 1e6 / spans as f64;
        println!("{part:<44} {:>8.1} ms   {:.1}-{:.1}   {each:.2} us a span", ms(middle), ms(low), ms(high));
    }
}

fn round(made: &Made) -> Vec<Duration> {
    let store = tempfile::tempdir().expect("a directory");
    let directory = made.record(store.path());
    let redactor = Redactor::new([7; 32], Vec::new(), &[]).expect("a redactor");
    let mut times = Vec::new();
    let mut time = Instant::now();
    let mut lap = |times: &mut Vec<Duration>| {
        times.push(time.elapsed());
        time = Instant::now();
    };
    let mut writer = SpanWriter::new(&directory).expect("a file for spans");
    for body in &made.exports {
        let mut batch =
            Batch::read(Signal::Traces, Encoding::Protobuf, body).expect("an export that can be read");
        redactor.telemetry(&mut batch);
        writer.put(&batch).expect("an export that can be written");
    }
    lap(&mut times);
    let claims = SpanReader::open(&directory).and_then(|reader| reader.claims()).expect("claims");
    lap(&mut times);
    let run = RunReader::open(directory.clone()).expect("a run");
    let exchanges = run.ids().into_iter().filter_map(|id| run.exchange(id).ok());
    let asked: Vec<Asked> = exchanges.map(|exchange| Asked::of(&exchange)).collect();
    lap(&mut times);
    let settled = Settled::new(claims.iter().flatten());
    let links = join(&asked, &settled);
    assert_eq!(links.iter().filter(|link| link.primary).count(), made.calls, "every call has a span");
    lap(&mut times);
    let outline = run.outline().expect("an outline");
    let tree = spanned(&outline, "bench.1", Spans { settled: &settled, links: &links }, false);
    assert!(tree.size() >= settled.claims().len(), "all spans are in the tree");
    lap(&mut times);
    let shown = Command::new(env!("CARGO_BIN_EXE_retake"))
        .args(["show", "last", "--tree", "--store"])
        .arg(store.path())
        .output()
        .expect("retake runs");
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    lap(&mut times);
    times
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
