//! What differs between two runs, grouped by where it comes from.

use super::kinds::ValueKind;
use serde::Serialize;

/// Where a difference comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The same request, another answer.
    Sampling,
    /// The same call, another result.
    ToolResult,
    /// Another text of the system or of the user.
    Prompt,
    /// The same calls in another order.
    Order,
    /// A request of another kind: another model, other tools or parameters, more or fewer of them.
    Request,
    /// The agent ended otherwise.
    Outcome,
}

/// How a replay copes with a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Copes {
    /// It does not: it stops here.
    No,
    /// The recorded answer is served.
    Recorded,
    /// It means the same: requests are matched by lane and turn, results by their calls, whatever their order.
    Matched,
    /// A named hole: the value is bound to the recorded one.
    Renamed,
    /// The recorded tool result is served on.
    Pinned,
    /// A rule says that it does not count.
    Masked,
    /// The same lines in another order.
    Reordered,
}

/// One difference, or several of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Where it comes from.
    pub source: Source,
    /// What kind of value it is, where it is one.
    pub kind: Option<ValueKind>,
    /// Steps of the recording.
    pub steps: Vec<u32>,
    /// The tool, for a result.
    pub tool: Option<String>,
    /// Where it stands the first time: `messages[1].text`, or a field of a result.
    pub path: String,
    /// The smallest part that differs, as it was recorded.
    pub recorded: String,
    /// The same in the other run.
    pub live: String,
    /// Whether a replay goes on.
    pub copes: Copes,
    /// Why not, in the matcher's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to paste into `retake.toml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paste: Option<String>,
}

impl Finding {
    /// True when both are one thing, seen at several steps.
    fn is_like(&self, other: &Finding) -> bool {
        let place = |f: &Finding| match f.source {
            Source::ToolResult => f.path.clone(),
            // A message stands at another index in another lane; what it is does not change.
            _ => f.path.replace(|c: char| c.is_ascii_digit(), ""),
        };
        let sort = |f: &Finding| {
            // A rule takes it, for whatever reason it was refused here and there.
            let why = f.why.clone().filter(|_| f.paste.is_none());
            (f.source, f.kind, f.copes, f.tool.clone(), why, place(f), f.paste.clone())
        };
        // Answers and other requests are told one by one.
        sort(self) == sort(other) && !matches!(self.source, Source::Request | Source::Outcome)
    }
}

/// Puts what belongs together into one, by source.
pub(super) fn grouped(all: Vec<Finding>) -> Vec<Finding> {
    let mut out: Vec<Finding> = Vec::new();
    for finding in all {
        match out.iter_mut().find(|known| known.is_like(&finding)) {
            Some(known) => {
                known.steps.extend(&finding.steps);
                known.steps.sort_unstable();
                known.steps.dedup();
            }
            None => out.push(finding),
        }
    }
    out.sort_by_key(|f| (f.source, f.copes, f.steps.first().copied()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rule_is_one_finding() {
        let found = |step: u32, why: &str, paste: Option<&str>| Finding {
            source: Source::Prompt,
            kind: Some(ValueKind::Number),
            steps: vec![step],
            tool: None,
            path: format!("messages[{step}].text"),
            recorded: "Ticket 1".into(),
            live: "Ticket 2".into(),
            copes: Copes::No,
            why: Some(why.into()),
            paste: paste.map(str::to_string),
        };
        let rule = Some("[[hole]]\npattern = 'Ticket (\\d+)'\n");
        let all = grouped(vec![found(1, "another request", rule), found(3, "a message differs", rule)]);
        assert_eq!((all.len(), &all[0].steps), (1, &vec![1, 3]), "{all:?}");
        let none = grouped(vec![found(1, "another request", None), found(3, "a message differs", None)]);
        assert_eq!(none.len(), 2, "{none:?}");
    }
}
