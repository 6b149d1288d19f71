//! A hermetic place to run the binary in: a directory, a home and an environment of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A scratch directory with a store in it.
pub struct TestEnv {
    root: tempfile::TempDir,
    vars: Vec<(String, String)>,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Panics with everything that was printed unless the exit code is as expected.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Panics unless standard error holds each of these.
    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in\n{}\n--- stdout\n{}", self.err, self.out);
        }
    }

    /// Both outputs, one after the other.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

impl TestEnv {
    pub fn new() -> TestEnv {
        let root = tempfile::tempdir().expect("temp dir");
        std::fs::create_dir_all(root.path().join("home")).expect("home");
        std::fs::create_dir_all(root.path().join("work")).expect("work");
        TestEnv { root, vars: Vec::new() }
    }

    /// The agent's working directory; the store is in it.
    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub fn store(&self) -> PathBuf {
        self.work().join(".retake")
    }

    /// Sets a variable for every later command.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.vars.retain(|(n, _)| n != name);
        self.vars.push((name.to_string(), value.into()));
    }

    /// Takes a variable back.
    pub fn unset(&mut self, name: &str) {
        self.vars.retain(|(n, _)| n != name);
    }

    /// Points both SDK base URLs at a scripted upstream.
    pub fn upstream(&mut self, origin: &str) {
        self.set("OPENAI_BASE_URL", format!("{origin}/v1"));
        self.set("ANTHROPIC_BASE_URL", origin);
        self.set("OPENAI_API_KEY", "sk-test-0123456789abcdefghij");
        self.set("ANTHROPIC_API_KEY", "sk-ant-test-0123456789abcdef");
    }

    /// A command of the binary, not yet started.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retake"));
        command
            .args(args)
            .current_dir(self.work())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("TMPDIR", std::env::temp_dir())
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100")
            .envs(self.vars.iter().map(|(n, v)| (n.as_str(), v.as_str())))
            .stdin(Stdio::null());
        command
    }

    /// Runs the binary to its end.
    #[track_caller]
    pub fn retake<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        let output = self.command(args).output().expect("the binary runs");
        ran(output)
    }

    /// The tools that ran since [`TestEnv::forget_ran`], as agents note them in `ran.log`.
    pub fn ran(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.work().join("ran.log")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    /// Forgets the tools that ran; there must be some.
    #[track_caller]
    pub fn forget_ran(&self) {
        std::fs::remove_file(self.work().join("ran.log")).expect("tools were run");
    }

    /// Names of the runs that `ls` lists, in its order.
    #[track_caller]
    pub fn listed(&self) -> Vec<String> {
        let runs = self.retake(["ls", "--json"]).expect(0).json();
        let runs = runs.as_array().expect("a list").iter();
        runs.map(|run| run["manifest"]["id"].as_str().expect("an id").to_string()).collect()
    }

    /// A recording that is under way, without a request, until it is killed.
    pub fn recording(&self, name: &str) -> Child {
        let agent = ["run", "--name", name, "--", "sh", "-c", "echo up; exec sleep 60"];
        let mut command = self.command(agent);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("the agent runs");
        child
    }

    /// Writes a file into the working directory.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.work().join(name);
        std::fs::write(&path, content).expect("write");
        path
    }
}

pub fn ran(output: Output) -> Ran {
    let code = output.status.code().unwrap_or_else(|| {
        use std::os::unix::process::ExitStatusExt;
        128 + output.status.signal().unwrap_or_default()
    });
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code, out: text(output.stdout), err: text(output.stderr) }
}

/// The root of the project.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
