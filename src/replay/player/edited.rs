//! Answers that an edit gives in the place of recorded ones.

use super::{Player, reasoning_blocks, serve};
use crate::dialect::Dialect;
use crate::dialect::conversation::{Block, ModelAnswer};
use crate::exchange::{ExchangeId, RecordedResponse};
use crate::proxy::{Answer, Asked};
use crate::run::StepKind;

impl Player {
    /// Serves an edited answer, in the dress of the recorded one.
    pub(super) fn serve_edited(
        &self,
        asked: &Asked,
        dialect: &'static dyn Dialect,
        (lane, turn): (u32, u32),
        blocks: &[Block],
        (id, recorded): (ExchangeId, Option<&RecordedResponse>),
    ) -> Answer {
        let dropped = self.run.signed_reasoning(id);
        let request = dialect.read_request(&asked.head.target, &Player::decoded(asked)).ok();
        let (model, stream) = request.map_or((String::new(), false), |r| (r.model, r.stream));
        let rendered = dialect.render_answer(&asked.head.target, blocks, None, &model, stream);
        let answer = ModelAnswer { blocks: blocks.to_vec(), whole: true, ..ModelAnswer::default() };
        let mut state = self.state();
        state.tally.edited += 1;
        state.tally.edits_met.extend(self.run.number_of(StepKind::Model { lane, turn }));
        if dropped > 0 {
            state.tally.dropped.push(format!(
                "{} of step {} left out: nobody signed the edited answer",
                reasoning_blocks(dropped),
                self.run.number_of(StepKind::Model { lane, turn }).unwrap_or_default()
            ));
        }
        state.matcher.answered_live(asked.id, &answer);
        let answer = serve::edited(&self.name, id, recorded.and_then(|r| r.head.as_ref()), rendered);
        if let Answer::Serve(canned) = &answer {
            state.memory.served(dialect, asked, canned);
        }
        answer
    }
}
