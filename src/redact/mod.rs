//! Secrets out, stand-ins in, before anything is written.
//!
//! A body is looked at as it is ([`scan`]) and then below its codings: JSON escapes and percent-encoding ([`coding`]),
//! base64 ([`base64_run`]); the deltas of an event stream are scanned as the text that they spell ([`stream`]). Secrets
//! are those of the environment ([`known`], found by [`needles`]), those of a known shape ([`rules`], [`fields`],
//! [`webhooks`]), those that an option of a command names ([`command`]) and those the user has patterns for. A stand-in ([`standin`]) is as long as its secret in every coding, so that redaction
//! never changes a length: frames, chunks and content-length stay right. [`reveal`] is the way back.

mod base64_run;
mod coding;
mod command;
mod fields;
mod headers;
mod known;
mod leaves;
mod messages;
mod needles;
mod reveal;
mod roundtrip;
mod rules;
mod scan;
mod standin;
mod stream;
mod telemetry;
#[cfg(test)]
mod tests;
mod trigger;
mod webhooks;

use crate::exchange::{HeaderList, StandIn};
pub use messages::{replace as replace_in_messages, reveal as reveal_in_messages};
pub use reveal::{Replaced, replace, reveal};
use scan::{Layer, Scan};
use std::borrow::Cow;

/// A secret whose value is known (from the environment), with the name it has there.
#[derive(Clone)]
pub struct KnownSecret {
    /// Name of the variable.
    pub label: String,
    /// Its value.
    pub value: String,
}

/// A known secret, ready to be looked for.
struct Known {
    label: String,
    value: String,
    /// True when it is a word that could be part of others.
    is_word: bool,
}

/// A user's pattern.
struct Pattern {
    label: String,
    regex: regex::bytes::Regex,
}

/// Finds secrets and puts stand-ins in their place. One per run; cheap to share between threads.
pub struct Redactor {
    key: [u8; 32],
    known: Vec<Known>,
    needles: needles::Needles,
    triggers: trigger::Triggers,
    patterns: Vec<Pattern>,
    memory: standin::Memory,
}

/// A redacted text or body.
#[derive(Debug, Clone, PartialEq)]
pub struct Redacted<'a> {
    /// The bytes with stand-ins, as many as before; borrowed when nothing was found.
    pub bytes: Cow<'a, [u8]>,
    /// What was replaced, in order; one per place.
    pub stand_ins: Vec<StandIn>,
    /// Secrets found in fields that the protocol must round-trip (signatures, encrypted reasoning): left as they are.
    pub untouched: u32,
}

impl Redactor {
    /// `key` makes the stand-ins: same key and secret, same stand-in. `patterns` are regular expressions; what their
    /// first group matches is a secret, or the whole match without a group.
    ///
    /// # Errors
    /// A pattern that does not compile, named.
    pub fn new(key: [u8; 32], known: Vec<KnownSecret>, patterns: &[String]) -> Result<Redactor, String> {
        let compile = |pattern: &String| {
            let regex = regex::bytes::Regex::new(pattern)
                .map_err(|e| format!("the secret pattern `{pattern}` is not a regular expression: {e}"))?;
            Ok(Pattern { label: format!("pattern {pattern}"), regex })
        };
        let patterns = patterns.iter().map(compile).collect::<Result<Vec<_>, String>>()?;
        let memory = standin::Memory::default();
        for secret in known.iter().filter(|k| !k.value.is_empty()) {
            let stand_in = standin::make(&key, secret.value.as_bytes());
            memory.remember(&String::from_utf8_lossy(&stand_in), &secret.value);
        }
        let triggers: Vec<&str> = rules::triggers().collect();
        Ok(Redactor {
            key,
            needles: needles::Needles::new(known.iter().map(|k| k.value.as_str())),
            known: known
                .into_iter()
                .map(|k| Known { is_word: known::is_word(&k.value), label: k.label, value: k.value })
                .collect(),
            triggers: trigger::Triggers::new(&triggers)?,
            patterns,
            memory,
        })
    }

    /// Environment variables that hold secrets, by name (`*_API_KEY`, `*TOKEN*`, `*SECRET*`, `*PASSWORD*`, …) and
    /// with a value long enough to be one; of a URL with a password the password.
    pub fn secrets_of_environment(vars: &[(String, String)]) -> Vec<KnownSecret> {
        known::of_environment(vars)
    }

    /// Values of a command's options and assignments that are secrets by name (`--token=x`, `API_KEY=x`), those that are
    /// long enough to be looked for elsewhere.
    pub fn secrets_of_command(words: &[String]) -> Vec<KnownSecret> {
        let value = |place: command::Place| {
            let value = words.get(place.word)?.get(place.range)?.to_string();
            (!known::is_harmless(&value)).then_some(KnownSecret { label: place.label, value })
        };
        command::places(words).into_iter().filter_map(value).collect()
    }

    /// A command: secrets by the name of their option, and whatever else is found in its words.
    pub fn command(&self, words: &[String]) -> (Vec<String>, Vec<StandIn>) {
        let mut words = words.to_vec();
        let mut scan = Scan::new(self);
        for command::Place { word, range, label } in command::places(&words) {
            let Some(text) = words.get_mut(word) else { continue };
            let Some(secret) = text.get(range.clone()).map(|s| s.as_bytes().to_vec()) else { continue };
            if !self.memory.knows(&secret) {
                let label = scan.label_of(&secret).unwrap_or(&label).to_string();
                let stand_in = scan.stand_in(&secret, &label, word);
                text.replace_range(range, &String::from_utf8_lossy(&stand_in));
            }
        }
        let mut found = scan.stand_ins().0;
        for word in &mut words {
            let (text, more) = self.text(word);
            *word = text;
            found.extend(more);
        }
        (words, found)
    }

    /// Plain text or JSON or anything else, not content-encoded.
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Redacted<'a> {
        let mut scan = Scan::new(self);
        let mut text = Cow::Borrowed(bytes);
        scan.layer(&mut text, Layer::body(is_json(bytes), &[]));
        let (stand_ins, untouched) = scan.stand_ins();
        Redacted { bytes: text, stand_ins, untouched }
    }

    /// An event stream: secrets split over deltas are found in the assembled text and mapped back to byte ranges.
    pub fn event_stream<'a>(&self, bytes: &'a [u8]) -> Redacted<'a> {
        stream::redact(self, bytes)
    }

    /// A binary event stream, in the same way: its messages get new checksums, and no length changes.
    pub fn streamed_messages<'a>(&self, bytes: &'a [u8]) -> Redacted<'a> {
        messages::redact(self, bytes)
    }

    /// Header values: credentials always, the rest by pattern. Names, order and lengths stay.
    pub fn headers(&self, headers: &HeaderList) -> (HeaderList, Vec<StandIn>) {
        headers::redact(self, headers)
    }

    /// A request target: secrets in path and query (`?key=…`).
    pub fn target(&self, target: &str) -> (String, Vec<StandIn>) {
        headers::target(self, target)
    }

    /// Any other text: argv, environment, stdin.
    pub fn text(&self, text: &str) -> (String, Vec<StandIn>) {
        let redacted = self.bytes(text.as_bytes());
        (String::from_utf8_lossy(&redacted.bytes).into_owned(), redacted.stand_ins)
    }

    /// The secret a stand-in stands for, when it is in today's environment or was seen by this redactor.
    pub fn reveal(&self, stand_in: &str) -> Option<String> {
        self.memory.secret(stand_in)
    }

    /// Takes note of the stand-ins of a recording, so that they are not taken for secrets. One made elsewhere, under
    /// another key, or of an earlier value, stands for today's value of the variable it is named after, if there is one.
    pub fn learn_stand_ins(&self, stand_ins: &[StandIn]) {
        let today = |label: &str| self.known.iter().find(|k| k.label == label).map(|k| k.value.clone());
        self.memory.learn(stand_ins, today);
    }

    /// What still looks like a secret in bytes that are about to leave, in fields that must round-trip as well: labels,
    /// without repetition. Stand-ins that were made or learned are none.
    pub fn scan_residual(&self, bytes: &[u8]) -> Vec<String> {
        let mut scan = Scan::new(self);
        let mut text = Cow::Borrowed(bytes);
        scan.layer(&mut text, Layer::body(is_json(bytes), &[]));
        let mut labels: Vec<String> =
            scan.found.into_iter().map(|(_, s)| s.label).chain(scan.sealed).collect();
        labels.sort();
        labels.dedup();
        labels
    }
}

/// True for a header field that holds nothing but a credential, or cookies.
pub fn is_credential_header(name: &str) -> bool {
    headers::is_credential(name)
}

fn is_json(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}
