//! Recorded against live, field by field: equal up to what may differ.
//!
//! What may differ inside a text is decided in [`Unifier::text_at`] alone (see [`crate::holes`]).

mod readings;

use super::Bindings;
use super::decision::{MatchClass, Pin};
use super::flat;
use super::segments::{Backdrop, Part, Said};
use super::thread::Settings;
use crate::dialect::conversation::{Block, ModelRequest};
use crate::holes::Place;
use crate::run::{CallSite, Outline};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where two requests first differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// `messages[3].text`, `tools[1].description`, `params.temperature`.
    pub path: String,
    /// The recorded side, whole.
    pub recorded: String,
    /// The live side, whole.
    pub live: String,
    /// The tool whose result it is in.
    pub tool: Option<String>,
    /// What differs behind it in the same result, field by field.
    pub more: Vec<Difference>,
}

impl Difference {
    /// Outside of results.
    pub fn new(path: impl Into<String>, recorded: impl Into<String>, live: impl Into<String>) -> Difference {
        Difference {
            path: path.into(),
            recorded: recorded.into(),
            live: live.into(),
            tool: None,
            more: Vec::new(),
        }
    }
}

/// What a comparison knows before it begins.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub behind: &'a dyn Backdrop,
    /// What is bound for the whole run.
    pub below: &'a Bindings,
    /// True when equal texts need no look at their holes.
    pub plain: bool,
    pub dialect: &'a str,
}

/// A tool result that came out as another text, equal up to holes.
#[derive(Debug, Clone)]
pub(super) struct Renamed {
    /// Index of the call among those of its answer.
    pub call: usize,
    /// Where it stands in the live request.
    pub message: usize,
    pub block: usize,
    pub recorded: String,
    pub live: String,
    /// True when a value in it varies by itself: nothing foretold it.
    pub varied: bool,
}

impl Renamed {
    /// As a pin that only tells of it.
    pub fn into_pin(self, outline: &Outline, site: CallSite) -> Pin {
        Pin {
            site,
            tool: outline.call(site).map(|c| c.name.clone()).unwrap_or_default(),
            message: self.message,
            block: self.block,
            recorded: self.recorded,
            live: self.live,
            renamed: true,
            swapped: false,
            stale: None,
        }
    }
}

/// Compares, and collects what had to be bound.
pub(super) struct Unifier<'a> {
    known: Known<'a>,
    /// What this comparison bound.
    pub bound: Bindings,
    /// The tool whose call or result is compared; looked at by rules alone.
    tool: Option<String>,
    /// True while no part of a text may stand in another place.
    plainly: bool,
    /// True when nothing may stand in another order.
    pub in_order: bool,
    /// True while what is compared has not been sent before: results may come in another order.
    pub new: bool,
    /// How many results of identical calls stood in each other's place.
    pub swapped: usize,
    /// What had to be taken for granted: new names, things that stayed where today's are others.
    pub cost: usize,
    /// True when a part that does not count differs.
    pub masked: bool,
    /// True when parts stand in another order.
    pub reordered: bool,
    /// Results that came out as another text and are the same up to holes.
    pub results: Vec<Renamed>,
    varied: bool,
    /// What is quoted in the place of what: recorded to live, one to one.
    quoted: BTreeMap<Said, Said>,
}

/// What a comparison found so far.
pub(super) struct State {
    bound: Bindings,
    cost: usize,
    masked: bool,
    reordered: bool,
    pub quoted: BTreeMap<Said, Said>,
}

type Unified = Result<(), Difference>;

fn differ(path: impl Into<String>, recorded: impl Into<String>, live: impl Into<String>) -> Unified {
    Err(Difference::new(path, recorded, live))
}

impl<'a> Unifier<'a> {
    /// A comparison on top of what is bound already.
    pub fn new(known: Known<'a>, bound: Bindings) -> Unifier<'a> {
        Unifier {
            known,
            bound,
            new: false,
            in_order: false,
            tool: None,
            plainly: false,
            swapped: 0,
            cost: 0,
            masked: false,
            reordered: false,
            results: Vec::new(),
            varied: false,
            quoted: BTreeMap::new(),
        }
    }

    /// How well the requests fit, as far as they were compared.
    pub fn class(&self, equal: bool, pinned: bool) -> MatchClass {
        if self.reordered {
            MatchClass::Reordered
        } else if self.masked {
            MatchClass::Masked
        } else if pinned {
            MatchClass::Pinned
        } else if equal {
            MatchClass::Exact
        } else {
            MatchClass::Renamed
        }
    }

    /// True when the texts are equal up to holes.
    pub fn text(&mut self, path: &str, recorded: &str, live: &str) -> bool {
        if recorded == live && self.known.plain {
            return true;
        }
        self.walk(path, recorded, live)
            || (!self.plainly && !self.in_order && self.loosely(path, recorded, live))
    }

    /// True when the texts are equal up to holes and the order of their parts.
    fn loosely(&mut self, path: &str, recorded: &str, live: &str) -> bool {
        self.json(path, recorded, live) || flat::text(self, path, recorded, live)
    }

    /// True when both texts are JSON that says the same, whatever the order of its keys.
    fn json(&mut self, path: &str, recorded: &str, live: &str) -> bool {
        let (Some(recorded), Some(live)) = (structured(recorded), structured(live)) else { return false };
        let before = self.state();
        let masked = std::mem::take(&mut self.masked);
        if self.value(path, &recorded, &live).is_err() {
            self.restore(before);
            return false;
        }
        self.reordered |= !self.masked;
        self.masked |= masked;
        true
    }

    /// True when the texts are equal up to holes, what they quote included.
    pub(super) fn walk(&mut self, path: &str, recorded: &str, live: &str) -> bool {
        let Known { behind, below, dialect, .. } = self.known;
        let mut trial = self.bound.clone();
        let tool = self.tool.take();
        let place = Place { dialect, path, tool: tool.as_deref() };
        let may_bind = |recorded: &str, live: &str| behind.may_bind(recorded, live);
        let walked = behind.holes().walk(&place, recorded, live, &mut trial, below, &may_bind);
        self.tool = tool;
        let Some(walked) = walked else { return false };
        self.bound = trial;
        self.cost += walked.cost;
        self.masked |= walked.masked;
        self.varied |= walked.varied;
        true
    }

    /// What both texts quote.
    pub(super) fn split(&self, recorded: &str, live: &str) -> (Vec<Part>, Vec<Part>) {
        self.known.behind.split(recorded, live)
    }

    /// Notes that one is quoted where the other was; false when one of them is taken.
    pub(super) fn quote(&mut self, recorded: Said, live: Said, cost: usize) -> bool {
        if let Some(known) = self.quoted.get(&recorded) {
            return *known == live;
        }
        if recorded == live {
            return !self.quoted.values().any(|taken| *taken == live);
        }
        if self.quoted.values().any(|taken| *taken == live) {
            return false;
        }
        self.quoted.insert(recorded, live);
        self.cost += cost;
        true
    }

    /// True when quotes only changed places among themselves, since a state.
    pub(super) fn is_closed(&self, since: &BTreeMap<Said, Said>) -> bool {
        flat::is_closed(&self.quoted, since, |a, b| self.known.behind.may_swap(a, b))
    }

    /// True when all quotes of the request only changed places among themselves.
    pub fn closes(&self) -> bool {
        self.is_closed(&BTreeMap::new())
    }

    /// All that a comparison changes, to go back to.
    pub(super) fn state(&self) -> State {
        State {
            bound: self.bound.clone(),
            cost: self.cost,
            masked: self.masked,
            reordered: self.reordered,
            quoted: self.quoted.clone(),
        }
    }

    pub(super) fn restore(&mut self, state: State) {
        self.bound = state.bound;
        self.cost = state.cost;
        self.masked = state.masked;
        self.reordered = state.reordered;
        self.quoted = state.quoted;
    }

    fn ignores(&self, path: &str) -> bool {
        let place = Place { dialect: self.known.dialect, path, tool: self.tool.as_deref() };
        self.known.behind.holes().rules.ignores(&place)
    }

    fn text_at(&mut self, path: &str, recorded: &str, live: &str) -> Unified {
        if recorded != live && self.ignores(path) {
            self.masked = true;
            return Ok(());
        }
        if self.text(path, recorded, live) { Ok(()) } else { differ(path, recorded, live) }
    }

    /// JSON values, whatever the order of their keys.
    pub fn value(&mut self, path: &str, recorded: &Value, live: &Value) -> Unified {
        if recorded != live && self.ignores(path) {
            self.masked = true;
            return Ok(());
        }
        match (recorded, live) {
            (Value::String(a), Value::String(b)) => self.text_at(path, a, b),
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
                .iter()
                .zip(b)
                .enumerate()
                .try_for_each(|(i, (a, b))| self.value(&format!("{path}[{i}]"), a, b)),
            (Value::Array(a), Value::Array(b)) => {
                differ(path, format!("{} items", a.len()), format!("{} items", b.len()))
            }
            (Value::Object(a), Value::Object(b)) => self.fields(path, a, b),
            // The name of a field may say that its number counts something volatile.
            (Value::Number(a), Value::Number(b)) if a != b => {
                let name = path.rsplit('.').next().unwrap_or_default();
                let (x, y) = (format!("{name}: {a}"), format!("{name}: {b}"));
                if self.walk(path, &x, &y) { Ok(()) } else { differ(path, a.to_string(), b.to_string()) }
            }
            (a, b) if a == b => Ok(()),
            (a, b) => differ(path, a.to_string(), b.to_string()),
        }
    }

    fn fields(
        &mut self,
        path: &str,
        recorded: &serde_json::Map<String, Value>,
        live: &serde_json::Map<String, Value>,
    ) -> Unified {
        let at = |name: &str| if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
        for (name, a) in recorded {
            match live.get(name) {
                Some(b) => self.value(&at(name), a, b)?,
                None => self.lone(at(name), a.to_string(), "(absent)".into())?,
            }
        }
        live.iter()
            .filter(|(name, _)| !recorded.contains_key(*name))
            .try_for_each(|(name, b)| self.lone(at(name), "(absent)".into(), b.to_string()))
    }

    /// A field that one side does not have.
    fn lone(&mut self, path: String, recorded: String, live: String) -> Unified {
        if self.ignores(&path) {
            self.masked = true;
            return Ok(());
        }
        differ(path, recorded, live)
    }

    /// Counts settings, tools and system prompt as what comparing them came to before.
    pub fn take_for_equal(&mut self, known: &Settings) {
        self.cost += known.cost;
        self.masked |= known.masked;
        self.reordered |= known.reordered;
    }

    /// True when anything is quoted in another's place.
    pub fn quotes(&self) -> bool {
        !self.quoted.is_empty()
    }

    /// Everything of a request but its messages.
    pub fn head(&mut self, recorded: &ModelRequest, live: &ModelRequest) -> Unified {
        self.text_at("model", &recorded.model, &live.model)?;
        if recorded.stream != live.stream {
            differ("stream", recorded.stream.to_string(), live.stream.to_string())?;
        }
        self.tools(&recorded.tools, &live.tools)?;
        self.fields("params", &recorded.params, &live.params)?;
        if recorded.system.len() != live.system.len() {
            return differ("system", words(&recorded.system), words(&live.system));
        }
        let many = recorded.system.len() > 1;
        for (i, (a, b)) in recorded.system.iter().zip(&live.system).enumerate() {
            self.block(&if many { format!("system[{i}]") } else { "system".into() }, a, b)?;
        }
        Ok(())
    }

    fn tools(&mut self, recorded: &[Value], live: &[Value]) -> Unified {
        if recorded.len() != live.len() {
            let names = |tools: &[Value]| tools.iter().map(tool_name).collect::<Vec<_>>().join(", ");
            return differ("tools", names(recorded), names(live));
        }
        recorded
            .iter()
            .zip(live)
            .enumerate()
            .try_for_each(|(i, (a, b))| self.value(&format!("tools[{i}]"), a, b))
    }

    /// From here on, what is compared is in a call or a result of this tool.
    pub(super) fn within(&mut self, tool: Option<&str>) {
        self.tool = tool.filter(|_| !self.known.behind.holes().rules.is_empty()).map(str::to_string);
    }

    /// A recorded block against a live one, tool results' ids apart.
    pub fn block(&mut self, path: &str, recorded: &Block, live: &Block) -> Unified {
        match (recorded, live) {
            (Block::Text { text: a }, Block::Text { text: b }) => {
                let path = if path.starts_with("system") { path.to_string() } else { format!("{path}.text") };
                self.text_at(&path, a, b)
            }
            (Block::Reasoning { .. }, Block::Reasoning { .. }) => Ok(()),
            (Block::ToolCall { name: a, args: x, .. }, Block::ToolCall { name: b, args: y, .. }) => {
                self.text_at(&format!("{path}.call.name"), a, b)?;
                self.value(&format!("{path}.call.args"), x, y)
            }
            (
                Block::ToolResult { text: a, other: x, is_error: e, .. },
                Block::ToolResult { text: b, other: y, is_error: f, .. },
            ) => {
                self.text_at(&format!("{path}.result"), a, b)?;
                if e != f {
                    differ(format!("{path}.result.is_error"), e.to_string(), f.to_string())?;
                }
                self.list(&format!("{path}.result.other"), x, y)
            }
            (Block::Other { value: a }, Block::Other { value: b }) => self.value(path, a, b),
            (a, b) => differ(path, kind(a), kind(b)),
        }
    }

    /// True when two values are equal up to holes; where they are not, nothing is left of the attempt.
    pub(super) fn tries_value(&mut self, recorded: &Value, live: &Value) -> bool {
        let before = self.state();
        let fits = self.value("", recorded, live).is_ok();
        if !fits {
            self.restore(before);
        }
        fits
    }

    /// Whether two blocks that are equal up to holes vary by themselves; none where they are not equal.
    pub(super) fn tries_block(&mut self, path: &str, recorded: &Block, live: &Block) -> Option<bool> {
        let before = self.state();
        self.varied = false;
        if self.block(path, recorded, live).is_err() {
            self.restore(before);
            return None;
        }
        Some(std::mem::take(&mut self.varied))
    }

    fn list(&mut self, path: &str, recorded: &[Value], live: &[Value]) -> Unified {
        if recorded.len() != live.len() {
            return differ(path, format!("{} items", recorded.len()), format!("{} items", live.len()));
        }
        recorded
            .iter()
            .zip(live)
            .enumerate()
            .try_for_each(|(i, (a, b))| self.value(&format!("{path}[{i}]"), a, b))
    }
}

/// An object or a list that a text spells.
fn structured(text: &str) -> Option<Value> {
    let is_json = text.trim_start().starts_with(['{', '[']);
    is_json.then(|| serde_json::from_str(text).ok()).flatten()
}

fn tool_name(tool: &Value) -> String {
    let name = tool.get("name").or_else(|| tool.get("function").and_then(|f| f.get("name")));
    name.and_then(Value::as_str).unwrap_or("(unnamed)").to_string()
}

fn kind(block: &Block) -> String {
    match block {
        Block::Text { text } => format!("text {text:?}"),
        Block::Reasoning { .. } => "reasoning".into(),
        Block::ToolCall { name, .. } => format!("a call of {name}"),
        Block::ToolResult { text, .. } => format!("a tool result {text:?}"),
        Block::Other { value } => value.to_string(),
    }
}

fn words(blocks: &[Block]) -> String {
    blocks.iter().map(kind).collect::<Vec<_>>().join(", ")
}
