//! Requests that get no answer: misses, fences, limits. The first stops the agent.

use super::{Player, State, Stop, serve};
use crate::dialect::conversation::ModelAnswer;
use crate::dialect::{self, Dialect};
use crate::exchange::{ExchangeId, Source};
use crate::proxy::{Answer, Asked, Canned};
use crate::replay::matcher::Miss;
use crate::replay::tally::Fenced;
use crate::run::stop;
use bytes::Bytes;
use std::time::Duration;

impl Player {
    pub(super) fn fenced(
        &self,
        dialect: &'static dyn Dialect,
        asks_for: &[String],
        step: impl Fn() -> Option<u32>,
        whole: impl Fn() -> Option<ModelAnswer>,
    ) -> Option<Answer> {
        let tool = asks_for.iter().find(|name| self.options.fences.contains(name))?;
        self.state().tally.fenced = Some(Fenced { tool: tool.clone(), step: step(), asked_live: None });
        let halted = self.halt(Some(dialect), Stop::Fence, &fence_message(tool));
        Some(Answer::Serve(match whole() {
            Some(answer) => with_answer(halted, &answer),
            None => halted,
        }))
    }

    /// True, and noted, when no live call is left (`--max-live`).
    pub(super) fn is_spent(&self, state: &mut State) -> bool {
        let spent = self.options.max_live.is_some_and(|max| state.tally.live >= max);
        state.tally.live_limit |= spent;
        spent
    }

    pub(super) fn refuse_to_spend(&self, dialect: Option<&'static dyn Dialect>) -> Answer {
        let max = self.options.max_live.unwrap_or_default();
        Answer::Serve(self.halt(dialect, Stop::LiveLimit, &stop::limit_message(max)))
    }

    pub(super) fn miss(
        &self,
        asked: &Asked,
        dialect: Option<&'static dyn Dialect>,
        mut miss: Miss,
    ) -> Answer {
        // A fork goes on live from the step before the one that the request came nearest to.
        let step = miss.nearest.first().and_then(|near| near.step).map_or(0, |step| step.saturating_sub(1));
        for hint in &mut miss.hints {
            *hint = hint.replace("fork RUN --at STEP", &format!("fork {} --at {step}", self.name));
            *hint = hint.replace("fork RUN --at", &format!("fork {} --at", self.name));
        }
        if let Some(why) = self.run.reader().manifest().incomplete.clone() {
            // What is missing is the recording's fault, not the agent's.
            miss.reason = format!(
                "{} is incomplete: {} was never written ({why}); {}",
                self.name,
                self.first_unwritten(),
                miss.reason
            );
            miss.hints = vec!["record it again: `retake run -- COMMAND`".into()];
        }
        let mut text = format!("retake: {}: {}", miss.asked, miss.reason);
        if let Some(near) = miss.nearest.first() {
            text.push_str(&format!("; nearest: {} turn {}: {}", near.lane, near.turn + 1, near.why));
            if !near.path.is_empty() {
                text.push_str(&format!(" ({}: recorded {}, now {})", near.path, near.recorded, near.live));
            }
        }
        self.state().tally.misses.push(miss);
        let dialect = dialect.or_else(|| dialect::recognise(&asked.head).map(|(d, _)| d));
        Answer::Serve(self.halt(dialect, Stop::Miss, &text))
    }

    /// The first exchange that is missing, or that has no answer.
    fn first_unwritten(&self) -> String {
        let reader = self.run.reader();
        let ids = reader.ids();
        let answered = |id: ExchangeId| matches!(reader.response(id), Ok(Some(_)));
        let mut all = (1u32..).map(ExchangeId);
        let gap = all.find(|id| !ids.contains(id) || !answered(*id));
        gap.map_or_else(|| "a part of it".into(), |id| format!("exchange {id}"))
    }

    /// Refuses a request and lets the agent be stopped.
    pub(super) fn halt(&self, dialect: Option<&'static dyn Dialect>, why: Stop, message: &str) -> Canned {
        self.state().tally.refused += 1;
        self.stop.send_if_modified(|stop| {
            let first = *stop == Stop::No;
            if first {
                *stop = why;
            }
            first
        });
        let body = match dialect {
            Some(dialect) => dialect.render_error(422, message),
            None => Bytes::from(serde_json::json!({ "error": { "message": message } }).to_string()),
        };
        serve::own(422, body, Source::Refused)
    }

    pub(super) fn refuse_after_stop(&self, asked: &Asked) -> Answer {
        let why = match *self.stop.borrow() {
            Stop::No | Stop::Miss => "retake: the replay has stopped at an earlier request",
            Stop::Fence => stop::after_fence(),
            Stop::LiveLimit => stop::after_limit(),
            Stop::Reached => "retake: the replay has reached its last step",
        };
        let dialect = dialect::recognise(&asked.head).map(|(d, _)| d);
        Answer::Serve(self.halt(dialect, Stop::Miss, why))
    }
}

pub(super) fn fence_message(tool: &str) -> String {
    format!("retake: stopped before {tool} would run (--fence {tool})")
}

/// Puts the answer that a fence holds back into the error that goes out in its place, so that it is recorded.
pub(super) fn with_answer(mut halted: Canned, answer: &ModelAnswer) -> Canned {
    let body: Vec<u8> = halted.frames.iter().flat_map(|(_, part)| part.iter().copied()).collect();
    let Some(body) = stop::hold_back(&body, answer) else { return halted };
    halted.head.headers.set("content-length", body.len().to_string());
    halted.frames = vec![(Duration::ZERO, Bytes::from(body))];
    halted
}

pub(super) fn lost_decision() -> Miss {
    Miss {
        asked: "a model call".into(),
        reason: "the recording no longer fits itself; `retake show` says what is damaged".into(),
        nearest: Vec::new(),
        hints: Vec::new(),
    }
}
