//! How `retake test` tells of what goes wrong: where in a case, and in the files beside it.

use crate::suite::added;
use serde_json::Value;

#[test]
fn a_finding_leads_to_the_line_of_its_step() {
    let refund = added(&[]);
    refund.edit("\"window_days\": 30", "\"window_days\": 31");
    let words = "test --report q.json --report gitlab=g.json --report github";
    let ran = refund.retake(&words.split(' ').collect::<Vec<_>>()).expect(1);
    let read = |name: &str| std::fs::read_to_string(refund.env.work().join(name)).expect("a report");
    let case = serde_json::from_str::<Value>(&read("q.json")).expect("JSON")["cases"][0].take();
    let step = case["findings"][0]["step"].as_u64().expect("a step");
    let line = case["lines"][step.to_string()].as_u64().expect("a line");
    let file = std::fs::read_to_string(refund.case("refund.retake")).expect("the case");
    let recorded = file.lines().nth(line as usize - 1).expect("a line");
    assert!(recorded.starts_with("{\"kind\":\"turn\"") && recorded.contains("window_days"), "{recorded}");
    let annotated = format!("::error file=tests/retake/refund.retake,line={line},title=");
    assert!(ran.out.contains(&annotated), "{annotated}: {}", ran.out);
    let issues: Value = serde_json::from_str(&read("g.json")).expect("JSON");
    assert_eq!(issues[0]["location"]["lines"]["begin"], line, "{issues}");
}

#[test]
fn a_schema_that_cannot_be_used_says_why() {
    let refund = added(&[]);
    std::fs::write(refund.case("refund.toml"), "[[check]]\nanswer_schema = \"out.json\"\n").expect("beside");
    let here = refund.env.work().canonicalize().expect("a directory").display().to_string();
    let seen_from = format!("the schema out.json is not there, seen from {here}");
    for (text, says) in [
        (None, seen_from.as_str()),
        (Some("{\n"), "the schema out.json is no JSON: EOF while parsing an object at line 2"),
        (
            Some("{\"type\": \"sting\"}"),
            "the schema out.json cannot be used: this is no JSON schema: \"sting\"",
        ),
    ] {
        if let Some(text) = text {
            refund.env.file("out.json", text);
        }
        let case = refund.only(&[], 2);
        let why = case["checks"][0]["because"].as_str().unwrap_or_default();
        assert!(why.starts_with(says), "{says}: {case}");
    }
}

#[test]
fn a_suite_without_a_guard_says_so_once_and_goes_on() {
    let refund = added(&[]);
    let copy = refund.env.home().join("retake");
    std::fs::copy(env!("CARGO_BIN_EXE_retake"), &copy).expect("a copy");
    // A program that is gone while it runs cannot be started again.
    let script = "exec 3<\"$0\"; rm \"$0\"; exec /proc/self/fd/3 test";
    let own = refund.env.command(["test"]);
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(script).arg(&copy).current_dir(refund.env.work()).env_clear();
    shell.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = crate::support::env::ran(shell.output().expect("a shell")).expect(0);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    ran.says(&["nothing would clean up behind this suite if it were killed"]);
    assert!(ran.out.contains("1 passed"), "{}", ran.out);
    assert_eq!(refund.retake(&["test"]).expect(0).err, "");
}

#[test]
fn a_wrong_file_is_shown_with_its_line_wherever_it_stands() {
    let refund = added(&[]);
    let wrong = "directory = \"x\"\ncomand = [\"python3\", \"agent.py\"]\n";
    std::fs::write(refund.case("refund.toml"), wrong).expect("beside");
    let mark = "2 | comand = [\"python3\", \"agent.py\"]\n          | ^^^^^^\n";
    let told = refund.retake(&["test", "--report", "github", "--report", "a.md"]).expect(3).out;
    let says = [
        "tests/retake/refund.toml line 2: unknown field `comand`\n",
        &mark.replace("\n  ", "\n    "),
        "next: did you mean command?",
        "%0A2 | comand = [",
    ];
    for says in says {
        assert!(told.contains(says), "{says}: {told}");
    }
    let report = std::fs::read_to_string(refund.env.work().join("a.md")).expect("a report");
    assert!(report.contains("\n2 | comand = [\"python3\", \"agent.py\"]\n  | ^^^^^^\n"), "{report}");

    std::fs::write(refund.case("refund.toml"), "[[check]]\nfoo = 1\n").expect("beside");
    let case = refund.only(&[], 3);
    let known = "there are name, why, severity, that, never, before, at_most, answer_matches, answer_schema, exit, command";
    assert_eq!(case["hints"], serde_json::json!([known]));

    refund.env.file("more.toml", wrong);
    refund.env.file("retake.toml", &format!("[test]\n{wrong}").replace("\ncomand", " #\ncomand"));
    let other = mark.replacen('2', "3", 1);
    for (words, file, mark) in [
        (&["test"][..], "retake.toml line 3", &other),
        (
            &["check", "refund.1", "--check", "more.toml", "--config", "empty.toml"],
            "more.toml line 2",
            &mark.to_string(),
        ),
        (
            &["test", "add", "refund.1", "--as", "b", "--check", "more.toml", "--config", "empty.toml"],
            "more.toml line 2",
            &mark.to_string(),
        ),
    ] {
        refund.env.file("empty.toml", "");
        let ran = refund.retake(words).expect(3);
        ran.says(&[
            &format!("{file}: unknown field `comand`\n"),
            mark,
            "        hint: did you mean command?\n",
        ]);
    }
    refund.env.file("retake.toml", "[test]\ncommand = \"python3 agent.py\"\n");
    refund
        .retake(&["test"])
        .expect(3)
        .says(&["hint: a command is a list of its words: command = [\"python3\", \"agent.py\"]"]);
}

#[test]
fn a_result_that_is_declared_to_differ_is_no_finding() {
    let refund = added(&[]);
    refund.edit("\"window_days\": 30", "\"window_days\": 31");
    assert_eq!(refund.only(&[], 1)["findings"][0]["code"], "TOOL_RESULT_CHANGED");
    refund.env.file("retake.toml", "[[ignore]]\ntool = \"get_policy\"\npath = \"messages[*].result\"\n");
    let case = refund.only(&[], 0);
    let codes: Vec<&Value> =
        case["findings"].as_array().into_iter().flatten().map(|of| &of["code"]).collect();
    assert_eq!(codes, ["LOOSE_MATCH"], "{case}");
}
