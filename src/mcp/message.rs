//! JSON-RPC messages, and what of them counts.
//!
//! Two eras of the protocol are on the wire side by side (sessions that begin with `initialize`, and stateless requests
//! that carry everything in `_meta`); both are messages with a method, and differ in nothing that is looked at here.

use crate::dialect::sse;
use crate::exchange::json::{self, Kind as Json, Node};
use serde_json::{Map, Value};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Wants a response.
    Request,
    /// Wants none.
    Notification,
    /// Answers a request of the other side, with a result or an error.
    Response,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its method; empty for a response.
    pub method: String,
    /// Its id as it is written in JSON: `7`, `"a"`; empty for a notification.
    pub id: String,
    /// Its parameters, or the result or error of a response.
    pub content: Value,
}

/// Byte strings of which one stands at the start of a line where an event stream has a message: any may be the last that the
/// agent waits for.
pub const MARKERS: [&[u8]; 2] = [b"event: message\n", b"event: message\r\n"];

/// The notification by which a bridge tells the run that a server has other tools than the agent was told of.
pub const CHANGED: &str = "notifications/retake/tools_changed";

/// Members of `_meta` are about the transport; these name the model's tool call that a call is made for.
const CALL_IDS: [&str; 3] = ["claudecode/toolUseId", "callId", "toolCallId"];

impl Message {
    /// Reads a message; none when the bytes are no single message of JSON-RPC 2.0.
    pub fn read(bytes: &[u8]) -> Option<Message> {
        let root = json::parse(bytes).ok()?;
        Message::of(&root, bytes)
    }

    fn of(root: &Node<'_>, bytes: &[u8]) -> Option<Message> {
        if root.str_of("jsonrpc") != Some("2.0") {
            return None;
        }
        let id = root.get("id").and_then(|id| bytes.get(id.span.clone()));
        let id = id.and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default().to_string();
        let value = |key: &str| root.get(key).map_or(Value::Null, |node| node.to_value());
        Some(match (root.str_of("method"), id.is_empty()) {
            (Some(method), false) => {
                Message { kind: Kind::Request, method: method.into(), id, content: value("params") }
            }
            (Some(method), true) => {
                Message { kind: Kind::Notification, method: method.into(), id, content: value("params") }
            }
            (None, _) => {
                let content = if root.get("error").is_some() { value("error") } else { value("result") };
                Message { kind: Kind::Response, method: String::new(), id, content }
            }
        })
    }

    /// The tool that a `tools/call` asks for, and its arguments.
    pub fn call(&self) -> Option<(&str, &Value)> {
        let name = self.content.get("name").filter(|_| self.method == "tools/call")?.as_str()?;
        Some((name, self.content.get("arguments").unwrap_or(&Value::Null)))
    }

    /// The token under which progress of a request is told.
    pub fn progress_token(&self) -> Option<&Value> {
        self.content.get("_meta")?.get("progressToken")
    }

    /// The id of the model's tool call that it is made for, where its client says so.
    pub fn made_for(&self) -> Option<&str> {
        let meta = self.content.get("_meta")?;
        CALL_IDS.iter().find_map(|key| meta.get(key)?.as_str())
    }

    /// What of a request or notification counts when two are compared: its method and parameters, without what is about
    /// the transport, the client's version and the ids of other requests.
    pub fn subject(&self) -> Value {
        let mut content = self.content.clone();
        if let Value::Object(fields) = &mut content {
            fields.shift_remove("_meta");
            let volatile: &[&str] = match self.method.as_str() {
                "initialize" => &["clientInfo"],
                "notifications/cancelled" => &["requestId"],
                "notifications/progress" => &["progressToken"],
                _ => &[],
            };
            volatile.iter().for_each(|name| drop(fields.shift_remove(*name)));
            // A call without arguments is one with none.
            if fields.get("arguments").is_some_and(is_nothing) {
                fields.shift_remove("arguments");
            }
        }
        let mut subject = Map::new();
        subject.insert("method".into(), self.method.clone().into());
        if !is_nothing(&content) {
            subject.insert("params".into(), content);
        }
        Value::Object(subject)
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// Every message of a body: a JSON text, an array of messages, or an event stream of them. What is none is left out.
pub fn messages(body: &[u8], is_event_stream: bool) -> Vec<Message> {
    if is_event_stream {
        return sse::events(body).iter().flat_map(|event| messages(event.data.as_bytes(), false)).collect();
    }
    let Ok(root) = json::parse(body) else { return Vec::new() };
    match &root.kind {
        Json::Array(elements) => elements.iter().filter_map(|node| Message::of(node, body)).collect(),
        _ => Message::of(&root, body).into_iter().collect(),
    }
}

/// True when a model's name of a tool is that of a server's tool, as agents write it: `stock`, `mcp__shop__stock`,
/// `shop.stock`.
pub fn is_name_of(model: &str, tool: &str) -> bool {
    model.strip_suffix(tool).is_some_and(|before| {
        before.is_empty() || before.ends_with(|c: char| !c.is_alphanumeric()) && !tool.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Message {
        Message::read(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn requests_notifications_and_responses_are_told_apart() {
        let asked =
            read(json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "stock",
                "arguments": {"item": "gadget"}, "_meta": {"progressToken": "p", "callId": "call_1"}}}));
        assert_eq!((asked.kind, asked.id.as_str()), (Kind::Request, "7"));
        assert_eq!(asked.call(), Some(("stock", &json!({"item": "gadget"}))));
        assert_eq!((asked.progress_token(), asked.made_for()), (Some(&json!("p")), Some("call_1")));
        let told = read(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        assert_eq!((told.kind, told.id.as_str()), (Kind::Notification, ""));
        let answered = read(json!({"jsonrpc": "2.0", "id": "a", "error": {"code": 1}}));
        assert_eq!((answered.kind, answered.id.as_str()), (Kind::Response, "\"a\""));
        assert_eq!(Message::read(b"{\"id\": 1, \"method\": \"eth_call\"}"), None, "another protocol");
        assert_eq!(Message::read(b"{\"jsonrpc\": \"2.0\""), None);
    }

    #[test]
    fn what_is_about_the_transport_does_not_count() {
        let asked = |meta: Value, version: &str| {
            let params = json!({"clientInfo": {"version": version}, "capabilities": {}, "_meta": meta});
            read(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})).subject()
        };
        assert_eq!(asked(json!({"traceparent": "00-1"}), "1"), asked(json!({}), "2"));
        let call = |arguments: Value| {
            let params = json!({"name": "now", "arguments": arguments});
            read(json!({"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": params})).subject()
        };
        assert_eq!(call(json!({})), call(Value::Null));
        assert_ne!(call(json!({})), call(json!({"zone": "UTC"})));
    }

    #[test]
    fn bodies_hold_one_message_several_or_a_stream() {
        let body = br#"[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","method":"m"},5]"#;
        assert_eq!(messages(body, false).len(), 2);
        let stream = b"event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"m\"}\n\ndata: x\n\n\
            data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\r\n\r\n";
        let kinds: Vec<Kind> = messages(stream, true).iter().map(|m| m.kind).collect();
        assert_eq!(kinds, [Kind::Notification, Kind::Response]);
    }

    #[test]
    fn agents_put_the_server_in_front_of_a_name() {
        for model in ["stock", "mcp__shop__stock", "shop.stock", "shop-stock"] {
            assert!(is_name_of(model, "stock"), "{model}");
        }
        assert!(!is_name_of("restock", "stock") && !is_name_of("stock", "shop_stock"));
    }
}
