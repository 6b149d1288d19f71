//! The programs that are measured, each a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// Waits for the end of standard input: the "agent" of a recorder whose load comes from elsewhere. Says when it began and
/// whom it is to trust.
pub fn wait() {
    let trusts = std::env::var("SSL_CERT_FILE").unwrap_or_default();
    println!("{} {trusts}", now_us());
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
}

/// A running subject.
pub struct Subject {
    pub port: u16,
    /// Microseconds from the start of the process until it took connections.
    pub started_after_us: u64,
    /// The file of certificates that its agent was given.
    pub trusted: PathBuf,
    child: Child,
}

fn this() -> std::path::PathBuf {
    std::env::current_exe().expect("own path")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("address").port()
}

impl Subject {
    /// One of this program's own servers.
    pub fn own(args: &[&str]) -> Subject {
        let start = now_us();
        let mut child = Command::new(this())
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("own server");
        let mut line = String::new();
        let out = child.stdout.take().expect("stdout");
        BufReader::new(out).read_line(&mut line).expect("port");
        let port = line.trim().parse().expect("port");
        Subject { port, started_after_us: now_us() - start, trusted: PathBuf::new(), child }
    }

    /// `retake …` with this program waiting as its agent.
    pub fn retake(store: &Path, verb: &[&str]) -> Subject {
        Subject::retake_that_trusts(None, store, verb)
    }

    /// The same, with a file of certificates of upstreams.
    pub fn retake_that_trusts(trusted: Option<&Path>, store: &Path, verb: &[&str]) -> Subject {
        let port = free_port();
        let start = now_us();
        let mut child = Command::new(env!("CARGO_BIN_EXE_retake"))
            .arg("--store")
            .arg(store)
            .args(verb)
            .args(["--port", &port.to_string(), "--"])
            .arg(this())
            .arg("wait")
            .envs(trusted.map(|file| ("SSL_CERT_FILE", file)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("retake");
        let mut line = String::new();
        let out = child.stdout.take().expect("stdout");
        BufReader::new(out).read_line(&mut line).expect("the agent's first line");
        let (at, trusted) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        let at: u64 = at.parse().unwrap_or(start);
        Subject { port, started_after_us: at - start, trusted: trusted.into(), child }
    }

    /// CPU time of the process so far, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = after.split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or_default();
        (ticks(11) + ticks(12)) * 10_000.0
    }

    /// Largest resident memory of the process so far, in MB.
    pub fn peak_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    }

    /// Ends it in order (its input ends; servers of our own are killed) and waits.
    pub fn stop(mut self) {
        if self.child.stdin.take().is_none() {
            let _ = self.child.kill();
        }
        let patience = Instant::now() + Duration::from_secs(60);
        while Instant::now() < patience {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of a directory, and how many of them belong to the index.
pub fn size_of(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|e| match e.metadata() {
            Ok(m) if m.is_dir() => size_of(&e.path()),
            Ok(m) => m.len(),
            Err(_) => 0,
        })
        .sum()
}
