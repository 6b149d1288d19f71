//! `retake test merge`

use super::super::args::MergeArgs;
use super::super::error::CliError;
use super::super::{Context, print, warn};
use super::{exit_code, reports, tell};
use crate::report::suite;
use crate::suite::outcome::{FORMAT, SuiteOutcome};
use std::path::Path;

pub(super) fn merge(context: &Context, args: &MergeArgs) -> Result<i32, CliError> {
    let mut shards = Vec::new();
    for file in &args.files {
        shards.push(read(file)?);
    }
    let mut versions: Vec<&str> = shards.iter().map(|shard| shard.retake.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    if versions.len() > 1 {
        warn(&format!("the reports are of several versions of retake: {}", versions.join(", ")));
    }
    let whole =
        SuiteOutcome::merged(shards).map_err(|why| CliError::broken(format!("cannot merge: {why}")))?;
    let quoting = reports::Quoting::start(context, &args.reports.reports)?;
    if !context.json {
        for case in &whole.cases {
            print(&suite::case(case, args.verbose, context.style))?;
        }
    }
    tell(context, &whole)?;
    drop(quoting);
    let here = context.directory()?;
    let config = context.config()?;
    let root = config.path.as_deref().and_then(Path::parent).map_or(here.clone(), |path| here.join(path));
    reports::write(context, &root, &root, &args.reports.reports, &whole)?;
    Ok(exit_code(whole.verdict()))
}

fn read(file: &Path) -> Result<SuiteOutcome, CliError> {
    let name = file.display();
    let text = std::fs::read(file).map_err(|e| CliError::broken(format!("{name}: {e}")))?;
    let odd = |why: String| {
        CliError::broken(format!("{name} is no report of a suite: {why}"))
            .hint("retake test --shard 1/2 --report FILE.json writes one")
    };
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|e| odd(e.to_string()))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        None => return Err(odd("it does not say its format".into())),
        Some(format) if format != u64::from(FORMAT) => {
            let by = value.get("retake").and_then(|v| v.as_str()).unwrap_or("another version");
            let what = format!("{name} has format {format}, written by retake {by}; this one reads {FORMAT}");
            return Err(CliError::broken(what).hint("run every shard, and the merge, with the same retake"));
        }
        Some(_) => {}
    }
    serde_json::from_value(value).map_err(|e| odd(e.to_string()))
}
