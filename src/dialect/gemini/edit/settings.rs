//! Edits of tools and parameters.

use super::super::parts::{camel, field, items, member};
use super::set_named;
use crate::dialect::EditError;
use crate::dialect::surgery::{self, Splice, insert_element, set_member};
use crate::exchange::canon::text_of_value;
use crate::exchange::json::{Kind, Node};
use serde_json::Value;

/// Fields of the request itself. Every other parameter stands in `generationConfig`.
const TOP: [&str; 10] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "labels",
    "store",
    "serviceTier",
];

/// What other providers call a parameter, and what Google does.
const RENAMED: [(&str, &str); 4] = [
    ("maxTokens", "maxOutputTokens"),
    ("maxCompletionTokens", "maxOutputTokens"),
    ("stop", "stopSequences"),
    ("n", "candidateCount"),
];

/// Sets a parameter where it belongs; null removes it.
pub(super) fn set_field(root: &Node<'_>, name: &str, value: &Value) -> Result<Vec<Splice>, EditError> {
    let spelt = camel(name);
    match (spelt.as_str(), value) {
        // It stands in the path.
        ("model", Value::String(_)) => return Ok(Vec::new()),
        ("model", _) => return Err(EditError::NotThere(format!("a model has a name, {value} is none"))),
        ("stream", _) => {
            return Err(EditError::NotThere(
                "whether a Gemini answer is streamed is said in the request's path: it cannot be edited"
                    .into(),
            ));
        }
        ("tools", Value::Array(tools)) => return Ok(set_in(root, "tools", &gathered(tools))),
        _ => {}
    }
    if TOP.contains(&spelt.as_str()) || member(root, &spelt).is_some() {
        return Ok(set_in(root, &spelt, value));
    }
    let spelt = RENAMED.iter().find(|(theirs, _)| *theirs == spelt).map_or(spelt.as_str(), |(_, ours)| ours);
    match field(root, "generationConfig").filter(|c| matches!(c.kind, Kind::Object(_))) {
        Some(config) => Ok(set_in(config, spelt, value)),
        None if value.is_null() => Ok(Vec::new()),
        None => {
            let config = serde_json::json!({ spelt: value });
            Ok(vec![set_named(root, "generationConfig", text_of_value(&config))])
        }
    }
}

/// Tools as a request has them: what has a name is a function, and all functions stand in one list.
fn gathered(tools: &[Value]) -> Value {
    let (functions, mut others): (Vec<Value>, Vec<Value>) =
        tools.iter().cloned().partition(|tool| tool.get("name").is_some());
    if !functions.is_empty() {
        others.insert(0, serde_json::json!({"functionDeclarations": functions}));
    }
    Value::from(others)
}

fn set_in(object: &Node<'_>, name: &str, value: &Value) -> Vec<Splice> {
    match value {
        Value::Null => surgery::remove_members(object, |key| camel(key) == name),
        value => vec![set_named(object, name, text_of_value(value))],
    }
}

/// The functions that an element of `tools` declares.
fn declared<'n, 'a>(tool: &'n Node<'a>) -> &'n [Node<'a>] {
    field(tool, "functionDeclarations").map(items).unwrap_or_default()
}

/// The names under which an element of `tools` offers a tool: of its functions, and of the provider's own.
fn names<'n>(tool: &'n Node<'_>) -> impl Iterator<Item = String> + 'n {
    let own = tool.members().iter().map(|m| camel(&m.key)).filter(|k| k != "functionDeclarations");
    declared(tool).iter().filter_map(|f| f.str_of("name").map(str::to_string)).chain(own)
}

/// Removes a tool, with what becomes empty by it: Google refuses an empty list of functions.
pub(super) fn remove_tool(root: &Node<'_>, name: &str) -> Result<Vec<Splice>, EditError> {
    let list = field(root, "tools");
    let tools = list.map(items).unwrap_or_default();
    let offers = |tool: &Node<'_>| names(tool).any(|n| n == name);
    let (Some(list), Some(at)) = (list, tools.iter().position(offers)) else {
        let all: Vec<String> = tools.iter().flat_map(names).collect();
        return Err(EditError::NotThere(format!(
            "there is no tool {name:?}; the tools are {}",
            all.join(", ")
        )));
    };
    let Some(tool) = tools.get(at) else { return Ok(Vec::new()) };
    let is_it = |f: &Node<'_>| f.str_of("name") == Some(name);
    let left = declared(tool).iter().filter(|f| !is_it(f)).count();
    let others = names(tool).filter(|n| n != name).count();
    let mut splices = match (others, tools.len()) {
        // Nothing is left to choose from.
        (0, 1) => {
            return Ok(surgery::remove_members(root, |key| {
                matches!(camel(key).as_str(), "tools" | "toolConfig")
            }));
        }
        (0, _) => surgery::remove_elements(list, |i, _| i == at),
        _ if left < declared(tool).len() && left > 0 => {
            let functions = field(tool, "functionDeclarations");
            functions.map(|f| surgery::remove_elements(f, |_, f| is_it(f))).unwrap_or_default()
        }
        _ if left < declared(tool).len() => {
            surgery::remove_members(tool, |key| camel(key) == "functionDeclarations")
        }
        _ => surgery::remove_members(tool, |key| camel(key) == name),
    };
    splices.extend(unchosen(root, name));
    Ok(splices)
}

/// Takes a tool out of those that the model may choose from.
fn unchosen(root: &Node<'_>, name: &str) -> Vec<Splice> {
    let config = field(root, "toolConfig").and_then(|c| field(c, "functionCallingConfig"));
    let Some(config) = config else { return Vec::new() };
    let Some(allowed) = field(config, "allowedFunctionNames") else { return Vec::new() };
    match items(allowed).iter().any(|n| n.as_str() != Some(name)) {
        true => surgery::remove_elements(allowed, |_, n| n.as_str() == Some(name)),
        false => surgery::remove_members(config, |key| camel(key) == "allowedFunctionNames"),
    }
}

/// Adds a function's declaration beside the others, or another tool behind all.
pub(super) fn add_tool(root: &Node<'_>, tool: &Value) -> Splice {
    let json = text_of_value(tool);
    let list = field(root, "tools");
    let is_function = tool.get("name").is_some();
    let beside = list.map(items).unwrap_or_default().iter();
    let beside =
        beside.filter_map(|t| field(t, "functionDeclarations")).find(|f| matches!(f.kind, Kind::Array(_)));
    let element = if is_function { format!(r#"{{"functionDeclarations":[{json}]}}"#) } else { json.clone() };
    match (beside, list) {
        (Some(functions), _) if is_function => insert_element(functions, usize::MAX, json),
        (_, Some(tools)) if matches!(tools.kind, Kind::Array(_)) => {
            insert_element(tools, usize::MAX, element)
        }
        (_, Some(tool)) => (tool.span.clone(), format!("[{},{element}]", text_of_value(&tool.to_value()))),
        (_, None) => set_member(root, "tools", format!("[{element}]")),
    }
}
