//! Cassettes of VCR and vcrpy.
//!
//! What is replayed is what vcrpy would serve: a `body.string` as it stands. A `parsed_body`, which some projects keep
//! in its place, is JSON that was read and lost its white space; it is written without any.

mod cassette;

pub use cassette::{is_cut_off, write};

use super::wire::{Making, Told, ToldAnswer, in_latin1};
use super::yaml::{self, Budget, Yaml};
use super::{Foreign, Unreadable};
use crate::exchange::{BodyEnd, HeaderList};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use std::rc::Rc;

/// What a body that was read and written again has lost.
const PARSED: &str = "the key order and white space of parsed_body";

/// See [`super::read`].
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    let document = yaml::read(bytes)?;
    // VCR for Ruby has another name for the same.
    let list = document.said("interactions").or_else(|| document.said("http_interactions"));
    let list = list.and_then(Yaml::elements).ok_or_else(|| Unreadable::new("it has no `interactions`"))?;
    let budget = Budget::of(bytes.len());
    let mut run = Making::of("interaction");
    for (index, interaction) in list.iter().enumerate() {
        let number = index + 1;
        let told = told(&mut run, interaction, &budget)
            .map_err(|why| Unreadable::new(format!("interaction {number}: {}", why.what)))?;
        run.add(number, told)?;
    }
    Ok(vec![run.finish(name)])
}

fn told(run: &mut Making, interaction: &Rc<Yaml>, budget: &Budget) -> Result<Told, Unreadable> {
    let request = interaction.said("request").ok_or_else(|| Unreadable::new("no `request`"))?;
    let text = |of: &Yaml, name: &str| of.said(name).and_then(Yaml::text).map(|text| text.into_owned());
    let url = text(request, "uri").ok_or_else(|| Unreadable::new("no `request.uri`"))?;
    let method = text(request, "method").unwrap_or_else(|| "GET".into()).to_ascii_uppercase();
    let asked = body(request, "request", budget)?;
    if asked.is_parsed {
        run.lacks(PARSED, &[], 0);
    }
    // `recorded_at` is when VCR wrote it down, which is when the answer had come.
    let started_us = text(interaction, "recorded_at").and_then(|at| {
        let at = jiff::fmt::rfc2822::parse(&at).ok()?;
        u64::try_from(at.timestamp().as_microsecond()).ok()
    });
    let answer = match interaction.said("response") {
        None => None,
        Some(response) => {
            let said = body(response, "response", budget)?;
            if said.is_parsed {
                run.lacks(PARSED, &[], 0);
            }
            let status = response.said("status");
            let code = status.and_then(|status| status.said("code").or(Some(status)).and_then(Yaml::text));
            let code =
                code.and_then(|code| code.trim().parse().ok()).filter(|code| (100..1000).contains(code));
            Some(ToldAnswer {
                status: Ok(code.ok_or_else(|| Unreadable::new("no `response.status.code`"))?),
                headers: headers(response, budget)?,
                body: said.bytes,
                times: None,
                frames: None,
                end: BodyEnd::Complete,
            })
        }
    };
    let headers = headers(request, budget)?;
    Ok(Told { method, url, headers, body: asked.bytes, started_us, answer })
}

/// A header has a list of values, or one.
fn headers(of: &Yaml, budget: &Budget) -> Result<HeaderList, Unreadable> {
    let mut list = HeaderList::default();
    let Some(Yaml::Map(entries)) = of.said("headers") else { return Ok(list) };
    for (name, values) in entries {
        let Some(name) = name.text() else { continue };
        let one = [values.clone()];
        for value in values.elements().unwrap_or(&one) {
            let value = value.text().unwrap_or_default();
            budget.take(name.len() + value.len() + 1)?;
            list.push(name.clone(), in_latin1(&value));
        }
    }
    Ok(list)
}

struct Body {
    bytes: Bytes,
    is_parsed: bool,
}

fn body(of: &Yaml, side: &str, budget: &Budget) -> Result<Body, Unreadable> {
    if let Some(parsed) = of.said("parsed_body") {
        return Ok(Body { bytes: parsed.json(budget)?.into(), is_parsed: true });
    }
    let raw = |bytes: Vec<u8>| {
        budget.take(bytes.len())?;
        Ok(Body { bytes: bytes.into(), is_parsed: false })
    };
    let Some(body) = of.said("body") else { return raw(Vec::new()) };
    if let Some(packed) = body.said("base64_string") {
        let packed: String = packed.text().unwrap_or_default().split_ascii_whitespace().collect();
        let unpacked = STANDARD.decode(packed);
        return raw(unpacked
            .map_err(|why| Unreadable::new(format!("{side}.body.base64_string is no base64: {why}")))?);
    }
    match body.said("string").unwrap_or(body) {
        Yaml::Bytes(bytes) => raw(bytes.clone()),
        Yaml::Map(entries) if entries.is_empty() || body.get("string").is_some() => raw(Vec::new()),
        scalar => match scalar.text() {
            Some(text) => raw(text.into_owned().into_bytes()),
            None => Err(Unreadable::new(format!("{side}.body is neither a text nor binary"))),
        },
    }
}
