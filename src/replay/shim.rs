//! Functions of the agent's own that were wrapped by the tool shim, as they were recorded.

use crate::exchange::ExchangeId;
use crate::mcp::message::{Kind, Message};
use crate::proxy::shim::{COMMAND, TOOL, is_report};
use crate::store::RunReader;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// Name under which the shim is told of, beside those of servers.
pub const SHIM: &str = "the tool shim";

/// The same for commands of shells.
pub const SHELL: &str = "the shell";

/// True for the two, whose calls are told of in two messages: before and after the work.
pub fn is_told(server: &str) -> bool {
    matches!(server, SHIM | SHELL)
}

/// Under which of the two names a call is told of.
pub fn teller(call: &Message) -> &'static str {
    if call.call().is_some_and(|(name, _)| name == COMMAND) { SHELL } else { SHIM }
}

/// What a function asked or told.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// It was called: as a message to a server that has the function as its tool.
    Called(Message),
    /// What came of a call: its id, and its result or error as the shim tells them.
    Done(String, Value),
}

/// Reads what a function sends, by its target and body; none for what the shim does not say.
pub fn report(target: &str, body: &[u8]) -> Option<Report> {
    let Value::Object(mut fields) = serde_json::from_slice(body).ok()? else { return None };
    let call = fields.shift_remove("call")?.as_str()?.to_string();
    if is_report(target) {
        return Some(Report::Done(call, Value::Object(fields)));
    }
    let name = percent_decode_str(target.split('?').next()?.trim_start_matches('/')).decode_utf8().ok()?;
    let mut content = Map::new();
    content.insert("name".into(), name.into_owned().into());
    content.insert("arguments".into(), fields.shift_remove("arguments").unwrap_or_default());
    if let Some(id) = fields.shift_remove("tool_call_id") {
        let meta = Map::from_iter([("toolCallId".to_string(), id)]);
        content.insert("_meta".into(), meta.into());
    }
    let id = Value::String(call).to_string();
    Some(Report::Called(Message {
        kind: Kind::Request,
        method: "tools/call".into(),
        id,
        content: content.into(),
    }))
}

/// What came of each call of a run: its result or error, by the id of the call as it is written.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    told: HashMap<String, Value>,
    /// Exchanges that told what came of a call.
    reports: Vec<(ExchangeId, String)>,
    /// Calls that were answered and did not run.
    answered: HashSet<ExchangeId>,
}

impl Outcomes {
    /// Notes what a function told.
    pub(super) fn note(&mut self, id: ExchangeId, call: &str, outcome: Value) {
        self.reports.push((id, Value::String(call.to_string()).to_string()));
        self.told.insert(Value::String(call.to_string()).to_string(), outcome);
    }

    /// Notes what the shim answered to a call, in a run that was itself a replay or fork.
    pub(super) fn note_answer(&mut self, reader: &RunReader, id: ExchangeId, call: &Message) {
        let answer = reader.answer(id).ok().flatten();
        let told = answer.and_then(|answer| serde_json::from_slice::<Value>(&answer.body).ok());
        if let Some(told) = told.filter(|told| told.get("run").is_none()) {
            self.answered.insert(id);
            self.told.insert(call.id.clone(), told);
        }
    }

    /// Exchanges that told what came of a call.
    pub(super) fn reports(&self) -> impl Iterator<Item = ExchangeId> {
        self.reports.iter().map(|(id, _)| *id)
    }

    /// Calls whose functions told what came of them, by their ids as they are written.
    pub(super) fn reported(&self) -> impl Iterator<Item = &str> {
        self.reports.iter().map(|(_, call)| call.as_str())
    }

    /// True when a call was made while this one ran, by its function or beside it.
    pub(super) fn is_during(&self, outer: (ExchangeId, &Message), inner: ExchangeId) -> bool {
        let done = self.reports.iter().find(|(_, call)| *call == outer.1.id);
        outer.0 < inner && done.is_some_and(|(id, _)| inner < *id)
    }

    /// True when a call was answered, and its function did not run.
    pub(super) fn was_answered(&self, call: ExchangeId) -> bool {
        self.answered.contains(&call)
    }

    /// The result or error of a call; none where it was not told, or is no JSON.
    pub(super) fn of(&self, call: &Message) -> Option<&Value> {
        self.told.get(&call.id).filter(|told| told.get("result").is_some() || told.get("error").is_some())
    }
}

/// True for an exchange of the shim.
pub fn is_shim(provider: &str) -> bool {
    provider == TOOL
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn calls_and_what_came_of_them_are_read() {
        let called = report("/send%20mail", br#"{"call":"c1","arguments":{"to":"a"},"tool_call_id":"t"}"#);
        let Some(Report::Called(message)) = called else { panic!("{called:?}") };
        assert_eq!(message.call(), Some(("send mail", &json!({"to": "a"}))));
        assert_eq!(message.made_for(), Some("t"));
        let done = report("/send%20mail/done", br#"{"call":"c1","result":[1]}"#);
        assert_eq!(done, Some(Report::Done("c1".into(), json!({"result": [1]}))));
        for bad in ["", "[]", "{}", r#"{"call":1}"#] {
            assert_eq!(report("/x", bad.as_bytes()), None, "{bad}");
        }
        let mut outcomes = Outcomes::default();
        outcomes.note(ExchangeId(2), "c1", json!({"result": null}));
        assert_eq!(outcomes.of(&message), Some(&json!({"result": null})));
        outcomes.note(ExchangeId(3), "c1", json!({"unrecordable": "bytes"}));
        assert_eq!(outcomes.of(&message), None);
    }
}
