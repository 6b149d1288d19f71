//! `retake review`: what agents do differently now, accepted or not, one case after the other.

use super::super::args::ReviewArgs;
use super::super::error::{CliError, exit};
use super::super::import::own::stored;
use super::super::view::Opened;
use super::super::{Context, print, surroundings};
use super::find::{Suite, files};
use super::play::said_of;
use crate::diff::{Status, StepPair};
use crate::report::{difference, suite};
use crate::store::Store;
use crate::store::bundle::{self, ImportOptions};
use crate::suite::case::{Case, PENDING};
use crate::suite::findings::{Findings, find};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// The cases of which something waits.
pub(super) fn waiting(context: &Context) -> Result<Vec<Case>, CliError> {
    let suite = Suite::of(context)?.directory();
    let all = files(&suite, &|path| path.to_string_lossy().ends_with(PENDING))?;
    let mut cases: Vec<Case> = all
        .iter()
        .filter_map(|path| Some(PathBuf::from(path.to_string_lossy().strip_suffix(PENDING)?)))
        .map(|file| Case::named(&suite, &file))
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// What becomes of a pending case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Accept,
    Reject,
    Skip,
    Quit,
}

impl Choice {
    fn carry_out(self, case: &Case) -> Result<(), CliError> {
        let file = case.pending();
        let done = match self {
            Choice::Accept => std::fs::rename(&file, &case.file),
            Choice::Reject => std::fs::remove_file(&file),
            Choice::Skip | Choice::Quit => Ok(()),
        };
        done.map_err(|e| CliError::broken(format!("{}: {e}", file.display())))
    }

    /// What it comes to: `accepted`.
    fn word(self) -> &'static str {
        match self {
            Choice::Accept => "accepted",
            Choice::Reject => "rejected",
            Choice::Skip | Choice::Quit => "waiting",
        }
    }
}

pub(in crate::cli) fn review(context: &Context, args: &ReviewArgs) -> Result<i32, CliError> {
    let mut cases = waiting(context)?;
    if let Some(unknown) = args.cases.iter().find(|name| cases.iter().all(|case| case.name != **name)) {
        let there: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        let what = format!("nothing of {unknown} waits to be reviewed");
        return Err(match there.as_slice() {
            [] => CliError::broken(what).hint("retake test --update writes what has changed"),
            there => CliError::broken(what).hint(format!("there are {}", there.join(", "))),
        });
    }
    cases.retain(|case| args.cases.is_empty() || args.cases.contains(&case.name));
    if context.json {
        return reviewed(context, args, &cases);
    }
    if cases.is_empty() {
        print("nothing waits to be reviewed\n")?;
        return Ok(exit::OK);
    }
    let asks = !args.accept && !args.reject;
    let can_ask = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut left = 0;
    for (at, case) in cases.iter().enumerate() {
        let pending = Pending::open(context, case)?;
        print(&pending.told(context, (at + 1, cases.len())))?;
        let choice = match (args.accept, args.reject) {
            (true, _) => Choice::Accept,
            (_, true) => Choice::Reject,
            _ if can_ask => pending.ask(context)?,
            _ => Choice::Skip,
        };
        choice.carry_out(case)?;
        match choice {
            Choice::Accept => print(&format!("accepted  {}\n", case.name))?,
            Choice::Reject => print(&format!("rejected  {}: the case is as it was\n", case.name))?,
            Choice::Skip => left += 1,
            Choice::Quit => {
                left += cases.len() - at;
                break;
            }
        }
    }
    if left > 0 && asks && !can_ask {
        return Err(CliError {
            code: exit::DIFFERS,
            ..CliError::broken(format!("{left} to be reviewed, and nobody can be asked here"))
        }
        .hint("in a terminal: retake review; else --accept or --reject"));
    }
    Ok(if left > 0 { exit::DIFFERS } else { exit::OK })
}

/// The same for a program, which is asked nothing: what it does not say waits on. A case that cannot be read keeps none of
/// the others back.
fn reviewed(context: &Context, args: &ReviewArgs, cases: &[Case]) -> Result<i32, CliError> {
    let choice = match (args.accept, args.reject) {
        (true, _) => Choice::Accept,
        (_, true) => Choice::Reject,
        _ => Choice::Skip,
    };
    let root = Suite::of(context)?.root;
    let (mut all, mut broken) = (Vec::new(), false);
    for case in cases {
        let done = Pending::open(context, case).and_then(|pending| {
            choice.carry_out(case)?;
            Ok(pending.data(&root, choice))
        });
        all.push(done.unwrap_or_else(|error| {
            error.tell();
            broken = true;
            json!({ "name": case.name, "done": Choice::Skip.word(), "error": error.message, "hints": error.one_line_hints() })
        }));
    }
    context.print_json(&json!({ "cases": all }))?;
    Ok(match choice {
        _ if broken => exit::BROKEN,
        Choice::Skip if !cases.is_empty() => exit::DIFFERS,
        _ => exit::OK,
    })
}

/// A case that waits, and what it was.
struct Pending<'a> {
    case: &'a Case,
    /// Their numbers of steps: recorded, now.
    steps: (usize, usize),
    findings: Findings,
}

impl<'a> Pending<'a> {
    fn open(context: &Context, case: &'a Case) -> Result<Pending<'a>, CliError> {
        let config = context.config()?;
        let directory = tempfile::Builder::new().prefix("retake-review-").tempdir()?;
        let store = Store::find_or_create(Some(&directory.path().join("store")), directory.path())?;
        let open = |file: &Path, name: &str| -> Result<Opened, CliError> {
            let told = |e: String| CliError::broken(format!("{}: {e}", file.display()));
            let bytes = std::fs::File::open(file).map_err(|e| told(e.to_string()))?;
            let run = bundle::import(&mut BufReader::new(bytes), ImportOptions::default());
            let (manifest, _) = stored(&store, &run.map_err(|e| told(e.to_string()))?, name)?;
            Ok(Opened::by_id(&store, &manifest.id)?.priced(config.prices.clone()))
        };
        let (before, after) = (open(&case.file, "before")?, open(&case.pending(), "after")?);
        let between = surroundings::between(before.reader.manifest(), after.reader.manifest());
        let said = said_of(case, &case.beside().display().to_string())?;
        let severities = config.severities.clone().with(&said.findings);
        let mut findings = find(&before.view(), &after.view(), &between, None, &severities);
        // Here they have names of this store alone, which is gone afterwards.
        findings.comparison = findings.comparison.called("recorded", "now");
        // All is read: nothing is left behind when a person ends it here.
        Ok(Pending { case, steps: (before.outline.steps.len(), after.outline.steps.len()), findings })
    }

    fn told(&self, context: &Context, place: (usize, usize)) -> String {
        suite::pending(&self.case.name, place, self.steps, &self.findings.all, context.style)
    }

    /// What is told of it to a program: the steps that differ are rows as `retake diff --json` has them.
    fn data(&self, root: &Path, choice: Choice) -> Value {
        let shown = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
        let same =
            |row: &&StepPair| row.status == Status::Same && row.level.is_none() && !row.pinned && !row.stale;
        let rows = self.findings.comparison.rows.iter().filter(|row| !same(row));
        json!({
            "name": self.case.name,
            "file": shown(&self.case.file),
            "pending": shown(&self.case.pending()),
            "done": choice.word(),
            "steps": { "recorded": self.steps.0, "now": self.steps.1 },
            "drift": self.findings.drift(),
            "findings": self.findings.all,
            "rows": rows.collect::<Vec<_>>(),
        })
    }

    /// Asks until the answer is a choice.
    fn ask(&self, context: &Context) -> Result<Choice, CliError> {
        loop {
            print("[a]ccept  [r]eject  [s]kip  [d]iff  [e]dit retake.toml  [q]uit: ")?;
            std::io::stdout().flush()?;
            let mut line = String::new();
            if std::io::stdin().lock().read_line(&mut line)? == 0 {
                return Ok(Choice::Quit);
            }
            match line.trim() {
                "a" | "accept" => return Ok(Choice::Accept),
                "r" | "reject" => return Ok(Choice::Reject),
                "s" | "skip" | "" => return Ok(Choice::Skip),
                "q" | "quit" => return Ok(Choice::Quit),
                "d" | "diff" => {
                    print(&difference::difference(&self.findings.comparison, true, context.style))?
                }
                "e" | "edit" => self.edit(context)?,
                other => print(&format!("{other:?} is none of these\n"))?,
            }
        }
    }

    /// Lets a person say that what differs may differ.
    fn edit(&self, context: &Context) -> Result<(), CliError> {
        let path = Suite::of(context)?.root.join(crate::config::NAME);
        super::super::editor::open(&path)?;
        match context.config() {
            Ok(_) => print(&format!(
                "with these rules: reject, then retake test -k {} shows whether it still differs\n",
                self.case.name
            )),
            Err(error) => {
                error.tell();
                Ok(())
            }
        }
    }
}
