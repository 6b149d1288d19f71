//! How the trace trees of two runs differ: the part of `retake diff A B` that spans tell.

use super::style::{Ink, Style};
use super::words::{self, clip, line};
use crate::diff::Comparison;
use crate::diff::levels::At;
use crate::diff::structure::{Move, Ran};
use crate::run::tree::NodeKind;
use crate::run::tree::places::Level;

/// Lines that are shown unless all are asked for.
const LINES: usize = 12;
/// Of the spans above a step so many are named, the innermost ones.
const DEEP: usize = 3;

/// One line for each way in which steps moved in the tree, and for each agent that ran more or less often; none unless
/// both runs have spans.
pub(super) fn lines(c: &Comparison, full: bool, style: Style) -> Vec<String> {
    let Some(structure) = &c.structure else { return Vec::new() };
    let ran = structure.ran.iter().map(|of| ran_more_or_less(of, full));
    let all: Vec<String> = ran.chain(structure.moves.iter().map(|of| moved(of, full))).collect();
    let keep = if full { all.len() } else { LINES };
    let room = if full { usize::MAX } else { style.columns().saturating_sub(10) };
    let mut out = Vec::new();
    for text in all.iter().take(keep) {
        for (n, part) in words::fold(text, room.max(24)).into_iter().enumerate() {
            let label = if out.is_empty() { "tree" } else { "" };
            let indent = if n == 0 { "" } else { "  " };
            out.push(format!("{label:9} {}", style.paint(Ink::Note, &format!("{indent}{part}"))));
        }
    }
    if all.len() > keep {
        let text =
            format!("… {} (--all or --json shows them)", words::many((all.len() - keep) as u64, "more"));
        out.push(format!("{:9} {}", "", style.paint(Ink::Dim, &text)));
    }
    out
}

/// `step 7 lookup_order runs under agent planner, was under agent worker`.
fn moved(of: &Move, full: bool) -> String {
    let (one, steps) = numbers(&of.steps);
    let what = of.what.as_ref().map(|name| clip(&line(name), 40));
    let what =
        what.map(|name| if one { format!(" {name}") } else { format!(" ({name})") }).unwrap_or_default();
    let who = format!("{} {steps}{what}", if one { "step" } else { "steps" });
    let (left, right) = (under(&of.place.left, full), under(&of.place.right, full));
    let (runs, was) = if one { ("runs", "was") } else { ("run", "were") };
    // Where nothing stands in between it is the span above both.
    let direct = match of.place.above.last() {
        Some(above) => format!("directly under {}", of_kind(above, full)),
        None => "under none".into(),
    };
    match (of.place.left.is_empty(), of.place.right.is_empty()) {
        (true, _) if of.is_depth => format!("{who} {runs} under {right} as well, which was not there"),
        (_, true) if of.is_depth => format!("{who} no longer {runs} under {left}"),
        (true, _) => format!("{who} {runs} under {right}, {was} {direct}"),
        (_, true) => format!("{who} {runs} {direct}, {was} under {left}"),
        _ => format!("{who} {runs} under {right}, {was} under {left}"),
    }
}

/// `agent critic was not run (it took steps 9-12)`.
fn ran_more_or_less(of: &Ran, full: bool) -> String {
    let name = of_kind(&Level { kind: of.kind, name: of.name.clone() }, full);
    let took = |side: &str, steps: &[u32]| match steps {
        [] => String::new(),
        [one] => format!(" ({side}step {one})"),
        many => format!(" ({side}steps {})", words::ranges(many)),
    };
    match (of.left, of.right) {
        (_, 0) => format!("{name} was not run{}", took("it took ", &of.left_steps)),
        (0, _) => format!("{name} is new{}", took("it takes ", &of.right_steps)),
        (left, right) => {
            format!("{name} ran {}, was {}", words::many(right as u64, "time"), words::count(left as u64))
        }
    }
}

/// True for one step; the numbers in the left run, and those in the right one where they are others.
fn numbers(steps: &[At]) -> (bool, String) {
    let of = |side: &dyn Fn(&At) -> Option<u32>| {
        let mut all: Vec<u32> = steps.iter().filter_map(side).collect();
        all.sort_unstable();
        words::ranges(&all)
    };
    let (left, right) = (of(&|at| at.left), of(&|at| at.right));
    let other = if left == right { String::new() } else { format!(" (right: {right})") };
    (steps.len() == 1, format!("{left}{other}"))
}

/// `workflow research › agent planner`.
fn under(levels: &[Level], full: bool) -> String {
    let skip = if full { 0 } else { levels.len().saturating_sub(DEEP) };
    let names = levels.iter().skip(skip).map(|level| of_kind(level, full)).collect::<Vec<_>>().join(" › ");
    if skip > 0 { format!("… › {names}") } else { names }
}

/// `agent planner`.
pub(super) fn of_kind(level: &Level, full: bool) -> String {
    let kind = match level.kind {
        NodeKind::Agent => "agent ",
        NodeKind::Workflow => "workflow ",
        NodeKind::Tool => "tool ",
        NodeKind::Model => "model ",
        NodeKind::Run | NodeKind::Turn | NodeKind::Other => "",
    };
    let name = line(&level.name);
    format!("{kind}{}", if full { name } else { clip(&name, 48) })
}
