//! What a synthetic agent program may hold.
//!
//! A program says for every place of every lane what the model answers there ([`Say`]) and for every command what its
//! tool returns ([`Job`]); its [`Habits`] say how the agent behaves around that. A lane is named by its path: `1.0` is
//! the first prompt of the second group of roots, `1.0/2.1` the lane that call 1 of turn 2 of it began. What an agent
//! asks beside its conversation has a suffix: `1.0#title`, `1.0#vote.2`, `1.0#summary`, `#quota`.
//!
//! Texts are templates: see [`super::values`] for what may stand in braces.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// What may differ between programs. Everything off is a plain tree of lanes with byte-identical siblings.
#[derive(Clone, Copy, Debug)]
pub struct Menu {
    /// No byte-identical siblings.
    pub distinct: bool,
    /// Tools that return something else in every run.
    pub flaky: bool,
    /// Calls that fail and are tried again.
    pub retries: bool,
    /// Byte-identical children of different parents.
    pub crossed: bool,
    /// Histories replaced by a summary that quotes them.
    pub compaction: bool,
    /// Conversations that go back to an earlier turn.
    pub rewinds: bool,
    /// Titles and quota probes: at random, repeated, missing.
    pub sides: bool,
    /// Samples drawn one after the other, joined into the prompt.
    pub votes: bool,
    /// The same, drawn at once.
    pub votes_at_once: bool,
    /// Old messages in other words: reasoning dropped, old results cleared, reminders gone.
    pub rewrites: bool,
    /// No tool-call ids: calls and results are plain text.
    pub chat: bool,
    /// Results, also of sub-agents, joined in flat text in the order in which they came.
    pub flattened: bool,
    /// Ids that tools make and later calls use; ids of agents in results.
    pub names: bool,
    /// Durations, wall times, instants, epochs, pids, ports.
    pub quantities: bool,
    /// Today and tomorrow, in prompts and results.
    pub dates: bool,
    /// Working, home and temp directories, also slug-encoded, also in arguments.
    pub paths: bool,
    /// Up to 64 lanes instead of some dozen.
    pub large: bool,
    /// Programs of which nobody could tell some lanes apart.
    pub undecidable: bool,
}

impl Menu {
    pub const PLAIN: Menu = Menu {
        distinct: false,
        flaky: false,
        retries: false,
        crossed: false,
        compaction: false,
        rewinds: false,
        sides: false,
        votes: false,
        votes_at_once: false,
        rewrites: false,
        chat: false,
        flattened: false,
        names: false,
        quantities: false,
        dates: false,
        paths: false,
        large: false,
        undecidable: false,
    };

    /// One bit a dish.
    pub fn of(dishes: u16) -> Menu {
        let has = |bit: u32| dishes >> bit & 1 == 1;
        Menu {
            distinct: false,
            flaky: has(0),
            retries: has(1),
            crossed: has(2),
            compaction: has(3),
            rewinds: has(4),
            sides: has(5),
            votes: has(6),
            votes_at_once: has(7),
            rewrites: has(8),
            chat: has(9),
            flattened: has(10),
            names: has(11),
            quantities: has(12),
            dates: has(13),
            paths: has(14),
            large: false,
            undecidable: has(15),
        }
    }
}

/// What the model says at one place.
#[derive(Clone, Debug, Default)]
pub struct Say {
    pub text: String,
    pub reasoning: Option<String>,
    /// `bash` with a command that names a job, or `task` with a prompt, which begins a lane.
    pub calls: Vec<(&'static str, Value)>,
    /// Attempts that fail before.
    pub fails: u32,
}

/// What a command returns.
#[derive(Clone, Debug)]
pub enum Job {
    Returns(String),
    /// Something else in every run.
    Flaky,
    /// Depends on which sibling runs it, in the same way in every run.
    Hidden,
}

/// How lanes of one kind behave.
#[derive(Clone, Debug, Default)]
pub struct Habits {
    pub system: String,
    /// Requests carry the ids of the agent and of its parent.
    pub names_agents: bool,
    /// Parallel results are sent in the order in which they came.
    pub by_completion: bool,
    /// Asks for a title first, beside the conversation.
    pub titles: bool,
    /// Asks now and then whether there is quota left.
    pub probes: bool,
    /// Draws samples first, and joins them into its prompt.
    pub votes: Option<Votes>,
    /// Before this turn the history is replaced by a summary.
    pub compacts: Option<(u32, Summary)>,
    /// Before this turn the conversation goes back by so many rounds of results.
    pub rewinds: Option<(u32, u32)>,
    /// Old reasoning is not sent back.
    pub drops_reasoning: bool,
    /// Old tool results become `[cleared]`.
    pub clears: bool,
    /// The newest message carries a reminder that is gone in the next turn.
    pub reminds: bool,
    /// Without call ids: results are one text, not one each.
    pub joins_results: bool,
    /// Sub-agents' results carry their id, tokens and duration.
    pub signs_results: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Votes {
    pub count: u32,
    pub at_once: bool,
}

/// Where a summary is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Summary {
    /// In the conversation itself, by another user message.
    Inside,
    /// In a call of its own that quotes the conversation as text.
    Aside,
}

/// How calls are named on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Ids {
    #[default]
    Unique,
    /// The same few in every lane.
    Repeated,
    /// None: calls and results are plain text.
    Absent,
}

#[derive(Clone, Debug, Default)]
pub struct Program {
    /// What the model says, by path and turn.
    pub script: BTreeMap<String, Vec<Say>>,
    /// Groups run at the same time, the prompts of a group one after the other.
    pub roots: Vec<Vec<String>>,
    pub jobs: HashMap<String, Job>,
    /// Those of the lane `0.0`, of the other roots, and of the lanes that calls begin.
    pub main: Habits,
    pub other: Habits,
    pub worker: Habits,
    pub ids: Ids,
    /// Tool results are messages of their own.
    pub tool_messages: bool,
    /// The recording may lack side calls that a replay makes.
    pub lossy: bool,
    /// Nobody could tell some lanes apart.
    pub undecidable: bool,
}

impl Program {
    pub fn habits(&self, path: &str) -> &Habits {
        match path {
            MAIN => &self.main,
            _ if path.contains('/') => &self.worker,
            _ => &self.other,
        }
    }

    /// What the model says; once the script is over it ends, and side calls are answered by their name.
    pub fn say(&self, path: &str, turn: u32) -> Say {
        let scripted = self.script.get(path).and_then(|says| says.get(turn as usize)).cloned();
        scripted.unwrap_or_else(|| Say {
            text: if path == QUOTA { "ok".into() } else { format!("The answer to {path} at {turn}.") },
            ..Say::default()
        })
    }

    /// The job that a command names.
    pub fn job<'a>(&self, command: &'a str) -> (&'a str, &Job) {
        let name = command.split_whitespace().next().unwrap_or_default();
        (name, &self.jobs[name])
    }

    /// True for lanes that a hidden result tells apart.
    pub fn is_hidden(&self, path: &str) -> bool {
        let commands = self.script.get(path).into_iter().flatten().flat_map(|say| &say.calls);
        let mut jobs = commands.filter_map(|(_, args)| Some(self.job(args["cmd"].as_str()?).1));
        jobs.any(|job| matches!(job, Job::Hidden))
    }
}

/// The path of the lane that nearly everything else begins in.
pub const MAIN: &str = "0.0";
/// The path of all quota probes.
pub const QUOTA: &str = "#quota";
