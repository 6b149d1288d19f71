//! What the README shows is true: its commands run, its demo's output has the lines that it quotes.

use crate::support::env::{TestEnv, project};

fn readme() -> String {
    std::fs::read_to_string(project().join("README.md")).expect("README.md")
}

/// The commands of the `sh` blocks, line by line.
fn commands() -> Vec<String> {
    let text = readme();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(|b| b.lines().map(str::to_string).collect::<Vec<_>>()).collect()
}

/// The lines of a session, without commands, and without times, ids and addresses.
fn settled(text: &str) -> Vec<String> {
    let mut text = text.to_string();
    for (pattern, name) in [
        (r"\d+(\.\d+)? (ms|s)\b", "TIME"),
        (r#"checked_at":[\d.]+"#, "checked_at"),
        (r#""[0-9a-f]{16}""#, "TRACE"),
        (r"live calls go to \S+ \(.*\)", "live calls go there"),
        (" +", " "),
        // How much of a long line there is room for goes by the widths of the times.
        (r"(?m)^(.{40}).*….*$", "$1…"),
    ] {
        text = regex::Regex::new(pattern).expect("a pattern").replace_all(&text, name).into_owned();
    }
    text.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with("$ "))
        .map(str::to_string)
        .collect()
}

#[test]
fn the_demo_runs_and_shows_what_the_readme_shows() {
    assert_eq!(commands().first().map(String::as_str), Some("cargo run --release -- demo"));
    let env = TestEnv::new();
    let ran = env.retake(["demo", "--no-pause"]).expect(0);
    assert!(ran.out.contains("Done. I refunded $49.99 for order A123."), "{}", ran.out);
    let session = readme();
    let session = session.split("```console\n").nth(1).and_then(|rest| rest.split("```").next());
    let session = session.expect("a session");
    // What is printed while an agent runs goes to standard error, all else to standard output.
    let told = ran.err.split("nothing from the recording").next().expect("the first fork");
    let scenes =
        ran.out.split("\n# ").filter(|scene| session.lines().any(|line| scene.lines().nth(1) == Some(line)));
    let recorded = ran.out.split("\n# ").filter(|scene| scene.contains("\n$ retake run "));
    let printed: Vec<&str> =
        recorded.chain(scenes).flat_map(|scene| scene.lines().skip(2)).chain(told.lines()).collect();
    let (printed, shown) = (settled(&printed.join("\n")), settled(session));
    let missing = |from: &[String], of: &[String]| -> Vec<String> {
        from.iter().filter(|line| !of.contains(line)).cloned().collect()
    };
    assert_eq!(missing(&shown, &printed), [""; 0], "shown, and not printed");
    assert_eq!(missing(&printed, &shown), [""; 0], "printed, and not shown");
    assert!(shown.len() > 50, "{shown:?}");
    let runs = env.retake(["ls", "--json"]).expect(0).json();
    assert_eq!(runs.as_array().map(Vec::len), Some(3), "the runs stay in the store: {runs}");
}

#[test]
fn the_test_command_is_what_ci_runs() {
    let test = commands().get(1).cloned().expect("a second command");
    let ci = std::fs::read_to_string(project().join(".ci/run")).expect(".ci/run");
    assert!(ci.lines().any(|line| line == test), ".ci/run does not run {test:?}, word for word");
}

#[test]
fn run_takes_an_agent_as_the_readme_says() {
    let line = commands().get(2).cloned().expect("a third command");
    let model = crate::support::refund_model::RefundModel::start();
    let mut env = TestEnv::new();
    env.upstream(&model.origin());
    env.file(
        "agent.py",
        "import os, json, urllib.request as u\n\
         body = json.dumps({'model': 'm', 'messages': [{'role': 'user', 'content': 'hi'}]}).encode()\n\
         url = os.environ['OPENAI_BASE_URL'] + '/chat/completions'\n\
         r = u.Request(url, body, {'content-type': 'application/json'})\n\
         print(json.load(u.urlopen(r))['choices'][0]['finish_reason'])\n",
    );
    let words: Vec<&str> = line.split(' ').collect();
    assert_eq!(words[..2], ["retake", "run"]);
    let words: Vec<&str> = words[1..].iter().map(|w| if *w == "python" { "python3" } else { w }).collect();
    let ran = env.retake(words).expect(0);
    assert_eq!(ran.out, "tool_calls\n");
    assert!(ran.err.contains("recorded  agent.1"), "{}", ran.err);
    assert!(env.store().join("runs").is_dir());
}

#[test]
fn verbs_of_the_table_exist() {
    let env = TestEnv::new();
    let help = env.retake(["--help"]).expect(0).out;
    for verb in [
        "run", "ls", "show", "replay", "fork", "diff", "doctor", "export", "import", "rm", "gc", "index",
        "demo",
    ] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} is not in --help");
    }
    assert!(env.retake(["man"]).expect(0).out.contains(".TH"));
    assert!(env.retake(["completions", "bash"]).expect(0).out.contains("retake"));
    env.retake(["frobnicate"]).expect(64);
}
