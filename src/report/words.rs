//! Numbers, times and other people's text in a form that fits a line.

use crate::diff::ServerTotals;
use crate::replay::shim::{SHELL, SHIM};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `shop (9 messages, 5 calls), the tool shim (3 calls)`.
pub fn servers(servers: &[ServerTotals]) -> String {
    let told = servers.iter().map(|server| {
        let calls =
            if server.calls > 0 { format!(", {}", many(server.calls.into(), "call")) } else { String::new() };
        match server.server.as_str() {
            SHIM => format!("{SHIM} ({})", many(server.calls.into(), "call")),
            SHELL => format!("{SHELL} ({})", many(server.calls.into(), "command")),
            _ => format!("{} ({}{calls})", line(&server.server), many(server.messages.into(), "message")),
        }
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Stands for what was cut.
const CUT: char = '…';

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Other people's text on one line: white space in a row becomes one space, control characters become visible.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut space = false;
    for c in text.trim().chars() {
        if c.is_whitespace() {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) {
            out.push(' ');
        }
        visible(c, &mut out);
    }
    out
}

/// Other people's text over several lines: line feeds stay, tabs become spaces, other control characters become
/// visible.
pub fn block(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' => out.push('\n'),
            '\t' => out.push_str("    "),
            c => visible(c, &mut out),
        }
    }
    out
}

fn visible(c: char, out: &mut String) {
    match c {
        // The control pictures: an escape is shown as ␛.
        '\0'..='\x1f' => out.extend(char::from_u32(0x2400 + c as u32)),
        '\x7f' => out.push('␡'),
        // C1 controls steer terminals too; direction marks make text read as what it is not.
        '\u{80}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        // No characters, by Unicode's own word: XML cannot hold them.
        | '\u{fffe}'..='\u{ffff}' => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
        c => out.push(c),
    }
}

/// Cuts a line at its end to at most this many columns.
pub fn clip(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_string();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let next = c.width().unwrap_or(0);
        if used + next + 1 > columns {
            break;
        }
        used += next;
        out.push(c);
    }
    let kept = out.trim_end().len();
    out.truncate(kept);
    if columns > 0 {
        out.push(CUT);
    }
    out
}

/// Keeps two words together where [`fold`] would break the line.
pub const GLUE: char = '\u{a0}';

/// Breaks a line at spaces into lines of at most this many columns, which begin where it begins. A word that is longer
/// stays whole: it may be a path or a command that somebody wants to copy.
pub fn fold(text: &str, columns: usize) -> Vec<String> {
    let lead = text.len() - text.trim_start_matches(' ').len();
    let mut lines: Vec<String> = Vec::new();
    let mut used = lead;
    let mut gap = lead;
    for word in text.split(' ').skip(lead) {
        if word.is_empty() {
            gap += 1;
            continue;
        }
        match lines.last_mut() {
            Some(last) if used + gap + width(word) <= columns => {
                last.push_str(&" ".repeat(gap));
                last.push_str(word);
                used += gap + width(word);
            }
            _ => {
                lines.push(format!("{}{word}", " ".repeat(lead)));
                used = lead + width(word);
            }
        }
        gap = 1;
    }
    lines.iter().map(|line| line.replace(GLUE, " ")).collect()
}

/// Fills up with spaces at the end.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// `1,246`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 step`, `2 steps`, `1,200 steps`.
pub fn many(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", count(n)) }
}

/// A duration: `76 ms`, `1.2 s`, `2 min 3 s`, `1 h 5 min`.
pub fn duration(us: u64) -> String {
    let ms = us.saturating_add(500) / 1_000;
    let s = us / 1_000_000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..59_950 => format!("{:.1} s", us as f64 / 1e6),
        _ if s < 3_600 => format!("{} min {} s", s / 60, s % 60),
        _ if s < 86_400 => format!("{} h {} min", s / 3_600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3_600 % 24),
    }
}

/// How long a whole run took: in seconds even when it was short.
pub fn seconds(us: u64) -> String {
    match us {
        0..100_000 => format!("{:.2} s", us as f64 / 1e6),
        100_000..1_000_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => duration(us),
    }
}

/// How long ago, seen from `now`: `just now`, `5 min ago`, `yesterday`, `3 days ago`, then the date (UTC).
pub fn ago(then_us: u64, now_us: u64) -> String {
    let Some(s) = now_us.checked_sub(then_us).map(|us| us / 1_000_000) else {
        // A clock that was set back: the date says more than a negative time would.
        return date(then_us);
    };
    match s {
        0..10 => "just now".into(),
        10..60 => format!("{s} s ago"),
        60..3_600 => format!("{} min ago", s / 60),
        3_600..86_400 => format!("{} h ago", s / 3_600),
        86_400..172_800 => "yesterday".into(),
        172_800..1_209_600 => format!("{} days ago", s / 86_400),
        _ => date(then_us),
    }
}

fn date(us: u64) -> String {
    i64::try_from(us)
        .ok()
        .and_then(|us| jiff::Timestamp::from_microsecond(us).ok())
        .map_or_else(|| "unknown".into(), |t| t.strftime("%Y-%m-%d").to_string())
}

/// The tokens of a run: `1,246 > 66 tokens`; model calls of which none says how many leave them unknown.
pub fn spent(input: u64, output: u64, calls: u32) -> String {
    match (input, output) {
        (0, 0) if calls > 0 => "tokens n/a".into(),
        _ => format!("{} > {} tokens", count(input), count(output)),
    }
}

/// Tokens in and out, narrow: `1,246>66`.
pub fn tokens(input: u64, output: u64) -> String {
    format!("{}>{}", count(input), count(output))
}

/// Numbers as ranges: `1-6, 8, 10-12`.
pub fn ranges(numbers: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for n in numbers {
        match parts.last_mut() {
            Some((_, end)) if *end + 1 == *n => *end = *n,
            _ => parts.push((*n, *n)),
        }
    }
    let show = |(a, b): &(u32, u32)| if a == b { a.to_string() } else { format!("{a}-{b}") };
    parts.iter().map(show).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_steers_the_terminal() {
        assert_eq!(line("a\x1b[31mred\x07\n\n  b\u{9b}2J"), "a␛[31mred␇ b\\u{9b}2J");
        assert_eq!(block("a\r\nb\tc\rd\u{202e}"), "a\nb    c␍d\\u{202e}");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [count(0), count(999), count(1_246), count(1_000_000)],
            ["0", "999", "1,246", "1,000,000"]
        );
        let times = [400, 76_000, 999_600, 1_234_000, 59_960_000, 123_000_000, 3_900_000_000, 90_000_000_000];
        assert_eq!(
            times.map(duration),
            ["0 ms", "76 ms", "1.0 s", "1.2 s", "0 min 59 s", "2 min 3 s", "1 h 5 min", "1 d 1 h"]
        );
        assert_eq!([seconds(80_000), seconds(640_000), seconds(2_000_000)], ["0.08 s", "0.6 s", "2.0 s"]);
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "1-3, 5, 7-8");
    }

    #[test]
    fn how_long_ago() {
        let now = 1_795_224_700_000_000;
        let ago_s = |s: u64| ago(now - s * 1_000_000, now);
        assert_eq!(
            [1, 30, 300, 7_300, 90_000, 260_000, 9_999_999].map(ago_s),
            ["just now", "30 s ago", "5 min ago", "2 h ago", "yesterday", "3 days ago", "2026-07-28"]
        );
        assert_eq!(ago(now + 1, now), "2026-11-21");
        assert_eq!(ago(u64::MAX, now), "unknown");
    }

    #[test]
    fn folds_at_spaces() {
        assert_eq!(fold("one two three", 7), ["one two", "three"]);
        assert_eq!(fold("  a b", 4), ["  a", "  b"]);
        assert_eq!(fold("a-very-long-word b", 5), ["a-very-long-word", "b"]);
        assert_eq!(fold("7  one  two", 20), ["7  one  two"]);
        assert_eq!(fold("use --fence\u{a0}pay", 12), ["use", "--fence pay"]);
        assert_eq!(fold("猫 犬 鳥", 5), ["猫 犬", "鳥"]);
        assert_eq!(fold("", 5), [""; 0]);
    }

    proptest! {
        #[test]
        fn clipped_text_fits(text in "\\PC{0,60}", columns in 0usize..40) {
            prop_assert!(width(&clip(&text, columns)) <= columns);
        }

        #[test]
        fn lines_hold_no_control_characters(text in any::<String>()) {
            prop_assert!(!line(&text).chars().any(char::is_control));
            prop_assert!(!block(&text).chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}
