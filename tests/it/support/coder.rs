//! The coding agent `agents/coder.py` in places of its own: directory, home and directory for temporary files.

use super::coder_model::{CoderModel, Manner};
use super::env::{Ran, TestEnv, project, ran};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

/// Where an agent works.
pub struct Place {
    root: tempfile::TempDir,
    name: &'static str,
}

impl Place {
    /// One whose directory has this name.
    pub fn new(name: &'static str) -> Place {
        let place = Place { root: tempfile::tempdir().expect("temp dir"), name };
        for directory in [place.work(), place.home(), place.temp()] {
            std::fs::create_dir_all(directory).expect("a directory");
        }
        std::fs::write(place.work().join("notes.txt"), "A note.").expect("a file");
        place
    }

    pub fn work(&self) -> PathBuf {
        self.root.path().join(self.name)
    }

    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub fn temp(&self) -> PathBuf {
        self.root.path().join("temporary")
    }

    fn log(&self) -> PathBuf {
        self.root.path().join("log.jsonl")
    }

    /// Its directories as texts, those that lie in others first.
    pub fn roots(&self) -> [String; 3] {
        [self.work(), self.home(), self.temp()].map(|d| d.display().to_string())
    }
}

/// What the agents got, by name and turn: the encoding and the bytes; and what their tools made up.
#[derive(Default)]
pub struct Got {
    pub answers: BTreeMap<(String, u64), (Option<String>, Vec<u8>)>,
    made: BTreeMap<String, BTreeMap<String, String>>,
}

impl Got {
    fn read(log: &str) -> Got {
        let mut lines = log.lines();
        let made = lines.next().map(|l| serde_json::from_str(l).expect("JSON")).unwrap_or_default();
        Got { answers: lines.map(read_line).collect(), made }
    }

    /// What of a recording stands for something else today: recorded and live, longest first.
    pub fn changed(&self, place: &Place, now: &Got, there: &Place) -> Vec<(String, String)> {
        let slug =
            |text: &str| text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (then, today) in place.roots().into_iter().zip(there.roots()) {
            pairs.push((slug(&then), slug(&today)));
            pairs.push((then, today));
        }
        for (agent, made) in &self.made {
            pairs.extend(made.iter().map(|(what, then)| (then.clone(), now.made[agent][what].clone())));
        }
        pairs.sort_by_key(|(then, _)| std::cmp::Reverse(then.len()));
        pairs
    }
}

/// A recording of the coder.
pub struct Coder {
    pub env: TestEnv,
    pub model: CoderModel,
    vars: Vec<(&'static str, &'static str)>,
}

impl Coder {
    pub fn new(manner: Manner, vars: &[(&'static str, &'static str)]) -> Coder {
        let model = CoderModel::start(manner);
        let mut env = TestEnv::new();
        env.upstream(&model.origin());
        env.set("RETAKE_STORE", env.store().display().to_string());
        Coder { env, model, vars: vars.to_vec() }
    }

    /// Runs the binary in a place; what the agent got.
    pub fn run(&self, place: &Place, args: &[&str]) -> (Ran, Got) {
        self.run_with(place, args, &[])
    }

    pub fn run_with(&self, place: &Place, args: &[&str], vars: &[(&str, &str)]) -> (Ran, Got) {
        let script = project().join("tests/it/agents/coder.py").display().to_string();
        let _ = std::fs::remove_file(place.log());
        let mut command = self.env.command(args.iter().copied().chain(["--", "python3", &script, "Do it"]));
        command.current_dir(place.work()).env("HOME", place.home()).env("TMPDIR", place.temp());
        command.env("LOG", place.log()).env("TZ", "UTC").env("PYTHONDONTWRITEBYTECODE", "1");
        command.envs(self.vars.iter().copied()).envs(vars.iter().copied());
        let ran = ran(command.output().expect("the binary runs"));
        let log = std::fs::read_to_string(place.log()).unwrap_or_default();
        (ran, Got::read(&log))
    }

    /// Records it as `c.1`.
    #[track_caller]
    pub fn record(&self, place: &Place) -> (Ran, Got) {
        let (ran, got) = self.run(place, &["run", "--name", "c"]);
        (ran.expect(0), got)
    }

    /// Replays a run: everything is recorded, nothing is asked. Gives the result in JSON, what the agent printed, and
    /// what it got.
    #[track_caller]
    pub fn replay(&self, run: &str, place: &Place) -> (Value, String, Got) {
        let before = self.model.connections();
        let (ran, got) = self.run(place, &["replay", run, "--json"]);
        let ran = ran.expect(0);
        assert_eq!(self.model.connections(), before, "nothing is asked");
        let told = ran.json();
        let asked = got.answers.len() as u64;
        let answers = &told["replay"]["answers"];
        assert_eq!(*answers, json!({"recorded": asked, "edited": 0, "live": 0, "refused": 0}), "{told:#}");
        assert_eq!(
            (&told["classes"]["drift"], &told["classes"]["masked"]),
            (&json!(0), &json!(0)),
            "{told:#}"
        );
        let classes = told["classes"].as_object().expect("classes").values().filter_map(Value::as_u64);
        assert_eq!(classes.sum::<u64>(), asked, "{told:#}");
        assert_eq!(told["replay"]["outcome"]["outcome"], "same", "{told:#}");
        (told, ran.err, got)
    }
}

fn read_line(line: &str) -> ((String, u64), (Option<String>, Vec<u8>)) {
    let line: Value = serde_json::from_str(line).expect("JSON");
    let body = STANDARD.decode(line["body"].as_str().expect("a body")).expect("base64");
    let coding = line["coding"].as_str().map(str::to_string);
    let agent = line["agent"].as_str().expect("a name").to_string();
    let plain = match coding.as_deref() {
        Some("gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain).expect("gzip");
            plain
        }
        _ => body,
    };
    ((agent, line["turn"].as_u64().expect("a turn")), (coding, plain))
}
