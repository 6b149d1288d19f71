//! The trace tree of a run with its waterfall: what `retake show RUN --tree` prints.

use super::heading::{footing, heading};
use super::style::{Ink, Style};
use super::table::{Cell, Column, table};
use super::words::{self, line};
use crate::diff::RunView;
use crate::run::tree::{Node, NodeKind};

/// The waterfall is this wide, where the line has room for it.
const BAR: usize = 28;
/// A line that is narrower has no room.
const ROOM_FOR_BARS: usize = 90;
/// So many nodes are shown without `--full`.
const PAGE: usize = 200;
/// So many names of events of one node.
const EVENTS: usize = 2;
/// Of the children of one node so many at least, before the rest is counted.
const LEAST: usize = 6;

/// Heading, tree, and what is odd about the run. `full`: all of it, however much that is.
pub fn show(run: &RunView, tree: &Node, full: bool, style: Style) -> String {
    let mut out = heading(run, style);
    let mut rows = Vec::new();
    let drawing = Drawing {
        whole: (tree.start_us, tree.took_us().max(1)),
        bars: style.columns() >= ROOM_FOR_BARS,
        most: if full { usize::MAX } else { PAGE },
    };
    drawing.children(tree, "", &mut rows);
    let columns = [
        Column::right("#"),
        Column::flexible("what"),
        Column::right("time"),
        Column::right("tokens"),
        Column::right("cost"),
        Column::left(""),
    ];
    out.push_str(&table(&columns, &rows, style));
    out.push_str(&footing(run, marks(tree), style));
    out
}

/// What the signs mean, of those that are there.
fn marks(tree: &Node) -> Vec<String> {
    if tree.children.is_empty() {
        return Vec::new();
    }
    let lacks = |node: &Node| node.span.is_none() && !matches!(node.kind, NodeKind::Run | NodeKind::Turn);
    let some = any(tree, &|node| node.span.is_some()) && any(tree, &lacks);
    let derived = some.then_some("   · derived: no span tells of it");
    let event = any(tree, &|node| !node.events.is_empty()).then_some("   ◆ event");
    let (event, derived) = (event.unwrap_or_default(), derived.unwrap_or_default());
    vec![format!("█ on the critical path   ░ beside it{event}{derived}")]
}

fn any(node: &Node, is: &impl Fn(&Node) -> bool) -> bool {
    is(node) || node.children.iter().any(|child| any(child, is))
}

/// `◆ retry, exception and 2 more`: what happened in a span.
fn happened(events: &[(u64, String)]) -> String {
    let mut names: Vec<&str> = events.iter().map(|(_, name)| name.as_str()).collect();
    names.dedup();
    let shown = names.iter().take(EVENTS).map(|name| words::clip(&line(name), 24)).collect::<Vec<_>>();
    let more = names.len().saturating_sub(EVENTS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("◆ {}{more}", shown.join(", "))
}

/// The one call that a turn is made of.
fn lone_call(node: &Node) -> Option<&Node> {
    match node.children.as_slice() {
        [call] if node.kind == NodeKind::Turn => Some(call),
        _ => None,
    }
}

struct Drawing {
    /// Beginning and length of the run.
    whole: (u64, u64),
    bars: bool,
    /// Rows that there may be.
    most: usize,
}

impl Drawing {
    fn children(&self, of: &Node, indent: &str, rows: &mut Vec<Vec<Cell>>) {
        let left = self.most.saturating_sub(rows.len());
        let shown = if of.size() <= left { of.children.len() } else { LEAST.max(left / 4) };
        let shown = shown.min(of.children.len());
        let is_spanned =
            of.span.is_some() || of.kind == NodeKind::Run && any(of, &|node| node.span.is_some());
        for (index, child) in of.children.iter().take(shown).enumerate() {
            let last = index + 1 == of.children.len();
            let (branch, below) = if last { ("└ ", "  ") } else { ("├ ", "│ ") };
            let indent_below = format!("{indent}{below}");
            match lone_call(child) {
                // A turn that is one call takes one line.
                Some(call) => {
                    let branch = format!("{indent}{branch}{}  ", line(&child.name));
                    rows.push(self.row(call, &branch, is_spanned));
                    self.children(call, &indent_below, rows);
                }
                None => {
                    rows.push(self.row(child, &format!("{indent}{branch}"), is_spanned));
                    self.children(child, &indent_below, rows);
                }
            }
        }
        let hidden: usize = of.children.iter().skip(shown).map(Node::size).sum();
        if hidden > 0 {
            let text = format!("{indent}└ … {} more (--full shows all)", words::count(hidden as u64));
            rows.push(vec![Cell::default(), Cell::new(Ink::Dim, text)]);
        }
    }

    fn row(&self, node: &Node, branch: &str, is_spanned: bool) -> Vec<Cell> {
        let kind = match node.kind {
            NodeKind::Run => "run ",
            NodeKind::Workflow => "workflow ",
            NodeKind::Agent => "agent ",
            NodeKind::Model => "model ",
            NodeKind::Tool => "tool ",
            NodeKind::Turn | NodeKind::Other => "",
        };
        // Where others have spans it is to be seen that this one has none.
        let lacks = node.span.is_none() && node.kind != NodeKind::Turn;
        let derived = if is_spanned && lacks { "· " } else { "" };
        let ink = match node.kind {
            _ if node.error.is_some() => Ink::Bad,
            NodeKind::Agent | NodeKind::Workflow => Ink::Strong,
            NodeKind::Other | NodeKind::Turn => Ink::Dim,
            _ => Ink::Plain,
        };
        let mut remarks = Vec::new();
        if let Some(error) = &node.error {
            remarks.push(if error.is_empty() { "failed".into() } else { words::clip(&line(error), 40) });
        }
        if let Some(held) = node.held_up.filter(|held| held.by_us >= node.took_us() / 100) {
            let others = words::many(held.others.into(), "other");
            remarks.push(format!("held {others} up by {}", words::duration(held.by_us)));
        }
        if !node.events.is_empty() {
            remarks.push(happened(&node.events));
        }
        let spent = node.spent();
        let total = node.total();
        let tokens = match (total.input, total.output) {
            (0, 0) => String::new(),
            (input, output) => words::tokens(input, output),
        };
        let what = Cell::new(ink, format!("{branch}{derived}{kind}{}", line(&node.name)));
        vec![
            Cell::new(Ink::Dim, node.step.map(|step| step.to_string()).unwrap_or_default()),
            if remarks.is_empty() { what } else { what.with_remark(remarks.join(", ")) },
            Cell::plain(words::duration(node.took_us())),
            Cell::plain(tokens),
            Cell::plain(if spent.priced > 0 { spent.narrow() } else { String::new() }),
            Cell::new(Ink::Dim, if self.bars { self.bar(node) } else { String::new() }),
        ]
    }

    fn bar(&self, node: &Node) -> String {
        let (start, length) = self.whole;
        let place = |at: u64| {
            let part = u128::from(at.saturating_sub(start)) * BAR as u128 / u128::from(length);
            usize::try_from(part).unwrap_or(BAR).min(BAR)
        };
        let from = place(node.start_us).min(BAR - 1);
        let to = place(node.end_us).max(from + 1);
        let sign = if node.critical { "█" } else { "░" };
        format!("{}{}", " ".repeat(from), sign.repeat(to - from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_an_end() {
        let mut run = Node::new(NodeKind::Run, "x.1", 0, 1000);
        run.children = (0..100_000).map(|at| Node::new(NodeKind::Other, "span", at, at + 1)).collect();
        let drawing = Drawing { whole: (0, 1000), bars: true, most: PAGE };
        let mut rows = Vec::new();
        drawing.children(&run, "", &mut rows);
        assert!(rows.len() <= PAGE, "{}", rows.len());
        let last = &rows.last().unwrap()[1].text;
        assert_eq!(
            last,
            &format!("└ … {} more (--full shows all)", words::count(100_000 - (PAGE / 4) as u64))
        );
    }

    #[test]
    fn bars_stay_in_their_column() {
        let drawing = Drawing { whole: (100, 10), bars: true, most: PAGE };
        for (start, end) in [(0, 5), (100, 110), (105, 105), (110, 400), (u64::MAX, u64::MAX)] {
            let bar = drawing.bar(&Node::new(NodeKind::Other, "x", start, end));
            assert!((1..=BAR).contains(&bar.chars().count()), "{start} {end}: {bar:?}");
        }
    }
}
