//! Those who pass requests on, one beside the other: the upstream itself, the floor, the floor with a file, retake.

use crate::figures::{head, median, ratios, row, show};
use crate::load::{Connection, Way, request};
use crate::parts::{CHAT, RETAKE_CHAT, Setup, block_on, many};
use crate::subject::Subject;
use crate::upstream::EVENTS;
use std::time::Instant;

/// Of each contender, a figure a round.
pub type Figures = [Vec<f64>; 4];

/// The third is what the others are measured by.
const TEE: usize = 2;

/// Somebody that requests go through, and how.
pub struct Contender {
    pub name: &'static str,
    pub subject: Subject,
    pub way: Way,
}

/// All four, in this order: direct, floor, floor with a file, retake.
pub struct Contest {
    pub contenders: [Contender; 4],
    _store: tempfile::TempDir,
}

impl Contest {
    pub fn of(contenders: [Contender; 4], store: tempfile::TempDir) -> Contest {
        Contest { contenders, _store: store }
    }

    /// Reverse proxies without TLS.
    fn plain() -> Contest {
        let store = tempfile::tempdir().expect("store");
        let upstream = Subject::own(&["serve-upstream"]);
        let origin = format!("http://127.0.0.1:{}", upstream.port);
        let file = store.path().join("tee").display().to_string();
        let floor = Subject::own(&["serve-floor", "--upstream", &origin]);
        let tee = Subject::own(&["serve-floor", "--upstream", &origin, "--tee", &file]);
        let verb = ["run", "--name", "bench", "--upstream", &origin];
        let retake = Subject::retake(&store.path().join("store"), &verb);
        let contender = |name, subject: Subject, path| {
            let way = Way::plain(subject.port, path);
            Contender { name, subject, way }
        };
        let contenders = [
            contender("direct", upstream, CHAT),
            contender("floor", floor, CHAT),
            contender("floor-tee", tee, CHAT),
            contender("retake", retake, RETAKE_CHAT),
        ];
        Contest::of(contenders, store)
    }

    /// Figures of every round for every contender, but for a first round that warms up. Whose turn is first goes round.
    pub fn rounds<T>(
        &self,
        setup: &Setup,
        mut measure: impl FnMut(usize, usize, &Contender) -> T,
    ) -> [Vec<T>; 4] {
        let mut all = [const { Vec::new() }; 4];
        for round in 0..=setup.rounds {
            for turn in 0..4 {
                let which = (turn + round) % 4;
                let figure = measure(round, which, &self.contenders[which]);
                if round > 0 {
                    all[which].push(figure);
                }
            }
        }
        all
    }

    pub fn stop(self) {
        self.contenders.into_iter().rev().for_each(|contender| contender.subject.stop());
    }

    /// Latency of one connection, and what is added to the upstream's.
    pub fn latency(&self, setup: &Setup, title: &str, size: usize, count: usize) {
        let p50 = self.rounds(setup, |round, which, contender| {
            let times = block_on(async {
                let mut connection = Connection::open(&contender.way).await;
                let mut times = Vec::with_capacity(count);
                for index in 0..count {
                    let nonce = (round * 4 + which) as u64 * 1_000_000 + index as u64;
                    times.push(connection.ask(request(nonce, size, false)).await);
                }
                times
            });
            median(&times)
        });
        let added: Figures = p50.each_ref().map(|own| differences(own, &p50[0]));
        head(title, &["p50", "added", "added, of the tee's"]);
        for (which, contender) in self.contenders.iter().enumerate() {
            let of_tee = ratios(&added[which], &added[TEE]);
            let cells = [show(&p50[which], " us", 0), show(&added[which], " us", 0), show(&of_tee, "x", 2)];
            row(contender.name, &cells);
        }
    }

    /// A table of times.
    pub fn table(&self, title: &str, what: &str, times: &Figures) {
        head(title, &[what, "of the tee's"]);
        for (which, contender) in self.contenders.iter().enumerate() {
            let of_tee = ratios(&times[which], &times[TEE]);
            row(contender.name, &[show(&times[which], " us", 0), show(&of_tee, "x", 2)]);
        }
    }

    /// CPU time of one request, 16 connections at once.
    pub fn cpu(&self, setup: &Setup, title: &str) {
        let count = if setup.quick { 400 } else { 4000 };
        let figures = self.rounds(setup, |round, which, contender| {
            let (before, start) = (contender.subject.cpu_us(), Instant::now());
            many(&contender.way, 16, count, |index| {
                request((round * 4 + which) as u64 * 1_000_000 + 500_000 + index, 1_000, false)
            });
            let rate = count as f64 / start.elapsed().as_secs_f64();
            ((contender.subject.cpu_us() - before) / count as f64, rate)
        });
        let (cpu, rate) = halves(&figures);
        head(title, &["CPU per request", "of the tee's", "requests/s", "of the tee's"]);
        for (which, contender) in self.contenders.iter().enumerate() {
            let cells = [
                show(&cpu[which], " us", 0),
                show(&ratios(&cpu[which], &cpu[TEE]), "x", 2),
                show(&rate[which], "", 0),
                show(&ratios(&rate[which], &rate[TEE]), "x", 2),
            ];
            row(contender.name, &cells);
        }
    }

    /// First byte and transit of an event, 8 streams at once.
    pub fn streams(&self, setup: &Setup, title: &str) {
        let streams = if setup.quick { 4 } else { 24 };
        let figures = self.rounds(setup, |_, _, contender| {
            block_on(async {
                let mut tasks = Vec::new();
                for lane in 0..8_u64 {
                    let mut connection = Connection::open(&contender.way).await;
                    tasks.push(tokio::spawn(async move {
                        let mut out = (Vec::new(), Vec::new());
                        for index in 0..streams / 4 {
                            let (first, transits) =
                                connection.stream(request(lane * 1000 + index as u64, 1000, true)).await;
                            assert_eq!(transits.len(), EVENTS);
                            out.0.push(first);
                            out.1.extend(transits);
                        }
                        out
                    }));
                }
                let mut all = (Vec::new(), Vec::new());
                for task in tasks {
                    let (first, transits) = task.await.expect("load");
                    all.0.extend(first);
                    all.1.extend(transits);
                }
                (median(&all.0), median(&all.1))
            })
        });
        let (first, transit) = halves(&figures);
        head(title, &["first byte", "of the tee's", "transit of an event", "of the tee's"]);
        for (which, contender) in self.contenders.iter().enumerate() {
            let cells = [
                show(&first[which], " us", 0),
                show(&ratios(&first[which], &first[TEE]), "x", 2),
                show(&transit[which], " us", 0),
                show(&ratios(&transit[which], &transit[TEE]), "x", 2),
            ];
            row(contender.name, &cells);
        }
    }

    /// What retake has held at most.
    pub fn memory(&self) {
        println!("\npeak memory of the recorder: {:.1} MB", self.contenders[3].subject.peak_mb());
    }
}

fn differences(ours: &[f64], direct: &[f64]) -> Vec<f64> {
    ours.iter().zip(direct).map(|(ours, direct)| ours - direct).collect()
}

fn halves(pairs: &[Vec<(f64, f64)>; 4]) -> (Figures, Figures) {
    let half = |of: fn(&(f64, f64)) -> f64| pairs.each_ref().map(|own| own.iter().map(of).collect());
    (half(|pair| pair.0), half(|pair| pair.1))
}

/// Added latency at one connection, CPU per request at 16, memory.
pub fn record(setup: &Setup) {
    let contest = Contest::plain();
    let requests = if setup.quick { 100 } else { 1000 };
    contest.latency(setup, "1 KB in, 2 KB out, 1 connection", 1_000, requests);
    contest.latency(setup, "200 KB in, 2 KB out, 1 connection", 200_000, requests / 2);
    contest.cpu(setup, "1 KB in, 2 KB out, 16 connections");
    contest.memory();
    contest.stop();
}

/// Streaming.
pub fn stream(setup: &Setup) {
    let contest = Contest::plain();
    contest.streams(setup, "event stream, 5 ms between events, 8 streams");
    contest.stop();
}
