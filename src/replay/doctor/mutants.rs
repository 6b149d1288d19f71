//! A recording's own requests, one leaf changed at a time: would the matcher notice?

use super::mutate::{Mutant, mutants_of};
use super::rehearsal::{Event, Rehearsal, events, question};
use crate::exchange::ExchangeId;
use crate::holes::{Place, Rules};
use crate::replay::dice::Dice;
use crate::replay::matcher::{Ask, Decision, MatchClass, Matcher, Options, Recording};
use crate::run::StepKind;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Model calls whose requests are changed; of more, some are chosen.
const TURNS: usize = 200;

/// What kind of leaf is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Leaf {
    /// A message of the user.
    UserText,
    /// The result of a tool.
    ToolResult,
    /// The system prompt.
    System,
    /// What the model said earlier.
    AssistantText,
    /// An argument of an earlier call.
    Argument,
    /// The definition of a tool.
    ToolSchema,
    /// The name of the model.
    Model,
    /// A parameter.
    Parameter,
}

impl Leaf {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Leaf::UserText => "user text",
            Leaf::ToolResult => "tool result",
            Leaf::System => "system prompt",
            Leaf::AssistantText => "earlier answer",
            Leaf::Argument => "earlier argument",
            Leaf::ToolSchema => "tool schema",
            Leaf::Model => "model name",
            Leaf::Parameter => "parameter",
        }
    }
}

/// How the mutants of one kind of leaf fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many there were.
    pub mutants: u32,
    /// Refused, with a reason.
    pub noticed: u32,
    /// Noticed as another result of the same call; the recorded one is served on.
    pub pinned: u32,
    /// Taken for another name of the same thing (an id, a clock), bound for the whole run.
    pub renamed: u32,
    /// Under an `[[ignore]]` of just this parameter.
    pub masked: u32,
    /// Served all the same.
    pub silent: u32,
}

/// A mutant that was served all the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mutation {
    /// What kind of leaf it is.
    pub leaf: Leaf,
    /// The model step whose request was changed.
    pub step: Option<u32>,
    /// Where: `messages[1].text`.
    pub path: String,
    /// The word that was changed.
    pub recorded: String,
    /// What it became.
    pub live: String,
    /// As what it was served.
    pub class: MatchClass,
}

/// What the mutants of a recording came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Mutations {
    /// By kind of leaf.
    pub by_leaf: BTreeMap<Leaf, Count>,
    /// Those that were served all the same.
    pub silent: Vec<Mutation>,
    /// Model calls of the recording.
    pub turns: u32,
    /// Of these: the ones whose requests were changed.
    pub mutated: u32,
    /// Steps whose unchanged request the recording itself does not answer: nothing could be changed there.
    pub unanswered: Vec<u32>,
}

impl Mutations {
    /// All kinds together.
    pub fn total(&self) -> Count {
        self.by_leaf.values().fold(Count::default(), |sum, count| Count {
            mutants: sum.mutants + count.mutants,
            noticed: sum.noticed + count.noticed,
            pinned: sum.pinned + count.pinned,
            renamed: sum.renamed + count.renamed,
            masked: sum.masked + count.masked,
            silent: sum.silent + count.silent,
        })
    }
}

/// Changes the requests of a recording, one leaf at a time, each at the moment when a replay stands before it.
///
/// # Errors
/// A sentence, when the recording cannot be read.
pub fn mutants<R: Recording + Clone>(
    recording: &R,
    options: &Options,
    seed: u64,
) -> Result<Mutations, String> {
    let outline = recording.outline();
    let mut dice = Dice(seed);
    let mut all: Vec<(u32, u32)> = (0..)
        .zip(&outline.lanes)
        .flat_map(|(lane, l)| (0..l.turns.len() as u32).map(move |turn| (lane, turn)))
        .collect();
    let turns = all.len() as u32;
    for i in (1..all.len()).rev() {
        all.swap(i, dice.below(i + 1));
    }
    let chosen: BTreeSet<(u32, u32)> = all.into_iter().take(TURNS).collect();
    let numbers = outline.numbers();
    let mut rehearsal = Rehearsal::new(Matcher::new(recording.clone(), options.clone())?);
    // The same without rules: what only a rule takes for a value may be content.
    let mut unruled = match options.rules.is_empty() {
        true => None,
        false => {
            let options = Options { rules: Rules::default(), ..options.clone() };
            Some(Rehearsal::new(Matcher::new(recording.clone(), options)?))
        }
    };
    let mut open: HashMap<(u32, u32), (Ask, ExchangeId)> = HashMap::new();
    let mut out = Mutations { turns, ..Mutations::default() };
    for event in events(outline) {
        match event {
            Event::Begin { lane, turn } => {
                let ask = question(recording, lane, turn)?;
                let step = numbers.get(&StepKind::Model { lane, turn }).copied();
                let served = matches!(rehearsal.would(&ask), Some(Decision::Serve { .. }));
                if !served {
                    out.unanswered.extend(step);
                } else if chosen.contains(&(lane, turn)) {
                    out.mutated += 1;
                    let from = turn
                        .checked_sub(1)
                        .and_then(|t| outline.turn(lane, t))
                        .map_or(0, |t| t.messages as usize);
                    for mutant in mutants_of(&ask.request, from, &mut dice) {
                        out.judge((&rehearsal, unruled.as_ref()), &ask, mutant, step, &options.rules);
                    }
                }
                let id = rehearsal.ask(&ask);
                if let Some(unruled) = &mut unruled {
                    unruled.ask(&ask);
                }
                open.insert((lane, turn), (ask, id));
            }
            Event::End { lane, turn } => {
                let Some((ask, id)) = open.remove(&(lane, turn)) else { continue };
                for rehearsal in std::iter::once(&mut rehearsal).chain(&mut unruled) {
                    if let Some((id, Decision::Serve { .. })) = rehearsal.decided(&ask, id) {
                        rehearsal.delivered(id);
                    }
                }
            }
        }
    }
    Ok(out)
}

impl Mutations {
    fn judge<R: Recording + Clone>(
        &mut self,
        (rehearsal, unruled): (&Rehearsal<R>, Option<&Rehearsal<R>>),
        ask: &Ask,
        mutant: Mutant,
        step: Option<u32>,
        rules: &Rules,
    ) {
        let count = self.by_leaf.entry(mutant.leaf).or_default();
        count.mutants += 1;
        let mutated = Ask { request: mutant.request, ..ask.clone() };
        let decision = rehearsal.would(&mutated);
        let by_itself = || {
            let renamed = |d| matches!(d, Decision::Serve { class: MatchClass::Renamed, .. });
            unruled.is_none_or(|unruled| unruled.would(&mutated).is_some_and(renamed))
        };
        let class = match decision {
            Some(Decision::Serve { class: MatchClass::Pinned, pins, .. })
                if mutant.leaf == Leaf::ToolResult && !pins.is_empty() =>
            {
                count.pinned += 1;
                return;
            }
            Some(Decision::Serve { class: MatchClass::Renamed, .. }) if by_itself() => {
                count.renamed += 1;
                return;
            }
            // A rule for one parameter does what it is for; one for all of them, or for a text, hides changes.
            Some(Decision::Serve { class: MatchClass::Masked, .. })
                if mutant.leaf == Leaf::Parameter && !rules.ignores(&Place::of(ask.dialect, "params")) =>
            {
                count.masked += 1;
                return;
            }
            Some(Decision::Serve { class, .. }) => class,
            Some(Decision::Miss { .. } | Decision::Live { .. }) | None => {
                count.noticed += 1;
                return;
            }
        };
        count.silent += 1;
        self.silent.push(Mutation {
            leaf: mutant.leaf,
            step,
            path: mutant.path,
            recorded: mutant.recorded,
            live: mutant.live,
            class,
        });
    }
}
