//! Cuts a body where it can be shared with the next request: at the elements of the arrays of its top level.

use std::ops::Range;

/// A string or object of the top level gets a part of its own from this length on (a system prompt).
const OWN_PART: usize = 256;

/// Byte ranges that cover a body in order. A JSON object is cut at the elements of its top-level arrays, each range
/// with the separator before it: `{"model":…,"messages":[` · `{m0}` · `,{m1}` · `]…}`. Anything else is one range.
pub(super) fn cut(body: &[u8]) -> Vec<Range<usize>> {
    if body.is_empty() {
        return Vec::new();
    }
    let mut cuts = match std::str::from_utf8(body) {
        Ok(text) if is_json(text) && text.trim_start().starts_with('{') => cuts(body),
        _ => Vec::new(),
    };
    cuts.retain(|&at| at > 0 && at < body.len());
    cuts.dedup();
    cuts.push(body.len());
    let mut from = 0;
    cuts.into_iter().map(|to| std::mem::replace(&mut from, to)..to).collect()
}

/// True for one JSON text of any depth.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Offsets to cut at, ascending. The body is valid JSON.
fn cuts(body: &[u8]) -> Vec<usize> {
    let mut cuts = Vec::new();
    // What is open: true for an array. Only the two outer levels matter.
    let mut open: Vec<bool> = Vec::new();
    let mut value_from = None;
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        let inside_list = open.len() == 2 && open.get(1) == Some(&true);
        match byte {
            b'"' => {
                let end = string_end(body, at);
                // A key of the top level is not a value: a colon follows it.
                if open.len() == 1 && end - at >= OWN_PART && value_from.is_some() {
                    cuts.extend([at, end]);
                }
                at = end;
                continue;
            }
            b'{' | b'[' => {
                if open.len() == 1 {
                    value_from = Some(at);
                }
                open.push(byte == b'[');
                if byte == b'[' && open.len() == 2 {
                    cuts.push(at + 1);
                }
            }
            b'}' | b']' => {
                if inside_list {
                    cuts.push(at);
                }
                open.pop();
                let from = value_from.unwrap_or(at);
                if open.len() == 1 && byte == b'}' && at + 1 - from >= OWN_PART {
                    cuts.extend([from, at + 1]);
                }
            }
            b':' if open.len() == 1 => value_from = Some(at),
            b',' if open.len() == 1 => value_from = None,
            b',' if inside_list => cuts.push(at),
            _ => {}
        }
        at += 1;
    }
    cuts
}

/// The offset after the closing quote of the string that begins at `from`.
fn string_end(body: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(&byte) = body.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(body: &str) -> Vec<&str> {
        cut(body.as_bytes()).into_iter().map(|r| &body[r]).collect()
    }

    #[test]
    fn elements_of_top_level_arrays_are_cut_with_their_separators() {
        assert_eq!(
            pieces(r#"{"model":"m","messages":[{"a":[1,2]}, {"b":"],"}],"tools":[],"n":1}"#),
            [
                r#"{"model":"m","messages":["#,
                r#"{"a":[1,2]}"#,
                r#", {"b":"],"}"#,
                r#"],"tools":["#,
                r#"],"n":1}"#
            ]
        );
    }

    #[test]
    fn a_long_system_prompt_is_cut_out() {
        let prompt = format!("\"{}\"", "long ".repeat(80));
        let body = format!(r#"{{"system":{prompt},"stream":true}}"#);
        assert_eq!(pieces(&body), [r#"{"system":"#, prompt.as_str(), r#","stream":true}"#]);
        let schema = format!(r#"{{"schema":{prompt}}}"#);
        let body = format!(r#"{{"format":{schema},"x":1}}"#);
        assert_eq!(pieces(&body), [r#"{"format":"#, schema.as_str(), r#","x":1}"#]);
    }

    #[test]
    fn what_is_no_json_object_is_one_piece() {
        for body in ["data: {}\n\n", "[1,2]", r#"{"messages":[{}"#, "\"x\""] {
            assert_eq!(pieces(body), [body]);
        }
        assert!(cut(b"").is_empty());
    }

    proptest! {
        #[test]
        fn ranges_cover_the_body(body in r#"[\[\]{},:"\\a1 ]{0,40}|\{"a":\[(\{"b":\[1,2\]\}|"x"|7| ,){0,5}\],"c":"\\""\}"#) {
            let mut at = 0;
            for range in cut(body.as_bytes()) {
                prop_assert_eq!(range.start, at);
                prop_assert!(range.end > at);
                at = range.end;
            }
            prop_assert_eq!(at, body.len());
        }
    }
}
