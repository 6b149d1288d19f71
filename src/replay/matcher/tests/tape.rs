//! A recording in memory, and short ways to write requests and answers.

use crate::dialect::conversation::{Block, Message, ModelAnswer, ModelRequest, Role};
use crate::exchange::{ExchangeId, SpanContext};
use crate::replay::matcher::{Ask, Decision, Matcher, Options, Recording};
use crate::run::Outline;
use crate::run::lanes::{LaneBuilder, ModelCall};
use crate::run::likeness::{self, Key};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// Stands for the bytes of a request.
pub fn written(request: &ModelRequest) -> String {
    format!("{request:?}")
}

/// Their key.
pub fn body_key(path: &str, request: &ModelRequest) -> Key {
    likeness::body_key(path, written(request).as_bytes())
}

#[derive(Clone)]
pub struct Taped {
    pub id: u32,
    pub started: u64,
    pub ended: u64,
    pub path: String,
    pub context: SpanContext,
    pub request: Arc<ModelRequest>,
    pub answer: Arc<ModelAnswer>,
}

#[derive(Clone, Default)]
pub struct Tape {
    pub outline: Outline,
    pub calls: HashMap<u32, Taped>,
}

impl Tape {
    pub fn new(calls: Vec<Taped>) -> Tape {
        let mut builder = LaneBuilder::default();
        for call in &calls {
            builder.add_call(&ModelCall {
                id: ExchangeId(call.id),
                started_us: call.started,
                ended_us: call.ended,
                path: &call.path,
                body_key: Some(body_key(&call.path, &call.request)),
                context: &call.context,
                request: &call.request,
                answer: Some(&call.answer),
                error: call.answer.error.clone(),
            });
        }
        Tape { outline: builder.finish(), calls: calls.into_iter().map(|c| (c.id, c)).collect() }
    }

    /// One exchange after the other: each begins when the one before has ended.
    pub fn in_sequence(calls: Vec<(ModelRequest, ModelAnswer)>) -> Tape {
        let taped = calls.into_iter().zip(1..).map(|((request, answer), id)| Taped {
            id,
            started: u64::from(id) * 10,
            ended: u64::from(id) * 10 + 5,
            path: "/v1/messages".into(),
            context: SpanContext::default(),
            request: Arc::new(request),
            answer: Arc::new(answer),
        });
        Tape::new(taped.collect())
    }

    pub fn matcher(&self, options: Options) -> Matcher<Tape> {
        Matcher::new(self.clone(), options).unwrap()
    }

    pub fn exchange(&self, lane: u32, turn: u32, attempt: u32) -> u32 {
        self.outline.lanes[lane as usize].turns[turn as usize].attempts[attempt as usize].0
    }

    fn last(&self, lane: u32, turn: u32) -> Result<&Taped, String> {
        let turn = self.outline.turn(lane, turn).ok_or("no such turn")?;
        self.calls.get(&turn.attempts.last().ok_or("no attempt")?.0).ok_or_else(|| "no such exchange".into())
    }
}

impl Recording for Tape {
    fn outline(&self) -> &Outline {
        &self.outline
    }
    fn request(&self, lane: u32, turn: u32) -> Result<Arc<ModelRequest>, String> {
        self.last(lane, turn).map(|c| Arc::clone(&c.request))
    }
    fn answer(&self, lane: u32, turn: u32) -> Result<Arc<ModelAnswer>, String> {
        self.last(lane, turn).map(|c| Arc::clone(&c.answer))
    }
    fn path(&self, lane: u32, turn: u32) -> Result<String, String> {
        self.last(lane, turn).map(|c| c.path.clone())
    }
    fn context(&self, lane: u32, turn: u32) -> Result<SpanContext, String> {
        self.last(lane, turn).map(|c| c.context.clone())
    }
}

pub fn text(text: &str) -> Block {
    Block::Text { text: text.into() }
}
pub fn call(id: &str, name: &str, args: Value) -> Block {
    Block::ToolCall { id: id.into(), name: name.into(), args }
}
pub fn result(id: &str, text: &str) -> Block {
    Block::ToolResult { call_id: id.into(), text: text.into(), other: vec![], is_error: false }
}
pub fn user(blocks: Vec<Block>) -> Message {
    Message { role: Role::User, blocks }
}
pub fn says(answer: &ModelAnswer) -> Message {
    Message { role: Role::Assistant, blocks: answer.blocks.clone() }
}
pub fn answer(blocks: Vec<Block>) -> ModelAnswer {
    ModelAnswer { blocks, whole: true, ..ModelAnswer::default() }
}
pub fn failure() -> ModelAnswer {
    ModelAnswer { error: Some("overloaded".into()), whole: true, ..ModelAnswer::default() }
}
pub fn request(messages: Vec<Message>) -> ModelRequest {
    let spans = messages.iter().map(|_| 0..0).collect();
    ModelRequest {
        model: "m".into(),
        stream: false,
        system: vec![text("You work.")],
        tools: vec![json!({"name": "bash", "description": "Runs a command."})],
        params: serde_json::Map::new(),
        messages,
        spans,
    }
}
pub fn ask(id: u32, request: ModelRequest) -> Ask {
    Ask {
        id: ExchangeId(id),
        dialect: "anthropic-messages",
        path: "/v1/messages".into(),
        context: SpanContext::default(),
        request,
    }
}
/// The one decision there is.
pub fn only(mut decisions: Vec<Decision>) -> Decision {
    assert_eq!(decisions.len(), 1, "{decisions:?}");
    decisions.remove(0)
}
