//! A header list that keeps order, case and every byte.

use serde::{Deserialize, Serialize};

/// Header fields in wire order, names in their original case. Values are Latin-1: one character per byte, so that
/// any byte survives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeaderList(pub Vec<(String, String)>);

/// Fields that belong to one connection, not to the message (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl HeaderList {
    /// The first value of a field, by its name in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Appends a field.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Removes every field of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// Sets the one value of a field, in the place of the first if there is one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter().position(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some(first) => {
                let kept = self.0[first].0.clone();
                self.0[first] = (kept, value);
                let mut index = 0;
                self.0.retain(|(n, _)| {
                    index += 1;
                    index - 1 <= first || !n.eq_ignore_ascii_case(name)
                });
            }
            None => self.push(name, value),
        }
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// The list without the fields that belong to one connection, nor those that `Connection` names.
    pub fn end_to_end(&self) -> HeaderList {
        let named: Vec<String> = self
            .0
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case("connection"))
            .flat_map(|(_, v)| v.split(',').map(|t| t.trim().to_ascii_lowercase()))
            .collect();
        let keep = |n: &str| {
            let lower = n.to_ascii_lowercase();
            !HOP_BY_HOP.contains(&lower.as_str()) && !named.contains(&lower)
        };
        HeaderList(self.0.iter().filter(|(n, _)| keep(n)).cloned().collect())
    }
}

/// Bytes as Latin-1 text.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

/// Latin-1 text as bytes; characters beyond U+00FF become `?`.
pub fn latin1_bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_to_end_drops_what_connection_names() {
        let list = HeaderList(vec![
            ("Connection".into(), "close, X-Hop".into()),
            ("X-Hop".into(), "1".into()),
            ("X-Kept".into(), "2".into()),
            ("Transfer-Encoding".into(), "chunked".into()),
        ]);
        assert_eq!(list.end_to_end().0, vec![("X-Kept".to_string(), "2".to_string())]);
    }

    #[test]
    fn set_replaces_in_place_and_drops_repeats() {
        let mut list =
            HeaderList(vec![("A".into(), "1".into()), ("b".into(), "2".into()), ("a".into(), "3".into())]);
        list.set("a", "9");
        assert_eq!(list.0, vec![("A".to_string(), "9".to_string()), ("b".to_string(), "2".to_string())]);
    }

    #[test]
    fn latin1_keeps_every_byte() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(latin1_bytes(&latin1(&all)), all);
    }
}
