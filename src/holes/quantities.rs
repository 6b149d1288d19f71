//! Numbers that the words before them call volatile: durations, processes, ports, short ids.

use super::lexer::is_hex;
use super::token::{Kind, Quantity};
use std::ops::Range;

/// The last words before a place, the last first, empty where there are fewer: of `"duration_ms": ` they are `ms`,
/// `duration`.
fn words_before(text: &[u8], at: usize) -> [&[u8]; 3] {
    let window = text.get(at.saturating_sub(40)..at).unwrap_or_default();
    let joint = |b: &u8| b" \t:=\"'\\<>([".contains(b);
    let kept = window.len() - window.iter().rev().take_while(|b| joint(b)).count();
    let window = window.get(..kept).unwrap_or_default();
    let mut words: [&[u8]; 3] = [&[]; 3];
    let mut found = 0;
    let mut end = None;
    for (i, b) in window.iter().enumerate().rev() {
        let letter = b.is_ascii_alphabetic();
        let starts_camel = b.is_ascii_uppercase() && window.get(i + 1).is_some_and(u8::is_ascii_lowercase);
        if letter {
            end.get_or_insert(i + 1);
        }
        if starts_camel || !letter {
            let start = if letter { i } else { i + 1 };
            if let (Some(end), Some(word)) = (end.take(), words.get_mut(found)) {
                *word = window.get(start..end).unwrap_or_default();
                found += 1;
            }
            if found == words.len() || (!letter && !matches!(b, b'_' | b'-' | b' ')) {
                return words;
            }
        }
    }
    if let (Some(end), Some(word)) = (end, words.get_mut(found)) {
        *word = window.get(..end).unwrap_or_default();
    }
    words
}

/// True for a word of a list, in letters of whatever size.
fn is_one_of(word: &[u8], list: &[&str]) -> bool {
    list.iter().any(|one| word.eq_ignore_ascii_case(one.as_bytes()))
}

const LASTED: [&str; 10] =
    ["duration", "durations", "elapsed", "latency", "uptime", "took", "walltime", "ttft", "runtime", "real"];
const TIMES: [&str; 7] = ["wall", "execution", "response", "elapsed", "total", "run", "running"];
const PROCESSES: [&str; 4] = ["pid", "pgid", "ppid", "sid"];
const HERE: [&[u8]; 4] = [b"localhost:", b"127.0.0.1:", b"0.0.0.0:", b"[::1]:"];

/// A number that counts something volatile: where it ends, and what it counts. The context says so.
pub(super) fn counted(text: &[u8], at: usize) -> Option<(usize, Kind)> {
    let before = text.get(..at).unwrap_or_default();
    let digits = text.get(at..)?.iter().take_while(|b| b.is_ascii_digit()).count();
    let joined = |end: usize| text.get(end).is_some_and(u8::is_ascii_alphanumeric);
    if HERE.iter().any(|host| before.ends_with(host)) {
        return ((2..=5).contains(&digits) && !joined(at + digits)).then_some((at + digits, Kind::Port));
    }
    if at > 0 && matches!(text.get(at - 1), Some(b'.' | b'-' | b'_' | b'/' | b'$')) {
        return None;
    }
    let words = words_before(text, at);
    let is = |i: usize, list: &[&str]| words.get(i).is_some_and(|word| is_one_of(word, list));
    if is(0, &PROCESSES) || (is(0, &["id"]) && is(1, &["process"])) {
        return (!joined(at + digits)).then_some((at + digits, Kind::Quantity(Quantity::Process)));
    }
    let (end, unit, fraction) = span_of_time(text, at)?;
    let said = is(0, &LASTED)
        || is(1, &LASTED)
        || (is(0, &["time", "clock"]) && is(1, &TIMES))
        || (is(0, &["taken"]) && is(1, &["time"]))
        || (is(0, &["user", "sys"]) && unit)
        || (is(0, &["in", "after"]) && unit && fraction);
    said.then_some((end, Kind::Quantity(Quantity::Duration)))
}

/// `931`, `0.02s`, `0m3.120s`: where it ends, whether a unit is joined to it, whether it has a fraction.
fn span_of_time(text: &[u8], start: usize) -> Option<(usize, bool, bool)> {
    let mut at = start;
    let (mut unit, mut fraction) = (false, false);
    loop {
        let digits = text.get(at..)?.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            break;
        }
        at += digits;
        if text.get(at) == Some(&b'.') && text.get(at + 1).is_some_and(u8::is_ascii_digit) {
            at += 1;
            at += text.get(at..)?.iter().take_while(|b| b.is_ascii_digit()).count();
            fraction = true;
        }
        let letters = text.get(at..)?.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        match text.get(at..at + letters)? {
            b"" => break,
            b"ns" | b"us" | b"ms" | b"s" | b"sec" | b"m" | b"min" | b"h" => {
                unit = true;
                at += letters;
            }
            _ => return None,
        }
    }
    Some((at, unit, fraction))
}

/// `Chunk ID: 73527c`
pub(super) fn is_chunk(text: &[u8], word: &Range<usize>) -> bool {
    let said = text.get(word.clone()).unwrap_or_default();
    if said.len() > 8 || !is_hex(said) || !text.get(..word.start).is_some_and(|b| b.ends_with(b": ")) {
        return false;
    }
    let [id, chunk, _] = words_before(text, word.start);
    is_one_of(id, &["id"]) && is_one_of(chunk, &["chunk"])
}
