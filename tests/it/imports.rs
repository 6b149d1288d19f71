//! Files of other tools: what is imported is replayed to a real HTTP client, which reads the file by itself.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::venv;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The Python of an environment that can read YAML.
fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| venv::python("yaml-venv", &["pyyaml==6.0.3"]).display().to_string())
}

fn fixture(name: &str) -> PathBuf {
    project().join("fixtures/import").join(name)
}

fn asker() -> String {
    project().join("tests/it/agents/asker.py").display().to_string()
}

/// The runs of a file, as a program is told of them.
fn imported(env: &TestEnv, kind: &str, file: &Path) -> Vec<Value> {
    let told = env.retake(["import", "--from", kind, &file.display().to_string(), "--json"]).expect(0).json();
    told["runs"].as_array().unwrap().clone()
}

fn sound(run: &Value) -> Vec<&str> {
    run["sound"].as_array().unwrap().iter().filter_map(Value::as_str).collect()
}

/// Asks a replay for everything that the file holds.
fn asked(env: &TestEnv, kind: &str, file: &Path, number: usize, run: &Value) -> (Ran, Value) {
    let python = if kind == "vcr" { python() } else { "python3" };
    let (id, file) = (run["run"].as_str().unwrap(), file.display().to_string());
    let (asker, number) = (asker(), number.to_string());
    let mut command = vec!["replay", id, "--", python, &asker, kind, &file];
    if kind == "llama-stack" {
        command.push(&number);
    }
    let ran = env.retake(command);
    let told = ran.out.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    (ran, told)
}

#[test]
fn every_kind_of_traffic_replays_to_the_byte() {
    for (kind, name, runs, asked_for) in [
        ("vcr", "vcr/anthropic-stream.yaml", 1, 1),
        ("vcr", "vcr/bedrock-stream.yaml", 1, 1),
        ("vcr", "vcr/groq-tool-error.yaml", 1, 3),
        ("vcr", "vcr/anthropic-to-openai.yaml", 1, 4),
        ("vcr", "vcr/mcp-server.yaml", 1, 9),
        ("har", "har/function-tool.har", 1, 3),
        ("har", "har/anthropic-stream.har", 1, 1),
        ("mitmproxy", "mitmproxy/function-tool.mitm", 1, 3),
        ("llama-stack", "llama-stack/recordings.jsonl", 7, 1),
    ] {
        let env = TestEnv::new();
        let told = imported(&env, kind, &fixture(name));
        assert_eq!(told.len(), runs, "{name}");
        for (index, run) in told.iter().enumerate() {
            assert!(sound(run).contains(&"replay"), "{name}: {run}");
            let (ran, told) = asked(&env, kind, &fixture(name), index + 1, run);
            let ran = ran.expect(0);
            assert_eq!(
                (&told["asked"], &told["equal"]),
                (&asked_for.into(), &asked_for.into()),
                "{name}: {}",
                ran.all()
            );
        }
    }
}

#[test]
fn an_answer_that_is_not_the_files_is_seen() {
    let env = TestEnv::new();
    let file = fixture("har/function-tool.har");
    let run = imported(&env, "har", &file).remove(0);
    let changed = std::fs::read_to_string(&file).unwrap().replacen(
        "\\\"status\\\": \\\"completed\\\"",
        "\\\"status\\\": \\\"failed\\\"",
        1,
    );
    let changed = env.file("changed.har", &changed);
    let (ran, told) = asked(&env, "har", &changed, 1, &run);
    assert_eq!((&told["asked"], &told["equal"]), (&3.into(), &2.into()), "{}", ran.all());
}

#[test]
fn a_person_is_told_what_each_run_is_sound_for() {
    let env = TestEnv::new();
    let files =
        ["vcr/groq-tool-error.yaml", "vcr/mcp-server.yaml"].map(|name| fixture(name).display().to_string());
    let ran = env.retake(["import", "--from", "vcr", &files[0], &files[1], "--name", "tapes"]).expect(0);
    assert_eq!(
        ran.out,
        "imported  tapes.1   4 steps   view diff replay fork   without: the key order and white space of parsed_body; \
         how long answers took; when it was recorded\n          1 secret replaced: cookie header\n\
         imported  tapes.2   3 steps   view diff replay fork   without: the key order and white space of parsed_body; \
         how long answers took; the times of a stream's events; when it was recorded\n"
    );
    let again = env.retake(["import", "--from", "vcr", &files[0]]).expect(0);
    assert!(again.out.starts_with("already here as tapes.1"), "{}", again.out);
}

#[test]
fn a_file_of_another_kind_is_known_by_its_looks() {
    let env = TestEnv::new();
    let har = fixture("har/function-tool.har").display().to_string();
    env.retake(["import", &har]).expect(3).says(&["looks like an HTTP archive", "--from har"]);
    let ran = env.retake(["import", "--from", "vcr", &har]).expect(3);
    ran.says(&[
        "cannot be read as a cassette of VCR",
        "no `interactions`",
        "looks like an HTTP archive: --from har",
    ]);
    // So is one that is cut off, and one that is nothing.
    let whole = std::fs::read_to_string(&har).unwrap();
    env.file("cut.har", &whole[..whole.len() / 2]);
    let ran = env.retake(["import", "--from", "har", "cut.har"]).expect(3);
    ran.says(&[
        "cut.har cannot be read as an HTTP archive: it is no JSON",
        "line",
        "cut off or changed: export it again",
    ]);
    env.file("page.har", "<html>");
    let ran = env.retake(["import", "--from", "har", "page.har"]).expect(3);
    ran.says(&["page.har cannot be read", "if it is cut off or changed", "retake import --help"]);
    // One that cannot be read does not keep the others out.
    let flows = fixture("mitmproxy/function-tool.mitm").display().to_string();
    let ran = env.retake(["import", "--from", "mitmproxy", &har, &flows]).expect(3);
    ran.says(&["function-tool.har cannot be read as flows", "1 of 2 files could not be imported"]);
    assert!(ran.out.starts_with("imported  function-tool.1   3 steps"), "{}", ran.all());
}

/// A cassette with one model call. `answer`: its lines for the response.
fn cassette(answer: &str) -> String {
    let body = r#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}"#;
    format!(
        "interactions:\n- request:\n    method: POST\n    uri: https://api.openai.com/v1/chat/completions\n    \
         headers:\n      Authorization: [Bearer sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGh]\n    \
         body: '{body}'\n{answer}"
    )
}

#[test]
fn what_is_missing_is_refused_by_name() {
    let env = TestEnv::new();
    env.file("cut.yaml", &cassette(""));
    let run =
        env.retake(["import", "--from", "vcr", "cut.yaml", "--json"]).expect(0).json()["runs"][0].clone();
    assert_eq!(sound(&run), ["view", "diff"]);
    assert_eq!(
        run["lacks"][0],
        serde_json::json!({"what": "response of interaction 1", "spoils": ["replay", "fork"]})
    );
    for verb in ["replay", "fork"] {
        let at: &[&str] = if verb == "fork" { &["--at", "0"] } else { &[] };
        let ran = env.retake([&[verb, "cut.1"], at, &["--", "touch", "it-ran"]].concat()).expect(3);
        ran.says(&[&format!("cut.1 is not sound for a {verb}"), "response of interaction 1", "view, diff"]);
    }
    assert!(!env.work().join("it-ran").exists());
    // It stays known where the run goes.
    env.retake(["export", "cut.1", "cut.retake"]).expect(0);
    env.retake(["import", "cut.retake", "--name", "again"]).expect(0);
    env.retake(["replay", "again.1", "--", "true"]).expect(3).says(&["response of interaction 1"]);
}

#[test]
fn what_looks_like_a_secret_is_replaced() {
    let env = TestEnv::new();
    let answer = "  response:\n    status: {code: 200, message: OK}\n    headers: {content-type: [application/json]}\n    \
                  body: {string: '{\"choices\": [{\"index\": 0, \"finish_reason\": \"stop\", \"message\": {\"role\": \
                  \"assistant\", \"content\": \"the key is AKIAQ3EGRIPVCJX4LZTM\"}}]}'}\n";
    let file = env.file("keys.yaml", &cassette(answer));
    let told = env.retake(["import", "--from", "vcr", "keys.yaml"]).expect(0).out;
    assert!(
        told.ends_with(
            "\n          2 secrets replaced: authorization header, aws-access-key; the body of 1 answer is not as in the \
             file: a replay serves stand-ins there, unless the agent sends the secret itself\n"
        ),
        "{told}"
    );
    let text = env.retake(["export", "keys.1", "-"]).expect(0).out;
    assert!(text.contains("the key is AKIA") && !text.contains("AKIAQ3EGRIPVCJX4LZTM"), "{text}");
    assert!(text.contains("Bearer sk-proj-") && !text.contains("AbCdEfGhIjKlMn"), "{text}");
    // It is as it was told: another answer than the file's, of the same length.
    let run = serde_json::json!({ "run": "keys.1" });
    let (ran, told) = asked(&env, "vcr", &file, 1, &run);
    assert_eq!((&told["asked"], &told["equal"]), (&1.into(), &0.into()), "{}", ran.all());
    let other = told["other"][0].as_str().unwrap();
    assert!(other.contains("the key is AKIA") && other.contains("instead of"), "{other}");
    ran.says(&["1 secret served as a stand-in"]);
    // An agent that says the secret gets it.
    let asks = cassette(answer).replace("hello", "is it AKIAQ3EGRIPVCJX4LZTM?");
    let file = env.file("asks.yaml", &asks);
    let run = imported(&env, "vcr", &file).remove(0);
    assert_eq!(
        (&run["changed_answers"], &run["replaced"]["aws-access-key"]),
        (&1.into(), &1.into()),
        "{run}"
    );
    let (ran, told) = asked(&env, "vcr", &file, 1, &run);
    assert_eq!((&told["asked"], &told["equal"]), (&1.into(), &1.into()), "{}", ran.all());
    // A secret in a request alone takes nothing from the answer.
    env.file("plain.yaml", &cassette(&answer.replace("AKIAQ3EGRIPVCJX4LZTM", "none")));
    let told = env.retake(["import", "--from", "vcr", "plain.yaml"]).expect(0).out;
    assert!(told.ends_with("\n          1 secret replaced: authorization header\n"), "{told}");
}

/// No view makes a time of what the file does not say.
#[test]
fn times_that_a_file_does_not_have_are_told_as_unknown() {
    let env = TestEnv::new();
    let talk = r#"{"messages":[{"role":"user","content":"where is A1?"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1",
        "type":"function","function":{"name":"find","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"Oslo"},
        {"role":"assistant","content":"In Oslo."}]}"#;
    env.file("talk.jsonl", &format!("{}\n", talk.replace('\n', "")));
    env.retake(["import", "--from", "messages", "talk.jsonl"]).expect(0);
    let shown = env.retake(["show", "talk.1"]).expect(0).out;
    insta::assert_snapshot!("imports_without_times", shown);
    for row in env.retake(["show", "talk.1", "--json"]).expect(0).json()["steps"].as_array().unwrap() {
        assert_eq!(row["time_us"], Value::Null, "{row}");
    }
    let tree = env.retake(["show", "talk.1", "--tree"]).expect(0).out;
    insta::assert_snapshot!("imports_without_times_tree", tree);
    let step = env.retake(["show", "talk.1", "2"]).expect(0).out;
    assert!(!step.contains("at most"), "{step}");
    let stats = env.retake(["stats", "talk.1", "--json"]).expect(0).json();
    assert_eq!(stats["total"]["latency"]["p50_us"], Value::Null, "{stats}");
    assert_eq!(stats["tools"]["find"]["latency"]["p50_us"], Value::Null, "{stats}");
    let found = env.retake(["show", "talk.1", "--tree", "--json"]).expect(0).json();
    assert!(found.to_string().contains(r#""untimed":true"#), "{found}");
    env.retake(["import", "--from", "messages", "talk.jsonl", "--again"]).expect(0);
    let told = env.retake(["diff", "talk.1", "talk.2", "--json"]).expect(0).json();
    for side in ["left", "right"] {
        assert_eq!(told["totals"][side]["duration_us"], Value::Null, "{told}");
    }
    // A cassette has dates at best, and no answer's end.
    let run = imported(&env, "vcr", &fixture("vcr/groq-tool-error.yaml")).remove(0);
    let id = run["run"].as_str().unwrap();
    assert!(run["lacks"].to_string().contains("how long answers took"), "{run}");
    for row in env.retake(["show", id, "--json"]).expect(0).json()["steps"].as_array().unwrap() {
        assert_eq!(row["time_us"], Value::Null, "{row}");
    }
    // And one that has them keeps them.
    let run = imported(&env, "har", &fixture("har/function-tool.har")).remove(0);
    let shown = env.retake(["show", run["run"].as_str().unwrap(), "--json"]).expect(0).json();
    assert!(
        shown["steps"].as_array().unwrap().iter().all(|row| row["time_us"].as_u64() > Some(0)),
        "{shown}"
    );
}

/// What leaves for another tool comes back, and answers as it did.
#[test]
fn there_and_back() {
    let env = TestEnv::new();
    for (kind, name) in [("mitmproxy", "mitmproxy/function-tool.mitm"), ("vcr", "vcr/bedrock-stream.yaml")] {
        let run = imported(&env, kind, &fixture(name)).remove(0)["run"].as_str().unwrap().to_string();
        for (to, file) in [("har", "out.har"), ("vcr", "out.yaml")] {
            let told = env.retake(["export", &run, file, "--force"]).expect(0);
            assert!(told.out.starts_with(&format!("exported  {run}   {file}")), "{}", told.out);
            let back = imported(&env, to, &env.work().join(file)).remove(0);
            assert_eq!(sound(&back), ["view", "diff", "replay", "fork"], "{back}");
            // What the one file says is asked for of the run from the other.
            let (ran, told) = asked(&env, to, &env.work().join(file), 1, &back);
            assert!(told["asked"].as_u64() > Some(0) && told["asked"] == told["equal"], "{}", ran.all());
            if kind == "vcr" {
                let (ran, told) = asked(&env, kind, &fixture(name), 1, &back);
                assert!(told["asked"].as_u64() > Some(0) && told["asked"] == told["equal"], "{}", ran.all());
            }
        }
        // The flag counts before the name.
        env.retake(["export", &run, "flag.har", "--to", "vcr"]).expect(0);
        assert!(std::fs::read_to_string(env.work().join("flag.har")).unwrap().starts_with("interactions:"));
        std::fs::remove_file(env.work().join("flag.har")).unwrap();
    }
}

/// All files of folders that are elsewhere: `RETAKE_IMPORTS='vcr=DIR llama-stack=FILE' cargo test --test it -- --ignored
/// --nocapture whole_collections`. Prints a table; fails where a run that is graded *replay* does not replay to the byte.
#[test]
#[ignore = "wants collections of files"]
fn whole_collections() {
    let wanted = std::env::var("RETAKE_IMPORTS").expect("RETAKE_IMPORTS: KIND=PATH …");
    let mut bad = Vec::new();
    println!("kind          files   runs   replay   byte-equal   answers");
    for (kind, path) in wanted.split_whitespace().filter_map(|one| one.split_once('=')) {
        let path = Path::new(path);
        let mut files: Vec<PathBuf> = match std::fs::read_dir(path) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(_) => vec![path.to_path_buf()],
        };
        let ends = ["yaml", "yml", "har", "mitm", "json", "jsonl"];
        files.retain(|file| file.extension().is_some_and(|end| ends.iter().any(|known| end == *known)));
        files.sort();
        let (mut runs, mut graded, mut equal, mut answers) = (0, 0, 0, 0);
        for file in &files {
            let env = TestEnv::new();
            for (index, run) in imported(&env, kind, file).iter().enumerate() {
                runs += 1;
                if !sound(run).contains(&"replay") {
                    bad.push(format!("not for a replay: {} {}", file.display(), run["lacks"]));
                    continue;
                }
                graded += 1;
                let (ran, told) = asked(&env, kind, file, index + 1, run);
                answers += told["equal"].as_u64().unwrap_or_default();
                match ran.code == 0 && told["equal"].is_u64() && told["equal"] == told["asked"] {
                    true => equal += 1,
                    false => bad.push(format!("{} {}: {}", file.display(), run["run"], ran.all())),
                }
            }
        }
        println!("{kind:12} {:6} {runs:6} {graded:8} {equal:12} {answers:9}", files.len());
    }
    bad.iter().for_each(|line| println!("{line}"));
    assert!(!bad.iter().any(|line| !line.starts_with("not for a replay")));
}
