//! Import: lines to a run, every line verified before it is believed.

use super::bodies::{Bodies, Resolved, Unresolved};
use super::content::{bytes_of_base64, bytes_of_json, bytes_of_mixed};
use super::line::{hex, sha256, verifies};
use super::record::{
    BodyList, CheckpointLine, Footer, Header, Kind, LaneLine, OutlineHead, PartLine, RequestLine,
    ResponseLine, Run, StepLine, TurnLine,
};
use super::{BundleError, FORMAT, ImportOptions, ImportedRun, MAJOR, exported, mend};
use crate::exchange::{Exchange, RecordedRequest, RecordedResponse};
use crate::otlp::{Batch, Signal};
use crate::run::{Lane, Manifest, Outline, RunId, Step, Turn};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};

/// Most bytes of the first line: a file of another kind may have no line feed at all.
const MOST_HEADER: u64 = 64 * 1024;

/// Reads a run.
///
/// # Errors
/// [`BundleError`] for a file that is not whole, not what was exported, or not understood; it names the line.
pub fn import(file: &mut dyn BufRead, options: ImportOptions) -> Result<ImportedRun, BundleError> {
    let mut reader = Reader::new(options);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = if reader.line == 0 { MOST_HEADER } else { options.max_bytes };
        file.take(most.saturating_add(1)).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return reader.finish();
        }
        if line.len() as u64 > most && reader.line > 0 {
            return Err(BundleError::TooLarge { line: reader.line + 1, limit: options.max_bytes });
        }
        reader.take(&line)?;
    }
}

/// What was read so far.
struct Reader {
    options: ImportOptions,
    /// Lines so far.
    line: usize,
    /// Records so far: the lines that are not blank.
    records: u64,
    hash: Sha256,
    bodies: Bodies,
    manifest: Option<Manifest>,
    exchanges: Vec<Exchange>,
    outline: Option<Outline>,
    head: Option<OutlineHead>,
    checkpoints: Vec<Value>,
    skipped: BTreeMap<String, usize>,
    exports: Vec<Batch>,
    damaged_exports: usize,
    /// True when one of those does not have its checksum.
    damaged: bool,
    edited: Vec<usize>,
    /// True when what the outline is derived from was edited.
    stale: bool,
    ended: bool,
}

impl Reader {
    fn new(options: ImportOptions) -> Reader {
        Reader {
            options,
            line: 0,
            records: 0,
            hash: Sha256::new(),
            bodies: Bodies::new(options.max_bytes),
            manifest: None,
            exchanges: Vec::new(),
            outline: None,
            head: None,
            checkpoints: Vec::new(),
            skipped: BTreeMap::new(),
            exports: Vec::new(),
            damaged_exports: 0,
            damaged: false,
            edited: Vec::new(),
            stale: false,
            ended: false,
        }
    }

    /// Reads a line, with its line feed.
    fn take(&mut self, line: &[u8]) -> Result<(), BundleError> {
        if self.line == 0 {
            check_header(line)?;
        }
        let whole = line.last() == Some(&b'\n');
        let record = line.strip_suffix(b"\n").unwrap_or(line);
        if self.options.allow_edited && record.trim_ascii().is_empty() {
            self.line += 1;
            return Ok(());
        }
        // An editor may leave out the last line feed; anything else without one was cut off.
        let without_feed = self.options.allow_edited && is_footer(record);
        if !whole && !without_feed {
            return Err(BundleError::Truncated { lines: self.line });
        }
        self.line += 1;
        self.records += 1;
        if self.ended {
            return Err(self.malformed("there is more after the footer"));
        }
        let verified = verifies(record);
        if let Some(signal) = exported::signal_of_line(record) {
            self.exported(signal, record, verified);
            self.hash.update(line);
            return Ok(());
        }
        if !verified {
            self.differs("it does not have the checksum that it says".to_string())?;
        }
        let kind = self.read::<Kind>(record)?.kind;
        if !verified && !matches!(kind.as_str(), "header" | "run" | "footer") {
            self.stale = true;
        }
        self.record(&kind, record)?;
        self.hash.update(line);
        Ok(())
    }

    fn record(&mut self, kind: &str, record: &[u8]) -> Result<(), BundleError> {
        match kind {
            "header" if self.line == 1 => Ok(()),
            "header" => Err(self.malformed("a second header")),
            "run" => self.run(record),
            "outline" => {
                self.head = Some(self.read(record)?);
                self.outline = Some(Outline::default());
                Ok(())
            }
            "lane" | "turn" | "step" => self.outline(kind, record),
            "part" => self.part(record),
            "request" => self.request(record),
            "response" => self.response(record),
            "checkpoint" => {
                self.checkpoints.push(self.read::<CheckpointLine>(record)?.checkpoint);
                Ok(())
            }
            "footer" => self.footer(record),
            _ if exported::signal(kind).is_some() => {
                exported::signal(kind).into_iter().for_each(|signal| self.exported(signal, record, true));
                Ok(())
            }
            _ => {
                *self.skipped.entry(kind.to_string()).or_default() += 1;
                Ok(())
            }
        }
    }

    /// Takes an export. Nothing depends on it: one that is damaged is left out, and costs nothing else.
    fn exported(&mut self, signal: Signal, record: &[u8], verified: bool) {
        if !verified && self.options.allow_edited && self.edited.last() != Some(&self.line) {
            self.edited.push(self.line);
        }
        let may = verified || self.options.allow_edited;
        match may.then(|| exported::read(signal, record)).flatten() {
            Some(batch) => self.exports.push(batch),
            None => self.damaged_exports += 1,
        }
        self.damaged |= !verified;
    }

    fn run(&mut self, record: &[u8]) -> Result<(), BundleError> {
        if self.manifest.is_some() {
            return Err(self.malformed("a second run: a file holds one"));
        }
        let manifest = self.read::<Run<Manifest>>(record)?.run;
        // The names become file names: they are checked, whoever wrote the file.
        let parent = manifest.parent.as_ref();
        for id in std::iter::once(&manifest.id).chain(parent.map(|parent| &parent.run)) {
            RunId::parse(id.as_str()).map_err(|error| self.malformed(error))?;
        }
        for id in std::iter::once(&manifest.uuid).chain(parent.map(|parent| &parent.uuid)) {
            uuid::Uuid::parse_str(id).map_err(|error| self.malformed(format!("uuid {id:?}: {error}")))?;
        }
        self.manifest = Some(manifest);
        Ok(())
    }

    fn outline(&mut self, kind: &str, record: &[u8]) -> Result<(), BundleError> {
        let line = self.line;
        let malformed = |what: &str| BundleError::Malformed { line, what: what.to_string() };
        let mut outline = self.outline.take().ok_or_else(|| malformed("there is no outline record above"))?;
        match kind {
            "lane" => {
                let mut lane = self.read::<LaneLine>(record)?;
                if let Some(members) = lane.lane.as_object_mut() {
                    members.insert("turns".to_string(), Value::Array(Vec::new()));
                }
                let in_order = lane.index == outline.lanes.len();
                outline.lanes.push(serde_json::from_value::<Lane>(lane.lane).map_err(|e| self.malformed(e))?);
                in_order.then_some(()).ok_or_else(|| malformed("the lanes are not in order"))?;
            }
            "turn" => {
                let turn = self.read::<TurnLine<Turn>>(record)?;
                let lane = outline.lanes.get_mut(turn.lane).filter(|lane| lane.turns.len() == turn.index);
                lane.ok_or_else(|| malformed("the turns are not in order"))?.turns.push(turn.turn);
            }
            _ => {
                let step = self.read::<StepLine<Step>>(record)?;
                outline.steps.push(step.step);
                let in_order = step.number == outline.steps.len();
                in_order.then_some(()).ok_or_else(|| malformed("the steps are not in order"))?;
            }
        }
        self.outline = Some(outline);
        Ok(())
    }

    fn part(&mut self, record: &[u8]) -> Result<(), BundleError> {
        let part = self.read::<PartLine>(record)?;
        let bytes = match (&part.json, &part.mixed, part.text, &part.base64) {
            (Some(json), None, None, None) => Some(bytes_of_json(json)),
            (None, Some(list), None, None) => bytes_of_mixed(list),
            (None, None, Some(text), None) => Some(text.into_bytes()),
            (None, None, None, Some(text)) => bytes_of_base64(text),
            _ => None,
        };
        let what = "a part has one of json, mixed, text and base64, and this one cannot be read";
        let bytes = bytes.ok_or_else(|| self.malformed(what))?;
        if sha256(&bytes) != part.sha256 {
            self.differs(format!("part {} does not have the SHA-256 {}", part.id, part.sha256))?;
        }
        self.bodies.add_part(part.id, bytes).map_err(|error| self.unresolved(error))
    }

    fn request(&mut self, record: &[u8]) -> Result<(), BundleError> {
        let mut line = self.read::<RequestLine>(record)?;
        let id = line.exchange.0;
        if self.exchanges.last().is_some_and(|last| last.request.id >= line.exchange) {
            return Err(self.malformed(format!("exchange {id} comes twice or out of order")));
        }
        let body = self.body(id, line.body.as_ref())?;
        mend_length(&mut line.head.headers, line.body.as_ref(), &body);
        let bytes = body.bytes.clone();
        self.bodies.keep(id, body);
        let sent = match &line.sent {
            Some(sent) => Some(self.body(id, Some(sent))?.bytes),
            None => None,
        };
        self.exchanges.push(Exchange {
            request: RecordedRequest {
                id: line.exchange,
                started_us: line.started_us,
                upstream: line.upstream,
                head: line.head,
                body: bytes,
                end: line.end,
                sent,
                sent_target: line.sent_target,
                stand_ins: line.stand_ins,
            },
            response: None,
        });
        Ok(())
    }

    fn response(&mut self, record: &[u8]) -> Result<(), BundleError> {
        let mut line = self.read::<ResponseLine>(record)?;
        let body = self.body(line.exchange.0, line.body.as_ref())?;
        if let Some(head) = &mut line.head {
            mend_length(&mut head.headers, line.body.as_ref(), &body);
        }
        let length = body.bytes.len();
        if mend::total(&line.frames) != length as u64 {
            if body.differs.is_none() {
                self.differs(format!(
                    "the frames have {} bytes together, and the body has {length}",
                    mend::total(&line.frames)
                ))?;
            }
            mend::frames(&mut line.frames, length, line.end_us);
        }
        let problem = "there is no request of this exchange right above, or there are two responses";
        let number = self.line;
        let malformed = || BundleError::Malformed { line: number, what: problem.to_string() };
        let exchange = self.exchanges.last_mut().ok_or_else(malformed)?;
        if exchange.request.id != line.exchange || exchange.response.is_some() {
            return Err(malformed());
        }
        exchange.response = Some(RecordedResponse {
            source: line.source,
            head: line.head,
            fault: line.fault,
            head_us: line.head_us,
            body: body.bytes,
            frames: line.frames,
            end: line.end,
            end_us: line.end_us,
            stand_ins: line.stand_ins,
        });
        Ok(())
    }

    fn body(&mut self, exchange: u32, list: Option<&BodyList>) -> Result<Resolved, BundleError> {
        let body = self.bodies.resolve(exchange, list).map_err(|error| self.unresolved(error))?;
        if let Some(what) = &body.differs {
            // Where a part above was edited, the bodies that hold it change with it.
            if !self.options.allow_edited {
                return Err(BundleError::Edited { line: self.line, what: what.clone() });
            }
            self.stale = true;
        }
        Ok(body)
    }

    fn footer(&mut self, record: &[u8]) -> Result<(), BundleError> {
        let footer = self.read::<Footer>(record)?;
        let before = self.records - 1;
        if footer.records != before {
            self.stale = true;
            self.differs(format!(
                "{before} records stand above the footer, and it counts {}",
                footer.records
            ))?;
        } else if self.edited.is_empty()
            && !self.damaged
            && footer.sha256 != hex(&self.hash.clone().finalize())
        {
            self.differs("the lines above do not have the SHA-256 that the footer says".to_string())?;
        }
        self.ended = true;
        Ok(())
    }

    fn finish(self) -> Result<ImportedRun, BundleError> {
        if self.line == 0 {
            return Err(BundleError::NotARun("it is empty".to_string()));
        }
        if !self.ended {
            return Err(BundleError::Truncated { lines: self.line });
        }
        if let (Some(head), Some(outline), false) = (&self.head, &self.outline, self.stale) {
            let turns: usize = outline.lanes.iter().map(|lane| lane.turns.len()).sum();
            if (head.lanes, head.turns, head.steps) != (outline.lanes.len(), turns, outline.steps.len()) {
                return Err(
                    self.malformed("there are not as many lanes, turns and steps as the outline record says")
                );
            }
        }
        let Some(manifest) = self.manifest else {
            return Err(BundleError::Malformed {
                line: self.line,
                what: "no line says which run this is".to_string(),
            });
        };
        let (outline, checkpoints) = match self.outline {
            Some(outline) if !self.stale => {
                let others = self.head.map(|head| head.others).unwrap_or_default();
                (Some(Outline { others, ..outline }), self.checkpoints)
            }
            None if !self.stale => (None, self.checkpoints),
            _ => (None, Vec::new()),
        };
        Ok(ImportedRun {
            manifest,
            exchanges: self.exchanges,
            outline,
            checkpoints,
            edited: self.edited,
            skipped: self.skipped,
            exports: self.exports,
            damaged_exports: self.damaged_exports,
        })
    }

    /// Notes that the line is not what was exported: an error, unless edited files are taken.
    fn differs(&mut self, what: String) -> Result<(), BundleError> {
        if !self.options.allow_edited {
            return Err(BundleError::Edited { line: self.line, what });
        }
        if self.edited.last() != Some(&self.line) {
            self.edited.push(self.line);
        }
        Ok(())
    }

    fn read<'a, T: Deserialize<'a>>(&self, record: &'a [u8]) -> Result<T, BundleError> {
        serde_json::from_slice(record).map_err(|error| self.malformed(error))
    }

    fn malformed(&self, what: impl std::fmt::Display) -> BundleError {
        BundleError::Malformed { line: self.line, what: what.to_string() }
    }

    fn unresolved(&self, error: Unresolved) -> BundleError {
        match error {
            Unresolved::TooLarge => BundleError::TooLarge { line: self.line, limit: self.options.max_bytes },
            Unresolved::Missing(what) => self.malformed(what),
        }
    }
}

/// Refuses a file by its first line. A newer major version comes before everything else: nothing is known of it, not
/// even how its lines verify.
fn check_header(line: &[u8]) -> Result<(), BundleError> {
    let header: Header = serde_json::from_slice(line).map_err(|_| {
        BundleError::NotARun(format!(
            "the first line does not begin with {{\"kind\":\"header\",\"format\":\"{FORMAT}\""
        ))
    })?;
    if header.format != FORMAT {
        return Err(BundleError::NotARun(format!("the first line says format {:?}", header.format)));
    }
    if header.version.major > MAJOR {
        return Err(BundleError::NewerMajor { major: header.version.major, minor: header.version.minor });
    }
    Ok(())
}

fn is_footer(record: &[u8]) -> bool {
    serde_json::from_slice::<Kind>(record).is_ok_and(|record| record.kind == "footer")
}

fn mend_length(headers: &mut crate::exchange::HeaderList, list: Option<&BodyList>, body: &Resolved) {
    if let (Some(list), true) = (list, body.differs.is_some()) {
        mend::content_length(headers, list.bytes, body.bytes.len());
    }
}
