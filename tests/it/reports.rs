//! `retake test --report` and `retake test merge`.

use crate::support::env::TestEnv;
use std::os::unix::fs::PermissionsExt;

/// A project in a repository, with two cases of the demo's run: `refund` and `billing/exact`.
pub fn project_with_cases() -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir(env.work().join(".git")).expect("a repository");
    env.retake(["demo", "--no-pause"]).expect(0);
    env.file("retake.toml", "");
    env.retake(["test", "add", "refund.1"]).expect(0);
    env.retake(["test", "add", "refund.1", "--as", "billing/exact"]).expect(0);
    // A suite needs no store.
    std::fs::remove_dir_all(env.store()).expect("a store");
    env
}

/// The agent of `billing/exact` asks something else from now on.
pub fn break_a_case(env: &TestEnv) {
    let agent = env!("CARGO_BIN_EXE_retake");
    let text = format!("command = [{agent:?}, \"demo-agent\", \"Where is `order` <A124>?\"]\n");
    env.file("tests/retake/billing/exact.toml", &text);
}

/// It is as it was.
pub fn mend(env: &TestEnv) {
    std::fs::remove_file(env.work().join("tests/retake/billing/exact.toml")).expect("a broken case");
}

fn read(env: &TestEnv, name: &str) -> String {
    std::fs::read_to_string(env.work().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_kind_is_written_and_tells_nothing_of_this_machine() {
    let env = project_with_cases();
    break_a_case(&env);
    let words = "test --report out/a.xml --report out/a.md --report out/a.html --report out/a.json --report gitlab=out/q.json";
    let ran = env.retake(words.split(' ')).expect(1);
    assert!(ran.out.contains("1 passed   1 regression"), "{}", ran.out);
    for (name, says) in [
        ("a.xml", "classname=\"retake.billing\""),
        ("a.md", "| <code>billing/exact</code> | regression |"),
        ("a.html", "Where is `order` &lt;A124&gt;?"),
        ("a.json", "\"verdict\": \"regression\""),
        ("q.json", "\"path\": \"tests/retake/billing/exact.retake\""),
    ] {
        let text = read(&env, &format!("out/{name}"));
        assert!(text.contains(says), "{name}: {text}");
        for path in [env.work(), env.home()] {
            assert!(
                !text.contains(&path.display().to_string()),
                "{name} tells of {}: {text}",
                path.display()
            );
        }
    }
    let left: Vec<_> = std::fs::read_dir(env.work().join("out")).expect("out").flatten().collect();
    assert_eq!(left.len(), 5, "nothing half-written stays: {left:?}");
}

#[test]
fn a_report_that_cannot_be_written_is_told_and_keeps_no_other_back() {
    let env = project_with_cases();
    let closed = env.work().join("closed");
    std::fs::create_dir(&closed).expect("a directory");
    std::fs::create_dir(closed.join("a.xml")).expect("in the way");
    let ran = env.retake(["test", "--report", "closed/a.xml", "--report", "b.md"]).expect(3);
    ran.says(&["cannot write closed/a.xml"]);
    assert!(read(&env, "b.md").contains("2 passed"));
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o755)).expect("mode");
    assert_eq!(std::fs::read_dir(&closed).expect("closed").count(), 1, "nothing half-written stays");
}

#[test]
fn a_kind_that_is_not_known_is_refused_before_anything_runs() {
    let env = TestEnv::new();
    for name in ["report.txt", "junit", "gitlab=", "pdf=x.pdf"] {
        let ran = env.retake(["test", "--report", name]).expect(64);
        assert!(ran.err.contains("FILE"), "{}", ran.err);
    }
}

#[test]
fn annotations_leave_json_alone() {
    let env = project_with_cases();
    break_a_case(&env);
    let ran = env.retake(["test", "--json", "--report", "github"]).expect(1);
    assert_eq!(ran.json()["cases"][0]["name"], "billing/exact");
    let line = ran.json()["cases"][0]["lines"]["1"].as_u64().expect("the line of the first step");
    let says = format!("::error file=tests/retake/billing/exact.retake,line={line},");
    assert!(line > 1 && ran.err.contains(&says), "{}", ran.err);
}

#[test]
fn what_others_say_is_no_command() {
    let env = project_with_cases();
    let agent = "echo ::error::forged >&2; exit 1";
    env.file("tests/retake/refund.toml", &format!("command = [\"sh\", \"-c\", {agent:?}]\n"));
    let ran = env.retake(["test", "-k", "refund", "--report", "github"]).expect(3);
    let (quoted, own) = ran.out.split_once("\n1 case ").expect("a footing");
    let word = quoted.lines().next().and_then(|line| line.strip_prefix("::stop-commands::")).expect("a word");
    assert!(word.len() >= 32 && quoted.contains("::error::forged"), "{}", ran.out);
    let (_, own) = own.split_once(&format!("\n::{word}::\n")).expect("commands are let in again");
    assert!(own.starts_with("::error file=tests/retake/refund.retake,line=1,title=broken"), "{own}");
    assert_eq!(own.lines().count(), 1, "{own}");
}

#[test]
fn shards_merge_into_the_whole() {
    let env = project_with_cases();
    break_a_case(&env);
    env.retake(["test", "--shard", "1/2", "--report", "1.json"]).expect(1);
    env.retake(["test", "--shard", "2/2", "--report", "2.json"]).expect(0);
    let whole = env
        .retake(["test", "merge", "2.json", "1.json", "--report", "whole.json", "--report", "whole.xml"])
        .expect(1);
    assert!(whole.out.contains("2 cases   1 passed   1 regression"), "{}", whole.out);
    let told: serde_json::Value = serde_json::from_str(&read(&env, "whole.json")).expect("JSON");
    assert_eq!(
        (&told["cases"][0]["name"], &told["cases"][1]["name"]),
        (&"billing/exact".into(), &"refund".into())
    );
    assert!(told.get("shards").is_none(), "a whole suite: {told}");
    assert!(read(&env, "whole.xml").contains("tests=\"2\""));

    // A job that died leaves no report: the others were green.
    let alone = env.retake(["test", "merge", "2.json", "--report", "alone.xml"]).expect(3);
    assert!(alone.out.contains("the report of shard 1/2 is missing"), "{}", alone.out);
    assert!(read(&env, "alone.xml").contains("errors=\"1\""));
    env.retake(["test", "merge", "1.json", "1.json"]).expect(3).says(&["shard 1/2 is in two of the reports"]);
    env.retake(["test", "merge", "1.json", "3.json"]).expect(3).says(&["3.json"]);
    env.file("odd.json", "{\"cases\": []}");
    env.retake(["test", "merge", "odd.json"]).expect(3).says(&["odd.json is no report of a suite"]);
    env.file("new.json", &read(&env, "1.json").replace("\"format\": 1", "\"format\": 7"));
    env.retake(["test", "merge", "new.json", "2.json"]).expect(3).says(&["new.json has format 7"]);
    let version = format!("\"retake\": \"{}\"", env!("CARGO_PKG_VERSION"));
    env.file("old.json", &read(&env, "1.json").replace(&version, "\"retake\": \"0.0.9\""));
    let ran = env.retake(["test", "merge", "old.json", "2.json"]).expect(1);
    ran.says(&["the reports are of several versions of retake: 0.0.9"]);
}
