//! `retake test`: recorded runs as tests, offline.

use crate::support::env::Ran;
use crate::support::refund::Refund;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The refund run as a case.
pub fn added(flags: &[&str]) -> Refund {
    let refund = Refund::recorded();
    refund.retake(&[&["test", "add", "refund.1"], flags].concat()).expect(0);
    refund
}

impl Refund {
    /// Changes the agent's code.
    #[track_caller]
    pub fn edit(&self, from: &str, to: &str) {
        let path = self.env.work().join("agent.py");
        let code = std::fs::read_to_string(&path).expect("the agent");
        assert!(code.contains(from), "{from:?} is not in the agent");
        std::fs::write(path, code.replace(from, to)).expect("the agent");
    }

    pub fn case(&self, name: &str) -> PathBuf {
        self.env.work().join("tests/retake").join(name)
    }

    /// Runs the suite; the only case in it, as data.
    #[track_caller]
    pub fn only(&self, flags: &[&str], code: i32) -> Value {
        let mut done = self.retake(&[&["test", "--json"], flags].concat()).expect(code).json();
        assert_eq!(done["cases"].as_array().map(Vec::len), Some(1), "{done}");
        done["cases"][0].take()
    }
}

fn codes(case: &Value) -> Vec<&str> {
    let findings = case["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    findings.iter().filter_map(|finding| finding["code"].as_str()).collect()
}

#[test]
fn a_recorded_run_becomes_a_test() {
    let refund = Refund::recorded();
    let told = refund.retake(&["test", "add", "refund.1", "--as", "billing/refund"]).expect(0).out;
    for word in ["tests/retake/billing/refund.retake", "5 model calls, 5 tool results", "ends with exit 0"] {
        assert!(told.contains(word), "{told}");
    }
    let file = refund.case("billing/refund.retake");
    let mode = std::fs::metadata(&file).expect("the case").permissions().mode() & 0o777;
    assert_eq!(mode & 0o200, 0o200, "{mode:o}");
    assert!(!std::fs::read_to_string(&file).expect("text").contains("sk-test-0123456789"), "no key in it");
    // A second one of that name is not written over it.
    refund.retake(&["test", "add", "refund.1", "--as", "billing/refund"]).expect(3).says(&["--force"]);
    refund.retake(&["test", "add", "refund.1", "--as", "../x"]).expect(64);

    let asked = refund.model.connections();
    std::fs::remove_dir_all(refund.env.store()).expect("the store");
    let ran = refund.retake(&["test"]).expect(0);
    assert!(ran.out.contains("pass    billing/refund   10 steps"), "{}", ran.out);
    assert!(ran.out.contains("1 case   1 passed   0 live calls"), "{}", ran.out);
    assert_eq!(refund.model.connections(), asked, "nothing is dialled");
    assert!(!refund.env.store().exists(), "no store is made");
}

#[test]
fn a_change_of_one_digit_fails() {
    let system = "os.environ.get(\"SYSTEM\", \"You handle refunds.\")";
    for (from, to, code) in [
        (system, "\"You handle refunds. \"", "PROMPT_CHANGED"),
        ("My laptop from order A123", "My laptop from order A124", "PROMPT_CHANGED"),
        ("{\"type\": \"object\"}", "{\"type\": \"object\", \"x\": 1}", "TOOLS_CHANGED"),
        ("\"gpt-small\"", "\"gpt-smalL\"", "MODEL_CHANGED"),
        ("\"tools\": SCHEMAS}", "\"tools\": SCHEMAS, \"temperature\": 0.1}", "PARAMS_CHANGED"),
        // What the model is told that it had asked for.
        (
            "messages.append(answer)",
            "messages.append(json.loads(json.dumps(answer).replace('4999', '4998')))",
            "PROMPT_CHANGED",
        ),
    ] {
        let refund = added(&[]);
        let asked = refund.model.connections();
        refund.edit(from, to);
        let case = refund.only(&[], 1);
        assert_eq!((case["verdict"].as_str(), case["drift"].as_str()), (Some("regression"), Some("code")));
        assert_eq!(codes(&case).first(), Some(&code), "{to}: {case}");
        assert_eq!(refund.model.connections(), asked, "nothing is dialled: {to}");
    }
}

#[test]
fn a_tool_that_returns_something_else_is_the_world() {
    let refund = added(&[]);
    refund.edit("\"window_days\": 30", "\"window_days\": 31");
    let case = refund.only(&[], 1);
    assert_eq!(case["drift"], "world", "{case}");
    assert_eq!(codes(&case).first(), Some(&"TOOL_RESULT_CHANGED"), "{case}");
    let difference = case["findings"][0]["difference"].to_string();
    assert!(difference.contains("30") && difference.contains("31"), "{difference}");
}

#[test]
fn what_the_agent_never_asks_for_again_fails() {
    let refund = added(&[]);
    refund.edit("os.environ.get(\"STOP_AFTER\", \"99\")", "\"2\"");
    let case = refund.only(&[], 1);
    assert_eq!(codes(&case).first(), Some(&"MISSING_CALL"), "{case}");
    assert!(case["replayed"].as_u64() < case["steps"].as_u64(), "{case}");
}

#[test]
fn a_correct_fix_passes_its_check_and_is_reviewed() {
    let checks = "[[check]]\nname = \"amount in dollars\"\n\
        that = \"step('issue_refund').args.amount_usd == step('lookup_order').result.amount / 100\"\n";
    let refund = Refund::recorded();
    refund.env.file("cents.toml", checks);
    let told = refund.retake(&["test", "add", "refund.1", "--check", "cents.toml"]).expect(0).out;
    assert!(told.contains("checks:  amount in dollars"), "{told}");
    let before = refund.only(&[], 1);
    let check = &before["checks"][0];
    assert_eq!(
        (check["name"].as_str(), check["outcome"].as_str()),
        (Some("amount in dollars"), Some("failed"))
    );
    assert!(
        check["what"].as_str().is_some_and(|what| what.contains("4999") && what.contains("49.99")),
        "{check}"
    );
    assert!(codes(&before).is_empty(), "nothing has changed: {before}");

    refund.edit("You handle refunds.", "You handle refunds. Amounts are in cents.");
    let closed = refund.only(&[], 1);
    assert_eq!(codes(&closed).first(), Some(&"PROMPT_CHANGED"), "{closed}");
    assert!(!refund.case("refund.retake.new").exists(), "nothing is written unless asked for");
    let fixed = refund.only(&["--update"], 0);
    assert_eq!(fixed["checks"][0]["outcome"], "passed", "{fixed}");
    let found = codes(&fixed);
    assert!(found.contains(&"PROMPT_CHANGED") && found.contains(&"ARGS_CHANGED"), "{found:?}");
    assert!(fixed["live"].as_u64() > Some(0), "{fixed}");

    // Nothing is overwritten unseen.
    assert!(refund.case("refund.retake.new").exists());
    refund.retake(&["test"]).expect(1);
    refund.retake(&["review"]).expect(1).says(&["1 to be reviewed", "--accept"]);
    let seen = refund.retake(&["review", "--accept"]).expect(0).out;
    assert!(seen.contains("ARGS_CHANGED") && seen.contains("accepted  refund"), "{seen}");
    let after = refund.only(&["--check"], 0);
    assert_eq!(after["verdict"], "passed", "{after}");
    refund.retake(&["review"]).expect(0);
}

#[test]
fn what_waits_fails_a_check_and_may_be_rejected() {
    let refund = added(&[]);
    refund.edit("You handle refunds.", "You handle refunds. Amounts are in cents.");
    refund.retake(&["test", "--update"]).expect(0);
    refund.edit("You handle refunds. Amounts are in cents.", "You handle refunds.");
    refund.retake(&["test"]).expect(0);
    let waits = "what it does now waits to be reviewed: tests/retake/refund.retake.new";
    let ran = refund.retake(&["test", "--check", "--report", "junit.xml"]).expect(1);
    assert!(ran.out.contains(waits) && ran.out.contains("next: retake review"), "{}", ran.out);
    let junit = std::fs::read_to_string(refund.env.work().join("junit.xml")).expect("a report");
    assert!(
        junit.contains("failures=\"1\"") && junit.contains(waits),
        "a report says what the exit code says: {junit}"
    );
    refund.retake(&["test", "--check", "--update"]).expect(64);
    refund
        .retake(&["review", "other", "--reject"])
        .expect(3)
        .says(&["nothing of other waits", "there are refund"]);
    refund.retake(&["review", "refund", "--reject"]).expect(0);
    refund.retake(&["test", "--check"]).expect(0);
}

#[test]
fn an_update_that_does_not_pass_says_that_nothing_was_written() {
    let refund = added(&[]);
    std::fs::write(refund.case("refund.toml"), "[[check]]\nnever = \"issue_refund\"\n").expect("beside");
    refund.edit("You handle refunds.", "You handle refunds. Amounts are in cents.");
    let ran = refund.retake(&["test", "--update"]).expect(1);
    assert!(ran.out.contains("check fails  never issue_refund"), "{}", ran.out);
    assert!(ran.out.contains("next: nothing was written to be reviewed"), "{}", ran.out);
    assert!(!refund.case("refund.retake.new").exists());
    assert!(!ran.all().contains("retake test --update"), "it was done already: {}", ran.all());
}

#[test]
fn what_proves_nothing_is_no_success() {
    let refund = Refund::recorded();
    refund.retake(&["test"]).expect(3).says(&["there is no test", "retake test add RUN"]);
    std::fs::create_dir_all(refund.case("")).expect("a directory");
    let empty = refund.retake(&["test"]).expect(3);
    assert!(empty.out.contains("an empty suite proves nothing"), "{}", empty.all());
    refund.retake(&["test", "add", "refund.1"]).expect(0);
    refund.retake(&["test", "-k", "nothing"]).expect(3).says(&["no case has \"nothing\" in its name"]);
    refund.retake(&["test", "none.retake"]).expect(3).says(&["no such test: none.retake"]);

    // A file that was cut off, one that was changed by hand, and one that is no run.
    let whole = std::fs::read_to_string(refund.case("refund.retake")).expect("the case");
    for (text, says) in [
        (whole[..whole.len() / 2].to_string(), "refund.retake"),
        (whole.replace("A123", "A999"), "changed after its export"),
        ("{}".to_string(), "refund.retake"),
    ] {
        std::fs::write(refund.case("refund.retake"), text).expect("the case");
        let case = refund.only(&[], 3);
        assert_eq!(case["verdict"], "broken");
        assert!(case["why"].as_str().is_some_and(|why| why.contains(says)), "{case}");
    }
    std::fs::write(refund.case("refund.retake"), whole).expect("the case");
    let gone = refund.only(&["--", "no-such-program"], 3);
    assert!(gone["why"].as_str().is_some_and(|why| why.contains("no such program")), "{gone}");
    let idle = refund.only(&["--", "true"], 3);
    assert!(idle["why"].as_str().is_some_and(|why| why.contains("asked for nothing")), "{idle}");
    std::fs::write(refund.case("refund.toml"), "comand = 1").expect("beside");
    let misspelt = refund.only(&[], 3);
    assert!(misspelt["why"].as_str().is_some_and(|why| why.contains("comand")), "{misspelt}");
}

#[test]
fn what_says_nothing_about_the_agent_is_inconclusive() {
    let refund = added(&[]);
    let fenced = refund.only(&["--fence", "issue_refund"], 2);
    assert!(
        fenced["why"].as_str().is_some_and(|why| why.contains("the fence before issue_refund")),
        "{fenced}"
    );
    refund.edit("import json\n", "import json\nimport time\n");
    refund.edit("for _ in range", "time.sleep(60)\nfor _ in range");
    std::fs::write(refund.case("refund.toml"), "timeout = 0.5\n").expect("beside");
    let slow = refund.only(&[], 2);
    assert!(slow["why"].as_str().is_some_and(|why| why.contains("had not ended")), "{slow}");
    refund.retake(&["test", "--bisect-exit"]).expect(125);
}

#[test]
fn bisect_gets_the_codes_that_it_knows() {
    let refund = added(&[]);
    refund.retake(&["test", "--bisect-exit"]).expect(0);
    refund.edit("You handle refunds.", "You handle refund.");
    refund.retake(&["test", "--bisect-exit"]).expect(1);
    refund.retake(&["test", "--bisect-exit", "--", "no-such-program"]).expect(125);
    std::fs::remove_file(refund.case("refund.retake")).expect("the case");
    refund.retake(&["test", "--bisect-exit"]).expect(125);
}

#[test]
fn shards_are_the_whole_and_no_case_is_in_two() {
    let refund = added(&[]);
    for name in ["b", "c", "d", "e"] {
        std::fs::copy(refund.case("refund.retake"), refund.case(&format!("{name}.retake"))).expect("a copy");
    }
    let names = |flags: &[&str]| -> Vec<String> {
        let done = refund.retake(&[&["test", "--json", "-j", "2"], flags].concat()).expect(0).json();
        let cases = done["cases"].as_array().expect("cases").iter();
        cases.map(|case| case["name"].as_str().expect("a name").to_string()).collect()
    };
    let all = names(&[]);
    assert_eq!(all, ["b", "c", "d", "e", "refund"]);
    let mut parts = [names(&["--shard", "1/2"]), names(&["--shard", "2/2"])].concat();
    parts.sort();
    assert_eq!(parts, all);
    for wrong in ["0/2", "3/2", "2", "a/b"] {
        refund.retake(&["test", "--shard", wrong]).expect(64);
    }
}

#[test]
fn each_case_may_have_a_directory_of_its_own() {
    let refund = added(&[]);
    let log = refund.env.work().join("ran.log");
    refund.env.file("retake.toml", "[test]\ncopy = true\n");
    refund.only(&[], 0);
    assert!(!log.exists(), "the tools wrote elsewhere");
    refund.env.file("retake.toml", "[test]\ncopy = false\n");
    refund.only(&[], 0);
    assert!(log.exists());
}

#[test]
fn a_killed_suite_leaves_nothing() {
    let refund = added(&[]);
    refund.edit("import json\n", "import json\nimport subprocess\nimport time\n");
    // The agent and what it starts outlive a request that is not answered.
    refund.edit(
        "for _ in range",
        "subprocess.Popen(['sleep', '97531'])\nopen('up', 'w')\ntime.sleep(60)\nfor _ in range",
    );
    let temp = refund.env.home().join("tmp");
    std::fs::create_dir_all(&temp).expect("a directory");
    let mut suite = refund.env.command(["test"]);
    let mut suite =
        suite.env("TMPDIR", &temp).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let up = refund.env.work().join("up");
    wait(&|| up.exists());
    assert!(processes("97531") > 0 && std::fs::read_dir(&temp).expect("temp").next().is_some());
    kill(Pid::from_raw(suite.id() as i32), Signal::SIGKILL).expect("killed");
    suite.wait().expect("it ends");
    wait(&|| processes("97531") == 0);
    wait(&|| std::fs::read_dir(&temp).expect("temp").next().is_none());
    let files: Vec<_> = std::fs::read_dir(refund.case("")).expect("cases").flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
}

/// How many processes have this word in their command lines.
pub fn processes(word: &str) -> usize {
    let all = std::fs::read_dir("/proc").expect("proc").flatten();
    let lines = all.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.split('\0').any(|part| part == word)).count()
}

#[track_caller]
pub fn wait(until: &dyn Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !until() {
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_agent_under_test_leaves_nothing_behind() {
    let refund = added(&[]);
    refund.edit("import json\n", "import json\nimport subprocess\n");
    refund.edit("for _ in range", "subprocess.Popen(['sleep', '97532'])\nfor _ in range");
    let Ran { code, .. } = refund.retake(&["test"]);
    assert_eq!((code, processes("97532")), (0, 0));
}

#[test]
fn forks_are_judged_by_the_same_checks() {
    let refund = Refund::recorded();
    refund.env.file(
        "cents.toml",
        "[[check]]\nname = \"amount in dollars\"\n\
         that = \"step('issue_refund').args.amount_usd == step('lookup_order').result.amount / 100\"\n",
    );
    refund.retake(&["check", "refund.1"]).expect(3).says(&["there is no check"]);
    let recorded = refund.retake(&["check", "refund.1", "--check", "cents.toml"]).expect(1).out;
    assert!(recorded.contains("check fails  amount in dollars"), "{recorded}");
    refund
        .retake(&["fork", "refund.1", "--set", "1..:system+=\"Amounts are in cents.\"", "--no-control"])
        .expect(0);
    let fork = refund.retake(&["check", "refund.2", "--check", "cents.toml"]).expect(0).out;
    assert!(fork.contains("check holds  amount in dollars"), "{fork}");
}

#[test]
fn a_budget_is_a_check_of_every_case() {
    let refund = added(&[]);
    refund.env.file("retake.toml", "[test.budget]\nseconds = 0.001\n");
    let over = refund.only(&[], 1);
    assert!(over["why"].as_str().is_some_and(|why| why.contains("budget: seconds")), "{over}");
    refund.env.file("retake.toml", "[test.budget]\nseconds = 600\n");
    refund.only(&[], 0);
    // This model counts no tokens: what is not known cannot be held against a budget, and is not within it either.
    refund.env.file("retake.toml", "[test.budget]\ntokens = 100000\n");
    let unknown = refund.only(&[], 2);
    assert!(unknown["why"].as_str().is_some_and(|why| why.contains("budget: tokens")), "{unknown}");
    refund.env.file("retake.toml", "[test.budget]\ncost = -1.0\n");
    refund.retake(&["test"]).expect(3).says(&["-1 is no budget"]);
}

#[test]
fn a_key_of_one_letter_is_no_finding() {
    let mut refund = Refund::ready();
    refund.env.set("OPENAI_API_KEY", "x");
    refund.retake(&["run", "--name", "refund", "--", "python3", "agent.py"]).expect(0);
    refund.retake(&["test", "add", "refund.1"]).expect(0);
    for _ in 0..5 {
        let case = refund.only(&[], 0);
        assert!(codes(&case).is_empty(), "{case}");
    }
}

#[test]
fn an_old_answer_to_a_new_result_is_never_made_a_recording() {
    let refund = added(&[]);
    refund.edit("\"window_days\": 30", "\"window_days\": 31");
    let asked = refund.model.asked();
    let updated = refund.only(&["--update"], 0);
    assert!(updated["live"].as_u64() > Some(0), "{updated}");
    assert!(refund.model.asked() > asked, "what comes after the new result is asked again");
}

#[test]
fn a_crash_comes_before_what_it_prevents() {
    let refund = added(&[]);
    refund.edit("{\"refundable\": True, \"window_days\": 30}", "1 / 0");
    let case = refund.only(&[], 1);
    assert_eq!(codes(&case).first(), Some(&"OUTCOME_CHANGED"), "{case}");
    let told = refund.retake(&["test"]).expect(1).out;
    assert!(told.contains("ZeroDivisionError"), "{told}");
}

#[test]
fn a_stream_that_was_none_is_a_parameter() {
    let refund = added(&[]);
    refund.edit("\"tools\": SCHEMAS}", "\"tools\": SCHEMAS, \"stream\": True}");
    let case = refund.only(&[], 1);
    assert_eq!(codes(&case).first(), Some(&"PARAMS_CHANGED"), "{case}");
}

#[test]
fn tools_in_another_order_are_told_as_that() {
    let refund = added(&[]);
    refund.edit("for name in TOOLS]", "for name in reversed(list(TOOLS))]");
    let case = refund.only(&[], 1);
    let what = case["findings"][0]["what"].as_str().unwrap_or_default();
    assert!(codes(&case).first() == Some(&"TOOLS_CHANGED") && what.contains("another order"), "{case}");
}

#[test]
fn what_is_said_of_no_case_is_not_passed_over() {
    let refund = added(&[]);
    std::fs::write(refund.case("other.toml"), "[[check]]\nnever = \"x\"\n").expect("a file");
    let ran = refund.retake(&["test"]).expect(3);
    assert!(
        ran.out.contains("BROKEN") && ran.out.contains("is about a case that is not there"),
        "{}",
        ran.out
    );
    refund.retake(&["test", "-k", "refund"]).expect(0);
}

#[test]
fn a_check_that_hangs_is_ended() {
    let refund = added(&[]);
    let text = "timeout = 1.5\n[[check]]\ncommand = [\"sh\", \"-c\", \"sleep 97533\"]\n";
    std::fs::write(refund.case("refund.toml"), text).expect("beside");
    let case = refund.only(&[], 2);
    assert!(case["checks"][0].to_string().contains("had not ended"), "{case}");
    assert_eq!(processes("97533"), 0);
    std::fs::write(refund.case("refund.toml"), "timeout = 0\n").expect("beside");
    let wrong = refund.only(&[], 3);
    assert!(wrong["why"].as_str().is_some_and(|why| why.contains("0 is no time limit")), "{wrong}");
}

#[test]
fn a_tool_is_forbidden_by_the_beginning_of_its_name() {
    let refund = added(&[]);
    for (never, code) in [("issue_*", 1), ("issue_refunds", 0), ("", 3), ("*x", 3)] {
        std::fs::write(refund.case("refund.toml"), format!("[[check]]\nnever = {never:?}\n"))
            .expect("beside");
        refund.only(&[], code);
    }
}

#[test]
fn a_result_of_no_call_is_no_detail() {
    for (to, says) in [
        ("\"tool_call_id\": \"nonsense\"", "nobody made (nonsense)"),
        ("\"tool_call_id\": answer[\"tool_calls\"][0][\"id\"]", "two results"),
    ] {
        let refund = added(&[]);
        refund.edit("\"tool_call_id\": call[\"id\"]", to);
        let case = refund.only(&[], 1);
        let what = case["findings"][0]["what"].as_str().unwrap_or_default();
        assert!(codes(&case).first() == Some(&"PROMPT_CHANGED") && what.contains(says), "{case}");
    }
}
