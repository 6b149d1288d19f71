//! Rows whose columns are aligned and that never wrap.

use super::style::{Ink, Style};
use super::words::{clip, width};

/// Which side of a column the text is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Left.
    Left,
    /// Right.
    Right,
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its heading; a column without one has no line in the heading.
    pub title: &'static str,
    /// Where its text stands.
    pub align: Align,
    /// What is left of the line's width is for this column; what does not fit is cut.
    pub flexible: bool,
}

impl Column {
    /// A column with text on the left.
    pub const fn left(title: &'static str) -> Column {
        Column { title, align: Align::Left, flexible: false }
    }

    /// A column with numbers.
    pub const fn right(title: &'static str) -> Column {
        Column { title, align: Align::Right, flexible: false }
    }

    /// The column that takes what is left.
    pub const fn flexible(title: &'static str) -> Column {
        Column { title, align: Align::Left, flexible: true }
    }
}

/// One cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// Its text; escaped already.
    pub text: String,
    /// What it is.
    pub ink: Ink,
    /// A remark behind the text, in the same column. It is never cut: the text makes room.
    pub remark: String,
}

impl Cell {
    /// Text in an ink.
    pub fn new(ink: Ink, text: impl Into<String>) -> Cell {
        Cell { text: text.into(), ink, remark: String::new() }
    }

    /// The same with a remark behind it.
    pub fn with_remark(self, remark: impl Into<String>) -> Cell {
        Cell { remark: remark.into(), ..self }
    }

    fn width(&self) -> usize {
        let remark = width(&self.remark);
        width(&self.text) + remark + if remark > 0 { GAP } else { 0 }
    }

    /// Ordinary text.
    pub fn plain(text: impl Into<String>) -> Cell {
        Cell::new(Ink::Plain, text)
    }
}

/// Between two columns.
const GAP: usize = 2;
/// A flexible column is never narrower, even when the line grows too long then.
const LEAST: usize = 16;

/// Writes rows under a heading (when a column has one). Columns in which nothing stands are left out.
pub fn table(columns: &[Column], rows: &[Vec<Cell>], style: Style) -> String {
    let used: Vec<usize> = (0..columns.len())
        .filter(|c| rows.iter().any(|row| row.get(*c).is_some_and(|cell| !cell.text.is_empty())))
        .collect();
    let titled = used.iter().any(|c| columns.get(*c).is_some_and(|c| !c.title.is_empty()));
    let heading: Vec<Cell> = columns.iter().map(|c| Cell::new(Ink::Dim, c.title)).collect();
    let all = || titled.then_some(&heading).into_iter().chain(rows);
    let mut widths: Vec<usize> = used
        .iter()
        .map(|c| all().filter_map(|row| row.get(*c)).map(Cell::width).max().unwrap_or(0))
        .collect();
    let flexible = used.iter().position(|c| columns.get(*c).is_some_and(|c| c.flexible));
    let total = widths.iter().sum::<usize>() + GAP * used.len().saturating_sub(1);
    if let Some(wide) = flexible.and_then(|f| widths.get_mut(f)) {
        let over = total.saturating_sub(style.columns());
        *wide = (*wide).min(wide.saturating_sub(over).max(LEAST));
    }
    let mut out = String::new();
    for row in all() {
        let mut written = String::new();
        let mut owed = 0;
        for (c, columns_wide) in used.iter().zip(&widths) {
            let empty = Cell::default();
            let cell = row.get(*c).unwrap_or(&empty);
            let remark = cell.width() - width(&cell.text);
            let text = clip(&cell.text, columns_wide.saturating_sub(remark));
            let fill = columns_wide.saturating_sub(width(&text) + remark);
            let on_right = columns.get(*c).is_some_and(|c| c.align == Align::Right);
            if on_right {
                owed += fill;
            }
            if !text.is_empty() {
                written.push_str(&" ".repeat(owed));
                owed = 0;
                written.push_str(&style.paint(cell.ink, &text));
            }
            if remark > 0 {
                written.push_str(&" ".repeat(GAP));
                written.push_str(&style.paint(Ink::Note, &cell.remark));
            }
            // Spaces are written when text follows them, so that no line ends in them.
            owed += GAP + if on_right { 0 } else { fill };
        }
        out.push_str(&written);
        out.push('\n');
    }
    out
}
