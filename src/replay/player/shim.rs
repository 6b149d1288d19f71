//! Functions that the tool shim wraps: they return what was recorded, and do not run.

use super::refusal::fence_message;
use super::{Fenced, Player, Stop, serve};
use crate::exchange::{ExchangeId, Source};
use crate::mcp::message::Message;
use crate::proxy::shim::{noted, run_it, told};
use crate::proxy::{Answer, Asked};
use crate::replay::servers::Spoken;
use crate::replay::shim::{Report, SHELL, SHIM, report, teller};
use crate::replay::tally::servers::Servers;
use bytes::Bytes;
use serde_json::Value;

impl Player {
    /// Answers a wrapped function.
    pub(super) fn shim_message(&self, asked: &Asked) -> Answer {
        match report(&asked.head.target, &asked.body) {
            Some(Report::Called(call)) if teller(&call) == SHELL => self.command(asked.id, call),
            Some(Report::Called(call)) => self.shim_called(asked.id, &call),
            Some(Report::Done(..)) => Answer::Serve(noted(Source::Live)),
            None => {
                let body = serde_json::json!({ "error": { "message": "retake: this is no message of the tool shim" } });
                Answer::Serve(serve::own(400, Bytes::from(body.to_string()), Source::Refused))
            }
        }
    }

    fn shim_called(&self, id: ExchangeId, live: &Message) -> Answer {
        let servers = self.run.servers();
        let Some(spoken) = self.nearest_unused(SHIM, live, None) else {
            return match self.options.plan {
                Some(_) => {
                    let answer = self.shim_runs(live);
                    self.note_change(live, &answer);
                    answer
                }
                None => {
                    let why = self.server_refused(self.explain(SHIM, live));
                    let body = serde_json::json!({ "error": { "message": why } });
                    Answer::Serve(serve::own(422, Bytes::from(body.to_string()), Source::Refused))
                }
            };
        };
        let Some(outcome) = servers.outcome(spoken) else {
            // Nobody knows what came of it: it is no JSON, or the run ended before.
            self.state().said.note_used(spoken);
            return self.shim_runs(live);
        };
        self.note_answered(id, SHIM, spoken);
        self.tell_again(spoken, outcome.clone())
    }

    /// What a function does that was not called so in the recording makes recorded results behind it stale, unless it is
    /// known only to read.
    fn note_change(&self, live: &Message, answer: &Answer) {
        let runs = matches!(answer, Answer::Serve(canned) if canned.head.status == 200);
        let tools = self.options.fences.tools();
        let class = live.call().map(|(tool, _)| tools.class_of(tools.name_in_model(tool)));
        if runs && class.is_some_and(|class| class.may_write()) {
            self.state().said.note_written(SHIM);
        }
    }

    /// What came of a recorded call, in today's words.
    pub(super) fn tell_again(&self, spoken: &Spoken, outcome: Value) -> Answer {
        let rewrite = self.state().matcher.todays(spoken.site.map(|site| site.lane), &outcome);
        let body = in_words(&outcome, &|text| rewrite.text(text).into_owned()).to_string();
        let source = Source::Recorded { run: self.name.clone(), exchange: spoken.id };
        Answer::Serve(told(source, 200, Bytes::from(body)))
    }

    /// What has no recorded result runs, unless a fence stands before it.
    fn shim_runs(&self, live: &Message) -> Answer {
        let tool = live.call().map(|(tool, _)| tool.to_string()).unwrap_or_default();
        let Some((tool, by)) = self.first_fenced(vec![tool.clone()]) else {
            Servers::note(&mut self.state().tally.servers.called, SHIM, &tool);
            return Answer::Serve(run_it(Source::Live));
        };
        let why = fence_message(&tool, by);
        self.state().tally.fenced = Some(Fenced { tool, by, step: None, asked_live: None });
        Answer::Serve(self.halt(None, Stop::Fence, &why))
    }
}

/// A value with every text in it put in other words.
pub(super) fn in_words(value: &Value, words: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(words(text)),
        Value::Array(items) => items.iter().map(|item| in_words(item, words)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), in_words(value, words)));
            Value::Object(fields.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
