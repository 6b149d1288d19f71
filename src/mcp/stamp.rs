//! Today's ids in recorded messages: of the request that a response answers, of the progress that is told.

use super::message::{Kind, Message};
use crate::dialect::sse;
use crate::exchange::json::{self, Node};
use std::ops::Range;

/// The request of today that a recorded answer goes to, and the one that it answered.
#[derive(Debug, Clone)]
pub struct Stamp<'a> {
    /// As recorded.
    pub recorded: &'a Message,
    /// As asked now.
    pub live: &'a Message,
}

impl Stamp<'_> {
    /// A message of the answer, for the request of today. Nothing else in it changes.
    pub fn message(&self, bytes: &[u8]) -> Vec<u8> {
        let Ok(root) = json::parse(bytes) else { return bytes.to_vec() };
        let mut places = Vec::new();
        self.places(&root, bytes, &mut places);
        spliced(bytes, places)
    }

    /// The body of an answer: a message, or an event stream of messages.
    pub fn body(&self, body: &[u8], is_event_stream: bool) -> Vec<u8> {
        if !is_event_stream {
            return self.message(body);
        }
        let mut places = Vec::new();
        for event in sse::events(body) {
            // A message on several lines is as good as no message: no server sends one.
            let [span] = event.data_spans.as_slice() else { continue };
            let Some(data) = body.get(span.clone()) else { continue };
            let Ok(root) = json::parse(data) else { continue };
            let mut own = Vec::new();
            self.places(&root, data, &mut own);
            places
                .extend(own.into_iter().map(|(at, text)| (at.start + span.start..at.end + span.start, text)));
        }
        spliced(body, places)
    }

    fn places(&self, root: &Node<'_>, bytes: &[u8], places: &mut Vec<(Range<usize>, String)>) {
        let text = |node: &Node<'_>| bytes.get(node.span.clone()).map(String::from_utf8_lossy);
        let is = |node: &Node<'_>, written: &str| text(node).is_some_and(|text| text == written);
        // A live notification has no id that anything could be put under.
        let has_id = !self.live.id.is_empty();
        if root.get("method").is_none()
            && has_id
            && let Some(id) = root.get("id").filter(|id| is(id, &self.recorded.id))
        {
            places.push((id.span.clone(), self.live.id.clone()));
        }
        let Some(params) = root.get("params") else { return };
        if let (Some(then), Some(now)) = (self.recorded.progress_token(), self.live.progress_token())
            && let Some(token) = params.get("progressToken").filter(|token| token.to_value() == *then)
        {
            places.push((token.span.clone(), now.to_string()));
        }
        // What a subscription sends says which request began it.
        let meta = params.get("_meta").map(Node::members).unwrap_or_default();
        for member in meta.iter().filter(|m| m.key.ends_with("subscriptionId")) {
            if has_id && is(&member.value, &self.recorded.id) {
                places.push((member.value.span.clone(), self.live.id.clone()));
            }
        }
    }
}

fn spliced(bytes: &[u8], mut places: Vec<(Range<usize>, String)>) -> Vec<u8> {
    places.sort_by_key(|(range, _)| range.start);
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let mut done = 0;
    for (range, text) in places {
        out.extend_from_slice(bytes.get(done..range.start).unwrap_or_default());
        out.extend_from_slice(text.as_bytes());
        done = range.end;
    }
    out.extend_from_slice(bytes.get(done..).unwrap_or_default());
    out
}

/// The error that answers a request which cannot be answered.
pub fn refusal(asked: &Message, why: &str) -> Vec<u8> {
    let id = if asked.kind == Kind::Request { asked.id.as_str() } else { "null" };
    let why = serde_json::Value::String(why.to_string());
    // -32000 to -32099 are the implementation's own.
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32000,"message":{why}}}}}"#).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_those_of_today_and_nothing_else_changes() {
        let request = |id: &str, token: &str| {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"_meta":{{"progressToken":{token}}}}}}}"#
            );
            Message::read(text.as_bytes()).unwrap()
        };
        let (recorded, live) = (request("3", "3"), request("\"x\"", "12"));
        let stamp = Stamp { recorded: &recorded, live: &live };
        let told = |text: &str| String::from_utf8(stamp.message(text.as_bytes())).unwrap();
        assert_eq!(
            told(r#"{"id": 3, "jsonrpc":"2.0", "result":{"id":3}}"#),
            r#"{"id": "x", "jsonrpc":"2.0", "result":{"id":3}}"#
        );
        let sampling = r#"{"jsonrpc":"2.0","id":3,"method":"sampling/createMessage","params":{}}"#;
        assert_eq!(told(sampling), sampling, "the server's own request");
        let body = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":3}}\n\n\
            id: 5\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}\r\n\r\n";
        let told = String::from_utf8(stamp.body(body.as_bytes(), true)).unwrap();
        let want =
            body.replace("\"progressToken\":3", "\"progressToken\":12").replace("\"id\":3", "\"id\":\"x\"");
        assert_eq!(told, want);
    }

    #[test]
    fn nothing_is_answered_under_no_id() {
        let recorded = Message::read(br#"{"jsonrpc":"2.0","id":3,"method":"m"}"#).unwrap();
        let live = Message::read(br#"{"jsonrpc":"2.0","method":"m"}"#).unwrap();
        let stamp = Stamp { recorded: &recorded, live: &live };
        for told in [
            r#"{"jsonrpc":"2.0","id":3,"result":{}}"#,
            r#"{"jsonrpc":"2.0","method":"n","params":{"_meta":{"io.x/subscriptionId":3}}}"#,
        ] {
            assert_eq!(stamp.message(told.as_bytes()), told.as_bytes());
        }
    }

    #[test]
    fn a_refusal_is_a_message_with_the_id_that_was_asked_under() {
        let asked = Message::read(br#"{"jsonrpc":"2.0","id":"a","method":"m"}"#).unwrap();
        let told = Message::read(&refusal(&asked, "no \"such\" call")).unwrap();
        assert_eq!((told.kind, told.id.as_str()), (Kind::Response, "\"a\""));
        assert_eq!(told.content["message"], "no \"such\" call");
    }
}
