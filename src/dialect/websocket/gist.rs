//! What is said in a turn of a session, in one line for each side.

use super::{Protocol, decoded};
use crate::dialect::summary::{call_line, one_line, quote, shorten};
use crate::exchange::canon::text_of_value;
use crate::exchange::messages::{Closing, Message};
use serde_json::Value;

/// Characters of one call.
const CALL: usize = 80;

/// Reads the turns of a session, in order: how long audio is depends on what was agreed before.
pub struct Gist {
    protocol: Protocol,
    /// Bytes of audio a second, of the client and of the server.
    rates: [f64; 2],
}

/// One side of a turn, taken apart.
#[derive(Default)]
struct Side {
    /// What it does, in order.
    does: Vec<String>,
    /// Text that comes in pieces, its own and what it hears.
    text: String,
    heard: String,
    /// Seconds of audio.
    seconds: f64,
    /// Messages that say nothing of their own.
    others: u32,
}

impl Side {
    fn does(&mut self, what: String) {
        self.end_text();
        if self.does.last() != Some(&what) {
            self.does.push(what);
        }
    }

    fn end_text(&mut self) {
        for (text, heard) in
            [(std::mem::take(&mut self.heard), true), (std::mem::take(&mut self.text), false)]
        {
            if !text.trim().is_empty() {
                let said = quote(&text, usize::MAX);
                self.does.push(if heard { format!("hears {said}") } else { said });
            }
        }
    }

    fn line(mut self, width: usize) -> String {
        self.end_text();
        if self.seconds > 0.0 {
            self.does.insert(0, format!("{:.1} s audio", self.seconds));
        }
        if self.does.is_empty() && self.others > 0 {
            let s = if self.others == 1 { "" } else { "s" };
            self.does.push(format!("{} message{s}", self.others));
        }
        shorten(&one_line(&self.does.join(" + ")), width)
    }
}

impl Gist {
    /// Of a session in this protocol.
    pub fn new(protocol: Protocol) -> Gist {
        // 16 bits a sample; 16,000 or 24,000 of them a second, unless something else is agreed.
        let rates = if protocol == Protocol::GeminiLive { [32e3, 48e3] } else { [48e3, 48e3] };
        Gist { protocol, rates }
    }

    /// What the client says in a turn; empty when it says nothing.
    pub fn of_client(&mut self, messages: &[Message], width: usize) -> String {
        self.side(messages, 0, width)
    }

    /// What the server says in a turn; empty when it says nothing.
    pub fn of_server(&mut self, messages: &[Message], width: usize) -> String {
        self.side(messages, 1, width)
    }

    fn side(&mut self, messages: &[Message], who: usize, width: usize) -> String {
        let mut side = Side::default();
        for message in messages {
            if let Message::Close(closing) = message {
                side.does(closes(closing));
                continue;
            }
            let value: Value = serde_json::from_slice(message.payload()).unwrap_or_default();
            match self.protocol {
                Protocol::Realtime => self.realtime(&value, who, &mut side),
                Protocol::GeminiLive => self.gemini(&value, who, &mut side),
                Protocol::Responses | Protocol::Unknown => side.others += 1,
            }
        }
        side.line(width)
    }

    fn seconds(&self, who: usize, audio: Option<&Value>) -> f64 {
        let bytes = audio.and_then(decoded).map_or(0, |bytes| bytes.len());
        bytes as f64 / self.rates.get(who).copied().unwrap_or(48e3)
    }

    fn realtime(&mut self, event: &Value, who: usize, side: &mut Side) {
        let word = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
        match word("type") {
            "session.update" | "session.created" | "session.updated" => {
                self.agree(event.get("session"));
                side.does(if who == 0 {
                    "sets up the session".into()
                } else {
                    "the session is set up".into()
                });
            }
            "input_audio_buffer.append" => side.seconds += self.seconds(0, event.get("audio")),
            "input_audio_buffer.commit" => {}
            "conversation.item.create" => item(event.get("item"), side),
            "response.create" => side.does("asks for an answer".into()),
            "response.cancel" => side.does("interrupts".into()),
            "response.output_audio.delta" | "response.audio.delta" => {
                side.seconds += self.seconds(1, event.get("delta"));
            }
            "response.output_audio_transcript.done" | "response.audio_transcript.done" => {
                side.does(quote(word("transcript"), usize::MAX));
            }
            "conversation.item.input_audio_transcription.completed" => {
                side.does(format!("hears {}", quote(word("transcript"), usize::MAX)));
            }
            "response.output_text.done" | "response.text.done" => {
                side.does(quote(word("text"), usize::MAX));
            }
            "response.output_item.done" if event["item"]["type"] == "function_call" => {
                let args = event["item"]["arguments"].as_str().unwrap_or_default();
                let args = serde_json::from_str(args).unwrap_or_else(|_| Value::from(args));
                let name = event["item"]["name"].as_str().unwrap_or("?");
                side.does(format!("calls {}", call_line(name, &args, CALL)));
            }
            "error" => {
                let said = event["error"]["message"].as_str().unwrap_or("no reason given");
                side.does(format!("error: {said}"));
            }
            _ => side.others += 1,
        }
    }

    /// What audio is like from here on.
    fn agree(&mut self, session: Option<&Value>) {
        let Some(session) = session else { return };
        for (who, side) in ["input", "output"].into_iter().enumerate() {
            let old = session.get(format!("{side}_audio_format"));
            let format = session.pointer(&format!("/audio/{side}/format"));
            let name = format.and_then(|f| f.get("type")).or(old).and_then(Value::as_str).unwrap_or_default();
            let rate = format.and_then(|f| f.get("rate")).and_then(Value::as_f64).unwrap_or(24e3);
            let bytes = match name {
                "audio/pcmu" | "audio/pcma" | "g711_ulaw" | "g711_alaw" => 8e3,
                "audio/pcm" | "pcm16" => rate * 2.0,
                _ => continue,
            };
            if let Some(place) = self.rates.get_mut(who).filter(|_| bytes > 0.0) {
                *place = bytes;
            }
        }
    }

    fn gemini(&mut self, message: &Value, who: usize, side: &mut Side) {
        let Some(members) = message.as_object() else {
            side.others += 1;
            return;
        };
        let state = |side: &Side| (side.does.len(), side.text.len(), side.heard.len(), side.seconds);
        let before = state(side);
        for (key, value) in members {
            match key.as_str() {
                "setup" => side.does("sets up the session".into()),
                "setupComplete" => side.does("the session is set up".into()),
                "clientContent" | "client_content" => {
                    for turn in list(value.get("turns")) {
                        self.parts(turn, who, side);
                    }
                }
                "realtimeInput" | "realtime_input" => {
                    let text = value.get("text").and_then(Value::as_str);
                    side.text.push_str(text.unwrap_or_default());
                    let chunks = value.get("mediaChunks").or(value.get("media_chunks"));
                    for blob in value.get("audio").into_iter().chain(list(chunks)) {
                        self.blob(blob, who, side);
                    }
                }
                "toolResponse" | "tool_response" => {
                    let results = value.get("functionResponses").or(value.get("function_responses"));
                    for result in list(results) {
                        let name = result.get("name").and_then(Value::as_str).unwrap_or("?");
                        let said = text_of_value(result.get("response").unwrap_or(&Value::Null));
                        side.does(format!("result of {name}: {}", shorten(&said, CALL)));
                    }
                }
                "serverContent" => {
                    if let Some(turn) = value.get("modelTurn") {
                        self.parts(turn, who, side);
                    }
                    let spoken = value.pointer("/outputTranscription/text").and_then(Value::as_str);
                    side.text.push_str(spoken.unwrap_or_default());
                    let heard = value.pointer("/inputTranscription/text").and_then(Value::as_str);
                    side.heard.push_str(heard.unwrap_or_default());
                    if value.get("interrupted") == Some(&Value::Bool(true)) {
                        side.does("is interrupted".into());
                    }
                }
                "toolCall" => {
                    for call in list(value.get("functionCalls")) {
                        let name = call.get("name").and_then(Value::as_str).unwrap_or("?");
                        let args = call.get("args").unwrap_or(&Value::Null);
                        side.does(format!("calls {}", call_line(name, args, CALL)));
                    }
                }
                _ => {}
            }
        }
        if before == state(side) {
            side.others += 1;
        }
    }

    fn parts(&self, turn: &Value, who: usize, side: &mut Side) {
        for part in list(turn.get("parts")) {
            let thought = part.get("thought") == Some(&Value::Bool(true));
            if let Some(text) = part.get("text").and_then(Value::as_str).filter(|_| !thought) {
                side.text.push_str(text);
            }
            if let Some(blob) = part.get("inlineData").or(part.get("inline_data")) {
                self.blob(blob, who, side);
            }
        }
    }

    fn blob(&self, blob: &Value, who: usize, side: &mut Side) {
        let kind = blob.get("mimeType").or(blob.get("mime_type")).and_then(Value::as_str).unwrap_or_default();
        if !kind.starts_with("audio/") {
            return side.does(if kind.is_empty() { "data".into() } else { kind.to_string() });
        }
        let rate = kind.split_once("rate=").and_then(|(_, rate)| rate.parse::<f64>().ok());
        let agreed = self.rates.get(who).copied().unwrap_or(48e3);
        let second = rate.filter(|rate| *rate > 0.0).map_or(agreed, |rate| rate * 2.0);
        let bytes = blob.get("data").and_then(decoded).map_or(0, |bytes| bytes.len());
        side.seconds += bytes as f64 / second;
    }
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// What is put into a conversation.
fn item(item: Option<&Value>, side: &mut Side) {
    let Some(item) = item else { return };
    if let Some(output) = item.get("output").and_then(Value::as_str) {
        return side.does(format!("result: {}", shorten(output, CALL)));
    }
    for part in list(item.get("content")) {
        match part.get("text").or(part.get("transcript")).and_then(Value::as_str) {
            Some(text) => side.does(quote(text, usize::MAX)),
            None => side.does(part.get("type").and_then(Value::as_str).unwrap_or("content").to_string()),
        }
    }
}

fn closes(closing: &Closing) -> String {
    let who = if closing.by_agent { "the agent" } else { "the upstream" };
    let how = match (closing.code, closing.reason.as_str()) {
        (None, _) => "breaks off".to_string(),
        (Some(code), "") => format!("closes ({code})"),
        (Some(code), why) => format!("closes ({code} {why})"),
    };
    format!("{who} {how}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    fn messages(values: &[Value]) -> Vec<Message> {
        values.iter().map(|value| Message::Text(value.to_string().into())).collect()
    }

    fn audio(bytes: usize) -> String {
        STANDARD.encode(vec![0; bytes])
    }

    #[test]
    fn realtime_turns_are_told() {
        let mut gist = Gist::new(Protocol::Realtime);
        let input = messages(&[
            json!({"type": "input_audio_buffer.append", "audio": audio(48_000)}),
            json!({"type": "input_audio_buffer.append", "audio": audio(9_600)}),
            json!({"type": "response.create"}),
        ]);
        assert_eq!(gist.of_client(&input, 80), "1.2 s audio + asks for an answer");
        let item = json!({"type": "function_call", "name": "look", "arguments": "{\"item\":\"desk\"}"});
        let output = messages(&[
            json!({"type": "response.created"}),
            json!({"type": "response.output_audio.delta", "delta": audio(24_000)}),
            json!({"type": "response.output_audio_transcript.done", "transcript": "Three\nare left."}),
            json!({"type": "response.output_item.done", "item": item}),
        ]);
        assert_eq!(
            gist.of_server(&output, 80),
            r#"0.5 s audio + "Three are left." + calls look(item="desk")"#
        );
        let format = json!({"audio": {"input": {"format": {"type": "audio/pcmu"}}}});
        gist.of_server(&messages(&[json!({"type": "session.updated", "session": format})]), 80);
        assert_eq!(gist.of_client(&input[1..2], 80), "1.2 s audio");
    }

    #[test]
    fn gemini_turns_are_told() {
        let mut gist = Gist::new(Protocol::GeminiLive);
        let blob = json!({"data": audio(16_000), "mimeType": "audio/pcm;rate=16000"});
        let input = messages(&[
            json!({"setup": {"model": "m"}}),
            json!({"realtimeInput": {"audio": blob}}),
            json!({"clientContent": {"turns": [{"parts": [{"text": "hi"}]}], "turnComplete": true}}),
        ]);
        assert_eq!(gist.of_client(&input, 80), r#"0.5 s audio + sets up the session + "hi""#);
        let part = json!({"inlineData": {"data": audio(48_000), "mimeType": "audio/pcm;rate=24000"}});
        let output = messages(&[
            json!({"serverContent": {"modelTurn": {"parts": [part]}}}),
            json!({"serverContent": {"inputTranscription": {"text": "hi "}}}),
            json!({"serverContent": {"outputTranscription": {"text": "Hel"}, "inputTranscription": {"text": "you"}}}),
            json!({"serverContent": {"outputTranscription": {"text": "lo"}}}),
            json!({"serverContent": {"turnComplete": true}}),
            json!({"toolCall": {"functionCalls": [{"name": "look", "args": {"item": "desk"}}]}}),
        ]);
        assert_eq!(
            gist.of_server(&output, 80),
            r#"1.0 s audio + hears "hi you" + "Hello" + calls look(item="desk")"#
        );
    }

    #[test]
    fn ends_and_unknown_messages_are_told() {
        let mut gist = Gist::new(Protocol::Unknown);
        let closing =
            |by_agent, code, reason: &str| Message::Close(Closing { by_agent, code, reason: reason.into() });
        let said = [Message::Binary(vec![0].into()), Message::Text("x".into())];
        assert_eq!(gist.of_server(&said, 80), "2 messages");
        assert_eq!(gist.of_server(&[closing(true, Some(1000), "")], 80), "the agent closes (1000)");
        assert_eq!(
            gist.of_server(&[closing(false, Some(1011), "tired")], 80),
            "the upstream closes (1011 tired)"
        );
        assert_eq!(gist.of_server(&[closing(false, None, "")], 80), "the upstream breaks off");
    }
}
