//! Secrets out, stand-ins in, before anything is written.

use crate::exchange::{HeaderList, StandIn};
use std::borrow::Cow;

/// A secret whose value is known (from the environment), with the name it has there.
#[derive(Clone)]
pub struct KnownSecret {
    /// Name of the variable.
    pub label: String,
    /// Its value.
    pub value: String,
}

/// Finds secrets and puts stand-ins in their place. One per run; cheap to share between threads.
pub struct Redactor;

/// A redacted text or body.
#[derive(Debug, Clone, PartialEq)]
pub struct Redacted<'a> {
    /// The bytes with stand-ins; borrowed when nothing was found.
    pub bytes: Cow<'a, [u8]>,
    /// What was replaced, in order; one per place.
    pub stand_ins: Vec<StandIn>,
    /// Secrets found in fields that the protocol must round-trip (signatures, encrypted reasoning): left as they are.
    pub untouched: u32,
}

impl Redactor {
    /// `key` makes the stand-ins: same key and secret, same stand-in.
    pub fn new(_key: [u8; 32], _known: Vec<KnownSecret>, _patterns: &[String]) -> Result<Redactor, String> {
        unimplemented!()
    }
    /// Environment variables that hold secrets, by name (`*_API_KEY`, `*TOKEN*`, `*SECRET*`, `*PASSWORD*`, …) and
    /// with a value long enough to be one.
    pub fn secrets_of_environment(_vars: &[(String, String)]) -> Vec<KnownSecret> {
        unimplemented!()
    }
    /// Plain text or JSON or anything else, not content-encoded.
    pub fn bytes<'a>(&self, _bytes: &'a [u8]) -> Redacted<'a> {
        unimplemented!()
    }
    /// An event stream: secrets split over deltas are found in the assembled text and mapped back to byte ranges.
    pub fn event_stream<'a>(&self, _bytes: &'a [u8]) -> Redacted<'a> {
        unimplemented!()
    }
    /// Header values: credentials always, the rest by pattern.
    pub fn headers(&self, _headers: &HeaderList) -> (HeaderList, Vec<StandIn>) {
        unimplemented!()
    }
    /// A request target: secrets in path and query (`?key=…`).
    pub fn target(&self, _target: &str) -> (String, Vec<StandIn>) {
        unimplemented!()
    }
    /// Any other text: argv, environment, stdin.
    pub fn text(&self, _text: &str) -> (String, Vec<StandIn>) {
        unimplemented!()
    }
    /// The secret a stand-in stands for, when it is in today's environment or was seen by this redactor.
    pub fn reveal(&self, _stand_in: &str) -> Option<String> {
        unimplemented!()
    }
}
