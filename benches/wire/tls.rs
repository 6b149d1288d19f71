//! Interception: the same by CONNECT and through TLS that is ended in between, to an upstream behind TLS.

use crate::contest::{Contender, Contest};
use crate::figures::median;
use crate::load::{Connection, Secure, Way};
use crate::parts::{CHAT, Setup, block_on};
use crate::subject::Subject;
use crate::trust::{HOST, client};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Forward proxies that end TLS.
fn intercepting() -> Contest {
    let store = tempfile::tempdir().expect("store");
    let file = |name: &str| store.path().join(name);
    let text = |name: &str| file(name).display().to_string();
    let trusted = text("upstream.pem");
    let upstream = Subject::own(&["serve-upstream", "--shows", &trusted]);
    let floor_of = |shows: &str, tee: &[&str]| {
        let args = ["serve-floor-tls", "--trusted", &trusted, "--shows", &text(shows)];
        Subject::own(&[&args, tee].concat())
    };
    let floor = floor_of("floor.pem", &[]);
    let tee = floor_of("tee.pem", &["--tee", &text("tee")]);
    let verb = ["run", "--name", "bench", "--intercept"];
    let retake = Subject::retake_that_trusts(Some(Path::new(&trusted)), &file("store"), &verb);
    let inside = upstream.port;
    let contender = |name, subject: Subject, trusted: &Path, through| {
        let config = Arc::new(client(trusted, false));
        let secure = Some(Secure { host: HOST.to_string(), through, config });
        let way = Way { port: subject.port, path: CHAT.to_string(), secure };
        Contender { name, subject, way }
    };
    let trusted_by_agent = retake.trusted.clone();
    let contenders = [
        contender("direct", upstream, &file("upstream.pem"), None),
        contender("floor-tls", floor, &file("floor.pem"), Some(inside)),
        contender("floor-tls-tee", tee, &file("tee.pem"), Some(inside)),
        contender("retake", retake, &trusted_by_agent, Some(inside)),
    ];
    Contest::of(contenders, store)
}

/// Everything that is measured of it.
pub fn all(setup: &Setup) {
    let contest = intercepting();
    let requests = if setup.quick { 100 } else { 1000 };
    contest.latency(setup, "through TLS: 1 KB in, 2 KB out, 1 connection", 1_000, requests);
    contest.latency(setup, "through TLS: 200 KB in, 2 KB out, 1 connection", 200_000, requests / 2);
    contest.cpu(setup, "through TLS: 1 KB in, 2 KB out, 16 connections");
    contest.streams(setup, "through TLS: event stream, 5 ms between events, 8 streams");
    connections(setup, &contest);
    contest.memory();
    contest.stop();
}

/// What a new connection costs until its handshake is done. The upstream itself has only one name.
fn connections(setup: &Setup, contest: &Contest) {
    let count = if setup.quick { 20 } else { 200 };
    let titles = [
        "through TLS: a new connection, CONNECT and handshake, host known",
        "the same, session taken up again",
        "the same, host never seen before",
    ];
    for (kind, title) in titles.into_iter().enumerate() {
        let times = contest.rounds(setup, |round, _, contender| {
            let resuming = contender.way.secure.as_ref().map(|secure| {
                let mut config = secure.config.as_ref().clone();
                config.resumption = rustls::client::Resumption::in_memory_sessions(64);
                Arc::new(config)
            });
            let way = |index: usize| {
                let mut way = contender.way.clone();
                let Some(secure) = &mut way.secure else { return way };
                match (&resuming, kind) {
                    (Some(config), 1) => secure.config = config.clone(),
                    (_, 2) if secure.through.is_some() => {
                        secure.host = format!("host-{round}-{index}.bench.test");
                    }
                    _ => {}
                }
                way
            };
            let times = block_on(async {
                let mut times = Vec::with_capacity(count);
                for index in 0..count {
                    let way = way(index);
                    let start = Instant::now();
                    let connection = Connection::open(&way).await;
                    times.push(start.elapsed().as_secs_f64() * 1e6);
                    connection.settle().await;
                }
                times
            });
            median(&times)
        });
        contest.table(title, "until it can be used", &times);
    }
}
