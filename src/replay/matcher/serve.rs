//! Conversations go on: candidates are settled, answers handed out.

use super::Bindings;
use super::decision::{Decision, MatchClass, Miss, Pin};
use super::explain;
use super::later::Fit;
use super::segments::Said;
use super::thread::{Carried, Hypothesis, Thread, Waiting};
use super::unify::Renamed;
use super::{Arrival, Live, Matcher, Recording};
use crate::dialect::conversation::{Block, ModelAnswer};
use crate::exchange::ExchangeId;
use crate::holes::Rewrite;
use crate::run::CallSite;
use crate::run::likeness::{self, Key};
use crate::run::reading::Reading;
use std::collections::BTreeSet;

impl<R: Recording> Matcher<R> {
    /// Refuses a request.
    pub(super) fn miss(&mut self, live: &Live<'_>, miss: Miss, out: &mut Vec<Decision>) {
        self.counters.missed += 1;
        out.push(Decision::Miss { id: live.ask.id, miss: Box::new(miss) });
    }

    /// Goes on with the conversation that fits best. Several fit when their transcripts are the same.
    pub(super) fn go_on(&mut self, live: &Live<'_>, fits: Vec<(usize, Fit)>, out: &mut Vec<Decision>) {
        let Some(at) = fits.first().map(|(at, _)| *at) else { return };
        let lanes_of = |thread: usize| -> BTreeSet<u32> {
            fits.iter().filter(|(t, _)| *t == thread).map(|(_, f)| f.lane).collect()
        };
        let own = lanes_of(at);
        if fits.iter().any(|(t, _)| *t != at && lanes_of(*t) != own) {
            let all: BTreeSet<u32> = fits.iter().map(|(_, f)| f.lane).collect();
            let next = self.threads.get(at).map_or(0, |t| t.turn.saturating_add(1));
            let mut shapes = all.iter().map(|lane| self.shape(*lane, next));
            let first = shapes.next();
            if shapes.any(|s| Some(s) != first) {
                let lanes: Vec<u32> = all.into_iter().collect();
                if !self.of_one_origin(&lanes) {
                    let miss = explain::ambiguous(live, self.recording.outline(), &lanes);
                    return self.miss(live, miss, out);
                }
                self.counters.symmetric += 1;
            }
        }
        let fits = fits.into_iter().filter(|(t, _)| *t == at).map(|(_, f)| f).collect();
        self.advance(at, live.arrival(), &live.readings, fits, out);
    }

    /// Begins a conversation.
    pub(super) fn begin(
        &mut self,
        arrival: Arrival,
        readings: &[Reading<'_>],
        fits: Vec<Fit>,
        out: &mut Vec<Decision>,
    ) {
        let at = self.threads.len();
        let lane = fits.first().map_or(0, |f| f.lane);
        self.threads.push(new_thread(&arrival, lane));
        self.advance(at, arrival, readings, fits, out);
    }

    /// Begins a conversation that the recording does not have.
    pub(super) fn begin_live(&mut self, live: &Live<'_>, out: &mut Vec<Decision>) {
        let known = self.recording.outline().lanes.len() as u32;
        let arrival = live.arrival();
        let mut thread = new_thread(&arrival, known.saturating_add(self.new_lanes));
        self.new_lanes += 1;
        thread.live = true;
        let at = self.threads.len();
        self.threads.push(thread);
        self.enter(at, arrival);
        self.ask_model(at, &live.readings, out);
    }

    /// Goes on with a conversation that has left the recording.
    pub(super) fn go_live(&mut self, at: usize, live: &Live<'_>, out: &mut Vec<Decision>) {
        let (pins, renamed) = self.pins_of_changed(at, live);
        let Some(thread) = self.threads.get_mut(at) else { return };
        let lane = thread.lane;
        thread.turn = thread.turn.saturating_add(1);
        thread.hypotheses.retain(|h| h.lane == lane);
        let swapped = pins.iter().filter(|carried| carried.pin.swapped).count();
        self.counters.swapped += swapped as u32;
        self.counters.pins += (pins.len() - swapped) as u32;
        thread.pins.extend(pins);
        // What the agent sends from here on is known by its echo alone.
        let first = thread.turn;
        self.enter(at, live.arrival());
        let known = (lane as usize) < self.recording.outline().lanes.len();
        if known && !self.alone.contains(&(lane, first)) {
            self.mark_dirty(lane, first);
        }
        self.resolve(at);
        self.counters.pins += renamed.len() as u32;
        self.ask_model(at, &live.readings, out);
        if let Some(Decision::Live { pins, .. }) = out.last_mut() {
            pins.extend(renamed);
        }
    }

    /// Asks for a live answer. `readings`: those of the request, in which the pins of the conversation are found again.
    pub(super) fn ask_model(&mut self, at: usize, readings: &[Reading<'_>], out: &mut Vec<Decision>) {
        let Some(thread) = self.threads.get_mut(at) else { return };
        thread.failed = false;
        self.counters.live += 1;
        self.gone_live = true;
        let placed = |carried: &Carried| {
            let reading = readings.get(carried.reading)?;
            let piece = reading.pieces.iter().find(|p| p.answers == Some(carried.pin.site.call as usize))?;
            Some(Pin { message: piece.message, block: piece.index, ..carried.pin.clone() })
        };
        let pins = thread.pins.iter().filter(|c| c.pin.stale.is_none()).filter_map(placed).collect();
        out.push(Decision::Live { id: thread.id, lane: thread.lane, turn: thread.turn, pins });
    }

    /// Takes in a request whose place is known, and answers it unless a gate is shut.
    pub(super) fn advance(
        &mut self,
        at: usize,
        arrival: Arrival,
        readings: &[Reading<'_>],
        fits: Vec<Fit>,
        out: &mut Vec<Decision>,
    ) {
        let Some(thread) = self.threads.get_mut(at) else { return };
        if thread.hypotheses.is_empty() {
            thread.turn = 0;
        } else {
            thread.turn = thread.turn.saturating_add(1);
        }
        let mut pins_of: Vec<(u32, Vec<Carried>)> = Vec::new();
        let class_of: Vec<(u32, MatchClass)> = fits.iter().map(|f| (f.lane, f.class)).collect();
        let swapped = fits.iter().map(|fit| fit.swapped as u32).min().unwrap_or_default();
        // Most are one, and there are as many of them as conversations.
        thread.hypotheses = Vec::with_capacity(fits.len());
        let mut results_of: Vec<(u32, Vec<Renamed>)> = Vec::new();
        for fit in fits {
            results_of.push((fit.lane, fit.results));
            pins_of.push((fit.lane, fit.pins));
            let Fit { lane, bound, recorded, settings, .. } = fit;
            let (bound, settings) = (bound.into(), settings.map(Box::new));
            thread.hypotheses.push(Hypothesis { lane, bound, recorded, settings });
        }
        self.enter(at, arrival);
        self.resolve(at);
        self.represent(at);
        let Some(thread) = self.threads.get_mut(at) else { return };
        if let Some(what) = thread.contradiction.clone() {
            let (id, place) = (thread.id, (thread.lane, thread.turn));
            let miss = explain::contradiction(self.recording.outline(), place, &what);
            self.counters.missed += 1;
            out.push(Decision::Miss { id, miss: Box::new(miss) });
            return;
        }
        self.counters.swapped += swapped;
        let (lane, turn) = (thread.lane, thread.turn);
        let answered_turn = thread.answered_turn;
        let results = results_of.into_iter().filter(|(l, _)| *l == lane).flat_map(|(_, r)| r);
        let mut varied: Vec<Pin> = Vec::new();
        for result in results {
            let said = Said::Result { lane, turn, call: result.call };
            self.segments.get_mut().note_result(said, &result.live);
            let site = CallSite { lane, turn: answered_turn, call: result.call as u32 };
            if result.varied && !self.by_call.contains_key(&site) {
                varied.push(result.into_pin(self.recording.outline(), site));
            }
        }
        let Some(thread) = self.threads.get_mut(at) else { return };
        let new = pins_of.into_iter().find(|(l, _)| *l == lane).map(|(_, p)| p).unwrap_or_default();
        // A pin of an old result is a known one, seen again in another form.
        let known = |c: &Carried| thread.pins.iter().any(|k| k.pin.site == c.pin.site);
        let mut new: Vec<Carried> = new.into_iter().filter(|c| !known(c)).collect();
        self.take_pins((lane, turn), &mut new);
        let Some(thread) = self.threads.get_mut(at) else { return };
        let mut pins: Vec<Pin> = new.iter().map(|c| c.pin.clone()).collect();
        self.counters.pins += pins.len() as u32;
        pins.extend(varied);
        thread.pins.extend(new);
        let class = class_of.into_iter().find(|(l, _)| *l == lane).map_or(MatchClass::Exact, |(_, c)| c);
        let carries_pins = !thread.pins.is_empty() && class == MatchClass::Renamed;
        thread.class = if carries_pins { MatchClass::Pinned } else { class };
        if self.threads.get(at).is_some_and(|t| self.is_dirty(t.lane, t.turn)) {
            return self.ask_model(at, readings, out);
        }
        if self.is_gated(at) {
            if let Some(thread) = self.threads.get_mut(at) {
                thread.waiting = Some(Waiting { pins });
            }
            self.held.push(at);
            self.counters.gates += 1;
        } else {
            self.reply(at, pins, out);
        }
    }

    /// Makes a request the present one of its conversation.
    fn enter(&mut self, at: usize, arrival: Arrival) {
        let Some(thread) = self.threads.get_mut(at) else { return };
        self.by_id.remove(&thread.id);
        if let Some(list) = self.by_request.get_mut(&thread.request_key) {
            list.retain(|t| *t != at);
            if list.is_empty() {
                self.by_request.remove(&thread.request_key);
            }
        }
        thread.id = arrival.id;
        thread.request_key = arrival.request_key;
        thread.seen = arrival.seen;
        thread.context = arrival.context;
        thread.delivered = false;
        thread.failed = false;
        thread.spoilt = false;
        thread.attempt = 0;
        self.by_id.insert(arrival.id, at);
        self.by_request.entry(arrival.request_key).or_default().push(at);
        self.acquaintance.get_mut().moved(at);
    }

    /// Settles lanes: one that only one conversation can be is no other's; a set that is used up is nobody else's.
    fn resolve(&mut self, at: usize) {
        let mut work = vec![at];
        while let Some(at) = work.pop() {
            let Some(thread) = self.threads.get_mut(at) else { continue };
            let [only] = thread.hypotheses.as_mut_slice() else {
                if thread.hypotheses.len() > 1 {
                    self.undecided.insert(at);
                }
                continue;
            };
            let lane = only.lane;
            // A side call in the same words may be anybody's: what it binds holds for its own answer.
            if !self.recording.outline().is_side(lane) {
                let bound = std::mem::take(&mut only.bound);
                thread.contradiction = self.bound.merge(&bound).map(Box::new).or(thread.contradiction.take());
            }
            self.undecided.remove(&at);
            self.take(lane);
            self.on_lane.insert(lane, at);
            for &other in &self.undecided {
                let Some(thread) = self.threads.get_mut(other) else { continue };
                if thread.hypotheses.len() > 1 && thread.hypotheses.iter().any(|h| h.lane == lane) {
                    thread.hypotheses.retain(|h| h.lane != lane);
                    work.push(other);
                }
            }
        }
        let sets: Vec<BTreeSet<u32>> = self
            .undecided
            .iter()
            .filter_map(|at| self.threads.get(*at))
            .map(|t| t.hypotheses.iter().map(|h| h.lane).collect())
            .collect();
        for set in &sets {
            if sets.iter().filter(|s| s.is_subset(set)).count() >= set.len() {
                set.iter().for_each(|lane| self.take(*lane));
            }
        }
        let moved: Vec<usize> = self.undecided.iter().copied().collect();
        moved.into_iter().for_each(|at| self.represent(at));
        self.represent(at);
    }

    fn take(&mut self, lane: u32) {
        if let Some(free) = self.free.get_mut(lane as usize) {
            *free = false;
        }
    }

    /// Sees to it that a conversation is served as one of the lanes that it can be, and no two as the same.
    fn represent(&mut self, at: usize) {
        let Some(thread) = self.threads.get(at) else { return };
        if thread.hypotheses.is_empty() {
            return;
        }
        let others: BTreeSet<u32> = self
            .undecided
            .iter()
            .filter(|o| **o != at)
            .filter_map(|o| self.threads.get(*o))
            .map(|t| t.lane)
            .collect();
        let stays = thread.hypotheses.iter().any(|h| h.lane == thread.lane) && !others.contains(&thread.lane);
        if stays {
            return;
        }
        let best = thread.hypotheses.iter().map(|h| h.lane).min_by_key(|lane| (others.contains(lane), *lane));
        if let (Some(lane), Some(thread)) = (best, self.threads.get_mut(at)) {
            thread.lane = lane;
            self.acquaintance.get_mut().moved(at);
        }
    }

    /// Serves a side call once more.
    pub(super) fn repeat(&mut self, lane: u32, live: &Live<'_>, out: &mut Vec<Decision>) {
        self.counters.side_repeats += 1;
        let rewrite =
            self.today(lane, 0, &Bindings::default()).map(|(rewrite, _)| rewrite).unwrap_or_default();
        let attempts = self.recording.outline().turn(lane, 0).map_or(1, |t| t.attempts.len().max(1) as u32);
        let (id, class) = (live.ask.id, MatchClass::Exact);
        out.push(Decision::Serve {
            id,
            lane,
            turn: 0,
            attempt: attempts - 1,
            class,
            pins: Vec::new(),
            rewrite,
        });
    }

    /// Hands out the recorded answer of a conversation's present turn.
    pub(super) fn reply(&mut self, at: usize, pins: Vec<Pin>, out: &mut Vec<Decision>) {
        let Some(thread) = self.threads.get_mut(at) else { return };
        let (lane, turn) = (thread.lane, thread.turn);
        thread.waiting = None;
        let recorded = self.recording.outline().turn(lane, turn);
        let attempts = recorded.map_or(1, |t| t.attempts.len().max(1) as u32);
        thread.attempt = thread.attempt.min(attempts - 1);
        let last = thread.attempt + 1 == attempts;
        thread.failed = !last || recorded.is_some_and(|t| t.error.is_some());
        let calls = recorded.is_some_and(|t| !t.calls.is_empty());
        let echo = recorded.and_then(|t| t.answer_key).filter(|_| last);
        let class = thread.class;
        let bound = self.threads.get(at).and_then(|t| t.hypotheses.iter().find(|h| h.lane == lane));
        let today = bound.filter(|_| last).and_then(|h| self.today(lane, turn, &h.bound));
        let (rewrite, echoes, today_text) = match today {
            Some((rewrite, answer)) => (rewrite, answer_keys(&answer), Some(answer.text())),
            None => (Rewrite::default(), echo.into_iter().collect(), None),
        };
        let Some(thread) = self.threads.get_mut(at) else { return };
        let count = match class {
            MatchClass::Exact => &mut self.counters.exact,
            MatchClass::Renamed => &mut self.counters.renamed,
            MatchClass::Pinned => &mut self.counters.pinned,
            MatchClass::Reordered => &mut self.counters.reordered,
            MatchClass::Masked | MatchClass::Drift => &mut self.counters.masked,
        };
        *count += 1;
        out.push(Decision::Serve {
            id: thread.id,
            lane,
            turn,
            attempt: thread.attempt,
            class,
            pins,
            rewrite,
        });
        if last && thread.hypotheses.len() > 1 {
            let served = self.shape(lane, turn);
            let all: Vec<u32> =
                self.threads.get(at).into_iter().flat_map(|t| &t.hypotheses).map(|h| h.lane).collect();
            let differing: Vec<u32> = all.into_iter().filter(|l| self.shape(*l, turn) != served).collect();
            if let Some(thread) = self.threads.get_mut(at) {
                thread.hypotheses.retain(|h| !differing.contains(&h.lane));
            }
            self.resolve(at);
        }
        if last {
            self.segments.get_mut().note_answer(lane, turn, today_text);
        }
        if !echoes.is_empty() {
            self.known_by(at, echoes, calls);
        }
    }

    /// What is to be changed in a recorded answer, and what it says then; none where it is served as it is.
    fn today(&self, lane: u32, turn: u32, bound: &Bindings) -> Option<(Rewrite, ModelAnswer)> {
        if self.holes.is_same_world() && !self.bound.changes_anything() && !bound.changes_anything() {
            return None;
        }
        let answer = self.recording.answer(lane, turn).ok()?;
        let rewrite = self.holes.rewrite(&answer, bound, &self.bound);
        if rewrite.is_empty() {
            return None;
        }
        let told = rewrite.answer(&answer);
        Some((rewrite, told))
    }

    /// A recorded text (a result that goes to the live model) with today's names and directories, as they are bound where
    /// this request came from.
    pub fn in_todays_words(&self, id: ExchangeId, text: &str) -> String {
        let thread = self.by_id.get(&id).and_then(|at| self.threads.get(*at));
        let bound = thread.and_then(|t| t.hypotheses.iter().find(|h| h.lane == t.lane)).map(|h| &*h.bound);
        let none = Bindings::default();
        let said = Block::Text { text: text.to_string() };
        let said = ModelAnswer { blocks: vec![said], ..ModelAnswer::default() };
        let rewrite = self.holes.rewrite(&said, bound.unwrap_or(&none), &self.bound);
        rewrite.text(text).into_owned()
    }

    /// By which answer a conversation is found again.
    fn known_by(&mut self, at: usize, echoes: Vec<Key>, calls: bool) {
        let Some(thread) = self.threads.get_mut(at) else { return };
        for old in std::mem::take(&mut thread.echoes) {
            if let Some(list) = self.by_echo.get_mut(&old) {
                list.retain(|t| *t != at);
                if list.is_empty() {
                    self.by_echo.remove(&old);
                }
            }
        }
        for echo in &echoes {
            self.by_echo.entry(*echo).or_default().push(at);
        }
        thread.echoes = echoes;
        thread.answered = thread.seen.clone();
        thread.answered_turn = thread.turn;
        thread.answer_calls = calls;
    }

    /// Takes in what was really served.
    pub(super) fn answered(&mut self, at: usize, answer: &ModelAnswer, changed: bool) {
        let Some(thread) = self.threads.get_mut(at) else { return };
        let echo = likeness::answer_key(answer);
        let recorded = self.recording.outline().turn(thread.lane, thread.turn).and_then(|t| t.answer_key);
        // Nothing depends on an answer that is the recorded one.
        thread.live |= changed && (echo.is_none() || echo != recorded);
        let kept = if changed { Vec::new() } else { thread.echoes.clone() };
        if echo.is_none() {
            thread.failed = true;
            thread.spoilt = !changed;
            return;
        }
        let new = answer_keys(answer);
        let mut echoes: Vec<Key> = kept.into_iter().filter(|e| !new.contains(e)).collect();
        echoes.extend(new);
        let calls = answer.tool_calls().next().is_some();
        if changed {
            self.note_calls(at, answer);
        }
        self.known_by(at, echoes, calls);
        self.gone_live |= changed;
    }

    /// True when lanes were all begun by one answer, or all by the program itself.
    pub(super) fn of_one_origin(&self, lanes: &[u32]) -> bool {
        let outline = self.recording.outline();
        let origins: BTreeSet<Option<(u32, u32)>> = lanes
            .iter()
            .filter_map(|l| outline.lanes.get(*l as usize))
            .map(|l| l.parent.map(|site| (site.lane, site.turn)))
            .collect();
        origins.len() == 1
            && !lanes.iter().any(|l| outline.lanes.get(*l as usize).is_none_or(|l| l.parent_unknown))
    }
}

/// The keys by which an answer that is at hand is known again.
fn answer_keys(answer: &ModelAnswer) -> Vec<Key> {
    likeness::answer_key(answer).into_iter().chain(likeness::calls_key(answer.blocks.iter())).collect()
}

fn new_thread(arrival: &Arrival, lane: u32) -> Thread {
    Thread {
        hypotheses: Vec::new(),
        lane,
        turn: 0,
        id: arrival.id,
        request_key: arrival.request_key,
        seen: arrival.seen.clone(),
        context: arrival.context.clone(),
        echoes: Vec::new(),
        answered: arrival.seen.clone(),
        answered_turn: 0,
        answer_calls: false,
        delivered: false,
        attempt: 0,
        failed: false,
        spoilt: false,
        live: false,
        class: MatchClass::Exact,
        pins: Vec::new(),
        waiting: None,
        contradiction: None,
    }
}
