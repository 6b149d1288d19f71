//! What comparing and telling read of a run.

use crate::dialect::conversation::{Block, ModelAnswer, ModelRequest};
use crate::exchange::{ExchangeId, Source};
use crate::prices::{Cost, Price, Prices, Spent};
use crate::run::tree::places::Places;
use crate::run::{Ancestor, CallSite, Manifest, Outline, RunState, StaleAt, StepKind, ToolCallRef, Turn};
use std::collections::HashMap;
use std::sync::Arc;

/// The conversations of a run, loaded when they are asked for.
pub trait Conversations {
    /// The request of an exchange in normal form, as the model saw it: the edited copy where one was sent.
    ///
    /// # Errors
    /// A sentence that names what could not be read.
    fn request(&self, id: ExchangeId) -> Result<Arc<ModelRequest>, String>;

    /// The answer of an exchange in normal form.
    ///
    /// # Errors
    /// A sentence that names what could not be read.
    fn answer(&self, id: ExchangeId) -> Result<Arc<ModelAnswer>, String>;

    /// Who answered.
    fn source(&self, id: ExchangeId) -> Source;

    /// The interface that a request speaks: `openai-chat`. None when it is not known.
    fn api(&self, _id: ExchangeId) -> Option<&'static str> {
        None
    }

    /// True when something else went upstream than the agent sent (an edit or a pin).
    fn rewritten(&self, _id: ExchangeId) -> bool {
        false
    }

    /// The server of the Model Context Protocol that carried out a call of a tool; none for a tool in the agent's own
    /// process.
    fn carried_out(&self, _site: CallSite) -> Option<CarriedOut> {
        None
    }

    /// The servers that were asked, in order of the first message to each.
    fn servers(&self) -> Vec<ServerTotals> {
        Vec::new()
    }

    /// What a request that is no model call did, in one line: `embeds 12 texts (m) -> 12 x 1536`. None when it is not
    /// known what it is for.
    fn service(&self, _id: ExchangeId) -> Option<String> {
        None
    }

    /// Where steps stand among the spans of the run; none where it has none.
    fn places(&self) -> Option<&Places> {
        None
    }

    /// What a model's tokens cost; none when nobody knows.
    fn price(&self, model: &str) -> Option<Price> {
        Prices::default().of(model)
    }

    /// A hash of the exchange's bodies as they went over the wire; none when it is not known. Only the earliest
    /// difference in bytes is reported with it.
    fn fingerprint(&self, _id: ExchangeId) -> Option<u64> {
        None
    }
}

/// By whom and how fast a call of a tool was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedOut {
    /// Name of the server.
    pub server: String,
    /// The exchange with it.
    pub exchange: ExchangeId,
    /// Its time, in microseconds; none when no answer came, or when that does not say when the work was done.
    pub took_us: Option<u64>,
    /// Of a command of a shell: how it ended (`exit 1`), where that is known.
    pub ended: Option<String>,
}

/// What a server was asked in a run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ServerTotals {
    /// Its name.
    pub server: String,
    /// Exchanges with it, its streams included.
    pub messages: u32,
    /// Calls of its tools.
    pub calls: u32,
}

/// A run, as far as comparing and telling go.
#[derive(Clone, Copy)]
pub struct RunView<'a> {
    /// Who it is.
    pub manifest: &'a Manifest,
    /// What it is doing.
    pub state: RunState,
    /// Its lanes and steps.
    pub outline: &'a Outline,
    /// What it was forked from, the parent first, as far as the store knows.
    pub ancestry: &'a [Ancestor],
    /// Its conversations.
    pub source: &'a dyn Conversations,
}

/// A tool's result in full.
#[derive(Debug, Clone, PartialEq)]
pub struct FullResult {
    /// The result as text.
    pub text: String,
    /// How many parts of it are not text (images).
    pub other: usize,
    /// True when the tool said it failed.
    pub is_error: bool,
}

impl<'a> RunView<'a> {
    /// A tool's result in full, as the model saw it; none when the run ended before it was seen.
    ///
    /// # Errors
    /// A sentence, when the request that carries it cannot be read or carries no result there.
    pub fn full_result(&self, call: &ToolCallRef) -> Result<Option<FullResult>, String> {
        let Some(place) = &call.result else { return Ok(None) };
        let request = self.source.request(place.exchange)?;
        let block = request
            .messages
            .get(place.message as usize)
            .and_then(|m| m.blocks.get(place.block as usize))
            .or_else(|| find_result(&request, &call.id));
        match block {
            Some(Block::ToolResult { text, other, is_error, .. }) => {
                Ok(Some(FullResult { text: text.clone(), other: other.len(), is_error: *is_error }))
            }
            _ => Err(format!(
                "request {} carries no result of {} where it was seen",
                place.exchange, call.name
            )),
        }
    }

    /// True for a call whose recorded result was given although a write before it was not as recorded.
    pub fn is_stale(&self, site: CallSite) -> bool {
        let stale = &self.manifest.stale;
        if stale.is_empty() {
            return false;
        }
        let result = self.outline.call(site).and_then(|call| call.result.as_ref());
        let place = result.map(|r| StaleAt { exchange: r.exchange, block: Some((r.message, r.block)) });
        let by_server = self.source.carried_out(site);
        let answer = by_server.map(|by| StaleAt { exchange: by.exchange, block: None });
        place.into_iter().chain(answer).any(|at| stale.contains(&at))
    }

    /// What the model saw in place of the result that the agent sent; none when it saw that. An answer from the recording
    /// was given to what was recorded: what counts is the first request after the call that really went to a model.
    pub fn sent_result(&self, site: CallSite) -> Option<FullResult> {
        self.manifest.parent.as_ref()?;
        let call = self.outline.call(site)?;
        let own = call.result.as_ref()?;
        let turns = &self.outline.lanes.get(site.lane as usize)?.turns;
        let later = turns.iter().skip(site.turn as usize + 1).filter_map(|t| t.attempts.last().copied());
        let mut later = later.filter(|id| *id >= own.exchange);
        let asked = later.find(|id| self.source.rewritten(*id) || self.source.source(*id) == Source::Live)?;
        if !self.source.rewritten(asked) {
            return None;
        }
        let request = self.source.request(asked).ok()?;
        let at_place = request
            .messages
            .get(own.message as usize)
            .and_then(|m| m.blocks.get(own.block as usize))
            .filter(|b| matches!(b, Block::ToolResult { call_id, .. } if *call_id == call.id || call.id.is_empty()));
        let Some(Block::ToolResult { text, other, is_error, .. }) =
            at_place.or_else(|| find_result(&request, &call.id))
        else {
            return None;
        };
        let same = text.chars().take(2_000).eq(own.text.chars().take(2_000)) && *is_error == own.is_error;
        (!same).then(|| FullResult { text: text.clone(), other: other.len(), is_error: *is_error })
    }

    /// The arguments of a call in full: those of the outline, or of the answer where the outline's are cut.
    pub fn full_args(&self, site: CallSite) -> Option<serde_json::Value> {
        let turn = self.outline.turn(site.lane, site.turn)?;
        let call = turn.calls.get(site.call as usize)?;
        if !cut_args(&call.args) {
            return Some(call.args.clone());
        }
        let full = self
            .answer_of(turn)
            .ok()
            .and_then(|answer| answer.tool_calls().nth(site.call as usize).map(|(_, _, args)| args.clone()));
        Some(full.unwrap_or_else(|| call.args.clone()))
    }

    /// The model call of this number; none when that step is none.
    pub fn model_call(&self, step: u32) -> Option<&'a Turn> {
        match self.outline.step(step)? {
            StepKind::Model { lane, turn } => self.outline.turn(lane, turn),
            StepKind::Tool { .. } => None,
        }
    }

    /// The answer that counts for a turn.
    ///
    /// # Errors
    /// A sentence that names what could not be read.
    pub fn answer_of(&self, turn: &Turn) -> Result<Arc<ModelAnswer>, String> {
        let id = turn.attempts.last().ok_or("the model call has no exchange")?;
        self.source.answer(*id)
    }

    /// The request that counts for a turn.
    ///
    /// # Errors
    /// A sentence that names what could not be read.
    pub fn request_of(&self, turn: &Turn) -> Result<Arc<ModelRequest>, String> {
        let id = turn.attempts.last().ok_or("the model call has no exchange")?;
        self.source.request(*id)
    }

    /// The text of an answer in full: the outline's, or the answer's where that is cut.
    pub fn full_text(&self, turn: &Turn) -> String {
        if !cut_text(&turn.text) {
            return turn.text.clone();
        }
        self.answer_of(turn).map_or_else(|_| turn.text.clone(), |a| a.text())
    }

    /// Name of the model that was asked, where an edit made it another than the agent named.
    pub fn sent_model(&self, turn: &Turn) -> Option<String> {
        self.manifest.parent.as_ref()?;
        let id = turn.attempts.last().filter(|id| self.source.rewritten(**id))?;
        let sent = self.source.request(*id).ok()?;
        (sent.model != turn.model).then(|| sent.model.clone())
    }

    /// What a model call costs by its tokens, whoever answered; none when they, or their price, are not known.
    pub fn cost_of(&self, turn: &Turn) -> Option<Cost> {
        match turn.counted() {
            Some(usage) => {
                let model = self.sent_model(turn);
                self.source.price(model.as_deref().unwrap_or(&turn.model))?.cost(&usage)
            }
            None => turn.is_turned_away().then_some(Cost(0)),
        }
    }

    /// What all model calls of the run cost.
    pub fn spent(&self) -> Spent {
        let mut spent = Spent::default();
        for turn in self.outline.lanes.iter().flat_map(|lane| &lane.turns) {
            let model = self.sent_model(turn);
            spent.add(model.as_deref().unwrap_or(&turn.model), self.cost_of(turn));
        }
        spent
    }

    /// The model call that ends the run; of several that end it together, the one that began last.
    pub fn last_turn(&self) -> Option<&'a Turn> {
        let (lane, turn) = self.outline.ends().pop()?;
        self.outline.turn(lane, turn)
    }

    /// From start to end in microseconds; to the last answer when nobody saw the end. None when that is not known: what
    /// was imported ends with its last answer, and not every file says when that was.
    pub fn duration_us(&self) -> Option<u64> {
        let turns = || self.outline.lanes.iter().flat_map(|lane| &lane.turns);
        let end = match &self.manifest.outcome {
            Some(outcome) => {
                let is_open = turns().any(|t| t.took_us().is_none() && t.ended_us >= outcome.ended_us);
                (!is_open).then_some(outcome.ended_us)?
            }
            None => turns().filter(|turn| turn.took_us().is_some()).map(|turn| turn.ended_us).max()?,
        };
        Some(end.saturating_sub(self.manifest.started_us)).filter(|us| *us > 0)
    }
}

/// True when the outline may hold less of the arguments than the answer does.
pub(super) fn cut_args(args: &serde_json::Value) -> bool {
    // The outline cuts at 2,000 bytes of JSON; what is near that is looked up.
    match args {
        serde_json::Value::String(text) => text.len() >= 1_900,
        serde_json::Value::Object(_) | serde_json::Value::Array(_) => args.to_string().len() >= 1_900,
        _ => false,
    }
}

/// True when the outline may hold less of an answer's text than the answer does.
pub(super) fn cut_text(text: &str) -> bool {
    text.len() >= 190 && text.chars().count() >= 190
}

/// True when the outline may hold less of a tool's result than the request does.
pub(super) fn cut_result(text: &str) -> bool {
    text.len() >= 1_900 && text.chars().count() >= 1_900
}

fn find_result<'r>(request: &'r ModelRequest, id: &str) -> Option<&'r Block> {
    let blocks = request.messages.iter().rev().flat_map(|m| m.blocks.iter());
    let mut results =
        blocks.filter(|b| !id.is_empty() && matches!(b, Block::ToolResult { call_id, .. } if call_id == id));
    results.next()
}

/// Step numbers by place, so that looking one up does not search the list.
#[derive(Debug, Default)]
pub struct StepNumbers {
    models: HashMap<(u32, u32), u32>,
    tools: HashMap<CallSite, u32>,
}

impl StepNumbers {
    /// Reads the numbering of an outline.
    pub fn of(outline: &Outline) -> StepNumbers {
        let mut numbers = StepNumbers::default();
        for (number, step) in (1u32..).zip(&outline.steps) {
            match step.kind {
                StepKind::Model { lane, turn } => numbers.models.insert((lane, turn), number),
                StepKind::Tool { site } => numbers.tools.insert(site, number),
            };
        }
        numbers
    }

    /// Number of a model call.
    pub fn model(&self, lane: usize, turn: usize) -> Option<u32> {
        self.models.get(&(lane as u32, turn as u32)).copied()
    }

    /// Number of a tool call.
    pub fn tool(&self, site: CallSite) -> Option<u32> {
        self.tools.get(&site).copied()
    }
}
