//! `retake stats`

use super::args::StatsArgs;
use super::error::{CliError, exit};
use super::view::Opened;
use super::{Context, print, spans, warn};
use crate::report;
use crate::stats::{Stats, Told};

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
            Ok(opened) => {
                let opened = opened.priced(prices.clone());
                stats.add(&opened.view(), &told(&opened));
            }
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

/// What the spans of a run say; nothing where it has none.
fn told(opened: &Opened) -> Told {
    if !spans::has_any(opened.reader.directory()) {
        return Told::default();
    }
    match spans::joined(opened) {
        Ok(joined) if !joined.is_empty() => Told::of(&joined.tree(opened, true)),
        Ok(_) => Told::default(),
        Err(error) => {
            let id = &opened.reader.manifest().id;
            warn(&format!("{id}: its spans are left out: {}", error.message));
            Told::default()
        }
    }
}
