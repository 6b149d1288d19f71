//! Functions that the tool shim wraps: they return what was recorded, and do not run. Commands of shells: the same, but
//! that those run which were not recorded.

use super::refusal::fence_message;
use super::{Fenced, Player, Stop, serve};
use crate::exchange::Source;
use crate::mcp::message::Message;
use crate::proxy::shim::{noted, run_it, told};
use crate::proxy::{Answer, Asked};
use crate::replay::servers::Spoken;
use crate::replay::shim::{Report, SHELL, SHIM, report, teller};
use crate::replay::tally::servers::Servers;
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;

impl Player {
    /// Answers a wrapped function.
    pub(super) fn shim_message(&self, asked: &Asked) -> Answer {
        match report(&asked.head.target, &asked.body) {
            Some(Report::Called(call)) if teller(&call) == SHELL => self.command(call),
            Some(Report::Called(call)) => self.shim_called(&call),
            Some(Report::Done(..)) => Answer::Serve(noted(Source::Live)),
            None => {
                let body = serde_json::json!({ "error": { "message": "retake: this is no message of the tool shim" } });
                Answer::Serve(serve::own(400, Bytes::from(body.to_string()), Source::Refused))
            }
        }
    }

    fn shim_called(&self, live: &Message) -> Answer {
        let servers = self.run.servers();
        let Some(spoken) = self.nearest_unused(SHIM, live, None) else {
            return match self.options.plan {
                Some(_) => self.shim_runs(live, SHIM),
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
            return self.shim_runs(live, SHIM);
        };
        self.note_answered(SHIM, spoken);
        self.tell_again(spoken, outcome.clone())
    }

    /// What came of a recorded call, in today's words.
    fn tell_again(&self, spoken: &Spoken, outcome: Value) -> Answer {
        let rewrite = self.state().matcher.todays(spoken.site.map(|site| site.lane), &outcome);
        let body = in_words(&outcome, &|text| rewrite.text(text).into_owned()).to_string();
        let source = Source::Recorded { run: self.name.clone(), exchange: spoken.id };
        Answer::Serve(told(source, 200, Bytes::from(body)))
    }

    /// A command of a shell: what it did, if it is recorded; else it runs, in a replay, too.
    fn command(&self, mut live: Message) -> Answer {
        // Secrets in it are stand-ins in the recording.
        live.content = in_words(&live.content, &|text| self.options.redactor.text(text).0);
        let Some(spoken) = self.nearest_unused(SHELL, &live, None) else { return self.command_runs(&live) };
        let Some(outcome) = self.run.servers().outcome(spoken) else {
            // It was too much to be kept, or the run ended before.
            self.state().said.note_used(spoken);
            return self.command_runs(&live);
        };
        self.note_answered(SHELL, spoken);
        let mut outcome = outcome.clone();
        if let Some(Value::Object(result)) = outcome.get_mut("result") {
            let second = Duration::from_secs(1);
            let pace = self.options.timing.wait(second.as_micros() as u64).as_secs_f64();
            result.insert("pace".into(), pace.into());
        }
        self.tell_again(spoken, outcome)
    }

    fn command_runs(&self, live: &Message) -> Answer {
        let answer = self.shim_runs(live, SHELL);
        if let Answer::Serve(canned) = &answer
            && canned.head.status == 200
        {
            self.state().said.note_written(SHELL);
        }
        answer
    }

    /// What has no recorded result runs, unless a fence stands before it.
    fn shim_runs(&self, live: &Message, who: &str) -> Answer {
        let tool = live.call().map(|(tool, _)| tool.to_string()).unwrap_or_default();
        let Some((tool, by)) = self.first_fenced(vec![tool.clone()]) else {
            Servers::note(&mut self.state().tally.servers.called, who, &tool);
            return Answer::Serve(run_it(Source::Live));
        };
        let why = fence_message(&tool, by);
        self.state().tally.fenced = Some(Fenced { tool, by, step: None, asked_live: None });
        Answer::Serve(self.halt(None, Stop::Fence, &why))
    }
}

/// A value with every text in it put in other words.
fn in_words(value: &Value, words: &impl Fn(&str) -> String) -> Value {
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
