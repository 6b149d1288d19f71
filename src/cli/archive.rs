//! `retake export` for other tools: HTTP archives and cassettes

use super::args::To;
use super::error::CliError;
use super::view::Opened;
use super::warn;
use crate::exchange::Exchange;
use crate::import::plain::left_out;
use crate::import::{har, vcr};
use crate::report::words::many;
use std::collections::BTreeMap;
use std::path::Path;

/// The text of a file for another tool, when one is wanted: by the flag, else by the file's name.
///
/// # Errors
/// When the run cannot be read, or has nothing that such a file could hold.
pub(super) fn of(opened: &Opened, to: Option<To>, file: &Path) -> Result<Option<String>, CliError> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let to = to.unwrap_or(match extension.to_ascii_lowercase().as_str() {
        "har" => To::Har,
        "yaml" | "yml" => To::Vcr,
        _ => To::Retake,
    });
    let (name, is_cassette) = match to {
        To::Retake => return Ok(None),
        To::Har => ("an HTTP archive", false),
        To::Vcr => ("a cassette", true),
    };
    let mut held: Vec<Exchange> = Vec::new();
    let mut left: BTreeMap<&str, u64> = BTreeMap::new();
    let mut cut_off = 0;
    for id in opened.reader.ids() {
        let exchange = opened.reader.exchange(id)?;
        match left_out(&exchange, is_cassette) {
            Some(why) => *left.entry(why).or_default() += 1,
            None => {
                cut_off += u64::from(is_cassette && exchange.response.as_ref().is_some_and(vcr::is_cut_off));
                held.push(exchange);
            }
        }
    }
    let id = &opened.reader.manifest().id;
    if held.is_empty() {
        return Err(CliError::broken(format!(
            "{id} has nothing that {name} could hold: nothing was written"
        )));
    }
    for (what, count) in left {
        warn(&format!("{} left out: {what} has no place in {name}", many(count, "exchange")));
    }
    if cut_off > 0 {
        warn(&format!(
            "{} that broke off will look whole: {name} has no word for it",
            many(cut_off, "answer")
        ));
    }
    Ok(Some(if is_cassette { vcr::write(&held) } else { har::write(&held) }))
}
