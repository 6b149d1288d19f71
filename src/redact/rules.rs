//! Secrets of known shapes: keys with a prefix, web tokens, private keys, passwords in URLs.

use super::coding::Coding;
use super::{fields, webhooks};
use std::ops::Range;

/// The characters a key consists of after its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `-`, `_`.
    Token,
    /// Capital letters and digits.
    Upper,
    /// What a bearer token may hold.
    Bearer,
}

impl Class {
    fn holds(self, b: u8) -> bool {
        match self {
            Class::Alnum => b.is_ascii_alphanumeric(),
            Class::Token => b.is_ascii_alphanumeric() || b == b'-' || b == b'_',
            Class::Upper => b.is_ascii_uppercase() || b.is_ascii_digit(),
            Class::Bearer => b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b),
        }
    }
}

/// A key with a prefix: its label, prefix, and what follows, at least (and, if exact, at most) that long.
struct Key {
    label: &'static str,
    prefix: &'static str,
    class: Class,
    least: usize,
    exact: bool,
}

const fn key(label: &'static str, prefix: &'static str, class: Class, least: usize) -> Key {
    Key { label, prefix, class, least, exact: false }
}

const fn exact(label: &'static str, prefix: &'static str, class: Class, length: usize) -> Key {
    Key { label, prefix, class, least: length, exact: true }
}

const KEYS: [Key; 31] = [
    key("openai-key", "sk-", Class::Token, 16),
    exact("aws-access-key", "AKIA", Class::Upper, 16),
    exact("aws-access-key", "ASIA", Class::Upper, 16),
    exact("google-key", "AIza", Class::Token, 35),
    key("google-token", "ya29.", Class::Token, 24),
    key("github-token", "ghp_", Class::Alnum, 30),
    key("github-token", "gho_", Class::Alnum, 30),
    key("github-token", "ghu_", Class::Alnum, 30),
    key("github-token", "ghs_", Class::Alnum, 30),
    key("github-token", "ghr_", Class::Alnum, 30),
    key("github-token", "github_pat_", Class::Token, 22),
    key("gitlab-token", "glpat-", Class::Token, 20),
    key("slack-token", "xoxb-", Class::Token, 16),
    key("slack-token", "xoxp-", Class::Token, 16),
    key("slack-token", "xoxa-", Class::Token, 16),
    key("slack-token", "xoxr-", Class::Token, 16),
    key("slack-token", "xoxs-", Class::Token, 16),
    key("slack-token", "xapp-", Class::Token, 16),
    key("stripe-key", "sk_live_", Class::Alnum, 16),
    key("stripe-key", "sk_test_", Class::Alnum, 16),
    key("stripe-key", "rk_live_", Class::Alnum, 16),
    key("stripe-secret", "whsec_", Class::Alnum, 24),
    key("huggingface-token", "hf_", Class::Alnum, 30),
    key("groq-key", "gsk_", Class::Alnum, 40),
    key("xai-key", "xai-", Class::Alnum, 40),
    key("perplexity-key", "pplx-", Class::Alnum, 40),
    key("nvidia-key", "nvapi-", Class::Token, 40),
    exact("npm-token", "npm_", Class::Alnum, 36),
    exact("replicate-token", "r8_", Class::Alnum, 37),
    key("bearer", "Bearer ", Class::Bearer, 20),
    key("bearer", "bearer ", Class::Bearer, 20),
];

/// JSON in a string of JSON in a string … is followed this far.
const MOST_LEVELS: u8 = 4;

/// Longer runs of letters are no keys; it also bounds the work on text made to be slow.
const LONGEST_KEY: usize = 1024;
/// The same for private keys, bearer tokens and the parts of web tokens.
const LONGEST_BLOCK: usize = 16 * 1024;

const WEB_TOKEN: &str = "eyJ";
const PRIVATE_KEY: &str = "-----BEGIN ";

/// Longer prefixes that a stand-in keeps.
const KEPT: [&str; 7] =
    ["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-ant-api03-", "sk-ant-oat01-", "sk-ant-", "sk-or-v1-"];

/// The byte strings whose place decides whether a rule is asked at all.
pub(super) fn triggers() -> impl Iterator<Item = &'static str> {
    let keys = KEYS.iter().map(|k| k.prefix).chain([WEB_TOKEN, PRIVATE_KEY]);
    keys.chain(fields::TRIGGERS).chain(webhooks::triggers())
}

/// How many bytes of a secret are a prefix that says nothing but its kind.
pub(super) fn prefix_length(secret: &[u8]) -> usize {
    let kept = KEPT.iter().copied().chain(KEYS.iter().map(|k| k.prefix)).chain([WEB_TOKEN]);
    kept.filter(|p| secret.starts_with(p.as_bytes()) && secret.len() > p.len() + 8)
        .map(str::len)
        .max()
        .unwrap_or(0)
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    /// Which rule.
    pub(super) label: String,
    /// The bytes of the secret.
    pub(super) range: Range<usize>,
    /// How many levels of JSON escapes are part of it, which have to be undone first.
    pub(super) escapes: u8,
}

/// Asks the rule of the trigger with this number, found at this place.
pub(super) fn shape_at(text: &[u8], at: usize, trigger: usize) -> Option<Shape> {
    if let Some(key) = KEYS.get(trigger) {
        return key_at(text, at, key);
    }
    match trigger - KEYS.len() {
        0 => web_token_at(text, at),
        1 => private_key_at(text, at),
        n => match n.checked_sub(2 + fields::TRIGGERS.len()) {
            Some(hook) => webhooks::hook_at(text, at, hook),
            None => fields::field_at(text, at),
        },
    }
}

fn key_at(text: &[u8], at: usize, key: &Key) -> Option<Shape> {
    if !starts_token(text, at) {
        return None;
    }
    let start = at + key.prefix.len();
    let tail = text.get(start..)?;
    let longest = if key.class == Class::Bearer { LONGEST_BLOCK } else { LONGEST_KEY };
    let mut end = start + tail.iter().take(longest).take_while(|b| key.class.holds(**b)).count();
    if key.class == Class::Bearer {
        end -= text.get(start..end)?.iter().rev().take_while(|b| **b == b'.').count();
    }
    let body = text.get(start..end)?;
    if body.len() < key.least
        || body.len() >= longest
        || (key.exact && body.len() > key.least)
        || !looks_random(body)
    {
        return None;
    }
    let range = if key.label == "bearer" { start..end } else { at..end };
    let label = match key.label {
        "openai-key" if body.starts_with(b"ant-") => "anthropic-key",
        "openai-key" if body.starts_with(b"or-") => "openrouter-key",
        other => other,
    };
    Some(Shape { label: label.into(), range, escapes: 0 })
}

/// Three base64 parts with dots between: header, claims, signature.
fn web_token_at(text: &[u8], at: usize) -> Option<Shape> {
    let runs_on = at.checked_sub(1).and_then(|i| text.get(i)).is_some_and(|b| matches!(b, b'-' | b'_'));
    if runs_on || !starts_token(text, at) {
        return None;
    }
    let mut end = at;
    for part in 0..3 {
        if part > 0 {
            (text.get(end) == Some(&b'.')).then_some(())?;
            end += 1;
        }
        let length = length_of(text, end, |b| Class::Token.holds(b));
        (length >= 10).then_some(())?;
        end += length;
    }
    Some(Shape { label: "web-token".into(), range: at..end, escapes: 0 })
}

/// What stands between the lines `-----BEGIN … PRIVATE KEY-----` and `-----END`.
fn private_key_at(text: &[u8], at: usize) -> Option<Shape> {
    let head = text.get(at..)?;
    let head = head.get(..head.len().min(80))?;
    let name = b"PRIVATE KEY-----";
    let start = at + memchr::memmem::find(head, name)? + name.len();
    let tail = text.get(start..)?;
    let tail = tail.get(..tail.len().min(LONGEST_BLOCK))?;
    // A key that is cut off is one as well.
    let end = start
        + memchr::memmem::find(tail, b"-----END").unwrap_or_else(|| {
            length_of(tail, 0, |b| b.is_ascii_alphanumeric() || b"+/=\\\r\n".contains(&b))
        });
    let body = text.get(start..end)?;
    (body.len() >= 40).then(|| Shape {
        label: "private-key".into(),
        range: start..end,
        escapes: levels(body),
    })
}

/// The password of a URL whose `@` is at this place: `scheme://user:password@host`.
pub(super) fn url_password_at(text: &[u8], at: usize) -> Option<Shape> {
    let before = text.get(at.saturating_sub(256)..at)?;
    let inside = |b: &u8| *b > b' ' && !b"\"'<>/\\".contains(b);
    let length = before.iter().rev().take_while(|b| inside(b)).count();
    let start = at - length;
    text.get(..start)?.ends_with(b"://").then_some(())?;
    let colon = start + memchr::memchr(b':', text.get(start..at)?)?;
    let password = text.get(colon + 1..at)?;
    (password.len() >= 4 && !fields::is_placeholder(password)).then(|| Shape {
        label: "url-password".into(),
        range: colon + 1..at,
        escapes: 0,
    })
}

/// How often JSON escapes have to be undone until none is left.
fn levels(text: &[u8]) -> u8 {
    let mut text = text.to_vec();
    let mut levels = 0;
    while levels < MOST_LEVELS && text.contains(&b'\\') {
        text = Coding::Escapes.decode(&text);
        levels += 1;
    }
    levels
}

fn length_of(text: &[u8], from: usize, holds: impl Fn(u8) -> bool) -> usize {
    text.get(from..).unwrap_or_default().iter().take(LONGEST_BLOCK).take_while(|b| holds(**b)).count()
}

/// True when no word runs into this place; the letter of a JSON escape (`\n`, `\u2019`) is no word.
pub(super) fn starts_token(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    match before {
        [] => true,
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) => true,
        [.., last] => !last.is_ascii_alphanumeric(),
    }
}

/// True for what a generator wrote rather than a person: digits among letters in both cases, or a long run without a
/// break, of many different characters.
pub(super) fn looks_random(body: &[u8]) -> bool {
    let count = |f: fn(&u8) -> bool| body.iter().filter(|b| f(b)).count();
    let (digits, upper, lower) =
        (count(u8::is_ascii_digit), count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let longest = body.split(|b| !b.is_ascii_alphanumeric()).map(<[u8]>::len).max().unwrap_or(0);
    let mut seen = [false; 256];
    body.iter().for_each(|b| seen[usize::from(*b)] = true);
    let distinct = seen.iter().filter(|s| **s).count();
    distinct >= 8 && digits > 0 && ((upper > 0 && lower > 0) || longest >= 14)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(String, String)> {
        let bytes = text.as_bytes();
        let list: Vec<_> = triggers().collect();
        let mut found = Vec::new();
        for at in 0..bytes.len() {
            for (number, trigger) in list.iter().enumerate() {
                if bytes[at..].starts_with(trigger.as_bytes())
                    && let Some(s) = shape_at(bytes, at, number)
                {
                    found.push((s.label, text[s.range].to_string()));
                }
            }
            if bytes[at] == b'@'
                && let Some(s) = url_password_at(bytes, at)
            {
                found.push((s.label, text[s.range].to_string()));
            }
        }
        found.dedup();
        found
    }

    #[test]
    fn keys_are_found() {
        let cases = [
            ("openai-key", "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x_Yz-0"),
            ("openai-key", "sk-0123456789abcdef0123456789abcdef"),
            ("anthropic-key", "sk-ant-api03-Ab3dEf6hIj9lMn2pQr5tUv8x_Yz-0AA"),
            ("aws-access-key", "AKIAIOSFODNN7EXAMPLE"),
            ("google-key", "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q"),
            ("github-token", "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"),
            ("slack-token", "xoxb-123456789012-Ab3dEf6hIj9lMn2pQr5t"),
            ("stripe-key", "sk_live_A1b2C3d4E5f6G7h8I9j0K1l2"),
            (
                "web-token",
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
            ),
        ];
        for (label, secret) in cases {
            for around in ["{}", "key {}.", "\"{}\"", "a\\n{}\\n", "x=\\u2019{}", "({})"] {
                let text = around.replace("{}", secret);
                assert_eq!(all(&text), vec![(label.to_string(), secret.to_string())], "{text}");
            }
        }
    }

    #[test]
    fn passwords_of_urls_are_found() {
        assert_eq!(
            all("postgres://app:s3cr3t-pw@db.local/x"),
            vec![("url-password".to_string(), "s3cr3t-pw".to_string())]
        );
        assert!(all("postgres://user:password@localhost and me@example.com and http://h:80/@x").is_empty());
    }

    #[test]
    fn ordinary_text_is_left() {
        for text in [
            "task-management-system-2021-edition-long",
            "sk-estimator-doc-link-container-id-1",
            "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "toolu_01A09q90qw90lq917835lq9 call_Ab3dEf6hIj9lMn2pQr5tUv8x chatcmpl-9sKAb3dEf6hIj9lMn2pQr5tU",
            "f47ac10b-58cc-4372-a567-0e02b2c3d479 9e107d9d372bb6826bd81d3542a419d6e5f6a7b8",
            "Authorization: Bearer <token> or Bearer YOUR_API_KEY_GOES_HERE",
            "\"max_tokens\": 1024, \"prompt_tokens\":12345678901234567890",
        ] {
            assert!(all(text).is_empty(), "{text}: {:?}", all(text));
        }
    }
}
