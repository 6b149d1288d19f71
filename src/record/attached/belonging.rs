//! Which run of a name something that was exported belongs to. Pure.
//!
//! Spans come when they have ended, often after the run they are of, and in the name that their exporter has, which other
//! runs have before and after. So: a span belongs to the run that was open while it was. Where that says nothing
//! its trace does.

use crate::otlp::Moment;
use std::collections::HashSet;

/// Ids of traces that are kept of one run at most.
const MOST_TRACES: usize = 4096;

/// Traces that something of a run was in.
#[derive(Debug, Default)]
pub(super) struct Traces(HashSet<[u8; 16]>);

impl Traces {
    /// Notes one. More than can be kept: those to come are not known, and go by their times.
    pub(super) fn note(&mut self, trace: [u8; 16]) {
        if self.0.len() < MOST_TRACES {
            self.0.insert(trace);
        }
    }

    pub(super) fn has(&self, trace: &[u8; 16]) -> bool {
        self.0.contains(trace)
    }
}

/// A run that an export may belong to.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidate {
    /// When it began: microseconds since the Unix epoch.
    pub began_us: u64,
    /// When it ended; none: it is open.
    pub ended_us: Option<u64>,
    /// Traces of the export that are its.
    pub known: HashSet<[u8; 16]>,
}

impl Candidate {
    fn knows(&self, moment: &Moment) -> bool {
        moment.trace.is_some_and(|trace| self.known.contains(&trace))
    }

    /// Nothing else can be meant.
    fn holds(&self, moment: &Moment) -> bool {
        moment.start_us >= self.began_us && self.ended_us.is_none_or(|ended| moment.end_us <= ended)
    }

    fn overlaps(&self, moment: &Moment) -> bool {
        moment.end_us >= self.began_us && self.ended_us.is_none_or(|ended| moment.start_us <= ended)
    }
}

/// Of each moment of an export which of the runs of its name it belongs to, by index; none: the open one, or the one that
/// begins with it. Runs are in the order in which they began.
pub(super) fn places(runs: &[Candidate], moments: &[Moment]) -> Vec<Option<usize>> {
    let mut runs = runs.to_vec();
    for moment in moments {
        if let (Some(trace), Some(run)) = (moment.trace, runs.iter_mut().find(|run| run.holds(moment))) {
            run.known.insert(trace);
        }
    }
    moments.iter().map(|moment| place(&runs, moment)).collect()
}

fn place(runs: &[Candidate], moment: &Moment) -> Option<usize> {
    let open = runs.iter().find(|run| run.ended_us.is_none());
    let ended = || runs.iter().enumerate().filter(|(_, run)| run.ended_us.is_some());
    if let Some((at, run)) = ended().find(|(_, run)| run.overlaps(moment)) {
        // The first that the next run does may begin before the end of this one was seen.
        let of_the_open_one = open.is_some_and(|open| open.knows(moment)) && !run.knows(moment);
        return (!of_the_open_one).then_some(at);
    }
    let (at, _) = ended().rev().find(|(_, run)| run.knows(moment))?;
    (!open.is_some_and(|open| open.overlaps(moment))).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [u8; 16] = [1; 16];
    const NEW: [u8; 16] = [2; 16];

    fn at(trace: [u8; 16], start_us: u64, end_us: u64) -> Moment {
        Moment { trace: Some(trace), start_us, end_us }
    }

    /// A run from 100 to 200 and, with `open`, one that began at 300.
    fn runs(open: bool, known: [&[[u8; 16]]; 2]) -> Vec<Candidate> {
        let [of_ended, of_open] = known.map(|all| all.iter().copied().collect::<HashSet<_>>());
        let ended = Candidate { began_us: 100, ended_us: Some(200), known: of_ended };
        let open = open.then_some(Candidate { began_us: 300, ended_us: None, known: of_open });
        std::iter::once(ended).chain(open).collect()
    }

    #[test]
    fn a_span_belongs_to_the_run_that_was_open_while_it_was() {
        let before = Some(0);
        for (what, runs, moment, wanted) in [
            ("nobody knows it", runs(false, [&[], &[]]), at(NEW, 250, 260), None),
            ("in the run", runs(false, [&[], &[]]), at(NEW, 150, 160), before),
            ("around all of it", runs(false, [&[], &[]]), at(NEW, 90, 290), before),
            ("around all of it, beside the next", runs(true, [&[], &[]]), at(NEW, 90, 290), before),
            ("late, of its trace", runs(false, [&[OLD], &[]]), at(OLD, 250, 260), before),
            ("late, of its trace, before the next", runs(true, [&[OLD], &[]]), at(OLD, 250, 260), before),
            ("its trace goes on", runs(true, [&[OLD], &[]]), at(OLD, 299, 310), None),
            ("the first call of the next", runs(true, [&[], &[]]), at(NEW, 299, 310), None),
            ("begun before the end was seen", runs(true, [&[], &[NEW]]), at(NEW, 199, 400), None),
            ("before everything", runs(false, [&[], &[]]), at(NEW, 10, 20), None),
        ] {
            assert_eq!(places(&runs, &[moment]), [wanted], "{what}");
        }
    }

    #[test]
    fn spans_of_one_export_tell_of_each_other() {
        let told = [at(OLD, 150, 160), at(OLD, 240, 250), at(NEW, 310, 320), at(NEW, 190, 330)];
        assert_eq!(places(&runs(true, [&[], &[]]), &told), [Some(0), Some(0), None, None]);
        let timeless = Moment { trace: None, start_us: 0, end_us: 0 };
        assert_eq!(places(&runs(true, [&[OLD], &[]]), &[timeless]), [None]);
        assert_eq!(places(&[], &told), [None; 4]);
    }

    #[test]
    fn what_is_known_has_a_bound() {
        let mut traces = Traces::default();
        for number in 0..2 * MOST_TRACES as u128 {
            traces.note(number.to_be_bytes());
        }
        assert!(traces.0.len() == MOST_TRACES && traces.has(&0u128.to_be_bytes()));
    }
}
