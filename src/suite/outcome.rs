//! What became of the cases of a suite: data that reports are made of, and that shards are put together from.

use super::checks::Judgement;
use super::findings::{Drift, Finding, Severity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a case came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The agent does what it did, and every check holds.
    Passed,
    /// It does not.
    Regression,
    /// Not to be judged: the agent was stopped before the end by something that says nothing about it.
    Inconclusive,
    /// The case itself is unusable, or the agent cannot be run.
    Broken,
}

impl Verdict {
    /// Its word: `passed`.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Regression => "regression",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Broken => "broken",
        }
    }
}

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseOutcome {
    /// Its name, unique in the suite: the path below the suite's directory, without the ending.
    pub name: String,
    /// Its file, as it was found.
    pub file: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one sentence; empty when it passed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The line of a file that is wrong, with a mark below what is wrong in it, as several lines; empty when it is about
    /// none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub excerpt: String,
    /// What to do next, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// What drifted first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Steps of the recording, and how many of them were gone through again.
    pub steps: u32,
    /// See `steps`.
    pub replayed: u32,
    /// How requests matched, unless all did exactly: `3 exact, 2 renamed`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub matched: String,
    /// Model calls that were made for real.
    pub live: u32,
    /// Tools that the agent ran for real: names, and how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools_run: Vec<(String, u32)>,
    /// What differs, the first cause first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Lines of the file, from 1, on which the recorded steps stand that findings tell of: the number of the step, the line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lines: BTreeMap<u32, u32>,
    /// What was asked to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Judgement>,
    /// Why nothing recorded was right for a request, as it is explained in a terminal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub miss: String,
    /// The file with what it does now, which waits to be accepted; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pending: String,
    /// What the agent printed, its end when it is long; kept of cases that did not pass.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// Other things to be known, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Wall time in microseconds, and how much of it the agent's process lived.
    pub took_us: u64,
    /// See `took_us`.
    pub agent_us: u64,
}

impl CaseOutcome {
    /// A case about which nothing is known but why.
    pub fn broken(name: &str, file: &str, why: impl Into<String>) -> CaseOutcome {
        CaseOutcome {
            name: name.to_string(),
            file: file.to_string(),
            verdict: Verdict::Broken,
            why: why.into(),
            excerpt: String::new(),
            hints: Vec::new(),
            drift: None,
            steps: 0,
            replayed: 0,
            matched: String::new(),
            live: 0,
            tools_run: Vec::new(),
            findings: Vec::new(),
            lines: BTreeMap::new(),
            checks: Vec::new(),
            miss: String::new(),
            pending: String::new(),
            output: String::new(),
            warnings: Vec::new(),
            took_us: 0,
            agent_us: 0,
        }
    }

    /// The finding that decides, if one does.
    pub fn first_error(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.severity == Severity::Error)
    }

    /// The line of the file that a finding is about: 1 where it is about no recorded step.
    pub fn line_of(&self, finding: &Finding) -> u32 {
        finding.step.and_then(|step| self.lines.get(&step)).copied().unwrap_or(1)
    }

    /// The line of what decides: of a regression that of its first cause, else 1.
    pub fn line(&self) -> u32 {
        let first = self.first_error().filter(|_| self.verdict == Verdict::Regression);
        first.map_or(1, |finding| self.line_of(finding))
    }
}

/// Version of the form of [`SuiteOutcome`].
pub const FORMAT: u32 = 1;

/// More shards than anybody has.
const MOST: usize = 10_000;

/// What became of a suite, or of a shard of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuiteOutcome {
    /// Version of this form: 1.
    pub format: u32,
    /// Version of retake.
    pub retake: String,
    /// When it began: microseconds since the Unix epoch.
    pub started_us: u64,
    /// Wall time in microseconds; of several shards that of the longest.
    pub took_us: u64,
    /// Which shards: `1/3`; empty for a whole suite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<String>,
    /// Cases that a pattern left out.
    pub left_out: usize,
    /// The cases in order of their names.
    pub cases: Vec<CaseOutcome>,
}

/// How many cases came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Regressions.
    pub regressions: usize,
    /// Not to be judged.
    pub inconclusive: usize,
    /// Broken.
    pub broken: usize,
}

impl SuiteOutcome {
    /// How many came to what.
    pub fn counts(&self) -> Counts {
        let of = |verdict| self.cases.iter().filter(|case| case.verdict == verdict).count();
        Counts {
            passed: of(Verdict::Passed),
            regressions: of(Verdict::Regression),
            inconclusive: of(Verdict::Inconclusive),
            broken: of(Verdict::Broken),
        }
    }

    /// The verdict of the whole: a regression is told whatever else there is, then what is broken, then what is open. A
    /// suite without a case is broken: it proves nothing. A shard may be empty.
    pub fn verdict(&self) -> Verdict {
        let counts = self.counts();
        match counts {
            _ if self.cases.is_empty() && self.shards.is_empty() => Verdict::Broken,
            Counts { regressions: 1.., .. } => Verdict::Regression,
            Counts { broken: 1.., .. } => Verdict::Broken,
            Counts { inconclusive: 1.., .. } => Verdict::Inconclusive,
            _ => Verdict::Passed,
        }
    }

    /// One outcome of the shards of a suite. A shard that is missing is a broken case of it: what was not run proves
    /// nothing.
    ///
    /// # Errors
    /// In words: none, a shard or a case that is in two of them, or shards of different suites.
    pub fn merged(shards: Vec<SuiteOutcome>) -> Result<SuiteOutcome, String> {
        let parts: Vec<Option<(usize, usize)>> = shards.iter().flat_map(SuiteOutcome::parts).collect();
        let alone = shards.iter().any(|shard| shard.shards.is_empty());
        let mut shards = shards.into_iter();
        let mut whole = shards.next().ok_or("there is nothing to merge")?;
        for shard in shards {
            whole.started_us = whole.started_us.min(shard.started_us);
            whole.took_us = whole.took_us.max(shard.took_us);
            // Each shard of a suite leaves out the same, before it takes its part.
            whole.left_out =
                if alone { whole.left_out + shard.left_out } else { whole.left_out.max(shard.left_out) };
            whole.shards.extend(shard.shards);
            whole.cases.extend(shard.cases);
        }
        let mut names = whole.shards.clone();
        names.sort();
        if let Some([twice, ..]) = names.windows(2).find(|two| matches!(two, [a, b] if a == b)) {
            return Err(format!("shard {twice} is in two of the reports"));
        }
        whole.cases.sort_by(|a, b| a.name.cmp(&b.name));
        let twice = whole.cases.windows(2).find(|pair| matches!(pair, [a, b] if a.name == b.name));
        if let Some(twice) = twice.and_then(<[CaseOutcome]>::first) {
            return Err(format!("{} is in two of the reports", twice.name));
        }
        let Some(first) = parts.first() else { return Ok(whole) };
        let strangers = alone || parts.iter().any(|part| part.map(|(_, of)| of) != first.map(|(_, of)| of));
        let of = first.map(|(_, of)| of).filter(|_| !strangers);
        let Some(of) = of else {
            return Err(format!("they are not of one suite: {}", names.join(", ")));
        };
        for index in (1..=of).filter(|index| !parts.contains(&Some((*index, of)))) {
            let why = format!("the report of shard {index}/{of} is missing");
            whole.cases.push(CaseOutcome::broken(&format!("shard {index}/{of}"), "", why));
        }
        // A whole suite again.
        whole.shards.clear();
        Ok(whole)
    }

    /// Its shards as numbers; none of what is not one.
    fn parts(&self) -> Vec<Option<(usize, usize)>> {
        let part = |text: &String| {
            let (index, of) = text.split_once('/')?;
            let (index, of): (usize, usize) = (index.parse().ok()?, of.parse().ok()?);
            ((1..=of).contains(&index) && of <= MOST).then_some((index, of))
        };
        self.shards.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(part: &[&str], cases: &[&str]) -> SuiteOutcome {
        let passed =
            |name: &&str| CaseOutcome { verdict: Verdict::Passed, ..CaseOutcome::broken(name, "", "") };
        SuiteOutcome {
            format: FORMAT,
            retake: "1".into(),
            started_us: 5,
            took_us: 7,
            shards: part.iter().map(ToString::to_string).collect(),
            left_out: 3,
            cases: cases.iter().map(passed).collect(),
        }
    }

    #[test]
    fn shards_are_one_suite_again() {
        let whole =
            SuiteOutcome::merged(vec![shard(&["2/2"], &["b"]), shard(&["1/2"], &["a", "c"])]).unwrap();
        assert_eq!(whole.cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((whole.verdict(), whole.left_out, whole.shards.len()), (Verdict::Passed, 3, 0));
        let empty = SuiteOutcome::merged(vec![shard(&["2/2"], &[]), shard(&["1/2"], &[])]).unwrap();
        assert_eq!(empty.verdict(), Verdict::Broken);
    }

    #[test]
    fn a_missing_shard_breaks_the_whole() {
        let whole = SuiteOutcome::merged(vec![shard(&["1/3"], &["a"]), shard(&["3/3"], &["b"])]).unwrap();
        assert_eq!(whole.verdict(), Verdict::Broken);
        assert_eq!(whole.cases[2].why, "the report of shard 2/3 is missing");
    }

    #[test]
    fn what_does_not_belong_together_is_not_merged() {
        let wrong = |shards| SuiteOutcome::merged(shards).unwrap_err();
        assert!(wrong(vec![]).contains("nothing"));
        assert_eq!(
            wrong(vec![shard(&["1/2"], &["a"]), shard(&["1/2"], &["a"])]),
            "shard 1/2 is in two of the reports"
        );
        assert_eq!(wrong(vec![shard(&[], &["a"]), shard(&[], &["a"])]), "a is in two of the reports");
        for strangers in [&["2/3"][..], &[], &["x"], &["2/99999999999"]] {
            let said = wrong(vec![shard(&["1/2"], &["a"]), shard(strangers, &["b"])]);
            assert!(said.contains("not of one suite"), "{said}");
        }
    }
}
