//! A verb, what it came to, and the lines under it, aligned: `recorded`, `replayed`, `forked`.

use super::style::{Ink, Style};
use super::words;

/// The first line under a verb and the ones that follow, aligned. Lines that are too long are folded.
pub(super) struct Lines {
    style: Style,
    out: String,
}

/// Where the lines under a verb begin.
const INDENT: usize = 10;

impl Lines {
    /// The verb and what it came to.
    pub(super) fn new(style: Style, verb: &str, ink: Ink, facts: &[(Ink, String)]) -> Lines {
        let mut lines = Lines { style, out: style.paint(ink, &words::pad(verb, INDENT - 1)) };
        lines.out.push(' ');
        lines.join(facts, "   ");
        lines
    }

    /// Columns of the terminal.
    pub(super) fn columns(&self) -> usize {
        self.style.columns()
    }

    /// All lines.
    pub(super) fn out(self) -> String {
        self.out
    }

    /// Pieces on one line, or on more where they do not fit; a piece is never broken.
    fn join(&mut self, pieces: &[(Ink, String)], between: &str) {
        let mut used = INDENT;
        for (ink, piece) in pieces.iter().filter(|(_, piece)| !piece.is_empty()) {
            let wide = words::width(piece);
            if used > INDENT && used + between.len() + wide > self.style.columns() {
                self.out.push_str(&format!("\n{}", " ".repeat(INDENT)));
                used = INDENT;
            } else if used > INDENT {
                self.out.push_str(between);
                used += words::width(between);
            }
            self.out.push_str(&self.style.paint(*ink, piece));
            used += wide;
        }
        self.out.push('\n');
    }

    /// A line under it.
    pub(super) fn say(&mut self, ink: Ink, text: &str) {
        for part in words::fold(text, self.style.columns() - INDENT) {
            self.out.push_str(&format!("{}{}\n", " ".repeat(INDENT), self.style.paint(ink, &part)));
        }
    }

    /// Commands to go on with, whole.
    pub(super) fn next(&mut self, commands: &[String]) {
        self.out.push_str(&" ".repeat(INDENT));
        let mut pieces: Vec<(Ink, String)> = commands.iter().map(|c| (Ink::Plain, c.clone())).collect();
        if let Some((_, first)) = pieces.first_mut() {
            *first = format!("next: {first}");
        }
        self.join(&pieces, " · ");
    }
}
