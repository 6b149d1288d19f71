//! `retake check`: runs that are there, judged by checks.

use super::super::args::CheckArgs;
use super::super::error::{CliError, exit};
use super::super::view::Opened;
use super::super::{Context, print};
use super::find::Suite;
use super::judge::{ALONE, checked};
use crate::config;
use crate::report::suite;
use crate::suite::checks::{Check, Judgement, Outcome};
use crate::suite::findings::Severity;
use serde_json::json;

pub(in crate::cli) fn check(context: &Context, args: &CheckArgs) -> Result<i32, CliError> {
    let Suite { config, root } = Suite::of(context)?;
    let mut checks: Vec<Check> = config.checks.clone();
    for path in &args.files {
        let text = std::fs::read_to_string(path)
            .map_err(|e| CliError::broken(format!("{}: {e}", path.display())))?;
        checks.extend(config::beside(&text, path)?.check);
    }
    if checks.is_empty() {
        return Err(CliError::broken("there is no check: nothing was judged")
            .hint("[[check]] in retake.toml, or --check FILE"));
    }
    let store = context.store()?;
    let mut judged: Vec<(String, Vec<Judgement>)> = Vec::new();
    for run in &args.runs {
        let opened = Opened::open(&store, run)?.priced(config.prices.clone());
        judged.push((
            opened.reader.manifest().id.to_string(),
            checked(&opened.view(), checks.clone(), &root, ALONE),
        ));
    }
    if context.json {
        let all = judged.iter().map(|(run, checks)| json!({ "run": run, "checks": checks }));
        context.print_json(&all.collect::<Vec<_>>())?;
    } else {
        judged.iter().try_for_each(|(run, checks)| print(&suite::judged(run, checks, context.style)))?;
    }
    let all =
        || judged.iter().flat_map(|(_, checks)| checks).filter(|check| check.severity == Severity::Error);
    Ok(match () {
        () if all().any(|check| matches!(check.outcome, Outcome::Failed { .. })) => exit::DIFFERS,
        () if all().any(|check| check.outcome != Outcome::Passed) => exit::INCONCLUSIVE,
        () => exit::OK,
    })
}
