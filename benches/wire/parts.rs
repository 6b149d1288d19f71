//! What is measured, part by part.

use crate::figures::{head, median, ratios, row, show};
use crate::load::{Connection, Way, nonce_of, request, words};
use crate::subject::{Subject, size_of};
use crate::upstream::json_answer;
use bytes::Bytes;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// How thoroughly to measure.
pub struct Setup {
    pub rounds: usize,
    pub quick: bool,
}

pub const CHAT: &str = "/v1/chat/completions";
pub const RETAKE_CHAT: &str = "/openai/v1/chat/completions";

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(future)
}

/// Time from start to the agent's own first line, empty store.
pub fn start(setup: &Setup) {
    head("start to listening, empty store", &["ms, median (range)"]);
    for (what, more) in [("retake run", None), ("retake run --intercept", Some("--intercept"))] {
        let times: Vec<f64> = (0..setup.rounds.max(7))
            .map(|_| {
                let store = tempfile::tempdir().expect("store");
                let verb: Vec<&str> =
                    ["run", "--upstream", "http://127.0.0.1:9"].into_iter().chain(more).collect();
                let subject = Subject::retake(store.path(), &verb);
                let after = subject.started_after_us as f64 / 1000.0;
                subject.stop();
                after
            })
            .collect();
        row(&format!("{what}, until the agent has started"), &[show(&times, " ms", 1)]);
    }
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
            let mut connection = Connection::open(&Way::plain(retake.port, RETAKE_CHAT)).await;
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

/// `count` requests over so many connections; milliseconds of each.
pub fn many(way: &Way, connections: usize, count: usize, body: impl Fn(u64) -> Bytes) -> Vec<f64> {
    block_on(async {
        let local = tokio::task::LocalSet::new();
        let bodies: Vec<Bytes> = (0..count as u64).map(&body).collect();
        local
            .run_until(async {
                let mut tasks = Vec::new();
                for lane in 0..connections {
                    let mine: Vec<Bytes> = bodies.iter().skip(lane).step_by(connections).cloned().collect();
                    let way = way.clone();
                    tasks.push(tokio::task::spawn_local(async move {
                        let mut connection = Connection::open(&way).await;
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
    many(&Way::plain(retake.port, RETAKE_CHAT), connections, bodies.len(), |i| bodies[i as usize].clone());
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
                let (subject, way) = replayer(which, &file, &store);
                // Lanes keep their order; single-turn requests have none.
                let per = if lanes > 1 && connections > 1 { lanes } else { connections };
                let take = if connections == 1 && lanes == 1 { count.min(2000) } else { count };
                let start = Instant::now();
                let head_start = subject.started_after_us as f64 / 1000.0;
                let ask_one = block_on(async {
                    let mut connection = Connection::open(&way).await;
                    connection.ask(bodies[0].clone()).await
                });
                if which == 1 && connections == 1 {
                    first.push(head_start + start.elapsed().as_secs_f64() * 1000.0);
                }
                let _ = ask_one;
                let start = Instant::now();
                let times = many_rest(&way, per, &bodies[..take]);
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

fn replayer(which: usize, bodies: &str, store: &Path) -> (Subject, Way) {
    let (subject, path) = match which {
        0 => (Subject::own(&["serve-map", "--bodies", bodies]), CHAT),
        _ => (Subject::retake(store, &["replay", "bench.1"]), RETAKE_CHAT),
    };
    let way = Way::plain(subject.port, path);
    (subject, way)
}

/// All but the first request, which was asked already.
fn many_rest(way: &Way, connections: usize, bodies: &[Bytes]) -> Vec<f64> {
    block_on(async {
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let mut tasks = Vec::new();
                for lane in 0..connections {
                    let skip = if lane == 0 { connections } else { lane };
                    let mine: Vec<Bytes> = bodies.iter().skip(skip).step_by(connections).cloned().collect();
                    let way = way.clone();
                    tasks.push(tokio::task::spawn_local(async move {
                        let mut connection = Connection::open(&way).await;
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
