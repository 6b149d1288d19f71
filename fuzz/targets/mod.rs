//! What is fuzzed: for every parser that sees bytes from outside a function that takes any bytes and panics when a promise
//! does not hold. `fuzz_targets/` gives them to libFuzzer, `tests/fuzz/` runs them on stable over the corpus and mutations
//! of it.

pub mod bundle_import;
pub mod config;
pub mod dialect_answer;
pub mod dialect_request;
pub mod edit_grammar;
pub mod encoding;
pub mod eventstream;
pub mod holes;
pub mod json;
pub mod mcp;
pub mod otlp;
pub mod redact;
pub mod services;
pub mod sse;
pub mod store;

/// A target's name, which is also that of its corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const ALL: &[Target] = &[
    ("bundle_import", bundle_import::run),
    ("config", config::run),
    ("dialect_answer", dialect_answer::run),
    ("dialect_request", dialect_request::run),
    ("edit_grammar", edit_grammar::run),
    ("encoding", encoding::run),
    ("eventstream", eventstream::run),
    ("holes", holes::run),
    ("json", json::run),
    ("mcp", mcp::run),
    ("otlp", otlp::run),
    ("redact", redact::run),
    ("services", services::run),
    ("sse", sse::run),
    ("store", store::run),
];

/// The first line, and what follows it.
pub fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|b| *b == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// A place in the data that the data itself chooses.
pub fn some_place(data: &[u8]) -> usize {
    let seed = data.iter().take(64).fold(7usize, |sum, b| sum.wrapping_mul(31).wrapping_add(usize::from(*b)));
    seed % (data.len() + 1)
}
