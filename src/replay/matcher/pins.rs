//! Tool results that came out differently from the recorded ones, for calls that were the same.
//!
//! While everything is as recorded such a result is *pinned*: the recorded one stands for it. Once an answer of a fork
//! has not come from the recording, it may be an effect of the edit instead: only a call that also varies in an unedited
//! control replay is pinned then. After a write that differs from the recorded one the recorded results are *stale*:
//! they describe a world that is no more.

use super::decision::{Pin, Unpin};
use super::later::pin_of;
use super::notes;
use super::thread::Carried;
use super::unify::Unifier;
use super::{Bindings, Live, Matcher, Recording};
use crate::dialect::conversation::{Block, ModelAnswer};
use crate::diff::field;
use crate::run::CallSite;
use crate::run::reading::{Piece, Reading, last_assistant, readings};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Why a result that differs is not pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpinned {
    /// It is not known to vary by itself, and not every answer was the recorded one.
    Effect,
    /// It varies by itself, and a write before it was not as recorded.
    AfterWrite,
    /// `--unpin`
    Unwanted,
    /// An identical lane recorded it at this place.
    Swapped,
    /// Its call began a lane.
    Lane,
}

impl Unpinned {
    /// As the reason why a recorded turn was refused.
    fn words(self) -> &'static str {
        match self {
            Unpinned::Effect => {
                "a tool result differs that does not vary by itself: it counts as an effect of the edit"
            }
            Unpinned::AfterWrite => "a tool result differs after a write that is not as recorded",
            Unpinned::Unwanted => "a tool result differs, and it is not to be pinned (--unpin)",
            Unpinned::Swapped => {
                "the tool result is the one that an identical lane recorded here: the lanes may be swapped"
            }
            Unpinned::Lane => {
                "the result of a call that began a lane differs, and such a result is never pinned"
            }
        }
    }
}

/// A result that differs and went to the live model as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct SentAsIs {
    /// What differs, as a pin has it.
    pub result: Pin,
    /// Why it is no pin.
    pub why: Unpinned,
}

/// How far the tools of a replay or fork have parted from the recording.
#[derive(Debug, Clone, Default)]
pub(super) struct Parted {
    /// The first call of each lane that may have written something else than recorded: turn and call.
    writes: BTreeMap<u32, (u32, u32)>,
    /// Calls whose results an edit replaces, of tools that are known to write.
    told: BTreeSet<CallSite>,
    /// Results that went to the live model as they are.
    sent: Vec<SentAsIs>,
}

/// A call: tool and arguments.
type Call<'a> = (&'a str, &'a Value);

/// A result that differs, before it is judged.
struct Found {
    carried: Carried,
    /// Which reading of the recorded request holds the recorded one.
    there: usize,
}

/// What the results of a live request came to.
struct Differing {
    found: Vec<Found>,
    /// Those that vary in names and quantities alone.
    renamed: Vec<Pin>,
    /// With what they bound.
    bound: Bindings,
}

impl<R: Recording> Matcher<R> {
    /// Results that differ from the recorded ones of the same calls and went to the live model as they are.
    pub fn sent_as_they_are(&self) -> &[SentAsIs] {
        &self.parted.sent
    }

    /// Whether a result that came out differently may stand for the recorded one where the recorded answer is served.
    pub(super) fn may_pin(
        &self,
        site: CallSite,
        turn: u32,
        reading: usize,
        live: &Piece<'_>,
    ) -> Result<(), &'static str> {
        let Block::ToolResult { text, .. } = live.block else { return Err("a message differs") };
        match self.judge(site, turn, reading, text) {
            // What is served is the recorded answer: the result is marked as stale, see `take_pins`.
            None | Some(Unpinned::AfterWrite) => Ok(()),
            Some(why) => Err(why.words()),
        }
    }

    /// An edit says that a call came out otherwise than recorded. That of a known write makes what follows stale; that
    /// of another tool is what is asked about, and leaves the world as it is.
    pub fn mark_result(&mut self, site: CallSite) {
        let tool = self.recording.outline().call(site).map_or("", |call| call.name.as_str());
        if self.options.classes.class_of(tool).writes() {
            self.parted.told.insert(site);
        }
    }

    /// Marks the new pins of a turn that is served as stale where they are, and notes writes among them.
    pub(super) fn take_pins(&mut self, place: (u32, u32), pins: &mut [Carried]) {
        self.reach_told(place);
        pins.sort_by_key(|carried| carried.pin.site);
        for Carried { pin, .. } in pins {
            pin.stale = self.stale_after(pin.site);
            if self.is_changed_write(pin) {
                self.changed_write(pin.site);
            }
        }
    }

    /// The edited writes before a turn count from now on.
    fn reach_told(&mut self, (lane, turn): (u32, u32)) {
        let reached = |site: &CallSite| site.lane == lane && site.turn < turn;
        let told: Vec<CallSite> = self.parted.told.iter().copied().filter(reached).collect();
        for site in told {
            self.parted.told.remove(&site);
            self.changed_write(site);
        }
    }

    /// The pins of a request that goes live: results that differ from those of the same calls at the same places in the
    /// recording, and may be pinned; and the ones that differ in nothing but names and quantities, which are told of.
    /// The other ones are noted.
    pub(super) fn pins_of_changed(&mut self, at: usize, live: &Live<'_>) -> (Vec<Carried>, Vec<Pin>) {
        let Some(Differing { found, renamed, bound }) = self.differing(at, live) else {
            return (Vec::new(), Vec::new());
        };
        if let Some(thread) = self.threads.get_mut(at) {
            let place = (thread.lane, thread.answered_turn.saturating_add(1));
            if let Some(own) = thread.hypotheses.iter_mut().find(|h| h.lane == place.0) {
                own.bound = bound.into();
            }
            self.reach_told(place);
        }
        let mut pins = Vec::new();
        for Found { mut carried, there } in found {
            let pin = &mut carried.pin;
            let why = self.judge(pin.site, pin.site.turn.saturating_add(1), there, &pin.live);
            pin.stale = self.stale_after(pin.site).filter(|_| !pin.swapped);
            if self.is_changed_write(pin) {
                self.changed_write(pin.site);
            }
            match why.filter(|why| !pin.swapped || *why == Unpinned::Unwanted) {
                None => {
                    self.bind_names(at, pin.site.lane, &carried.pin);
                    pins.push(carried);
                }
                Some(why) => self.parted.sent.push(SentAsIs { result: carried.pin, why }),
            }
        }
        (pins, renamed)
    }

    /// What is done later with the names of a pinned result is done with today's.
    fn bind_names(&mut self, at: usize, lane: u32, pin: &Pin) {
        let pairs = self.holes.name_pairs(&pin.recorded, &pin.live);
        let pairs = pairs.into_iter().filter(|(then, now)| then == now || self.may_become(then, now));
        let pairs: Vec<(String, String)> = pairs.collect();
        let below = &self.bound;
        let thread = self.threads.get_mut(at);
        if let Some(own) = thread.and_then(|t| t.hypotheses.iter_mut().find(|h| h.lane == lane)) {
            pairs.iter().for_each(|(then, now)| {
                own.bound.bind(below, then, now);
            });
        }
    }

    /// The results in a request that differ from the recorded ones of the same calls, in the order of the calls.
    fn differing(&self, at: usize, live: &Live<'_>) -> Option<Differing> {
        let thread = self.threads.get(at)?;
        let (lane, turn) = (thread.lane, thread.answered_turn);
        let outline = self.recording.outline();
        outline.turn(lane, turn.checked_add(1)?)?;
        let recorded = self.recording.request(lane, turn + 1).ok()?;
        let there = readings(&recorded.messages);
        let (then, now) = (last_assistant(&there)?, live.last?);
        let (calls_then, calls_now) = (calls_of(there.get(then)?), calls_of(live.readings.get(now)?));
        let bound = thread.hypotheses.iter().find(|h| h.lane == lane).map(|h| Bindings::clone(&h.bound));
        let bound = bound.unwrap_or_default();
        let mut unifier = Unifier::new(self.known(live.ask.dialect, &bound), bound.clone());
        let (mut found, mut renamed) = (Vec::new(), Vec::new());
        for (index, x) in results_after(&there, then) {
            let Some(call) = x.answers else { continue };
            let (Some(was), Some(is)) = (calls_then.get(call), calls_now.get(call)) else { continue };
            let same_call = was.0 == is.0 && unifier.tries_value(was.1, is.1);
            let result = results_after(&live.readings, now).find(|(_, y)| y.answers == Some(call));
            let Some((reading, y)) = result.filter(|_| same_call) else { continue };
            let site = CallSite { lane, turn, call: call as u32 };
            let pin = pin_of(outline, site, x, y);
            let path = format!("messages[{}][{}]", y.message, y.index);
            unifier.within(x.tool);
            match unifier.tries_block(&path, &notes::without(x.block), &notes::without(y.block)) {
                None => found.push(Found { carried: Carried { pin, reading }, there: index }),
                Some(varied) if varied && !self.by_call.contains_key(&site) => {
                    renamed.push(Pin { renamed: true, ..pin });
                }
                Some(_) => {}
            }
        }
        found.sort_by_key(|f| f.carried.pin.site);
        mark_swapped(&mut found, &calls_then);
        Some(Differing { found, renamed, bound: unifier.bound })
    }

    /// Takes in what the model answered instead of the recorded answer: calls that may write and are not the recorded
    /// ones, or are missing, change what later results mean.
    pub(super) fn note_calls(&mut self, at: usize, answer: &ModelAnswer) {
        let Some((lane, turn)) = self.threads.get(at).map(|t| (t.lane, t.turn)) else { return };
        let recorded = self.recording.answer(lane, turn).ok();
        let then: Vec<Call<'_>> = recorded.as_deref().map(calls_in).unwrap_or_default();
        let now = calls_in(answer);
        let may_write = |call: &&Call<'_>| self.options.classes.class_of(call.0).may_write();
        let mut left: Vec<&Call<'_>> = then.iter().filter(may_write).collect();
        let strange = now.iter().filter(may_write).any(|call| {
            let known = left.iter().position(|other| *other == call);
            known.map(|at| left.swap_remove(at)).is_none()
        });
        if !strange && left.is_empty() {
            return;
        }
        // The first place at which they part.
        let differs = |i: &usize| {
            let (was, is) = (then.get(*i), now.get(*i));
            was != is && was.into_iter().chain(is).any(|call| may_write(&call))
        };
        let first = (0..then.len().max(now.len())).find(differs).unwrap_or_default();
        self.changed_write(CallSite { lane, turn, call: first as u32 });
    }

    /// Why a result that differs is not to be pinned; none when it may be. `reading`: where it stands in the recorded
    /// request of `turn`.
    fn judge(&self, site: CallSite, turn: u32, reading: usize, today: &str) -> Option<Unpinned> {
        if self.by_call.contains_key(&site) {
            return Some(Unpinned::Lane);
        }
        let tool = self.recording.outline().call(site).map_or("", |call| call.name.as_str());
        if self.options.unpin.covers(tool) {
            return Some(Unpinned::Unwanted);
        }
        if !self.varies_by_itself(site) {
            return Some(Unpinned::Effect);
        }
        for twin in self.siblings(site.lane) {
            if self.recording.outline().turn(twin, turn).is_none() {
                continue;
            }
            let Ok(request) = self.recording.request(twin, turn) else { continue };
            let there = readings(&request.messages);
            let same_place = there.get(reading).and_then(|r| {
                r.pieces.iter().find(|p| p.answers.is_some_and(|call| call as u32 == site.call))
            });
            if let Some(Block::ToolResult { text, .. }) = same_place.map(|p| p.block)
                && text == today
            {
                return Some(Unpinned::Swapped);
            }
        }
        self.stale_after(site).map(|_| Unpinned::AfterWrite)
    }

    /// Lanes that begin as this one does, or were begun by a call in the same words: what one of them finds may be
    /// another's, also where the first requests differ in what was drawn for them.
    fn siblings(&self, lane: u32) -> BTreeSet<u32> {
        let outline = self.recording.outline();
        let call_of = |lane: &u32| {
            let site = outline.lanes.get(*lane as usize).and_then(|l| l.parent)?;
            outline.call(site).map(|call| (&call.name, &call.args))
        };
        let mut siblings: BTreeSet<u32> = self.twins(lane).collect();
        if let Some(own) = call_of(&lane) {
            siblings.extend((0..outline.lanes.len() as u32).filter(|l| call_of(l) == Some(own)));
        }
        siblings.remove(&lane);
        siblings
    }

    /// True when a difference at this call needs no edit to explain it: nothing but recorded answers have gone out, or
    /// a control replay has shown it too.
    fn varies_by_itself(&self, site: CallSite) -> bool {
        let noise = self.options.noise.as_ref().filter(|_| self.gone_live);
        noise.is_none_or(|calls| calls.contains(&site))
    }

    /// True when a result that differs tells of another world: that of a write; in a fork also that of a tool that nobody
    /// has classified and that is not known to vary by itself. Ids and clocks tell of none.
    fn is_changed_write(&self, pin: &Pin) -> bool {
        let class = self.options.classes.class_of(&pin.tool);
        let known = || self.options.noise.as_ref().is_some_and(|calls| calls.contains(&pin.site));
        let suspect = self.options.live_on_drift && class.may_write();
        !pin.swapped
            && (class.writes() || (suspect && !known()))
            && !field::texts(&pin.recorded, &pin.live).iter().all(|field| field.varies)
    }

    fn changed_write(&mut self, site: CallSite) {
        let place = (site.turn, site.call);
        let first = self.parted.writes.entry(site.lane).or_insert(place);
        *first = place.min(*first);
    }

    /// The changed write that a call comes after: before it in its own lane; at any place in another one, for which
    /// nothing but the present tells what came first.
    fn stale_after(&self, site: CallSite) -> Option<CallSite> {
        let write =
            |(lane, place): (&u32, &(u32, u32))| CallSite { lane: *lane, turn: place.0, call: place.1 };
        let own = self
            .parted
            .writes
            .get_key_value(&site.lane)
            .filter(|(_, place)| **place < (site.turn, site.call));
        let other = || self.parted.writes.iter().find(|(lane, _)| **lane != site.lane);
        own.or_else(other).map(write)
    }
}

impl Unpin {
    /// True when the results of a tool are not to be pinned.
    pub fn covers(&self, tool: &str) -> bool {
        match self {
            Unpin::Nothing => false,
            Unpin::Everything => true,
            Unpin::Tools(names) => names.contains(tool),
        }
    }
}

/// Marks results that equal calls have in each other's place: calls that ran at once end in an order of chance.
fn mark_swapped(found: &mut [Found], calls: &[Call<'_>]) {
    let call = |found: &Found| calls.get(found.carried.pin.site.call as usize);
    let swapped: Vec<bool> = found
        .iter()
        .map(|one| {
            let equal = found.iter().filter(|other| call(other).is_some() && call(other) == call(one));
            let (mut was, mut is) = (false, false);
            equal.for_each(|other| {
                was |= other.carried.pin.recorded == one.carried.pin.live;
                is |= other.carried.pin.live == one.carried.pin.recorded;
            });
            was && is
        })
        .collect();
    for (found, swapped) in found.iter_mut().zip(swapped) {
        found.carried.pin.swapped = swapped;
    }
}

/// The tool results behind a reading, with the reading that each is in.
fn results_after<'r, 'a>(
    readings: &'r [Reading<'a>],
    last: usize,
) -> impl Iterator<Item = (usize, &'r Piece<'a>)> {
    let behind = readings.iter().enumerate().skip(last + 1);
    behind.flat_map(|(at, reading)| reading.pieces.iter().map(move |piece| (at, piece)))
}

/// The calls in an assistant's reading.
pub(super) fn calls_of<'a>(reading: &Reading<'a>) -> Vec<Call<'a>> {
    reading.pieces.iter().filter_map(|piece| call_in(piece.block)).collect()
}

fn calls_in(answer: &ModelAnswer) -> Vec<Call<'_>> {
    answer.blocks.iter().filter_map(call_in).collect()
}

fn call_in(block: &Block) -> Option<Call<'_>> {
    match block {
        Block::ToolCall { name, args, .. } => Some((name.as_str(), args)),
        _ => None,
    }
}
