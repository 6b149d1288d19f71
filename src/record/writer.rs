//! Takes what was seen, redacts it and writes it.

use super::bodies::Bodies;
use super::{Exported, Recorded};
use crate::exchange::{ExchangeId, FrameMark, HeaderList, RequestHead, ResponseHead, StandIn, encoding};
use crate::proxy::{SeenRequest, SeenResponse};
use crate::redact::Redactor;
use crate::run::Manifest;
use crate::store::{RequestRecord, ResponseRecord, RunReader, RunWriter, StoreError};
use bytes::{Bytes, BytesMut};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Writer {
    run: RunWriter,
    redactor: Arc<Redactor>,
    warn: Box<dyn Fn(&str) + Send>,
    bodies: Bodies,
    exchanges: u32,
    stand_ins: HashMap<String, String>,
    untouched: u32,
    broken: Option<String>,
    unsynced_since: Option<Instant>,
}

impl Writer {
    pub(super) fn new(run: RunWriter, redactor: Arc<Redactor>, warn: Box<dyn Fn(&str) + Send>) -> Writer {
        Writer {
            run,
            redactor,
            warn,
            bodies: Bodies::default(),
            exchanges: 0,
            stand_ins: HashMap::new(),
            untouched: 0,
            broken: None,
            unsynced_since: None,
        }
    }

    pub(super) fn request(&mut self, seen: SeenRequest) {
        self.exchanges += 1;
        if self.broken.is_some() {
            return;
        }
        let mut stand_ins = Vec::new();
        let (target, found) = self.redactor.target(&seen.head.target);
        stand_ins.extend(found);
        let (headers, found) = self.redactor.headers(&seen.head.headers);
        stand_ins.extend(found);
        let mut head = RequestHead { method: seen.head.method, target, headers };
        let raw = joined(seen.body);
        let raw = self.readable(&raw, &mut head.headers);
        let body = self.bodies.write(&mut self.run, &self.redactor, &raw);
        stand_ins.extend(body.stand_ins);
        self.untouched += body.untouched;
        let sent = seen.sent.map(|sent| {
            let sent = self.bodies.write(&mut self.run, &self.redactor, &sent);
            stand_ins.extend(sent.stand_ins);
            sent.body
        });
        let sent_target = seen.sent_target.map(|target| {
            let (target, found) = self.redactor.target(&target);
            stand_ins.extend(found);
            target
        });
        self.count(&stand_ins);
        self.run.put_request(&RequestRecord {
            id: seen.id,
            started_us: seen.started_us,
            upstream: seen.upstream,
            head,
            body: body.body,
            end: seen.end,
            sent,
            sent_target,
            stand_ins,
        });
        self.commit(seen.id);
    }

    pub(super) fn response(&mut self, seen: SeenResponse) {
        if self.broken.is_some() {
            return;
        }
        let mut stand_ins = Vec::new();
        let mut head = seen.head.map(|head| {
            let (headers, found) = self.redactor.headers(&head.headers);
            stand_ins.extend(found);
            ResponseHead { status: head.status, headers }
        });
        let mut frames: Vec<FrameMark> =
            seen.frames.iter().map(|(b, at)| FrameMark(b.len() as u32, *at)).collect();
        let raw = joined(seen.frames.into_iter().map(|(b, _)| b));
        let mut no_headers = HeaderList::default();
        let headers = head.as_mut().map_or(&mut no_headers, |h| &mut h.headers);
        let body = self.readable(&raw, headers);
        let redacted = match &head {
            Some(head) if head.is_message_stream() => self.redactor.streamed_messages(&body),
            Some(head) if head.is_stream() => self.redactor.event_stream(&body),
            _ => self.redactor.bytes(&body),
        };
        if redacted.bytes.len() != raw.len() {
            let at = frames.last().map_or(seen.end_us, |f| f.1);
            frames = vec![FrameMark(redacted.bytes.len() as u32, at)];
            if let Some(head) = &mut head
                && head.headers.get("content-length").is_some()
            {
                head.headers.set("content-length", redacted.bytes.len().to_string());
            }
        }
        stand_ins.extend(redacted.stand_ins);
        self.untouched += redacted.untouched;
        let part = self.run.put_part(&redacted.bytes);
        let body = self.run.put_body(&[part]);
        self.count(&stand_ins);
        self.run.put_response(&ResponseRecord {
            id: seen.id,
            source: seen.source,
            head,
            fault: seen.fault,
            head_us: seen.head_us,
            body,
            frames,
            end: seen.end,
            end_us: seen.end_us,
            stand_ins,
        });
        self.commit(seen.id);
    }

    /// The body to redact. A compressed one that holds a secret is kept decoded, for the secret could not be taken
    /// out of it otherwise; the header that said how it was compressed goes with the compression.
    fn readable(&self, raw: &Bytes, headers: &mut HeaderList) -> Bytes {
        let Some(coding) = headers.get("content-encoding") else { return raw.clone() };
        let Ok(decoded) = encoding::decode(Some(coding), raw) else { return raw.clone() };
        let hits = |found: crate::redact::Redacted| !found.stand_ins.is_empty();
        if hits(self.redactor.bytes(&decoded)) || hits(self.redactor.event_stream(&decoded)) {
            headers.remove("content-encoding");
            return Bytes::from(decoded.into_owned());
        }
        raw.clone()
    }

    fn count(&mut self, found: &[StandIn]) {
        for stand_in in found {
            if !self.stand_ins.contains_key(&stand_in.text) {
                self.stand_ins.insert(stand_in.text.clone(), stand_in.label.clone());
            }
        }
    }

    fn commit(&mut self, id: ExchangeId) {
        match self.run.commit() {
            Ok(()) => {
                self.unsynced_since.get_or_insert_with(Instant::now);
            }
            Err(error) => self.give_up(&format!("exchange {id} could not be written: {error}")),
        }
    }

    pub(super) fn sync_if_older(&mut self, age: Duration) {
        if self.unsynced_since.is_some_and(|since| since.elapsed() >= age) {
            self.unsynced_since = None;
            if let Err(error) = self.run.sync() {
                self.give_up(&format!("the run could not be made durable: {error}"));
            }
        }
    }

    /// Derives the outline and seals the run.
    ///
    /// # Errors
    /// When it cannot be read or sealed.
    pub(super) fn seal(
        mut self,
        mut exported: Exported,
        end: impl FnOnce(&mut Manifest),
    ) -> Result<Recorded, StoreError> {
        if let Some(why) = &exported.incomplete {
            (self.warn)(why);
        }
        let incomplete = self.broken.take();
        let mut found = std::mem::take(&mut self.stand_ins);
        let theirs: Vec<StandIn> = std::mem::take(&mut exported.stand_ins)
            .into_iter()
            .map(|(text, label)| StandIn { label, text })
            .collect();
        let outline = RunReader::open(self.run.directory().to_path_buf())?.derive_outline();
        let manifest = self.run.seal(Some(&outline), |manifest| {
            manifest.incomplete = incomplete.clone();
            end(manifest);
            manifest.note_stand_ins(theirs);
            for own in &manifest.own_stand_ins {
                found.entry(own.text.clone()).or_insert_with(|| own.label.clone());
            }
            manifest.stand_ins = found.len() as u32;
            for label in found.into_values() {
                *manifest.replaced.entry(label).or_default() += 1;
            }
        })?;
        let (exchanges, untouched) = (self.exchanges, self.untouched);
        Ok(Recorded { manifest, outline, exchanges, untouched, incomplete, exported })
    }

    /// The agent goes on, the run does not: it is marked and says so.
    fn give_up(&mut self, why: &str) {
        if self.broken.is_none() {
            (self.warn)(why);
            self.broken = Some(why.to_string());
        }
    }
}

/// The reads of a body as one; no copy when there was only one, and one when there were many (through TLS no read is
/// longer than 16 KB).
fn joined(reads: impl IntoIterator<Item = Bytes>) -> Bytes {
    let mut reads: Vec<Bytes> = reads.into_iter().collect();
    if reads.len() < 2 {
        return reads.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(reads.iter().map(Bytes::len).sum());
    reads.iter().for_each(|read| whole.extend_from_slice(read));
    whole.freeze()
}
