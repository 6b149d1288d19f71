//! Edits of a request's bytes.

mod settings;

use super::parts::{field, is_signed, is_text, is_thought, items, member, parts_of, payload, placed};
use super::request::contents;
use super::target::with_model;
use crate::dialect::conversation::Block;
use crate::dialect::surgery::{self, Places, Splice, append_line, insert_element, set_member};
use crate::dialect::{EditError, Malformed, RequestEdit};
use crate::exchange::canon::{quoted, text_of_value};
use crate::exchange::json::{self, Kind, Node};
use bytes::Bytes;

/// What stands in a content that held nothing but thoughts: a content must have a part.
const DROPPED: &str = "[reasoning left out]";

/// The signature that Gemini takes for "there was none": `skip_thought_signature_validator`, in Base64.
pub(super) const UNSIGNED: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

pub(super) fn apply(body: &[u8], edits: &[RequestEdit]) -> Result<Bytes, EditError> {
    let places = Places::new(contents(&json::parse(body).map_err(Malformed::from)?)?.len());
    let mut body = body.to_vec();
    for edit in edits {
        let splices = splices(&json::parse(&body).map_err(Malformed::from)?, edit, &places)?;
        body = surgery::apply(&body, splices);
    }
    Ok(body.into())
}

/// Where an edited request goes: the model's name stands in the path.
pub(super) fn target(target: &str, edits: &[RequestEdit]) -> Option<String> {
    let model = edits.iter().rev().find_map(|edit| match edit {
        RequestEdit::SetField { name, value } if name == "model" => value.as_str(),
        _ => None,
    })?;
    with_model(target, model)
}

fn splices(root: &Node<'_>, edit: &RequestEdit, places: &Places) -> Result<Vec<Splice>, EditError> {
    let list = contents(root)?;
    match edit {
        RequestEdit::SetSystem(text) => Ok(set_system(root, text)),
        RequestEdit::AppendSystem(text) => Ok(vec![append_system(root, text)]),
        RequestEdit::SetMessageText { message, text } => {
            let node = places.message(list, *message)?;
            let behind = if node.str_of("role") == Some("model") { 0 } else { usize::MAX };
            Ok(set_text(node, text, behind))
        }
        RequestEdit::SetToolResult { message, block, text } => {
            let parts = parts_of(places.message(list, *message)?);
            let at = placed(parts).nth(*block).filter(|(_, read)| matches!(read, Block::ToolResult { .. }));
            let response = at.and_then(|(at, _)| field(parts.get(at)?, "functionResponse"));
            let gone =
                || EditError::NotThere(format!("block {block} of message {message} is no tool result"));
            Ok(vec![set_result(response.ok_or_else(gone)?, text)])
        }
        RequestEdit::ReplaceMessage { message, json } => {
            Ok(vec![surgery::replace_message(places.message(list, *message)?, json)?])
        }
        RequestEdit::SetField { name, value } => settings::set_field(root, name, value),
        RequestEdit::RemoveTool(name) => settings::remove_tool(root, name),
        RequestEdit::AddTool(tool) => Ok(vec![settings::add_tool(root, tool)]),
        RequestEdit::DropReasoning { before } => Ok(drop_reasoning(list, places.before(*before))),
    }
}

fn text_part(text: &str) -> String {
    format!(r#"{{"text":{}}}"#, quoted(text))
}

/// Replaces the text of a content; its other parts stay. `place`: index at which a text goes when there was none.
fn set_text(content: &Node<'_>, text: &str, place: usize) -> Vec<Splice> {
    let Some(parts) = field(content, "parts").filter(|p| matches!(p.kind, Kind::Array(_))) else {
        return match parts_of(content) {
            [only] if !is_text(only) => {
                let kept = text_of_value(&only.to_value());
                vec![set_member(content, "parts", format!("[{kept},{}]", text_part(text)))]
            }
            _ => vec![set_member(content, "parts", format!("[{}]", text_part(text)))],
        };
    };
    let Some(first) = parts.elements().iter().position(is_text) else {
        let thoughts = parts.elements().iter().take_while(|p| is_thought(p)).count();
        return vec![insert_element(parts, place.max(thoughts), text_part(text))];
    };
    let mut splices = surgery::remove_elements(parts, |i, p| i != first && is_text(p));
    let value = parts.elements().get(first).and_then(|p| p.get("text"));
    splices.extend(value.map(|v| (v.span.clone(), quoted(text))));
    splices
}

/// The content that holds the system prompt, if it is one.
fn instruction<'n, 'a>(root: &'n Node<'a>) -> Option<&'n Node<'a>> {
    field(root, "systemInstruction").filter(|s| field(s, "parts").is_some())
}

/// Sets a member under the name it has in the body, in either spelling.
fn set_named(object: &Node<'_>, name: &str, json: String) -> Splice {
    match member(object, name) {
        Some(member) => (member.value.span.clone(), json),
        None => set_member(object, name, json),
    }
}

fn set_system(root: &Node<'_>, text: &str) -> Vec<Splice> {
    match instruction(root) {
        Some(content) => set_text(content, text, usize::MAX),
        None => {
            vec![set_named(root, "systemInstruction", format!(r#"{{"parts":[{}]}}"#, text_part(text)))]
        }
    }
}

fn append_system(root: &Node<'_>, text: &str) -> Splice {
    let Some(content) = instruction(root) else {
        return match field(root, "systemInstruction").filter(|s| s.as_str().is_some()) {
            Some(string) => append_line(string, text),
            None => set_named(root, "systemInstruction", format!(r#"{{"parts":[{}]}}"#, text_part(text))),
        };
    };
    let last = parts_of(content).iter().rev().find(|p| is_text(p)).and_then(|p| p.get("text"));
    match (last, field(content, "parts")) {
        (Some(last), _) => append_line(last, text),
        (None, Some(parts)) if matches!(parts.kind, Kind::Array(_)) => {
            insert_element(parts, usize::MAX, text_part(text))
        }
        _ => set_named(content, "parts", format!("[{}]", text_part(text))),
    }
}

/// Puts a text in the place of what a tool returned, in the field it was wrapped in. What was JSON stays JSON when the
/// text is.
fn set_result(response: &Node<'_>, text: &str) -> Splice {
    let as_json = || json::parse(text.as_bytes()).ok();
    let wrapped = || format!(r#"{{"output":{}}}"#, quoted(text));
    let Some((value, _)) = payload(response) else { return set_named(response, "response", wrapped()) };
    let is_whole = field(response, "response").is_some_and(|whole| whole.span == value.span);
    let json = match (&value.kind, is_whole) {
        (_, true) => {
            as_json().filter(|n| matches!(n.kind, Kind::Object(_))).map_or_else(wrapped, |_| text.into())
        }
        (Kind::String(_), false) => quoted(text),
        (_, false) => as_json().map_or_else(|| quoted(text), |_| text.into()),
    };
    (value.span.clone(), json)
}

/// Takes thoughts and signatures out of the contents before an index. While a turn is open, its calls are refused
/// without a signature: there the one that stands for none takes its place.
fn drop_reasoning(list: &[Node<'_>], until: usize) -> Vec<Splice> {
    let open = list.iter().rposition(speaks).map_or(0, |i| i + 1);
    let mut splices = Vec::new();
    for (at, content) in list.iter().enumerate().take(until) {
        let Some(node) = field(content, "parts") else { continue };
        let parts = items(node);
        // A part with nothing but a signature is as good as a thought.
        let is_gone =
            |p: &Node<'_>| is_thought(p) || (is_signed(p) && placed(std::slice::from_ref(p)).count() == 1);
        if parts.iter().any(is_gone) && parts.iter().all(is_gone) {
            splices.push((node.span.clone(), format!("[{}]", text_part(DROPPED))));
            continue;
        }
        splices.extend(surgery::remove_elements(node, |_, p| is_gone(p)));
        for part in parts.iter().filter(|p| is_signed(p) && !is_gone(p)) {
            let Some(seal) = member(part, "thoughtSignature") else { continue };
            match at >= open && field(part, "functionCall").is_some() {
                true => splices.push((seal.value.span.clone(), quoted(UNSIGNED))),
                false => splices.extend(surgery::remove_members(part, |key| key == seal.key)),
            }
        }
    }
    splices
}

/// True for a content in which a person speaks.
fn speaks(content: &Node<'_>) -> bool {
    content.str_of("role") != Some("model")
        && !parts_of(content).iter().any(|p| field(p, "functionResponse").is_some())
}
