//! What servers say of their tools.

use super::message::Message;
use serde_json::Value;

/// What a server's annotations say that a tool does to the world. Hints, as the protocol calls them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// `readOnlyHint`: nothing.
    Reads,
    /// `readOnlyHint` is false, or `destructiveHint` is: it changes something.
    Writes,
    /// `destructiveHint`: it changes something that may not come back.
    Destroys,
}

/// A tool of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name, as the server has it.
    pub name: String,
    /// What it does, where the server says so itself; the protocol's defaults for what is not said are no statement.
    pub effect: Option<Effect>,
    /// All that is said of it.
    pub definition: Value,
}

/// The tools in the response to a `tools/list`.
pub fn listed(response: &Message) -> Vec<Tool> {
    let tools = response.content.get("tools").and_then(Value::as_array);
    let tool = |definition: &Value| {
        let name = definition.get("name")?.as_str()?.to_string();
        Some(Tool { name, effect: effect(definition.get("annotations")), definition: definition.clone() })
    };
    tools.into_iter().flatten().filter_map(tool).collect()
}

fn effect(annotations: Option<&Value>) -> Option<Effect> {
    let hint = |name: &str| annotations?.get(name)?.as_bool();
    match (hint("readOnlyHint"), hint("destructiveHint")) {
        (Some(true), _) => Some(Effect::Reads),
        (_, Some(true)) => Some(Effect::Destroys),
        (Some(false), _) | (_, Some(false)) => Some(Effect::Writes),
        (None, None) => None,
    }
}

/// How a list of tools differs from an earlier one, a line a tool; empty when it does not.
pub fn changes(before: &[Tool], now: &[Tool]) -> Vec<String> {
    let find = |tools: &[Tool], name: &str| tools.iter().position(|tool| tool.name == name);
    let gone = before
        .iter()
        .filter(|tool| find(now, &tool.name).is_none())
        .map(|tool| format!("{} is gone", tool.name));
    let others = now.iter().filter_map(|tool| match find(before, &tool.name).and_then(|at| before.get(at)) {
        None => Some(format!("{} is new", tool.name)),
        Some(known) if known.definition != tool.definition => {
            Some(format!("{} is described otherwise", tool.name))
        }
        Some(_) => None,
    });
    gone.chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list(tools: Value) -> Vec<Tool> {
        let response = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).to_string();
        listed(&Message::read(response.as_bytes()).unwrap())
    }

    #[test]
    fn only_what_is_said_counts() {
        let tools = list(json!([
            {"name": "a", "annotations": {"readOnlyHint": true, "destructiveHint": true}},
            {"name": "b", "annotations": {"readOnlyHint": false}},
            {"name": "c", "annotations": {"destructiveHint": true}},
            {"name": "d", "annotations": {"title": "D"}},
            {"name": "e"}, {"no": "name"},
        ]));
        let effects: Vec<_> = tools.iter().map(|tool| tool.effect).collect();
        assert_eq!(effects, [Some(Effect::Reads), Some(Effect::Writes), Some(Effect::Destroys), None, None]);
    }

    #[test]
    fn a_changed_list_is_told_by_tool() {
        let before = list(json!([{"name": "a"}, {"name": "b", "description": "B"}, {"name": "c"}]));
        let now = list(json!([{"name": "b", "description": "b"}, {"name": "c"}, {"name": "d"}]));
        assert_eq!(changes(&before, &now), ["a is gone", "b is described otherwise", "d is new"]);
        assert!(changes(&now, &now).is_empty());
    }
}
