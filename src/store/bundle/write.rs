//! Export: a run to lines, one exchange in memory at a time.

use super::content::{Content, embeds, quoted};
use super::cut::{cut, whole};
use super::line::{LineWriter, hex, sha256};
use super::list::{Handle, Item, Lists, Op, Piece, pieces, shorten};
use super::record::{
    BodyList, CheckpointLine, Header, LaneLine, OutlineHead, RequestLine, ResponseLine, Run, StepLine,
    TurnLine, Version, record, span,
};
use super::{BundleError, ExportSource, FORMAT, MAJOR, MINOR, exported, view};
use crate::exchange::{Exchange, HeaderList, RecordedRequest, RecordedResponse, SpanContext};
use crate::run::{Outline, StepKind};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Write;

/// JSON of an outline or a checkpoint that is nested deeper is written as text: JSON parsers stop at 128 levels.
const MOST_DEPTH: usize = 100;

/// Writes a run to `out`, which should be buffered. The same run gives the same bytes.
///
/// # Errors
/// [`BundleError::Store`] when an exchange cannot be read, [`BundleError::Io`] when `out` fails; what was written by
/// then is an unfinished file, which [`super::import`] refuses.
pub fn export(run: &dyn ExportSource, out: &mut dyn Write) -> Result<(), BundleError> {
    let mut exporter =
        Exporter { lines: LineWriter::new(out), pieces: Pieces::default(), lists: Lists::default() };
    // The first version that has all that is in it.
    let minor = if run.has_exports() { MINOR } else { 0 };
    let version = Version { major: MAJOR, minor };
    exporter.put("header", &Header { format: FORMAT.to_string(), version })?;
    exporter.put("run", &Run { run: run.manifest() })?;
    if let Some(outline) = run.outline() {
        exporter.outline(outline)?;
    }
    let mut last = None;
    for exchange in run.exchanges() {
        let exchange = exchange?;
        if last >= Some(exchange.request.id) {
            return Err(BundleError::Unfit(format!(
                "exchange {} comes twice or out of order",
                exchange.request.id
            )));
        }
        last = Some(exchange.request.id);
        exporter.exchange(&exchange)?;
    }
    for checkpoint in run.checkpoints() {
        exporter.put("checkpoint", &CheckpointLine { checkpoint: shallow(checkpoint) })?;
    }
    exporter.exported(run)?;
    exporter.lines.finish()?;
    Ok(())
}

struct Exporter<'a> {
    lines: LineWriter<'a>,
    pieces: Pieces,
    lists: Lists,
}

/// Every part and text so far, with a number each.
#[derive(Default)]
struct Pieces {
    parts: HashMap<[u8; 32], Handle>,
    texts: HashMap<String, Handle>,
    /// What a number stands for in a list.
    items: Vec<Item>,
}

impl Exporter<'_> {
    fn put(&mut self, kind: &str, members: &impl Serialize) -> Result<(), BundleError> {
        let line = record(kind, members).map_err(|error| BundleError::Unfit(format!("{kind}: {error}")))?;
        Ok(self.lines.put(&line)?)
    }

    fn exported(&mut self, run: &dyn ExportSource) -> Result<(), BundleError> {
        let mut failed = None;
        run.exports(&mut |batch| {
            if failed.is_none() {
                let written = exported::written(batch);
                let put = written.and_then(|line| line.map_or(Ok(()), |line| Ok(self.lines.put(&line)?)));
                failed = put.err();
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    fn outline(&mut self, outline: &Outline) -> Result<(), BundleError> {
        let head = OutlineHead {
            lanes: outline.lanes.len(),
            turns: outline.lanes.iter().map(|lane| lane.turns.len()).sum(),
            steps: outline.steps.len(),
            others: outline.others.clone(),
        };
        self.put("outline", &head)?;
        for (index, lane) in outline.lanes.iter().enumerate() {
            let mut value =
                serde_json::to_value(lane).map_err(|error| BundleError::Unfit(format!("lane: {error}")))?;
            if let Some(members) = value.as_object_mut() {
                members.shift_remove("turns");
            }
            self.put("lane", &LaneLine { index, lane: value })?;
            for (turn_index, turn) in lane.turns.iter().enumerate() {
                let mut turn = turn.clone();
                for call in &mut turn.calls {
                    call.args = shallow(std::mem::take(&mut call.args));
                }
                self.put("turn", &TurnLine { lane: index, index: turn_index, turn })?;
            }
        }
        for (index, step) in outline.steps.iter().enumerate() {
            let what = match step.kind {
                StepKind::Model { lane, turn } => outline.turn(lane, turn).map(|turn| turn.model.clone()),
                StepKind::Tool { site } => outline.call(site).map(|call| call.name.clone()),
            };
            let line = StepLine { number: index + 1, step, what: what.unwrap_or_default() };
            self.put("step", &line)?;
        }
        Ok(())
    }

    fn exchange(&mut self, exchange: &Exchange) -> Result<(), BundleError> {
        self.request(&exchange.request)?;
        match &exchange.response {
            Some(response) => self.response(exchange, response),
            None => Ok(()),
        }
    }

    fn request(&mut self, request: &RecordedRequest) -> Result<(), BundleError> {
        let id = request.id.0;
        let list = self.list(&request.body, true, &request.head.headers)?;
        let body = self.body(&request.body, &list, None);
        self.lists.add(id, list);
        let sent = match &request.sent {
            Some(sent) => {
                let list = self.list(sent, true, &request.head.headers)?;
                Some(self.body(sent, &list, Some(id)))
            }
            None => None,
        };
        self.put(
            "request",
            &RequestLine {
                exchange: request.id,
                started_us: request.started_us,
                upstream: request.upstream.clone(),
                head: request.head.clone(),
                body: (!request.body.is_empty()).then_some(body),
                end: request.end.clone(),
                sent,
                sent_target: request.sent_target.clone(),
                stand_ins: request.stand_ins.clone(),
                span: span(&SpanContext::from_headers(&request.head.headers)),
            },
        )
    }

    fn response(&mut self, exchange: &Exchange, response: &RecordedResponse) -> Result<(), BundleError> {
        let none = HeaderList::default();
        let headers = response.head.as_ref().map_or(&none, |head| &head.headers);
        let list = self.list(&response.body, false, headers)?;
        let body = BodyList {
            items: list.iter().filter_map(|handle| self.pieces.item(*handle)).collect(),
            bytes: response.body.len() as u64,
            sha256: sha256(&response.body),
        };
        self.put(
            "response",
            &ResponseLine {
                exchange: exchange.request.id,
                source: response.source.clone(),
                head: response.head.clone(),
                fault: response.fault.clone(),
                head_us: response.head_us,
                body: (!response.body.is_empty()).then_some(body),
                frames: response.frames.clone(),
                end: response.end.clone(),
                end_us: response.end_us,
                stand_ins: response.stand_ins.clone(),
            },
        )
    }

    /// A body as a list of pieces; those that are new are written. A request is cut where the next one can share it, a
    /// response is left whole for the eye.
    fn list(&mut self, body: &[u8], request: bool, headers: &HeaderList) -> Result<Vec<Handle>, BundleError> {
        let values = if request { cut(body) } else { vec![whole(body)] };
        let mut list = Vec::new();
        for piece in pieces(body, &values) {
            let handle = match piece {
                Piece::Short(text) => self.pieces.text(text)?,
                Piece::Part(bytes) => match self.pieces.part(bytes)? {
                    Found::Old(handle) => handle,
                    Found::New { handle, sha256 } => {
                        self.lines.put(&part_line(handle.1, bytes, &sha256, headers))?;
                        handle.0
                    }
                },
            };
            list.push(handle);
        }
        Ok(list)
    }

    /// A request's body with what it shares left out. `own` names the exchange whose own body is the base.
    fn body(&self, body: &[u8], list: &[Handle], own: Option<u32>) -> BodyList {
        let base = match own {
            Some(id) => self.lists.list(id).map(|base| (id, base)),
            None => self.lists.base_of(list),
        };
        let (exchange, base) = base.unwrap_or_default();
        let items = shorten(list, base).into_iter().filter_map(|op| match op {
            Op::One(handle) => self.pieces.item(handle),
            Op::Run { from, items } => Some(Item::Same { exchange, from, items }),
        });
        BodyList { items: items.collect(), bytes: body.len() as u64, sha256: sha256(body) }
    }
}

/// A part that was looked up: its number in lists, and, when it is new, its id and its hash.
enum Found {
    Old(Handle),
    New { handle: (Handle, u32), sha256: String },
}

impl Pieces {
    fn add(&mut self, item: Item) -> Result<Handle, BundleError> {
        let handle = Handle::try_from(self.items.len()).map_err(|_| {
            BundleError::Unfit("the run has more than 4,294,967,295 different parts".to_string())
        })?;
        self.items.push(item);
        Ok(handle)
    }

    fn text(&mut self, text: &str) -> Result<Handle, BundleError> {
        if let Some(handle) = self.texts.get(text) {
            return Ok(*handle);
        }
        let handle = self.add(Item::Text(text.to_string()))?;
        self.texts.insert(text.to_string(), handle);
        Ok(handle)
    }

    fn part(&mut self, bytes: &[u8]) -> Result<Found, BundleError> {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        if let Some(handle) = self.parts.get(&hash) {
            return Ok(Found::Old(*handle));
        }
        let id = self.parts.len() as u32 + 1;
        let handle = self.add(Item::Part(id))?;
        self.parts.insert(hash, handle);
        Ok(Found::New { handle: (handle, id), sha256: hex(&hash) })
    }

    fn item(&self, handle: Handle) -> Option<Item> {
        self.items.get(handle as usize).cloned()
    }
}

/// The line of a part. Written by hand, because the JSON of the part stands in it byte for byte.
fn part_line(id: u32, bytes: &[u8], sha256: &str, headers: &HeaderList) -> String {
    let content = Content::of(bytes);
    let (name, json) = content.member();
    let view = match (&content, headers.get("content-encoding")) {
        (Content::Base64(_), Some(encoding)) => view::decoded(encoding, bytes),
        _ => None,
    };
    let view = view.map(|text| if embeds(&text) { text } else { quoted(&text) });
    let view = view.map(|json| format!(",\"view\":{json}")).unwrap_or_default();
    format!("{{\"kind\":\"part\",\"id\":{id},\"{name}\":{json}{view},\"sha256\":\"{sha256}\"}}")
}

/// The value, or its JSON as a string when it is nested too deep.
fn shallow(value: Value) -> Value {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
            Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
            _ => 0,
        }
    }
    if depth(&value) > MOST_DEPTH { Value::String(value.to_string()) } else { value }
}
