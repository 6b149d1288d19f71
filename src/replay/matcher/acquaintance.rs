//! Which names of the recording this replay has shown as they are: they cannot become another.

use super::Bindings;
use super::unify::Known;
use super::{Matcher, Recording};
use std::collections::{HashMap, HashSet};

/// Names met so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Acquaintance {
    /// Recorded names that were sent or served as they are.
    shown: HashSet<String>,
    /// How far each conversation was read: lane, turn, messages.
    read: HashMap<usize, (u32, u32, usize)>,
    /// Conversations that may have gone on since.
    unread: Vec<usize>,
}

impl Acquaintance {
    /// A conversation has come to another place.
    pub fn moved(&mut self, thread: usize) {
        // One that goes on turn by turn is noted once.
        if self.unread.last() != Some(&thread) {
            self.unread.push(thread);
        }
    }
}

impl<R: Recording> Matcher<R> {
    /// What a comparison knows before it begins. `bound`: what holds if a conversation is what it is taken for.
    pub(super) fn known<'a>(&'a self, dialect: &'a str, bound: &Bindings) -> Known<'a> {
        Known { behind: self, below: &self.bound, plain: self.is_plain(bound), dialect }
    }

    /// True while equal texts mean the same: nothing of the recording is another today.
    pub(super) fn is_plain(&self, bound: &Bindings) -> bool {
        self.holes.is_same_world() && self.bound.renamed() == 0 && bound.renamed() == 0
    }

    /// True when a recorded name can have become a live one: the live one is no value of the recording, and the recorded
    /// one has not been shown as it is.
    pub(super) fn may_become(&self, recorded: &str, live: &str) -> bool {
        if self.recorded_names().contains(live) {
            return false;
        }
        let mut met = self.acquaintance.borrow_mut();
        self.meet(&mut met);
        !met.shown.contains(recorded)
    }

    /// Reads what can be read before it is asked about.
    pub(super) fn meet_all(&self) {
        self.recorded_names();
        self.meet(&mut self.acquaintance.borrow_mut());
    }

    /// Reads what was placed since the last time.
    fn meet(&self, met: &mut Acquaintance) {
        for at in std::mem::take(&mut met.unread) {
            let Some(thread) = self.threads.get(at) else { continue };
            let place = (thread.lane, thread.turn);
            if self.recording.outline().is_side(place.0) {
                continue;
            }
            let before = met.read.get(&at).copied();
            if before.is_some_and(|(lane, turn, _)| (lane, turn) == place) {
                continue;
            }
            let Ok(request) = self.recording.request(place.0, place.1) else { continue };
            let known = before.filter(|(lane, ..)| *lane == place.0).map_or(0, |(.., messages)| messages);
            let system = request.system.iter().filter(|_| known == 0);
            let new = request.messages.get(known..).unwrap_or(&request.messages);
            let mut names = HashSet::new();
            self.holes.names(system.chain(new.iter().flat_map(|m| &m.blocks)), &[], &mut names);
            if let Ok(answer) = self.recording.answer(place.0, place.1) {
                self.holes.names(answer.blocks.iter(), &[], &mut names);
            }
            let is_another = |name: &String| {
                let other = |b: &Bindings| b.live(name).is_some_and(|live| live != name);
                other(&self.bound) || thread.hypotheses.iter().any(|h| other(&h.bound))
            };
            names.retain(|name| !is_another(name));
            met.shown.extend(names);
            met.read.insert(at, (place.0, place.1, request.messages.len()));
        }
    }
}
