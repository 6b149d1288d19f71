//! Commands of shells that a model asks for: whose they are, where a fork runs them, and what stands before them.

use crate::support::env::{Ran, TestEnv};
use crate::support::upstream::{FakeUpstream, Received, Script};
use serde_json::{Value, json};

/// What the model asks for in turn.
const COMMANDS: [&str; 3] = [
    "echo one >> ran.log; echo 'a b'; exit 3",
    "echo two >> ran.log",
    "echo three >> ran.log && /bin/date +%Y",
];

fn answer(request: &Received) -> Script {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let results =
        body["messages"].as_array().expect("messages").iter().filter(|m| m["role"] == "tool").count();
    let other = body["messages"][0]["content"].as_str().is_some_and(|text| text.contains("otherwise"));
    let command = match COMMANDS.get(results) {
        Some(_) if other && results == 2 => Some("echo four >> ran.log"),
        command => command.copied(),
    };
    let message = match command {
        Some(command) => {
            let function = json!({"name": "Bash", "arguments": json!({"command": command, "why": "to see"}).to_string()});
            json!({"role": "assistant", "content": null,
                   "tool_calls": [{"id": format!("c{results}"), "type": "function", "function": function}]})
        }
        None => json!({"role": "assistant", "content": "Done."}),
    };
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    Script::json(
        &json!({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}).to_string(),
    )
}

/// `term.1`, recorded: steps 1 model, 2 one, 3 model, 4 two, 5 model, 6 three, 7 model.
struct Terminal {
    env: TestEnv,
    _model: FakeUpstream,
}

impl Terminal {
    fn new(vars: &[(&str, &str)]) -> Terminal {
        let model = FakeUpstream::reading(|_, request| answer(request));
        let mut env = TestEnv::new();
        env.upstream(&model.origin());
        env.file("agent.py", include_str!("agents/terminal.py"));
        vars.iter().for_each(|(name, value)| env.set(name, *value));
        Terminal { env, _model: model }
    }

    fn recorded(vars: &[(&str, &str)]) -> Terminal {
        let terminal = Terminal::new(vars);
        terminal.record(&["--shell"]).says(&["tools recorded: the shell (3 commands)"]);
        assert_eq!(terminal.env.ran(), ["one", "two", "three"]);
        terminal.env.forget_ran();
        terminal
    }

    fn record(&self, flags: &[&str]) -> Ran {
        let words = [&["run", "--name", "term"], flags, &["--", "python3", "agent.py", "Look"]].concat();
        self.env.retake(words).expect(0)
    }

    fn retake(&self, words: &[&str]) -> Ran {
        self.env.retake(words)
    }
}

#[test]
fn a_recorded_command_is_that_of_the_call_which_asked_for_it() {
    for wrap in ["", "1"] {
        let terminal = Terminal::recorded(&[("WRAP", wrap)]);
        let replayed = terminal.retake(&["replay", "term.1"]).expect(0);
        replayed.says(&["7/7 steps", "not run, the shell is answered from the recording: 3 commands"]);
        assert!(!replayed.err.contains("ran for real"), "{}", replayed.err);
        assert!(terminal.env.ran().is_empty());
        let told = terminal.retake(&["show", "term.1", "--json"]).expect(0).json();
        let notes: Vec<&Value> = [1, 3, 5].iter().map(|step| &told["steps"][*step]["notes"]).collect();
        // The wrapper goes on behind a command only where that succeeds.
        assert_eq!(notes[0], &json!(["by the shell", "exit 3"]));
        assert_eq!(notes[1..], [&json!(["by the shell", "exit 0"]); 2]);
        let step = terminal.retake(&["show", "term.1", "2"]).expect(0).out;
        assert!(step.contains("Bash") && step.contains("by the shell   exit 3"), "{step}");
        assert!(!step.contains("at most"), "the shim has the time: {step}");
    }
}

#[test]
fn a_command_among_some_of_the_agents_own_is_that_of_its_call() {
    let terminal =
        Terminal::recorded(&[("FIRST", "set -e; cd \"$PWD\" && "), ("MORE", "; pwd -P > /tmp/own-cwd")]);
    let replayed = terminal.retake(&["replay", "term.1"]).expect(0);
    replayed.says(&["not run, the shell is answered from the recording: 3 commands"]);
    assert!(!replayed.err.contains("ran for real"), "{}", replayed.err);
    let step = terminal.retake(&["show", "term.1", "4"]).expect(0).out;
    assert!(step.contains("by the shell   exit 0"), "{step}");
    let fork = ["fork", "term.1", "--at", "4", "--fence", "Bash"];
    terminal.retake(&fork).expect(5).says(&["stopped at the fence before Bash"]);
    assert!(terminal.env.ran().is_empty(), "{:?}", terminal.env.ran());
}

#[test]
fn a_fork_runs_what_stands_behind_the_checkpoint() {
    let terminal = Terminal::recorded(&[]);
    let fork = terminal.retake(&["fork", "term.1", "--at", "4"]).expect(0);
    assert_eq!(terminal.env.ran(), ["three"], "one and two are as recorded");
    fork.says(&[
        "the recording: 2 commands",
        "ran for real: 1 command behind the checkpoint, as recorded",
        "Bash",
    ]);
    terminal.env.forget_ran();
    let served = terminal.retake(&["fork", "term.1", "--at", "4", "--serve-commands"]).expect(0);
    assert!(terminal.env.ran().is_empty(), "{:?}", terminal.env.ran());
    served.says(&["the recording: 3 commands"]);
    assert!(!served.err.contains("ran for real"), "{}", served.err);
    // Forks are recorded as any run: those that were answered and the one that ran.
    let again = terminal.retake(&["replay", "term.2"]).expect(0);
    again.says(&["the recording: 3 commands"]);
    assert!(terminal.env.ran().is_empty(), "{:?}", terminal.env.ran());
}

#[test]
fn a_command_that_only_an_edit_brought_about_runs() {
    let terminal = Terminal::recorded(&[]);
    let words = ["fork", "term.1", "--set", "5..:system+=\"Look otherwise.\""];
    for flags in [&[][..], &["--serve-commands"]] {
        terminal
            .retake(&[&words[..], flags].concat())
            .expect(0)
            .says(&["ran for real, not recorded so: 1 command"]);
        assert_eq!(terminal.env.ran(), ["four"]);
        terminal.env.forget_ran();
    }
}

#[test]
fn a_fence_stops_before_a_command() {
    let terminal = Terminal::recorded(&[]);
    let at = |flags: &[&str]| terminal.retake(&[&["fork", "term.1", "--at", "4"], flags].concat());
    for (fence, said) in [
        ("sh -c", "stopped at the fence before sh -c"),
        ("$ echo", "before $ echo"),
        ("$ echo three", "before $ echo three"),
        ("$ date", "before $ date"),
        ("Bash", "before Bash"),
    ] {
        let stopped = at(&["--fence", fence]).expect(5);
        stopped.says(&[said]);
        assert!(!stopped.err.contains("had nothing to stop"), "{}", stopped.err);
        assert!(terminal.env.ran().is_empty(), "{fence}: {:?}", terminal.env.ran());
        // What is served does not run: no fence is in its way.
        let served = terminal.retake(&["replay", "term.1", "--fence", fence]).expect(0);
        served.says(&["had nothing to stop: ", " is answered from the recording"]);
    }
    at(&["--fence", "$ echo two", "--fence", "$ rm"]).expect(0);
    assert_eq!(terminal.env.ran(), ["three"]);
    terminal.env.forget_ran();
    terminal.env.file("retake.toml", "[tools]\nirreversible = [\"$ echo*\"]\n");
    at(&[]).expect(5).says(&["before $ echo", "--unfence '$ echo'"]);
    let stopped = at(&["--unfence", "$ ecoh", "--unfence=$ ehco"]).expect(5);
    stopped.says(&["--unfence '$ ecoh': term.1 has no such command; did you mean --unfence '$ echo'?"]);
    let how = stopped.err.split("to let it run").nth(1).expect("a hint");
    assert!(!how.contains("ecoh") && !how.contains("ehco"), "what is misspelt is not repeated: {how}");
    assert!(terminal.env.ran().is_empty());
    at(&["--unfence", "$ echo"]).expect(0);
    assert_eq!(terminal.env.ran(), ["three"]);
}

#[test]
fn names_of_commands_are_compared_with_those_that_are_recorded() {
    let terminal = Terminal::recorded(&[]);
    let meant = "did you mean --fence '$ echo'?";
    for (flag, name, code, said) in [
        ("--fence", "$ nosuch", 0, "term.1 has no such command; it counts if the agent gives one to a shell"),
        ("--fence", "$ ecoh", 0, meant),
        ("--fence", "echo", 64, meant),
        ("--fence", "$echo", 64, meant),
        ("--unfence", "echo", 64, "did you mean --unfence '$ echo'?"),
        ("--fence", "mkdir", 64, "for a command: --fence '$ mkdir'"),
    ] {
        terminal.retake(&["replay", "term.1", flag, name]).expect(code).says(&[said]);
    }
    terminal.env.file("retake.toml", "[tools]\nirreversible = [\"$ ecoh\", \"$ git\"]\n");
    let replayed = terminal.retake(&["replay", "term.1"]).expect(0);
    replayed.says(&["that $ ecoh is irreversible, and term.1 has no such command; did you mean $ echo?"]);
    assert!(!replayed.err.contains("git"), "the file may be for other agents, too: {}", replayed.err);
    assert!(terminal.env.ran().is_empty(), "{:?}", terminal.env.ran());
}

#[test]
fn a_fence_on_the_tool_holds_when_its_command_is_another_one_today() {
    let mut terminal = Terminal::recorded(&[]);
    terminal.env.set("MORE", "; echo more >> ran.log");
    let replay = ["replay", "term.1", "--fence", "Bash", "--", "python3", "agent.py", "Look"];
    terminal.retake(&replay).expect(5).says(&["before Bash"]);
    assert!(terminal.env.ran().is_empty(), "{:?}", terminal.env.ran());
}

#[test]
fn a_fence_on_commands_needs_a_run_that_has_some() {
    let terminal = Terminal::new(&[]);
    terminal.record(&[]);
    terminal.env.forget_ran();
    let refused = terminal.retake(&["replay", "term.1", "--fence", "$ echo"]).expect(3);
    refused
        .says(&["term.1 has no commands of a shell, so that --fence '$ echo' would stop nothing", "--shell"]);
    assert!(terminal.env.ran().is_empty());
}

#[test]
fn commands_that_no_model_asked_for_are_nobodys_step() {
    let terminal = Terminal::new(&[("BESIDE", "echo beside >> ran.log")]);
    terminal.record(&["--shell"]).says(&["the shell (7 commands)"]);
    terminal.env.forget_ran();
    let replayed = terminal.retake(&["replay", "term.1"]).expect(0);
    replayed.says(&["the recording: 7 commands"]);
    assert!(terminal.env.ran().is_empty(), "{:?}", terminal.env.ran());
    terminal.retake(&["fork", "term.1", "--at", "4"]).expect(0);
    // Until something is asked live they are as recorded.
    assert_eq!(terminal.env.ran(), ["three", "beside"]);
}
