//! What is measured, part by part.

use crate::figures::{head, median, ratios, row, show};
use crate::load::{Connection, nonce_of, request, words};
use crate::subject::{Subject, size_of};
use crate::upstream::{EVENTS, json_answer};
use bytes::Bytes;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// How thoroughly to measure.
pub struct Setup {
    pub rounds: usize,
    pub quick: bool,
}

const CHAT: &str = "/v1/chat/completions";
const RETAKE_CHAT: &str = "/openai/v1/chat/completions";

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(future)
}

struct Recorders {
    _store: tempfile::TempDir,
    upstream: Subject,
    floor: Subject,
    tee: Subject,
    retake: Subject,
}

impl Recorders {
    fn start() -> Recorders {
        let store = tempfile::tempdir().expect("store");
        let upstream = Subject::own(&["serve-upstream"]);
        let origin = format!("http://127.0.0.1:{}", upstream.port);
        let file = store.path().join("tee").display().to_string();
        let floor = Subject::own(&["serve-floor", "--upstream", &origin]);
        let tee = Subject::own(&["serve-floor", "--upstream", &origin, "--tee", &file]);
        let verb = ["run", "--name", "bench", "--upstream", &origin];
        let retake = Subject::retake(&store.path().join("store"), &verb);
        Recorders { _store: store, upstream, floor, tee, retake }
    }

    /// Name, port and path of every subject; the first is the upstream itself.
    fn all(&self) -> [(&'static str, &Subject, &'static str); 4] {
        [
            ("direct", &self.upstream, CHAT),
            ("floor", &self.floor, CHAT),
            ("floor-tee", &self.tee, CHAT),
            ("retake", &self.retake, RETAKE_CHAT),
        ]
    }

    fn stop(self) {
        self.retake.stop();
        self.tee.stop();
        self.floor.stop();
        self.upstream.stop();
    }
}

/// Time from start to the agent's own first line, empty store.
pub fn start(setup: &Setup) {
    head("start to listening, empty store", &["ms, median (range)"]);
    let times: Vec<f64> = (0..setup.rounds.max(7))
        .map(|_| {
            let store = tempfile::tempdir().expect("store");
            let subject = Subject::retake(store.path(), &["run", "--upstream", "http://127.0.0.1:9"]);
            let after = subject.started_after_us as f64 / 1000.0;
            subject.stop();
            after
        })
        .collect();
    row("retake run, until the agent has started", &[show(&times, " ms", 1)]);
}

/// Added latency at one connection, CPU per request at 16, memory.
pub fn record(setup: &Setup) {
    let recorders = Recorders::start();
    let requests = if setup.quick { 100 } else { 1000 };
    for (title, size, count) in [
        ("1 KB in, 2 KB out, 1 connection", 1_000, requests),
        ("200 KB in, 2 KB out, 1 connection", 200_000, requests / 2),
    ] {
        let mut p50: Vec<Vec<f64>> = vec![Vec::new(); 4];
        for round in 0..=setup.rounds {
            let mut order: Vec<usize> = (0..4).collect();
            order.rotate_left(round % 4);
            for which in order {
                let (_, subject, path) = recorders.all()[which];
                let times = block_on(async {
                    let mut connection = Connection::open(subject.port, path).await;
                    let mut times = Vec::with_capacity(count);
                    for index in 0..count {
                        let nonce = (round * 4 + which) as u64 * 1_000_000 + index as u64;
                        times.push(connection.ask(request(nonce, size, false)).await);
                    }
                    times
                });
                // The first round warms up.
                if round > 0 {
                    p50[which].push(median(&times));
                }
            }
        }
        let added: Vec<Vec<f64>> = (0..4)
            .map(|which| p50[which].iter().zip(&p50[0]).map(|(ours, direct)| ours - direct).collect())
            .collect();
        head(title, &["p50", "added", "added, of floor-tee's"]);
        for (which, (name, ..)) in recorders.all().iter().enumerate() {
            let of_tee = ratios(&added[which], &added[2]);
            row(name, &[show(&p50[which], " us", 0), show(&added[which], " us", 0), show(&of_tee, "x", 2)]);
        }
    }
    cpu(setup, &recorders);
    println!("\npeak memory of the recorder: {:.1} MB", recorders.retake.peak_mb());
    recorders.stop();
}

fn cpu(setup: &Setup, recorders: &Recorders) {
    let count = if setup.quick { 400 } else { 4000 };
    let mut cpu: Vec<Vec<f64>> = vec![Vec::new(); 4];
    let mut rate: Vec<Vec<f64>> = vec![Vec::new(); 4];
    for round in 0..setup.rounds {
        let mut order: Vec<usize> = (0..4).collect();
        order.rotate_left(round % 4);
        for which in order {
            let (_, subject, path) = recorders.all()[which];
            let (before, start) = (subject.cpu_us(), Instant::now());
            many(subject.port, path, 16, count, |index| {
                request((round * 4 + which) as u64 * 1_000_000 + 500_000 + index, 1_000, false)
            });
            rate[which].push(count as f64 / start.elapsed().as_secs_f64());
            cpu[which].push((subject.cpu_us() - before) / count as f64);
        }
    }
    head("1 KB in, 2 KB out, 16 connections", &["CPU per request", "of floor-tee's", "requests/s"]);
    for (which, (name, ..)) in recorders.all().iter().enumerate() {
        let of_tee = ratios(&cpu[which], &cpu[2]);
        row(name, &[show(&cpu[which], " us", 0), show(&of_tee, "x", 2), show(&rate[which], "", 0)]);
    }
}

/// `count` requests over so many connections; milliseconds of each.
fn many(port: u16, path: &str, connections: usize, count: usize, body: impl Fn(u64) -> Bytes) -> Vec<f64> {
    block_on(async {
        let local = tokio::task::LocalSet::new();
        let bodies: Vec<Bytes> = (0..count as u64).map(&body).collect();
        local
            .run_until(async {
                let mut tasks = Vec::new();
                for lane in 0..connections {
                    let mine: Vec<Bytes> = bodies.iter().skip(lane).step_by(connections).cloned().collect();
                    let path = path.to_string();
                    tasks.push(tokio::task::spawn_local(async move {
                        let mut connection = Connection::open(port, &path).await;
                        let mut times = Vec::with_capacity(mine.len());
                        for body in mine {
                            times.push(connection.ask(body).await);
                        }
                        times
                    }));
                }
                let mut all = Vec::new();
                for task in tasks {
                    all.extend(task.await.expect("load"));
                }
                all
            })
            .await
    })
}

/// Streaming: first byte and transit of a frame, 8 streams at once.
pub fn stream(setup: &Setup) {
    let recorders = Recorders::start();
    let streams = if setup.quick { 4 } else { 24 };
    let mut first: Vec<Vec<f64>> = vec![Vec::new(); 4];
    let mut transit: Vec<Vec<f64>> = vec![Vec::new(); 4];
    for round in 0..=setup.rounds {
        let mut order: Vec<usize> = (0..4).collect();
        order.rotate_left(round % 4);
        for which in order {
            let (_, subject, path) = recorders.all()[which];
            let (firsts, transits) = block_on(async {
                let mut tasks = Vec::new();
                for lane in 0..8_u64 {
                    let mut connection = Connection::open(subject.port, path).await;
                    tasks.push(tokio::spawn(async move {
                        let mut out = (Vec::new(), Vec::new());
                        for index in 0..streams / 4 {
                            let (f, t) =
                                connection.stream(request(lane * 1000 + index as u64, 1000, true)).await;
                            assert_eq!(t.len(), EVENTS);
                            out.0.push(f);
                            out.1.extend(t);
                        }
                        out
                    }));
                }
                let mut all = (Vec::new(), Vec::new());
                for task in tasks {
                    let (f, t) = task.await.expect("load");
                    all.0.extend(f);
                    all.1.extend(t);
                }
                all
            });
            if round > 0 {
                first[which].push(median(&firsts));
                transit[which].push(median(&transits));
            }
        }
    }
    head(
        "event stream, 5 ms between events, 8 streams",
        &["first byte", "of floor-tee's", "transit of an event", "of floor-tee's"],
    );
    for (which, (name, ..)) in recorders.all().iter().enumerate() {
        row(
            name,
            &[
                show(&first[which], " us", 0),
                show(&ratios(&first[which], &first[2]), "x", 2),
                show(&transit[which], " us", 0),
                show(&ratios(&transit[which], &transit[2]), "x", 2),
            ],
        );
    }
    recorders.stop();
}

/// The requests of a conversation that re-sends its history: 98 KB of system and tools, then ~3.6 KB a turn.
fn conversation(lane: u64, turns: usize) -> impl Iterator<Item = Bytes> {
    let tools: Vec<String> = (0..20)
        .map(|i| format!("{{\"type\":\"function\",\"function\":{{\"name\":\"tool_{i}\",\"description\":\"{}\",\"parameters\":{{\"type\":\"object\"}}}}}}", words(i, 1200)))
        .collect();
    let mut messages = format!("{{\"role\":\"system\",\"content\":\"{}\"}}", words(1, 6000));
    (0..turns).map(move |turn| {
        if turn > 0 {
            let before = lane * 1_000_000 + turn as u64 - 1;
            let answer: serde_json::Value =
                serde_json::from_str(&json_answer(&before.to_string())).expect("answer");
            messages.push_str(&format!(",{}", answer["choices"][0]["message"]));
        }
        let nonce = lane * 1_000_000 + turn as u64;
        messages.push_str(&format!(
            ",{{\"role\":\"user\",\"content\":\"{} nonce={nonce} \"}}",
            words(nonce + 11, 1000)
        ));
        Bytes::from(format!(
            "{{\"model\":\"bench\",\"stream\":false,\"tools\":[{}],\"messages\":[{messages}]}}",
            tools.join(",")
        ))
    })
}

/// Disk of one long conversation.
pub fn disk(setup: &Setup) {
    head(
        "one conversation that re-sends its history",
        &["on the wire", "run directory", "growth", "peak memory"],
    );
    let lengths: &[usize] = if setup.quick { &[50, 100] } else { &[50, 100, 200, 400, 800] };
    let mut before: Option<u64> = None;
    for &turns in lengths {
        let store = tempfile::tempdir().expect("store");
        let upstream = Subject::own(&["serve-upstream"]);
        let origin = format!("http://127.0.0.1:{}", upstream.port);
        let verb = ["run", "--name", "bench", "--upstream", &origin];
        let retake = Subject::retake(&store.path().join("store"), &verb);
        let mut wire = 0;
        block_on(async {
            let mut connection = Connection::open(retake.port, RETAKE_CHAT).await;
            for body in conversation(0, turns) {
                wire += body.len() as u64 + 2000;
                connection.ask(body).await;
            }
        });
        let memory = retake.peak_mb();
        retake.stop();
        upstream.stop();
        let size = size_of(&store.path().join("store/runs"));
        let growth = before.map_or("-".into(), |b| format!("x{:.2}", size as f64 / b as f64));
        before = Some(size);
        row(
            &format!("{turns} turns"),
            &[
                format!("{:.1} MB", wire as f64 / 1e6),
                format!("{:.3} MB", size as f64 / 1e6),
                growth,
                format!("{memory:.1} MB"),
            ],
        );
    }
}

struct Recording {
    store: tempfile::TempDir,
    /// Requests that were recorded, in order.
    bodies: Vec<Bytes>,
}

fn recording(bodies: Vec<Bytes>, connections: usize) -> Recording {
    let store = tempfile::tempdir().expect("store");
    let upstream = Subject::own(&["serve-upstream"]);
    let origin = format!("http://127.0.0.1:{}", upstream.port);
    let retake =
        Subject::retake(&store.path().join("store"), &["run", "--name", "bench", "--upstream", &origin]);
    many(retake.port, RETAKE_CHAT, connections, bodies.len(), |i| bodies[i as usize].clone());
    retake.stop();
    upstream.stop();
    let mut file = std::fs::File::create(store.path().join("bodies")).expect("bodies");
    for body in &bodies {
        let pair = (blake3::hash(body).to_hex().to_string(), json_answer(&nonce_of(body)));
        writeln!(file, "{}", serde_json::to_string(&pair).expect("pair")).expect("write");
    }
    Recording { store, bodies }
}

/// Replay of many single-turn exchanges, and of 50 lanes of 200 turns.
pub fn replay(setup: &Setup) {
    head(
        "replay",
        &[
            "first answer",
            "p50, 1 connection",
            "the map's",
            "ratio",
            "requests/s, 16",
            "the map's",
            "ratio",
            "peak memory",
        ],
    );
    let counts: &[usize] = if setup.quick { &[100, 2000] } else { &[100, 1000, 10_000] };
    for &count in counts {
        let bodies: Vec<Bytes> = (0..count as u64).map(|n| request(n, 1000, false)).collect();
        replayed(setup, &format!("{count} single-turn exchanges"), &recording(bodies, 16), 1, count);
    }
    let (lanes, turns) = if setup.quick { (4, 20) } else { (50, 200) };
    let mut bodies = vec![Bytes::new(); lanes * turns];
    for lane in 0..lanes {
        for (turn, body) in conversation(lane as u64, turns).enumerate() {
            bodies[turn * lanes + lane] = body;
        }
    }
    let title = format!("{lanes} lanes of {turns} turns");
    replayed(setup, &title, &recording(bodies, lanes), lanes, lanes * turns);
}

fn replayed(setup: &Setup, title: &str, recording: &Recording, lanes: usize, count: usize) {
    let bodies = &recording.bodies;
    let file = recording.store.path().join("bodies").display().to_string();
    let store = recording.store.path().join("store");
    let (mut first, mut memory) = (Vec::new(), Vec::new());
    let mut p50 = [Vec::new(), Vec::new()];
    let mut rate = [Vec::new(), Vec::new()];
    for _ in 0..setup.rounds {
        for which in [0, 1] {
            for connections in [1, 16] {
                let (subject, path) = replayer(which, &file, &store);
                // Lanes keep their order; single-turn requests have none.
                let per = if lanes > 1 && connections > 1 { lanes } else { connections };
                let take = if connections == 1 && lanes == 1 { count.min(2000) } else { count };
                let start = Instant::now();
                let head_start = subject.started_after_us as f64 / 1000.0;
                let ask_one = block_on(async {
                    let mut connection = Connection::open(subject.port, path).await;
                    connection.ask(bodies[0].clone()).await
                });
                if which == 1 && connections == 1 {
                    first.push(head_start + start.elapsed().as_secs_f64() * 1000.0);
                }
                let _ = ask_one;
                let start = Instant::now();
                let times = many_rest(subject.port, path, per, &bodies[..take]);
                if connections == 1 {
                    p50[which].push(median(&times));
                } else {
                    rate[which].push(times.len() as f64 / start.elapsed().as_secs_f64());
                }
                if which == 1 {
                    memory.push(subject.peak_mb());
                }
                subject.stop();
            }
        }
    }
    row(
        title,
        &[
            show(&first, " ms", 1),
            show(&p50[1], " us", 0),
            show(&p50[0], " us", 0),
            show(&ratios(&p50[1], &p50[0]), "x", 2),
            show(&rate[1], "", 0),
            show(&rate[0], "", 0),
            show(&ratios(&rate[1], &rate[0]), "x", 2),
            show(&memory, " MB", 1),
        ],
    );
}

fn replayer(which: usize, bodies: &str, store: &Path) -> (Subject, &'static str) {
    if which == 0 {
        return (Subject::own(&["serve-map", "--bodies", bodies]), CHAT);
    }
    (Subject::retake(store, &["replay", "bench.1"]), RETAKE_CHAT)
}

/// All but the first request, which was asked already.
fn many_rest(port: u16, path: &str, connections: usize, bodies: &[Bytes]) -> Vec<f64> {
    block_on(async {
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let mut tasks = Vec::new();
                for lane in 0..connections {
                    let skip = if lane == 0 { connections } else { lane };
                    let mine: Vec<Bytes> = bodies.iter().skip(skip).step_by(connections).cloned().collect();
                    let path = path.to_string();
                    tasks.push(tokio::task::spawn_local(async move {
                        let mut connection = Connection::open(port, &path).await;
                        let mut times = Vec::with_capacity(mine.len());
                        for body in mine {
                            times.push(connection.ask(body).await);
                        }
                        times
                    }));
                }
                let mut all = Vec::new();
                for task in tasks {
                    all.extend(task.await.expect("load"));
                }
                all
            })
            .await
    })
}
