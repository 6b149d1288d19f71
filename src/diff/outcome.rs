//! How two runs ended, and what they used.

use super::stop::Stop;
use super::view::RunView;
use super::worlds::{Verdict, Worlds};
use crate::prices::Spent;
use crate::run::{RunState, StepKind};
use serde::Serialize;

/// How one run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct End {
    /// Exit code of the agent.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What the run is doing.
    pub state: RunState,
    /// The last answer ([`Outline::ends`](crate::run::Outline::ends)), in full; none when there is none. Of several, the
    /// one that the other run has not.
    pub answer: Option<String>,
    /// Why the last model call failed.
    pub error: Option<String>,
    /// Where retake stopped it; none when it ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stop>,
}

/// How two runs ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    /// The left one.
    pub left: End,
    /// The right one.
    pub right: End,
    /// True when the exit codes or signals differ, or one run never ended. False when nobody
    /// told how one of them did.
    pub exit_differs: bool,
    /// True when the last answers differ in more than ids and clocks.
    pub answer_differs: bool,
}

impl End {
    fn of(run: &RunView, answer: Option<String>, stopped: Option<Stop>) -> End {
        let outcome = run.manifest.outcome.as_ref();
        End {
            exit_code: outcome.and_then(|o| o.exit_code),
            signal: outcome.and_then(|o| o.signal),
            state: run.state,
            answer,
            stopped,
            // What retake itself said is no error of a model's.
            error: run
                .last_turn()
                .and_then(|t| t.error.as_ref())
                .map(|e| e.strip_prefix("422 retake: ").unwrap_or(e).to_string()),
        }
    }
}

/// What a run says at its end, and at the end of any of its conversations.
struct LastWords {
    ends: Vec<String>,
    all: Vec<String>,
}

impl LastWords {
    fn of(run: &RunView) -> LastWords {
        let texts = |places: Vec<(u32, u32)>| {
            let turns = places.into_iter().filter_map(|(lane, turn)| run.outline.turn(lane, turn));
            let mut texts: Vec<String> = turns.map(|t| run.full_text(t)).filter(|t| !t.is_empty()).collect();
            texts.sort();
            texts
        };
        LastWords { ends: texts(run.outline.ends()), all: texts(run.outline.root_ends()) }
    }

    /// The first end that is the end of no conversation of the other run. Whether branches that nothing joins overlap
    /// is a matter of timing, so that one of them may be an end in one run and not in the other.
    fn own<'a>(&'a self, other: &LastWords, same: impl Fn(&str, &str) -> bool) -> Option<&'a String> {
        let is_there = |end: &String| {
            other.all.binary_search(end).is_ok() || other.all.iter().any(|word| same(end, word))
        };
        self.ends.iter().find(|end| !is_there(end))
    }
}

impl Outcomes {
    pub(super) fn of(
        worlds: &Worlds,
        (left, right): (&RunView, &RunView),
        stops: (Option<Stop>, Option<Stop>),
    ) -> Outcomes {
        let same = |l: &str, r: &str| worlds.attempt(|| worlds.text(l, r), |_| false) != Verdict::Differs;
        let (words, others) = (LastWords::of(left), LastWords::of(right));
        let (own, other) = (words.own(&others, same), others.own(&words, |r, l| same(l, r)));
        let answer_differs =
            own.is_some() || other.is_some() || words.ends.is_empty() != others.ends.is_empty();
        let l = End::of(left, own.or(words.ends.first()).cloned(), stops.0);
        let r = End::of(right, other.or(others.ends.first()).cloned(), stops.1);
        // How a run would have ended that was not allowed to end is not known.
        let ended = stops.0.is_none() && stops.1.is_none();
        let untold = |run: &RunView| run.manifest.outcome.as_ref().is_some_and(|o| !o.is_told());
        let told = !untold(left) && !untold(right);
        Outcomes {
            exit_differs: ended && told && (l.exit_code, l.signal) != (r.exit_code, r.signal),
            answer_differs: ended && (answer_differs || l.error.is_some() != r.error.is_some()),
            left: l,
            right: r,
        }
    }

    /// True when the runs ended differently.
    pub fn differ(&self) -> bool {
        self.exit_differs || self.answer_differs
    }
}

/// What one run used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Model and tool steps.
    pub steps: u32,
    /// Model steps.
    pub model_steps: u32,
    /// Tool steps.
    pub tool_steps: u32,
    /// Tokens read.
    pub tokens_in: u64,
    /// Tokens written.
    pub tokens_out: u64,
    /// From start to end in microseconds; none when nobody saw it.
    pub duration_us: Option<u64>,
    /// What its model calls cost, in US dollars; `null` when one of them has no price.
    pub cost: Spent,
}

impl Totals {
    /// Adds up a run.
    pub fn of(run: &RunView) -> Totals {
        let steps = run.outline.steps.len() as u32;
        let is_model = |kind: &StepKind| matches!(kind, StepKind::Model { .. });
        let model_steps = run.outline.steps.iter().filter(|s| is_model(&s.kind)).count() as u32;
        let usage = run.outline.usage();
        Totals {
            steps,
            model_steps,
            tool_steps: steps - model_steps,
            tokens_in: usage.input,
            tokens_out: usage.output,
            duration_us: run.duration_us(),
            cost: run.spent(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::tests::fake::Fake;
    use crate::run::LaneKind;

    fn outcomes(left: &Fake, right: &Fake) -> Outcomes {
        Outcomes::of(&Worlds::unknown(), (&left.view(), &right.view()), (None, None))
    }

    /// Three questions at once, in this order of arrival, and a call that joins their answers.
    fn joined(id: &str, order: [&str; 3], verdict: &str) -> Fake {
        let mut run = Fake::new(id);
        for (index, question) in order.into_iter().enumerate() {
            if index > 0 {
                run.open(&format!("main.{}", index + 1), LaneKind::Root, None);
            }
            run.user(question).says(&format!("answer to {question}"));
        }
        run.open("main.4", LaneKind::Root, None).user("summarise").says(verdict).end(0);
        run.on(0).open("main#1", LaneKind::Side, None).user("a title").says("t");
        run
    }

    #[test]
    fn the_call_after_all_others_ends_a_run() {
        let a = joined("par.1", ["a", "b", "c"], "both");
        assert_eq!(a.outline.ends(), [(3, 0)], "a side call is no last word");
        let b = joined("par.2", ["c", "a", "b"], "both");
        let same = outcomes(&a, &b);
        assert!(!same.differ(), "{same:?}");
        assert_eq!(same.left.answer.as_deref(), Some("both"));
        let c = joined("par.3", ["c", "a", "b"], "neither");
        let other = outcomes(&a, &c);
        assert!(other.answer_differs);
        assert_eq!(
            (other.left.answer.as_deref(), other.right.answer.as_deref()),
            (Some("both"), Some("neither"))
        );
    }

    /// Two branches that nothing joins; overlapping or not.
    fn apart(id: &str, questions: [&str; 2], overlap: bool) -> Fake {
        let mut run = Fake::new(id);
        run.user(questions[0]).says(&format!("answer to {}", questions[0]));
        run.open("main.2", LaneKind::Root, None)
            .user(questions[1])
            .says(&format!("answer to {}", questions[1]));
        if overlap {
            let first = run.outline.lanes[0].turns[0].started_us;
            run.outline.lanes[1].turns[0].started_us = first + 1;
        }
        run.end(0);
        run
    }

    #[test]
    fn branches_that_nothing_joins_end_a_run_together() {
        let a = apart("par.1", ["a", "b"], true);
        assert_eq!(a.outline.ends(), [(0, 0), (1, 0)]);
        for (questions, overlap) in [(["b", "a"], true), (["a", "b"], false), (["b", "a"], false)] {
            let b = apart("par.2", questions, overlap);
            assert!(!outcomes(&a, &b).differ(), "{questions:?} {overlap}");
        }
        let b = apart("par.2", ["b", "x"], true);
        let other = outcomes(&a, &b);
        assert_eq!(other.left.answer.as_deref(), Some("answer to a"));
        assert_eq!(other.right.answer.as_deref(), Some("answer to x"));
    }

    #[test]
    fn a_continuation_speaks_for_what_it_continues() {
        let mut run = Fake::new("long.1");
        run.user("task").says("so far");
        run.open("main~1", LaneKind::Continuation, None).user("summary").says("done");
        run.outline.lanes[1].continues = Some(0);
        assert_eq!(run.outline.ends(), [(1, 0)]);
    }
}
