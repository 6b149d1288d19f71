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
    /// Nothing in it is cut: text that is very long moves the rest of its own row.
    pub whole: bool,
}

impl Column {
    /// A column with text on the left.
    pub const fn left(title: &'static str) -> Column {
        Column { title, align: Align::Left, flexible: false, whole: false }
    }

    /// A column with numbers.
    pub const fn right(title: &'static str) -> Column {
        Column { title, align: Align::Right, flexible: false, whole: false }
    }

    /// The column that takes what is left.
    pub const fn flexible(title: &'static str) -> Column {
        Column { title, align: Align::Left, flexible: true, whole: false }
    }

    /// A column in which nothing is cut.
    pub const fn whole(title: &'static str) -> Column {
        Column { title, align: Align::Left, flexible: false, whole: true }
    }
}

/// One cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// Its text; escaped already.
    pub text: String,
    /// What it is.
    pub ink: Ink,
    /// A remark behind the text, in the same column.
    pub remark: String,
    /// The remark is cut before the text is; else the text makes room for it.
    pub yields: bool,
}

impl Cell {
    /// Text in an ink.
    pub fn new(ink: Ink, text: impl Into<String>) -> Cell {
        Cell { text: text.into(), ink, remark: String::new(), yields: false }
    }

    /// The same with a remark behind it.
    pub fn with_remark(self, remark: impl Into<String>) -> Cell {
        Cell { remark: remark.into(), ..self }
    }

    /// The same with a remark behind it that is cut before the text is.
    pub fn with_note(self, remark: impl Into<String>) -> Cell {
        Cell { remark: remark.into(), yields: true, ..self }
    }

    /// Text and remark, cut so that both fit.
    fn cut(&self, columns: usize) -> (String, String) {
        if self.yields {
            let text = clip(&self.text, columns);
            let left = columns.saturating_sub(width(&text) + GAP);
            let is_told = left >= SHORTEST.min(width(&self.remark));
            return (text, if is_told { clip(&self.remark, left) } else { String::new() });
        }
        let remark = clip(&self.remark, columns.saturating_sub(GAP));
        let taken = if remark.is_empty() { 0 } else { width(&remark) + GAP };
        (clip(&self.text, columns.saturating_sub(taken)), remark)
    }

    /// How wide it is with its remark.
    pub(super) fn width(&self) -> usize {
        let remark = width(&self.remark);
        width(&self.text) + remark + if remark > 0 { GAP } else { 0 }
    }

    /// Ordinary text.
    pub fn plain(text: impl Into<String>) -> Cell {
        Cell::new(Ink::Plain, text)
    }
}

/// Between two columns.
pub(super) const GAP: usize = 2;
/// Less than this is left of no remark.
const SHORTEST: usize = 4;
/// A column in which nothing is cut is no wider: what is longer moves its own row alone.
const WIDEST: usize = 160;
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
        .map(|c| {
            let widest = all().filter_map(|row| row.get(*c)).map(Cell::width).max().unwrap_or(0);
            let is_whole = columns.get(*c).is_some_and(|c| c.whole);
            if is_whole { widest.min(WIDEST) } else { widest }
        })
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
            let (text, remark) = match columns.get(*c).is_some_and(|c| c.whole) {
                true => (cell.text.clone(), cell.remark.clone()),
                false => cell.cut(*columns_wide),
            };
            let taken = if remark.is_empty() { 0 } else { width(&remark) + GAP };
            let fill = columns_wide.saturating_sub(width(&text) + taken);
            let on_right = columns.get(*c).is_some_and(|c| c.align == Align::Right);
            if on_right {
                owed += fill;
            }
            if !text.is_empty() {
                written.push_str(&" ".repeat(owed));
                owed = 0;
                written.push_str(&style.paint(cell.ink, &text));
            }
            if !remark.is_empty() {
                written.push_str(&" ".repeat(GAP));
                written.push_str(&style.paint(Ink::Note, &remark));
            }
            // Spaces are written when text follows them, so that no line ends in them.
            owed += GAP + if on_right { 0 } else { fill };
        }
        out.push_str(&written);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lines of a table in which a wide cell stands over a narrow one, before a number.
    fn lines(cell: Cell, flexible: Column, width: usize) -> Vec<String> {
        let rows = [vec![cell, Cell::plain("7 ms")], vec![Cell::plain("short"), Cell::plain("70 ms")]];
        table(&[flexible, Column::right("")], &rows, Style::plain(width))
            .lines()
            .map(str::to_string)
            .collect()
    }

    #[test]
    fn a_note_yields_to_the_text_and_a_remark_does_not() {
        let (name, why) = ("├ run of the whole day", "RuntimeError: warehouse down for widget");
        let noted = lines(Cell::plain(name).with_note(why), Column::flexible(""), 50);
        assert_eq!(noted[0], "├ run of the whole day  RuntimeError: ware…   7 ms");
        assert_eq!(noted[1], format!("short{:>45}", "70 ms"));
        let remarked = lines(Cell::plain(name).with_remark("failed, and more"), Column::flexible(""), 40);
        assert_eq!(remarked[0], "├ run of the w…  failed, and more   7 ms");
        let wide = lines(Cell::plain("x".repeat(300)), Column::whole(""), 40);
        assert!(wide[0].starts_with(&"x".repeat(300)) && wide[1].chars().count() < 170, "{wide:?}");
    }

    proptest! {
        #[test]
        fn no_remark_moves_a_column(text in "[a-z]{0,60}", remark in "[a-z]{0,60}", yields: bool, columns in 40usize..90) {
            let cell = Cell { yields, ..Cell::plain(text).with_remark(remark) };
            let lines = lines(cell, Column::flexible(""), columns);
            prop_assert!(lines.iter().all(|line| width(line) <= columns), "{:?}", lines);
            prop_assert_eq!(width(&lines[0]), width(&lines[1]));
        }
    }
}
