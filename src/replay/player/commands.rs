//! Commands of shells: those that are recorded do what they did, and do not run; all others run, where no fence stands
//! before them.

use super::refusal::fence_message;
use super::{Fenced, Player, State, Stop};
use crate::exchange::{ExchangeId, Source};
use crate::mcp::message::Message;
use crate::proxy::Answer;
use crate::proxy::shim::{COMMAND, run_it};
use crate::replay::commands::asked::{asks_for, said, stands_in};
use crate::replay::commands::words::names;
use crate::replay::servers::{Spoken, command_of};
use crate::replay::shim::SHELL;
use crate::replay::tally::servers::Servers;
use crate::run::CallSite;
use serde_json::Value;
use std::time::Duration;

impl Player {
    /// A command: what it did, if it is recorded; else it runs, in a replay, too.
    pub(super) fn command(&self, id: ExchangeId, mut live: Message) -> Answer {
        // Secrets in it are stand-ins in the recording.
        live.content = super::shim::in_words(&live.content, &|text| self.options.redactor.text(text).0);
        let Some(spoken) = self.nearest_unused(SHELL, &live, None) else { return self.command_runs(&live) };
        let Some(outcome) = self.run.servers().outcome(spoken) else {
            // It was too much to be kept, or the run ended before.
            self.state().said.note_used(spoken);
            return self.command_runs(&live);
        };
        self.note_answered(id, SHELL, spoken);
        let mut outcome = outcome.clone();
        if let Some(Value::Object(result)) = outcome.get_mut("result") {
            let second = Duration::from_secs(1);
            let pace = self.options.timing.wait(second.as_micros() as u64).as_secs_f64();
            result.insert("pace".into(), pace.into());
        }
        self.tell_again(spoken, outcome)
    }

    /// True for a recorded command behind the checkpoint of a fork: what it finds may be others' doing than when it was
    /// recorded. One that no call asked for stands behind it when anything has been asked live.
    pub(super) fn is_behind(&self, state: &State, spoken: &Spoken) -> bool {
        if spoken.server != SHELL || self.options.plan.is_none() || self.options.serve_commands {
            return false;
        }
        match spoken.site {
            Some(site) => !state.tally.served.contains_key(&(site.lane, site.turn)),
            None => state.tally.live > 0,
        }
    }

    fn command_runs(&self, live: &Message) -> Answer {
        let mut called = vec![COMMAND.to_string()];
        called.extend(names(command_of(live)));
        called.extend(self.askers(live));
        let Some((tool, by)) = self.options.fences.stops_command(called) else {
            let mut state = self.state();
            state.said.note_written(SHELL);
            let behind = self.options.plan.is_some() && self.is_recorded(&state, live);
            state.tally.servers.behind += u32::from(behind);
            Servers::note(&mut state.tally.servers.called, SHELL, COMMAND);
            return Answer::Serve(run_it(Source::Live));
        };
        let why = fence_message(&tool, by);
        self.state().tally.fenced = Some(Fenced { tool, by, step: None, asked_live: None });
        Answer::Serve(self.halt(None, Stop::Fence, &why))
    }

    /// True for a command that the recording has, word for word.
    fn is_recorded(&self, state: &State, live: &Message) -> bool {
        let (subject, said) = (live.subject(), &state.said);
        let mut commands = self.run.servers().spoken().iter().filter(|spoken| spoken.server == SHELL);
        commands.any(|spoken| spoken.subject == subject && !said.was_used(spoken))
    }

    /// Names of the tools by which the model may have asked for a command that is about to run: of the calls that were
    /// given to the agent and hold its text; else of those that are under way and whose tools gave commands to a shell when
    /// they were recorded.
    fn askers(&self, live: &Message) -> Vec<String> {
        let (said, outline, state) = (said(command_of(live)), self.run.shared_outline(), self.state());
        let given = || {
            let turns = state
                .tally
                .served
                .keys()
                .filter_map(|(lane, turn)| Some(((*lane, *turn), outline.turn(*lane, *turn)?)));
            turns.flat_map(|((lane, turn), at)| {
                (0..).zip(&at.calls).map(move |(call, asked)| (CallSite { lane, turn, call }, asked))
            })
        };
        let holds = |(site, call): &(CallSite, &crate::run::ToolCallRef)| {
            let same = |asked: &str, said: &str| {
                asked == said || state.matcher.same_value(Some(site.lane), &asked.into(), &said.into())
            };
            asks_for(&call.args, &said, &same) || stands_in(&call.args, &said)
        };
        let mut names: Vec<String> = given().filter(holds).map(|(_, call)| call.name.clone()).collect();
        if names.is_empty() {
            let tools = self.shell_tools();
            let under_way = given().filter(|(site, call)| {
                !state.tally.served.contains_key(&(site.lane, site.turn + 1))
                    && !state.tally.servers.sites.contains(site)
                    && tools.contains(&call.name)
            });
            names.extend(under_way.map(|(_, call)| call.name.clone()));
        }
        names
    }

    /// Tools of the model that gave commands to a shell in the recording.
    fn shell_tools(&self) -> Vec<String> {
        let (servers, outline) = (self.run.servers(), self.run.shared_outline());
        let commands = servers.spoken().iter().filter(|spoken| spoken.server == SHELL);
        commands.filter_map(|spoken| Some(outline.call(spoken.site?)?.name.clone())).collect()
    }
}
