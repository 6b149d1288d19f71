//! Where in the file of a case the steps stand that findings tell of.

use crate::run::{Outline, StepKind};
use crate::store::bundle;
use crate::suite::case::Case;
use crate::suite::findings::Finding;
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufReader;

/// The line of each recorded step that is told of: where a person sees what was asked and answered. None where the file
/// cannot be read any more: the findings hold all the same.
pub(super) fn lines(case: &Case, outline: &Outline, findings: &[Finding]) -> BTreeMap<u32, u32> {
    let steps: BTreeSet<u32> = findings.iter().filter_map(|finding| finding.step).collect();
    if steps.is_empty() {
        return BTreeMap::new();
    }
    let file = std::fs::File::open(&case.file);
    let lines = file.and_then(|file| bundle::lines(&mut BufReader::new(file))).unwrap_or_default();
    let line = |step: u32| {
        let (lane, turn) = match outline.step(step)? {
            StepKind::Model { lane, turn } => (lane, turn),
            StepKind::Tool { site } => (site.lane, site.turn),
        };
        let exchange = outline.turn(lane, turn)?.attempts.last()?;
        Some((step, lines.get(exchange).copied()?))
    };
    steps.into_iter().filter_map(line).collect()
}
