//! `docs/bisect.md`: its two sessions find what they say they find.

use crate::support::env::project;
use crate::support::refund::Refund;
use std::path::Path;
use std::process::Command;

/// The commands of the page's sessions that begin so.
fn commands(beginning: &str) -> Vec<String> {
    let page = std::fs::read_to_string(project().join("docs/bisect.md")).expect("the page");
    let typed = page.lines().filter_map(|line| line.strip_prefix("$ "));
    typed.filter(|line| line.starts_with(beginning)).map(String::from).collect()
}

struct Repository {
    refund: Refund,
}

impl Repository {
    /// The agent does it right at `good`; then its prompt is worded otherwise, broken, and worded otherwise again.
    fn new() -> Repository {
        let repository = Repository { refund: Refund::ready() };
        let agent = |prompt: &str| {
            let plain =
                std::fs::read_to_string(project().join("tests/it/agents/plain_refund.py")).expect("it");
            repository.refund.env.file("agent.py", &plain.replace("You handle refunds.", prompt));
        };
        let commit = |message: &str| {
            repository.sh(&format!("git add -A && git commit -qm '{message}'"));
        };
        repository.sh("git init -q -b main && printf '.retake\nran.log\n' > .gitignore");
        agent("You handle refunds. Amounts are in cents.");
        repository.refund.retake(&["run", "--name", "refund", "--", "python3", "agent.py"]).expect(0);
        repository.refund.env.file(
            "cents.toml",
            "[[check]]\nname = \"amount in dollars\"\n\
             that = \"step('issue_refund').args.amount_usd == step('lookup_order').result.amount / 100\"\n",
        );
        repository.refund.retake(&["test", "add", "refund.1", "--check", "cents.toml"]).expect(0);
        commit("good");
        repository.sh("git tag good");
        agent("You handle refunds for a shop. Amounts are in cents.");
        commit("harmless before");
        agent("You handle refunds for a shop.");
        commit("broken");
        agent("You handle refunds for a small shop.");
        commit("harmless after");
        repository
    }

    /// A command in the repository, with retake and the model at hand; what it prints.
    fn sh(&self, command: &str) -> String {
        let env = &self.refund.env;
        let here = Path::new(env!("CARGO_BIN_EXE_retake")).parent().expect("a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let done = Command::new("sh")
            .args(["-c", command])
            .current_dir(env.work())
            .env("PATH", format!("{}:{path}", here.display()))
            .env("HOME", env.home())
            .env("OPENAI_BASE_URL", format!("{}/v1", self.refund.model.origin()))
            .env("OPENAI_API_KEY", "none")
            .env("MODEL", self.refund.model.origin())
            .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@example.org")])
            .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@example.org")])
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .expect("sh runs");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{command}\n{said}\n{}", String::from_utf8_lossy(&done.stderr));
        said
    }

    /// The subject of the commit that a session of the page finds.
    fn found(&self, run: &str) -> String {
        if let Some(start) = commands("git bisect start").first() {
            self.sh(start);
        }
        let said = self.sh(run);
        assert!(said.contains("is the first bad commit"), "{said}");
        let subject = self.sh("git log -1 --format=%s refs/bisect/bad").trim().to_string();
        self.sh("git bisect reset");
        subject
    }
}

#[test]
fn bisect_finds_what_the_page_says() {
    let repository = Repository::new();
    let runs = commands("git bisect run");
    let [closed, live] = runs.as_slice() else { panic!("two sessions: {runs:?}") };
    let asked = repository.refund.model.connections();
    assert_eq!(repository.found(closed), "harmless before", "anything that the model sees");
    assert_eq!(repository.refund.model.connections(), asked, "nothing was dialled");
    assert_eq!(repository.found(live), "broken", "what the check says");
    assert!(repository.refund.model.connections() > asked);
    assert_eq!(repository.sh("git status --porcelain"), "", "nothing is left behind");
}
