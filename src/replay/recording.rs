//! A stored run as the matcher and the plan read it: in normal form, one turn at a time, on demand.

use super::matcher::Recording;
use super::recalled::Recalled;
use super::servers::Servers;
use crate::dialect::conversation::{Block, ModelAnswer, ModelRequest};
use crate::dialect::{self, Dialect};
use crate::exchange::{Exchange, ExchangeId, SpanContext, encoding};
use crate::run::{Outline, StepKind};
use crate::store::RunReader;
use bytes::Bytes;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Requests and answers in normal form that are kept; a long conversation is compared turn by turn, not kept whole.
const KEPT: usize = 16;

/// A recorded run, read lazily. Cheap to clone.
#[derive(Clone)]
pub struct RecordedRun {
    reader: Arc<RunReader>,
    outline: Arc<Outline>,
    /// Step numbers, once they are needed.
    numbers: Arc<OnceLock<HashMap<StepKind, u32>>>,
    kept: Arc<Mutex<Kept>>,
    /// What the provider kept between requests, once it is needed.
    recalled: Arc<OnceLock<Recalled>>,
    /// What servers of tools were asked, once it is needed.
    servers: Arc<OnceLock<Servers>>,
}

#[derive(Default)]
struct Kept {
    requests: HashMap<ExchangeId, Arc<ModelRequest>>,
    answers: HashMap<ExchangeId, Arc<ModelAnswer>>,
    order: VecDeque<ExchangeId>,
}

impl RecordedRun {
    /// A run and its outline.
    pub fn new(reader: Arc<RunReader>, outline: Arc<Outline>) -> RecordedRun {
        RecordedRun {
            reader,
            outline,
            numbers: Arc::default(),
            kept: Arc::default(),
            recalled: Arc::default(),
            servers: Arc::default(),
        }
    }

    /// The files behind it.
    pub fn reader(&self) -> &RunReader {
        &self.reader
    }

    /// Lanes, turns and steps.
    pub fn shared_outline(&self) -> Arc<Outline> {
        self.outline.clone()
    }

    /// The number of a step (from 1).
    pub fn number_of(&self, kind: StepKind) -> Option<u32> {
        self.numbers.get_or_init(|| self.outline.numbers()).get(&kind).copied()
    }

    /// What servers of tools were asked.
    pub fn servers(&self) -> &Servers {
        self.servers.get_or_init(|| Servers::of(&self.reader, &self.outline))
    }

    /// The exchange that counts of a turn.
    ///
    /// # Errors
    /// When the outline has no such turn.
    pub fn exchange_of(&self, lane: u32, turn: u32) -> Result<ExchangeId, String> {
        let found = self.outline.turn(lane, turn).and_then(|t| t.attempts.last().copied());
        found.ok_or_else(|| format!("the recording has no turn {turn} in lane {lane}"))
    }

    /// The request of an exchange, in normal form.
    ///
    /// # Errors
    /// In words: unreadable files, or a body of no known dialect.
    pub fn model_request(&self, id: ExchangeId) -> Result<Arc<ModelRequest>, String> {
        if let Some(known) = self.kept().requests.get(&id) {
            return Ok(known.clone());
        }
        let record = self.reader.request(id).map_err(|e| e.to_string())?;
        let (dialect, _) = dialect::recognise(&record.head).ok_or("its dialect is not known")?;
        let body = self.reader.body(record.body).map_err(|e| e.to_string())?;
        let body = encoding::decode(record.head.headers.get("content-encoding"), &body)?;
        let unfolded = self.unfolded(id, dialect, &body);
        let body = unfolded.as_deref().unwrap_or(&body);
        let request = Arc::new(dialect.read_request(&record.head.target, body).map_err(|e| e.to_string())?);
        self.kept().keep(id).requests.insert(id, request.clone());
        Ok(request)
    }

    fn unfolded(&self, id: ExchangeId, dialect: &dyn Dialect, body: &[u8]) -> Option<Bytes> {
        let recalls = dialect.recalls(body);
        recalls.then(|| self.recalled.get_or_init(|| Recalled::of(&self.reader)).unfold(id, dialect, body))?
    }

    /// The answer of an exchange, in normal form.
    ///
    /// # Errors
    /// In words: unreadable files, no answer, or a body of no known dialect.
    pub fn model_answer(&self, id: ExchangeId) -> Result<Arc<ModelAnswer>, String> {
        if let Some(known) = self.kept().answers.get(&id) {
            return Ok(known.clone());
        }
        let answer = self.read_answer(id)?.ok_or_else(|| format!("exchange {id} has no answer"))?;
        let answer = Arc::new(answer);
        self.kept().keep(id).answers.insert(id, answer.clone());
        Ok(answer)
    }

    /// Reads an answer, and of its request only the head: the body is long and says nothing about it.
    fn read_answer(&self, id: ExchangeId) -> Result<Option<ModelAnswer>, String> {
        let request = self.reader.request(id).map_err(|e| e.to_string())?;
        let Some((dialect, _)) = dialect::recognise(&request.head) else { return Ok(None) };
        let response = self.reader.answer(id).map_err(|e| e.to_string())?;
        let whole = response.as_ref().and_then(|r| Some((r.head.as_ref()?, &r.body)));
        Ok(whole.map(|(head, body)| read_answer_body(dialect, head, body)))
    }

    /// What went upstream in place of what the agent sent, as bytes and in normal form; none when nothing did. Stand-ins
    /// for which `reveal` knows the secret are replaced by it.
    ///
    /// # Errors
    /// In words: unreadable files, or a body of no known dialect.
    pub fn sent(
        &self,
        id: ExchangeId,
        reveal: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<(Bytes, ModelRequest)>, String> {
        let record = self.reader.request(id).map_err(|e| e.to_string())?;
        let Some(sent) = record.sent else { return Ok(None) };
        let (dialect, _) = dialect::recognise(&record.head).ok_or("its dialect is not known")?;
        let mut body = self.reader.body(sent).map_err(|e| e.to_string())?;
        for stand_in in &record.stand_ins {
            // A secret that JSON would have to escape stays a stand-in.
            let known = reveal(&stand_in.text).filter(|s| !s.contains(['"', '\\']));
            if let (Some(secret), Ok(text)) = (known, std::str::from_utf8(&body)) {
                body = text.replace(&stand_in.text, &secret).into();
            }
        }
        let target = record.sent_target.as_ref().unwrap_or(&record.head.target);
        let request = dialect.read_request(target, &body).map_err(|e| e.to_string())?;
        Ok(Some((body, request)))
    }

    /// Every stand-in that redaction left in the recording.
    pub fn stand_ins(&self) -> HashSet<String> {
        self.outline.stand_ins.iter().map(|s| s.text.clone()).collect()
    }

    /// How many signed or encrypted reasoning blocks the answer of an exchange has.
    pub fn signed_reasoning(&self, id: ExchangeId) -> usize {
        self.model_answer(id).map_or(0, |answer| {
            answer.blocks.iter().filter(|b| matches!(b, Block::Reasoning { signed: true, .. })).count()
        })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, id: ExchangeId) -> &mut Kept {
        if !self.order.contains(&id) {
            self.order.push_back(id);
        }
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.requests.remove(&oldest);
                self.answers.remove(&oldest);
            }
        }
        self
    }
}

/// The answer of an exchange in normal form; none when it is of no known dialect or had no response head.
pub fn read_answer(exchange: &Exchange) -> Option<ModelAnswer> {
    let (dialect, _) = dialect::recognise(&exchange.request.head)?;
    let response = exchange.response.as_ref()?;
    let head = response.head.as_ref()?;
    Some(read_answer_body(dialect, head, &response.body))
}

/// The same for a response at hand, content-encoded as on the wire.
pub fn read_answer_body(
    dialect: &dyn Dialect,
    head: &crate::exchange::ResponseHead,
    body: &[u8],
) -> ModelAnswer {
    match encoding::decode(head.headers.get("content-encoding"), body) {
        Ok(body) => dialect.read_answer(head, &body),
        Err(why) => ModelAnswer { error: Some(why), ..ModelAnswer::default() },
    }
}

impl Recording for RecordedRun {
    fn outline(&self) -> &Outline {
        &self.outline
    }

    fn request(&self, lane: u32, turn: u32) -> Result<Arc<ModelRequest>, String> {
        self.model_request(self.exchange_of(lane, turn)?)
    }

    fn answer(&self, lane: u32, turn: u32) -> Result<Arc<ModelAnswer>, String> {
        self.model_answer(self.exchange_of(lane, turn)?)
    }

    fn path(&self, lane: u32, turn: u32) -> Result<String, String> {
        let record = self.reader.request(self.exchange_of(lane, turn)?).map_err(|e| e.to_string())?;
        let dialect = dialect::recognise(&record.head).map(|(dialect, _)| dialect);
        Ok(dialect.map_or_else(|| record.head.path().into(), |d| d.path(&record.head)).into_owned())
    }

    fn context(&self, lane: u32, turn: u32) -> Result<SpanContext, String> {
        let record = self.reader.request(self.exchange_of(lane, turn)?).map_err(|e| e.to_string())?;
        Ok(SpanContext::from_headers(&record.head.headers))
    }
}
