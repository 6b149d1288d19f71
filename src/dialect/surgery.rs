//! Byte-exact changes of a JSON body: every change is a range and what comes in its place, all else stays.

use super::{EditError, Malformed};
use crate::exchange::canon::{quoted, text_of_value};
use crate::exchange::json::{self, Kind, Node, NotJson};
use serde_json::Value;
use std::ops::Range;

use super::content::is_text;

/// Bytes that come in the place of a range.
pub(super) type Splice = (Range<usize>, String);

impl From<NotJson> for Malformed {
    fn from(e: NotJson) -> Malformed {
        Malformed { what: format!("the body is not JSON: {}", e.what), at: e.at }
    }
}

/// Applies splices that do not overlap.
pub(super) fn apply(body: &[u8], mut splices: Vec<Splice>) -> Vec<u8> {
    splices.sort_by_key(|(range, _)| (range.start, range.end));
    let mut out = Vec::with_capacity(body.len() + splices.iter().map(|(_, t)| t.len()).sum::<usize>());
    let mut at = 0;
    for (range, text) in splices {
        out.extend_from_slice(body.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        at = at.max(range.end);
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    out
}

/// Sets a member of an object, at its end when it is new.
pub(super) fn set_member(object: &Node<'_>, key: &str, json: String) -> Splice {
    match object.member(key) {
        Some(member) => (member.value.span.clone(), json),
        None => {
            let end = object.members().last().map_or(object.span.start + 1, |m| m.value.span.end);
            let comma = if object.members().is_empty() { "" } else { "," };
            (end..end, format!("{comma}{}:{json}", quoted(key)))
        }
    }
}

/// Removes the members with these keys, with their commas.
pub(super) fn remove_members(object: &Node<'_>, gone: impl Fn(&str) -> bool) -> Vec<Splice> {
    let ranges = object.members().iter().map(|m| (m.key_span.start..m.value.span.end, gone(&m.key)));
    remove_items(&ranges.collect::<Vec<_>>())
}

/// Removes the elements that match, with their commas.
pub(super) fn remove_elements(array: &Node<'_>, gone: impl Fn(usize, &Node<'_>) -> bool) -> Vec<Splice> {
    let ranges = array.elements().iter().enumerate().map(|(i, e)| (e.span.clone(), gone(i, e)));
    remove_items(&ranges.collect::<Vec<_>>())
}

/// Removes items of a list, each with one comma: the one before it, or the one behind it at the list's beginning.
fn remove_items(items: &[(Range<usize>, bool)]) -> Vec<Splice> {
    let mut kept_before = false;
    let mut splices = Vec::new();
    for (i, (range, gone)) in items.iter().enumerate() {
        if *gone {
            let before = i.checked_sub(1).and_then(|b| items.get(b)).map(|(r, _)| r.end);
            let behind = items.get(i + 1).map(|(r, _)| r.start);
            let range = match kept_before {
                true => before.unwrap_or(range.start)..range.end,
                false => range.start..behind.unwrap_or(range.end),
            };
            splices.push((range, String::new()));
        } else {
            kept_before = true;
        }
    }
    splices
}

/// Inserts an element before the one at this index; appends it when there is none.
pub(super) fn insert_element(array: &Node<'_>, index: usize, json: String) -> Splice {
    let elements = array.elements();
    match (elements.get(index), elements.last()) {
        (Some(next), _) => (next.span.start..next.span.start, format!("{json},")),
        (None, Some(last)) => (last.span.end..last.span.end, format!(",{json}")),
        (None, None) => (array.span.start + 1..array.span.start + 1, json),
    }
}

/// A text part, as both dialects write it.
pub(super) fn text_part(text: &str) -> String {
    format!(r#"{{"type":"text","text":{}}}"#, quoted(text))
}

/// Replaces the text in the field `content` of a message or a tool result, which may be a string, a list of parts or
/// missing. Parts that are no text stay. `place`: index at which a text part goes when there was none.
pub(super) fn set_content(holder: &Node<'_>, text: &str, place: usize) -> Vec<Splice> {
    let Some(content) = holder.get("content").filter(|c| matches!(c.kind, Kind::Array(_))) else {
        return vec![set_member(holder, "content", quoted(text))];
    };
    let Some(first) = content.elements().iter().position(is_text) else {
        return vec![insert_element(content, place, text_part(text))];
    };
    let mut splices = remove_elements(content, |i, e| i != first && is_text(e));
    let value = content.elements().get(first).and_then(|e| e.get("text"));
    splices.extend(value.map(|v| (v.span.clone(), quoted(text))));
    splices
}

/// Appends a line to a string node.
pub(super) fn append_line(string: &Node<'_>, line: &str) -> Splice {
    if string.is_empty() {
        return (string.span.clone(), quoted(line));
    }
    let inside = quoted(&format!("\n{line}"));
    let end = string.span.end.saturating_sub(1);
    (end..end, inside.get(1..inside.len() - 1).unwrap_or_default().to_string())
}

/// Sets a top-level field; null removes it.
pub(super) fn set_field(root: &Node<'_>, name: &str, value: &Value) -> Vec<Splice> {
    match value {
        Value::Null => remove_members(root, |key| key == name),
        value => vec![set_member(root, name, text_of_value(value))],
    }
}

/// The name of a tool definition in either dialect, legacy forms included.
fn tool_name<'n>(tool: &'n Node<'_>) -> Option<&'n str> {
    let inner = tool.get("function").or(tool.get("custom"));
    inner.and_then(|f| f.str_of("name")).or(tool.str_of("name"))
}

/// Removes a tool. An empty list stays only where `keep_empty`; a `tool_choice` that names the tool, or that has no
/// tool left to choose, goes as well.
pub(super) fn remove_tool(root: &Node<'_>, name: &str, keep_empty: bool) -> Result<Vec<Splice>, EditError> {
    let lists = ["tools", "functions"];
    let matches = |t: &Node<'_>| tool_name(t) == Some(name);
    let list = lists.iter().find(|k| root.get(k).is_some_and(|l| l.elements().iter().any(matches)));
    let Some((list, tools)) = list.and_then(|k| Some((*k, root.get(k)?))) else {
        let all = lists.iter().filter_map(|k| root.get(k)).flat_map(|l| l.elements()).filter_map(tool_name);
        let all: Vec<&str> = all.collect();
        return Err(EditError::NotThere(format!(
            "there is no tool {name:?}; the tools are {}",
            all.join(", ")
        )));
    };
    let left = tools.elements().iter().filter(|t| !matches(t)).count();
    let chosen = ["tool_choice", "function_call"]
        .into_iter()
        .filter(|k| root.get(k).is_some_and(|c| left == 0 || tool_name(c) == Some(name)));
    let mut gone: Vec<&str> = chosen.collect();
    if left == 0 {
        gone.extend(["parallel_tool_calls"]);
    }
    if left == 0 && !keep_empty {
        gone.push(list);
        return Ok(remove_members(root, |key| gone.contains(&key)));
    }
    let mut splices = remove_members(root, |key| gone.contains(&key));
    splices.extend(remove_elements(tools, |_, t| matches(t)));
    Ok(splices)
}

/// Adds a tool definition behind the others.
pub(super) fn add_tool(root: &Node<'_>, tool: &Value) -> Splice {
    let json = text_of_value(tool);
    match root.get("tools").filter(|t| matches!(t.kind, Kind::Array(_))) {
        Some(tools) => insert_element(tools, usize::MAX, json),
        None => set_member(root, "tools", format!("[{json}]")),
    }
}

/// Puts another message in a message's place.
pub(super) fn replace_message(message: &Node<'_>, json: &[u8]) -> Result<Splice, EditError> {
    let replacement = json::parse(json)
        .map_err(|e| Malformed { what: format!("the new message is not JSON: {}", e.what), at: e.at })?;
    if !matches!(replacement.kind, Kind::Object(_)) {
        return Err(Malformed { what: "the new message is not a JSON object".into(), at: 0 }.into());
    }
    let text = json.get(replacement.span.clone()).unwrap_or_default();
    Ok((message.span.clone(), String::from_utf8_lossy(text).into_owned()))
}

/// Where the messages of the body as given are now: an edit that puts a message in front moves the rest.
pub(super) struct Places(Vec<Option<usize>>);

impl Places {
    pub(super) fn new(messages: usize) -> Places {
        Places((0..messages).map(Some).collect())
    }

    /// The message that had this index.
    pub(super) fn message<'n, 'a>(
        &self,
        messages: &'n [Node<'a>],
        index: usize,
    ) -> Result<&'n Node<'a>, EditError> {
        let now = self.0.get(index).copied().flatten().and_then(|i| messages.get(i));
        now.ok_or_else(|| {
            EditError::NotThere(format!("there is no message {index}; the request has {}", self.0.len()))
        })
    }

    /// The index now of the first message that had this index or a later one.
    pub(super) fn before(&self, index: usize) -> usize {
        let from = self.0.iter().skip(index).flatten().next().copied();
        from.unwrap_or_else(|| self.0.iter().flatten().max().map_or(0, |last| last + 1))
    }

    /// A message was put in front.
    pub(super) fn inserted_in_front(&mut self) {
        self.0.iter_mut().flatten().for_each(|i| *i += 1);
    }

    /// The messages of this range (of today's indices) were removed.
    pub(super) fn removed(&mut self, range: Range<usize>) {
        for place in &mut self.0 {
            *place = match *place {
                Some(i) if range.contains(&i) => None,
                Some(i) if i >= range.end => Some(i - range.len()),
                other => other,
            };
        }
    }
}
