//! Requests that go to the model: with their edits, pins and today's secrets.

use super::Player;
use super::refusal::lost_decision;
use crate::dialect::Dialect;
use crate::dialect::conversation::ModelRequest;
use crate::exchange::{HeaderList, Upstream};
use crate::proxy::{Answer, Asked};
use crate::replay::inherited::inherited;
use crate::replay::matcher::Pin;
use crate::replay::plan::LiveTurn;
use crate::run::StepKind;
use bytes::Bytes;

/// A live call under way.
pub(super) struct Live {
    pub dialect: &'static dyn Dialect,
    /// Lane and turn.
    pub place: (u32, u32),
    /// What the agent asked, unfolded.
    pub body: Bytes,
}

impl Player {
    /// Sends a request on, as the plan has it. `body`: decoded and unfolded; `pins`: all of its history, and what is only told of.
    pub(super) fn go_live(
        &self,
        asked: &Asked,
        dialect: &'static dyn Dialect,
        request: &ModelRequest,
        body: Bytes,
        place: (u32, u32),
        pins: &[Pin],
    ) -> Answer {
        let outline = self.run.shared_outline();
        let Some(plan) = &self.options.plan else {
            return self.miss(asked, Some(dialect), lost_decision());
        };
        let mut state = self.state();
        if let Some(name) = state.memory.conversation_in_the_past(dialect, &body) {
            let mut miss = lost_decision();
            miss.reason = format!(
                "this request adds to {name}, a conversation that the provider keeps as a whole: it cannot be put \
                 back to where the recording stood, so no fork can ask it anything new"
            );
            miss.hints = vec![
                "let the agent send its history, or previous_response_id, instead of a conversation".into(),
            ];
            drop(state);
            return self.miss(asked, Some(dialect), miss);
        }
        if self.is_spent(&mut state) {
            drop(state);
            return self.refuse_to_spend(Some(dialect));
        }
        let bindings = state.matcher.secrets();
        let reveal = |text: &str| bindings.get(text).cloned().or_else(|| self.options.redactor.reveal(text));
        let outgoing = inherited(&self.run, place, request, &reveal).and_then(|inherited| {
            let today = |text: &str| state.matcher.in_todays_words(asked.id, text);
            let target = &asked.head.target;
            let live = LiveTurn { place, request, body: &body, target, pins, today: &today, inherited };
            plan.outgoing(&outline, dialect, live)
                .map_err(|error| format!("the edits cannot be applied to this request: {error}"))
        });
        let outgoing = match outgoing {
            Ok(outgoing) => outgoing,
            Err(why) => {
                let mut miss = lost_decision();
                miss.reason = why;
                drop(state);
                return self.miss(asked, Some(dialect), miss);
            }
        };
        for pin in pins {
            state.tally.pin(&outline, pin);
        }
        for line in outgoing.dropped {
            if !state.tally.dropped.contains(&line) {
                state.tally.dropped.push(line);
            }
        }
        let edited =
            outgoing.results.iter().filter_map(|site| self.run.number_of(StepKind::Tool { site: *site }));
        state.tally.edits_met.extend(edited);
        state.tally.live += 1;
        if outline.turn(place.0, place.1).is_none() {
            state.tally.unrecorded.insert(place);
        }
        // What retake served is not what a provider can go on from.
        let changed = outgoing.body.or_else(|| (Player::decoded(asked) != body).then(|| body.clone()));
        state.asked_live.insert(asked.id, Live { dialect, place, body });
        let upstream = self
            .options
            .upstream
            .as_ref()
            .map(|origin| Upstream { provider: asked.upstream.provider.clone(), origin: origin.clone() });
        Answer::Forward {
            body: changed,
            target: outgoing.target,
            upstream,
            fields: HeaderList::default(),
            hold: !self.options.fences.is_empty(),
        }
    }
}
