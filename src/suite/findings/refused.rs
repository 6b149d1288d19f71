//! What differs where a replay had no answer: what the request was meant to be, and what it shows of the steps before it.

use super::collect::Walk;
use super::smallest::{difference, fields, join};
use super::{Code, Difference, Drift, Finding, requests};
use crate::dialect::conversation::{Block, Message, ModelRequest};
use crate::diff::context::{MessageChange, context};
use crate::diff::{Act, ContextDiff, PairKind, RunView, Status, StepPair, field};
use crate::holes::Place;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A result that is shorter may stand in a text by chance.
const SHORTEST: usize = 8;
/// Differences that are told of a request that differs in nothing but names.
const NAMES: usize = 4;

impl<'a> Walk<'a, '_> {
    /// Both requests of a row.
    fn requests(&self, row: &StepPair) -> Option<(Arc<ModelRequest>, Arc<ModelRequest>)> {
        let request = |run: &RunView, step: Option<u32>| run.request_of(run.model_call(step?)?).ok();
        Some((request(self.left, row.left)?, request(self.right, row.right)?))
    }

    fn first_refused(&self) -> Option<(usize, &'a StepPair)> {
        let at = self.first_refused?;
        Some((at, self.comparison.rows.get(at)?))
    }

    /// What does not happen, and would have been told to the model in the first request that is refused: that request is
    /// another one for its sake. By conversation: the last row of it that is so, its tools included.
    pub(super) fn lacked(&self) -> HashMap<&'a str, usize> {
        let Some((first, refused)) = self.first_refused() else { return HashMap::new() };
        let Some((then, now)) = self.requests(refused) else { return HashMap::new() };
        let is_lacked = |row: &StepPair| {
            // What comes before it in its own conversation was skipped.
            if row.lane == refused.lane {
                return true;
            }
            let turn = row.left.and_then(|step| self.left.model_call(step));
            let answer = turn.and_then(|turn| self.left.answer_of(turn).ok());
            answer.is_some_and(|answer| requests::tells(&then, &answer) && !requests::tells(&now, &answer))
        };
        let mut lacked = HashMap::new();
        // Conversations whose last model call so far is lacked.
        let mut open: HashSet<&str> = HashSet::new();
        for (at, row) in self.comparison.rows.iter().enumerate().take(first) {
            let (lane, is_gone) = (row.lane.as_str(), row.status == Status::OnlyLeft);
            match row.kind {
                PairKind::Model if is_gone && is_lacked(row) => {
                    open.insert(lane);
                }
                PairKind::Model => {
                    open.remove(lane);
                }
                PairKind::Tool => {}
            }
            if is_gone && open.contains(lane) {
                lacked.insert(lane, at);
            }
        }
        lacked
    }

    /// Tells of results of tools that the first refused request quotes in a message, and that are others there. Their rows:
    /// the conversation that called them was not told them.
    pub(super) fn quoted(&mut self) -> HashSet<usize> {
        let mut rows = HashSet::new();
        let Some((first, refused)) = self.first_refused() else { return rows };
        let (Some((then, now)), Some(diff)) = (self.requests(refused), self.asked.get(&first)) else {
            return rows;
        };
        let texts: Vec<(String, String)> = diff
            .messages
            .iter()
            .filter_map(|change| match change {
                MessageChange::Changed { left, right, .. } | MessageChange::Truncated { left, right, .. } => {
                    Some((then.messages.get(*left)?.text(), now.messages.get(*right)?.text()))
                }
                _ => None,
            })
            .collect();
        for (at, row) in self
            .comparison
            .rows
            .iter()
            .enumerate()
            .filter(|(at, row)| *at != first && row.kind == PairKind::Tool)
        {
            let (Some(Act::Returns { tool, text: Some(result), .. }), true) =
                (&row.before, row.right.is_some())
            else {
                continue;
            };
            let told = matches!(&row.after, Some(Act::Returns { text: Some(_), .. }));
            let Some(other) =
                texts.iter().find_map(|(then, now)| instead(result, then, now)).filter(|_| !told)
            else {
                continue;
            };
            let changes = fields(&field::texts(result, other), tool);
            let changes =
                if changes.is_empty() { vec![difference(tool, Some(result), Some(other))] } else { changes };
            let what = format!(
                "{tool} returns something else, which step {} quotes",
                refused.left.unwrap_or_default()
            );
            let finding = Finding::new(Code::ToolResultChanged, Drift::World, (row.left, row.right), what);
            self.out.at(at.min(first), finding.with(changes));
            rows.insert(at);
        }
        rows
    }

    /// How a refused request differs from what it was meant to be, but for what is declared not to count.
    pub(super) fn undeclared(&self, row: &StepPair, diff: &ContextDiff) -> ContextDiff {
        let (mut diff, Some((then, _))) = (diff.clone(), self.requests(row)) else { return diff.clone() };
        if self.rules.is_empty() {
            return diff;
        }
        let attempt = row.left.and_then(|step| self.left.model_call(step)?.attempts.last().copied());
        let dialect = attempt.and_then(|id| self.left.source.api(id)).unwrap_or_default();
        let declared = |paths: &[String], tool: Option<&str>, l: &str, r: &str| {
            paths.iter().any(|path| {
                let place = Place { dialect, path, tool };
                let counts =
                    |text: &'_ str| self.rules.masked(&self.rules.without_ignored(&place, text)).into_owned();
                self.rules.ignores(&place) || counts(l) == counts(r)
            })
        };
        let side = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        diff.params.retain(|of| {
            !declared(&[format!("params.{}", of.path)], None, &side(&of.left), &side(&of.right))
        });
        diff.system = diff.system.filter(|(l, r)| !declared(&["system".to_string()], None, l, r));
        diff.messages.retain_mut(|change| match change {
            MessageChange::Changed { left, who, fields, .. } => {
                let tool = then.messages.get(*left).and_then(|message| tool_of(&then, message));
                let base = format!("messages[{left}]");
                fields.retain(|of| {
                    let part = if *who == "tool" { "result" } else { "text" };
                    let whole = format!("{base}.{part}");
                    let paths = [join(&whole, &of.path), join(&base, &of.path), whole];
                    !declared(&paths, tool, &side(&of.left), &side(&of.right))
                });
                !fields.is_empty()
            }
            MessageChange::Truncated { left, before, after, .. } => {
                !declared(&[format!("messages[{left}].text")], None, before, after)
            }
            _ => true,
        });
        diff
    }

    /// A request that no recorded one is a version of.
    pub(super) fn not_recorded(&self, row: &StepPair) -> Finding {
        let new =
            |step, what: &str| Finding::new(Code::NewCall, Drift::Code, (step, row.right), what.to_string());
        let call = |row: &StepPair| row.right.and_then(|step| self.right.model_call(step));
        let Some(turn) = call(row) else {
            return new(None, "the agent asks the model once more than recorded");
        };
        let mut others = self.comparison.rows.iter().filter(|other| other.left.is_some());
        let same = |other: &&StepPair| call(other).is_some_and(|of| of.request_key == turn.request_key);
        if let Some(again) = others.find(same) {
            return new(again.left, "the agent asks the model the same once more");
        }
        let of_lane =
            || self.comparison.rows.iter().filter(|other| other.lane == row.lane && other.left.is_some());
        let was_done = of_lane().next().is_some() && of_lane().all(|other| other.right.is_some());
        let said = row.right.and_then(|step| asked(self.right, step));
        let said = said.map(|(path, text)| difference(&path, None, Some(&text)));
        let what = match was_done {
            true => "the agent goes on asking where the recorded one was done",
            false => "the agent asks the model something that it did not ask",
        };
        new(None, what).with(said.into_iter().collect())
    }

    /// A request that differs in nothing but names and clocks from the one that it was meant to be, and yet is not it.
    pub(super) fn only_names(&self, row: &StepPair) -> Option<Finding> {
        let (then, now) = self.requests(row)?;
        let diff = context(&then, &now);
        let system = diff.system.as_ref().map(|(then, now)| difference("system", Some(then), Some(now)));
        let changes = diff.into_fields();
        let side = |text: &Option<String>| text.clone().unwrap_or_default();
        let told = |change: &crate::diff::FieldChange| {
            difference(&change.path, Some(&side(&change.left)), Some(&side(&change.right)))
        };
        let differences: Vec<Difference> =
            system.into_iter().chain(changes.iter().map(told)).take(NAMES).collect();
        let finding = |what: &str| {
            Finding::new(Code::PromptChanged, Drift::Code, (row.left, row.right), what.to_string())
        };
        if differences.is_empty() {
            let (at, before, after) = other_id(&then, &now)?;
            let told = difference(&format!("messages[{at}].tool_calls.id"), Some(before), Some(after));
            let what = "the calls in the history have other ids than the model gave them";
            return Some(finding(what).with(vec![told]));
        }
        let what = "the request differs in what looks like an id or a clock, and does not go together with the others";
        Some(finding(what).with(differences))
    }
}

/// What a model call is asked: where in the request it stands, and the last message that says something.
pub(super) fn asked(run: &RunView, step: u32) -> Option<(String, String)> {
    let request = run.request_of(run.model_call(step)?).ok()?;
    let (at, last) = request.messages.iter().enumerate().next_back()?;
    let text = last.text();
    (!text.is_empty()).then(|| (format!("messages[{at}]"), text))
}

/// The tool whose result a message brings.
fn tool_of<'r>(request: &'r ModelRequest, message: &Message) -> Option<&'r str> {
    let of = message.blocks.iter().find_map(|block| match block {
        Block::ToolResult { call_id, .. } => Some(call_id),
        _ => None,
    })?;
    request.messages.iter().flat_map(|message| &message.blocks).find_map(|block| match block {
        Block::ToolCall { id, name, .. } if id == of => Some(name.as_str()),
        _ => None,
    })
}

/// The first call whose id is another one: index of its message, and both ids.
fn other_id<'r>(then: &'r ModelRequest, now: &'r ModelRequest) -> Option<(usize, &'r str, &'r str)> {
    fn ids(request: &ModelRequest) -> impl Iterator<Item = (usize, &str)> {
        let messages = request.messages.iter().enumerate();
        let blocks = messages.flat_map(|(at, message)| message.blocks.iter().map(move |block| (at, block)));
        blocks.filter_map(|(at, block)| match block {
            Block::ToolCall { id, .. } => Some((at, id.as_str())),
            _ => None,
        })
    }
    let mut both = ids(then).zip(ids(now)).map(|((_, then), (at, now))| (at, then, now));
    both.find(|(_, then, now)| then != now)
}

/// What stands in `now` in the place of `part` in `then`, when all around it is the same.
fn instead<'t>(part: &str, then: &str, now: &'t str) -> Option<&'t str> {
    if part.len() < SHORTEST {
        return None;
    }
    let at = then.find(part)?;
    let (before, behind) = (then.get(..at)?, then.get(at + part.len()..)?);
    let other = now.strip_prefix(before)?.strip_suffix(behind)?;
    (!other.is_empty() && other != part).then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_the_place_of_a_part_is_found() {
        let then = "Is this safe? {\"article\":17}. Say yes or no.";
        assert_eq!(instead("{\"article\":17}", then, "Is this safe? {}. Say yes or no."), Some("{}"));
        for now in [then, "Is it safe? {}. Say yes or no.", "Is this safe? . Say yes or no.", ""] {
            assert_eq!(instead("{\"article\":17}", then, now), None, "{now}");
        }
        assert_eq!(instead("safe", then, then), None, "too short to be more than chance");
    }
}
