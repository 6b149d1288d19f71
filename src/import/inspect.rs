//! Logs of Inspect: a JSON document, or a zip (`.eval`) with a document for each sample.

mod archive;
mod call;
mod sample;
#[cfg(test)]
mod tests;

use super::transcript::Builder;
use super::{Foreign, Unreadable};
use crate::exchange::json;
use serde_json::Value;

/// See [`super::read`].
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    if archive::is_archive(bytes) {
        return read_archive(name, bytes);
    }
    let log = parsed(bytes).map_err(Unreadable::new)?;
    let eval = log.get("eval").and_then(Value::as_object);
    let mut builder = Builder::default();
    let samples = match (log.get("samples").and_then(Value::as_array), log.get("events")) {
        (Some(samples), _) => samples.as_slice(),
        // The transcript of one sample.
        (None, Some(Value::Array(_))) => std::slice::from_ref(&log),
        _ => {
            return Err(Unreadable::new(
                "no \"samples\" in it: the log has only the summary of an evaluation",
            ));
        }
    };
    let read = samples.iter().enumerate().map(|(at, of)| {
        sample::read(name, eval, of, &mut builder)
            .map_err(|what| Unreadable::new(format!("sample {at}: {what}")))
    });
    some(read.collect::<Result<_, _>>()?)
}

fn read_archive(name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    const HEADS: [&str; 2] = ["header.json", "_journal/start.json"];
    let is_sample = |name: &str| name.starts_with("samples/") && name.ends_with(".json");
    let files = archive::files(bytes, |name| HEADS.contains(&name) || is_sample(name))?;
    let at = |name: &str, what: String| Unreadable::new(format!("{name} in the archive: {what}"));
    let mut head = None;
    // A log whose evaluation was broken off has no header yet.
    for name in HEADS {
        if let Some((_, file)) = files.iter().find(|(own, _)| head.is_none() && own == name) {
            head = Some(parsed(file).map_err(|what| at(name, what))?);
        }
    }
    let eval = head.as_ref().and_then(|head| head.get("eval")?.as_object());
    let mut builder = Builder::default();
    let samples = files.iter().filter(|(name, _)| is_sample(name)).map(|(file, bytes)| {
        let of = parsed(bytes).map_err(|what| at(file, what))?;
        sample::read(name, eval, &of, &mut builder).map_err(|what| at(file, what))
    });
    some(samples.collect::<Result<_, _>>()?)
}

fn parsed(bytes: &[u8]) -> Result<Value, String> {
    json::parse(bytes).map(|root| root.to_value()).map_err(|e| format!("it is no JSON: {e}"))
}

fn some(runs: Vec<Foreign>) -> Result<Vec<Foreign>, Unreadable> {
    match runs.is_empty() {
        true => Err(Unreadable::new("it holds no sample")),
        false => Ok(runs),
    }
}
