//! Why two runs part.

use super::context::{ContextDiff, MessageChange, ToolChange};
use super::rows::{Act, PairKind, Status, StepPair};
use super::view::RunView;
use crate::run::Parent;
use serde::Serialize;

/// How two runs are related.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kin")]
pub enum Kin {
    /// Neither is a fork of the other or of a common parent.
    Strangers,
    /// The right run was forked from the left one.
    RightIsFork {
        /// It shares the left run's steps up to this one.
        at_step: u32,
        /// Its edits.
        edits: Vec<String>,
        /// True when it is a replay that was kept, not a fork.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replay: bool,
    },
    /// The left run was forked from the right one.
    LeftIsFork {
        /// It shares the right run's steps up to this one.
        at_step: u32,
        /// Its edits.
        edits: Vec<String>,
        /// True when it is a replay that was kept, not a fork.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replay: bool,
    },
    /// Both were forked from one run.
    Siblings {
        /// The run they were forked from.
        parent: String,
        /// Edits of the left one.
        left: Vec<String>,
        /// Edits of the right one.
        right: Vec<String>,
        /// They share the parent's steps up to this one.
        at_step: u32,
    },
}

/// What a run was forked from, the parent first.
struct Descent<'a>(Vec<&'a Parent>);

impl<'a> Descent<'a> {
    fn of(run: &RunView<'a>) -> Descent<'a> {
        Descent(run.ancestry.iter().map(|a| &a.parent).collect())
    }

    /// True when there are only replays between it and an ancestor.
    fn is_replay_of(&self, uuid: &str) -> bool {
        let up_to = self.0.iter().position(|p| p.uuid == uuid);
        up_to.is_some_and(|n| self.0.iter().take(n + 1).all(|p| p.replay))
    }

    /// The last step shared with an ancestor, and all edits since, the oldest first.
    fn from(&self, uuid: &str) -> Option<(u32, Vec<String>)> {
        let up_to = self.0.iter().position(|p| p.uuid == uuid)?;
        let since = || self.0.iter().take(up_to + 1);
        let edits = since().rev().flat_map(|p| p.edits.iter().cloned()).collect();
        Some((since().map(|p| p.at_step).min()?, edits))
    }
}

impl Kin {
    /// Reads how two runs are related from what they were forked from.
    pub fn of(left: &RunView, right: &RunView) -> Kin {
        let (of_left, of_right) = (Descent::of(left), Descent::of(right));
        if let Some((at_step, edits)) = of_right.from(&left.manifest.uuid) {
            let replay = of_right.is_replay_of(&left.manifest.uuid);
            return Kin::RightIsFork { at_step, edits, replay };
        }
        if let Some((at_step, edits)) = of_left.from(&right.manifest.uuid) {
            let replay = of_left.is_replay_of(&right.manifest.uuid);
            return Kin::LeftIsFork { at_step, edits, replay };
        }
        let common = of_left.0.iter().find(|l| of_right.0.iter().any(|r| r.uuid == l.uuid));
        let sides = common.and_then(|c| Some((c, of_left.from(&c.uuid)?, of_right.from(&c.uuid)?)));
        match sides {
            Some((common, (l_at, left), (r_at, right))) => {
                Kin::Siblings { parent: common.run.to_string(), left, right, at_step: l_at.min(r_at) }
            }
            None => Kin::Strangers,
        }
    }

    /// Every edit that stands between the two runs.
    pub fn edits(&self) -> Vec<&str> {
        let all: Vec<&String> = match self {
            Kin::Strangers => Vec::new(),
            Kin::RightIsFork { edits, .. } | Kin::LeftIsFork { edits, .. } => edits.iter().collect(),
            // An edit that both have is no difference.
            Kin::Siblings { left, right, .. } => {
                let only = |a: &'_ [String], b: &[String]| -> Vec<usize> {
                    (0..a.len()).filter(|i| a.get(*i).is_some_and(|e| !b.contains(e))).collect()
                };
                let l = only(left, right).into_iter().filter_map(|i| left.get(i));
                l.chain(only(right, left).into_iter().filter_map(|i| right.get(i))).collect()
            }
        };
        all.into_iter().map(String::as_str).collect()
    }

    /// The number of a row in the numbering that the edits use.
    pub(super) fn number(&self, row: &StepPair) -> Option<u32> {
        match self {
            Kin::LeftIsFork { .. } => row.right.or(row.left),
            _ => row.left.or(row.right),
        }
    }

    /// Edits that name this very step.
    pub(super) fn edit_at(&self, number: u32) -> Option<&str> {
        self.edits().into_iter().find(|e| Scope::of(e) == Some(Scope::One(number)))
    }

    /// Edits whose effect can be seen at a step: those that begin at it or before.
    fn edits_up_to(&self, number: u32) -> Vec<&str> {
        let begins = |edit: &str| match Scope::of(edit) {
            Some(Scope::One(n) | Scope::From(n)) => n <= number,
            Some(Scope::All) | None => true,
        };
        self.edits().into_iter().filter(|e| begins(e)).collect()
    }

    /// True when an edit of more than one step covers this one.
    pub(super) fn covers(&self, number: u32) -> bool {
        self.edits().into_iter().any(|e| match Scope::of(e) {
            Some(Scope::One(n)) => n == number,
            Some(Scope::From(n)) => n <= number,
            Some(Scope::All) | None => true,
        })
    }
}

/// The steps that an edit covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    One(u32),
    From(u32),
    All,
}

impl Scope {
    /// Reads what stands before the colon; none when it is something else.
    fn of(edit: &str) -> Option<Scope> {
        let scope = edit.split_once(':')?.0.trim();
        if scope == "*" {
            return Some(Scope::All);
        }
        match scope.strip_suffix("..") {
            Some(from) => from.parse().ok().map(Scope::From),
            None => scope.parse().ok().map(Scope::One),
        }
    }
}

/// Why two runs part at a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum Cause {
    /// An edit of a fork.
    Edit {
        /// The edits whose effect this can be.
        edits: Vec<String>,
    },
    /// The model answered the same request differently.
    Answer,
    /// A model call failed on one side.
    Failure {
        /// Why.
        error: String,
    },
    /// A tool returned something else.
    ToolResult {
        /// Number of the left step.
        left: Option<u32>,
        /// Number of the right step.
        right: Option<u32>,
    },
    /// The agent itself did something else: the request differs although everything it had been told is the same.
    Code {
        /// What differs in the request, in words.
        what: Vec<String>,
    },
    /// One run simply has no more steps there.
    Ended {
        /// `left` or `right`.
        side: &'static str,
    },
    /// It cannot be told.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// Where two runs part, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parting {
    /// Index into [`super::Comparison::rows`].
    pub row: usize,
    /// The left step.
    pub left: Option<u32>,
    /// The right step.
    pub right: Option<u32>,
    /// Why.
    pub cause: Cause,
    /// What the other run did next in that lane, where only one run has the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<Instead>,
}

/// What a run did in place of a step that only the other one has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Instead {
    /// The number of the step.
    pub step: Option<u32>,
    /// What it did.
    pub act: Act,
}

/// Why the runs part at a row. `context` is how the request differs from its counterpart in the other run; none when
/// that run makes no more calls there.
pub(super) fn cause_of(
    rows: &[StepPair],
    at: usize,
    kin: &Kin,
    context: Option<&Result<ContextDiff, String>>,
    error: Option<&str>,
) -> Cause {
    let Some(row) = rows.get(at) else { return Cause::Unknown { why: "there is no such step".into() } };
    let edits = kin.number(row).map(|n| kin.edits_up_to(n)).unwrap_or_default();
    if !edits.is_empty() {
        return Cause::Edit { edits: edits.into_iter().map(str::to_string).collect() };
    }
    if row.kind == PairKind::Tool {
        let missing = |act: &Option<Act>| matches!(act, Some(Act::Returns { text: None, .. }));
        return match (missing(&row.before), missing(&row.after)) {
            (true, false) => Cause::Ended { side: "left" },
            (false, true) => Cause::Ended { side: "right" },
            _ => Cause::ToolResult { left: row.left, right: row.right },
        };
    }
    let earlier = |statuses: &[Status], kind: PairKind| {
        rows.iter().take(at).find(|r| r.kind == kind && !r.is_side && statuses.contains(&r.status))
    };
    let earlier_tool = || earlier(&[Status::Changed, Status::Varies], PairKind::Tool);
    match context {
        Some(Ok(diff)) if diff.is_volatile_only() => match error {
            Some(error) => Cause::Failure { error: error.to_string() },
            None => Cause::Answer,
        },
        Some(Ok(diff)) => {
            let what = in_words(diff);
            let history_only = what.is_empty();
            match (history_only, earlier_tool()) {
                (true, Some(tool)) => Cause::ToolResult { left: tool.left, right: tool.right },
                (true, None) => Cause::Answer,
                (false, _) => Cause::Code { what },
            }
        }
        Some(Err(why)) => Cause::Unknown { why: why.clone() },
        None => {
            let side = if row.left.is_none() { "left" } else { "right" };
            let there = |r: &StepPair| if row.left.is_none() { r.left.is_some() } else { r.right.is_some() };
            if rows.iter().any(|r| r.lane == row.lane && there(r)) {
                Cause::Ended { side }
            } else {
                Cause::Code { what: vec![format!("the {side} run has no conversation {}", row.lane)] }
            }
        }
    }
}

/// What the agent's code changed in a request, in words. Assistant messages and tool results are not its doing.
pub(super) fn in_words(diff: &ContextDiff) -> Vec<String> {
    let mut what = Vec::new();
    if let Some((l, r)) = &diff.api {
        what.push(format!("{l} -> {r}"));
    }
    if let Some((l, r)) = &diff.model {
        what.push(format!("model {l} -> {r}"));
    }
    if diff.system.is_some() && !diff.system_varies {
        what.push("the system prompt".into());
    }
    what.extend(diff.params.iter().filter(|p| !p.varies).map(|p| {
        let side = |v: &Option<String>| v.clone().unwrap_or_else(|| "not set".into());
        format!("{} {} -> {}", p.path, side(&p.left), side(&p.right))
    }));
    if !diff.tools.iter().all(ToolChange::varies) {
        what.push("the tool definitions".into());
    }
    for change in &diff.messages {
        let (who, index, verb) = match change {
            MessageChange::Unchanged { .. } => continue,
            MessageChange::Changed { fields, .. } if fields.iter().all(|f| f.varies) => continue,
            MessageChange::Added { index, who, .. } => (who, index, "more"),
            MessageChange::Dropped { index, who, .. } => (who, index, "less"),
            MessageChange::Changed { left, who, .. } => (who, left, "changed"),
            MessageChange::Truncated { left, who, .. } => (who, left, "cut"),
        };
        match (*who, verb) {
            ("system", "changed") => what.push("the system prompt".into()),
            ("user", "changed") => what.push(format!("the {who} message [{index}]")),
            ("system" | "user", _) => what.push(format!("the {who} message [{index}] ({verb})")),
            (_, "less" | "cut") => what.push(format!("the history: {who} message [{index}] ({verb})")),
            _ => {}
        }
    }
    what
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_from_edits() {
        for (edit, scope) in [
            ("7:result.risk=\"high\"", Some(Scope::One(7))),
            ("6..:system+=\"a:b\"", Some(Scope::From(6))),
            ("*:model=gpt-x", Some(Scope::All)),
            ("nonsense", None),
            ("x:y=1", None),
        ] {
            assert_eq!(Scope::of(edit), scope, "{edit}");
        }
    }
}
