//! `retake gc`

use super::args::GcArgs;
use super::error::{CliError, exit};
use super::runs::{bytes, pass_on_notes};
use super::session::now_us;
use super::{Context, print, sampled, warn};
use crate::report::{sampling, words};
use crate::store::GcPolicy;
use serde_json::json;

pub(super) fn gc(context: &Context, args: &GcArgs) -> Result<i32, CliError> {
    let store = context.store()?;
    let older_than_us =
        args.older_than.map(|days| now_us().saturating_sub(u64::from(days) * 86_400 * 1_000_000));
    let any_rule = args.keep.is_some() || older_than_us.is_some();
    if !any_rule && (args.sampling.sample.is_some() || args.sampling.slow.is_some()) {
        return Err(CliError::usage(
            "--sample says what stays of the runs that --older-than or --keep gives up",
        )
        .hint("--older-than 7 --sample 10%; of all runs there are: --older-than 0 --sample 10%"));
    }
    let sampling = if any_rule { sampled::sampling(context, &args.sampling)? } else { None };
    if args.keep == Some(0) && older_than_us.is_none() && sampling.is_none() && !args.dry_run && !args.yes {
        return Err(CliError::usage("--keep 0 removes every run there is: nothing was removed")
            .hint("--yes removes them; --dry-run shows them"));
    }
    let keep_last = args.keep.map(|n| n as usize);
    let policy = GcPolicy { keep_last, older_than_us, sampling, dry_run: args.dry_run };
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
    // Without sampling it is as ever: only what goes is told of.
    let spared: Vec<_> = report.spared.iter().filter(|_| sampling.is_some()).collect();
    if context.json {
        let stuck = report.kept.iter().map(|(id, why)| json!({ "run": id, "why": why }));
        let spared = spared
            .iter()
            .map(|(id, why)| json!({ "run": id, "why": sampling::why(why), "rule": why.rule() }));
        context.print_json(&json!({
            "removed": report.removed, "kept": stuck.chain(spared).collect::<Vec<_>>(), "bytes": report.bytes,
            "dry_run": args.dry_run,
        }))?;
        return Ok(exit::OK);
    }
    let would = if args.dry_run { "would remove" } else { "removed" };
    for id in report.removed.iter().filter(|_| args.dry_run) {
        print(&format!("{would}   {id}\n"))?;
    }
    for (id, why) in spared {
        print(&format!("kept      {id}   {}\n", sampling::why(why)))?;
    }
    print(&format!(
        "{would} {}, {}\n",
        words::many(report.removed.len() as u64, "run"),
        bytes(report.bytes)
    ))?;
    Ok(exit::OK)
}
