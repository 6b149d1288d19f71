//! `retake diff`

use super::args::DiffArgs;
use super::error::CliError;
use super::view::Opened;
use super::{Context, print, surroundings, warn};
use crate::diff::compare;
use crate::report::{difference, words};
use crate::run::Use;

pub(super) fn diff(context: &Context, args: &DiffArgs) -> Result<i32, CliError> {
    let store = context.store()?;
    let (left, right) = (Opened::open(&store, &args.left)?, Opened::open(&store, &args.right)?);
    for manifest in [left.reader.manifest(), right.reader.manifest()] {
        for lack in manifest.lacks.iter().filter(|lack| lack.spoils.contains(&Use::Diff)) {
            let what = words::line(&lack.what);
            warn(&format!("{} was imported without {what}: what differs there cannot be told", manifest.id));
        }
    }
    // Read once: what is wrong with the file is said once.
    let prices = context.prices();
    let (left, right) = (left.priced(prices.clone()), right.priced(prices));
    let surroundings = surroundings::between(left.reader.manifest(), right.reader.manifest());
    let comparison = compare(&left.view(), &right.view(), &surroundings);
    if context.json {
        context.print_json(&comparison)?;
    } else {
        print(&difference::difference(&comparison, args.all, context.style))?;
    }
    Ok(i32::from(comparison.exit_code()))
}
