//! Live requests to recorded turns, by lane and turn, verified by content. Pure and synchronous.
//!
//! A request is placed by history: it goes on from the answer that was served to its conversation, or it is a first
//! turn. Content verifies the place. Where several recorded lanes fit, all are kept and the request is answered while
//! all have the same answer; what stays ambiguous is refused. See [`Matcher`].

mod acquaintance;
mod beside;
mod by_bytes;
mod decision;
mod explain;
mod first;
mod flat;
mod gate;
mod later;
mod notes;
mod pins;
mod refused;
mod segments;
mod serve;
mod survey;
#[cfg(test)]
pub(in crate::replay) mod tests;
mod thread;
mod transcript;
mod unify;

pub use crate::holes::Bindings;
pub use decision::{Ask, Counters, Decision, MatchClass, Miss, Near, Options, Pin, Unpin};
pub use pins::{SentAsIs, Unpinned};

use crate::dialect::conversation::{ModelAnswer, ModelRequest};
use crate::exchange::{ExchangeId, SpanContext};
use crate::holes::Holes;
use crate::run::likeness::{self, Echoes, Key};
use crate::run::reading::{Reading, last_assistant, readings};
use crate::run::{CallSite, LaneKind, Outline};
use acquaintance::Acquaintance;
use segments::Segments;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use survey::Survey;
use thread::Thread;
use transcript::Transcript;

/// What the matcher reads of a recording.
pub trait Recording {
    fn outline(&self) -> &Outline;
    /// The request of a turn (of its last attempt), in normal form.
    fn request(&self, lane: u32, turn: u32) -> Result<Arc<ModelRequest>, String>;
    /// The answer of a turn, in normal form.
    fn answer(&self, lane: u32, turn: u32) -> Result<Arc<ModelAnswer>, String>;
    /// Path of the request, without query.
    fn path(&self, lane: u32, turn: u32) -> Result<String, String>;
    fn context(&self, lane: u32, turn: u32) -> Result<SpanContext, String>;
}

/// A live request, as far as its conversation remembers it.
struct Arrival {
    id: ExchangeId,
    context: SpanContext,
    request_key: Key,
    seen: Transcript,
}

/// A live request, read.
struct Live<'a> {
    ask: &'a Ask,
    readings: Vec<Reading<'a>>,
    keys: Vec<Key>,
    request_key: Key,
    /// The key of everything but the messages.
    settings: Key,
    /// Index of the last assistant reading, and the keys by which its answer may be known again.
    last: Option<usize>,
    echoes: Option<Echoes>,
}

impl<'a> Live<'a> {
    fn read(ask: &'a Ask) -> Live<'a> {
        let readings = readings(&ask.request.messages);
        let keys = likeness::reading_keys(&readings);
        let (settings, request_key) = likeness::request_keys_of(&ask.request, &keys);
        let last = last_assistant(&readings);
        let echoes = last.and_then(|at| readings.get(at)).map(likeness::reading_echoes);
        Live { ask, readings, keys, request_key, settings, last, echoes }
    }

    fn arrival(&self) -> Arrival {
        Arrival {
            id: self.ask.id,
            context: self.ask.context.clone(),
            request_key: self.request_key,
            seen: Transcript::new(self.keys.clone()),
        }
    }
}

/// Places live requests in a recording.
///
/// The caller asks ([`Matcher::on_request`]), says when an answer has reached the agent ([`Matcher::delivered`]) and when
/// nothing has happened for a while ([`Matcher::idle`]); each may bring decisions, also for requests asked earlier. In a
/// fork it also says which turns an edit touches ([`Matcher::mark_dirty`]) and what the model answered
/// ([`Matcher::answered_live`]). The recording is read where it is needed: a first turn costs a look-up in a hash map, a
/// later one the comparison of what is new in it. A clone stands where the matcher stands, and goes its own way.
#[derive(Clone)]
pub struct Matcher<R> {
    recording: R,
    options: Options,
    holes: Arc<Holes>,
    survey: Arc<Survey>,
    acquaintance: RefCell<Acquaintance>,
    segments: RefCell<Segments>,
    /// Turns that can be told by the bytes of their request.
    by_bytes: HashMap<Key, (u32, u32)>,
    /// Lanes by the key of their first request.
    by_first: HashMap<Key, Vec<u32>>,
    /// Lanes begun by a call, and by a turn.
    by_call: HashMap<CallSite, Vec<u32>>,
    by_turn: HashMap<(u32, u32), Vec<u32>>,
    /// Lanes that no conversation has taken yet.
    free: Vec<bool>,
    /// From which turn on a lane has been changed.
    dirty: BTreeMap<u32, u32>,
    /// Turns that have been changed by themselves.
    alone: BTreeSet<(u32, u32)>,
    threads: Vec<Thread>,
    /// Conversations that may still be several lanes.
    undecided: BTreeSet<usize>,
    by_echo: HashMap<Key, Vec<usize>>,
    by_request: HashMap<Key, Vec<usize>>,
    by_id: HashMap<ExchangeId, usize>,
    /// The conversation that is a lane for certain.
    on_lane: HashMap<u32, usize>,
    held: Vec<usize>,
    bound: Bindings,
    new_lanes: u32,
    gone_live: bool,
    drifts: Vec<Near>,
    parted: pins::Parted,
    counters: Counters,
}

impl<R: Recording> Matcher<R> {
    /// A matcher at the beginning of a recording.
    ///
    /// # Errors
    /// A sentence when the options cannot be used.
    pub fn new(recording: R, options: Options) -> Result<Matcher<R>, String> {
        let holes = Arc::new(Holes::new(&options.secrets, options.surroundings.as_ref(), &options.rules)?);
        let mut matcher = Matcher {
            holes,
            survey: Arc::default(),
            acquaintance: RefCell::default(),
            segments: RefCell::default(),
            options,
            by_bytes: by_bytes::unmistakable(recording.outline()),
            by_first: HashMap::new(),
            by_call: HashMap::new(),
            by_turn: HashMap::new(),
            free: Vec::new(),
            dirty: BTreeMap::new(),
            alone: BTreeSet::new(),
            threads: Vec::new(),
            undecided: BTreeSet::new(),
            by_echo: HashMap::new(),
            by_request: HashMap::new(),
            by_id: HashMap::new(),
            on_lane: HashMap::new(),
            held: Vec::new(),
            bound: Bindings::default(),
            new_lanes: 0,
            gone_live: false,
            drifts: Vec::new(),
            parted: pins::Parted::default(),
            counters: Counters::default(),
            recording,
        };
        matcher.index();
        Ok(matcher)
    }

    fn index(&mut self) {
        let outline = self.recording.outline();
        self.free = vec![true; outline.lanes.len()];
        for (at, lane) in outline.lanes.iter().enumerate() {
            let at = at as u32;
            let key = lane.turns.first().map(|t| t.request_key).unwrap_or_default();
            self.by_first.entry(key).or_default().push(at);
            if let Some(site) = lane.parent {
                self.by_call.entry(site).or_default().push(at);
                self.by_turn.entry((site.lane, site.turn)).or_default().push(at);
            }
        }
    }

    /// A request has arrived. No decision for it means that its answer is held back until a later call brings it.
    pub fn on_request(&mut self, ask: Ask) -> Vec<Decision> {
        let mut out = Vec::new();
        let live = Live::read(&ask);
        if !self.retry(&live, &mut out) && !self.later(&live, &mut out) {
            self.first(&live, &mut out);
        }
        self.open_gates(&mut out);
        out
    }

    /// The last byte of an answer has gone to the agent.
    pub fn delivered(&mut self, id: ExchangeId) -> Vec<Decision> {
        if let Some(thread) = self.by_id.get(&id).and_then(|t| self.threads.get_mut(*t))
            && thread.id == id
        {
            thread.delivered = true;
        }
        let mut out = Vec::new();
        self.open_gates(&mut out);
        out
    }

    /// From this turn on a lane has been changed by an edit.
    pub fn mark_dirty(&mut self, lane: u32, turn: u32) {
        let first = self.dirty.entry(lane).or_insert(turn);
        *first = turn.min(*first);
    }

    /// An edit has changed this turn by itself: when its answer turns out to be the recorded one, what follows is as
    /// recorded too.
    pub fn mark_alone(&mut self, lane: u32, turn: u32) {
        self.alone.insert((lane, turn));
    }

    /// What the model answered live, or what an edit made of a recorded answer: the conversation goes on from it, and
    /// nothing recorded follows unless it is the recorded answer.
    pub fn answered_live(&mut self, id: ExchangeId, answer: &ModelAnswer) {
        if let Some(at) = self.by_id.get(&id).copied() {
            self.answered(at, answer, true);
        }
    }

    /// A recorded answer went out with other values in its holes (a stand-in replaced by today's secret): the
    /// conversation is known again by what was really served.
    pub fn served_as(&mut self, id: ExchangeId, answer: &ModelAnswer) {
        if let Some(at) = self.by_id.get(&id).copied() {
            self.answered(at, answer, false);
        }
    }

    /// Recorded stand-ins and the live texts in their place.
    pub fn secrets(&self) -> &BTreeMap<String, String> {
        self.bound.secrets()
    }

    /// Recorded turns that went live in a fork though no edit reached them: the agent asks otherwise than recorded.
    pub fn drifts(&self) -> &[Near] {
        &self.drifts
    }

    /// Notes the turn that a request was nearest to, unless the difference may come from an answer that was not
    /// recorded: one given to a lane that this one descends from, or that descends from it.
    fn drifted(&mut self, lane: u32, near: Vec<Near>) {
        let lanes = &self.recording.outline().lanes;
        let lines_up = |from: u32| {
            let parent = |at: &u32| {
                lanes.get(*at as usize).and_then(|l| l.parent.map(|site| site.lane).or(l.continues))
            };
            // A forged outline may go round in circles.
            std::iter::successors(Some(from), parent).take(lanes.len() + 1)
        };
        let live = self.threads.iter().filter(|t| t.live || self.is_dirty(t.lane, t.turn)).map(|t| t.lane);
        let mut related =
            live.filter(|of| lines_up(lane).any(|l| l == *of) || lines_up(*of).any(|l| l == lane));
        if related.next().is_none() {
            self.drifts.extend(near.into_iter().next());
        }
    }

    /// True while every answer has been the recorded one.
    fn is_as_recorded(&self) -> bool {
        !self.gone_live && self.threads.iter().all(|thread| !thread.live)
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The recording.
    pub fn recording(&self) -> &R {
        &self.recording
    }

    /// Recorded turns that no request has reached, by lane.
    pub fn unasked(&self) -> Vec<(u32, u32)> {
        let mut asked: HashMap<u32, u32> = HashMap::new();
        for thread in &self.threads {
            let turns = asked.entry(thread.lane).or_default();
            *turns = (*turns).max(thread.turn.saturating_add(1));
        }
        let lanes = self.recording.outline().lanes.iter().enumerate();
        // Side calls may be absent.
        lanes
            .filter(|(_, l)| l.kind != LaneKind::Side)
            .flat_map(|(lane, l)| {
                let first = asked.get(&(lane as u32)).copied().unwrap_or_default();
                (first..l.turns.len() as u32).map(move |turn| (lane as u32, turn))
            })
            .collect()
    }

    /// True when a turn of a lane comes after an edit.
    fn is_dirty(&self, lane: u32, turn: u32) -> bool {
        self.dirty.get(&lane).is_some_and(|first| *first <= turn) || self.alone.contains(&(lane, turn))
    }

    /// True when a fork has anything that differs from the recording.
    fn is_changed(&self) -> bool {
        self.options.live_on_drift && (self.gone_live || !self.dirty.is_empty() || !self.alone.is_empty())
    }

    /// Lanes that begin as this one does, but for values that may differ; a continuation as the lane it continues.
    fn twins(&self, lane: u32) -> impl Iterator<Item = u32> + '_ {
        self.beginnings().twins(lane).filter(move |m| *m != lane)
    }

    fn is_free(&self, lane: u32) -> bool {
        self.free.get(lane as usize).copied().unwrap_or(false)
    }
}
