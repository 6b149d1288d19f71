//! One line in plain words: for lists, reports and messages. Widths are in characters.

use super::conversation::Block;
use serde_json::Value;

/// What an answer does: `calls lookup_order(order_id="A123") + get_customer(…)`, or its text in quotes.
pub fn answer_line(blocks: &[Block], width: usize) -> String {
    let calls: Vec<(&str, &Value)> = blocks
        .iter()
        .filter_map(|b| match b {
            Block::ToolCall { name, args, .. } => Some((name.as_str(), args)),
            _ => None,
        })
        .collect();
    if !calls.is_empty() {
        return calls_line(&calls, width);
    }
    let text = text_of(blocks);
    if !text.trim().is_empty() {
        return quote(&text, width);
    }
    match blocks.iter().find_map(refusal) {
        Some(refusal) => shorten(&format!("refuses: {}", one_line(refusal)), width),
        None if blocks.iter().any(|b| matches!(b, Block::Reasoning { .. })) => shorten("thinks", width),
        None if blocks.is_empty() => shorten("says nothing", width),
        None => shorten(&kinds(blocks), width),
    }
}

/// What a tool call asks: `lookup_order(order_id="A123")`.
pub fn call_line(name: &str, args: &Value, width: usize) -> String {
    let whole = format!("{name}({})", arguments(args));
    match whole.chars().count() <= width {
        true => whole,
        // The name says more than the arguments: they give way first.
        false => {
            let room = width.saturating_sub(name.chars().count() + 2);
            let args = if room < 8 { "…".to_string() } else { shorten(&arguments(args), room) };
            shorten(&format!("{name}({args})"), width)
        }
    }
}

/// What a tool gave back: its text on one line; `failed: …` when it said it failed.
pub fn result_line(text: &str, is_error: bool, width: usize) -> String {
    let text = one_line(text);
    let text = if text.is_empty() { "(nothing)" } else { &text };
    shorten(&if is_error { format!("failed: {text}") } else { text.to_string() }, width)
}

/// A message of any kind: its text, calls and results.
pub fn message_line(blocks: &[Block], width: usize) -> String {
    let results: Vec<String> = blocks
        .iter()
        .filter_map(|b| match b {
            Block::ToolResult { text, is_error, .. } => Some(result_line(text, *is_error, width)),
            _ => None,
        })
        .collect();
    match results.is_empty() {
        true => answer_line(blocks, width),
        false => shorten(&results.join(" + "), width),
    }
}

/// A text in quotes on one line: `"Done. I refunded $4,999.00…"`.
pub fn quote(text: &str, width: usize) -> String {
    format!("\"{}\"", shorten(&one_line(text), width.saturating_sub(2)))
}

/// Cuts a text at its end, with an ellipsis, when it is longer than so many characters.
pub fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push_str(if width > 0 { "…" } else { "" });
    short
}

/// A text on one line: white space of any kind and length becomes one space, control characters go.
pub fn one_line(text: &str) -> String {
    let words = text.split_whitespace().map(|w| w.chars().filter(|c| !c.is_control()).collect::<String>());
    words.filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
}

fn calls_line(calls: &[(&str, &Value)], width: usize) -> String {
    let whole: Vec<String> = calls.iter().map(|(n, a)| call_line(n, a, usize::MAX)).collect();
    let line = format!("calls {}", whole.join(" + "));
    if line.chars().count() <= width {
        return line;
    }
    // Every call gets its share; what short ones leave goes to the rest.
    let mut room = width.saturating_sub("calls ".len() + 3 * (calls.len() - 1));
    let mut order: Vec<usize> = (0..calls.len()).collect();
    order.sort_by_key(|&i| whole.get(i).map(|w| w.chars().count()));
    let mut short = whole.clone();
    for (done, i) in order.into_iter().enumerate() {
        let share = room / (calls.len() - done);
        if let (Some((name, args)), Some(place)) = (calls.get(i), short.get_mut(i)) {
            *place = call_line(name, args, share);
            room = room.saturating_sub(place.chars().count());
        }
    }
    shorten(&format!("calls {}", short.join(" + ")), width)
}

fn arguments(args: &Value) -> String {
    match args {
        Value::Object(members) => {
            let shown = members.iter().map(|(k, v)| format!("{k}={}", value(v)));
            shown.collect::<Vec<_>>().join(", ")
        }
        Value::Null => String::new(),
        other => value(other),
    }
}

fn value(v: &Value) -> String {
    match v {
        Value::String(text) => format!("\"{}\"", one_line(text)),
        other => crate::exchange::canon::text_of_value(other),
    }
}

fn text_of(blocks: &[Block]) -> String {
    let texts = blocks.iter().filter_map(|b| match b {
        Block::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn refusal(block: &Block) -> Option<&str> {
    match block {
        Block::Other { value } => value.get("refusal")?.as_str(),
        _ => None,
    }
}

fn kinds(blocks: &[Block]) -> String {
    let kind = |b: &Block| match b {
        Block::Other { value } => Some(value.get("type")?.as_str()?.to_string()),
        _ => None,
    };
    let kinds: Vec<String> = blocks.iter().filter_map(kind).collect();
    format!("[{}]", if kinds.is_empty() { "other content".to_string() } else { kinds.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn call(name: &str, args: Value) -> Block {
        Block::ToolCall { id: "1".into(), name: name.into(), args }
    }

    #[test]
    fn calls_are_named_with_their_arguments() {
        let both =
            [call("lookup_order", json!({"order_id": "A123"})), call("get_customer", json!({"id": 7}))];
        assert_eq!(answer_line(&both, 100), r#"calls lookup_order(order_id="A123") + get_customer(id=7)"#);
        assert_eq!(answer_line(&both, 50), r#"calls lookup_order(order_id…) + get_customer(id=7)"#);
        assert_eq!(call_line("now", &json!({}), 80), "now()");
        assert_eq!(call_line("run", &json!("broken {"), 80), r#"run("broken {")"#);
    }

    #[test]
    fn texts_are_quoted_on_one_line() {
        let text = Block::Text { text: "Done.\n\n  I refunded $4,999.00 to your card.".into() };
        assert_eq!(answer_line(std::slice::from_ref(&text), 30), "\"Done. I refunded $4,999.00…\"");
        assert_eq!(answer_line(&[text], 80), "\"Done. I refunded $4,999.00 to your card.\"");
        assert_eq!(answer_line(&[], 80), "says nothing");
    }

    #[test]
    fn results_say_when_they_failed() {
        assert_eq!(result_line("no\nsuch order", true, 80), "failed: no such order");
        assert_eq!(result_line("", false, 80), "(nothing)");
        assert_eq!(one_line("a\u{1b}[31mb"), "a[31mb");
    }

    proptest! {
        #[test]
        fn no_line_is_too_long(width in 2usize..60, names in prop::collection::vec("[a-z]{0,30}", 0..6), text in any::<String>()) {
            let mut blocks: Vec<Block> = names.iter().map(|n| call(n, json!({"k": text}))).collect();
            prop_assert!(answer_line(&blocks, width).chars().count() <= width);
            blocks = vec![Block::Text { text: text.clone() }];
            prop_assert!(answer_line(&blocks, width).chars().count() <= width);
            prop_assert!(!answer_line(&blocks, width).contains('\n'));
            prop_assert!(result_line(&text, true, width).chars().count() <= width);
        }
    }
}
