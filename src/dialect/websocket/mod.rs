//! The protocols that are spoken over WebSockets: where a turn begins and where it ends.

mod gist;

pub use gist::Gist;

use crate::exchange::RequestHead;
use crate::exchange::messages::Message;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// What is spoken over a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI's Responses: the client asks, the server answers until it has said that it is done.
    Responses,
    /// OpenAI's Realtime: both speak when they like.
    Realtime,
    /// Gemini's Live API: both speak when they like.
    GeminiLive,
    /// Anything else.
    Unknown,
}

/// What is said of a message by its `type`.
#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// What of a message of Gemini's server says that a stretch of its speaking is over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Live {
    setup_complete: Option<IgnoredAny>,
    tool_call: Option<IgnoredAny>,
    server_content: Option<ServerContent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerContent {
    turn_complete: Option<bool>,
    generation_complete: Option<bool>,
    interrupted: Option<bool>,
}

impl Protocol {
    /// The protocol of a session, by the path of its opening.
    pub fn of(head: &RequestHead) -> Protocol {
        let path = head.path();
        if path.ends_with("/responses") {
            Protocol::Responses
        } else if path.ends_with("/realtime") {
            Protocol::Realtime
        } else if path.contains("GenerativeService.BidiGenerateContent") || path.contains("LlmBidiService") {
            Protocol::GeminiLive
        } else {
            Protocol::Unknown
        }
    }

    /// True where a turn is a question and its answer; else a turn goes until the client speaks after the server has.
    pub fn takes_turns(self) -> bool {
        self == Protocol::Responses
    }

    /// True for a client's message that wants an answer.
    pub fn asks(self, message: &Message) -> bool {
        !self.takes_turns() || kind(message).as_deref() == Some("response.create")
    }

    /// True for a server's message after which it says nothing more by itself.
    pub fn ends(self, message: &Message) -> bool {
        match self {
            Protocol::Responses => kind(message).is_some_and(|kind| {
                let over = ["response.completed", "response.failed", "response.incomplete"];
                over.contains(&kind.as_str()) || ["response.cancelled", "error"].contains(&kind.as_str())
            }),
            Protocol::Realtime => kind(message).is_some_and(|kind| {
                ["response.done", "session.created", "session.updated", "error"].contains(&kind.as_str())
            }),
            Protocol::GeminiLive => serde_json::from_slice::<Live>(message.payload()).is_ok_and(|said| {
                let over = said.server_content.is_some_and(|content| {
                    [content.turn_complete, content.generation_complete, content.interrupted]
                        .contains(&Some(true))
                });
                over || said.setup_complete.is_some() || said.tool_call.is_some()
            }),
            Protocol::Unknown => false,
        }
    }
}

/// What a client's message says, as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A stretch of audio, decoded.
    Audio(Vec<u8>),
    /// Anything else, without the ids that clients give their messages.
    Message(Vec<u8>),
}

/// Reads a client's message.
pub fn said(message: &Message) -> Said {
    let bytes = message.payload();
    let Ok(Value::Object(mut members)) = serde_json::from_slice(bytes) else {
        return Said::Message(bytes.to_vec());
    };
    if let Some(audio) = audio_of(&members) {
        return Said::Audio(audio);
    }
    let had = members.len();
    members.shift_remove("event_id");
    match members.len() == had {
        true => Said::Message(bytes.to_vec()),
        false => Said::Message(Value::Object(members).to_string().into_bytes()),
    }
}

/// What a string of base64 stands for.
fn decoded(coded: &Value) -> Option<Vec<u8>> {
    let coded = coded.as_str()?;
    STANDARD.decode(coded).or_else(|_| URL_SAFE.decode(coded)).ok()
}

/// The audio of a message that holds nothing else.
fn audio_of(members: &Map<String, Value>) -> Option<Vec<u8>> {
    if members.get("type").and_then(Value::as_str) == Some("input_audio_buffer.append") {
        return decoded(members.get("audio")?);
    }
    let input = members.get("realtimeInput").or(members.get("realtime_input"))?.as_object()?;
    let (key, value) = input.iter().next().filter(|_| input.len() == 1 && members.len() == 1)?;
    let is_audio = |blob: &Value| {
        let kind = blob.get("mimeType").or(blob.get("mime_type")).and_then(Value::as_str);
        kind.is_some_and(|kind| kind.starts_with("audio/"))
    };
    match key.as_str() {
        "audio" => decoded(value.get("data")?),
        "mediaChunks" | "media_chunks" => {
            let chunks = value.as_array()?;
            let parts = chunks.iter().map(|chunk| decoded(chunk.get("data")?).filter(|_| is_audio(chunk)));
            Some(parts.collect::<Option<Vec<_>>>()?.concat())
        }
        _ => None,
    }
}

/// The `type` of a message that is JSON.
fn kind(message: &Message) -> Option<String> {
    serde_json::from_slice::<Typed>(message.payload()).ok()?.kind
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::HeaderList;

    fn of(target: &str) -> Protocol {
        let headers = HeaderList(vec![("Upgrade".into(), "websocket".into())]);
        Protocol::of(&RequestHead { method: "GET".into(), target: target.into(), headers })
    }

    fn said(text: &str) -> Message {
        Message::Text(text.to_string().into())
    }

    #[test]
    fn protocols_are_known_by_their_paths() {
        assert_eq!(of("/v1/responses?beta=1"), Protocol::Responses);
        assert_eq!(of("/v1/realtime?model=gpt-realtime"), Protocol::Realtime);
        let live = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=k";
        assert_eq!(of(live), Protocol::GeminiLive);
        assert_eq!(of("/socket"), Protocol::Unknown);
    }

    #[test]
    fn audio_is_known_in_every_form() {
        let forms = [
            r#"{"type":"input_audio_buffer.append","audio":"aGk="}"#,
            r#"{"realtimeInput":{"audio":{"data":"aGk=","mimeType":"audio/pcm"}}}"#,
            r#"{"realtime_input":{"media_chunks":[{"data":"aA==","mime_type":"audio/pcm"},{"data":"aQ==","mime_type":"audio/pcm"}]}}"#,
        ];
        for form in forms {
            assert_eq!(super::said(&said(form)), Said::Audio(b"hi".to_vec()), "{form}");
        }
        let image = r#"{"realtimeInput":{"mediaChunks":[{"data":"aGk=","mimeType":"image/png"}]}}"#;
        assert_eq!(super::said(&said(image)), Said::Message(image.into()));
        let named = r#"{"type":"response.create","event_id":"e1"}"#;
        assert_eq!(super::said(&said(named)), Said::Message(br#"{"type":"response.create"}"#.to_vec()));
    }

    #[test]
    fn a_turn_ends_where_its_protocol_says() {
        let ends = |protocol: Protocol, text: &str| protocol.ends(&said(text));
        assert!(ends(Protocol::Responses, r#"{"response":{"type":"x"},"type":"response.completed"}"#));
        assert!(ends(Protocol::Responses, r#"{"type":"error","status":400}"#));
        assert!(!ends(Protocol::Responses, r#"{"type":"response.created","response":{"type":"error"}}"#));
        assert!(ends(Protocol::Realtime, r#"{"type":"response.done"}"#));
        assert!(ends(Protocol::GeminiLive, r#"{"serverContent":{"turnComplete":true}}"#));
        assert!(ends(Protocol::GeminiLive, r#"{"setupComplete":{}}"#));
        assert!(!ends(Protocol::GeminiLive, r#"{"serverContent":{"modelTurn":{}}}"#));
        for bad in ["", "[]", "{", "\"response.completed\""] {
            assert!(!ends(Protocol::Responses, bad), "{bad}");
        }
        assert!(Protocol::Responses.asks(&said(r#"{"type":"response.create"}"#)));
        assert!(!Protocol::Responses.asks(&said(r#"{"type":"response.processed"}"#)));
    }
}
