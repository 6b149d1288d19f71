//! How an agent writes its conversation into a request.

use super::program::{Habits, Ids, Program};
use super::tape::{request, result, text, user};
use crate::dialect::conversation::{Block, Message, ModelAnswer, ModelRequest, Role};
use serde_json::Value;

/// What the model asks for, and how many calls that is: tool and arguments.
pub type Calls = Vec<(String, Value)>;

/// A conversation as the agent holds it.
pub struct Talk<'a> {
    program: &'a Program,
    habits: &'a Habits,
    system: String,
    pub prompt: String,
    messages: Vec<Message>,
    /// How long the history was after each round of results.
    after: Vec<usize>,
    /// Ids of the calls that were asked for last.
    pending: Vec<String>,
}

impl<'a> Talk<'a> {
    pub fn new(program: &'a Program, habits: &'a Habits, system: String, prompt: String) -> Talk<'a> {
        let messages = vec![user(vec![text(&prompt)])];
        Talk { program, habits, system, prompt, messages, after: vec![], pending: vec![] }
    }

    /// Forgets the history, and begins with another first message.
    pub fn begin(&mut self, first: String) {
        self.messages = vec![user(vec![text(&first)])];
        self.after.clear();
    }

    /// A request beside the conversation.
    pub fn aside(&self, system: &str, first: String) -> ModelRequest {
        let mut aside = request(vec![user(vec![text(&first)])]);
        aside.system = if system.is_empty() { vec![] } else { vec![text(system)] };
        aside.tools.clear();
        aside
    }

    /// A request inside it.
    pub fn request(&self) -> ModelRequest {
        let mut inside = request(self.written());
        inside.system = vec![text(&self.system)];
        inside
    }

    /// A request inside it with another question at the end.
    pub fn asking(&self, question: &str) -> ModelRequest {
        let mut asking = self.request();
        add_text(&mut asking.messages, question);
        asking.spans = asking.messages.iter().map(|_| 0..0).collect();
        asking
    }

    /// Takes in an answer.
    pub fn take(&mut self, answer: &ModelAnswer) -> Calls {
        self.messages.push(Message { role: Role::Assistant, blocks: answer.blocks.clone() });
        self.pending = answer.tool_calls().map(|c| c.0.to_string()).collect();
        if self.program.ids == Ids::Absent { written_calls(&answer.text()) } else { named_calls(answer) }
    }

    /// Takes in the results, each with the number of its call.
    pub fn results(&mut self, came: Vec<(usize, String)>) {
        if self.program.ids == Ids::Absent {
            let mut texts: Vec<String> = came.into_iter().map(|(_, t)| format!("RESULT: {t}")).collect();
            if self.habits.joins_results {
                texts = vec![texts.join("\n")];
            }
            self.messages.push(user(texts.iter().map(|t| text(t)).collect()));
        } else {
            let blocks = came.iter().map(|(call, text)| result(&self.pending[*call], text));
            if self.program.tool_messages {
                self.messages.extend(blocks.map(|b| Message { role: Role::Tool, blocks: vec![b] }));
            } else {
                self.messages.push(user(blocks.collect()));
            }
        }
        self.after.push(self.messages.len());
    }

    /// Goes back by some rounds of results; beyond the first the prompt is asked once more as it was.
    pub fn rewind(&mut self, back: u32) {
        match self.after.len().checked_sub(1 + back as usize).and_then(|at| self.after.get(at).copied()) {
            Some(length) => {
                self.messages.truncate(length);
                self.after.retain(|a| *a <= length);
                add_text(&mut self.messages, "No. Try another way.");
            }
            None => self.begin(self.prompt.clone()),
        }
    }

    /// All of it as text.
    pub fn as_text(&self) -> String {
        let line = |block: &Block| match block {
            Block::Text { text } | Block::ToolResult { text, .. } => text.clone(),
            Block::ToolCall { name, args, .. } => format!("{name} {args}"),
            Block::Reasoning { .. } | Block::Other { .. } => String::new(),
        };
        let lines: Vec<String> = self.messages.iter().flat_map(|m| &m.blocks).map(line).collect();
        lines.join("\n")
    }

    fn written(&self) -> Vec<Message> {
        let last = self.messages.len() - 1;
        // The results of the last two rounds are kept.
        let old = self.after.len().checked_sub(3).map_or(0, |at| self.after[at]);
        let mut written = self.messages.clone();
        for (i, message) in written.iter_mut().enumerate() {
            if self.habits.drops_reasoning && i + 1 < last {
                message.blocks.retain(|b| !matches!(b, Block::Reasoning { .. }));
            }
            for block in message.blocks.iter_mut().filter(|_| self.habits.clears && i < old) {
                if let Block::ToolResult { text, .. } = block {
                    *text = "[cleared]".into();
                }
            }
        }
        if self.habits.reminds {
            let reminder = format!("<system-reminder>Message {last}.</system-reminder>");
            add_text(&mut written, &reminder);
        }
        written
    }
}

/// Adds a text to the user's last message, or a message.
fn add_text(messages: &mut Vec<Message>, more: &str) {
    match messages.last_mut() {
        Some(last) if last.role == Role::User => last.blocks.push(text(more)),
        _ => messages.push(user(vec![text(more)])),
    }
}

fn named_calls(answer: &ModelAnswer) -> Calls {
    answer.tool_calls().map(|(_, name, args)| (name.to_string(), args.clone())).collect()
}

/// A call as plain text.
pub fn write_call(name: &str, args: &Value) -> String {
    format!("\nCALL {name} {args}")
}

fn written_calls(said: &str) -> Calls {
    let call = |line: &str| {
        let (name, args) = line.strip_prefix("CALL ")?.split_once(' ')?;
        Some((name.to_string(), serde_json::from_str(args).ok()?))
    };
    said.lines().filter_map(call).collect()
}
