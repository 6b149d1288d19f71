//! What a step did, in one line of plain words.

use super::words::{clip, line, width};
use crate::diff::tree::Tree;
use crate::diff::{Act, excerpt};
use serde_json::Value;

/// `lookup_order(order_id="A123")`, in at most this many columns: long values are cut in the middle before names are.
pub fn call(tool: &str, args: &Value, columns: usize) -> String {
    let name = line(tool);
    for limit in [usize::MAX, 60, 40, 24, 12] {
        let text = format!("{name}({})", arguments(args, limit));
        if width(&text) <= columns {
            return text;
        }
    }
    clip(&format!("{name}({})", arguments(args, 12)), columns)
}

fn arguments(args: &Value, limit: usize) -> String {
    let value = |v: &Value| {
        let text = line(&Tree::from(v).to_string());
        if limit == usize::MAX { text } else { excerpt::middle(&text, limit) }
    };
    match args {
        Value::Object(fields) => {
            let parts: Vec<String> =
                fields.iter().map(|(k, v)| format!("{}={}", line(k), value(v))).collect();
            parts.join(", ")
        }
        Value::Null => String::new(),
        other => value(other),
    }
}

/// `calls a(x=1) + b(y=2)`.
pub fn calls<'a>(calls: impl Iterator<Item = (&'a str, &'a Value)>, text: &str, columns: usize) -> String {
    let all: Vec<(&str, &Value)> = calls.collect();
    let said = line(text);
    let mut out = whole_calls(&all, columns);
    let left = columns.saturating_sub(width(&out) + 6);
    if !said.is_empty() && left >= 16 {
        out.push_str(&format!("   {}", quoted(&said, left)));
    }
    out
}

fn whole_calls(all: &[(&str, &Value)], columns: usize) -> String {
    let parts: Vec<String> = all.iter().map(|(tool, args)| call(tool, args, usize::MAX)).collect();
    let whole = format!("calls {}", parts.join(" + "));
    if width(&whole) <= columns || all.is_empty() {
        return whole;
    }
    let each = columns.saturating_sub(6 + 3 * (all.len() - 1)) / all.len();
    if each >= 20 {
        let parts: Vec<String> = all.iter().map(|(tool, args)| call(tool, args, each)).collect();
        return format!("calls {}", parts.join(" + "));
    }
    let names: Vec<String> = all.iter().map(|(tool, _)| line(tool)).collect();
    clip(&format!("calls {} tools: {}", all.len(), names.join(", ")), columns)
}

/// A text in quotation marks, in at most this many columns.
pub fn quoted(text: &str, columns: usize) -> String {
    format!("\"{}\"", clip(&line(text), columns.saturating_sub(2)))
}

/// A tool's result on one line: JSON without its spaces, other text as it is.
pub fn result(text: &str, columns: usize) -> String {
    let compact = match Tree::parse_nested(text) {
        Some(tree) => line(&tree.to_string()),
        None => line(text),
    };
    if compact.is_empty() { "(empty)".into() } else { clip(&compact, columns) }
}

/// What a step did.
pub fn act(act: &Act, columns: usize) -> String {
    match act {
        Act::Calls { calls: all, text } => {
            calls(all.iter().map(|c| (c.tool.as_str(), &c.args)), text, columns)
        }
        Act::Fenced { calls: all } => {
            let mark = "   fenced";
            let said = calls(all.iter().map(|c| (c.tool.as_str(), &c.args)), "", columns.saturating_sub(15));
            format!("would {}{mark}", said.replacen("calls ", "call ", 1))
        }
        Act::Says { text } if text.is_empty() => "an empty answer".into(),
        Act::Says { text } => quoted(text, columns),
        Act::Fails { error } => clip(&format!("failed: {}", line(error)), columns),
        Act::Returns { text: None, .. } => "(no result: the run ended before)".into(),
        Act::Returns { text: Some(text), is_error, .. } => {
            let mark = if *is_error { "failed: " } else { "" };
            format!("{mark}{}", result(text, columns.saturating_sub(width(mark))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_values_are_cut_in_the_middle_before_names_are() {
        let args =
            json!({"path": "/home/ada/very/long/path/to/some/file/deep/down/in/the/tree/main.rs", "n": 4999});
        assert_eq!(call("read_file", &args, 60), "read_file(path=\"/home/ada/very/…ain.rs\", n=4999)");
        assert!(width(&call(&"x".repeat(80), &args, 60)) <= 60);
        assert_eq!(call("now", &json!({}), 60), "now()");
        assert_eq!(call("raw", &json!("not {json"), 60), "raw(\"not {json\")");
    }

    #[test]
    fn many_calls_are_named_at_least() {
        let args = json!({"q": "some long question that does not fit"});
        let all: Vec<(&str, &Value)> =
            ["alpha", "beta", "gamma", "delta"].into_iter().map(|t| (t, &args)).collect();
        assert_eq!(calls(all.iter().copied(), "", 60), "calls 4 tools: alpha, beta, gamma, delta");
        assert_eq!(
            calls(all.iter().copied().take(1), "I look it up.", 90),
            "calls alpha(q=\"some long question that does not fit\")   \"I look it up.\""
        );
    }
}
