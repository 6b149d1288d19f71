//! Secrets by the name of their field: `"password": "…"`, `api_key=…`, `AWS_SECRET_ACCESS_KEY: …`.

use super::rules::Shape;

/// Parts of names, in the spellings that occur. One of them is in every name that [`field_at`] knows.
pub(super) const TRIGGERS: [&str; 22] = [
    "assword",
    "ASSWORD",
    "asswd",
    "ASSWD",
    "assphrase",
    "ASSPHRASE",
    "api_key",
    "apikey",
    "apiKey",
    "api-key",
    "ApiKey",
    "API_KEY",
    "APIKEY",
    "ecret",
    "ECRET",
    "_token",
    "Token",
    "_TOKEN",
    "ccess_key",
    "ccessKey",
    "CCESS_KEY",
    "AccountKey",
];

/// Ends of names, in lower case without `_` and `-`, whose values are passwords: chosen by people.
const PASSWORDS: [&str; 3] = ["password", "passwd", "passphrase"];
/// Ends of names whose values are keys: made by machines.
const KEYS: [&str; 16] = [
    "apikey",
    "secret",
    "secretkey",
    "secretaccesskey",
    "accesskey",
    "accesskeyid",
    "accountkey",
    "accesstoken",
    "refreshtoken",
    "authtoken",
    "sessiontoken",
    "bearertoken",
    "idtoken",
    "securitytoken",
    "apitoken",
    "bottoken",
];
/// Values that show where a secret would be.
const PLACEHOLDERS: [&str; 12] = [
    "pass", "pwd", "password", "passwd", "secret", "changeme", "string", "redacted", "example", "token",
    "apikey", "hunter2",
];
/// Ids of the protocols; they are no secrets, whatever the field is called.
const PROTOCOL_IDS: [&str; 6] = ["toolu_", "call_", "chatcmpl-", "req_", "msg_", "resp_"];

const LONGEST_NAME: usize = 64;
const LONGEST_VALUE: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Password,
    Key,
}

/// The value of the field in whose name the trigger at this place is.
pub(super) fn field_at(text: &[u8], at: usize) -> Option<Shape> {
    let in_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-';
    let (before, after) = (text.get(..at)?, text.get(at..)?);
    let start = at - before.iter().rev().take(LONGEST_NAME).take_while(|b| in_name(b)).count();
    let mut end = at + after.iter().take(LONGEST_NAME).take_while(|b| in_name(b)).count();
    let name = std::str::from_utf8(text.get(start..end)?).ok()?;
    let kind = kind_of(name)?;
    let spaces =
        |from: usize| text.get(from..).unwrap_or_default().iter().take_while(|b| **b == b' ').count();
    end += quote_length(text, end);
    end += spaces(end);
    matches!(text.get(end), Some(b':' | b'=')).then_some(())?;
    end += 1;
    end += spaces(end);
    let quote = quote_length(text, end);
    let value_start = end + quote;
    let length = match quote {
        0 => bare_length(text, value_start),
        _ => quoted_length(text, value_start, quote)?,
    };
    let range = value_start..value_start + length;
    let value = text.get(range.clone())?;
    // A quote has 0, 1, 3, 7 backslashes in JSON, JSON in a string, …
    let escapes =
        if value.contains(&b'\\') { quote.checked_ilog2().map_or(0, |n| n.min(3) as u8 + 1) } else { 0 };
    let fits = match kind {
        Kind::Password => is_password(value, quote > 0),
        Kind::Key => is_key(value),
    };
    fits.then(|| Shape { label: name.to_ascii_lowercase(), range, escapes })
}

fn kind_of(name: &str) -> Option<Kind> {
    let mut plain = [0u8; 2 * LONGEST_NAME];
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
    let length = plain.iter_mut().zip(letters).map(|(to, b)| *to = b.to_ascii_lowercase()).count();
    let plain = plain.get(..length).unwrap_or_default();
    let ends = |list: &[&str]| list.iter().any(|e| plain.ends_with(e.as_bytes()));
    if ends(&PASSWORDS) {
        Some(Kind::Password)
    } else if ends(&KEYS) || name.ends_with("_TOKEN") {
        Some(Kind::Key)
    } else {
        None
    }
}

/// The length of an opening or closing quote with the backslashes before it: `"`, `\"`, `\\\"`, `'`; 0 for none.
fn quote_length(text: &[u8], at: usize) -> usize {
    let tail = text.get(at..).unwrap_or_default();
    let slashes = tail.iter().take_while(|b| **b == b'\\').count();
    match tail.get(slashes) {
        Some(b'"') => slashes + 1,
        Some(b'\'') if slashes == 0 => 1,
        _ => 0,
    }
}

/// The length of a value up to the quote that closes it: one with as many backslashes as the opening one.
fn quoted_length(text: &[u8], start: usize, quote: usize) -> Option<usize> {
    let mark = *text.get(start.checked_sub(1)?)?;
    let value = text.get(start..)?;
    let value = value.get(..value.len().min(LONGEST_VALUE))?;
    let closing = memchr::memchr_iter(mark, value).find(|at| {
        let slashes = value.get(..*at).unwrap_or_default().iter().rev().take_while(|b| **b == b'\\').count();
        slashes < quote || (slashes + 1 - quote).is_multiple_of(2 * quote)
    })?;
    // The closing quote's own backslashes are no part of the value.
    Some(closing - (quote - 1).min(closing))
}

fn bare_length(text: &[u8], start: usize) -> usize {
    let tail = text.get(start..).unwrap_or_default();
    tail.iter().take(LONGEST_VALUE).take_while(|b| **b > b' ' && !b"\"'`,;&<>(){}[]\\".contains(b)).count()
}

fn is_password(value: &[u8], quoted: bool) -> bool {
    if !(8..=128).contains(&value.len()) {
        return false;
    }
    let has = |f: fn(&u8) -> bool| value.iter().any(f);
    let (letter, digit) = (has(u8::is_ascii_alphabetic) || !value.is_ascii(), has(u8::is_ascii_digit));
    let symbol = has(|b| b.is_ascii_punctuation() && *b != b'_' && *b != b'-');
    let plain = !value.iter().any(|b| b"(){}[]<>$ \n".contains(b)) && !is_placeholder(value);
    let strong = if quoted { digit || symbol } else { digit };
    letter && strong && plain
}

fn is_key(value: &[u8]) -> bool {
    let has = |f: fn(&u8) -> bool| value.iter().any(f);
    let alphabet = value.iter().all(|b| b.is_ascii_alphanumeric() || b"+/=_.~-:\\".contains(b));
    if value.len() < 16 || !alphabet {
        return false;
    }
    let text = String::from_utf8_lossy(value);
    let id = PROTOCOL_IDS.iter().any(|p| text.starts_with(p));
    !id && has(u8::is_ascii_alphabetic)
        && has(u8::is_ascii_digit)
        && entropy(value) >= 3.3
        && !is_placeholder(value)
}

/// True for what documentation puts in the place of a secret.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    let plain = text.trim_matches(|c: char| !c.is_alphanumeric());
    PLACEHOLDERS.contains(&plain)
        || text.contains("your")
        || text.contains("xxxx")
        || text.contains("****")
        || text.contains("...")
        || text.starts_with(['<', '$', '{', '*', '%'])
}

/// Shannon entropy in bits per byte.
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    value.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let total = value.len() as f64;
    counts.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / total).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<String> {
        let at = TRIGGERS.iter().filter_map(|t| text.find(t)).min()?;
        field_at(text.as_bytes(), at).map(|s| text[s.range].to_string())
    }

    #[test]
    fn values_are_found() {
        for (text, expected) in [
            (r#"{"password": "corr3ct-horse"}"#, "corr3ct-horse"),
            (r#"{"db_password":"Tr0ub4dor&3"}"#, "Tr0ub4dor&3"),
            (r#"{\"api_key\": \"a8f5f167f44f4964e6c998dee827110c\"}"#, "a8f5f167f44f4964e6c998dee827110c"),
            (r#"{\\\"clientSecret\\\":\\\"Q~9x8Kz7Lm6Np5Qr4St3Uv2\\\"}"#, "Q~9x8Kz7Lm6Np5Qr4St3Uv2"),
            (
                "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYzT3kQ9s1Ab\nx",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzT3kQ9s1Ab",
            ),
            ("GITHUB_TOKEN: a8f5f167f44f4964e6c998dee827110c", "a8f5f167f44f4964e6c998dee827110c"),
            ("&access_token=a8f5f167f44f4964e6c998dee827110c&x=1", "a8f5f167f44f4964e6c998dee827110c"),
            (r#"{"password":"ab\"c1defgh"}"#, r#"ab\"c1defgh"#),
        ] {
            assert_eq!(value(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn names_and_schemas_are_left() {
        for text in [
            r#"{"password": {"type": "string"}}"#,
            r#"{"password": "string"}"#,
            r#"{"password": "the password of the user, at least 8 characters"}"#,
            r#"{"max_tokens": 1024}"#,
            r#"{"next_page_token": "a8f5f167f44f4964e6c998dee827110c"}"#,
            "api_key=os.environ['OPENAI_API_KEY_2']",
            "password = getpass.getpass()",
            "the secret: do not tell anyone",
            r#"{"api_key": "<YOUR_API_KEY_1234567890>"}"#,
            r#"{"access_token": "toolu_01A09q90qw90lq917835lq9"}"#,
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }
}
