//! Stores that cannot be written: full, read-only, no directory, of a newer retake.

use crate::support::env::{Ran, TestEnv, ran};
use crate::support::upstream::{FakeUpstream, Script};
use crate::support::worker::Worker;
use serde_json::{Value, json};
use std::process::Command;

/// Asks TURNS times for a page of noise, with a page of noise, and says whether each answer came whole.
const AGENT: &str = r#"
import json, os, sys, urllib.request
for turn in range(int(os.environ["TURNS"])):
    body = {"model": "small", "messages": [{"role": "user", "content": "%d %s" % (turn, os.urandom(20000).hex())}]}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
        {"content-type": "application/json"})
    text = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
    print("whole" if text.startswith("<") and text.endswith(">") and len(text) == 20002 else "BROKEN")
sys.exit(int(os.environ.get("LEAVE", "0")))
"#;

/// A place with the agent and an upstream whose answers do not compress.
fn noisy() -> (TestEnv, FakeUpstream) {
    let upstream = FakeUpstream::start(|_, _| {
        let mut noise = vec![0; 20_000];
        getrandom::fill(&mut noise).unwrap();
        let letters: String = noise.iter().map(|b| char::from(b'A' + b % 50)).collect();
        let message = json!({"role": "assistant", "content": format!("<{}>", letters.replace('\\', "-"))});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        Script::json(&json!({"id": "c", "model": "small", "choices": [choice]}).to_string())
    });
    let mut env = TestEnv::new();
    env.upstream(&upstream.origin());
    env.set("TURNS", "12");
    env.file("agent.py", AGENT);
    (env, upstream)
}

/// A shell script, with the binary as `$RETAKE`. What it saves with `save NAME COMMAND…` can be looked at afterwards.
fn script(env: &TestEnv, around: &[&str], text: &str) -> Ran {
    let save = r#"save() { n=$1; shift; "$@" >"$n.out" 2>"$n.err"; echo $? >"$n.code"; }; retake() { "$RETAKE" "$@"; }; "#;
    let inner = env.command(["unused"]);
    let words: Vec<&str> = around.iter().copied().chain(["sh", "-c"]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(format!("{save}{text}")).env_clear().env("RETAKE", inner.get_program());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    ran(command.current_dir(env.work()).output().expect("a shell"))
}

#[track_caller]
fn saved(env: &TestEnv, name: &str) -> Ran {
    let read = |end: &str| std::fs::read_to_string(env.work().join(format!("{name}.{end}"))).expect(name);
    Ran { code: read("code").trim().parse().expect("a code"), out: read("out"), err: read("err") }
}

/// In a mount namespace of its own, as its root; none (said aloud) where the system does not allow that.
fn mounting() -> Option<[&'static str; 2]> {
    let test = ["-rm", "sh", "-c", "mount -t tmpfs -o size=100k none /mnt"];
    let allowed = Command::new("unshare").args(test).output().is_ok_and(|done| done.status.success());
    if !allowed {
        eprintln!("skipped: no mount namespaces here (unshare -rm)");
    }
    allowed.then_some(["unshare", "-rm"])
}

/// The agent got everything, the run is marked, and what was written before can be read.
#[track_caller]
fn is_incomplete(env: &TestEnv, code: i32) {
    let recorded = saved(env, "run").expect(code);
    assert_eq!(recorded.out, "whole\n".repeat(12));
    recorded.says(&["f.1 is incomplete: ", "the agent goes on without being recorded"]);
    assert_eq!(recorded.err.matches("is incomplete: ").count(), 1, "once: {}", recorded.err);
    let shown: Value = saved(env, "show").expect(0).json();
    assert_eq!(shown["state"], "incomplete");
    assert!(shown["manifest"]["incomplete"].as_str().is_some_and(|why| why.contains("f.1")), "{shown:#}");
    let steps = shown["steps"].as_array().map_or(0, Vec::len);
    assert!((1..12).contains(&steps), "{steps} steps");
    assert!(saved(env, "step").expect(0).out.contains('<'), "the first answer can be read");
    assert!(saved(env, "ls").expect(0).out.contains("incomplete"));
    let replayed = saved(env, "replay").expect(4);
    assert!(!replayed.out.contains("BROKEN"), "{}", replayed.out);
}

const LOOKED_AT: &str = "save show retake show f.1 --json; save step retake show f.1 1 --full; save ls retake ls; \
     save replay retake replay f.1;";

#[test]
fn a_full_disk() {
    let Some(around) = mounting() else { return };
    for leave in [0, 9] {
        let (mut env, _upstream) = noisy();
        env.set("LEAVE", leave.to_string());
        env.set("RETAKE_STORE", "room/store");
        let text = format!(
            "mkdir room; mount -t tmpfs -o size=300k none room; \
             save run retake run --name f -- python3 agent.py; {LOOKED_AT}"
        );
        script(&env, &around, &text).expect(0);
        is_incomplete(&env, if leave == 0 { 3 } else { leave });
    }
}

#[test]
fn a_disk_that_was_full_before() {
    let Some(around) = mounting() else { return };
    let (mut env, _upstream) = noisy();
    env.set("RETAKE_STORE", "room/store");
    env.set("TURNS", "1");
    let text = "mkdir room; mount -t tmpfs -o size=300k none room; \
         save first retake run --name f -- python3 agent.py; retake export f.1 f.retake; \
         cat /dev/zero >room/rest 2>/dev/null; \
         save run retake run --name g -- python3 agent.py; \
         save import retake import f.retake --name g; \
         save ls retake ls --json; save show retake show f.1; rm room/rest; save gc retake gc; \
         save then retake run --name g -- python3 agent.py; save after retake ls --json";
    script(&env, &around, text).expect(0);
    saved(&env, "first").expect(0);
    let refused = saved(&env, "run");
    refused.says(&["room/store/runs/g.1"]);
    assert_eq!((refused.code, refused.out.as_str()), (3, ""), "nothing ran: {}", refused.err);
    saved(&env, "import").expect(3).says(&["room/store/runs/g.1"]);
    let ids = |name: &str| -> Vec<Value> {
        saved(&env, name)
            .expect(0)
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["manifest"]["id"].clone())
            .collect()
    };
    assert_eq!(ids("ls"), ["f.1"], "no half runs");
    saved(&env, "show").expect(0);
    saved(&env, "gc").expect(0);
    saved(&env, "then").expect(0);
    assert_eq!(ids("after"), ["f.1", "g.1"]);
}

#[test]
fn a_disk_too_small_for_an_import() {
    let Some(around) = mounting() else { return };
    let (env, _upstream) = noisy();
    env.retake(["run", "--name", "f", "--", "python3", "agent.py"]).expect(0);
    env.retake(["export", "f.1", "f.retake"]).expect(0);
    for size in ["300k", "80k"] {
        let text = format!(
            "mkdir -p room; mount -t tmpfs -o size={size} none room; \
             save import retake --store room/store import f.retake; save ls retake --store room/store ls --json"
        );
        script(&env, &around, &text).expect(0);
        saved(&env, "import").expect(3).says(&["room/store/runs/f.1", "No space left"]);
        assert_eq!(saved(&env, "ls").expect(0).json(), json!([]), "half an import is none");
    }
}

#[test]
fn a_fork_that_does_not_fit() {
    let Some(around) = mounting() else { return };
    let (mut env, _upstream) = noisy();
    env.set("RETAKE_STORE", "room/store");
    // The first request of a fork is noise of its own: it goes live from the start.
    let text = "mkdir room; mount -t tmpfs -o size=450k none room; \
         TURNS=1 retake run --name f -- python3 agent.py; \
         save fork retake fork f.1 --at 0 -- python3 agent.py; save ls retake ls --json";
    script(&env, &around, text).expect(0);
    let forked = saved(&env, "fork");
    println!("{}", forked.all());
    assert_eq!(forked.code, 3, "{}", forked.err);
    forked.says(&["incomplete"]);
    assert_eq!(saved(&env, "ls").expect(0).json()[1]["state"], "incomplete");
}

#[test]
fn a_file_that_may_not_grow() {
    let (mut env, _upstream) = noisy();
    env.set("RETAKE_STORE", "store");
    let text = format!(
        "retake run --name f -- true 2>/dev/null; trap '' XFSZ; ulimit -f 200; \
         save run retake run --name f -- python3 agent.py; ulimit -f unlimited 2>/dev/null; {LOOKED_AT}"
    );
    script(&env, &[], &text);
    is_incomplete(&env, 3);
}

#[test]
fn a_read_only_store() {
    let Some(around) = mounting() else { return };
    let worker = Worker::recorded();
    let env = &worker.env;
    env.retake(["fork", "w.1", "--set", "7:result.risk=\"high\""]).expect(0);
    env.retake(["export", "w.1", "w.retake"]).expect(0);
    worker.tools_run();
    let asked = worker.model.asked();
    let text = "mount --bind .retake .retake && mount -o remount,bind,ro .retake || exit 77; \
         save run retake run --name w -- python3 agent.py; \
         save kept retake replay w.1 --record; \
         save fork retake fork w.1 --set '8:answer=\"No.\"'; \
         save import retake import --again w.retake; save rm retake rm w.2; \
         save ls retake ls; save show retake show w.1; save step retake show w.2 8 --context; \
         save diff retake diff w.1 w.2; save export retake export w.2 - ; \
         save gc retake gc --keep 0 --yes; save rebuild retake index rebuild; \
         save replay retake replay w.1 --fence lookup_order";
    script(env, &around, text).expect(0);
    for verb in ["run", "kept", "fork", "import", "rm", "rebuild"] {
        let refused = saved(env, verb).expect(3);
        refused.says(&[".retake/", "Read-only file system"]);
        assert_eq!(refused.out, "", "{verb}");
    }
    assert_eq!((worker.tools_run(), worker.model.asked()), (vec![], asked), "no agent was started");
    let listed = saved(env, "ls").expect(0);
    assert!(listed.out.contains("w.1") && listed.out.contains("w.2"), "{}", listed.out);
    assert!(saved(env, "show").expect(0).out.contains("issue_refund"));
    saved(env, "step").expect(0);
    assert!(saved(env, "diff").expect(1).out.contains("check_fraud.risk"));
    assert!(saved(env, "export").expect(0).out.ends_with("}\n"));
    saved(env, "gc").says(&["w.1 stays: ", "Read-only"]);
    // It writes nothing, so it need not.
    saved(env, "replay").expect(5);
    let runs = env.retake(["ls", "--json"]).expect(0).json();
    assert_eq!(runs.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_store_that_is_no_directory() {
    let mut worker = Worker::new();
    worker.env.file("plain", "no store");
    for path in ["plain", "plain/below"] {
        worker.env.set("RETAKE_STORE", path);
        for verb in
            [&["run", "--", "python3", "agent.py"][..], &["ls"], &["replay", "w.1"], &["import", "agent.py"]]
        {
            let refused = worker.env.retake(verb).expect(3);
            assert_eq!(refused.out, "", "{verb:?}");
            if verb[0] != "import" {
                refused.says(&[path]);
            }
        }
    }
    assert_eq!(worker.tools_run(), Vec::<String>::new());
    assert_eq!(std::fs::read_to_string(worker.env.work().join("plain")).unwrap(), "no store");
}

#[test]
fn a_store_or_a_run_of_a_newer_retake() {
    let worker = Worker::recorded();
    let env = &worker.env;
    worker.record(&[]).expect(0);
    env.retake(["export", "w.1", "w.retake"]).expect(0);
    worker.tools_run();
    let manifest = env.store().join("runs/w.1/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let newer = text.replacen("\"format\": 1", "\"format\": 2", 1);
    assert_ne!(newer, text);
    std::fs::write(&manifest, &newer).unwrap();
    for verb in
        [&["show", "w.1"][..], &["replay", "w.1"], &["fork", "w.1", "--at", "0"], &["export", "w.1", "-"]]
    {
        let refused = env.retake(verb).expect(3);
        refused.says(&["runs/w.1", "format 2", "update retake"]);
        assert_eq!(refused.out, "");
    }
    assert!(env.retake(["ls"]).expect(0).out.contains("w.2"));
    env.retake(["show", "w.2"]).expect(0);
    env.retake(["gc", "--keep", "1"]).expect(0);
    assert_eq!(std::fs::read_to_string(&manifest).unwrap(), newer, "not ours to remove");

    std::fs::write(env.store().join("format"), "retake store 2\n").unwrap();
    for verb in [
        &["run", "--", "python3", "agent.py"][..],
        &["ls"],
        &["show", "w.2"],
        &["replay", "w.2"],
        &["fork", "w.2", "--at", "0"],
        &["rm", "w.2"],
        &["gc"],
        &["import", "w.retake"],
        &["index", "rebuild"],
    ] {
        let refused = env.retake(verb).expect(3);
        refused.says(&[".retake: this store has format 2", "update retake"]);
        assert_eq!(refused.out, "", "{verb:?}");
    }
    assert_eq!(worker.tools_run(), Vec::<String>::new());
}
