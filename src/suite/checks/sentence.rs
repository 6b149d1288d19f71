//! An expression taken apart at `and`, `or`, `not` and its comparisons, so that both sides of one can be told.
//!
//! What stands between is left to the expression library. The order of binding is the library's: `… if … else …`, `or`,
//! `and`, `not`, comparisons, everything else.

use super::tokens::{Kind, Token};

/// Parts within parts are taken apart this deep; what is deeper is left whole.
const DEEPEST: usize = 32;

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sentence<'s> {
    /// One of them holds.
    Or(Vec<Sentence<'s>>),
    /// All of them hold.
    And(Vec<Sentence<'s>>),
    /// It does not hold.
    Not(Box<Sentence<'s>>),
    /// The first holds if the second does, else the third.
    If(Box<[Sentence<'s>; 3]>),
    /// Values that are compared, each with the next.
    Compare(&'s str, Vec<(Sign, &'s str)>),
    /// Anything else.
    Plain(&'s str),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Same,
    Other,
    Less,
    AtMost,
    More,
    AtLeast,
    In,
    NotIn,
}

impl Sign {
    fn of(text: &str) -> Option<Sign> {
        Some(match text {
            "==" => Sign::Same,
            "!=" => Sign::Other,
            "<" => Sign::Less,
            "<=" => Sign::AtMost,
            ">" => Sign::More,
            ">=" => Sign::AtLeast,
            "in" => Sign::In,
            _ => return None,
        })
    }

    /// What is said of two values that do not compare like this: `4999 is not 49.99`.
    pub(super) fn is_not(self) -> &'static str {
        match self {
            Sign::Same => "is not",
            Sign::Other => "is",
            Sign::Less => "is not less than",
            Sign::AtMost => "is not at most",
            Sign::More => "is not more than",
            Sign::AtLeast => "is not at least",
            Sign::In => "is not in",
            Sign::NotIn => "is in",
        }
    }
}

impl<'s> Sentence<'s> {
    /// Takes an expression apart. `tokens`: all of `source`.
    pub(super) fn of(source: &'s str, tokens: &[Token<'s>]) -> Sentence<'s> {
        part(source, tokens, 0)
    }
}

fn part<'s>(source: &'s str, tokens: &[Token<'s>], level: usize) -> Sentence<'s> {
    let plain = || Sentence::Plain(text(source, tokens));
    let (Some(first), true) = (tokens.first(), level < DEEPEST) else { return plain() };
    let ground = first.depth;
    // A word that is the name of a member or of a test is none of the language.
    let is_word = |at: usize, word: &str| {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let named = before.is_some_and(|t| t.is(".") || t.is("|") || t.is("is"))
            || (word != "not" && before.is_some_and(|t| t.is("not")) && is_test(tokens, at));
        tokens.get(at).is_some_and(|t| t.depth == ground && t.is(word)) && !named
    };
    let find = |word: &str, from: usize| (from..tokens.len()).find(|at| is_word(*at, word));
    let sub = |range: std::ops::Range<usize>| {
        let tokens = tokens.get(range).unwrap_or_default();
        (!tokens.is_empty()).then(|| part(source, tokens, level + 1))
    };
    if let Some(at) = find("if", 0) {
        let otherwise = find("else", at);
        let parts =
            otherwise.and_then(|end| Some([sub(0..at)?, sub(at + 1..end)?, sub(end + 1..tokens.len())?]));
        return parts.map_or_else(plain, |parts| Sentence::If(Box::new(parts)));
    }
    for (word, join) in
        [("or", Sentence::Or as fn(Vec<Sentence<'s>>) -> Sentence<'s>), ("and", Sentence::And)]
    {
        let mut cuts: Vec<usize> = (0..tokens.len()).filter(|at| is_word(*at, word)).collect();
        if cuts.is_empty() {
            continue;
        }
        cuts.push(tokens.len());
        let mut begin = 0;
        let mut parts = Vec::new();
        for cut in cuts {
            let Some(part) = sub(begin..cut) else { return plain() };
            parts.push(part);
            begin = cut + 1;
        }
        return join(parts);
    }
    if is_word(0, "not") {
        return sub(1..tokens.len()).map_or_else(plain, |inner| Sentence::Not(Box::new(inner)));
    }
    if let Some(compared) = compared(source, tokens, ground) {
        return compared;
    }
    match inside(tokens) {
        Some(inner) => part(source, inner, level + 1),
        None => plain(),
    }
}

/// True for a word behind `is not`.
fn is_test(tokens: &[Token<'_>], at: usize) -> bool {
    at.checked_sub(2).and_then(|at| tokens.get(at)).is_some_and(|t| t.is("is"))
}

fn compared<'s>(source: &'s str, tokens: &[Token<'s>], ground: usize) -> Option<Sentence<'s>> {
    let mut begin = 0;
    let mut values: Vec<&'s str> = Vec::new();
    let mut signs = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Some(sign) = Sign::of(token.text).filter(|_| token.depth == ground && token.kind != Kind::Text)
        else {
            continue;
        };
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        let is_name = before(1).is_some_and(|t| t.is(".") || t.is("is") || t.is("|"));
        if is_name || (sign == Sign::In && is_test(tokens, at)) {
            continue;
        }
        let (sign, end) = match before(1).filter(|t| sign == Sign::In && t.is("not")) {
            Some(_) => (Sign::NotIn, at - 1),
            None => (sign, at),
        };
        values.push(some_text(source, tokens.get(begin..end)?)?);
        signs.push(sign);
        begin = at + 1;
    }
    if signs.is_empty() {
        return None;
    }
    values.push(some_text(source, tokens.get(begin..)?)?);
    let mut values = values.into_iter();
    Some(Sentence::Compare(values.next()?, signs.into_iter().zip(values).collect()))
}

/// What is in brackets that hold all of it; none when they are a call's, a list's, or hold several values.
fn inside<'t, 's>(tokens: &'t [Token<'s>]) -> Option<&'t [Token<'s>]> {
    let (first, rest) = tokens.split_first()?;
    let (last, inner) = rest.split_last()?;
    let whole = first.is("(") && last.is(")") && inner.iter().all(|t| t.depth > first.depth);
    let several = inner.iter().any(|t| t.depth == first.depth + 1 && t.is(","));
    (whole && !several && !inner.is_empty()).then_some(inner)
}

fn some_text<'s>(source: &'s str, tokens: &[Token<'s>]) -> Option<&'s str> {
    Some(text(source, tokens)).filter(|text| !text.is_empty())
}

fn text<'s>(source: &'s str, tokens: &[Token<'s>]) -> &'s str {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return "" };
    source.get(first.range.start..last.range.end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    fn read(source: &str) -> Sentence<'_> {
        Sentence::of(source, &tokens(source).unwrap())
    }

    #[test]
    fn comparisons_are_found_where_they_stand() {
        use Sentence::{And, Compare, Not, Or, Plain};
        assert_eq!(read("a.b == c / 100"), Compare("a.b", vec![(Sign::Same, "c / 100")]));
        assert_eq!(read("((a < b <= c))"), Compare("a", vec![(Sign::Less, "b"), (Sign::AtMost, "c")]));
        assert_eq!(read("f('a == b', x=(1 == 2))"), Plain("f('a == b', x=(1 == 2))"));
        assert_eq!(read("(a, b == c)"), Plain("(a, b == c)"));
        assert_eq!(
            read("a and not b in c or (d == e)"),
            Or(vec![
                And(vec![Plain("a"), Not(Box::new(Compare("b", vec![(Sign::In, "c")])))]),
                Compare("d", vec![(Sign::Same, "e")]),
            ])
        );
        assert_eq!(read("'x' not in y | list"), Compare("'x'", vec![(Sign::NotIn, "y | list")]));
    }

    #[test]
    fn tests_and_members_are_no_words_of_the_language() {
        for source in
            ["a is in [1]", "a is not in [1]", "a is not defined", "x.or", "x.in", "a is == 4", "(a)(b)"]
        {
            assert_eq!(read(source), Sentence::Plain(source));
        }
        assert!(matches!(read("a is not in [1] and b"), Sentence::And(parts) if parts.len() == 2));
        assert!(matches!(read("a == 1 if b else c"), Sentence::If(_)));
        assert!(matches!(read("a if b else c if d else e"), Sentence::If(_)));
    }
}
