//! Answers in the vendor's form. Whose form it is, the name of the model tells.

use super::super::{render as converse, target};
use crate::dialect::anthropic::AnthropicMessages;
use crate::dialect::conversation::Block;
use crate::dialect::frames::{MessageFrames, pieces};
use crate::dialect::openai_chat::OpenAiChat;
use crate::dialect::{Dialect, RenderedAnswer, sse};
use crate::exchange::canon::text_of_value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What a vendor calls the text of an answer.
#[derive(Clone, Copy)]
enum Form {
    Anthropic,
    Nova,
    OpenAiChat,
    Llama,
    Titan,
    Mistral,
    Cohere,
}

/// Vendors by what is in the name of a model. Of a profile without a telling name Anthropic's is taken.
const FORMS: [(&str, Form); 9] = [
    ("amazon.nova", Form::Nova),
    ("amazon.titan", Form::Titan),
    ("meta.llama", Form::Llama),
    ("mistral.mistral-7b", Form::Mistral),
    ("mistral.mixtral", Form::Mistral),
    ("cohere.command", Form::Cohere),
    ("mistral.", Form::OpenAiChat),
    ("openai.", Form::OpenAiChat),
    ("deepseek.", Form::OpenAiChat),
];

pub(super) fn answer(
    target: &str,
    blocks: &[Block],
    stop: Option<&str>,
    model: &str,
    stream: bool,
) -> RenderedAnswer {
    let (named, _) = target::model_and_stream(target);
    let form = FORMS.iter().find(|(name, _)| named.contains(name)).map_or(Form::Anthropic, |(_, form)| *form);
    match (form, stream) {
        (Form::Anthropic, _) => by(&AnthropicMessages, target, blocks, stop, model, stream),
        (Form::OpenAiChat, _) => by(&OpenAiChat, target, blocks, stop, model, stream),
        (Form::Nova, false) => converse::answer(blocks, stop, false),
        (Form::Nova, true) => {
            let mut inner = Vec::new();
            converse::events(blocks, stop, &mut |name, data| inner.push(json!({ name: data })));
            chunks(inner)
        }
        (form, stream) => prompted(form, &text_of(blocks), stop, stream),
    }
}

/// An answer as another dialect writes it; its events go into chunks.
fn by(
    dialect: &dyn Dialect,
    target: &str,
    blocks: &[Block],
    stop: Option<&str>,
    model: &str,
    stream: bool,
) -> RenderedAnswer {
    let rendered = dialect.render_answer(target, blocks, stop, model, stream);
    if !stream {
        return RenderedAnswer { content_type: "application/json", ..rendered };
    }
    let events = sse::events(&rendered.body).into_iter();
    chunks(events.filter_map(|event| serde_json::from_str(&event.data).ok()).collect())
}

/// Events of the vendor as the service wraps them; the last one tells what was measured.
fn chunks(mut events: Vec<Value>) -> RenderedAnswer {
    if let Some(last) = events.last_mut().and_then(Value::as_object_mut) {
        // Nothing was counted: the answer was written by hand.
        let metrics = json!({"inputTokenCount": 0, "outputTokenCount": 0, "invocationLatency": 0, "firstByteLatency": 0});
        last.insert("amazon-bedrock-invocationMetrics".into(), metrics);
    }
    let mut frames = MessageFrames::default();
    for event in events {
        frames.event("chunk", &json!({"bytes": STANDARD.encode(text_of_value(&event))}));
    }
    frames.into_answer()
}

fn text_of(blocks: &[Block]) -> String {
    let texts = blocks.iter().filter_map(|b| match b {
        Block::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// An answer to a prompt.
fn prompted(form: Form, text: &str, stop: Option<&str>, stream: bool) -> RenderedAnswer {
    if !stream {
        return RenderedAnswer::whole(
            "application/json",
            text_of_value(&piece(form, text, Some(stop), false)),
        );
    }
    let mut events: Vec<Value> = pieces(text).map(|said| piece(form, said, None, true)).collect();
    events.push(piece(form, "", Some(stop), true));
    chunks(events)
}

/// A piece of an answer, with `stop` in the last one.
fn piece(form: Form, text: &str, stop: Option<Option<&str>>, stream: bool) -> Value {
    let reason = |usual: &str| stop.map(|said| said.unwrap_or(usual).to_string());
    match form {
        Form::Titan if stream => {
            json!({"outputText": text, "index": 0, "completionReason": reason("FINISH")})
        }
        Form::Titan => json!({"inputTextTokenCount": 0, "results": [
            {"tokenCount": 0, "outputText": text, "completionReason": reason("FINISH")}
        ]}),
        Form::Mistral => json!({"outputs": [{"text": text, "stop_reason": reason("stop")}]}),
        Form::Cohere => {
            json!({"generations": [{"text": text, "finish_reason": reason("COMPLETE")}], "text": text,
                   "finish_reason": reason("COMPLETE"), "is_finished": stop.is_some()})
        }
        _ => json!({"generation": text, "stop_reason": reason("stop")}),
    }
}
