//! What an earlier run of the same command tells before another one is made: tools that had better not run twice.

use super::record::redactor;
use super::view::Opened;
use super::{Context, error::CliError};
use crate::store::Store;

/// The newest run of one of these names, if it ran this command here.
pub(super) fn precedent(
    context: &Context,
    store: &Store,
    names: &[String],
    command: &[String],
) -> Result<Option<Opened>, CliError> {
    let redactor = redactor(store, command)?;
    let (command, _) = redactor.command(command);
    let (directory, _) = redactor.text(&context.directory()?.display().to_string());
    let newest = |name: &String| store.resolve(name).ok();
    let earlier = names.iter().filter_map(newest).filter_map(|id| Opened::by_id(store, &id).ok());
    Ok(earlier
        .filter(|run| {
            let manifest = run.reader.manifest();
            !manifest.imported && manifest.command == command && manifest.directory == directory
        })
        .max_by_key(|run| run.reader.manifest().started_us))
}

/// Tools that a run called, each once, in order.
pub(super) fn called(opened: &Opened) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for call in opened.outline.lanes.iter().flat_map(|l| &l.turns).flat_map(|t| &t.calls) {
        if !names.contains(&call.name) {
            names.push(call.name.clone());
        }
    }
    names
}
