//! What kind of value differs: a date, a time, an id, a path, …

use crate::diff::align::align;
use serde::Serialize;

/// What a value looks like that came out differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueKind {
    /// A day: `2026-11-21`, `21 November 2026`.
    Date,
    /// A time of day, a date with a time, or seconds since 1970.
    Time,
    /// A UUID.
    Uuid,
    /// Hex of 8 digits or more.
    Hex,
    /// Another made-up name: `req_01HXW…`.
    Id,
    /// A file or a directory.
    Path,
    /// The port of an address.
    Port,
    /// How long something took.
    Duration,
    /// Another number. It may well be content.
    Number,
    /// Anything else.
    Other,
}

impl ValueKind {
    /// In words, with an article.
    pub fn words(self) -> &'static str {
        match self {
            ValueKind::Date => "a date",
            ValueKind::Time => "a time",
            ValueKind::Uuid => "a uuid",
            ValueKind::Hex => "a hex id",
            ValueKind::Id => "an id",
            ValueKind::Path => "a path",
            ValueKind::Port => "a port",
            ValueKind::Duration => "a duration",
            ValueKind::Number => "a number",
            ValueKind::Other => "text",
        }
    }
}

/// A part of two texts that differs, in whole tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub kind: ValueKind,
    pub recorded: String,
    pub live: String,
    /// What stands before it on its line, on both sides, from the part before it on.
    pub before: String,
    /// What stands behind it on its line, on both sides.
    pub behind: String,
}

/// How much of two long texts is aligned token by token.
const TOKENS: usize = 4_000;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The parts of two texts that differ.
pub(super) fn parts(recorded: &str, live: &str) -> Vec<Part> {
    let (a, b) = (tokens(recorded), tokens(live));
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let most = a.len().min(b.len()) - head;
    let tail = a.iter().rev().zip(b.iter().rev()).take(most).take_while(|(x, y)| x == y).count();
    let (x, y) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let pairs: Vec<(Option<usize>, Option<usize>)> = if x.len() == y.len() {
        // The same sentence with other values in it.
        (0..x.len()).map(|i| (Some(i), Some(i))).collect()
    } else if x.len().max(y.len()) > TOKENS {
        (0..x.len()).map(|i| (Some(i), None)).chain((0..y.len()).map(|i| (None, Some(i)))).collect()
    } else {
        align(x, y)
    };
    let mut out: Vec<Part> = Vec::new();
    let mut before: String = a[..head].concat();
    let (mut l, mut r) = (String::new(), String::new());
    let behind: String = a[a.len() - tail..].concat();
    for (i, j) in pairs {
        let (p, q) = (i.and_then(|i| x.get(i)), j.and_then(|j| y.get(j)));
        if p.is_some() && p == q {
            if !(l.is_empty() && r.is_empty()) {
                push(&mut out, &mut l, &mut r, &before, p.copied().unwrap_or_default());
                before.clear();
            }
            before.push_str(p.copied().unwrap_or_default());
            continue;
        }
        l.push_str(p.copied().unwrap_or_default());
        r.push_str(q.copied().unwrap_or_default());
    }
    push(&mut out, &mut l, &mut r, &before, &behind);
    out
}

fn push(out: &mut Vec<Part>, l: &mut String, r: &mut String, before: &str, behind: &str) {
    if l.is_empty() && r.is_empty() {
        return;
    }
    let before = before.rsplit('\n').next().unwrap_or_default().to_string();
    let behind = behind.split('\n').next().unwrap_or_default().to_string();
    let (recorded, live) = (std::mem::take(l), std::mem::take(r));
    // A date or time of several words is one value: `Saturday, 21 November`.
    if let Some(last) = out.last_mut()
        && last.kind != ValueKind::Other
        && matches!(last.kind, ValueKind::Date | ValueKind::Time)
        && last.behind.trim_matches([' ', ',', 'T']).is_empty()
        && is_date_or_time(&recorded, &before)
    {
        let gap = last.behind.clone();
        last.recorded.push_str(&format!("{gap}{recorded}"));
        last.live.push_str(&format!("{gap}{live}"));
        if kind_of(&recorded, &live, &before, &behind) == ValueKind::Time {
            last.kind = ValueKind::Time;
        }
        last.behind = behind;
        return;
    }
    let kind = kind_of(&recorded, &live, &before, &behind);
    out.push(Part { kind, recorded, live, before, behind });
}

fn is_date_or_time(text: &str, before: &str) -> bool {
    let kind = kind_of(text, text, before, "");
    matches!(kind, ValueKind::Date | ValueKind::Time)
        || (text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit()))
}

/// Words with what belongs to them, and what stands between.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let inside =
        |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ':' | '.' | '+' | '/' | '~' | '@' | '%');
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = inside(first);
        let mut end = rest.find(|c| inside(c) != is_word).unwrap_or(rest.len());
        if is_word {
            // The end of a sentence is not part of its last word; a lone sign is.
            let word = rest.get(..end).unwrap_or_default();
            let trimmed = word.trim_end_matches(['.', ':', '-']).len();
            end = if trimmed == 0 { end } else { trimmed };
        }
        let (token, more) = rest.split_at(end.max(first.len_utf8()));
        all.push(token);
        rest = more;
    }
    all
}

/// What kind of value two texts are that stand in each other's place.
pub(super) fn kind_of(recorded: &str, live: &str, before: &str, behind: &str) -> ValueKind {
    let both = |is: &dyn Fn(&str) -> bool| is(recorded) && is(live);
    let name = before.trim_end_matches([' ', '"', '\'', '=', ':']).to_lowercase();
    let named = |words: &[&str]| {
        let last = name.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        words.contains(&last)
    };
    if both(&is_uuid) {
        ValueKind::Uuid
    } else if both(&is_moment) {
        ValueKind::Time
    } else if both(&is_day) {
        ValueKind::Date
    } else if both(&is_duration) || (both(&is_number) && is_unit(behind)) {
        ValueKind::Duration
    } else if both(&has_port) || (both(&is_number) && named(&["port"])) {
        ValueKind::Port
    } else if both(&is_path) {
        ValueKind::Path
    } else if both(&is_epoch) {
        ValueKind::Time
    } else if both(&is_number) && named(&["elapsed", "duration", "took", "latency", "ms", "seconds"]) {
        ValueKind::Duration
    } else if both(&is_number) {
        ValueKind::Number
    } else if both(&is_hex) {
        // One of both may happen to have digits alone.
        ValueKind::Hex
    } else if (both(&is_opaque_tail) && (is_opaque(recorded) || is_opaque(live)))
        || are_numbered(recorded, live)
    {
        ValueKind::Id
    } else {
        ValueKind::Other
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'))
}

/// Seconds, or a power of a thousand of them, since 1970: a date between 2001 and 2096.
fn is_epoch(text: &str) -> bool {
    let whole = text.split('.').next().unwrap_or_default();
    is_number(text)
        && !text.starts_with(['-', '+'])
        && matches!(whole.len(), 10 | 13 | 16 | 19)
        && whole.starts_with(['1', '2', '3'])
}

fn is_uuid(text: &str) -> bool {
    let text = text.trim_matches(['{', '}']);
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn is_hex(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `2026-11-21`, `11/21/2026`, a month or a day of the week.
fn is_day(text: &str) -> bool {
    let fields: Vec<&str> = text.split(['-', '/', '.']).collect();
    let digits = |t: &&str| matches!(t.len(), 1 | 2 | 4) && t.bytes().all(|b| b.is_ascii_digit());
    let word = text.to_lowercase();
    let begins = |names: &[&str]| {
        names.iter().any(|n| word.starts_with(n)) && word.bytes().all(|b| b.is_ascii_lowercase())
    };
    (fields.len() == 3 && fields.iter().all(digits) && fields.iter().any(|f| f.len() == 4))
        || begins(&MONTHS)
        || (begins(&DAYS) && (word.len() == 3 || word.ends_with("day")))
}

/// `10:22`, `10:22:03.5`, `2026-11-21T10:22:03Z`.
fn is_moment(text: &str) -> bool {
    let (day, clock) = match text.split_once(['T', 't']) {
        Some((day, clock)) => (Some(day), clock),
        None => (None, text),
    };
    let clock = clock.trim_end_matches(['Z', 'z']);
    let clock = clock.split_once(['+', '-']).map_or(clock, |(clock, _)| clock);
    let fields: Vec<&str> = clock.split(':').collect();
    let two = |t: &&str| {
        let whole = t.split('.').next().unwrap_or_default();
        matches!(whole.len(), 1 | 2) && t.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    day.is_none_or(is_day) && matches!(fields.len(), 2 | 3) && fields.iter().all(two) && !clock.is_empty()
}

/// `12ms`, `1.5s`, `3m20s`.
fn is_duration(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let counted = unit.len() < text.len() && text.starts_with(|c: char| c.is_ascii_digit());
    counted && matches!(unit, "ns" | "us" | "µs" | "ms" | "s" | "m" | "h" | "min" | "sec" | "secs")
}

fn is_unit(behind: &str) -> bool {
    let word = behind.trim_start().split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    matches!(
        word,
        "ns" | "us" | "µs" | "ms" | "s" | "sec" | "secs" | "seconds" | "second" | "minutes" | "milliseconds"
    )
}

/// `127.0.0.1:43221`, `http://localhost:8000/x`.
fn has_port(text: &str) -> bool {
    let host = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    host.rsplit_once(':').is_some_and(|(name, port)| {
        name.chars().any(|c| c.is_alphabetic() || c == '.')
            && matches!(port.len(), 2..=5)
            && port.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_path(text: &str) -> bool {
    (text.starts_with('/') || text.starts_with("~/") || text.starts_with("./") || text.starts_with("../"))
        && text.len() > 2
}

/// What stands behind the last separator of a made-up name.
fn tail(text: &str) -> &str {
    text.rsplit(['_', '-', ':', '/']).next().unwrap_or_default()
}

/// 6 letters and digits or more behind the last separator, a digit among them.
fn is_opaque_tail(text: &str) -> bool {
    let tail = tail(text);
    tail.len() >= 6
        && tail.bytes().all(|b| b.is_ascii_alphanumeric())
        && (is_opaque(text) || tail.bytes().any(|b| b.is_ascii_digit()))
}

/// `INV-17` and `INV-9`: one word, and another number behind its sign.
fn are_numbered(recorded: &str, live: &str) -> bool {
    let stem = |text: &str| {
        let number = tail(text);
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let stem = text.get(..text.len() - number.len()).unwrap_or_default().to_string();
        (is_number && stem.chars().any(char::is_alphabetic)).then_some(stem)
    };
    stem(recorded).is_some_and(|own| stem(live) == Some(own))
}

/// A made-up name: 6 characters or more behind its last separator, digits and letters mixed, or both cases inside.
fn is_opaque(text: &str) -> bool {
    let tail = tail(text);
    let has = |is: &dyn Fn(char) -> bool| tail.chars().any(is);
    tail.len() >= 6
        && tail.bytes().all(|b| b.is_ascii_alphanumeric())
        && has(&|c| c.is_ascii_alphabetic())
        && (has(&|c| c.is_ascii_digit())
            || (tail.len() >= 8 && tail.chars().skip(1).any(|c| c.is_ascii_uppercase())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(recorded: &str, live: &str) -> Vec<String> {
        parts(recorded, live)
            .iter()
            .map(|p| format!("{} {} -> {}", p.kind.words(), p.recorded, p.live))
            .collect()
    }

    #[test]
    fn values_are_told_by_their_shape() {
        for (recorded, live, says) in [
            ("It is 2026-11-21.", "It is 2026-11-22.", "a date 2026-11-21 -> 2026-11-22"),
            ("at 10:22:03, go", "at 11:07:59, go", "a time 10:22:03 -> 11:07:59"),
            (
                "at 2026-11-21T10:22:03Z",
                "at 2026-11-21T10:25:00Z",
                "a time 2026-11-21T10:22:03Z -> 2026-11-21T10:25:00Z",
            ),
            ("now=1795224754.62", "now=1795224790.1", "a time 1795224754.62 -> 1795224790.1"),
            (
                "id 6f1c8a52-1111-4222-8333-abcdefabcdef ok",
                "id 7f1c8a52-1111-4222-8333-abcdefabcdef ok",
                "a uuid 6f1c8a52-1111-4222-8333-abcdefabcdef -> 7f1c8a52-1111-4222-8333-abcdefabcdef",
            ),
            ("trace 0643afbe12", "trace 99ab41ce07", "a hex id 0643afbe12 -> 99ab41ce07"),
            ("trace 34615961", "trace 0643afbe", "a hex id 34615961 -> 0643afbe"),
            ("trace 34615961", "trace 81723394", "a number 34615961 -> 81723394"),
            ("see req_34615961", "see req_06ab43cd", "an id req_34615961 -> req_06ab43cd"),
            ("see INV-17", "see INV-9", "an id INV-17 -> INV-9"),
            ("see req_01HXWabc", "see req_01HYQdef", "an id req_01HXWabc -> req_01HYQdef"),
            ("in /tmp/a1b2/x.txt now", "in /tmp/c3d4/x.txt now", "a path /tmp/a1b2/x.txt -> /tmp/c3d4/x.txt"),
            (
                "http://127.0.0.1:4321/v1",
                "http://127.0.0.1:999/v1",
                "a port http://127.0.0.1:4321/v1 -> http://127.0.0.1:999/v1",
            ),
            ("took 12 ms", "took 9 ms", "a duration 12 -> 9"),
            ("took 1.5s", "took 1.25s", "a duration 1.5s -> 1.25s"),
            ("Refund 4999 now", "Refund 49.99 now", "a number 4999 -> 49.99"),
            ("risk low", "risk high", "text low -> high"),
            ("Saturday, 21 November 2026!", "Sunday, 22 November 2026!", "a date Saturday, 21 -> Sunday, 22"),
        ] {
            assert_eq!(told(recorded, live), [says]);
        }
    }

    #[test]
    fn several_parts_of_one_text_are_told_apart() {
        assert_eq!(
            told("run 0643afbe12 of 2026-11-21: low", "run 99ab41ce07 of 2026-11-22: low"),
            ["a hex id 0643afbe12 -> 99ab41ce07", "a date 2026-11-21 -> 2026-11-22"]
        );
        assert_eq!(told("one two three", "one two new words three"), ["text  -> new words "]);
        assert_eq!(told("", "x"), ["text  -> x"]);
        assert_eq!(told("same", "same"), [""; 0]);
    }
}
