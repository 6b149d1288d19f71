//! Agents of a shared proxy that work elsewhere than it does, and hosts that they reach past it.

use crate::attach::{Attached, echo};
use crate::intercept::Shop;
use crate::support::coder::Place;
use crate::support::env::{Ran, TestEnv, project, ran};
use nix::sys::signal::Signal;
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};

/// Tells the model where it is and prints what comes back.
const AGENT: &str = r#"
import json, os, tempfile, urllib.request
said = "I work in %s/src, my home is %s, my notes are in %s/notes." % (os.getcwd(), os.environ["HOME"], tempfile.gettempdir())
body = json.dumps({"model": "small", "messages": [{"role": "user", "content": said}]}).encode()
headers = {"content-type": "application/json", "authorization": "Bearer none"}
request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body, headers)
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
"#;

/// Runs a command line at a place, in a shell that was led to the proxy from there.
fn led(env: &TestEnv, proxy: &Attached, place: &Place, flags: &str, command: &str) -> Ran {
    let retake = env!("CARGO_BIN_EXE_retake");
    let script = format!("eval \"$('{retake}' env --proxy {} {flags})\"; {command}", proxy.here());
    let own = env.command([""]);
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env_clear().envs(own.get_envs().filter_map(|(n, v)| Some((n, v?))));
    shell.current_dir(place.work()).env("HOME", place.home()).env("TMPDIR", place.temp());
    ran(shell.stdin(Stdio::null()).output().expect("sh"))
}

#[test]
fn a_recording_knows_where_its_agent_was_and_a_replay_where_it_is() {
    let model = echo();
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    env.set("RETAKE_STORE", env.store().display().to_string());
    let agent = format!("python3 '{}'", env.file("agent.py", AGENT).display());
    let (there, elsewhere) = (Place::new("checkout"), Place::new("other"));
    let proxy = Attached::start(&env, &[]);
    for (flags, run) in [("--name fix", "fix.1"), ("", "proxy.1")] {
        let said = led(&env, &proxy, &there, flags, &agent).expect(0).out;
        for path in there.roots() {
            assert!(said.contains(&path), "no {path} in {said}");
        }
        let end = if flags.is_empty() { "/retake/end?exit=0" } else { "/r/fix/end?exit=0" };
        assert_eq!(proxy.post(end, "").0, 200);
        let manifest = env.retake(["show", run, "--json"]).expect(0).json()["manifest"].clone();
        let told =
            ["directory", "home", "temp"].map(|name| manifest[name].as_str().unwrap_or("").to_string());
        assert_eq!(told, there.roots());
    }
    proxy.end(Signal::SIGTERM).expect(0);
    let asked = model.connections();

    let at = |place: &Place, words: &[&str]| {
        let mut command = env.command(words);
        command.current_dir(place.work()).env("HOME", place.home()).env("TMPDIR", place.temp());
        ran(command.output().expect("the binary runs"))
    };
    let script = env.work().join("agent.py").display().to_string();
    for run in ["fix.1", "proxy.1"] {
        let replayed = at(&elsewhere, &["replay", run, "--", "python3", &script]).expect(0);
        for path in elsewhere.roots() {
            assert!(replayed.out.contains(&path), "no {path} in {}", replayed.out);
        }
    }
    // Where agents that are led there are, the proxy that replays is told, too.
    let replaying = Attached::start(&env, &["--replay", "fix.1"]);
    for (name, place) in [("a", &elsewhere), ("b", &there)] {
        let said = led(&env, &replaying, place, &format!("--name {name}"), &agent).expect(0).out;
        for path in place.roots() {
            assert!(said.contains(&path), "no {path} in {said}");
        }
        let (status, ended) = replaying.post(&format!("/r/{name}/end?exit=0"), "");
        assert_eq!((status, &ended["exit"]), (200, &json!(0)), "{ended}");
    }
    replaying.end(Signal::SIGTERM).expect(0);
    assert_eq!(model.connections(), asked, "no replay dials");
}

#[test]
fn a_place_is_told_by_who_may_and_is_one() {
    let (model, mut env) = (echo(), TestEnv::new());
    env.upstream(&model.origin());
    let proxy = Attached::start(&env, &["--token", "0123456789abcdef"]);
    assert_eq!(proxy.put("/retake/place", "", "{}").0, 403);
    let front = "/t/0123456789abcdef";
    let place = json!({"directory": "/w", "home": "/h", "temp": "/t"}).to_string();
    for (target, fields, body, status) in [
        ("/retake/place", "", place.as_str(), 200),
        ("/r/fix/place", "", &place, 200),
        ("/r/fix/place", "Origin: http://evil.test\r\n", &place, 405),
        ("/r/../place", "", &place, 400),
        ("/retake/place", "", r#"{"directory":"w"}"#, 400),
        ("/retake/place", "", &format!("{}{place}", " ".repeat(20_000)), 400),
    ] {
        assert_eq!(proxy.put(&format!("{front}{target}"), fields, body).0, status, "{target} {fields}");
    }
    proxy.end(Signal::SIGTERM).expect(0);
    assert!(!Path::new(&env.store()).join("runs").join("fix.1").exists(), "no run began");
}

#[test]
fn hosts_that_were_passed_on_unseen_are_told_with_the_run() {
    let mut shop = Shop::open();
    let trusted = shop.env.home().join("trusted.pem").display().to_string();
    shop.env.set("PINNED", trusted);
    let proxy = Attached::start(&shop.env, &["--intercept"]);
    let agent = project().join("tests/it/agents/shopper.py").display().to_string();
    let command = format!("python3 '{agent}' {} {}", shop.tool, shop.model);
    let place = Place::new("shop");
    for name in ["one", "two"] {
        led(&shop.env, &proxy, &place, &format!("--intercept --name {name}"), &command);
        let (status, ended) = proxy.post(&format!("/r/{name}/end?exit=0"), "");
        let told = ended["not_recorded"].to_string();
        assert!(status == 200 && told.contains("localhost is not recorded: its client takes no"), "{ended}");
    }
    let told = proxy.end(Signal::SIGTERM).expect(0);
    assert_eq!(told.err.matches("localhost is not recorded").count(), 2, "{}", told.err);
}
