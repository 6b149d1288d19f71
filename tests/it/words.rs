//! What the binary says is true, can be pasted, and keeps what is not for others.

use crate::support::env::TestEnv;
use crate::support::refund_model::RefundModel;
use crate::support::upstream::{FakeUpstream, Script};

/// Asks what the arguments say (`METHOD PATH`), with basic auth where the base URL has a password.
const CALLER: &str = r#"
import base64, json, os, sys, urllib.request
from urllib.parse import urlsplit
base = os.environ["OPENAI_BASE_URL"]
parts = urlsplit(base)
bare = base.replace(parts.username + ":" + parts.password + "@", "") if parts.username else base
method, path = sys.argv[1:3]
body = json.dumps({"model": "m", "messages": [{"role": "user", "content": os.environ.get("TASK", "hi")}]}).encode()
request = urllib.request.Request(bare + path, body if method == "POST" else None, method=method)
request.add_header("content-type", "application/json")
if parts.username:
    pair = (parts.username + ":" + parts.password).encode()
    request.add_header("authorization", "Basic " + base64.b64encode(pair).decode())
with urllib.request.urlopen(request) as response:
    response.read()
print(os.environ.get("AGENT_MODE"), os.environ.get("DATA_DIR"), os.environ.get("SSL_CERT_FILE"))
"#;

fn asked(env: &TestEnv) -> Vec<&'static str> {
    env.file("caller.py", CALLER);
    vec!["run", "--name", "a", "--", "python3", "caller.py", "POST", "/chat/completions"]
}

/// Every byte below a directory.
fn bytes_below(directory: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
        match entry.path() {
            path if path.is_dir() => all.extend(bytes_below(&path)),
            path => all.extend(std::fs::read(path).unwrap_or_default()),
        }
    }
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_manifest_keeps_what_was_set_for_the_agent_and_an_export_less() {
    let model = RefundModel::start();
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    let data = env.work().join("../home/data").display().to_string();
    let home = env.work().parent().expect("a parent").join("home").display().to_string();
    env.set("HOME", &home);
    env.set("AGENT_MODE", "cautious");
    env.set("DATA_DIR", format!("{home}/data"));
    env.set("SSL_CERT_FILE", "/etc/ssl/of-this-machine.pem");
    env.set("SOME_SESSION_ID", "0123-4567");
    env.set("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    env.retake(asked(&env)).expect(0);
    let kept = env.retake(["show", "a.1", "--json"]).expect(0).json()["manifest"]["environment"].clone();
    let names: Vec<&str> = kept.as_object().expect("variables").keys().map(String::as_str).collect();
    assert!(names.contains(&"AGENT_MODE") && names.contains(&"DATA_DIR"), "{names:?}");
    for noise in ["SSL_CERT_FILE", "SOME_SESSION_ID", "KUBERNETES_SERVICE_HOST", "HOME", "PATH", "NO_COLOR2"]
    {
        assert!(!names.contains(&noise), "{noise} is kept");
    }
    let replayed = {
        let mut command = env.command(["replay", "a.1"]);
        let output = command.env_remove("AGENT_MODE").env_remove("DATA_DIR").output().expect("a replay");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(replayed, format!("cautious {home}/data /etc/ssl/of-this-machine.pem\n"), "{data}");
    env.retake(["export", "a.1", "a.retake"]).expect(0);
    let file = std::fs::read_to_string(env.work().join("a.retake")).expect("the export");
    assert!(file.contains("\"AGENT_MODE\":\"cautious\"") && !file.contains("DATA_DIR"), "{file}");
}

#[test]
fn an_export_is_refused_for_a_secret_outside_the_bodies() {
    let model = RefundModel::start();
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    env.retake(asked(&env)).expect(0);
    let path = env.store().join("runs/a.1/manifest.json");
    let manifest = std::fs::read_to_string(&path).expect("a manifest");
    // A recorder of before did not know this shape.
    let key = "glpat-Qw3Er6Ty9Ui2Op5As8Df";
    let changed = manifest.replacen("caller.py", &format!("caller.py?{key}"), 1);
    assert_ne!(changed, manifest);
    std::fs::write(&path, changed).expect("write");
    let refused = env.retake(["export", "a.1", "a.retake"]).expect(3);
    assert!(
        refused.err.contains("a.1 still holds what looks like a secret: gitlab-token"),
        "{}",
        refused.err
    );
    assert!(!refused.all().contains(key) && !env.work().join("a.retake").exists());
}

#[test]
fn stand_ins_of_a_command_travel() {
    let model = RefundModel::start();
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    let token = "ghp_Rb6Tz1Yk8Wm3Xp5Qc9Lv2Nd7Jh4Fg0SaUeIo";
    let mut words = asked(&env);
    words.push(token);
    words.push("postgres://ada:pw12@db/x");
    let ran = env.retake(words).expect(0);
    assert!(ran.err.contains("github-token"), "{}", ran.err);
    assert!(ran.err.contains("secrets replaced: ") || ran.err.contains("secret replaced: "), "{}", ran.err);
    env.retake(["export", "a.1", "a.retake"]).expect(0);
    // Another store has another key: a stand-in would look like a secret there.
    let other = TestEnv::new();
    std::fs::copy(env.work().join("a.retake"), other.work().join("a.retake")).expect("copy");
    other.retake(["import", "a.retake"]).expect(0);
    other.retake(["export", "a.1", "b.retake"]).expect(0);
    assert!(!holds(&bytes_below(&other.work()), token) && !holds(&bytes_below(&other.work()), "pw12"));
}

#[test]
fn a_password_in_a_base_url_stays_out_of_everything() {
    let model = RefundModel::start();
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    let with = model.origin().replace("http://", "http://ada:s3cr3t-horse@");
    env.set("OPENAI_BASE_URL", format!("{with}/v1"));
    let ran = env.retake(asked(&env)).expect(0);
    env.retake(["export", "a.1", "a.retake"]).expect(0);
    let shown = env.retake(["show", "a.1", "--json"]).expect(0).all();
    let bad = env.retake(["run", "--upstream", "ftp://ada:s3cr3t-horse@h/v1", "--", "true"]).expect(64);
    env.set("OPENAI_BASE_URL", "ada:s3cr3t-horse@h/v1");
    let alone = env.retake(asked(&env));
    let disk = bytes_below(&env.work());
    for text in ["s3cr3t-horse", "YWRhOnMzY3IzdC1ob3JzZQ"] {
        for said in [ran.all(), shown.clone(), bad.all(), alone.all()] {
            assert!(!said.contains(text), "{said}");
        }
        assert!(!holds(&disk, text), "{text} is on disk");
    }
    assert!(holds(&disk, "caller.py"), "the search is not blind");
}

#[test]
fn a_run_without_a_model_call_says_what_was_seen() {
    let upstream = FakeUpstream::always(Script::json(r#"{"data":[]}"#));
    let mut env = TestEnv::new();
    env.upstream(&upstream.origin());
    env.file("caller.py", CALLER);
    let ran = env.retake(["run", "--name", "side", "--", "python3", "caller.py", "GET", "/models"]).expect(0);
    assert!(ran.err.contains("no model call was seen"), "{}", ran.err);
    assert!(ran.err.contains("seen: GET /v1/models (openai), 200"), "{}", ran.err);
    assert!(!ran.err.contains("retake replay"), "{}", ran.err);
    let replay = env.retake(["replay", "side"]).expect(0);
    assert!(replay.err.contains("replayed  1 request, no model call"), "{}", replay.err);
}

#[test]
fn results_count_in_steps() {
    let env = TestEnv::new();
    env.retake(["demo", "--no-pause"]).expect(0);
    let ran = env.retake(["replay", "refund.1", "--json"]).expect(0).json();
    let tools = &ran["replay"]["ran"];
    assert_eq!((&tools["issue_refund"], &tools["lookup_order"]), (&1.into(), &1.into()), "{ran}");
    for (flag, value, steps) in [("--fence", "issue_refund", "7/10 steps"), ("--to", "4", "4/10 steps")] {
        let stopped = env.retake(["replay", "refund.1", flag, value]);
        assert!(stopped.err.contains(steps), "{}", stopped.err);
    }
    let heading = env.retake(["show", "refund.3"]).expect(0).out;
    assert!(heading.contains("fork of refund.1 from the start"), "{heading}");
    let wrong = env.retake(["fork", "refund.1", "--set", "8:result=1"]).expect(64);
    assert!(wrong.err.contains("retake show refund.1 lists the steps"), "{}", wrong.err);
}

#[test]
fn lines_fit_the_terminal_and_carry_no_color_elsewhere() {
    for columns in ["80", "120"] {
        let mut env = TestEnv::new();
        env.set("COLUMNS", columns);
        env.set("NO_COLOR", "");
        let said = env.retake(["demo", "--no-pause"]).expect(0).all();
        assert!(!said.contains('\x1b'), "color without a terminal");
        let most: usize = columns.parse().expect("a number");
        let long = |l: &&str| l.chars().count() > most && !l.starts_with("$ ") && !l.contains(".retake");
        let long: Vec<&str> =
            said.lines().filter(long).filter(|l| !l.starts_with("I cannot refund")).collect();
        assert_eq!(long, [""; 0], "longer than {columns}");
    }
}

#[test]
fn every_verb_explains_itself() {
    let env = TestEnv::new();
    for verb in ["run", "ls", "show", "replay", "fork", "diff", "export", "import", "rm", "gc"] {
        let help = env.retake([verb, "--help"]).expect(0).out;
        assert!(help.contains("Example"), "{verb} has no example:\n{help}");
        assert!(help.contains("  retake "), "{help}");
    }
}
