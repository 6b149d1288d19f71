//! `retake ls`, `rm`, `gc` and `index rebuild`

use super::args::{GcArgs, LsArgs, RmArgs};
use super::error::{CliError, exit};
use super::session::now_us;
use super::{Context, print, warn};
use crate::report::{runs, words};
use crate::run::RunId;
use crate::store::{GcPolicy, Store};
use std::collections::BTreeMap;

pub(super) fn ls(context: &Context, args: &LsArgs) -> Result<i32, CliError> {
    let store = context.store()?;
    let mut found = store.runs()?;
    pass_on_notes(&store);
    let names: BTreeMap<String, RunId> =
        found.iter().map(|run| (run.manifest.uuid.clone(), run.manifest.id.clone())).collect();
    if let Some(name) = &args.name {
        found.retain(|run| run.manifest.id.name() == name || run.manifest.id.as_str() == name);
        if found.is_empty() && !names.is_empty() {
            return Err(store.no_run(name).into());
        }
    }
    if context.json {
        context.print_json(&found)?;
    } else {
        print(&runs::list(&found, &names, now_us(), context.style))?;
    }
    Ok(exit::OK)
}

pub(super) fn rm(context: &Context, args: &RmArgs) -> Result<i32, CliError> {
    let store = context.store()?;
    // All names are looked up before anything is removed.
    let mut ids = Vec::new();
    for run in &args.runs {
        let id = store.resolve(run)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let mut removed = Vec::new();
    for id in ids {
        let done = store.remove_run(&id)?;
        if !context.json {
            let mut line = format!("removed   {id}   {} freed", bytes(done.bytes));
            if !done.adopters.is_empty() {
                let forks = match done.adopters.as_slice() {
                    [one] => format!("its fork {one}"),
                    many => format!("its {} forks", many.len()),
                };
                line.push_str(&format!("; what they shared moved to {forks}"));
            }
            print(&format!("{line}\n"))?;
        }
        removed.push(serde_json::json!({ "run": id, "bytes": done.bytes }));
    }
    pass_on_notes(&store);
    if context.json {
        context.print_json(&removed)?;
    }
    Ok(exit::OK)
}

pub(super) fn gc(context: &Context, args: &GcArgs) -> Result<i32, CliError> {
    let store = context.store()?;
    let older_than_us =
        args.older_than.map(|days| now_us().saturating_sub(u64::from(days) * 86_400 * 1_000_000));
    if args.keep == Some(0) && older_than_us.is_none() && !args.dry_run && !args.yes {
        return Err(CliError::usage("--keep 0 removes every run there is: nothing was removed")
            .hint("--yes removes them; --dry-run shows them"));
    }
    let policy = GcPolicy { keep_last: args.keep.map(|n| n as usize), older_than_us, dry_run: args.dry_run };
    if !context.json && !args.dry_run {
        for id in &store.gc(&GcPolicy { dry_run: true, ..policy.clone() })?.removed {
            print(&format!("removing  {id}\n"))?;
        }
    }
    let report = store.gc(&policy)?;
    pass_on_notes(&store);
    for (id, why) in &report.kept {
        warn(&format!("{id} stays: {why}"));
    }
    if context.json {
        let kept = report.kept.iter().map(|(id, why)| serde_json::json!({ "run": id, "why": why }));
        context.print_json(&serde_json::json!({
            "removed": report.removed, "kept": kept.collect::<Vec<_>>(), "bytes": report.bytes,
            "dry_run": args.dry_run,
        }))?;
        return Ok(exit::OK);
    }
    let would = if args.dry_run { "would remove" } else { "removed" };
    for id in report.removed.iter().filter(|_| args.dry_run) {
        print(&format!("{would}   {id}\n"))?;
    }
    print(&format!(
        "{would} {}, {}\n",
        words::many(report.removed.len() as u64, "run"),
        bytes(report.bytes)
    ))?;
    Ok(exit::OK)
}

pub(super) fn rebuild(context: &Context) -> Result<i32, CliError> {
    let store = context.store()?;
    let rebuilt = store.rebuild_index()?;
    pass_on_notes(&store);
    if context.json {
        context.print_json(&serde_json::json!({ "runs": rebuilt.runs, "rows": rebuilt.rows }))?;
    } else {
        print(&format!("rebuilt the index: {}\n", words::many(rebuilt.runs as u64, "run")))?;
    }
    Ok(exit::OK)
}

fn pass_on_notes(store: &Store) {
    for note in store.take_notes() {
        warn(&note);
    }
}

/// A number of bytes for people.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} bytes"),
        1_000..1_000_000 => format!("{:.1} KB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}
