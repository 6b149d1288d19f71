//! A cassette of a run, as vcrpy reads it.

use crate::exchange::{Exchange, HeaderList, RecordedResponse};
use crate::import::plain::{body_of, reason, url};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// Writes exchanges that have an answer as a cassette: bodies decoded, headers that said otherwise taken away.
pub fn write<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> String {
    let mut out = String::from("interactions:\n");
    let before = out.len();
    for exchange in exchanges {
        let request = &exchange.request;
        let Some(response) = &exchange.response else { continue };
        let Some(head) = &response.head else { continue };
        let body = body_of(&request.head.headers, &request.body);
        out.push_str("- request:\n    body: ");
        if body.is_empty() {
            out.push_str("null")
        } else {
            scalar(&body, &mut out)
        }
        out.push('\n');
        headers(&request.head.headers, body.len(), request.body.len(), &mut out);
        out.push_str("    method: ");
        scalar(request.head.method.as_bytes(), &mut out);
        out.push_str("\n    uri: ");
        scalar(url(request).as_bytes(), &mut out);
        out.push_str("\n  response:\n    body:\n      string: ");
        let body = body_of(&head.headers, &response.body);
        scalar(&body, &mut out);
        out.push('\n');
        headers(&head.headers, body.len(), response.body.len(), &mut out);
        let _ = write!(out, "    status:\n      code: {}\n      message: ", head.status);
        scalar(reason(head.status).as_bytes(), &mut out);
        out.push('\n');
    }
    if out.len() == before {
        out = "interactions: []\n".into();
    }
    out.push_str("version: 1\n");
    out
}

/// True when an answer ended before its end: a cassette has no word for that.
pub fn is_cut_off(response: &RecordedResponse) -> bool {
    response.head.is_some() && !response.end.is_whole()
}

/// One list of values a name, where it stood first.
fn headers(list: &HeaderList, decoded: usize, wire: usize, out: &mut String) {
    let mut list = list.clone();
    if list.get("content-encoding").is_some() && decoded != wire {
        list.remove("content-encoding");
        if list.get("content-length").is_some() {
            list.set("content-length", decoded.to_string());
        }
    }
    let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, value) in list.iter() {
        match names.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => names.push((name, vec![value])),
        }
    }
    if names.is_empty() {
        out.push_str("    headers: {}\n");
        return;
    }
    out.push_str("    headers:\n");
    for (name, values) in names {
        out.push_str("      ");
        scalar(name.as_bytes(), out);
        out.push_str(":\n");
        for value in values {
            out.push_str("      - ");
            scalar(value.as_bytes(), out);
            out.push('\n');
        }
    }
}

/// A text in quotes, and bytes that are none as `!!binary`.
fn scalar(bytes: &[u8], out: &mut String) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let _ = write!(out, "!!binary \"{}\"", STANDARD.encode(bytes));
        return;
    };
    if text.chars().all(|c| is_printable(c) && c != '\n') {
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) < 0x1_0000 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
}

/// True for what may stand in a YAML file as it is, on one line, for readers of 1.1 and 1.2.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}
