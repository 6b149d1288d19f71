//! `retake stats`

use super::args::StatsArgs;
use super::error::{CliError, exit};
use super::view::Opened;
use super::{Context, print, warn};
use crate::report;
use crate::stats::Stats;

pub(super) fn stats(context: &Context, args: &StatsArgs) -> Result<i32, CliError> {
    let store = context.store()?;
    let mut ids = Vec::new();
    for run in &args.runs {
        let id = store.resolve(run)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let all = args.runs.is_empty();
    if all {
        ids.extend(store.runs()?.into_iter().map(|run| run.manifest.id));
        store.take_notes().iter().for_each(|note| warn(note));
    }
    let prices = context.prices();
    let mut stats = Stats::default();
    for id in &ids {
        match Opened::by_id(&store, id) {
            Ok(opened) => stats.add(&opened.priced(prices.clone()).view()),
            // Of many runs one that cannot be read does not hide the others.
            Err(error) if all => warn(&format!("{id} is left out: {}", error.message)),
            Err(error) => return Err(error),
        }
    }
    stats.settle();
    if context.json {
        context.print_json(&stats)?;
    } else {
        print(&report::stats::stats(&stats, context.style))?;
    }
    Ok(exit::OK)
}
