//! Clients that know no base URL: through the forward proxy, with TLS ended in between.

use crate::support::certificate::Certificate;
use crate::support::env::{Ran, TestEnv, project};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const SAID: &str = "You said: 7 left\n";

/// A model behind TLS and a tool over HTTP, gone when this is dropped.
pub struct Shop {
    pub env: TestEnv,
    server: Child,
    pub model: String,
    pub tool: String,
}

impl Shop {
    pub fn open() -> Shop {
        let mut env = TestEnv::new();
        let certificate = Certificate::of("localhost");
        let (leaf, key) = certificate.pem();
        let file = |name: &str, text: String| {
            let path = env.home().join(name);
            std::fs::write(&path, text).expect("write");
            path.display().to_string()
        };
        let (trusted, leaf, key) =
            (file("trusted.pem", certificate.authority), file("leaf.pem", leaf), file("key.pem", key));
        let mut server = Command::new("python3")
            .arg(project().join("tests/it/agents/shop_server.py"))
            .args([leaf, key])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        BufReader::new(server.stdout.take().expect("stdout")).read_line(&mut line).expect("ports");
        let (tls, plain) = line.trim().split_once(' ').expect("two ports");
        // What retake itself is to trust, as its user would say it.
        env.set("SSL_CERT_FILE", trusted);
        Shop {
            env,
            server,
            model: format!("https://localhost:{tls}"),
            tool: format!("http://127.0.0.1:{plain}"),
        }
    }

    fn run(&self, flags: &[&str]) -> Ran {
        let agent = project().join("tests/it/agents/shopper.py").display().to_string();
        let command = ["--", "python3", &agent, &self.tool, &self.model];
        self.env.retake([&["run", "--name", "shop"], flags, &command].concat())
    }

    fn close(&mut self) {
        // It may be gone already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.close();
    }
}

#[test]
fn a_fixed_address_and_a_tool_over_http_are_recorded_and_replayed() {
    let mut shop = Shop::open();
    let ran = shop.run(&["--intercept"]).expect(0);
    assert_eq!(ran.out, SAID);
    ran.says(&["1 step"]);
    shop.close();
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(0);
    assert_eq!(replayed.out, SAID);
    replayed.says(&["1/1 steps", "0 live calls", "same outcome"]);
    let shown = shop.env.retake(["show", "shop.1", "--json"]).expect(0).json();
    assert_eq!(shown["steps"].as_array().map(Vec::len), Some(1), "{shown}");
}

#[test]
fn without_interception_the_agent_goes_by_itself() {
    let shop = Shop::open();
    let ran = shop.run(&[]).expect(3);
    assert_eq!(ran.out, SAID);
    ran.says(&["nothing was recorded", "--intercept"]);
}

#[test]
fn a_host_that_is_left_out_is_passed_on_unseen_and_not_reached_by_a_replay() {
    let shop = Shop::open();
    let ran = shop.run(&["--except", "localhost"]);
    assert_eq!(ran.out, SAID);
    let seen = shop.env.retake(["show", "shop.1", "--json"]).expect(0).json();
    assert_eq!(seen["steps"].as_array().map(Vec::len), Some(0), "{seen}");
    let replayed = shop.env.retake(["replay", "shop.1"]);
    assert_ne!(replayed.code, 0, "{}", replayed.all());
    assert!(replayed.err.contains("502"), "{}", replayed.all());

    let ran = shop.run(&["--only", "localhost"]).expect(0);
    assert_eq!(ran.out, SAID);
    let seen = shop.env.retake(["show", "shop.2", "--json"]).expect(0).json();
    assert_eq!(seen["steps"].as_array().map(Vec::len), Some(1), "{seen}");
    assert!(!ran.err.contains("/stock"), "{}", ran.err);
}

#[test]
fn a_client_that_takes_no_other_certificate_is_passed_on_and_named() {
    let mut shop = Shop::open();
    let trusted = shop.env.home().join("trusted.pem").display().to_string();
    shop.env.set("PINNED", trusted);
    let ran = shop.run(&["--intercept"]);
    assert_eq!(ran.out, SAID, "{}", ran.err);
    ran.says(&["localhost is not recorded", "--except localhost"]);
}

/// Clients open connections that they do not need: one that ends in the handshake says nothing of its host.
#[test]
fn a_connection_that_is_broken_off_does_not_hide_its_host() {
    let mut shop = Shop::open();
    shop.env.set("HANGS_UP", "hello");
    let ran = shop.run(&["--intercept"]).expect(0);
    assert_eq!(ran.out, SAID, "{}", ran.err);
    ran.says(&["1 step"]);
    assert!(!ran.err.contains("not recorded"), "{}", ran.err);
}

#[test]
fn a_client_that_goes_away_when_it_sees_the_certificate_is_named_and_told_what_to_set() {
    let mut shop = Shop::open();
    shop.env.set("HANGS_UP", "shy");
    let ran = shop.run(&["--intercept"]).expect(1);
    ran.says(&["reached localhost and did not go on", "SSL_CERT_FILE", "--except localhost"]);
    assert!(!ran.err.contains("run --intercept"), "{}", ran.err);
}

/// Metrics come at moments of their own. Nothing follows from them: the replay goes on without, and says so.
#[test]
fn telemetry_that_was_not_recorded_is_no_miss() {
    for recorded in [false, true] {
        let mut shop = Shop::open();
        if recorded {
            shop.env.set("TELEMETRY", "1");
        }
        shop.run(&["--intercept"]).expect(0);
        shop.close();
        shop.env.set("TELEMETRY", "1");
        let replayed = shop.env.retake(["replay", "shop.1"]).expect(0);
        assert_eq!(replayed.out, SAID);
        replayed.says(&[if recorded { "told: 200" } else { "told: 202" }, "same outcome"]);
        let told = shop.env.retake(["replay", "shop.1", "--json"]).expect(0).json();
        assert_eq!(told["matching"]["side_unknown"], i32::from(!recorded), "{told:#}");
    }
}

#[test]
fn nothing_of_the_authority_is_left_behind() {
    let mut shop = Shop::open();
    let temp = shop.env.home().join("temp");
    std::fs::create_dir(&temp).expect("temp");
    shop.env.set("TMPDIR", temp.display().to_string());
    shop.run(&["--intercept"]).expect(0);
    let left: Vec<_> = std::fs::read_dir(&temp).expect("temp").flatten().map(|e| e.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    let kept = shop.env.retake(["export", "shop.1", "shop.retake"]).expect(0);
    assert!(!kept.all().contains("PRIVATE"), "{}", kept.all());
}
