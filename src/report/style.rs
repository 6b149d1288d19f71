//! Color or none, and how wide a line may be.

use anstyle::AnsiColor;

/// How to write: with color or without, and how wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// True for ANSI colors: a terminal, and no `NO_COLOR`.
    pub color: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Style {
        Style { color: false, width: 100 }
    }
}

/// What a piece of text is, which decides its color. Never the only carrier of a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ink {
    /// Ordinary text.
    #[default]
    Plain,
    /// Secondary: times, headings of columns, punctuation.
    Dim,
    /// The name of something.
    Strong,
    /// As expected.
    Good,
    /// Not as expected.
    Bad,
    /// Worth a look.
    Note,
    /// Taken away, on the left side of a comparison.
    Minus,
    /// Added, on the right side of a comparison.
    Plus,
}

impl Style {
    /// Without color, this wide.
    pub fn plain(width: usize) -> Style {
        Style { color: false, width }
    }

    /// The text in its ink.
    pub fn paint(&self, ink: Ink, text: &str) -> String {
        let color = |c: AnsiColor| anstyle::Style::new().fg_color(Some(c.into()));
        let style = match ink {
            Ink::Plain => return text.to_string(),
            Ink::Dim => anstyle::Style::new().dimmed(),
            Ink::Strong => anstyle::Style::new().bold(),
            Ink::Good | Ink::Plus => color(AnsiColor::Green),
            Ink::Bad | Ink::Minus => color(AnsiColor::Red),
            Ink::Note => color(AnsiColor::Yellow),
        };
        if !self.color || text.is_empty() {
            return text.to_string();
        }
        format!("{style}{text}{style:#}")
    }

    /// The width to write in: at least 40 columns, for nothing reads well in less.
    pub fn columns(&self) -> usize {
        self.width.max(40)
    }
}
