//! What an agent under test starts in a session of its own does not outlive its case.

use crate::suite::{added, processes, wait};
use crate::support::refund::Refund;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The refund agent, which first starts a program that leaves its process group, and then does what `then` says.
fn leaving(seconds: &str, then: &str) -> Refund {
    let refund = added(&[]);
    refund.edit("import json\n", "import json\nimport subprocess\nimport time\n");
    // Its group is a new one, it is nobody's child, and it starts another one.
    let away = format!("subprocess.run(['setsid', '--fork', 'sh', '-c', 'sleep {seconds}; true'])\n");
    refund.edit("for _ in range", &format!("{away}{then}for _ in range"));
    refund
}

#[test]
fn nothing_outlives_a_case_in_a_session_of_its_own() {
    let refund = leaving("97541", "");
    let mut stranger = std::process::Command::new("sleep").arg("97542").spawn().expect("starts");
    refund.retake(&["test"]).expect(0);
    assert_eq!((processes("97541"), processes("97542")), (0, 1), "only what is the agent's is ended");
    stranger.kill().expect("killed");
    stranger.wait().expect("it ends");

    let refund = leaving("97543", "time.sleep(60)\n");
    std::fs::write(refund.case("refund.toml"), "timeout = 1\n").expect("beside");
    refund.retake(&["test"]).expect(2);
    assert_eq!(processes("97543"), 0);
}

#[test]
fn a_check_that_left_its_group_is_ended_too() {
    let refund = added(&[]);
    let text = "timeout = 1.5\n[[check]]\ncommand = [\"setsid\", \"--fork\", \"sleep\", \"20.544\"]\n";
    std::fs::write(refund.case("refund.toml"), text).expect("beside");
    let began = Instant::now();
    let case = refund.only(&[], 2);
    assert!(case["checks"][0].to_string().contains("had not ended"), "{case}");
    assert!(began.elapsed() < Duration::from_secs(15), "its output is waited for no longer");
    assert_eq!(processes("20.544"), 0);
}

#[test]
fn a_killed_suite_leaves_nothing_in_another_session() {
    let refund = leaving("97545", "open('up', 'w')\ntime.sleep(60)\n");
    let mut suite = refund.env.command(["test"]);
    let mut suite = suite.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let up = refund.env.work().join("up");
    wait(&|| up.exists() && processes("97545") > 0);
    kill(Pid::from_raw(suite.id() as i32), Signal::SIGKILL).expect("killed");
    suite.wait().expect("it ends");
    wait(&|| processes("97545") == 0);
}

#[test]
fn a_suite_within_a_suite_cleans_up_behind_itself() {
    let inner = leaving("97546", "open('up', 'w')\ntime.sleep(60)\n");
    let temp = inner.env.home().join("tmp");
    std::fs::create_dir_all(&temp).expect("a directory");
    let outer = added(&[]);
    let own = inner.env.command(["test"]);
    // The agent of the outer suite runs the inner one, in a session of its own.
    let vars: Vec<String> = own
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value?.to_str()?)))
        .chain([format!("TMPDIR={}", temp.display())])
        .collect();
    let words = ["env".to_string(), "-C".into(), inner.env.work().display().to_string()];
    let words: Vec<String> = words
        .into_iter()
        .chain(vars)
        .chain([own.get_program().to_str().expect("text").into(), "test".into()])
        .collect();
    outer.edit("import json\n", "import json\nimport subprocess\nimport time\n");
    outer.edit(
        "for _ in range",
        &format!("subprocess.Popen({words:?}, start_new_session=True)\ntime.sleep(60)\nfor _ in range"),
    );
    let mut suite = outer.env.command(["test"]);
    let mut suite = suite.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let up = inner.env.work().join("up");
    wait(&|| up.exists() && processes("97546") > 0);
    kill(Pid::from_raw(suite.id() as i32), Signal::SIGKILL).expect("killed");
    suite.wait().expect("it ends");
    wait(&|| processes("97546") == 0);
    wait(&|| std::fs::read_dir(&temp).expect("temp").next().is_none());
}
