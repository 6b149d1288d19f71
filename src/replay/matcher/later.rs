//! Requests that go on from an answer that was served.

use super::decision::{Decision, MatchClass, Near, Pin};
use super::explain;
use super::pins::calls_of;
use super::thread::{Carried, Settings};
use super::transcript::Transcript;
use super::unify::{Difference, Renamed, Unifier};
use super::{Bindings, Live, Matcher, Recording};
use crate::dialect::conversation::{Block, ModelRequest};
use crate::run::CallSite;
use crate::run::likeness::{self, Key};
use crate::run::reading::{Piece, Reading, readings};
use serde_json::Value;

/// What a pin costs when places are compared; a renamed value costs one.
const PIN_COST: usize = 10;

/// How a request fits a recorded turn.
pub(super) struct Fit {
    pub lane: u32,
    pub cost: usize,
    pub bound: Bindings,
    pub pins: Vec<Carried>,
    pub recorded: Transcript,
    /// How many results of equal calls stand in each other's place.
    pub swapped: usize,
    /// How well; pins that were made before do not count.
    pub class: MatchClass,
    /// New results that came out as another text, by the index of their call.
    pub results: Vec<Renamed>,
    /// What need not be compared again as long as neither side changes.
    pub settings: Option<Settings>,
}

impl Fit {
    /// The recorded request itself.
    pub fn exact(lane: u32, bound: Bindings) -> Fit {
        let recorded = Transcript::of_turn(lane, 0);
        Fit {
            lane,
            cost: 0,
            bound,
            pins: Vec::new(),
            recorded,
            swapped: 0,
            class: MatchClass::Exact,
            results: Vec::new(),
            settings: None,
        }
    }
}

/// The conversations that a request may go on from.
#[derive(Default)]
struct Successors {
    candidates: Vec<usize>,
    /// They are known by the calls of their answer, beside which the client put a text or left one out.
    by_calls: bool,
}

impl<R: Recording> Matcher<R> {
    /// Places a request that carries a served answer. False when it does not, or when it begins a recorded lane.
    pub(super) fn later(&mut self, live: &Live<'_>, out: &mut Vec<Decision>) -> bool {
        let Successors { candidates, by_calls } = self.successors(live);
        if candidates.is_empty() {
            return false;
        }
        let mut fits: Vec<(usize, Fit)> = Vec::new();
        let mut refused: Vec<Near> = Vec::new();
        let mut changed: Option<usize> = None;
        for &at in &candidates {
            let Some(thread) = self.threads.get(at) else { continue };
            let next = thread.turn.saturating_add(1);
            if thread.live || self.is_dirty(thread.lane, next) {
                changed = changed.or(Some(at));
                continue;
            }
            let lanes: Vec<u32> = thread.hypotheses.iter().map(|h| h.lane).collect();
            for lane in lanes {
                match self.fit(at, lane, live, by_calls) {
                    Ok(fit) => fits.push((at, fit)),
                    Err(near) => refused.push(*near),
                }
            }
        }
        let least = fits.iter().map(|(_, f)| f.cost).min();
        // A recorded lane that begins with just this request beats a turn that only nearly fits (branches).
        if least != Some(0) && changed.is_none() && self.begins_recorded_lane(live, least.is_none()) {
            return false;
        }
        if let Some(least) = least {
            fits.retain(|(_, f)| f.cost == least);
            self.go_on(live, fits, out);
        } else if let Some(at) = changed {
            self.go_live(at, live, out);
        } else if let (true, Some(&at)) = (self.options.live_on_drift, candidates.first()) {
            let lane = self.threads.get(at).map_or(0, |t| t.lane);
            self.drifted(lane, refused);
            self.go_live(at, live, out);
        } else {
            let last_step = self.recording.outline().steps.len();
            let miss = explain::drift(live, refused, last_step);
            self.miss(live, miss, out);
        }
        true
    }

    /// Conversations whose last answer this request sends back, likeliest first.
    fn successors(&self, live: &Live<'_>) -> Successors {
        let (Some(last), Some(echoes)) = (live.last, &live.echoes) else { return Successors::default() };
        let context = &live.ask.context;
        let named = |t: &super::Thread| match (&context.lane, &t.context.lane) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        // The answer stands where it was given.
        let in_place = |t: &super::Thread| t.answered.keys(&self.recording).len() == last;
        let by_key = |echo: &Key| self.by_echo.get(echo).filter(|known| !known.is_empty());
        let whole = echoes.whole.iter().find_map(by_key);
        let by_calls = whole.is_none();
        let all = match (whole, &echoes.calls) {
            (Some(known), _) => known.clone(),
            (None, Some(key)) => by_key(key).cloned().unwrap_or_else(|| self.without_their_text(key, live)),
            (None, None) => Vec::new(),
        };
        let mut found: Vec<(usize, &super::Thread)> = all
            .into_iter()
            .filter_map(|at| self.threads.get(at).map(|t| (at, t)))
            .filter(|(_, t)| t.waiting.is_none() && named(t))
            .filter(|(_, t)| t.answer_calls || in_place(t))
            .collect();
        narrow(&mut found, in_place);
        if context.agent_id.is_some() {
            narrow(&mut found, |t| t.context.agent_id == context.agent_id);
        }
        narrow(&mut found, |t| t.delivered);
        let like = |t: &super::Thread| {
            let seen = t.seen.keys(&self.recording);
            seen.iter().zip(&live.keys).filter(|(a, b)| a == b).count()
        };
        found.sort_by_key(|(at, t)| (std::cmp::Reverse(like(t)), *at));
        Successors { candidates: found.into_iter().map(|(at, _)| at).collect(), by_calls }
    }

    /// Conversations whose recorded answer this request repeats without its text. Such answers are looked for when
    /// nothing else is known: to keep a key for each would mean to read them all.
    fn without_their_text(&self, key: &Key, live: &Live<'_>) -> Vec<usize> {
        let last = live.last.and_then(|at| live.readings.get(at));
        let ids: Vec<&str> = last.map(call_ids).unwrap_or_default();
        let repeats = |thread: &super::Thread| {
            let outline = self.recording.outline();
            let Some(turn) = outline.turn(thread.lane, thread.answered_turn) else { return false };
            thread.answer_calls
                && !thread.live
                && turn.calls.iter().map(|call| call.id.as_str()).eq(ids.iter().copied())
                && self
                    .recording
                    .answer(thread.lane, thread.answered_turn)
                    .is_ok_and(|answer| likeness::calls_key(answer.blocks.iter()).as_ref() == Some(key))
        };
        let threads = self.threads.iter().enumerate();
        threads.filter(|(_, thread)| repeats(thread)).map(|(at, _)| at).collect()
    }

    /// Compares a request with the next recorded turn of a lane that a conversation may be. `by_calls`: the answer is
    /// known by its calls alone.
    fn fit(&self, at: usize, lane: u32, live: &Live<'_>, by_calls: bool) -> Result<Fit, Box<Near>> {
        let Some((thread, hypothesis)) =
            self.threads.get(at).and_then(|t| t.hypotheses.iter().find(|h| h.lane == lane).map(|h| (t, h)))
        else {
            return Err(Box::new(explain::near(
                self.recording.outline(),
                lane,
                0,
                "it is out of the question",
                None,
            )));
        };
        let next = thread.turn.saturating_add(1);
        let outline = self.recording.outline();
        let near = |why: &str, difference: Option<Difference>| {
            Box::new(explain::near(outline, lane, next, why, difference))
        };
        let Some(turn) = outline.turn(lane, next) else {
            return Err(near(explain::FINISHED, None));
        };
        let path = self.recording.path(lane, next).map_err(|e| near(&explain::unreadable(&e), None))?;
        if path != live.ask.path {
            let difference = Difference::new("path", path, &live.ask.path);
            return Err(near("another endpoint is asked", Some(difference)));
        }
        let plain = self.is_plain(&hypothesis.bound);
        if turn.request_key == live.request_key && plain {
            let recorded = Transcript::of_turn(lane, next);
            return Ok(Fit { recorded, ..Fit::exact(lane, Bindings::clone(&hypothesis.bound)) });
        }
        let recorded =
            self.recording.request(lane, next).map_err(|e| near(&explain::unreadable(&e), None))?;
        let there = readings(&recorded.messages);
        let keys = likeness::reading_keys(&there);
        let (seen, before) = (thread.seen.keys(&self.recording), hypothesis.recorded.keys(&self.recording));
        let known = self.known(live.ask.dialect, &hypothesis.bound);
        let mut unifier = Unifier::new(known, Bindings::clone(&hypothesis.bound));
        let settings =
            self.settings(&mut unifier, hypothesis.settings.as_deref().copied(), &recorded, &keys, live);
        let settings = settings.map_err(|d| near("the request is another", Some(d)))?;
        if there.len() != live.readings.len() {
            return Err(near(
                "the history is of another length",
                Some(explain::lengths(&there, &live.readings)),
            ));
        }
        let last = live.last.unwrap_or_default();
        let calls: Vec<(&str, &Value)> = there.get(last).map(calls_of).unwrap_or_default();
        let alike = |a: usize, b: usize| calls.get(a).is_some_and(|call| calls.get(b) == Some(call));
        let mut pins: Vec<Carried> = Vec::new();
        let mut refusal: Option<&str> = None;
        for (i, (a, b)) in there.iter().zip(&live.readings).enumerate() {
            let mine = live.keys.get(i);
            let same_as_before = mine == seen.get(i) && keys.get(i) == before.get(i);
            // The answer that was served is known by its echo; what was added to it has to be as recorded.
            let equal = mine == keys.get(i) && plain;
            let is_echo = i == last && a.role == b.role && !by_calls;
            if equal || (same_as_before && i < seen.len()) || is_echo {
                continue;
            }
            let mut pin = |x: &Piece<'_>, y: &Piece<'_>, difference: Difference| {
                let Some(call) = x.answers.filter(|_| y.answers.is_some()) else { return Err(difference) };
                let site = if i > last {
                    CallSite { lane, turn: thread.answered_turn, call: call as u32 }
                } else {
                    let earlier =
                        thread.pins.iter().find(|c| c.reading == i && c.pin.site.call as usize == call);
                    match earlier {
                        Some(carried) => carried.pin.site,
                        None => return Err(difference),
                    }
                };
                match self.may_pin(site, next, i, y) {
                    Ok(()) => pins.push(Carried { pin: pin_of(outline, site, x, y), reading: i }),
                    Err(why) => {
                        refusal = Some(why);
                        return Err(difference);
                    }
                }
                Ok(())
            };
            unifier.new = i > last;
            if i <= last {
                unifier.results.clear();
            }
            let unified = unifier.reading(a, b, if i > last { &alike } else { &|_, _| false }, &mut pin);
            unified.map_err(|d| near(refusal.unwrap_or("a message differs"), Some(d)))?;
        }
        if !unifier.closes() {
            return Err(near("answers are quoted that belong elsewhere", None));
        }
        let cost = pins.len() * PIN_COST + unifier.swapped + unifier.cost;
        let class = unifier.class(turn.request_key == live.request_key, !pins.is_empty());
        Ok(Fit {
            lane,
            cost,
            bound: unifier.bound,
            pins,
            recorded: Transcript::new(keys),
            // Where texts may stand in any order, that is said of the whole.
            swapped: if unifier.reordered { 0 } else { unifier.swapped },
            class,
            results: unifier.results,
            settings,
        })
    }

    /// Compares settings, tools and system prompt, unless they are those of the turn before. What is to be known of them
    /// for the next turn.
    fn settings(
        &self,
        unifier: &mut Unifier<'_>,
        before: Option<Settings>,
        recorded: &ModelRequest,
        keys: &[Key],
        live: &Live<'_>,
    ) -> Result<Option<Settings>, Difference> {
        let there = likeness::request_keys_of(recorded, keys).0;
        if let Some(known) = before.filter(|s| (s.recorded, s.live) == (there, live.settings)) {
            unifier.take_for_equal(&known);
            return Ok(before);
        }
        let names = unifier.bound.renamed();
        unifier.head(recorded, &live.ask.request)?;
        // A new name costs only once.
        let settled = unifier.bound.renamed() == names && !unifier.quotes();
        let Unifier { cost, masked, reordered, .. } = *unifier;
        let found = Settings { recorded: there, live: live.settings, cost, masked, reordered };
        Ok(settled.then_some(found))
    }
}

/// The ids of a reading's calls, in their order.
fn call_ids<'a>(reading: &Reading<'a>) -> Vec<&'a str> {
    let ids = reading.pieces.iter().filter_map(|piece| match piece.block {
        Block::ToolCall { id, .. } => Some(id.as_str()),
        _ => None,
    });
    ids.collect()
}

fn narrow(found: &mut Vec<(usize, &super::Thread)>, keep: impl Fn(&super::Thread) -> bool) {
    if found.iter().any(|(_, t)| keep(t)) {
        found.retain(|(_, t)| keep(t));
    }
}

pub(super) fn pin_of(
    outline: &crate::run::Outline,
    site: CallSite,
    recorded: &Piece<'_>,
    live: &Piece<'_>,
) -> Pin {
    let text = |piece: &Piece<'_>| match piece.block {
        Block::ToolResult { text, .. } => text.clone(),
        _ => String::new(),
    };
    Pin {
        site,
        tool: outline.call(site).map(|c| c.name.clone()).unwrap_or_default(),
        message: live.message,
        block: live.index,
        recorded: text(recorded),
        live: text(live),
        renamed: false,
        swapped: false,
        stale: None,
    }
}
