//! Edits of tools and parameters.

use crate::dialect::EditError;
use crate::dialect::surgery::{self, Splice, insert_element, set_member};
use crate::exchange::canon::text_of_value;
use crate::exchange::json::{Kind, Node};
use serde_json::{Value, json};

/// The parameters of `inferenceConfig`. Every other one is a field of the request itself.
const INFERENCE: [&str; 4] = ["maxTokens", "temperature", "topP", "stopSequences"];

/// What other providers call a parameter, and what Amazon does.
const RENAMED: [(&str, &str); 7] = [
    ("max_tokens", "maxTokens"),
    ("maxOutputTokens", "maxTokens"),
    ("max_completion_tokens", "maxTokens"),
    ("top_p", "topP"),
    ("stop", "stopSequences"),
    ("stop_sequences", "stopSequences"),
    ("tool_choice", "toolChoice"),
];

/// Sets a parameter where it belongs; null removes it.
pub(super) fn set_field(root: &Node<'_>, name: &str, value: &Value) -> Result<Vec<Splice>, EditError> {
    let name = RENAMED.iter().find(|(theirs, _)| *theirs == name).map_or(name, |(_, ours)| ours);
    match (name, value) {
        // It stands in the path.
        ("model", Value::String(_)) => Ok(Vec::new()),
        ("model", _) => Err(EditError::NotThere(format!("a model has a name, {value} is none"))),
        ("stream", _) => Err(EditError::NotThere(
            "whether an answer of Bedrock is streamed is said in the request's path: it cannot be edited"
                .into(),
        )),
        ("tools", Value::Array(tools)) => {
            let tools: Vec<Value> = tools.iter().map(specified).collect();
            Ok(set_within(root, "toolConfig", "tools", &Value::from(tools)))
        }
        ("tools", Value::Null) => Ok(surgery::remove_members(root, |key| key == "toolConfig")),
        ("toolChoice", _) => Ok(set_within(root, "toolConfig", name, value)),
        (name, _) if INFERENCE.contains(&name) => Ok(set_within(root, "inferenceConfig", name, value)),
        _ => Ok(surgery::set_field(root, name, value)),
    }
}

/// Sets a member of an object that may have to be made for it.
fn set_within(root: &Node<'_>, holder: &str, name: &str, value: &Value) -> Vec<Splice> {
    match root.get(holder).filter(|h| matches!(h.kind, Kind::Object(_))) {
        Some(config) => surgery::set_field(config, name, value),
        None if value.is_null() => Vec::new(),
        None => vec![set_member(root, holder, text_of_value(&json!({ name: value })))],
    }
}

/// A tool as it stands in a request: what has a name is a specification.
fn specified(tool: &Value) -> Value {
    match tool.get("name") {
        Some(_) => json!({"toolSpec": tool}),
        None => tool.clone(),
    }
}

fn tools<'n, 'a>(root: &'n Node<'a>) -> Option<&'n Node<'a>> {
    root.get("toolConfig")?.get("tools").filter(|t| matches!(t.kind, Kind::Array(_)))
}

fn name_of<'n>(tool: &'n Node<'_>) -> Option<&'n str> {
    ["toolSpec", "systemTool"].iter().find_map(|kind| tool.get(kind)?.str_of("name"))
}

/// Removes a tool. A configuration without any tool is refused, so that it goes with the last one; a choice of the tool
/// goes as well.
pub(super) fn remove_tool(root: &Node<'_>, name: &str) -> Result<Vec<Splice>, EditError> {
    let all = tools(root).map(|t| t.elements()).unwrap_or_default();
    let (Some(list), true) = (tools(root), all.iter().any(|t| name_of(t) == Some(name))) else {
        let names: Vec<&str> = all.iter().filter_map(name_of).collect();
        return Err(EditError::NotThere(format!(
            "there is no tool {name:?}; the tools are {}",
            names.join(", ")
        )));
    };
    if !all.iter().any(|t| name_of(t).is_some_and(|n| n != name)) {
        return Ok(surgery::remove_members(root, |key| key == "toolConfig"));
    }
    let mut splices = surgery::remove_elements(list, |_, t| name_of(t) == Some(name));
    if let Some(config) = root.get("toolConfig") {
        let chosen = config.get("toolChoice").and_then(|c| c.get("tool")).and_then(|t| t.str_of("name"));
        splices.extend(surgery::remove_members(config, |key| key == "toolChoice" && chosen == Some(name)));
    }
    Ok(splices)
}

/// Adds a tool definition behind the others.
pub(super) fn add_tool(root: &Node<'_>, tool: &Value) -> Splice {
    let json = text_of_value(&specified(tool));
    match (tools(root), root.get("toolConfig").filter(|c| matches!(c.kind, Kind::Object(_)))) {
        (Some(list), _) => insert_element(list, usize::MAX, json),
        (None, Some(config)) => set_member(config, "tools", format!("[{json}]")),
        (None, None) => set_member(root, "toolConfig", format!(r#"{{"tools":[{json}]}}"#)),
    }
}
