//! The pipelines of `examples/ci/`: their shell steps run here, in a project with two recorded cases.

use crate::reports::project_with_cases;
use crate::support::env::{TestEnv, project};
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A YAML file; scalars are texts.
fn yaml(path: &str) -> Value {
    enum Open {
        List(Vec<Value>),
        Map(Map<String, Value>, Option<String>),
    }
    let text = std::fs::read_to_string(project().join("examples/ci").join(path)).expect("a pipeline");
    let mut parser = Parser::new_from_str(&text);
    let (mut open, mut root) = (Vec::new(), Value::Null);
    while let Some(next) = parser.next_event() {
        let done = match next.expect("YAML").0 {
            Event::Scalar(text, ..) => Value::from(text.into_owned()),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop().expect("open") {
                Open::List(all) => Value::from(all),
                Open::Map(all, _) => Value::from(all),
            },
            Event::Alias(_) => panic!("{path} has an alias"),
            _ => continue,
        };
        match open.last_mut() {
            None => root = done,
            Some(Open::List(all)) => all.push(done),
            Some(Open::Map(all, key)) => match key.take() {
                Some(key) => drop(all.insert(key, done)),
                None => *key = Some(done.as_str().expect("a key is a text").to_string()),
            },
        }
    }
    root
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").into()).collect()
}

fn program(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}")).expect("a program");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("mode");
}

/// A runner: the built binary is what `cargo install` installs; `gh` notes what it is asked.
struct Runner<'a> {
    env: &'a TestEnv,
    bin: tempfile::TempDir,
}

type Vars = BTreeMap<String, String>;

impl Runner<'_> {
    fn new(env: &TestEnv) -> Runner<'_> {
        let bin = tempfile::tempdir().expect("a directory");
        program(
            bin.path(),
            "cargo",
            &format!(
                "[ \"$1 $2 $3 $4 $5 $6\" = \"install --locked --git https://example.com/retake --tag v0.1.0\" ] || exit 9\n\
                 ln -sf {} {}/retake\n",
                env!("CARGO_BIN_EXE_retake"),
                bin.path().display()
            ),
        );
        program(
            bin.path(),
            "gh",
            "echo \"$*\" >> gh.log\ncase \"$*\" in *--paginate*) cat comments ;; *) test -s report/comment.md ;; esac\n",
        );
        Runner { env, bin }
    }

    /// Runs a script as runners do; its exit code and what it printed.
    fn run(&self, script: &str, vars: &Vars) -> (i32, String) {
        let path = std::env::var("PATH").unwrap_or_default();
        let ran = Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .current_dir(self.env.work())
            .env_clear()
            .env("PATH", format!("{}:{path}", self.bin.path().display()))
            .env("HOME", self.env.home())
            .env("RETAKE_SOURCE", "https://example.com/retake")
            .envs(vars)
            .stdin(Stdio::null())
            .output()
            .expect("bash runs");
        let text = [ran.stdout, ran.stderr].concat();
        (ran.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    fn there(&self, path: &str) {
        let path = self.env.work().join(path);
        assert!(path.exists(), "there is no {}", path.display());
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.env.work().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }
}

/// A value with its `${{ … }}` filled in; one that is not known fails the test.
fn filled(text: &str, shard: &str) -> String {
    let expression = regex::Regex::new(r"\$\{\{ ([^}]+) \}\}").expect("a pattern");
    let known = |found: &regex::Captures<'_>| match &found[1] {
        "matrix.shard" => shard.to_string(),
        "vars.RETAKE_SOURCE" => "https://example.com/retake".into(),
        "github.token" => "a-token".into(),
        "github.event.pull_request.number" => "17".into(),
        other => panic!("what is {other}?"),
    };
    expression.replace_all(text, known).into_owned()
}

fn vars(of: &Value, shard: &str) -> Vars {
    let all = of["env"].as_object().into_iter().flatten();
    all.map(|(name, value)| (name.clone(), filled(value.as_str().expect("a text"), shard))).collect()
}

/// A job of the workflow: exit code of the first step that failed, and all that was printed.
fn github_job(runner: &Runner<'_>, workflow: &Value, job: &str, shard: &str) -> (i32, String) {
    let (mut code, mut printed) = (0, String::new());
    let job = &workflow["jobs"][job];
    for step in job["steps"].as_array().expect("steps") {
        let always = match step["if"].as_str() {
            None => false,
            Some(when) if when.starts_with("always()") => true,
            Some(when) => panic!("when is {when}?"),
        };
        if code != 0 && !always {
            continue;
        }
        if let Some(action) = step["uses"].as_str() {
            match action {
                "actions/checkout@v4" => {}
                "actions/upload-artifact@v4" => runner.there(step["with"]["path"].as_str().expect("a path")),
                "actions/download-artifact@v4" => assert_eq!(step["with"]["path"], "report"),
                other => panic!("what is {other}?"),
            }
            continue;
        }
        let mut all = vars(workflow, shard);
        all.extend(vars(job, shard));
        all.extend(vars(step, shard));
        let summary = runner.env.work().join("summary.md").display().to_string();
        all.insert("GITHUB_STEP_SUMMARY".into(), summary);
        all.insert("GITHUB_REPOSITORY".into(), "ada/agent".into());
        let script = step["run"].as_str().expect("a script");
        assert!(!script.contains("${{"), "an expression in a script: {script}");
        let (ended, text) = runner.run(script, &all);
        printed.push_str(&text);
        if code == 0 {
            code = ended;
        }
    }
    (code, printed)
}

/// What GitHub takes for commands: not what stands between `stop-commands` and the word that it gave.
fn commands(printed: &str) -> Vec<&str> {
    let (mut all, mut until) = (Vec::new(), None);
    for line in printed.lines().map(str::trim_start).filter(|line| line.starts_with("::")) {
        match (&until, line.strip_prefix("::stop-commands::")) {
            (None, Some(word)) => until = Some(format!("::{word}::")),
            (None, None) => all.push(line),
            (Some(word), _) if word == line => until = None,
            (Some(_), _) => {}
        }
    }
    assert!(until.is_none(), "commands stay stopped");
    all
}

fn github(runner: &Runner<'_>) -> ([i32; 3], String) {
    let workflow = yaml("github/.github/workflows/retake.yml");
    let shards = texts(&workflow["jobs"]["test"]["strategy"]["matrix"]["shard"]);
    assert_eq!(shards, ["1", "2"]);
    let codes = [0, 1].map(|n: usize| github_job(runner, &workflow, "test", &shards[n]).0);
    let (code, printed) = github_job(runner, &workflow, "report", "");
    ([codes[0], codes[1], code], printed)
}

#[test]
fn the_workflow_of_github() {
    let env = project_with_cases();
    let runner = Runner::new(&env);
    env.file("comments", "");
    crate::reports::break_a_case(&env);
    let (codes, printed) = github(&runner);
    assert_eq!(codes, [1, 0, 1], "{printed}");
    let annotations: Vec<&str> = commands(&printed);
    assert_eq!(annotations.len(), 1, "{printed}");
    let (at, title) = annotations[0].split_once(",title=").expect("a title");
    let line = at.strip_prefix("::error file=tests/retake/billing/exact.retake,line=");
    assert!(line.is_some_and(|line| line != "1") && title.starts_with("regression"), "{printed}");
    assert!(runner.read("summary.md").contains("❌ retake: 1 regression, 1 passed"));
    assert!(
        runner.read("report/junit.xml").contains("tests=\"2\" skipped=\"0\" failures=\"1\" errors=\"0\"")
    );
    assert!(
        runner
            .read("gh.log")
            .contains("--method POST repos/ada/agent/issues/17/comments -F body=@report/comment.md")
    );

    // The comment of that run is found and kept up to date.
    crate::reports::mend(&env);
    env.file("comments", "4711\n");
    let (codes, printed) = github(&runner);
    assert_eq!(codes, [0, 0, 0], "{printed}");
    assert!(commands(&printed).is_empty(), "{printed}");
    assert!(runner.read("gh.log").contains("--method PATCH repos/ada/agent/issues/comments/4711"));
    assert!(runner.read("report/comment.md").starts_with("<!-- retake-report -->\n## ✅ retake: 2 passed"));
}

fn gitlab(runner: &Runner<'_>) -> ([i32; 3], String) {
    let pipeline = yaml("gitlab/.gitlab-ci.yml");
    let of = yaml("gitlab/.gitlab-ci.yml")["variables"].clone();
    let common: Vars = of
        .as_object()
        .into_iter()
        .flatten()
        .map(|(k, v)| (k.clone(), v.as_str().expect("a text").into()))
        .collect();
    let job = |name: &str, index: usize, total: &str| {
        let job = &pipeline[name];
        let mut script = texts(&pipeline[job["extends"].as_str().expect("what it extends")]["before_script"]);
        assert!(!script.is_empty());
        script.extend(texts(&job["script"]));
        let mut all = common.clone();
        all.insert("CI_NODE_INDEX".into(), index.to_string());
        all.insert("CI_NODE_TOTAL".into(), total.to_string());
        let ran = runner.run(&script.join("\n"), &all);
        assert_eq!(job["artifacts"]["when"], "always");
        texts(&job["artifacts"]["paths"]).iter().for_each(|path| runner.there(path));
        let reports = job["artifacts"]["reports"].as_object();
        reports.into_iter().flatten().for_each(|(_, path)| runner.there(path.as_str().expect("a path")));
        ran
    };
    let total = pipeline["retake"]["parallel"].as_str().expect("a number");
    assert_eq!(total, "2");
    let codes = [1, 2].map(|index| job("retake", index, total).0);
    let (code, printed) = job("retake-report", 0, "");
    ([codes[0], codes[1], code], printed)
}

#[test]
fn the_pipeline_of_gitlab() {
    let env = project_with_cases();
    let runner = Runner::new(&env);
    let (codes, printed) = gitlab(&runner);
    assert_eq!(codes, [0, 0, 0], "{printed}");
    assert_eq!(runner.read("report/codequality.json"), "[]\n");

    crate::reports::break_a_case(&env);
    let (codes, printed) = gitlab(&runner);
    assert_eq!(codes, [1, 0, 1], "{printed}");
    let issues: Value = serde_json::from_str(&runner.read("report/codequality.json")).expect("JSON");
    assert_eq!(issues[0]["location"]["path"], "tests/retake/billing/exact.retake");
    assert!(runner.read("report/junit.xml").contains("failures=\"1\""));
    assert!(runner.read("report/report.html").contains("What the agent printed"));
}
