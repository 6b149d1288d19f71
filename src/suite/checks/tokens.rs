//! The words of an expression, as far as one must know them to find its comparisons.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a keyword.
    Name,
    /// A number.
    Number,
    /// A quoted text.
    Text,
    /// `(`, `[` or `{`.
    Open,
    /// `)`, `]` or `}`.
    Close,
    /// Anything else: `==`, `.`, `|`.
    Sign,
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub kind: Kind,
    pub text: &'s str,
    pub range: Range<usize>,
    /// How many brackets are open before it.
    pub depth: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, text: &str) -> bool {
        self.text == text && self.kind != Kind::Text
    }
}

/// Takes an expression apart; none when a quote or a bracket has no partner.
pub(super) fn tokens(source: &str) -> Option<Vec<Token<'_>>> {
    let mut found = Vec::new();
    let (mut at, mut depth) = (0, 0usize);
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next()?;
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = one(rest, first)?;
        if kind == Kind::Close {
            depth = depth.checked_sub(1)?;
        }
        found.push(Token { kind, text: rest.get(..length)?, range: at..at + length, depth });
        if kind == Kind::Open {
            depth += 1;
        }
        at += length;
    }
    (depth == 0).then_some(found)
}

fn one(rest: &str, first: char) -> Option<(Kind, usize)> {
    let span = |is: fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
    Some(match first {
        '(' | '[' | '{' => (Kind::Open, 1),
        ')' | ']' | '}' => (Kind::Close, 1),
        '\'' | '"' => (Kind::Text, quoted(rest, first)?),
        c if c.is_ascii_digit() => (Kind::Number, span(|c| c.is_ascii_alphanumeric() || c == '_')),
        c if c.is_alphabetic() || c == '_' => (Kind::Name, span(|c| c.is_alphanumeric() || c == '_')),
        c => {
            let two = ["==", "!=", "<=", ">=", "**", "//"].iter().any(|sign| rest.starts_with(sign));
            (Kind::Sign, if two { 2 } else { c.len_utf8() })
        }
    })
}

/// Length of a quoted text with its quotes.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_words() {
        let found = tokens("step('a == b').args[0] >= 4.5").unwrap();
        let words: Vec<&str> = found.iter().map(|t| t.text).collect();
        assert_eq!(words, ["step", "(", "'a == b'", ")", ".", "args", "[", "0", "]", ">=", "4", ".", "5"]);
        assert_eq!(found.iter().map(|t| t.depth).max(), Some(1));
        for bad in ["'a", "(a", "a)", "\"\\\""] {
            assert_eq!(tokens(bad), None, "{bad}");
        }
    }
}
