//! The values in a body that get a part of their own, so that it can be shared with the next request.

use crate::exchange::json::{self, Kind};
use std::ops::Range;

/// A string or object of the top level gets a part of its own from this length on (a system prompt).
const OWN_PART: usize = 256;

/// Where the values stand that a request can share with the next one, in order: the elements of the arrays in the top
/// level of a JSON object, and its long strings and objects. What has none of them is one value.
pub(super) fn cut(body: &[u8]) -> Vec<Range<usize>> {
    let mut values = Vec::new();
    let root = json::parse(body);
    for member in root.iter().flat_map(|root| root.members()) {
        let value = &member.value;
        match &value.kind {
            Kind::Array(elements) => values.extend(elements.iter().map(|element| element.span.clone())),
            Kind::String(_) | Kind::Object(_) if value.span.len() >= OWN_PART => {
                values.push(value.span.clone());
            }
            _ => {}
        }
    }
    if values.is_empty() { vec![whole(body)] } else { values }
}

/// A body as one value, without the white space around it.
pub(super) fn whole(body: &[u8]) -> Range<usize> {
    let from = body.len() - body.trim_ascii_start().len();
    from..from + body.trim_ascii().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(body: &str) -> Vec<&str> {
        cut(body.as_bytes()).into_iter().map(|range| &body[range]).collect()
    }

    #[test]
    fn elements_of_top_level_arrays_are_cut_without_their_separators() {
        assert_eq!(
            values(r#"{"model":"m","messages":[{"a":[1,2]}, {"b":"],"} ],"tools":[],"n":1}"#),
            [r#"{"a":[1,2]}"#, r#"{"b":"],"}"#]
        );
    }

    #[test]
    fn a_long_system_prompt_is_cut_out() {
        let prompt = format!("\"{}\"", "long ".repeat(80));
        assert_eq!(values(&format!(r#"{{"system":{prompt},"stream":true}}"#)), [prompt.as_str()]);
        let schema = format!(r#"{{"schema":{prompt}}}"#);
        assert_eq!(values(&format!(r#"{{"format":{schema},"x":1}}"#)), [schema.as_str()]);
    }

    #[test]
    fn what_is_no_json_object_is_one_value() {
        for body in ["data: {}", "[1,2]", r#"{"messages":[{}"#, "\"x\"", r#"{"n":1}"#, ""] {
            assert_eq!(values(&format!("{body}\n")), [body]);
        }
    }
}
