//! Two requests, message by message: what the model saw more, less or differently.

use super::align::align_loosely;
use super::excerpt;
use super::field::{self, FieldChange};
use super::tree::Tree;
use super::worlds::{Side, Verdict, Worlds};
use crate::dialect::conversation::{Block, Message, ModelRequest, Role};
use serde::Serialize;
use serde_json::Value;

/// Characters shown of content that has no type.
const OTHER: usize = 60;

/// How the context of two model calls differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ContextDiff {
    /// The interfaces that are spoken (`openai-chat`, `anthropic-messages`), when they differ. How a request is built is
    /// then no difference: its parameters, and how its tools are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<(String, String)>,
    /// Names of the models, when they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<(String, String)>,
    /// Instructions that stand outside the messages, when they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<(String, String)>,
    /// True when these differ in ids, clocks and the like only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub system_varies: bool,
    /// Parameters that differ (temperature, max_tokens, …).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<FieldChange>,
    /// Tools that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolChange>,
    /// The messages, in order; unchanged ones are counted.
    pub messages: Vec<MessageChange>,
}

/// A tool definition that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum ToolChange {
    /// Only the right request offers it.
    Added {
        /// Name of the tool.
        tool: String,
    },
    /// Only the left request offers it.
    Dropped {
        /// Name of the tool.
        tool: String,
    },
    /// Both offer it, described differently.
    Changed {
        /// Name of the tool.
        tool: String,
        /// What differs.
        fields: Vec<FieldChange>,
    },
}

impl ToolChange {
    /// True when nothing differs but ids, clocks and the like.
    pub fn varies(&self) -> bool {
        matches!(self, ToolChange::Changed { fields, .. } if fields.iter().all(|f| f.varies))
    }
}

/// A message, or several that did not change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum MessageChange {
    /// The same on both sides.
    Unchanged {
        /// How many messages.
        count: usize,
        /// Their length in characters.
        chars: usize,
    },
    /// Only the right request has it.
    Added {
        /// Its index there.
        index: usize,
        /// Who says it: `system`, `user`, `assistant`, `tool`.
        who: &'static str,
        /// What it says.
        text: String,
    },
    /// Only the left request has it.
    Dropped {
        /// Its index there.
        index: usize,
        /// Who says it.
        who: &'static str,
        /// What it says.
        text: String,
    },
    /// Both have it, with another content.
    Changed {
        /// Its index on the left.
        left: usize,
        /// Its index on the right.
        right: usize,
        /// Who says it.
        who: &'static str,
        /// What differs.
        fields: Vec<FieldChange>,
    },
    /// Both have it, but one side has only a part of it.
    Truncated {
        /// Its index on the left.
        left: usize,
        /// Its index on the right.
        right: usize,
        /// Who says it.
        who: &'static str,
        /// What it says on the left.
        before: String,
        /// What it says on the right.
        after: String,
    },
}

impl ContextDiff {
    /// True when nothing differs.
    pub fn is_empty(&self) -> bool {
        self.is_volatile_only()
            && self.system.is_none()
            && self.tools.is_empty()
            && self.params.is_empty()
            && self.messages.iter().all(|m| match m {
                MessageChange::Changed { fields, .. } => fields.is_empty(),
                _ => true,
            })
    }

    /// The fields that differ in parameters and messages: `messages[1].text`.
    pub fn into_fields(self) -> Vec<FieldChange> {
        let mut all = self.params;
        for message in self.messages {
            if let MessageChange::Changed { left, fields, .. } = message {
                all.extend(fields.into_iter().map(|mut c| {
                    let dot = if c.path.is_empty() || c.path.starts_with('[') { "" } else { "." };
                    c.path = format!("messages[{left}]{dot}{}", c.path);
                    c
                }));
            }
        }
        all
    }

    /// True when nothing differs but ids, clocks and the like.
    pub fn is_volatile_only(&self) -> bool {
        self.api.is_none()
            && self.model.is_none()
            && (self.system.is_none() || self.system_varies)
            && self.tools.iter().all(ToolChange::varies)
            && self.params.iter().all(|p| p.varies)
            && self.messages.iter().all(|m| match m {
                MessageChange::Unchanged { .. } => true,
                MessageChange::Changed { fields, .. } => fields.iter().all(|f| f.varies),
                _ => false,
            })
    }
}

/// Compares two requests of one run.
pub fn context(left: &ModelRequest, right: &ModelRequest) -> ContextDiff {
    context_in(&Worlds::unknown(), left, right)
}

/// Compares two requests of two runs.
pub(super) fn context_in(worlds: &Worlds, left: &ModelRequest, right: &ModelRequest) -> ContextDiff {
    let system = (say(&left.system), say(&right.system));
    let system_is = worlds.text(&system.0, &system.1);
    let params = |r: &ModelRequest| Tree::from(&Value::Object(r.params.clone()));
    ContextDiff {
        api: None,
        model: (left.model != right.model).then(|| (left.model.clone(), right.model.clone())),
        system: (system_is != Verdict::Same).then_some(system),
        system_varies: system_is == Verdict::Varies,
        params: field::trees_in(worlds, &params(left), &params(right)),
        tools: tools(worlds, &left.tools, &right.tools),
        messages: messages(worlds, &left.messages, &right.messages),
    }
}

/// Compares two requests that were made over different interfaces, by what every interface can say.
pub(super) fn context_across(
    worlds: &Worlds,
    (left, right): (&ModelRequest, &ModelRequest),
    (from, to): (&str, &str),
) -> ContextDiff {
    let plain = |request: &ModelRequest| {
        let is_system = |message: &Message| message.role == Role::System;
        let mut plain = request.clone();
        let instructions = plain.messages.iter().filter(|m| is_system(m)).flat_map(|m| m.blocks.clone());
        plain.system.extend(instructions.collect::<Vec<_>>());
        plain.messages.retain(|message| !is_system(message));
        plain.tools = plain.tools.iter().map(|tool| serde_json::json!({"name": tool_name(tool)})).collect();
        plain.params.clear();
        plain
    };
    let diff = context_in(worlds, &plain(left), &plain(right));
    ContextDiff { api: Some((from.to_string(), to.to_string())), ..diff }
}

fn tools(worlds: &Worlds, left: &[Value], right: &[Value]) -> Vec<ToolChange> {
    let trees = |side: Side, tools: &[Value]| {
        tools.iter().map(|t| worlds.keyed(side, Tree::from(t).canonical())).collect::<Vec<_>>()
    };
    let names = |side: &[Value]| side.iter().map(|t| Some(tool_name(t))).collect::<Vec<_>>();
    let (ln, rn) = (names(left), names(right));
    let same_name = |a: usize, b: usize| ln.get(a) == rn.get(b);
    let pairs = align_loosely(
        (&trees(Side::Left, left), &ln),
        (&trees(Side::Right, right), &rn),
        |_, _| false,
        same_name,
    );
    let mut changes = Vec::new();
    for pair in pairs {
        let (l, r) = (pair.0.and_then(|i| left.get(i)), pair.1.and_then(|i| right.get(i)));
        changes.extend(match (l, r) {
            (Some(l), Some(r)) => {
                let fields = field::trees_in(worlds, &Tree::from(l), &Tree::from(r));
                (!fields.is_empty()).then(|| ToolChange::Changed { tool: tool_name(l), fields })
            }
            (Some(l), None) => Some(ToolChange::Dropped { tool: tool_name(l) }),
            (None, Some(r)) => Some(ToolChange::Added { tool: tool_name(r) }),
            (None, None) => None,
        });
    }
    changes
}

/// The name in a tool definition, in any dialect's form.
pub(super) fn tool_name(tool: &Value) -> String {
    let name = tool.get("name").or_else(|| tool.get("function").and_then(|f| f.get("name")));
    let name = name.or_else(|| tool.get("type")).and_then(Value::as_str);
    name.unwrap_or("(no name)").to_string()
}

fn messages(worlds: &Worlds, left: &[Message], right: &[Message]) -> Vec<MessageChange> {
    let strong = |side: Side, messages: &[Message]| {
        messages.iter().map(|m| worlds.keyed(side, key(m))).collect::<Vec<_>>()
    };
    let (lefts, rights) = (strong(Side::Left, left), strong(Side::Right, right));
    let weak = |side: &[Message]| side.iter().map(|m| Some((who(m), shape(m)))).collect::<Vec<_>>();
    let same_role = |a: usize, b: usize| left.get(a).map(who) == right.get(b).map(who);
    let pairs = align_loosely((&lefts, &weak(left)), (&rights, &weak(right)), |_, _| false, same_role);
    let mut changes = Vec::new();
    for pair in pairs {
        let (l, r) =
            (pair.0.and_then(|i| Some((i, left.get(i)?))), pair.1.and_then(|i| Some((i, right.get(i)?))));
        match (l, r) {
            (Some((i, l)), Some((j, _))) if lefts.get(i) == rights.get(j) => {
                let length = say(&l.blocks).chars().count();
                match changes.last_mut() {
                    Some(MessageChange::Unchanged { count, chars }) => {
                        *count += 1;
                        *chars += length;
                    }
                    _ => changes.push(MessageChange::Unchanged { count: 1, chars: length }),
                }
            }
            (Some((i, l)), Some((j, r))) => changes.push(pair_of(worlds, (i, l), (j, r))),
            (Some((index, m)), None) => {
                changes.push(MessageChange::Dropped { index, who: who(m), text: say(&m.blocks) });
            }
            (None, Some((index, m))) => {
                changes.push(MessageChange::Added { index, who: who(m), text: say(&m.blocks) });
            }
            (None, None) => {}
        }
    }
    changes
}

fn pair_of(worlds: &Worlds, (i, left): (usize, &Message), (j, right): (usize, &Message)) -> MessageChange {
    let (before, after) = (say(&left.blocks), say(&right.blocks));
    let fields = match shape(left) == shape(right) {
        true => block_fields(worlds, &left.blocks, &right.blocks),
        false => field::texts_in(worlds, &before, &after),
    };
    let differs = fields.iter().any(|f| !f.varies);
    if differs && (truncated(&before, &after) || truncated(&after, &before)) {
        return MessageChange::Truncated { left: i, right: j, who: who(left), before, after };
    }
    MessageChange::Changed { left: i, right: j, who: who(left), fields }
}

/// Compares blocks of the same kinds one by one.
fn block_fields(worlds: &Worlds, left: &[Block], right: &[Block]) -> Vec<FieldChange> {
    let said = |side: &[Block]| {
        side.iter().filter(|b| !matches!(b, Block::Reasoning { .. })).cloned().collect::<Vec<_>>()
    };
    let (left, right) = (said(left), said(right));
    let many = left.len() > 1;
    let mut all = Vec::new();
    for (n, (l, r)) in left.iter().zip(&right).enumerate() {
        let (prefix, changes) = match (l, r) {
            (Block::ToolCall { name: a, args: x, .. }, Block::ToolCall { name: b, args: y, .. })
                if a == b =>
            {
                (a.clone(), field::trees_in(worlds, &super::keys::args_tree(x), &super::keys::args_tree(y)))
            }
            (Block::Other { value: a }, Block::Other { value: b }) => {
                (String::new(), field::trees_in(worlds, &Tree::from(a), &Tree::from(b)))
            }
            (a, b) => {
                let (l, r) = (say(std::slice::from_ref(a)), say(std::slice::from_ref(b)));
                (String::new(), field::texts_in(worlds, &l, &r))
            }
        };
        let place = match (many, prefix.is_empty()) {
            (true, true) => format!("[{n}]"),
            (_, false) => prefix,
            (false, true) => String::new(),
        };
        all.extend(changes.into_iter().map(|mut c| {
            let dot = if place.is_empty() || c.path.is_empty() || c.path.starts_with('[') { "" } else { "." };
            c.path = format!("{place}{dot}{}", c.path);
            c
        }));
    }
    all
}

/// True when `short` is `long` with a good part left out at its end or in its middle.
fn truncated(long: &str, short: &str) -> bool {
    let (l, s): (Vec<char>, Vec<char>) = (long.chars().collect(), short.chars().collect());
    if s.len() < 40 || s.len() * 10 > l.len() * 8 {
        return false;
    }
    let head = l.iter().zip(&s).take_while(|(a, b)| a == b).count();
    let most = s.len() - head;
    let tail = l.iter().rev().zip(s.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    // What is neither head nor tail may be the mark that says so: "… 1,204 lines omitted …".
    head >= s.len() / 4 && (head + tail) + 60 >= s.len() && (head + tail) * 2 >= s.len()
}

/// Who says a message; tool results of Anthropic stand in user messages.
pub fn who(message: &Message) -> &'static str {
    let is_result = |b: &Block| matches!(b, Block::ToolResult { .. });
    match message.role {
        Role::System => "system",
        Role::User if message.blocks.iter().any(is_result) => "tool",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// Blocks in words: texts and results as they are, calls as `calls a(x=1) + b(y=2)`. Reasoning is left out.
pub fn say(blocks: &[Block]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut calls_before = false;
    for block in blocks {
        let is_call = matches!(block, Block::ToolCall { .. });
        match block {
            Block::Text { text } | Block::ToolResult { text, .. } => parts.push(text.clone()),
            Block::ToolCall { name, args, .. } => match parts.last_mut().filter(|_| calls_before) {
                Some(before) => before.push_str(&format!(" + {}", call_in_words(name, args))),
                None => parts.push(format!("calls {}", call_in_words(name, args))),
            },
            Block::Other { value } => {
                let kind = value.get("type").and_then(Value::as_str).map(str::to_string);
                let kind = kind.unwrap_or_else(|| excerpt::middle(&value.to_string(), OTHER));
                parts.push(format!("[{kind}]"));
            }
            Block::Reasoning { .. } => continue,
        }
        calls_before = is_call;
    }
    parts.join("\n")
}

/// `lookup_order(order_id="A123")`.
fn call_in_words(name: &str, args: &Value) -> String {
    let args = match args {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key}={}", Tree::from(value)));
            fields.collect::<Vec<_>>().join(", ")
        }
        Value::Null => String::new(),
        other => Tree::from(other).to_string(),
    };
    format!("{name}({args})")
}

/// Kinds of a message's blocks, with the names of tools called.
fn shape(message: &Message) -> String {
    let kinds = message.blocks.iter().filter_map(|block| {
        Some(match block {
            Block::Text { .. } => "text".to_string(),
            Block::ToolCall { name, .. } => format!("call {name}"),
            Block::ToolResult { .. } => "result".to_string(),
            Block::Other { .. } => "other".to_string(),
            Block::Reasoning { .. } => return None,
        })
    });
    kinds.collect::<Vec<_>>().join("\n")
}

/// A message's content in canonical form: no ids, no reasoning, numbers as they are written.
fn key(message: &Message) -> String {
    let parts = message.blocks.iter().filter_map(|block| {
        Some(match block {
            Block::Text { text } => format!("t{text}"),
            Block::ToolCall { name, args, .. } => {
                format!("c{name}{}", super::keys::args_tree(args).canonical())
            }
            Block::ToolResult { text, other, is_error, .. } => {
                format!("r{is_error}{}{}", Value::from(other.clone()), canonical_text(text))
            }
            Block::Other { value } => format!("o{}", Tree::from(value).canonical()),
            Block::Reasoning { .. } => return None,
        })
    });
    format!("{}\u{0}{}", who(message), parts.collect::<Vec<_>>().join("\u{0}"))
}

fn canonical_text(text: &str) -> String {
    Tree::parse_nested(text).map_or_else(|| text.to_string(), |tree| tree.canonical())
}
