//! What a call asks.

use super::{Call, many, size};
use crate::dialect::summary::quote;
use crate::exchange::json::{self, Kind, Node};
use crate::exchange::multipart::{self, Part};
use std::borrow::Cow;

/// Characters of a text that is quoted.
const QUOTED: usize = 40;

/// A request, as JSON or as a form.
pub(super) struct Asked<'a> {
    path: &'a str,
    root: Option<Node<'a>>,
    form: Vec<Part<'a>>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(call: &Call<'a>) -> Asked<'a> {
        let form = multipart::parts(call.head.headers.get("content-type"), call.body);
        let root = if form.is_empty() { json::parse(call.body).ok() } else { None };
        Asked { path: call.head.path().trim_end_matches('/'), root, form }
    }

    /// The model: of the body, or of the path, where Azure and Gemini name it.
    pub(super) fn model(&self) -> Option<Cow<'_, str>> {
        let said = self.word("model").filter(|m| !m.is_empty());
        let after = |mark: &str| {
            let (_, rest) = self.path.split_once(mark)?;
            rest.split(['/', ':']).next().filter(|name| !name.is_empty()).map(Cow::Borrowed)
        };
        said.or_else(|| after("/deployments/")).or_else(|| after("/models/"))
    }

    /// The so many-th segment of the path, counted from its end.
    pub(super) fn segment(&self, from_end: usize) -> &'a str {
        self.path.rsplit('/').nth(from_end).unwrap_or_default()
    }

    fn field(&self, name: &str) -> Option<&Node<'a>> {
        self.root.as_ref()?.get(name).filter(|n| n.kind != Kind::Null)
    }

    /// A text, of JSON or of a form.
    fn word(&self, name: &str) -> Option<Cow<'_, str>> {
        let of_form = || self.form.iter().find(|p| p.name == name && p.file.is_none());
        match self.field(name).and_then(Node::as_str) {
            Some(text) => Some(Cow::Borrowed(text)),
            None => of_form().map(|p| String::from_utf8_lossy(p.body)),
        }
    }

    fn quoted(&self, name: &str) -> String {
        quote(&self.word(name).unwrap_or_default(), QUOTED)
    }

    /// The first file of a form.
    fn file(&self) -> Option<(&str, &[u8])> {
        self.form.iter().find_map(|p| Some((p.file.as_deref()?, p.body)))
    }

    /// The files of a form, by name.
    fn files(&self) -> String {
        let names: Vec<&str> = self.form.iter().filter_map(|p| p.file.as_deref()).collect();
        match names.as_slice() {
            [] => "a file".into(),
            [name] => (*name).to_string(),
            [first, rest @ ..] => format!("{first} and {}", many(rest.len(), "other")),
        }
    }

    pub(super) fn embeds(&self) -> String {
        let given = ["input", "texts", "prompt", "content", "requests", "inputs", "images"];
        let Some(given) = given.iter().find_map(|name| self.field(name)) else { return "embeds".into() };
        match &given.kind {
            Kind::String(text) => format!("embeds {}", quote(text, QUOTED)),
            Kind::Array(list) if list.iter().all(|n| matches!(n.kind, Kind::Number(_))) => {
                format!("embeds {}", many(list.len(), "token"))
            }
            Kind::Array(list) => match list.as_slice() {
                [one] if one.as_str().is_some() => {
                    format!("embeds {}", quote(one.as_str().unwrap_or_default(), QUOTED))
                }
                list => format!("embeds {}", many(list.len(), "text")),
            },
            _ => {
                let parts = given.get("parts").map(Node::elements).unwrap_or_default();
                let texts: Vec<&str> = parts.iter().filter_map(|p| p.str_of("text")).collect();
                format!("embeds {}", quote(&texts.join(" "), QUOTED))
            }
        }
    }

    pub(super) fn moderates(&self) -> String {
        let input = self.field("input");
        let parts = input.map(Node::elements).unwrap_or_default();
        let kind = |p: &Node<'_>| p.str_of("type").is_some_and(|t| t.starts_with("image"));
        let images = parts.iter().filter(|p| kind(p)).count();
        let texts = if input.is_some_and(|i| i.as_str().is_some()) { 1 } else { parts.len() - images };
        match (texts, images) {
            (texts, 0) => format!("moderates {}", many(texts, "text")),
            (0, images) => format!("moderates {}", many(images, "image")),
            (texts, images) => format!("moderates {} and {}", many(texts, "text"), many(images, "image")),
        }
    }

    pub(super) fn draws(&self) -> String {
        format!("draws {}", self.quoted("prompt"))
    }

    pub(super) fn redraws(&self) -> String {
        match self.word("prompt") {
            Some(_) => format!("edits {}: {}", self.files(), self.quoted("prompt")),
            None => format!("varies {}", self.files()),
        }
    }

    pub(super) fn speaks(&self) -> String {
        format!("speaks {}", self.quoted("input"))
    }

    pub(super) fn hears(&self, verb: &str) -> String {
        format!("{verb} {}", self.files())
    }

    pub(super) fn ranks(&self) -> String {
        let documents = self.field("documents").or(self.field("texts")).map_or(0, |d| d.elements().len());
        format!("ranks {} for {}", many(documents, "document"), self.quoted("query"))
    }

    pub(super) fn uploads(&self) -> String {
        let purpose = self.word("purpose").map(|p| format!(" for {p}")).unwrap_or_default();
        match self.file() {
            Some((name, body)) => format!("uploads {name}, {}{purpose}", size(body.len() as u64)),
            None => format!("uploads a file{purpose}"),
        }
    }

    pub(super) fn starts(&self) -> String {
        let file = self.word("input_file_id").unwrap_or_else(|| "requests".into());
        let to = self.word("endpoint").map(|e| format!(" to {e}")).unwrap_or_default();
        format!("sends {file} as a batch{to}")
    }
}
