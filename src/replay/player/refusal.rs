//! Requests that get no answer: misses, fences, limits. The first stops the agent.

use super::{Fit, Player, State, Stop, serve};
use crate::dialect::conversation::{ModelAnswer, ModelRequest};
use crate::dialect::{self, Dialect};
use crate::exchange::{ExchangeId, Source, SpanContext};
use crate::proxy::{Answer, Asked, Canned};
use crate::replay::fences::{FencedBy, as_typed};
use crate::replay::matcher::{Ask, MatchClass, Miss};
use crate::replay::policy;
use crate::replay::tally::{Fenced, NotAllowed};
use crate::run::{StepKind, stop};
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
        let (tool, by) = self.first_fenced(asks_for.to_vec())?;
        let halted = self.halt(Some(dialect), Stop::Fence, &fence_message(&tool, by));
        self.state().tally.fenced = Some(Fenced { tool, by, step: step(), asked_live: None });
        Some(Answer::Serve(match whole() {
            Some(answer) => with_answer(halted, &answer),
            None => halted,
        }))
    }

    /// The first of these tools that is fenced, and who says so.
    pub(super) fn first_fenced(&self, asks_for: Vec<String>) -> Option<(String, FencedBy)> {
        asks_for.into_iter().find_map(|tool| self.options.fences.stops(&tool).map(|by| (tool, by)))
    }

    /// Refuses a request whose recorded turn is known, but which fits it less well than this replay demands.
    pub(super) fn not_allowed(
        &self,
        asked: &Asked,
        dialect: &'static dyn Dialect,
        read: Option<ModelRequest>,
        fit: &Fit,
    ) -> Answer {
        let (class, (lane, turn)) = (fit.class, fit.place);
        let request =
            read.or_else(|| dialect.read_request(&asked.head.target, &self.unfolded(asked, dialect)).ok());
        let mut miss = match request {
            Some(request) => {
                let (id, path) = (asked.id, dialect.path(&asked.head).into_owned());
                let context = SpanContext::default();
                let ask = Ask { id, dialect: dialect.name(), path, context, request };
                self.state().matcher.refused(&ask, fit.place, class)
            }
            None => lost_decision(),
        };
        let step = self.run.number_of(StepKind::Model { lane, turn });
        let (name, policy) = (policy::name(class), &self.options.policy);
        let place = step.map_or_else(|| "this model call".into(), |step| format!("step {step}"));
        let tools: Vec<&str> = fit.pins.iter().filter(|p| !p.renamed).map(|pin| pin.tool.as_str()).collect();
        let of =
            if tools.is_empty() { String::new() } else { format!(" (the result of {})", tools.join(", ")) };
        miss.reason = format!("{place} matches as {name}{of}, but {}", policy.told());
        miss.hints.insert(0, format!("{} lets it pass", policy.flag_for(class)));
        let masks =
            miss.nearest.iter().any(|near| near.rule.as_ref().is_some_and(|r| r.contains("[[ignore]]")));
        if masks && !policy.allows(MatchClass::Masked) {
            miss.hints
                .push(format!("and let what it takes away pass: {}", policy.flag_for(MatchClass::Masked)));
        }
        let mut state = self.state();
        *state.tally.fitted.entry(class).or_default() += 1;
        state.tally.not_allowed = Some(NotAllowed { class, step });
        drop(state);
        self.miss(asked, Some(dialect), miss)
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
        self.refused_on_channel(asked, why);
        let dialect = dialect::recognise(&asked.head).map(|(d, _)| d);
        Answer::Serve(self.halt(dialect, Stop::Miss, why))
    }
}

pub(super) fn fence_message(tool: &str, by: FencedBy) -> String {
    let typed = as_typed(tool);
    let why = match by {
        FencedBy::Flag => format!("--fence {typed}"),
        FencedBy::Irreversible => format!("irreversible in retake.toml; --unfence {typed} lets it run"),
        FencedBy::Annotated => {
            format!("its server says that it is destructive; --unfence {typed} lets it run")
        }
    };
    format!("retake: stopped before {tool} would run ({why})")
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
