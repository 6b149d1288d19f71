//! What came of a call.

use super::{many, size};
use crate::dialect::summary::quote;
use crate::exchange::ResponseHead;
use crate::exchange::json::{self, Kind, Node};

/// Characters of a text that is quoted.
const QUOTED: usize = 60;
/// Results of a ranking that are shown.
const SHOWN: usize = 3;

/// An answer that is no error.
pub(super) struct Came<'a> {
    head: &'a ResponseHead,
    body: &'a [u8],
    root: Option<Node<'a>>,
}

impl<'a> Came<'a> {
    pub(super) fn of(head: &'a ResponseHead, body: &'a [u8]) -> Came<'a> {
        Came { head, body, root: json::parse(body).ok() }
    }

    fn field(&self, name: &str) -> Option<&Node<'a>> {
        self.root.as_ref()?.get(name).filter(|n| n.kind != Kind::Null)
    }

    fn word(&self, name: &str) -> &str {
        self.field(name).and_then(Node::as_str).unwrap_or_default()
    }

    fn elements(&self, name: &str) -> &[Node<'a>] {
        self.field(name).map(Node::elements).unwrap_or_default()
    }

    /// Kind and size of a body that is not read.
    pub(super) fn bytes(&self) -> String {
        let kind = self.head.headers.get("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let size = size(self.body.len() as u64);
        if kind.is_empty() { size } else { format!("{kind}, {size}") }
    }

    pub(super) fn vectors(&self) -> String {
        let data = self.elements("data");
        let embeddings = self.field("embeddings");
        // Cohere names the type of its numbers.
        let typed = embeddings.and_then(|e| e.members().first()).map(|m| m.value.elements());
        let found: Vec<&Node<'_>> = if !data.is_empty() {
            data.iter().filter_map(|d| d.get("embedding")).collect()
        } else if let Some(one) = self.field("embedding") {
            vec![one]
        } else {
            typed.or(embeddings.map(Node::elements)).unwrap_or_default().iter().collect()
        };
        match found.first().map(|v| length(v)) {
            Some(length) => format!("{} x {length}", found.len()),
            None => self.bytes(),
        }
    }

    pub(super) fn verdict(&self) -> String {
        let results = self.elements("results");
        let is_true = |n: &Node<'_>| n.kind == Kind::Bool(true);
        // Mistral says no more than the categories.
        let members = results.iter().filter_map(|r| r.get("categories")).flat_map(Node::members);
        let mut why: Vec<&str> = members.filter(|m| is_true(&m.value)).map(|m| &*m.key).collect();
        why.dedup();
        let flagged = results.iter().any(|r| r.get("flagged").is_some_and(is_true)) || !why.is_empty();
        match (results.is_empty(), flagged, why.is_empty()) {
            (true, ..) => self.bytes(),
            (_, false, _) => "not flagged".into(),
            (_, true, true) => "flagged".into(),
            (_, true, false) => format!("flagged: {}", why.join(", ")),
        }
    }

    pub(super) fn images(&self) -> String {
        match self.elements("data").len() {
            0 => self.bytes(),
            n => many(n, "image"),
        }
    }

    /// What was heard: JSON with a `text`, or the text itself.
    pub(super) fn text(&self) -> String {
        let said = self.word("text");
        if !said.is_empty() {
            return quote(said, QUOTED);
        }
        match (self.root.is_some() || self.head.is_stream(), std::str::from_utf8(self.body)) {
            (false, Ok(text)) if !text.trim().is_empty() => quote(text, QUOTED),
            _ => self.bytes(),
        }
    }

    pub(super) fn ranking(&self) -> String {
        let lists = ["results", "data"].map(|name| self.elements(name));
        let root = self.root.as_ref().map(Node::elements).unwrap_or_default();
        let list = lists.into_iter().chain([root]).find(|l| !l.is_empty()).unwrap_or_default();
        let place = |r: &Node<'_>| {
            let score = r.get("relevance_score").or(r.get("score"))?;
            let Kind::Number(digits) = &score.kind else { return None };
            Some(format!("{} ({:.3})", r.u64_of("index")?, digits.parse::<f64>().ok()?))
        };
        let places: Vec<String> = list.iter().filter_map(place).take(SHOWN).collect();
        match (places.is_empty(), list.len() > SHOWN) {
            (true, _) => self.bytes(),
            (_, true) => format!("{}, …", places.join(", ")),
            (_, false) => places.join(", "),
        }
    }

    pub(super) fn file(&self) -> String {
        let (id, name) = (self.word("id"), self.word("filename"));
        let size = self.field("bytes").and_then(|b| match &b.kind {
            Kind::Number(digits) => digits.parse().ok().map(size),
            _ => None,
        });
        let said = [id, name].into_iter().filter(|w| !w.is_empty()).map(str::to_string);
        let said: Vec<String> = said.chain(size).collect();
        if said.is_empty() { self.bytes() } else { said.join(", ") }
    }

    pub(super) fn list(&self) -> String {
        match self.field("data") {
            Some(data) => many(data.elements().len(), "entry").replace("entrys", "entries"),
            None => self.bytes(),
        }
    }

    pub(super) fn batch(&self) -> String {
        let (id, status) = (self.word("id"), self.word("status"));
        if id.is_empty() {
            return self.bytes();
        }
        let counts = self.field("request_counts");
        let count = |name: &str| counts.and_then(|c| c.u64_of(name));
        match (count("completed"), count("total")) {
            (Some(done), Some(all)) if all > 0 => format!("{id}: {status}, {done} of {all} done"),
            _ => format!("{id}: {status}"),
        }
    }
}

/// How many numbers a vector has: a list, Gemini's object around it, or 4-byte numbers in Base64.
fn length(vector: &Node<'_>) -> usize {
    match &vector.kind {
        Kind::Array(numbers) => numbers.len(),
        Kind::String(base64) => base64.trim_end_matches('=').len() * 3 / 4 / 4,
        _ => vector.get("values").map_or(0, |v| v.elements().len()),
    }
}
