//! Values that differ from run to run without meaning: ids, clocks, durations. Careful, for 4999 against 49.99 has one:
//! a bare number is volatile only under a name that says so.

use super::tree::Tree;

/// Names of fields whose numbers and texts come from a clock or a counter. Whole words of the last name of a path.
const CLOCK_WORDS: [&str; 20] = [
    "at",
    "time",
    "timestamp",
    "ts",
    "date",
    "datetime",
    "created",
    "updated",
    "elapsed",
    "duration",
    "latency",
    "uptime",
    "ms",
    "us",
    "ns",
    "secs",
    "seconds",
    "nonce",
    "pid",
    "pgid",
];
/// Names of fields that name one request or one trace.
const ID_WORDS: [&str; 8] = ["trace", "span", "uuid", "guid", "traceparent", "etag", "nonce", "fingerprint"];

/// What a volatile value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Volatile {
    /// A clock, a date or a duration.
    Clock,
    /// An id.
    Id,
    /// A text with ids and clocks in it.
    Both,
}

/// What two different values of a field are, written as a [`super::FieldChange`] has them; none when they are content.
pub fn kind(path: &str, left: &str, right: &str) -> Option<Volatile> {
    let name = path.rsplit(['.', ']']).find(|part| !part.is_empty()).unwrap_or_default();
    let name = name.split('[').next().unwrap_or_default();
    match (Tree::parse(left), Tree::parse(right)) {
        (Some(l), Some(r)) if varies(name, &l, &r) => match (&l, &r) {
            (Tree::Text(a), Tree::Text(b)) if is_instant(a) && is_instant(b) => Some(Volatile::Clock),
            (Tree::Text(a), Tree::Text(b)) if !(is_number(a) && is_number(b)) => Some(Volatile::Id),
            _ if words_of(name).iter().any(|w| matches!(w.as_str(), "pid" | "pgid" | "nonce")) => {
                Some(Volatile::Id)
            }
            _ => Some(Volatile::Clock),
        },
        (Some(Tree::Text(l)), Some(Tree::Text(r))) => text_kind(&l, &r),
        (Some(_), Some(_)) => None,
        _ => text_kind(left, right),
    }
}

fn text_kind(left: &str, right: &str) -> Option<Volatile> {
    if !text_varies(left, right) {
        return None;
    }
    let (a, b) = (tokens(left), tokens(right));
    let kinds = a.iter().zip(&b).filter(|(x, y)| x != y).map(|(x, y)| match is_instant(x) && is_instant(y) {
        true => Volatile::Clock,
        false => Volatile::Id,
    });
    kinds.reduce(|a, b| if a == b { a } else { Volatile::Both })
}

/// True when two different values of a field, named by the last name of its path, look like an id, a clock or a
/// duration on both sides.
pub fn varies(name: &str, left: &Tree, right: &Tree) -> bool {
    let by_shape = match (left, right) {
        (Tree::Text(a), Tree::Text(b)) => token_varies(a, b),
        _ => false,
    };
    by_shape || varies_by_name(name, left, right)
}

/// The same where it is the name that says so.
pub(super) fn varies_by_name(name: &str, left: &Tree, right: &Tree) -> bool {
    let words = words_of(name);
    let has = |list: &[&str]| words.iter().any(|w| list.contains(&w.as_str()));
    match (left, right) {
        (Tree::Lexeme(a), Tree::Lexeme(b)) => has(&CLOCK_WORDS) && is_number(a) && is_number(b),
        (Tree::Text(a), Tree::Text(b)) => {
            (has(&ID_WORDS) && opaque(a) && opaque(b))
                || (words.last().is_some_and(|w| w == "id") && opaque(a) && opaque(b) && same_prefix(a, b))
                || (has(&CLOCK_WORDS) && is_clock(a) && is_clock(b) && is_number(a) == is_number(b))
        }
        _ => false,
    }
}

/// True for a number, and for a date with a time of day: what a clock shows, where it is known that one does.
pub(super) fn is_clock(text: &str) -> bool {
    is_number(text) || is_instant(text)
}

/// True when two different texts are the same but for whole tokens that look volatile by their shape alone.
pub fn text_varies(left: &str, right: &str) -> bool {
    let (a, b): (Vec<&str>, Vec<&str>) = (tokens(left), tokens(right));
    a.len() == b.len() && a != b && a.iter().zip(&b).all(|(x, y)| x == y || token_varies(x, y))
}

/// True for two tokens of the same volatile shape.
fn token_varies(a: &str, b: &str) -> bool {
    (is_uuid(a) && is_uuid(b))
        || (is_hash(a) && is_hash(b) && a.len() == b.len())
        || (is_instant(a) && is_instant(b))
}

/// Words of a field's name: `checkedAt`, `checked_at` and `checked-at` are two words each.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower_before = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower_before) {
            words.push(String::new());
        }
        lower_before = c.is_lowercase();
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

/// Tokens and what stands between them, so that texts that differ in punctuation differ here too.
fn tokens(text: &str) -> Vec<&str> {
    let in_token = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ':' | '.' | '+');
    let mut all = Vec::new();
    let mut start = 0;
    let mut inside = None;
    for (at, c) in text.char_indices() {
        if inside.is_some_and(|i| i != in_token(c)) {
            all.push(text.get(start..at).unwrap_or_default());
            start = at;
        }
        inside = Some(in_token(c));
    }
    all.push(text.get(start..).unwrap_or_default());
    all
}

fn is_number(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Hex of 16 digits or more with letters and digits in it: never a plain number or a word.
fn is_hash(text: &str) -> bool {
    text.len() >= 16
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// A date with a time of day (RFC 3339 and its kin). A date alone is content.
fn is_instant(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits =
        |from: usize, to: usize| bytes.get(from..to).is_some_and(|s| s.iter().all(u8::is_ascii_digit));
    let sign = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));
    digits(0, 4)
        && sign(4, b"-")
        && digits(5, 7)
        && sign(7, b"-")
        && digits(8, 10)
        && sign(10, b"T t")
        && digits(11, 13)
        && sign(13, b":")
        && digits(14, 16)
}

/// A made-up name of 8 characters or more with letters and digits: `req_01HX…`, `0643afbe`.
fn opaque(text: &str) -> bool {
    let tail = text.rsplit(['_', '-', '/']).next().unwrap_or_default();
    tail.len() >= 8
        && tail.bytes().all(|b| b.is_ascii_alphanumeric())
        && tail.bytes().any(|b| b.is_ascii_digit())
        && tail.bytes().any(|b| b.is_ascii_alphabetic())
}

/// Same text before the last separator and tails of 12 characters or more: `call_…`, `req_…`. `order_A12345678`
/// against `order_A12345679` is too short to be made up.
fn same_prefix(a: &str, b: &str) -> bool {
    let split = |t: &str| t.rsplit_once(['_', '-', '/']).map(|(p, t)| (p.to_string(), t.len()));
    match (split(a), split(b)) {
        (Some((pa, la)), Some((pb, lb))) => pa == pb && la >= 12 && lb >= 12,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, left: &str, right: &str) -> bool {
        let tree = |t: &str| Tree::parse(t).expect("test JSON");
        varies(name, &tree(left), &tree(right))
    }

    #[test]
    fn content_is_never_called_volatile() {
        for (name, left, right) in [
            ("amount", "4999", "49.99"),
            ("amount_usd", "4999", "49.99"),
            ("order_id", "\"A123\"", "\"A124\""),
            ("customer_id", "17", "18"),
            ("risk", "\"low\"", "\"high\""),
            ("price", "1795224754", "1795224755"),
            ("state", "\"paid\"", "\"open\""),
            ("format", "\"pdf\"", "\"csv\""),
            ("due", "\"2026-01-01\"", "\"2026-02-01\""),
            ("order_id", "\"order_A1234567\"", "\"order_A1234568\""),
            ("time", "1", "\"1\""),
        ] {
            assert!(!check(name, left, right), "{name}: {left} {right}");
        }
        assert!(!text_varies("Refunded $4,999.00", "Refunded $49.99"));
        assert!(!text_varies("took 12 ms", "took 13 apples"));
    }

    #[test]
    fn they_are_named() {
        for (path, left, right, expected) in [
            ("checked_at", "1795224754.6", "1795224790.1", Some(Volatile::Clock)),
            ("a.trace", "\"0643afbe12\"", "\"99ab41ce07\"", Some(Volatile::Id)),
            ("items[2].at[0]", "17", "18", Some(Volatile::Clock)),
            ("pid", "17", "18", Some(Volatile::Id)),
            ("when", "\"2026-08-21T10:00:00Z\"", "\"2026-08-21T10:00:05.5Z\"", Some(Volatile::Clock)),
            ("", "2026-08-21T10:00:00Z", "2026-08-21T10:00:05Z", Some(Volatile::Clock)),
            ("", "0643afbe12340643afbe", "99ab41ce077799ab41ce", Some(Volatile::Id)),
            (
                "",
                "0643afbe12340643afbe at 2026-08-21T10:00:00Z",
                "99ab41ce077799ab41ce at 2026-08-21T10:00:05Z",
                Some(Volatile::Both),
            ),
            ("amount", "4999", "49.99", None),
            ("", "left", "right", None),
        ] {
            assert_eq!(kind(path, left, right), expected, "{path}: {left} {right}");
        }
    }

    #[test]
    fn clocks_and_ids_are() {
        for (name, left, right) in [
            ("checked_at", "1795224754.6", "1795224790.1"),
            ("checkedAt", "1795224754", "1795224790"),
            ("duration_ms", "12", "9"),
            ("trace", "\"0643afbe12\"", "\"99ab41ce07\""),
            ("x", "\"6f1c8a52-1111-4222-8333-abcdefabcdef\"", "\"7f1c8a52-1111-4222-8333-abcdefabcdef\""),
            ("when", "\"2026-08-21T10:00:00Z\"", "\"2026-08-21T10:00:05.5Z\""),
            ("request_id", "\"req_011CXaaaaaaa1\"", "\"req_011CXbbbbbbb2\""),
        ] {
            assert!(check(name, left, right), "{name}: {left} {right}");
        }
        assert!(text_varies(
            "done (trace 0643afbe12340643afbe) at 2026-08-21T10:00:00Z.",
            "done (trace 99ab41ce077799ab41ce) at 2026-08-21T11:30:00Z."
        ));
    }
}
