//! The JSON that programs read: alone on standard output, in a shape that does not change unnoticed.

use crate::support::env::TestEnv;
use crate::support::worker::Worker;
use serde_json::Value;

/// What differs from run to run, by the name of the member.
fn settled(value: &mut Value) {
    const TIMES: [&str; 9] = [
        "started_us",
        "ended_us",
        "seen_us",
        "time_us",
        "took_us",
        "head_us",
        "end_us",
        "bytes",
        "duration_us",
    ];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if TIMES.contains(&name.as_str()) && member.is_number() {
                    *member = Value::from(0);
                } else {
                    settled(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settled),
        _ => {}
    }
}

/// Runs a command with `--json`; everything on standard output is one JSON document.
#[track_caller]
fn shape(env: &TestEnv, args: &[&str], code: i32) -> String {
    let mut command = env.command([&args[..1], &["--json"], &args[1..]].concat());
    let ran = crate::support::env::ran(command.output().unwrap()).expect(code);
    let mut value = ran.json();
    settled(&mut value);
    let text = serde_json::to_string_pretty(&value).unwrap();
    let work = env.work().display().to_string();
    let uuid = regex::Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
    let port = regex::Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    let home = env.home().display().to_string();
    let text = text.replace(&work, "[work]").replace(&home, "[home]");
    let text = uuid.replace_all(&text, "[uuid]").into_owned();
    port.replace_all(&text, "127.0.0.1:[port]").into_owned()
}

/// `w.1`, a fork of it, and nothing that is of this machine.
fn place() -> Worker {
    let mut worker = Worker::new();
    worker.env.set("TMPDIR", "/tmp");
    worker
}

#[test]
fn of_every_verb() {
    let worker = place();
    let env = &worker.env;
    let agent = ["--", "python3", "agent.py"];
    let with = |verb: &[&'static str]| [verb, &agent[..]].concat();
    insta::assert_snapshot!("run", shape(env, &with(&["run", "--name", "w"]), 0));
    let fork = ["fork", "w.1", "--set", "7:result.risk=\"high\"", "--note", "why"];
    insta::assert_snapshot!("fork", shape(env, &fork, 0));
    insta::assert_snapshot!("ls", shape(env, &["ls"], 0));
    insta::assert_snapshot!("show", shape(env, &["show", "w.2"], 0));
    insta::assert_snapshot!("show_model_step", shape(env, &["show", "w.1", "3"], 0));
    insta::assert_snapshot!("show_tool_step", shape(env, &["show", "w.1", "7"], 0));
    insta::assert_snapshot!("show_context", shape(env, &["show", "w.1", "6", "--context", "--vs", "3"], 0));
    insta::assert_snapshot!("show_checkpoint", shape(env, &["show", "w.1", "7", "--checkpoint"], 0));
    insta::assert_snapshot!("replay", shape(env, &["replay", "w.1"], 0));
    insta::assert_snapshot!("replay_fenced", shape(env, &["replay", "w.1", "--fence", "issue_refund"], 5));
    insta::assert_snapshot!("diff", shape(env, &["diff", "w.1", "w.2"], 1));
    insta::assert_snapshot!("export", shape(env, &["export", "w.1", "w.retake"], 0));
    insta::assert_snapshot!("import", shape(env, &["import", "w.retake", "--name", "i"], 0));
    insta::assert_snapshot!("index_rebuild", shape(env, &["index", "rebuild"], 0));
    insta::assert_snapshot!("gc", shape(env, &["gc", "--keep", "2", "--dry-run"], 0));
    insta::assert_snapshot!("rm", shape(env, &["rm", "w.1", "i.1"], 0));
}

#[test]
fn of_a_miss_and_of_errors() {
    let mut worker = place();
    worker.record(&[]).expect(0);
    worker.env.set("TASK", "pay B456");
    let env = &worker.env;
    insta::assert_snapshot!("replay_missed", shape(env, &["replay", "w.1", "--", "python3", "agent.py"], 4));
    insta::assert_snapshot!("error", shape(env, &["show", "w.9"], 3));
    insta::assert_snapshot!("nothing_recorded", shape(env, &["run", "--name", "n", "--", "true"], 3));
    insta::assert_snapshot!(
        "verify",
        shape(env, &["run", "--name", "v", "--verify", "--yes", "--", "python3", "agent.py"], 0)
    );
}
