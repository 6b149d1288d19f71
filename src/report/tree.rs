//! The trace tree of a run with its waterfall: what `retake show RUN --tree` prints.

use super::heading::{footing, heading};
use super::style::{Ink, Style};
use super::table::{Cell, Column, GAP, table};
use super::words::{self, line};
use crate::diff::RunView;
use crate::run::tree::{Node, NodeKind};

/// The waterfall is this wide, where the line has room for it.
const BAR: usize = 28;
/// Remarks make it narrower down to this, names down to the other; in less it says nothing.
const BAR_BESIDE_REMARKS: usize = 16;
const NARROWEST_BAR: usize = 10;
/// Branches and names that are no wider are never cut for it.
const NAME: usize = 44;
/// Titles of the columns before the waterfall.
const TITLES: [&str; 5] = ["#", "what", "time", "tokens", "cost"];
/// So many nodes are shown without `--full`.
const PAGE: usize = 200;
/// So many names of events of one node.
const EVENTS: usize = 2;
/// Of the children of one node so many at least, before the rest is counted.
const LEAST: usize = 6;

/// A line of the tree: the cells before its bar, and what it is about.
struct Row<'n> {
    cells: Vec<Cell>,
    node: Option<&'n Node>,
    remark: String,
}

/// Heading, tree, and what is odd about the run. `full`: all of it, however much that is, and nothing cut.
pub fn show(run: &RunView, tree: &Node, full: bool, style: Style) -> String {
    let mut rows = Vec::new();
    let drawing = Drawing { most: if full { usize::MAX } else { PAGE }, full };
    drawing.children(tree, "", &mut rows);
    let width = match tree.untimed {
        true => 0,
        false if full => BAR,
        false => bar_width(&rows, style),
    };
    let legend = legend(tree, &rows, width > 0, style);
    let bars = Bars { whole: (tree.start_us, tree.took_us().max(1)), width };
    let rows = rows.into_iter().map(|row| {
        let bar = row.node.map(|node| bars.of(node)).unwrap_or_default();
        let remark = if full { row.remark } else { String::new() };
        let last = [Cell::new(Ink::Dim, bar), Cell::new(Ink::Note, remark)];
        row.cells.into_iter().chain(last).collect()
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let [number, what, time, tokens, cost] = TITLES;
    let columns = [
        Column::right(number),
        if full { Column::whole(what) } else { Column::flexible(what) },
        Column::right(time),
        Column::right(tokens),
        Column::right(cost),
        Column::left(""),
        Column::whole(""),
    ];
    let mut out = heading(run, style);
    out.push_str(&table(&columns, &rows, style));
    out.push_str(&footing(run, legend, style));
    out
}

/// How wide the bars may be beside names and numbers; 0 where there is no room for any.
fn bar_width(rows: &[Row], style: Style) -> usize {
    let widest = |at: usize, of: &dyn Fn(&Cell) -> usize| {
        rows.iter().filter_map(|row| row.cells.get(at)).map(of).max().unwrap_or_default()
    };
    let text = |cell: &Cell| words::width(&cell.text);
    let numbers = (0..).zip(TITLES).filter(|(_, title)| *title != "what");
    let beside: usize = numbers
        .map(|(at, title)| match widest(at, &text) {
            0 => 0,
            wide => wide.max(words::width(title)) + GAP,
        })
        .sum();
    let room = style.columns().saturating_sub(beside + GAP);
    let (names, all) = (widest(1, &text), widest(1, &Cell::width));
    match room.checked_sub(names.min(NAME)).filter(|left| *left >= NARROWEST_BAR) {
        Some(left) => room.saturating_sub(all).clamp(BAR_BESIDE_REMARKS, BAR).min(left),
        None => 0,
    }
}

/// What the signs mean, of those that are there, and what is left out.
fn legend(tree: &Node, rows: &[Row], has_bars: bool, style: Style) -> Vec<String> {
    let has = |is: &dyn Fn(&Node) -> bool| rows.iter().filter_map(|row| row.node).any(is);
    let signs = [
        (has(&|node| node.critical), "█ on the critical path"),
        (has_bars && has(&|node| !node.critical && !node.untimed), "░ beside it"),
        (has(&|node| node.derived), "· derived: no span tells of it"),
        (has(&|node| !node.events.is_empty()), "◆ event"),
        (has(&|node| node.at_most), "<  at most: until its result was sent on"),
    ];
    let signs =
        signs.iter().filter(|(is, _)| *is).map(|(_, sign)| sign.replace(' ', &words::GLUE.to_string()));
    let mut lines = words::fold(&signs.collect::<Vec<_>>().join("   "), style.columns());
    lines.extend(tree.left_out.map(|more| match more {
        1 => "1 more span: --full".to_string(),
        more => format!("{} more spans: --full", words::count(more)),
    }));
    lines
}

/// `◆ retry, exception and 2 more`: what happened in a span.
fn happened(events: &[(u64, String)], full: bool) -> String {
    let mut names: Vec<&str> = events.iter().map(|(_, name)| name.as_str()).collect();
    names.dedup();
    let (most, wide) = if full { (usize::MAX, usize::MAX) } else { (EVENTS, 24) };
    let shown = names.iter().take(most).map(|name| words::clip(&line(name), wide)).collect::<Vec<_>>();
    let more = names.len().saturating_sub(most);
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
    /// Rows that there may be.
    most: usize,
    /// Nothing is cut.
    full: bool,
}

impl Drawing {
    fn children<'n>(&self, of: &'n Node, indent: &str, rows: &mut Vec<Row<'n>>) {
        let left = self.most.saturating_sub(rows.len());
        let shown = if of.fits(left) { of.children.len() } else { LEAST.max(left / 4) };
        let shown = shown.min(of.children.len());
        for (index, child) in of.children.iter().take(shown).enumerate() {
            let last = index + 1 == of.children.len();
            let (branch, below) = if last { ("└ ", "  ") } else { ("├ ", "│ ") };
            let indent_below = format!("{indent}{below}");
            match lone_call(child) {
                // A turn that is one call takes one line.
                Some(call) => {
                    let branch = format!("{indent}{branch}{}  ", line(&child.name));
                    rows.push(self.row(call, &branch));
                    self.children(call, &indent_below, rows);
                }
                None => {
                    rows.push(self.row(child, &format!("{indent}{branch}")));
                    self.children(child, &indent_below, rows);
                }
            }
        }
        let hidden: usize = of.children.iter().skip(shown).map(Node::size).sum();
        if hidden > 0 {
            let text = format!("{indent}└ … {} more (--full shows all)", words::count(hidden as u64));
            let cells = (0..TITLES.len())
                .map(|at| if at == 1 { Cell::new(Ink::Dim, &text) } else { Cell::default() });
            rows.push(Row { cells: cells.collect(), node: None, remark: String::new() });
        }
    }

    fn row<'n>(&self, node: &'n Node, branch: &str) -> Row<'n> {
        let kind = match node.kind {
            NodeKind::Run => "run ",
            NodeKind::Workflow => "workflow ",
            NodeKind::Agent => "agent ",
            NodeKind::Model => "model ",
            NodeKind::Tool => "tool ",
            NodeKind::Turn | NodeKind::Other => "",
        };
        let derived = if node.derived { "· " } else { "" };
        let at_most = if node.at_most { "< " } else { "" };
        let ink = match node.kind {
            _ if node.error.is_some() => Ink::Bad,
            NodeKind::Agent | NodeKind::Workflow => Ink::Strong,
            NodeKind::Other | NodeKind::Turn => Ink::Dim,
            _ => Ink::Plain,
        };
        let mut remarks = Vec::new();
        if let Some(error) = &node.error {
            let wide = if self.full { usize::MAX } else { 40 };
            remarks.push(if error.is_empty() { "failed".into() } else { words::clip(&line(error), wide) });
        }
        if let Some(held) = node.held_up.filter(|held| held.by_us >= node.took_us() / 100) {
            let others = words::many(held.others.into(), "other");
            remarks.push(format!("held {others} up by {}", words::duration(held.by_us)));
        }
        if !node.events.is_empty() {
            remarks.push(happened(&node.events, self.full));
        }
        let spent = node.spent();
        let total = node.total();
        let tokens = match (total.input, total.output) {
            (0, 0) => String::new(),
            (input, output) => words::tokens(input, output),
        };
        let what = Cell::new(ink, format!("{branch}{derived}{kind}{}", line(&node.name)));
        let remark = remarks.join(", ");
        let cells = vec![
            Cell::new(Ink::Dim, node.step.map(|step| step.to_string()).unwrap_or_default()),
            if self.full { what } else { what.with_note(&remark) },
            Cell::plain(
                node.told_us().map_or_else(|| "-".into(), |us| format!("{at_most}{}", words::duration(us))),
            ),
            Cell::plain(tokens),
            Cell::plain(if spent.priced > 0 { spent.narrow() } else { String::new() }),
        ];
        Row { cells, node: Some(node), remark }
    }
}

struct Bars {
    /// Beginning and length of the run.
    whole: (u64, u64),
    /// 0: there is room for a sign alone.
    width: usize,
}

impl Bars {
    fn of(&self, node: &Node) -> String {
        if node.untimed {
            return String::new();
        }
        let (start, length) = self.whole;
        let Some(last) = self.width.checked_sub(1) else {
            return if node.critical { "█".into() } else { String::new() };
        };
        let place = |at: u64| {
            let part = u128::from(at.saturating_sub(start)) * self.width as u128 / u128::from(length);
            usize::try_from(part).unwrap_or(self.width).min(self.width)
        };
        let from = place(node.start_us).min(last);
        let to = place(node.end_us).max(from + 1);
        let sign = if node.critical { "█" } else { "░" };
        format!("{}{}", " ".repeat(from), sign.repeat(to - from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::tests::fake::Fake;

    #[test]
    fn a_page_has_an_end() {
        let mut run = Node::new(NodeKind::Run, "x.1", 0, 1000);
        run.children = (0..100_000).map(|at| Node::new(NodeKind::Other, "span", at, at + 1)).collect();
        let drawing = Drawing { most: PAGE, full: false };
        let mut rows = Vec::new();
        drawing.children(&run, "", &mut rows);
        assert!(rows.len() <= PAGE, "{}", rows.len());
        let last = &rows.last().unwrap().cells[1].text;
        assert_eq!(
            last,
            &format!("└ … {} more (--full shows all)", words::count(100_000 - (PAGE / 4) as u64))
        );
    }

    #[test]
    fn bars_stay_in_their_column() {
        let bars = Bars { whole: (100, 10), width: BAR };
        for (start, end) in [(0, 5), (100, 110), (105, 105), (110, 400), (u64::MAX, u64::MAX)] {
            let bar = bars.of(&Node::new(NodeKind::Other, "x", start, end));
            assert!((1..=BAR).contains(&bar.chars().count()), "{start} {end}: {bar:?}");
        }
    }

    /// A failing run with spans: what the tree says of it at a width.
    fn drawn(width: usize, full: bool) -> String {
        let mut fake = Fake::new("crash.1");
        fake.user("go").calls(&[("get_stock", serde_json::json!({}), "gone")]).end(1);
        let why = "RuntimeError: warehouse down for widget, and for the bolt as well";
        let events = vec![(5, "cache miss that has a very long name".into()), (6, "exception".into())];
        let node = |kind, name: &str, from: u64, until: u64, children| Node {
            children,
            critical: until > 20,
            ..Node::new(kind, name, from * 1000, until * 1000)
        };
        let model =
            Node { step: Some(1), derived: true, ..node(NodeKind::Model, "gpt-4o-mini", 10, 19, vec![]) };
        let lookup = node(NodeKind::Other, "warehouse.lookup", 52, 70, vec![]);
        let lookup = Node { error: Some(why.into()), events, ..lookup };
        let tool = node(NodeKind::Tool, "get_stock", 50, 74, vec![lookup]);
        let tool = Node { step: Some(2), derived: true, at_most: true, ..tool };
        let turn = Node { derived: true, ..node(NodeKind::Turn, "turn 1", 10, 74, vec![model, tool]) };
        let agent = node(NodeKind::Agent, "researcher of the tides", 1, 75, vec![turn]);
        let run = Node { error: Some(why.into()), ..node(NodeKind::Other, "run", 0, 76, vec![agent]) };
        let tree = node(NodeKind::Run, "crash.1", 0, 76, vec![run]);
        show(&fake.view(), &Node { left_out: Some(50_300), ..tree }, full, Style::plain(width))
    }

    #[test]
    fn remarks_and_bars_make_room_for_names() {
        for width in [48, 60, 80, 88, 100, 140] {
            let text = drawn(width, false);
            assert!(text.lines().all(|line| words::width(line) <= width), "{width}\n{text}");
            for name in [
                "└ run",
                "└ agent researcher of the tides",
                "└ · turn 1",
                "├ · model gpt",
                "└ warehouse.lookup",
            ] {
                assert!(text.contains(name), "{width}: no {name} in\n{text}");
            }
            assert_eq!(text.contains('░'), width > 48, "{width}\n{text}");
            assert!(text.contains("█ on the critical path") && text.contains("< 24 ms"), "{text}");
            let times = text.lines().filter_map(|line| line.find(" ms").map(|at| words::width(&line[..at])));
            assert_eq!(times.collect::<std::collections::BTreeSet<_>>().len(), 1, "{width}\n{text}");
        }
    }

    #[test]
    fn a_tree_at_80_columns_and_whole() {
        insta::assert_snapshot!(format!("{}\n{}", drawn(80, false), drawn(80, true)));
    }
}
