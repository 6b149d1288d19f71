//! Runs in files: export and import, on this machine and on another.

use crate::support::env::{Ran, TestEnv};
use crate::support::upstream::{FakeUpstream, Script};
use crate::support::worker::Worker;
use serde_json::{Value, json};

fn export(env: &TestEnv, run: &str, file: &str) -> Vec<u8> {
    env.retake(["export", "--force", run, file]).expect(0);
    std::fs::read(env.work().join(file)).unwrap()
}

/// Another machine: another home, another store with another key. It has the file.
fn elsewhere(worker: &Worker, bytes: &[u8]) -> TestEnv {
    let env = TestEnv::new();
    std::fs::write(env.work().join("w.retake"), bytes).unwrap();
    std::fs::copy(worker.env.work().join("agent.py"), env.work().join("agent.py")).unwrap();
    env
}

#[test]
fn there_and_back_is_the_same_to_the_byte() {
    let worker = Worker::forked();
    for run in ["w.1", "w.2"] {
        let bytes = export(&worker.env, run, "w.retake");
        assert!(export(&worker.env, run, "again.retake") == bytes, "{run}: the same run, the same bytes");
        let other = elsewhere(&worker, &bytes);
        let id = other.retake(["import", "w.retake", "--json"]).expect(0).json()["run"].clone();
        assert_eq!(id, "w.1");
        // The number is this store's own.
        let here = String::from_utf8(export(&other, "w.1", "out.retake")).unwrap();
        let there = String::from_utf8(bytes).unwrap();
        let differ: Vec<_> = there.lines().zip(here.lines()).filter(|(a, b)| a != b).collect();
        assert_eq!(there.lines().count(), here.lines().count());
        match run {
            "w.1" => assert!(differ.is_empty(), "{differ:#?}"),
            // The line that names it, and the checksum of all.
            _ => assert_eq!(differ.len(), 2, "{differ:#?}"),
        }
    }
}

#[test]
fn through_a_pipe() {
    let worker = Worker::recorded();
    let bytes = export(&worker.env, "w.1", "w.retake");
    let piped = worker.env.retake(["export", "w.1", "-"]).expect(0);
    assert!(piped.out.as_bytes() == bytes && piped.err.is_empty(), "{}", piped.err);
}

#[test]
fn plays_on_another_machine() {
    let worker = Worker::forked();
    let other = elsewhere(&worker, &export(&worker.env, "w.2", "w.retake"));
    let told = other.retake(["import", "w.retake"]).expect(0);
    assert!(told.out.starts_with("imported  w.1   8 steps"), "{}", told.out);
    let asked = worker.model.connections();
    let mut other = other;
    other.set("TASK", "refund A123");
    let replayed = other.retake(Worker::command(&["replay", "w.1"], &[])).expect(0);
    assert!(replayed.out.contains("escalated"), "{}", replayed.out);
    assert_eq!(worker.model.connections(), asked);
    // Its parent is known by name, and is not needed.
    let shown = other.retake(["show", "w.1", "--json"]).expect(0).json();
    assert_eq!(shown["manifest"]["parent"]["edits"], json!(["7:result.risk=\"high\""]));
    for step in ["1", "7", "8"] {
        other.retake(["show", "w.1", step]).expect(0);
        other.retake(["show", "w.1", step, "--checkpoint"]).expect(0);
    }
}

#[test]
fn twice_makes_two_that_do_not_hold_on_to_each_other() {
    let worker = Worker::recorded();
    let env = &worker.env;
    export(env, "w.1", "w.retake");
    for id in ["w.2", "w.3"] {
        let told = env.retake(["import", "--again", "w.retake"]).expect(0);
        assert!(told.out.contains(id), "{}", told.out);
    }
    env.retake(["import", "w.retake", "--name", "other"]).expect(0);
    env.retake(["import", "w.retake", "--name", "no/name"]).expect(64);
    assert_eq!(env.listed(), ["other.1", "w.1", "w.2", "w.3"]);
    // The three have one uuid: a fork of one is not confused by the others.
    env.retake(["fork", "w.2", "--set", "7:result.risk=\"high\"", "--name", "f", "--yes"]).expect(0);
    for gone in ["w.3", "w.1", "w.2"] {
        env.retake(["rm", gone]).expect(0);
        let replayed = env.retake(["replay", "f.1"]).expect(0);
        assert!(replayed.out.contains("escalated"), "without {gone}: {}", replayed.out);
        env.retake(["show", "f.1", "6", "--context"]).expect(0);
    }
}

#[test]
fn how_it_ended_comes_along() {
    let env = TestEnv::new();
    let mut child = env.recording("n");
    child.kill().unwrap();
    child.wait().unwrap();
    env.retake(["export", "n.1", "n.retake"]).expect(0);
    env.retake(["import", "n.retake", "--name", "back"]).expect(0);
    let runs = env.retake(["ls", "--json"]).expect(0).json();
    let states: Vec<&Value> = runs.as_array().unwrap().iter().map(|run| &run["state"]).collect();
    assert_eq!(states, ["interrupted", "interrupted"]);
}

#[test]
fn what_is_no_run_file_is_refused_with_its_place() {
    let worker = Worker::recorded();
    let env = &worker.env;
    let text = String::from_utf8(export(env, "w.1", "w.retake")).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let newer = text.replacen("\"major\":1", "\"major\":2", 1);
    let edited = text.replacen("You handle refunds.", "You handle chairs.", 1);
    let at = 1 + lines.iter().position(|l| l.contains("You handle refunds.")).unwrap();
    assert!(newer != text && edited != text);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut zipped, text.as_bytes()).unwrap();
    let files: [(&str, Vec<u8>, &[&str]); 6] = [
        ("cut", lines[..9].concat().into(), &["cut off after line 9"]),
        ("half", text.as_bytes()[..lines[..9].concat().len() + 20].to_vec(), &["cut off after line 9"]),
        ("edited", edited.into(), &[&format!("line {at}: "), "--allow-edited"]),
        ("newer", newer.into(), &["format 2.0", "1.x", "newer retake"]),
        ("zipped", zipped.finish().unwrap(), &["not a retake run file"]),
        ("empty", Vec::new(), &["not a retake run file"]),
    ];
    for (name, bytes, words) in files {
        std::fs::write(env.work().join(name), bytes).unwrap();
        let refused = env.retake(["import", name]).expect(3);
        assert!(refused.err.starts_with(&format!("retake: {name}: ")), "{}", refused.err);
        refused.says(words);
    }
    env.retake(["import", "nowhere"]).expect(3).says(&["nowhere"]);
    env.retake(["import", "."]).expect(3).says(&["retake: .: "]);
    env.retake(["export", "w.1", "no/such/place"]).expect(3).says(&["no/such/place"]);
    assert_eq!(env.listed(), ["w.1"]);
    let fresh = TestEnv::new();
    std::fs::write(fresh.work().join("bad"), "{}").unwrap();
    fresh.retake(["import", "bad"]).expect(3);
    assert!(!fresh.store().exists(), "no store for a file that is none");
}

/// Says its token if SAY is set; prints what the model says, and goes on from it.
const TALKER: &str = r#"
import json, os, urllib.request
token = os.environ["SHOP_TOKEN"] if os.environ.get("SAY") else "none"
messages = [{"role": "user", "content": "my token: %s" % token}]
for _ in range(2):
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"model": "m", "messages": messages}).encode(),
        {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
    answer = json.load(urllib.request.urlopen(request))["choices"][0]["message"]
    print(answer["content"])
    messages += [answer, {"role": "user", "content": "go on"}]
"#;

/// In the recording; elsewhere today; elsewhere another day.
const THEN: &str = "vQ7rT2mX9pLw4ZcK8dNs";
const TODAY: &str = "aB3dE6gH9jK2mN5pQ8sT";
const LONGER: &str = "zY9xW8vU7tS6rQ5pO4nM3lK2";

fn uses(token: &str) -> String {
    format!("I use <{token}> now\nI use <{token}> now\n")
}

/// A recording of the talker, and its export in a place with another key.
fn told_elsewhere(say: &str) -> (TestEnv, TestEnv, Vec<u8>) {
    let message = json!({"role": "assistant", "content": format!("I use <{THEN}> now")});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let body = json!({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]});
    let upstream = FakeUpstream::always(Script::json(&body.to_string()));
    let mut env = TestEnv::new();
    env.upstream(&upstream.origin());
    env.set("SHOP_TOKEN", THEN);
    env.set("SAY", say);
    env.file("agent.py", TALKER);
    let recorded = env.retake(["run", "--name", "t", "--", "python3", "agent.py"]).expect(0);
    assert_eq!(recorded.out, uses(THEN));
    let bytes = export(&env, "t.1", "t.retake");
    let mut other = TestEnv::new();
    other.set("OPENAI_API_KEY", "sk-other-Hy4kQ9wLm2Xc7Vb5Nz8Rt3Pd6Jf1");
    other.set("SAY", say);
    other.file("agent.py", TALKER);
    std::fs::write(other.work().join("t.retake"), &bytes).unwrap();
    other.retake(["import", "t.retake"]).expect(0);
    let key = |env: &TestEnv| std::fs::read(env.store().join("key")).unwrap();
    assert_ne!(key(&env), key(&other));
    (env, other, bytes)
}

fn replayed(env: &TestEnv) -> Ran {
    env.retake(["replay", "t.1", "--", "python3", "agent.py"])
}

#[test]
fn todays_secret_is_served_where_the_environment_has_it() {
    let (env, mut other, bytes) = told_elsewhere("");
    assert_eq!(memchr::memmem::find(&bytes, THEN.as_bytes()), None);
    assert_eq!(replayed(&env).expect(0).out, uses(THEN), "the same secret here and now");
    // Nobody knows it: a stand-in of the same length, and it is counted.
    let blind = replayed(&other).expect(0);
    let shown = &blind.out["I use <".len()..blind.out.find('>').unwrap()];
    assert!(shown.len() == THEN.len() && blind.out == uses(shown), "{}", blind.out);
    blind.says(&["stand-in"]);
    for value in [TODAY, LONGER] {
        other.set("SHOP_TOKEN", value);
        let today = replayed(&other).expect(0);
        assert_eq!(today.out, uses(value), "{}", today.err);
    }
    assert!(export(&other, "t.1", "o.retake") == bytes, "stand-ins travel as they are");
    // A recording of the replay holds no more than the recording.
    other.retake(["replay", "t.1", "--record", "--", "python3", "agent.py"]).expect(0);
    assert_eq!(memchr::memmem::find(&export(&other, "t.2", "p.retake"), LONGER.as_bytes()), None);
}

#[test]
fn todays_secret_is_served_where_the_request_has_it() {
    let (env, mut other, _) = told_elsewhere("1");
    assert_eq!(replayed(&env).expect(0).out, uses(THEN));
    other.set("SHOP_TOKEN", TODAY);
    let today = replayed(&other).expect(0);
    assert_eq!(today.out, uses(TODAY), "{}", today.err);
}

#[test]
fn todays_secret_is_served_in_a_stream() {
    let script = |token: &str| {
        let mut events: Vec<String> = Vec::new();
        for piece in ["I use <", &token[..7], &token[7..12], &token[12..], "> now"] {
            let choice = json!({"index": 0, "delta": {"content": piece}, "finish_reason": null});
            let event = json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]});
            events.push(format!("data: {event}\n\n"));
        }
        events.push("data: [DONE]\n\n".into());
        Script::events(&events.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let upstream = FakeUpstream::always(script(THEN));
    let mut env = TestEnv::new();
    env.upstream(&upstream.origin());
    env.set("SHOP_TOKEN", THEN);
    env.file("agent.py", STREAMER);
    let recorded = env.retake(["run", "--name", "t", "--", "python3", "agent.py"]).expect(0);
    assert_eq!(recorded.out, uses(THEN));
    for value in [THEN, TODAY, LONGER] {
        env.set("SHOP_TOKEN", value);
        let today = replayed(&env).expect(0);
        assert_eq!(today.out, uses(value), "{}", today.err);
    }
}

/// The talker, for answers in pieces.
const STREAMER: &str = r#"
import json, os, urllib.request
messages = [{"role": "user", "content": "hello"}]
for _ in range(2):
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"model": "m", "stream": True, "messages": messages}).encode(),
        {"content-type": "application/json"})
    said = ""
    for line in urllib.request.urlopen(request):
        if line.startswith(b"data: {"):
            said += json.loads(line[6:])["choices"][0]["delta"]["content"]
    print(said)
    messages += [{"role": "assistant", "content": said}, {"role": "user", "content": "go on"}]
"#;

#[test]
fn what_belongs_to_the_machine_stays_there() {
    let mut worker = Worker::new();
    let machine = [
        ("SSL_CERT_FILE", "/opt/corp-xyzzy/ca.pem"),
        ("REQUESTS_CA_BUNDLE", "/opt/corp-xyzzy/ca.pem"),
        ("NODE_EXTRA_CA_CERTS", "/opt/corp-xyzzy/ca.pem"),
        ("CURL_CA_BUNDLE", "/opt/corp-xyzzy/ca.pem"),
        ("HOSTNAME", "xyzzy-7f9c"),
        ("KUBERNETES_SERVICE_HOST", "10.xyzzy.0.1"),
        ("SHOP_PORT_443_TCP_ADDR", "10.xyzzy.0.2"),
        ("DOCKER_HOST", "unix:///xyzzy.sock"),
        ("KUBECONFIG", "/xyzzy/kube"),
        ("container", "xyzzy"),
        ("CODESPACE_NAME", "xyzzy"),
        ("USER", "xyzzy"),
        ("SSH_AUTH_SOCK", "/xyzzy"),
        ("HTTPS_PROXY", "http://xyzzy:3128"),
        ("TMP", "/xyzzy"),
    ];
    for (name, value) in machine {
        worker.env.set(name, value);
    }
    worker.env.set("NO_PROXY", "127.0.0.1");
    worker.env.set("AGENT_MODE", "cautious");
    worker.record(&[]).expect(0);
    let text = String::from_utf8(export(&worker.env, "w.1", "w.retake")).unwrap();
    let line: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    let names: Vec<&String> = line["run"]["environment"].as_object().unwrap().keys().collect();
    // What an agent may depend on, and nothing else.
    let kept = [
        "AGENT_MODE",
        "ANTHROPIC_API_BASE",
        "ANTHROPIC_BASE_URL",
        "LC_ALL",
        "NO_COLOR",
        "OPENAI_API_BASE",
        "OPENAI_BASE_URL",
        "TASK",
    ];
    assert_eq!(names, kept);
    assert!(!text.contains("xyzzy"));
    let members: Vec<&String> = line["run"].as_object().unwrap().keys().collect();
    let leave = [
        "id",
        "uuid",
        "recorder",
        "started_us",
        "command",
        "directory",
        "environment",
        "secret_variables",
        "upstreams",
        "outcome",
        "stand_ins",
        "replaced",
    ];
    assert_eq!(members, leave, "a new member leaves the machine: is it meant to?");
}
