//! Tests on real traffic (`fixtures/wire`; another folder of that layout can be named in `RETAKE_WIRE`).

use super::conversation::{ModelAnswer, ModelRequest};
use super::{Dialect, by_name};
use crate::exchange::canon::canonical;
use crate::exchange::{HeaderList, ResponseHead, parts};
use std::path::{Path, PathBuf};

pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) dialect: &'static dyn Dialect,
    /// Path and query, where they matter.
    pub(crate) target: String,
    pub(crate) request: Vec<u8>,
    pub(crate) head: ResponseHead,
    pub(crate) response: Vec<u8>,
    gzipped: Option<Vec<u8>>,
    /// What the vendor's SDK puts together from the stream.
    plain: Option<Vec<u8>>,
}

impl Exchange {
    pub(crate) fn request(&self) -> ModelRequest {
        self.read(&self.request)
    }

    fn read(&self, body: &[u8]) -> ModelRequest {
        self.dialect.read_request(&self.target, body).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    /// True for a request with one prompt instead of a conversation.
    fn is_prompted(&self) -> bool {
        ["/api/generate", "/v1/completions"].iter().any(|end| self.target.ends_with(end))
    }

    pub(crate) fn answer(&self) -> ModelAnswer {
        self.dialect.read_answer(&self.head, &self.response)
    }
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(of).unwrap().map(|e| e.unwrap().path()).collect();
    all.retain(|p| p.is_dir());
    all.sort();
    all
}

pub(crate) fn head(status: u16, content_type: &str) -> ResponseHead {
    ResponseHead { status, headers: HeaderList(vec![("Content-Type".into(), content_type.into())]) }
}

/// Every conversation.
pub(crate) fn conversations() -> Vec<Vec<Exchange>> {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/wire");
    let root = std::env::var_os("RETAKE_WIRE").map_or_else(|| PathBuf::from(fixtures), PathBuf::from);
    let mut all = Vec::new();
    for dialect in folders(&root) {
        for folder in folders(&dialect) {
            let name = dialect.file_name().unwrap().to_str().unwrap();
            all.push((0..).map_while(|n| exchange(name, &folder, n)).collect());
        }
    }
    assert!(all.len() > 10, "the fixtures are in {}", root.display());
    all
}

fn exchange(dialect: &str, folder: &Path, n: usize) -> Option<Exchange> {
    let request = std::fs::read(folder.join(format!("{n}.request.json"))).ok()?;
    let (status, kind) = [200, 400, 404, 429]
        .iter()
        .flat_map(|s| [(*s, "json"), (*s, "sse"), (*s, "ndjson"), (*s, "eventstream")])
        .find(|(s, k)| folder.join(format!("{n}.{s}.response.{k}")).exists())?;
    let response = folder.join(format!("{n}.{status}.response.{kind}"));
    Some(Exchange {
        name: format!("{}/{n}", folder.display()),
        dialect: by_name(dialect)?,
        target: std::fs::read_to_string(folder.join(format!("{n}.target"))).unwrap_or_default(),
        request,
        head: head(
            status,
            match kind {
                "sse" => "text/event-stream; charset=utf-8",
                "eventstream" => "application/vnd.amazon.eventstream",
                "ndjson" => "application/x-ndjson",
                _ => "application/json",
            },
        ),
        gzipped: std::fs::read(response.with_extension(format!("{kind}.gz"))).ok(),
        response: std::fs::read(response).ok()?,
        plain: std::fs::read(folder.join(format!("{n}.plain.json"))).ok(),
    })
}

pub(crate) fn exchanges() -> impl Iterator<Item = Exchange> {
    conversations().into_iter().flatten()
}

#[test]
fn a_stream_says_what_the_vendors_sdk_puts_together() {
    let mut seen = 0;
    for exchange in exchanges() {
        let Some(plain) = &exchange.plain else { continue };
        let plain = exchange.dialect.read_answer(&head(200, "application/json"), plain);
        assert_eq!(exchange.answer(), plain, "{}", exchange.name);
        assert!(plain.whole && plain.usage.is_some() && !plain.blocks.is_empty(), "{}", exchange.name);
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}

#[test]
fn gzipped_answers_are_read() {
    let mut seen = 0;
    for exchange in exchanges() {
        let Some(gzipped) = &exchange.gzipped else { continue };
        let mut head = exchange.head.clone();
        head.headers.push("content-encoding", "gzip");
        assert_eq!(exchange.dialect.read_answer(&head, gzipped), exchange.answer(), "{}", exchange.name);
        assert_eq!(exchange.dialect.read_answer(&head, &exchange.response), exchange.answer());
        seen += 1;
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn an_answer_is_whole_or_cut_off() {
    for exchange in exchanges() {
        let answer = exchange.answer();
        assert!(answer.whole, "{}", exchange.name);
        let failed = exchange.head.status >= 400
            || exchange.name.contains("error-streaming") && exchange.name.ends_with("/0");
        let failed = failed || exchange.name.contains("error-stream/");
        let failed = failed || exchange.name.contains("prompt-filter/");
        assert_eq!(answer.error.is_some(), failed, "{}: {:?}", exchange.name, answer.error);
        let body = exchange.response.trim_ascii_end();
        for part in 1..8 {
            let cut = exchange.dialect.read_answer(&exchange.head, &body[..(body.len() - 12) * part / 8]);
            assert!(!cut.whole, "{} cut at {part}/8", exchange.name);
        }
    }
}

#[test]
fn a_request_is_read_where_it_stands() {
    'exchanges: for exchange in exchanges() {
        let request = exchange.request();
        assert_eq!(request.spans.len(), request.messages.len());
        assert!(!request.model.is_empty() && !request.messages.is_empty(), "{}", exchange.name);
        assert_eq!(exchange.dialect.edit_request(&exchange.request, &[]).unwrap(), exchange.request);
        if exchange.is_prompted() {
            assert_eq!(request.messages.len(), 1);
            continue;
        }
        for span in &request.spans {
            let text = &exchange.request[span.clone()];
            if text.starts_with(b"\"") {
                assert_eq!(request.spans.len(), 1, "a prompt");
                continue 'exchanges;
            }
            assert!(text.starts_with(b"{") && text.ends_with(b"}"), "{}", exchange.name);
        }
        let parts = parts::split(&exchange.request);
        let elements = parts.cuts.iter().filter_map(|c| c.element);
        let messages =
            elements.filter(|e| matches!(parts.array_of(*e), "messages" | "input" | "contents")).count();
        assert_eq!(messages, request.messages.len(), "{}", exchange.name);
    }
}

#[test]
fn the_normal_form_does_not_depend_on_the_writing() {
    for exchange in exchanges() {
        let mut request = exchange.request();
        let mut sorted = exchange.read(&canonical(&exchange.request).unwrap());
        (request.spans, sorted.spans) = (Vec::new(), Vec::new());
        assert_eq!(sorted, request, "{}", exchange.name);
    }
}
