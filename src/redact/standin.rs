//! Stand-ins: text of the same length and shape as a secret, and the memory of which stands for what.

use super::rules;
use crate::exchange::StandIn;
use memchr::memmem;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// Shorter stand-ins are not recognised as such: too much ordinary text would be.
const RECOGNISABLE: usize = 6;
/// With fewer letters and digits than this, symbols are replaced as well, or the stand-in would show the secret.
const ENOUGH_LETTERS: usize = 8;
/// How often another text is drawn when the first is the secret itself.
const DRAWS: usize = 16;

/// Makes the stand-in of a secret. Same key and secret, same stand-in; same length in bytes; digits stay digits,
/// lower case stays lower case, upper case upper case, a recognised prefix (`sk-proj-`) stays, symbols stay.
pub(super) fn make(key: &[u8; 32], secret: &[u8]) -> Vec<u8> {
    let mut stream = blake3::Hasher::new_keyed(key).update(secret).finalize_xof();
    let kept = rules::prefix_length(secret);
    let body = secret.get(kept..).unwrap_or_default();
    let shape = Shape::of(body);
    for _ in 0..DRAWS {
        let mut out = secret.get(..kept).unwrap_or_default().to_vec();
        for chunk in body.utf8_chunks() {
            for c in chunk.valid().chars() {
                let mut drawn = [0u8; 2];
                stream.fill(&mut drawn);
                let escaped = out.last() == Some(&b'\\');
                let first = out.len() == kept;
                let new =
                    if escaped { c } else { shape.replace(c, u32::from(u16::from_le_bytes(drawn)), first) };
                let mut utf8 = [0u8; 4];
                out.extend_from_slice(new.encode_utf8(&mut utf8).as_bytes());
            }
            out.extend_from_slice(chunk.invalid());
        }
        if out != secret {
            return out;
        }
    }
    secret.to_vec()
}

/// What the characters of a secret have in common.
struct Shape {
    hex: bool,
    symbols_too: bool,
}

impl Shape {
    fn of(body: &[u8]) -> Shape {
        let letters = body.iter().filter(|b| b.is_ascii_alphanumeric() || **b >= 0x80).count();
        let lower_hex =
            |b: &u8| !b.is_ascii_alphanumeric() || b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        let upper_hex =
            |b: &u8| !b.is_ascii_alphanumeric() || b.is_ascii_digit() || (b'A'..=b'F').contains(b);
        Shape {
            hex: letters >= 16 && (body.iter().all(lower_hex) || body.iter().all(upper_hex)),
            symbols_too: letters < ENOUGH_LETTERS,
        }
    }

    fn replace(&self, c: char, drawn: u32, first: bool) -> char {
        let letters = if self.hex { 6 } else { 26 };
        let from = |base: u32, count: u32| char::from_u32(base + drawn % count).unwrap_or(c);
        match c {
            // A number never gains a leading zero: it may stand bare in JSON.
            '0'..='9' if first => from(u32::from('1'), 9),
            '0'..='9' => from(u32::from('0'), 10),
            'a'..='z' => from(u32::from('a'), letters),
            'A'..='Z' => from(u32::from('A'), letters),
            // These need no escape, neither in JSON nor in a URL.
            '!' | '#' | '$' | '%' | '&' | '*' | '+' | ',' | '-' | '.' | ':' | ';' | '=' | '?' | '@' | '^'
            | '_' | '|' | '~'
                if self.symbols_too =>
            {
                ['-', '.', '_', '~'][(drawn % 4) as usize]
            }
            // Beyond ASCII: another character of as many bytes.
            '\u{a0}'..='\u{7ff}' => from(0x100, 0x80),
            '\u{800}'..='\u{ffff}' => from(0x4e00, 0x1000),
            '\u{10000}'.. => from(0x1f300, 0x100),
            other => other,
        }
    }
}

/// Which stand-ins are in use and what they stand for, as far as this process knows.
#[derive(Default)]
pub(super) struct Memory {
    secrets: RwLock<HashMap<String, Option<String>>>,
}

impl Memory {
    /// Remembers a stand-in and its secret.
    pub(super) fn remember(&self, stand_in: &str, secret: &str) {
        let read = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        if matches!(read.get(stand_in), Some(Some(known)) if known == secret) {
            return;
        }
        drop(read);
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        secrets.insert(stand_in.to_string(), Some(secret.to_string()));
    }

    /// Remembers stand-ins of a recording, whose secrets nobody here has seen; `today` knows some by their label.
    pub(super) fn learn(&self, stand_ins: &[StandIn], today: impl Fn(&str) -> Option<String>) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        for stand_in in stand_ins {
            secrets.entry(stand_in.text.clone()).or_insert_with(|| today(&stand_in.label));
        }
    }

    /// What a stand-in stands for.
    pub(super) fn secret(&self, stand_in: &str) -> Option<String> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.get(stand_in).cloned().flatten()
    }

    /// True when the text is a stand-in that is long enough to be recognised.
    pub(super) fn is_stand_in(&self, text: &[u8]) -> bool {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        text.len() >= RECOGNISABLE && std::str::from_utf8(text).is_ok_and(|t| secrets.contains_key(t))
    }

    /// True when the text, found where a secret would be, is a stand-in: a short one too.
    pub(super) fn knows(&self, text: &[u8]) -> bool {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        !text.is_empty() && std::str::from_utf8(text).is_ok_and(|t| secrets.contains_key(t))
    }

    /// Where stand-ins lie in a text: sorted, disjoint byte ranges.
    pub(super) fn places(&self, text: &[u8]) -> Vec<std::ops::Range<usize>> {
        if self.is_stand_in(text) {
            return std::iter::once(0..text.len()).collect();
        }
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let mut places: Vec<_> = secrets
            .keys()
            .filter(|k| k.len() >= RECOGNISABLE && k.len() <= text.len())
            .flat_map(|k| memmem::find_iter(text, k.as_bytes()).map(|at| at..at + k.len()))
            .collect();
        places.sort_by_key(|r| (r.start, std::cmp::Reverse(r.end)));
        let mut end = 0;
        places.retain(|r| {
            let apart = r.start >= end;
            if apart {
                end = r.end;
            }
            apart
        });
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn a_stand_in_has_the_shape_of_its_secret() {
        let secret = "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8x_Yz-0";
        let made = String::from_utf8(make(&KEY, secret.as_bytes())).unwrap();
        assert!(made.starts_with("sk-proj-"), "{made}");
        assert_ne!(made, secret);
        assert_eq!(made.len(), secret.len());
        for (a, b) in secret.chars().zip(made.chars()) {
            assert_eq!(a.is_ascii_digit(), b.is_ascii_digit());
            assert_eq!(a.is_ascii_lowercase(), b.is_ascii_lowercase());
            assert_eq!(a.is_ascii_uppercase(), b.is_ascii_uppercase());
            assert!(a.is_ascii_alphanumeric() || a == b);
        }
        assert_eq!(made.as_bytes(), make(&KEY, secret.as_bytes()), "stable");
        assert_ne!(made.as_bytes(), make(&[8; 32], secret.as_bytes()), "keyed");
    }

    #[test]
    fn hex_stays_hex() {
        let made = make(&KEY, b"0123456789abcdef0123456789abcdef");
        assert!(made.iter().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn secrets_without_letters_do_not_show() {
        for secret in ["пароль-пароль", "!!!###$$$&&&", "秘密の合言葉です", "\u{1f600}\u{1f601}\u{1f602}"]
        {
            let made = String::from_utf8(make(&KEY, secret.as_bytes())).unwrap();
            assert_eq!(made.len(), secret.len());
            assert!(secret.chars().zip(made.chars()).filter(|(a, b)| a == b).count() <= 2, "{secret} {made}");
        }
    }

    #[test]
    fn memory_recognises_what_it_was_told() {
        let memory = Memory::default();
        memory.learn(&[StandIn { label: "x".into(), text: "abcdefghij".into() }], |_| None);
        assert!(memory.is_stand_in(b"abcdefghij"));
        memory.learn(&[StandIn { label: "x".into(), text: "kq37".into() }], |_| None);
        assert!(memory.knows(b"kq37") && !memory.is_stand_in(b"kq37") && !memory.knows(b"kq38"));
        assert_eq!(memory.secret("abcdefghij"), None);
        memory.remember("abcdefghij", "0123456789");
        assert_eq!(memory.secret("abcdefghij").as_deref(), Some("0123456789"));
        assert_eq!(memory.places(b"..abcdefghij..abcdefghij"), vec![2..12, 14..24]);
    }
}
