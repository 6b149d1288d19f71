//! Requests that begin a conversation, and those that are tried again.

use super::decision::{Decision, MatchClass};
use super::explain;
use super::later::Fit;
use super::thread::Thread;
use super::transcript::Transcript;
use super::unify::Unifier;
use super::{Bindings, Live, Matcher, Recording};
use crate::holes::Holes;
use crate::run::likeness::{self, Key};
use crate::run::reading::readings;
use crate::run::{CallSite, Lane};
use std::collections::HashMap;

/// How many lanes are compared one by one, where nothing leads to one of them.
const LOOKED_AT: usize = 1000;

/// Lanes by what their first requests say, values that may differ aside.
#[derive(Debug, Clone)]
pub(super) struct Beginnings {
    by_key: HashMap<Key, Vec<u32>>,
    class: Vec<Key>,
    members: HashMap<Key, Vec<u32>>,
}

impl Beginnings {
    /// Reads the first request of every lane.
    pub fn new(recording: &impl Recording, holes: &Holes) -> Beginnings {
        let mut all = Beginnings { by_key: HashMap::new(), class: Vec::new(), members: HashMap::new() };
        // Identical siblings are read once.
        let mut read: HashMap<Key, Key> = HashMap::new();
        let masked = |at: u32| {
            let request = recording.request(at, 0);
            request
                .map_or_else(|_| Key::default(), |r| likeness::request_key(&holes.masked_request(&r, true)))
        };
        for (lane, at) in recording.outline().lanes.iter().zip(0..) {
            let own = lane.turns.first().map_or_else(Key::default, |first| {
                *read.entry(first.request_key).or_insert_with(|| masked(at))
            });
            all.by_key.entry(own).or_default().push(at);
            // A continuation is told apart as the lane that it continues, one that goes back as that it goes back in.
            let class = lane
                .continues
                .or(lane.rewinds)
                .and_then(|old| all.class.get(old as usize))
                .copied()
                .unwrap_or(own);
            all.class.push(class);
            all.members.entry(class).or_default().push(at);
        }
        all
    }

    /// Lanes that begin like a live request.
    fn like(&self, holes: &Holes, live: &Live<'_>) -> Option<&Vec<u32>> {
        self.by_key.get(&likeness::request_key(&holes.masked_request(&live.ask.request, false)))
    }

    /// Lanes of the class of this one, itself included.
    pub fn twins(&self, lane: u32) -> impl Iterator<Item = u32> + '_ {
        let class = self.class.get(lane as usize);
        class.and_then(|c| self.members.get(c)).into_iter().flatten().copied()
    }
}

impl<R: Recording> Matcher<R> {
    /// Serves a retry: of an answer that did not arrive, or of an attempt that failed in the recording. False when the
    /// request is none.
    pub(super) fn retry(&mut self, live: &Live<'_>, out: &mut Vec<Decision>) -> bool {
        let declared = live.ask.context.retry_count;
        let open = self.by_request.get(&live.request_key).into_iter().flatten().copied();
        let mut fitting: Vec<(bool, bool, bool, bool, usize)> = open
            .filter_map(|at| self.threads.get(at).map(|t| (at, t)))
            .filter(|(_, t)| t.waiting.is_none())
            .filter(|(_, t)| declared > 0 || self.retries_silently(t, live))
            .map(|(at, t)| {
                let other_agent = t.context.agent_id != live.ask.context.agent_id;
                (
                    other_agent,
                    !t.failed,
                    t.delivered && !t.failed,
                    t.attempt.saturating_add(1) != declared,
                    at,
                )
            })
            .collect();
        fitting.sort_unstable();
        let Some(&(.., at)) = fitting.first() else { return false };
        let Some(thread) = self.threads.get_mut(at) else { return false };
        self.by_id.remove(&thread.id);
        thread.id = live.ask.id;
        thread.delivered = false;
        let again = !thread.failed;
        if !again {
            thread.attempt = thread.attempt.saturating_add(1);
        }
        let is_live = thread.hypotheses.is_empty() || thread.live || self.is_dirty_thread(at);
        self.by_id.insert(live.ask.id, at);
        if again {
            self.counters.repeats += 1;
        } else {
            self.counters.retries += 1;
        }
        if is_live {
            self.ask_model(at, &live.readings, out);
        } else {
            self.reply(at, Vec::new(), out);
        }
        true
    }

    fn is_dirty_thread(&self, at: usize) -> bool {
        self.threads.get(at).is_some_and(|t| self.is_dirty(t.lane, t.turn))
    }

    /// True when a conversation's last attempt failed, its client does not number retries, and the attempt was live, or
    /// the recording has another one, or an edit made it fail.
    fn retries_silently(&self, thread: &Thread, live: &Live<'_>) -> bool {
        let turn = self.recording.outline().turn(thread.lane, thread.turn);
        let more = turn.is_some_and(|t| t.attempts.len() > thread.attempt as usize + 1);
        let unnumbered =
            || self.recording.context(thread.lane, thread.turn).is_ok_and(|c| c.retry_count == 0);
        thread.failed
            && (thread.live || ((more || thread.spoilt) && unnumbered()))
            && thread.context.agent_id == live.ask.context.agent_id
    }

    /// True when a lane that nobody has taken begins with this request; `closely`: up to holes, else to the letter.
    pub(super) fn begins_recorded_lane(&self, live: &Live<'_>, closely: bool) -> bool {
        // Only one that begins with a history can.
        let messages = live.ask.request.messages.len() as u32;
        let lanes = &self.recording.outline().lanes;
        let with_history = |lane: &u32| {
            lanes.get(*lane as usize).and_then(|l| l.turns.first()).is_some_and(|t| t.messages == messages)
        };
        let mut twins = self.by_first.get(&live.request_key).into_iter().flatten().copied();
        let open = |lane: &u32| self.is_free(*lane) && self.same_path(*lane, live);
        if self.is_plain(&Bindings::default()) {
            let exact = twins.any(|lane| open(&lane));
            if exact || !closely {
                return exact;
            }
        }
        (0..lanes.len() as u32).filter(with_history).any(|lane| open(&lane))
            && !self.beginnings_of(live).is_empty()
    }

    fn same_path(&self, lane: u32, live: &Live<'_>) -> bool {
        self.recording.path(lane, 0).is_ok_and(|path| path == live.ask.path)
    }

    /// Places a first turn.
    pub(super) fn first(&mut self, live: &Live<'_>, out: &mut Vec<Decision>) {
        let mut fits = self.beginnings_of(live);
        // A request that the recording has once can only be that one. Twins must be told apart.
        let content_fits = !fits.is_empty();
        let exact = self.by_first.get(&live.request_key).map_or(0, Vec::len);
        let alike = |f: &Fit| match f.class {
            MatchClass::Exact => exact > 1,
            _ => self.twins(f.lane).next().is_some(),
        };
        if fits.len() > 1 || fits.first().is_some_and(alike) {
            fits.retain(|f| self.is_enabled(f.lane, true));
            if fits.is_empty() {
                fits = self.beginnings_of(live);
                fits.retain(|f| self.is_enabled(f.lane, false));
            }
        }
        self.narrow_by_headers(live, &mut fits);
        self.narrow_by_order(&mut fits);
        if fits.is_empty() {
            if let Some(lane) = self.side_call_again(live) {
                return self.repeat(lane, live, out);
            }
            if self.is_changed() {
                if self.is_as_recorded() {
                    self.drifts.extend(self.nearest_beginnings(live).into_iter().next());
                }
                return self.begin_live(live, out);
            }
            let miss = self.explain_first(live, content_fits);
            return self.miss(live, miss, out);
        }
        if fits.len() == 1 {
            return self.begin(live.arrival(), &live.readings, fits, out);
        }
        let shapes: Vec<Option<Key>> = fits.iter().map(|f| self.shape(f.lane, 0)).collect();
        if shapes.iter().any(|s| Some(s) != shapes.first()) {
            let lanes: Vec<u32> = fits.iter().map(|f| f.lane).collect();
            if !self.of_one_origin(&lanes) {
                let miss = explain::ambiguous(live, self.recording.outline(), &lanes);
                return self.miss(live, miss, out);
            }
            // Nothing tells them apart: any one will do, as long as the others are served consistently.
            let mut chosen = shapes.iter();
            fits.retain(|_| chosen.next() == shapes.first());
            self.counters.symmetric += 1;
        }
        self.begin(live.arrival(), &live.readings, fits, out);
    }

    /// Free lanes that begin with this request, those that fit best.
    fn beginnings_of(&self, live: &Live<'_>) -> Vec<Fit> {
        let exact = self.possible(self.by_first.get(&live.request_key), live);
        let plain = self.is_plain(&Bindings::default());
        if plain && !exact.is_empty() {
            return exact.into_iter().map(|lane| Fit::exact(lane, Bindings::default())).collect();
        }
        let like = self.beginnings().like(&self.holes, live);
        let mut fits = self.fitting(&self.possible(like, live), live);
        if fits.is_empty() && !plain {
            fits = self.fitting(&exact, live);
        }
        if fits.is_empty() {
            let lanes = self.recording.outline().lanes.iter().zip(0..);
            let messages = live.ask.request.messages.len() as u32;
            let open = lanes.filter(|(l, at)| {
                self.is_free(*at) && l.turns.first().is_some_and(|t| t.messages == messages)
            });
            let some = open.map(|(_, at)| at).filter(|at| self.same_path(*at, live));
            fits = self.fitting(&some.take(LOOKED_AT).collect::<Vec<u32>>(), live);
        }
        let least = fits.iter().map(|f| f.cost).min();
        fits.retain(|f| Some(f.cost) == least);
        fits
    }

    /// Of lanes that begin alike those that can begin now. Of roots that were asked one after the other only the first that is left
    /// can be meant: the others need not be looked at, however many there are.
    fn possible(&self, lanes: Option<&Vec<u32>>, live: &Live<'_>) -> Vec<u32> {
        let all = &self.recording.outline().lanes;
        let mut soonest = u64::MAX;
        let possible = |lane: &u32| {
            let Some(open) = all.get(*lane as usize).filter(|_| self.is_free(*lane)) else { return false };
            if open.parent.is_some() || open.named.is_some() {
                return true;
            }
            let first = open.turns.first().is_some_and(|t| t.started_us <= soonest);
            if first {
                soonest = soonest.min(open.turns.last().map_or(0, |t| t.ended_us));
            }
            first
        };
        lanes.into_iter().flatten().copied().filter(possible).filter(|l| self.same_path(*l, live)).collect()
    }

    /// Those of some lanes whose first request is this one up to holes.
    fn fitting(&self, lanes: &[u32], live: &Live<'_>) -> Vec<Fit> {
        let nothing = Bindings::default();
        let known = self.known(live.ask.dialect, &nothing);
        let fit = |lane: &u32| {
            let recorded = self.recording.request(*lane, 0).ok()?;
            let there = readings(&recorded.messages);
            let mut unifier = Unifier::new(known, Bindings::default());
            unifier.head(&recorded, &live.ask.request).ok()?;
            if there.len() != live.readings.len() {
                return None;
            }
            for (a, b) in there.iter().zip(&live.readings) {
                unifier.reading(a, b, &|_, _| false, &mut |_, _, difference| Err(difference)).ok()?;
            }
            if !unifier.closes() {
                return None;
            }
            let keys = likeness::reading_keys(&there);
            let equal =
                self.recording.outline().turn(*lane, 0).is_some_and(|t| t.request_key == live.request_key);
            let class = unifier.class(equal, false);
            Some(Fit {
                lane: *lane,
                cost: unifier.cost + unifier.swapped,
                bound: unifier.bound,
                pins: Vec::new(),
                recorded: Transcript::new(keys),
                swapped: 0,
                class,
                results: Vec::new(),
                settings: None,
            })
        };
        lanes.iter().filter_map(fit).collect()
    }

    /// True when the call that began a lane has been answered to some conversation.
    fn is_enabled(&self, lane: u32, whole: bool) -> bool {
        let parent = self.recording.outline().lanes.get(lane as usize).and_then(|l| l.parent);
        parent.is_none_or(|site| {
            self.threads.iter().any(|t| t.may_be(site.lane) && t.has_asked(site.turn, whole))
        })
    }

    /// A side call of the recording that says the same and has had its answer.
    fn side_call_again(&self, live: &Live<'_>) -> Option<u32> {
        let outline = self.recording.outline();
        let side = |lane: &u32| outline.is_side(*lane);
        if !live.ask.request.tools.is_empty() || !(0..outline.lanes.len() as u32).any(|lane| side(&lane)) {
            return None;
        }
        let like: Vec<u32> = self
            .beginnings()
            .like(&self.holes, live)
            .into_iter()
            .flatten()
            .copied()
            .filter(|lane| side(lane) && !self.is_free(*lane) && self.same_path(*lane, live))
            .collect();
        self.fitting(&like, live).into_iter().map(|fit| fit.lane).next()
    }

    /// Headers of the agent's own, where they say something.
    fn narrow_by_headers(&self, live: &Live<'_>, fits: &mut Vec<Fit>) {
        let lanes = &self.recording.outline().lanes;
        let lane_of = |f: &Fit| lanes.get(f.lane as usize);
        if let Some(name) = &live.ask.context.lane {
            keep_some(fits, |f| lane_of(f).is_some_and(|l| l.named.as_ref() == Some(name)));
        }
        if let Some(parent) = &live.ask.context.parent_agent_id {
            let of_parent = |site: CallSite| {
                let voices = self.threads.iter().filter(|t| t.context.agent_id.as_ref() == Some(parent));
                voices.into_iter().any(|t| t.may_be(site.lane))
            };
            keep_some(fits, |f| lane_of(f).and_then(|l| l.parent).is_some_and(of_parent));
        }
    }

    /// Roots that were asked one after the other: only those that come first are left.
    fn narrow_by_order(&self, fits: &mut Vec<Fit>) {
        let lanes = &self.recording.outline().lanes;
        let root = |f: &Fit| lanes.get(f.lane as usize).filter(|l| l.parent.is_none());
        let ends = |l: &Lane| l.turns.last().map_or(0, |t| t.ended_us);
        let starts = |l: &Lane| l.turns.first().map_or(0, |t| t.started_us);
        let Some(soonest) = fits.iter().filter_map(root).map(ends).min() else { return };
        keep_some(fits, |f| root(f).is_none_or(|l| starts(l) <= soonest));
    }

    /// What a recorded answer says, whatever its calls are named; none when it cannot be read.
    pub(super) fn shape(&self, lane: u32, turn: u32) -> Option<Key> {
        self.recording.answer(lane, turn).ok().map(|a| likeness::shape_key(&a))
    }

    fn explain_first(&self, live: &Live<'_>, content_fits: bool) -> super::Miss {
        let outline = self.recording.outline();
        let twins = self.by_first.get(&live.request_key).into_iter().flatten().copied();
        let twins: Vec<u32> = twins.filter(|lane| self.same_path(*lane, live)).collect();
        if content_fits {
            explain::not_enabled(live, outline, &twins)
        } else if twins.is_empty() {
            explain::unknown_beginning(live, self.nearest_beginnings(live), self.same_system(live))
        } else {
            explain::used_up(live, outline, &twins)
        }
    }
}

fn keep_some(fits: &mut Vec<Fit>, keep: impl Fn(&Fit) -> bool) {
    if fits.iter().any(&keep) {
        fits.retain(keep);
    }
}
