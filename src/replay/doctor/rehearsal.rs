//! Requests put to a matcher without an agent, in the order in which a recording has them.

use crate::dialect;
use crate::exchange::{ExchangeId, HeaderList, RequestHead};
use crate::replay::matcher::{Ask, Decision, Matcher, Recording};
use crate::run::Outline;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// What happened in a recording, in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The answer of a turn was whole.
    End { lane: u32, turn: u32 },
    /// A turn was asked for.
    Begin { lane: u32, turn: u32 },
}

/// All that happened, in order. Where times are equal an answer comes before a request that may depend on it.
pub(super) fn events(outline: &Outline) -> Vec<Event> {
    let at = |lane: u32, index: u32| -> Option<Reverse<(u64, bool, u32, u32)>> {
        let turn = outline.turn(lane, index / 2)?;
        let begins = index.is_multiple_of(2);
        let time = if begins { turn.started_us } else { turn.ended_us };
        Some(Reverse((time, begins, lane, index)))
    };
    let mut next: BinaryHeap<_> = (0..outline.lanes.len() as u32).filter_map(|lane| at(lane, 0)).collect();
    let mut all = Vec::new();
    // A lane's own order holds whatever its clock says.
    while let Some(Reverse((_, begins, lane, index))) = next.pop() {
        let turn = index / 2;
        all.push(if begins { Event::Begin { lane, turn } } else { Event::End { lane, turn } });
        next.extend(at(lane, index.saturating_add(1)));
    }
    all
}

/// A recorded turn as the question it was.
///
/// # Errors
/// A sentence, when it cannot be read.
pub(super) fn question(recording: &impl Recording, lane: u32, turn: u32) -> Result<Ask, String> {
    let path = recording.path(lane, turn)?;
    let head = RequestHead { method: "POST".into(), target: path.clone(), headers: HeaderList::default() };
    let mut context = recording.context(lane, turn)?;
    context.retry_count = 0;
    Ok(Ask {
        id: ExchangeId(0),
        dialect: dialect::recognise(&head).map_or("unknown", |(dialect, _)| dialect.name()),
        path,
        context,
        request: recording.request(lane, turn)?.as_ref().clone(),
    })
}

/// A matcher that is asked.
#[derive(Clone)]
pub(super) struct Rehearsal<R> {
    matcher: Matcher<R>,
    told: HashMap<ExchangeId, Decision>,
    asked: u32,
}

impl<R: Recording> Rehearsal<R> {
    pub fn new(matcher: Matcher<R>) -> Rehearsal<R> {
        Rehearsal { matcher, told: HashMap::new(), asked: 0 }
    }

    pub fn matcher(&mut self) -> &mut Matcher<R> {
        &mut self.matcher
    }

    /// Asks; the number under which the decision will be found.
    pub fn ask(&mut self, ask: &Ask) -> ExchangeId {
        self.asked = self.asked.saturating_add(1);
        let id = ExchangeId(self.asked);
        let decisions = self.matcher.on_request(Ask { id, ..ask.clone() });
        self.note(decisions);
        id
    }

    /// The decision on a request. A failed attempt of the recording is followed by its retry; a shut gate is opened.
    pub fn decided(&mut self, ask: &Ask, mut id: ExchangeId) -> Option<(ExchangeId, Decision)> {
        loop {
            while !self.told.contains_key(&id) && self.matcher.holds() {
                let decisions = self.matcher.idle();
                self.note(decisions);
            }
            let decision = self.told.remove(&id)?;
            let Decision::Serve { lane, turn, attempt, .. } = decision else { return Some((id, decision)) };
            let attempts =
                self.matcher.recording().outline().turn(lane, turn).map_or(1, |t| t.attempts.len());
            if attempt as usize + 1 >= attempts {
                return Some((id, decision));
            }
            self.delivered(id);
            let numbered = self.matcher.recording().context(lane, turn).is_ok_and(|c| c.retry_count > 0);
            let mut again = ask.clone();
            again.context.retry_count = if numbered { attempt.saturating_add(1) } else { 0 };
            id = self.ask(&again);
        }
    }

    /// What would be decided; nothing is changed by it.
    pub fn would(&self, ask: &Ask) -> Option<Decision>
    where
        R: Clone,
    {
        self.matcher.read_ahead();
        let mut trial = self.clone();
        let id = trial.ask(ask);
        trial.decided(ask, id).map(|(_, decision)| decision)
    }

    pub fn delivered(&mut self, id: ExchangeId) {
        let decisions = self.matcher.delivered(id);
        self.note(decisions);
    }

    fn note(&mut self, decisions: Vec<Decision>) {
        self.told.extend(decisions.into_iter().map(|d| (d.id(), d)));
    }
}
