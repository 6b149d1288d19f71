//! Where a rule holds: `messages[*].result.updated_at`, in the words in which a difference tells its place.

use crate::run::spelling::nearest;
use regex::Regex;

/// What the first word of a place can be.
const ROOTS: [&str; 6] = ["messages", "model", "params", "stream", "system", "tools"];

/// A field, and everything in it. `*` stands for any name, `[*]` for any index. A message with several blocks tells
/// their index as well (`messages[3][1].text`): who names the message alone means them all.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    covers: Regex,
    /// It names nothing inside of a message: `messages`, `messages[*]`, `messages[3][1]`.
    pub(super) whole_messages: bool,
}

impl Paths {
    /// Reads a place.
    ///
    /// # Errors
    /// One sentence: what is wrong, and what was probably meant.
    pub(super) fn parse(text: &str) -> Result<Paths, String> {
        let mut pattern = String::from("^");
        let mut names = 0;
        for (at, part) in text.split('.').enumerate() {
            let (name, indices) = part.split_at(part.find('[').unwrap_or(part.len()));
            if at == 0 && !ROOTS.contains(&name) {
                let meant = nearest(name, ROOTS).map(|root| format!("; did you mean {root}?"));
                return Err(format!(
                    "{text:?} begins with {name:?}; a path begins with {}{}",
                    ROOTS.join(", "),
                    meant.unwrap_or_default()
                ));
            }
            if name.is_empty() {
                return Err(format!("{text:?} has an empty name; a path is like messages[*].text"));
            }
            names += 1;
            if at > 0 {
                pattern.push_str(r"\.");
            }
            pattern.push_str(&if name == "*" { r"[^.\[]+".into() } else { regex::escape(name) });
            let count = push_indices(text, indices, &mut pattern)?;
            if at == 0 && name == "messages" && count == 1 {
                pattern.push_str(r"(?:\[[0-9]+\])?");
            }
        }
        pattern.push_str(r"(?:[.\[]|$)");
        let covers = Regex::new(&pattern).map_err(|_| format!("{text:?} is too long for a path"))?;
        Ok(Paths { covers, whole_messages: names == 1 && text.starts_with("messages") })
    }

    /// True for the field itself, and for what is in it.
    pub(super) fn covers(&self, path: &str) -> bool {
        self.covers.is_match(path)
    }
}

/// Reads `[3][*]` into a pattern; how many there were.
fn push_indices(whole: &str, mut text: &str, pattern: &mut String) -> Result<usize, String> {
    let mut count = 0;
    while !text.is_empty() {
        let index = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let Some((index, rest)) = index else {
            return Err(format!("{whole:?} has {text:?}; an index is [*] or a number: messages[3].text"));
        };
        if index == "*" {
            pattern.push_str(r"\[[0-9]+\]");
        } else if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) {
            pattern.push_str(&format!(r"\[{index}\]"));
        } else {
            return Err(format!("{whole:?} has [{index}]; an index is [*] or a number: messages[3].text"));
        }
        text = rest;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn covers(place: &str, path: &str) -> bool {
        Paths::parse(place).unwrap().covers(path)
    }

    #[test]
    fn a_place_is_a_field_and_what_is_in_it() {
        assert!(covers("params.seed", "params.seed"));
        assert!(!covers("params.seed", "params.seeds"));
        assert!(!covers("params.seed", "params"));
        assert!(!covers("params.seed", "tools[0].params.seed"));
        assert!(covers("params.metadata", "params.metadata.user_id"));
        assert!(covers("system", "system") && covers("system", "system[1]"));
        assert!(!covers("system[0]", "system[1]"));
        assert!(covers("tools[*].description", "tools[12].description"));
        assert!(!covers("tools[*].description", "tools[12].descriptions"));
        assert!(covers("params.*.id", "params.user.id") && !covers("params.*.id", "params.a.b.id"));
    }

    #[test]
    fn a_message_means_its_blocks_too() {
        for path in ["messages[3].text", "messages[3][1].text"] {
            assert!(covers("messages[*].text", path) && covers("messages[3].text", path), "{path}");
        }
        assert!(!covers("messages[3].text", "messages[13].text"));
        assert!(!covers("messages[*].text", "messages[3].call.args.text"));
        assert!(covers("messages[*][1].text", "messages[3][1].text"));
        assert!(!covers("messages[*][1].text", "messages[3][0].text"));
        assert!(covers("messages[*].result.updated_at", "messages[3][0].result.updated_at"));
        assert!(!covers("messages[*].result.updated_at", "messages[3].result.inner.updated_at"));
        assert!(covers("messages[*].result.rows[*].id", "messages[3].result.rows[7].id"));
    }

    #[test]
    fn what_is_no_place_is_said_to() {
        let wrong = |text: &str| Paths::parse(text).unwrap_err();
        assert!(wrong("mesages[*].text").ends_with("did you mean messages?"), "{}", wrong("mesages[*].text"));
        assert!(wrong("messages[*]..text").contains("empty name"));
        for text in ["messages[-1].text", "messages[].text", "messages[**].text", "messages[3.text"] {
            assert!(wrong(text).contains("an index is [*] or a number"), "{text}");
        }
        assert!(wrong("").contains("a path begins with") && wrong("$.messages").contains("a path begins"));
    }

    /// A path as a difference may tell it: its parts, and the indices after each.
    fn path() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
        let part = ("[a-c]{1,2}", prop::collection::vec(0u8..3, 0..2));
        let rest = prop::collection::vec(part, 0..3);
        (prop::sample::select(&ROOTS[..]), prop::collection::vec(0u8..3, 0..3), rest).prop_map(
            |(root, indices, rest)| {
                let mut parts = vec![(root.to_string(), indices)];
                parts.extend(rest);
                parts
            },
        )
    }

    fn told(path: &[(String, Vec<u8>)]) -> String {
        let part = |(name, indices): &(String, Vec<u8>)| {
            let indices: String = indices.iter().map(|i| format!("[{i}]")).collect();
            format!("{name}{indices}")
        };
        path.iter().map(part).collect::<Vec<_>>().join(".")
    }

    /// True when `path` is `place` or lies in it, part by part.
    fn lies_in(place: &[(String, Vec<u8>)], path: &[(String, Vec<u8>)]) -> bool {
        place.len() <= path.len()
            && place.iter().zip(path).enumerate().all(|(at, ((name, indices), (other, theirs)))| {
                let last = at + 1 == place.len();
                let block = at == 0 && name == "messages" && indices.len() == 1;
                name == other
                    && theirs.starts_with(indices)
                    && (last || theirs.len() == indices.len() || (block && theirs.len() == 2))
            })
    }

    proptest! {
        #[test]
        fn nothing_outside_of_it_is_covered(place in path(), other in path()) {
            prop_assert_eq!(covers(&told(&place), &told(&other)), lies_in(&place, &other));
            prop_assert!(covers(&told(&place), &told(&place)));
        }

        #[test]
        fn no_text_is_too_odd(text in ".{0,30}", path in ".{0,30}") {
            if let Ok(place) = Paths::parse(&text) {
                place.covers(&path);
            }
        }
    }
}
