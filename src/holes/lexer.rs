//! A text as literals and whole tokens that may differ from run to run.

use super::clock::Clock;
use super::dates;
use super::quantities::{counted, is_chunk};
use super::surroundings::{Side, Surroundings};
use super::token::{Kind, Quantity, Shape, Token};
use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::HashSet;
use std::ops::Range;

/// Finds the tokens of one side.
#[derive(Debug, Clone, Default)]
pub(super) struct Lexer {
    /// Directories that differ between the sides, in all their spellings.
    roots: Vec<String>,
    finder: Option<AhoCorasick>,
    temp: String,
    /// The run's day, and from when to when it ran; none when that is not known.
    clock: Option<Clock>,
}

/// The spellings of a directory: as it is, and with every sign but letters and digits as a dash.
fn spellings(directory: &str) -> [String; 2] {
    let slug = directory.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    [directory.to_string(), slug]
}

/// Directories that differ between the sides: recorded and live, in all spellings, the same number on both sides.
pub(super) fn moved(surroundings: &Surroundings) -> Vec<(String, String)> {
    let of =
        |side: &Side| [&side.directory, &side.temp, &side.home].map(|d| d.trim_end_matches('/').to_string());
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (recorded, live) in of(&surroundings.recorded).into_iter().zip(of(&surroundings.live)) {
        if recorded.is_empty() || live.is_empty() || recorded == live {
            continue;
        }
        for pair in spellings(&recorded).into_iter().zip(spellings(&live)) {
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
    }
    pairs
}

impl Lexer {
    /// A lexer for one side. `roots`: its texts of [`moved`].
    pub fn new(side: &Side, roots: Vec<String>) -> Lexer {
        // It cannot fail for so few and short ones.
        let finder = (!roots.is_empty())
            .then(|| AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&roots).ok())
            .flatten();
        let clock = Clock::of(side);
        let temp = if side.temp.is_empty() {
            "/tmp".to_string()
        } else {
            side.temp.trim_end_matches('/').to_string()
        };
        Lexer { roots, finder, temp, clock }
    }

    /// The day of this side.
    pub fn day(&self) -> Option<i64> {
        self.clock.map(|c| c.day)
    }

    /// The text of a directory.
    pub fn root(&self, index: usize) -> &str {
        self.roots.get(index).map_or("", String::as_str)
    }

    /// True when there are directories that differ between the sides.
    pub fn has_roots(&self) -> bool {
        !self.roots.is_empty()
    }

    /// The directories that are spelt as this one is, itself first.
    pub fn same_root(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let text = self.root(index);
        std::iter::once(index)
            .chain((0..self.roots.len()).filter(move |i| *i != index && self.root(*i) == text))
    }

    /// The directories in a text, in order, each with its index.
    pub fn roots_in<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (Range<usize>, usize)> + 't {
        let hits = self.finder.iter().flat_map(move |finder| finder.find_iter(text));
        hits.filter(|hit| stands_alone(text, hit.range())).map(|hit| (hit.range(), hit.pattern().as_usize()))
    }

    /// Adds the names in a text.
    pub fn names(&self, text: &str, names: &mut HashSet<String>) {
        for token in self.tokens(text).into_iter().filter(|t| matches!(t.kind, Kind::Name(_))) {
            let name = text.get(token.range).unwrap_or_default();
            if !names.contains(name) {
                names.insert(name.to_string());
            }
        }
    }

    /// All tokens, in order.
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        let mut found = Vec::new();
        let mut done = 0;
        for (range, index) in self.roots_in(text) {
            self.scan(text, done..range.start, &mut found);
            done = range.end;
            found.push(Token { range, kind: Kind::Root(index) });
        }
        self.scan(text, done..text.len(), &mut found);
        found
    }

    fn scan(&self, text: &str, range: Range<usize>, found: &mut Vec<Token>) {
        let bytes = text.as_bytes();
        let end = range.end;
        let mut at = range.start;
        while at < end {
            let Some(skipped) = bytes.get(at..end).and_then(|b| b.iter().position(|b| class(*b) != 0)) else {
                return;
            };
            at += skipped;
            let (length, classes) = word_at(bytes, at);
            let word = at..at + length;
            // Inside a word of another script, or a word like most: nothing begins with it.
            let foreign = at > 0 && bytes.get(at - 1).is_some_and(|b| *b >= 0x80);
            if foreign || is_plain(bytes, &word, classes) {
                at = word.end;
                continue;
            }
            let told = self.token(bytes, word.clone(), classes, found).filter(|t| t.range.end <= end);
            match told {
                Some(token) => {
                    let past = token.range.end;
                    if token.kind == Kind::Quantity(Quantity::TimeOfDay)
                        && let Some(Token { range, kind }) = found.last_mut()
                        && let Kind::Date(form, _) = *kind
                        && token.range.start - range.end == 1
                    {
                        *kind = Kind::Quantity(Quantity::Day(form));
                    }
                    found.push(token);
                    // A date and a time of day are one word where only a T stands between them.
                    at = if bytes.get(past) == Some(&b'T') { past + 1 } else { past };
                }
                None => at = word.end,
            }
        }
    }

    /// The token that begins with a word, if it is one.
    fn token(&self, text: &[u8], word: Range<usize>, classes: u8, found: &[Token]) -> Option<Token> {
        let at = word.start;
        let said = text.get(word.clone())?;
        let make = |end: usize, kind: Kind| Some(Token { range: at..end, kind });
        let temporary = |end: usize| make(end, Kind::Name(Shape::Temporary));
        if let Some(end) = made_by_mktemp(text, at) {
            return temporary(end);
        }
        for begin in begins(text, at) {
            if let Some(end) = self.made_below_temp(text, begin) {
                return Some(Token { range: begin..end, kind: Kind::Name(Shape::Temporary) });
            }
        }
        if let Some(end) = uuid_at(text, at) {
            return make(end, Kind::Name(Shape::Uuid));
        }
        if classes & DIGIT == 0 {
            // A date that begins with letters begins with a name.
            let named = said.first().is_some_and(u8::is_ascii_uppercase);
            let date = self.clock.filter(|_| named).and_then(|c| dates::date_at(text, at, c.day));
            if let Some(date) = date {
                return make(date.end, Kind::Date(date.form, date.day));
            }
            return is_chunk(text, &word)
                .then_some(Token { range: word, kind: Kind::Quantity(Quantity::Chunk) });
        }
        if let Some(clock) = &self.clock
            && let Some((end, kind)) = clock.reading(text, at, found)
        {
            return make(end, kind);
        }
        if let Some(end) = stamp_end(text, &word) {
            let start = start_of_stamped(text, at, found);
            return Some(Token { range: start..end, kind: Kind::Name(Shape::Stamped) });
        }
        if is_chunk(text, &word) {
            return make(word.end, Kind::Quantity(Quantity::Chunk));
        }
        if said.first().is_some_and(u8::is_ascii_digit)
            && let Some((end, kind)) = counted(text, at)
        {
            return make(end, kind);
        }
        let has_letter = classes != DIGIT;
        // One letter and a number is what people count things with: A12345678.
        let short = if said.first().is_some_and(u8::is_ascii_uppercase) { 16 } else { 10 };
        let counted = said.len() < short && said.iter().skip(1).all(u8::is_ascii_digit);
        if said.len() >= 8 && has_letter && !counted && is_hex(said) {
            return make(word.end, Kind::Name(Shape::Hex(said.len())));
        }
        let mixed = said.len() >= 16 && classes & UPPER != 0 && (classes & LOWER != 0 || is_ulid(said));
        mixed.then_some(Token { range: word, kind: Kind::Name(Shape::Mixed(said.len())) })
    }

    /// The end of a name directly below the temporary directory, as `mkdtemp` makes it: six letters, or eight small
    /// ones (Python).
    fn made_below_temp(&self, text: &[u8], at: usize) -> Option<usize> {
        if at == 0 || !matches!(text.get(at - 1), Some(b'-' | b'.' | b'_')) {
            return None;
        }
        let rest = text.get(at..)?;
        let letters = rest.iter().take(12).take_while(|b| b.is_ascii_alphanumeric()).count();
        let length = match (letters, small_run(text, at)) {
            (_, 8) if !rest.get(8).is_some_and(u8::is_ascii_alphanumeric) => 8,
            (6, _) => 6,
            _ => return None,
        };
        let before = text.get(..at).unwrap_or_default();
        let slash = before.iter().rposition(|b| *b == b'/')?;
        let name = before.get(slash + 1..).unwrap_or_default();
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-._".contains(b);
        // Eight may have been made up though they look like a word: see `looks_made_up`.
        let made_up = length == 8 || looks_made_up(text.get(at..at + length)?);
        let below = before.get(..slash).is_some_and(|b| b.ends_with(self.temp.as_bytes()));
        (made_up && name.iter().all(plain) && below).then_some(at + length)
    }
}

/// True for a temporary name that nobody would choose. Of two that differ one at least has to look so.
pub(super) fn looks_made_up(name: &[u8]) -> bool {
    let any = |is: fn(&u8) -> bool| name.iter().any(is);
    any(u8::is_ascii_digit) || (any(u8::is_ascii_uppercase) && any(u8::is_ascii_lowercase))
}

/// Classes of the letters and digits in a word.
const DIGIT: u8 = 1;
const UPPER: u8 = 2;
const LOWER: u8 = 4;

/// The class of a byte; 0 for what is no letter or digit.
const fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => DIGIT,
        b'A'..=b'Z' => UPPER,
        b'a'..=b'z' => LOWER,
        _ => 0,
    }
}

/// The word at a place: its length, and the classes in it.
fn word_at(text: &[u8], at: usize) -> (usize, u8) {
    let (mut length, mut classes) = (0, 0);
    for byte in text.get(at..).unwrap_or_default() {
        match class(*byte) {
            0 => break,
            class => classes |= class,
        }
        length += 1;
    }
    (length, classes)
}

/// Length of the run of small letters, digits and underscores at a place, 12 at most.
fn small_run(text: &[u8], at: usize) -> usize {
    let small = |b: &&u8| b.is_ascii_lowercase() || b.is_ascii_digit() || **b == b'_';
    text.get(at..).unwrap_or_default().iter().take(12).take_while(small).count()
}

/// Where a temporary name may begin of which a word is a part: Python's may begin with underscores.
fn begins(text: &[u8], at: usize) -> impl Iterator<Item = usize> {
    let before = text.get(..at).unwrap_or_default().iter().rev().take(7);
    let underscores = before.take_while(|b| **b == b'_').count();
    (0..=underscores).map(move |back| at - back)
}

/// True for small letters with which no token begins: not `tmp` (a temporary name), not six or eight after a sign (the end of
/// one), not eight before a dash (a uuid), not after a colon (a chunk's id). It need not know all of these, it saves time.
fn is_plain(text: &[u8], word: &Range<usize>, classes: u8) -> bool {
    let before = |back: usize| word.start.checked_sub(back).and_then(|at| text.get(at));
    classes == LOWER
        && text.get(word.start) != Some(&b't')
        && !(matches!(before(1), Some(b'-' | b'.' | b'_'))
            && (word.len() == 6 || begins(text, word.start).any(|begin| small_run(text, begin) == 8)))
        && !(word.len() == 8 && text.get(word.end) == Some(&b'-'))
        && before(2) != Some(&b':')
}

/// Length of the run of letters and digits at a place.
fn run(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_alphanumeric()).count()
}

/// True when a directory is not part of a longer name.
pub(super) fn stands_alone(text: &str, range: Range<usize>) -> bool {
    let bytes = text.as_bytes();
    let begins_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    let first = bytes.get(range.start).copied().unwrap_or_default();
    let before = range.start.checked_sub(1).and_then(|i| bytes.get(i));
    let joined_before = before.is_some_and(|b| {
        // A directory goes on from an earlier part of a path; a backslash before n or t is a line feed or a tab.
        let escaped = range.start >= 2 && bytes.get(range.start - 2) == Some(&b'\\') && b"ntr".contains(b);
        !escaped
            && (begins_word(b)
                || (first == b'/' && matches!(b, b'.' | b'~'))
                || (first == b'-' && *b == b'-'))
    });
    let after = bytes.get(range.end);
    let joined_after = after.is_some_and(|b| {
        begins_word(b)
            || (first == b'/' && *b == b'-')
            || (*b == b'.' && bytes.get(range.end + 1).is_some_and(u8::is_ascii_alphanumeric))
    });
    !joined_before && !joined_after
}

pub(super) fn is_hex(text: &[u8]) -> bool {
    let digit = |b: &u8| b.is_ascii_digit();
    text.iter().all(|b| digit(b) || (b'a'..=b'f').contains(b))
        || text.iter().all(|b| digit(b) || (b'A'..=b'F').contains(b))
}

fn is_ulid(text: &[u8]) -> bool {
    text.len() == 26
        && text.first().is_some_and(|b| (b'0'..=b'7').contains(b))
        && text.iter().all(|b| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(b)))
}

fn uuid_at(text: &[u8], at: usize) -> Option<usize> {
    let said = text.get(at..at + 36)?;
    let fits = said.iter().enumerate().all(|(i, b)| match i {
        8 | 13 | 18 | 23 => *b == b'-',
        _ => b.is_ascii_hexdigit(),
    });
    let ends = !text.get(at + 36).is_some_and(u8::is_ascii_alphanumeric);
    (fits && ends).then_some(at + 36)
}

/// `tmpab12_x9z` (Python), `tmp.Ab12Cd34Ef` (mktemp), `.tmpAb12Cd` (Rust).
fn made_by_mktemp(text: &[u8], at: usize) -> Option<usize> {
    let rest = text.get(at..)?.strip_prefix(b"tmp")?;
    let lead = |keep: &dyn Fn(&u8) -> bool| rest.iter().take(16).take_while(|b| keep(b)).count();
    let python = lead(&|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_');
    let part = |from: usize, length: usize| rest.get(from..from + length).unwrap_or_default();
    if python == 8 && !rest.get(8).is_some_and(u8::is_ascii_alphanumeric) {
        return Some(at + 3 + 8);
    }
    if rest.first() == Some(&b'.') {
        let length = part(1, rest.len().saturating_sub(1).min(13))
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric())
            .count();
        let mixed = part(1, length).iter().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        return ((6..=12).contains(&length) && mixed).then_some(at + 4 + length);
    }
    let rust = lead(&|b| b.is_ascii_alphanumeric());
    let dotted = at > 0 && text.get(at - 1) == Some(&b'.');
    (dotted && rust == 6).then_some(at + 3 + 6)
}

/// Where an id ends whose milliseconds this word is: `_1763720000000_0`.
fn stamp_end(text: &[u8], word: &Range<usize>) -> Option<usize> {
    let digits = text.get(word.clone()).is_some_and(|w| w.len() == 13 && w.iter().all(u8::is_ascii_digit));
    let before = word.start > 0 && text.get(word.start - 1) == Some(&b'_');
    if !digits || !before || text.get(word.end) != Some(&b'_') {
        return None;
    }
    let tail = run(text, word.end + 1);
    let counted = text.get(word.end + 1..word.end + 1 + tail)?.iter().all(u8::is_ascii_digit);
    (tail > 0 && counted).then_some(word.end + 1 + tail)
}

fn start_of_stamped(text: &[u8], at: usize, found: &[Token]) -> usize {
    let floor = found.last().map_or(0, |t| t.range.end);
    let before = text.get(floor..at).unwrap_or_default();
    at - before.iter().rev().take_while(|b| b.is_ascii_alphanumeric() || b"_-".contains(b)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    // 21 November 2026, 10:00 to 10:05 UTC.
    const START: u64 = 1_795_255_200_000_000;

    fn lexer() -> Lexer {
        let side = Side {
            directory: "/scratch/run-1".into(),
            started_us: START,
            ended_us: START + 300_000_000,
            ..Side::default()
        };
        Lexer::new(&side, spellings("/scratch/run-1").to_vec())
    }

    /// The tokens of a text, in words.
    fn told(text: &str) -> Vec<String> {
        let kind = |k: Kind| match k {
            Kind::Name(shape) => format!("{shape:?}"),
            Kind::Quantity(quantity) => format!("{quantity:?}"),
            Kind::Date(_, day) => format!("day {}", day - 20_778),
            Kind::Root(index) => format!("root {index}"),
            Kind::Port => "port".into(),
        };
        let one = |t: Token| format!("{} {}", kind(t.kind), &text[t.range]);
        lexer().tokens(text).into_iter().map(one).collect()
    }

    #[test]
    fn names_are_whole_tokens() {
        assert_eq!(
            told("see msg_6f1c8a52-1111-4222-8333-abcdefabcdef, fbdbeecc-e0c0-40a6-aa1c-7ed1d8a5313d."),
            ["Uuid 6f1c8a52-1111-4222-8333-abcdefabcdef", "Uuid fbdbeecc-e0c0-40a6-aa1c-7ed1d8a5313d"]
        );
        assert_eq!(told("agentId: a9f0123456789abcd (use it)"), ["Hex(17) a9f0123456789abcd"]);
        assert_eq!(
            told("id run_shell_command_1795255201000_0 done"),
            ["Stamped run_shell_command_1795255201000_0"]
        );
        assert_eq!(told("call_a8Xk29fQpL3mZt7B and 01HXYZ3NDEKTSV4RRFFQ69G5FA").len(), 2);
        assert_eq!(told("/tmp/tmpab12_x9z/a /tmp/build-a8Xk29/b /tmp/tmp.Ab12Cd34Ef .tmpAb12Cd").len(), 4);
        assert_eq!(
            told("/tmp/my-notes_b2uwb8cb/x /tmp/notes-overview/y"),
            ["Temporary b2uwb8cb", "Temporary overview"]
        );
        assert_eq!(told("/tmp/agent-kv_tpbzx/log /tmp/agent-_a7 /tmp/my-notes"), ["Temporary kv_tpbzx"]);
        assert_eq!(
            told("/tmp/agent-_voqag89/log /tmp/my___abcdef /tmp/agent-_voq_ag8"),
            ["Temporary _voqag89", "Temporary __abcdef", "Temporary _voq_ag8"],
            "Python's names may begin with an underscore"
        );
    }

    #[test]
    fn content_is_no_token() {
        for text in [
            "refund 4999 of 49.99 for order_A12345678",
            "deadbeef and facade, 12345678, 0x1234",
            "port 8080, 10.0.0.1:8080, example.com:443, timeout_ms: 5000",
            "in 5 seconds, 3 in 10, Saturday, May 5, room 101a",
            "due 2026-12-24 at 18:30:00",
            "build-report /var/data/build-a8Xk29/b tmpfile tmp",
            "/scratch/run-12 and /scratch/run-1-old and x/scratch/run-1",
            "the HTTP2Protocol AbstractFactoryBuilder",
        ] {
            assert_eq!(told(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn quantities_need_their_context() {
        assert_eq!(told("{\"duration_ms\": 931, \"n\": 931}"), ["Duration 931"]);
        assert_eq!(told(r#"{\"durationMs\": 931}"#), ["Duration 931"]);
        assert_eq!(told("Wall time: 0.0000 seconds"), ["Duration 0.0000"]);
        assert_eq!(told("3 passed in 0.02s"), ["Duration 0.02s"]);
        assert_eq!(told("real\t0m3.120s"), ["Duration 0m3.120s"]);
        assert_eq!(told("Process Group PGID: 2659"), ["Process 2659"]);
        assert_eq!(told("Chunk ID: 73527c\nx: 73527c"), ["Chunk 73527c"]);
        assert_eq!(told("http://127.0.0.1:43121/x localhost:80"), ["port 43121", "port 80"]);
    }

    #[test]
    fn clocks_are_known_by_the_time_of_the_run() {
        assert_eq!(
            told("at 1795255201, 1795255201123, 1795255201.5"),
            ["Epoch(10) 1795255201", "Epoch(13) 1795255201123", "Epoch(10) 1795255201.5"]
        );
        assert_eq!(told("at 1695255201"), Vec::<String>::new());
        assert_eq!(told("2026-11-21T10:03:48.123Z"), ["Day(Iso(45)) 2026-11-21", "TimeOfDay 10:03:48.123"]);
        assert_eq!(told("2026-11-21 10:03"), ["Day(Iso(45)) 2026-11-21", "TimeOfDay 10:03"]);
        assert_eq!(told("log-20261121_100348.txt"), ["Day(Compact) 20261121", "TimeOfDay 100348"]);
        assert_eq!(
            told("Sat, 21 Nov 2026 10:03:48 GMT"),
            [
                "Day(Words { short: true, weekday: 1, year: true, day_first: true }) Sat, 21 Nov 2026",
                "TimeOfDay 10:03:48"
            ]
        );
        assert_eq!(told("tomorrow is 2026-11-22"), ["day 1 2026-11-22"]);
    }

    #[test]
    fn directories_in_all_spellings() {
        assert_eq!(
            told("cd /scratch/run-1/src; ~/.x/-scratch-run-1/m \\n/scratch/run-1."),
            ["root 0 /scratch/run-1", "root 1 -scratch-run-1", "root 0 /scratch/run-1"]
        );
    }

    proptest::proptest! {
        #[test]
        fn tokens_are_in_order_and_nothing_panics(text in "[a-f0-9T:/.\\- _é]{0,80}|\\PC{0,80}") {
            let mut end = 0;
            for token in lexer().tokens(&text) {
                assert!(token.range.start >= end && text.get(token.range.clone()).is_some());
                end = token.range.end;
            }
        }
    }
}
