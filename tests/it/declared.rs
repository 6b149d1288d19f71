//! What `retake.toml` declares, and the flags that say otherwise: tools, matches that pass, the file itself.

use crate::support::env::Ran;
use crate::support::refund::Refund;

/// A refund agent whose fraud check tells how long its queue is, and whose orders cost what AMOUNT says.
fn varying() -> Refund {
    let refund = Refund::ready();
    let path = refund.env.work().join("agent.py");
    let agent = std::fs::read_to_string(&path).expect("the agent");
    let agent = agent
        .replace("import sys\n", "import sys\nimport time\n")
        .replace(
            "\"risk\": \"low\"",
            "\"risk\": \"low\", \"queue\": 500000000000 + time.time_ns() % 1000000007",
        )
        .replace("\"amount\": 4999", "\"amount\": int(os.environ.get(\"AMOUNT\", \"4999\"))");
    std::fs::write(&path, agent).expect("written");
    refund.retake(&["run", "--name", "refund", "--", "python3", "agent.py"]).expect(0);
    std::fs::remove_file(refund.env.work().join("ran.log")).expect("tools were run");
    refund
}

const IRREVERSIBLE: &str = "[tools]\nread = [\"get_*\", \"lookup_order\"]\nirreversible = [\"issue_*\"]\n";

#[test]
fn an_irreversible_tool_is_fenced_unless_it_is_let_through() {
    let refund = Refund::recorded();
    refund.env.file("retake.toml", IRREVERSIBLE);
    let stopped = refund.retake(&["replay", "refund.1"]).expect(5);
    stopped.says(&["stopped at the fence before issue_refund (step 8)", "--unfence issue_refund"]);
    assert!(!refund.ran().contains("issue_refund"), "{}", refund.ran());
    stopped.says(&[
        "ran for real in your process: 3 read (get_customer, get_policy, lookup_order),",
        "1 unclassified (check_fraud)",
    ]);
    let data = refund.retake(&["replay", "refund.1", "--json"]).expect(5).json();
    assert_eq!(data["fenced"]["by"], "irreversible", "{data}");
    assert_eq!(data["replay"]["ran_classes"]["get_policy"], "read");
    let told = refund.retake(&["replay", "refund.1", "--unfence", "issue_refund"]).expect(0);
    told.says(&["1 irreversible (issue_refund)"]);
    assert!(!told.err.contains("warning: issue_refund"), "it was let through by name: {}", told.err);
    assert!(refund.ran().contains("issue_refund"));
    let wrong = refund.retake(&["replay", "refund.1", "--unfence", "issue_refnd"]).expect(64);
    wrong.says(&["did you mean --unfence issue_refund?"]);
    let both = ["replay", "refund.1", "--unfence", "issue_refund", "--fence", "issue_refund"];
    refund.retake(&both).expect(64).says(&["one or the other"]);
}

#[test]
fn a_fork_stops_before_an_irreversible_tool_that_a_live_answer_asks_for() {
    let refund = Refund::recorded();
    refund.env.file("retake.toml", IRREVERSIBLE);
    let edit = ["fork", "refund.1", "--set", "6..:system+=\"Be brief.\""];
    let stopped = refund.retake(&edit).expect(5);
    stopped.says(&["stopped at the fence before issue_refund", "--unfence issue_refund"]);
    assert!(!refund.ran().contains("issue_refund"));
    let on = refund.retake(&[&edit[..], &["--unfence", "issue_refund"]].concat()).expect(0);
    on.says(&["1 irreversible (issue_refund)"]);
}

#[test]
fn a_recording_can_be_verified_up_to_its_irreversible_tools() {
    let refund = Refund::ready();
    let verify = ["run", "--verify", "--name", "refund", "--", "python3", "agent.py"];
    refund.retake(&verify).expect(3).says(&["not verified", "--fence issue_refund"]);
    let ran = refund.ran();
    let refused = refund.retake(&verify).expect(3);
    refused.says(&["nothing was run: this command called issue_refund in refund.1", "--fence issue_refund"]);
    let misspelt = [&verify[..2], &["--fence", "issue_refnd"], &verify[2..]].concat();
    refund.retake(&misspelt).expect(64).says(&["did you mean --fence issue_refund?"]);
    refund.env.file("retake.toml", "[tols]\n");
    refund.retake(&verify).expect(3).says(&["did you mean tools?"]);
    assert_eq!((refund.ran(), refund.env.listed().len()), (ran, 1), "nothing ran");
    refund.env.file("retake.toml", IRREVERSIBLE);
    refund.retake(&verify).expect(0).says(&["reproducible up to the fence"]);
    refund.env.file("retake.toml", "[tools]\nwrite = [\"issue_refund\"]\n");
    refund
        .retake(&verify)
        .expect(0)
        .says(&["reproducible: the agent asked for the same", "1 write (issue_refund)"]);
}

#[test]
fn matches_are_counted_and_what_is_not_allowed_stops() {
    let refund = varying();
    let all = refund.retake(&["replay", "refund.1"]).expect(0);
    all.says(&["matched: 3 exact, 2 pinned"]);
    let data = refund.retake(&["replay", "refund.1", "--json"]).expect(0).json();
    let classes =
        serde_json::json!({"exact": 3, "renamed": 0, "pinned": 2, "masked": 0, "reordered": 0, "drift": 0});
    assert_eq!(data["classes"], classes);
    assert_eq!(data["matching"]["symmetric"], 0, "{data}");

    let strict = refund.retake(&["replay", "refund.1", "--strict"]).expect(4);
    assert!(!strict.out.contains("Done"), "{}", strict.out);
    let number = regex::Regex::new(r"5\d{11}").expect("pattern");
    let said = |ran: &Ran| number.replace_all(&ran.err, "[queue]").into_owned();
    insta::with_settings!({filters => vec![(r"\d+(\.\d+)? ?(ms|s)\b", "[time]")]}, {
        insta::assert_snapshot!("strict_stderr", said(&strict));
    });
    let data = refund.retake(&["replay", "refund.1", "--strict", "--json"]).expect(4).json();
    assert_eq!(data["not_allowed"], serde_json::json!({"class": "pinned", "step": 8}), "{data}");
    assert_eq!(data["misses"][0]["nearest"][0]["path"], "messages[8].result.queue", "{data}");

    refund.retake(&["replay", "refund.1", "--strict", "--allow", "pinned"]).expect(0);
    refund.retake(&["replay", "refund.1", "--allow", "masked,pinned"]).expect(0);
    let other = refund.retake(&["replay", "refund.1", "--allow", "renamed,masked"]).expect(4);
    other.says(&[
        "only exact, renamed, masked pass (--allow renamed,masked)",
        "--allow renamed,pinned,masked",
    ]);
    refund.retake(&["replay", "refund.1", "--allow", "pined"]).expect(64).says(&["did you mean pinned?"]);
    refund.retake(&["replay", "refund.1", "--allow", "drift"]).expect(64).says(&["drift never passes"]);
}

#[test]
fn the_file_says_which_matches_pass_and_a_flag_says_otherwise() {
    let refund = varying();
    refund.env.file("retake.toml", "[replay]\nallow = [\"renamed\"]\n");
    let stopped = refund.retake(&["replay", "refund.1"]).expect(4);
    stopped.says(&["step 8 matches as pinned (the result of check_fraud)", "(retake.toml [replay])"]);
    refund.retake(&["replay", "refund.1", "--allow", "pinned"]).expect(0);
    let steady = Refund::recorded();
    steady.retake(&["replay", "refund.1", "--strict"]).expect(0);
}

#[test]
fn the_nearest_file_counts_and_a_bad_one_stops_before_anything_runs() {
    let refund = Refund::recorded();
    refund.env.file("retake.toml", "[tools]\nirreversibel = [\"issue_refund\"]\n");
    for verb in ["replay", "fork"] {
        let at: &[&str] = if verb == "fork" { &["--at", "8"] } else { &[] };
        let wrong = refund.retake(&[&[verb, "refund.1"], at].concat()).expect(3);
        wrong.says(&["retake.toml line 2: unknown field `irreversibel`", "did you mean irreversible?"]);
        assert_eq!(refund.ran(), "");
    }
    let error = refund.retake(&["replay", "refund.1", "--json"]).expect(3).json();
    assert_eq!(error["exit"], 3, "{error}");
    refund.env.file("other.toml", "");
    refund.retake(&["replay", "refund.1", "--config", "other.toml"]).expect(0);
    refund
        .retake(&["replay", "refund.1", "--config", "none.toml"])
        .expect(3)
        .says(&["none.toml cannot be read"]);

    refund.env.file("retake.toml", IRREVERSIBLE);
    let deep = refund.env.work().join("a/b");
    std::fs::create_dir_all(&deep).expect("made");
    let below = || {
        let mut command = refund.env.command(["replay", "refund.1"]);
        crate::support::env::ran(command.current_dir(&deep).output().expect("the binary runs"))
    };
    below().expect(5);
    std::fs::create_dir(refund.env.work().join("a/.git")).expect("made");
    below().expect(0);
}

#[test]
fn a_fork_tells_of_results_that_a_write_has_made_stale() {
    let mut refund = varying();
    refund.env.set("AMOUNT", "1");
    let fork = ["fork", "refund.1", "--set", "10:answer=\"Done.\"", "--", "python3", "agent.py"];
    let told = refund.retake(&fork).expect(0);
    told.says(&["warning: 1 stale result: step 7 check_fraud after step 2 lookup_order"]);
    let shown = refund.retake(&["show", "refund.2"]).expect(0).out;
    let marked: Vec<&str> = shown.lines().filter(|line| line.contains("~ stale")).collect();
    assert!(
        marked.len() == 2 && marked[0].contains("check_fraud") && marked[1].contains("another write"),
        "{shown}"
    );
    assert!(refund.retake(&["show", "refund.2", "7"]).expect(0).out.contains("stale: recorded behind"));
    let diff = refund.retake(&["diff", "refund.1", "refund.2"]).expect(1).out;
    assert!(
        diff.lines().any(|line| line.starts_with("stale     7 ") && line.contains("check_fraud")),
        "{diff}"
    );
    assert!(diff.contains("  stale: recorded behind another write"), "{diff}");
    refund.env.file("retake.toml", "[tools]\nread = [\"lookup_order\"]\n");
    let told = refund.retake(&fork).expect(0);
    assert!(!told.err.contains("stale"), "{}", told.err);
}

#[test]
fn nothing_is_said_of_matches_that_are_all_exact() {
    let refund = Refund::recorded();
    let replayed = refund.retake(&["replay", "refund.1"]).expect(0);
    assert!(!replayed.err.contains("match"), "{}", replayed.err);
}

/// An agent that tells the model a request number of its own, and draws a seed.
fn drifting() -> Refund {
    let refund = Refund::ready();
    let path = refund.env.work().join("agent.py");
    let agent = std::fs::read_to_string(&path).expect("the agent");
    let agent = agent
        .replace("refund me\"}", "refund me. Ticket \" + os.environ[\"TICKET\"] + \".\"}")
        .replace("\"tools\": SCHEMAS", "\"tools\": SCHEMAS, \"seed\": int(os.environ[\"SEED\"])");
    std::fs::write(&path, agent).expect("written");
    refund
}

#[test]
fn what_does_not_count_is_masked_and_what_varies_is_renamed() {
    let mut refund = drifting();
    refund.env.set("TICKET", "T-17");
    refund.env.set("SEED", "1");
    refund.retake(&["run", "--name", "refund", "--", "python3", "agent.py"]).expect(0);
    let again = ["replay", "refund.1", "--", "python3", "agent.py"];
    let strict = ["replay", "refund.1", "--strict", "--", "python3", "agent.py"];
    refund.env.set("SEED", "2");
    refund.retake(&again).expect(4).says(&["params.seed"]);
    refund.env.file("retake.toml", "[[ignore]]\npath = \"params.seed\"\n");
    refund.retake(&again).expect(0).says(&["matched: 5 masked"]);
    let stopped = refund.retake(&strict).expect(4);
    stopped.says(&["step 1 matches as masked", "params.seed", "--allow renamed,masked"]);

    refund.env.set("TICKET", "T-99");
    refund.retake(&again).expect(4).says(&["messages[1].text"]);
    refund.env.set("SEED", "1");
    refund.env.file(
        "retake.toml",
        "[[hole]]\npath = \"messages[*].text\"\npattern = 'Ticket (T-[0-9]+)'\nkind = \"name\"\n",
    );
    refund.retake(&strict).expect(0).says(&["matched: 5 renamed"]);
    refund.env.set("SEED", "2");
    refund.retake(&again).expect(4).says(&["params.seed"]);
    refund.env.set("SEED", "1");
    refund
        .env
        .file("retake.toml", "[[hole]]\ndialect = \"anthropic-messages\"\npattern = 'Ticket (T-[0-9]+)'\n");
    refund.retake(&again).expect(4).says(&["messages[1].text"]);
}
