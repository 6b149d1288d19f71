//! Gates: an answer that would begin a lane waits until its twin elsewhere has begun.
//!
//! When two parents begin byte-identical children, nothing in the children's first requests tells them apart. Their
//! order can be arranged, though: the second parent's answer is held back until the first parent's child is there.

use super::decision::Decision;
use super::{Matcher, Recording};

impl<R: Recording> Matcher<R> {
    /// True when this conversation's present answer begins a lane that could not be told from one that another answer
    /// has begun and that has not shown itself yet.
    pub(super) fn is_gated(&self, at: usize) -> bool {
        let Some(thread) = self.threads.get(at) else { return false };
        // Its children will name their parent.
        if thread.context.agent_id.is_some() {
            return false;
        }
        let here = (thread.lane, thread.turn);
        let outline = self.recording.outline();
        let begins = self.by_turn.get(&here).into_iter().flatten().filter(|lane| self.is_free(**lane));
        begins.flat_map(|lane| self.twins(*lane)).filter(|twin| self.is_unsettled(*twin)).any(|twin| {
            let origin = outline.lanes.get(twin as usize).and_then(|l| l.parent);
            origin.is_some_and(|site| {
                (site.lane, site.turn) != here
                    && self.threads.iter().any(|t| t.may_be(site.lane) && t.has_asked(site.turn, false))
            })
        })
    }

    /// True for a lane that has not begun, or whose first turn is still to be tried again: a retry has the bytes of a
    /// first request.
    fn is_unsettled(&self, lane: u32) -> bool {
        let retries = || self.recording.outline().turn(lane, 0).is_some_and(|t| t.attempts.len() > 1);
        let tries = || self.threads.iter().any(|t| t.lane == lane && t.turn == 0 && t.failed);
        self.is_free(lane) || (retries() && tries())
    }

    /// Releases every answer whose gate has opened.
    pub(super) fn open_gates(&mut self, out: &mut Vec<Decision>) {
        while let Some(index) = self.held.iter().position(|at| !self.is_gated(*at)) {
            let at = self.held.remove(index);
            self.release(at, out);
        }
    }

    /// Nothing has happened for a while: the longest held answer goes out without its gate (a semaphore in the agent
    /// may wait for it).
    pub fn idle(&mut self) -> Vec<Decision> {
        let mut out = Vec::new();
        if !self.held.is_empty() {
            let at = self.held.remove(0);
            self.counters.gate_timeouts += 1;
            self.release(at, &mut out);
            self.open_gates(&mut out);
        }
        out
    }

    /// True when an answer is held back.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    fn release(&mut self, at: usize, out: &mut Vec<Decision>) {
        let waiting = self.threads.get_mut(at).and_then(|t| t.waiting.take());
        self.reply(at, waiting.map(|w| w.pins).unwrap_or_default(), out);
    }
}
