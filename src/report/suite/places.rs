//! Paths of this machine, taken out of what leaves it.

use crate::suite::checks::Outcome;
use crate::suite::outcome::{CaseOutcome, SuiteOutcome};

/// A directory of this machine, and what stands for it in a report.
#[derive(Debug, Clone)]
pub struct Place {
    /// An absolute path, without a slash at its end.
    pub path: String,
    /// `.`, `~`
    pub stands: &'static str,
}

/// Puts what stands for them in the place of directories, wherever a report tells of them. The longest path goes first.
pub fn without(places: &[Place], of: &mut SuiteOutcome) {
    let mut places: Vec<&Place> =
        places.iter().filter(|place| place.path.starts_with('/') && place.path.len() > 1).collect();
    places.sort_by(|a, b| b.path.len().cmp(&a.path.len()).then_with(|| a.path.cmp(&b.path)));
    let change = |text: &mut String| {
        for place in &places {
            if text.contains(&place.path) {
                *text = replaced(text, place);
            }
        }
    };
    of.cases.iter_mut().for_each(|case| texts(case, &change));
}

fn texts(case: &mut CaseOutcome, change: &impl Fn(&mut String)) {
    let whole = [&mut case.file, &mut case.why, &mut case.excerpt, &mut case.miss, &mut case.output];
    whole.into_iter().chain(&mut case.hints).chain(&mut case.warnings).for_each(change);
    for finding in &mut case.findings {
        change(&mut finding.what);
        for difference in finding.difference.iter_mut().chain(&mut finding.more) {
            difference.before.iter_mut().chain(&mut difference.after).for_each(change);
        }
    }
    for check in &mut case.checks {
        match &mut check.outcome {
            Outcome::Passed => {}
            Outcome::Failed { what } => change(what),
            Outcome::Broken { why } => change(why),
        }
    }
}

/// A path counts where it is not a part of another one's name.
fn replaced(text: &str, place: &Place) -> String {
    let of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&place.path) {
        let (before, after) = rest.split_at(at);
        let after = after.strip_prefix(place.path.as_str()).unwrap_or_default();
        out.push_str(before);
        let mut behind = after.chars();
        // A full stop may end a sentence.
        let goes_on = match behind.next() {
            Some('.') => behind.next().is_some_and(of_name),
            Some(c) => of_name(c),
            None => false,
        };
        let whole = !out.ends_with(of_name) && !goes_on;
        out.push_str(if whole { place.stands } else { &place.path });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_are_replaced() {
        let home = Place { path: "/root".into(), stands: "~" };
        for (text, told) in [
            ("File \"/root/agent.py\", line 3", "File \"~/agent.py\", line 3"),
            ("/root", "~"),
            ("in /root.", "in ~."),
            ("file:///root/x /rooted /srv/root/y /root.d", "file://~/x /rooted /srv/root/y /root.d"),
            ("/root:/root", "~:~"),
        ] {
            assert_eq!(replaced(text, &home), told);
        }
    }
}
