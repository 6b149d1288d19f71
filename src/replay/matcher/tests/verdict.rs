//! Judges a replay by the truth.

use super::agent::Outcome;
use super::answerers::Recorded;
use super::program::{Ids, Program};
use super::values::masked;
use crate::dialect::conversation::Message;
use crate::run::likeness::{self, Key};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, PartialEq, Eq, Clone, PartialOrd, Ord)]
pub enum Verdict {
    Right,
    /// Only identical calls of one message, or samples drawn at once, were exchanged.
    Exchanged,
    /// Refused: loud about it, whatever came before.
    Stopped(String),
    /// Silently wrong.
    Wrong(String),
}

/// The lane that a path is of or beside, and the suffix.
fn split(path: &str) -> (&str, &str) {
    path.find('#').map_or((path, ""), |at| path.split_at(at))
}

/// True for calls that may repeat and may be missing.
fn is_optional(path: &str) -> bool {
    matches!(split(path).1, "#title" | "#quota")
}

/// What became of a replay.
pub fn verdict(program: &Program, recorded: &Recorded, outcome: &Outcome) -> Verdict {
    if let Some(why) = &outcome.refused {
        return Verdict::Stopped(why.clone());
    }
    match judge(program, recorded, outcome) {
        Ok(false) => Verdict::Right,
        Ok(true) => Verdict::Exchanged,
        Err(why) => Verdict::Wrong(why),
    }
}

/// Whether lanes were exchanged; an error when something is wrong.
fn judge(program: &Program, recorded: &Recorded, outcome: &Outcome) -> Result<bool, String> {
    if let Some(broken) = &outcome.broken {
        return Err(broken.clone());
    }
    let lane_of = lanes(recorded, outcome)?;
    let mut exchanged = false;
    for (live, served) in lane_of.iter().filter(|(a, b)| a != b) {
        exchanged = true;
        let ((lane, beside), (served_lane, served_beside)) = (split(live), split(served));
        let is_vote = |suffix: &str| suffix.starts_with("#vote");
        let right = if lane == served_lane {
            let at_once = program.habits(lane).votes.is_some_and(|v| v.at_once);
            at_once && is_vote(beside) && is_vote(served_beside)
        } else if beside.is_empty() {
            exchangeable(program, &lane_of, lane, served_lane)
        } else {
            // It must have been exchanged together with its lane.
            let same = beside == served_beside || (is_vote(beside) && is_vote(served_beside));
            same && lane_of.get(lane).is_none_or(|l| *l == served_lane)
        };
        if !right {
            return Err(format!("{live} was served as {served}"));
        }
    }
    let mandatory = |path: &str| !is_optional(path);
    let served = outcome.log.iter().filter(|e| e.served.is_some() && mandatory(&e.path)).count();
    let whole = recorded.tape.calls.values().filter(|c| c.answer.error.is_none());
    let answers = whole.filter(|c| mandatory(&recorded.truth[&c.id].0)).count();
    if served == answers { Ok(exchanged) } else { Err(format!("{served} answers of {answers} were served")) }
}

/// Which recorded lane each live one was served as: one whose answers say, turn by turn, what was served; its own if that
/// is one. No two were served as the same.
fn lanes<'a>(recorded: &'a Recorded, outcome: &'a Outcome) -> Result<BTreeMap<&'a str, &'a str>, String> {
    let calls = &recorded.tape.calls;
    let good = calls.values().filter(|c| c.answer.error.is_none());
    let shapes: HashMap<(&str, u32), Key> = good
        .map(|c| (&recorded.truth[&c.id], likeness::shape_key(&c.answer)))
        .map(|((path, turn), shape)| ((path.as_str(), *turn), shape))
        .collect();
    let mut served: BTreeMap<&str, Vec<(u32, &str, Key)>> = BTreeMap::new();
    for entry in &outcome.log {
        let Some(exchange) = entry.served else { continue };
        let path = recorded.truth[&exchange].0.as_str();
        // Titles of siblings are asked for in the same words, and nothing follows from them.
        if is_optional(path) && is_optional(&entry.path) {
            let recorded = calls[&exchange].request.messages.first().map(Message::text).unwrap_or_default();
            if masked(&recorded) == masked(&entry.asked) {
                continue;
            }
        }
        let shape = likeness::shape_key(&calls[&exchange].answer);
        served.entry(&entry.path).or_default().push((entry.turn, path, shape));
    }
    let mut lane_of: BTreeMap<&str, &str> = BTreeMap::new();
    for (live, answers) in &served {
        let fits =
            |path: &&str| answers.iter().all(|(turn, _, shape)| shapes.get(&(*path, *turn)) == Some(shape));
        let candidates = std::iter::once(*live).chain(answers.iter().rev().map(|a| a.1));
        let Some(lane) = candidates.into_iter().find(fits) else {
            let got: Vec<_> =
                answers.iter().map(|(turn, path, _)| format!("turn {turn} of {path}")).collect();
            return Err(format!("{live} got {}", got.join(", ")));
        };
        lane_of.insert(live, lane);
    }
    let mut taken: Vec<&str> = lane_of.values().copied().collect();
    taken.sort_unstable();
    match taken.windows(2).find(|w| w[0] == w[1]) {
        Some(twice) => Err(format!("{} was served twice", twice[0])),
        None => Ok(lane_of),
    }
}

/// True when two lanes were begun by identical calls of one message, and nothing hidden tells them apart.
fn exchangeable(program: &Program, lane_of: &BTreeMap<&str, &str>, live: &str, served: &str) -> bool {
    let (Some((up, place)), Some((served_up, served_place))) =
        (live.rsplit_once('/'), served.rsplit_once('/'))
    else {
        return false;
    };
    let turn = |place: &str| place.split_once('.').map(|p| p.0.to_string());
    let call = |parent: &str, place: &str| -> Option<Value> {
        let (turn, call) = place.split_once('.')?;
        let say = program.script.get(parent)?.get(turn.parse::<usize>().ok()?)?;
        say.calls.get(call.parse::<usize>().ok()?).map(|c| c.1.clone())
    };
    let parent = lane_of.get(up).copied().unwrap_or(up);
    // Without ids nothing but the parent's next request tells whose child it was: there, nobody sees it any more.
    let is_forgotten = |parent: &str| {
        let turn: Option<u32> = turn(place).and_then(|t| t.parse().ok());
        let rewinds = program.habits(parent).rewinds.zip(turn);
        program.ids == Ids::Absent && rewinds.is_some_and(|((at, back), t)| t < at && t + back >= at)
    };
    turn(place) == turn(served_place)
        && (parent == served_up || (is_forgotten(parent) && is_forgotten(served_up)))
        && !program.is_hidden(served)
        && call(served_up, served_place) == call(parent, place)
}
