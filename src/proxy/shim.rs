//! The tool shim while a run is recorded: functions run in the agent's own process, and tell what came of it.

use super::{Answer, Answerer, Asked, BoxFuture, Canned, CannedEnd, SeenResponse};
use crate::exchange::{ExchangeId, HeaderList, ResponseHead, Source};
use bytes::Bytes;
use std::time::Duration;

/// Name of the way to the shim.
pub const TOOL: &str = "tool";

/// Name of the tool that commands of a shell are: none of a model can be called so.
pub const COMMAND: &str = "sh -c";

/// What the shim's path ends in when a function tells what came of it.
const DONE: &str = "/done";

/// True when a target of the shim is that of a function which tells what came of it.
pub fn is_report(target: &str) -> bool {
    target.ends_with(DONE)
}

/// Tells a function to run.
pub fn run_it(source: Source) -> Canned {
    told(source, 200, Bytes::from_static(br#"{"run":true}"#))
}

/// Takes note of what a function told.
pub fn noted(source: Source) -> Canned {
    told(source, 200, Bytes::from_static(b"{}"))
}

/// An answer of the shim.
pub fn told(source: Source, status: u16, body: Bytes) -> Canned {
    let headers = HeaderList(vec![
        ("content-type".into(), "application/json".into()),
        ("content-length".into(), body.len().to_string()),
    ]);
    let head = ResponseHead { status, headers };
    Canned { source, head, frames: vec![(Duration::ZERO, body)], end: CannedEnd::Complete }
}

/// Who answers while a run is recorded.
pub(super) struct Recording;

impl Answerer for Recording {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Answer> {
        let canned = match is_report(&asked.head.target) {
            true => noted(Source::Live),
            false => run_it(Source::Live),
        };
        Box::pin(async move { Answer::Serve(canned) })
    }

    fn delivered(&self, _id: ExchangeId) {}

    fn inspect(&self, _seen: &SeenResponse) -> Option<Canned> {
        None
    }

    fn answered(&self, _seen: &SeenResponse) {}
}
