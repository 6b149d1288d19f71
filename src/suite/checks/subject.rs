//! A run as one JSON document, for expressions and for commands.

use crate::dialect::conversation::Usage;
use crate::diff::RunView;
use crate::diff::view::StepNumbers;
use crate::exchange::Source;
use crate::run::{CallSite, StepKind, Turn};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Version of the document. Members are added without a new one; what is there keeps its meaning.
pub const VERSION: u32 = 1;

/// A result whose text is this long may be cut in the outline.
const MAYBE_CUT: usize = 1_900;

/// A run, as checks see it.
///
/// As JSON, version 1 (`null` is what is not known, or what there is not):
///
/// ```json
/// {
///   "version": 1,
///   "run": "refund.1",
///   "uuid": "0192…",
///   "labels": {"env": "ci"},
///   "steps": [
///     {"step": 1, "kind": "model", "lane": "main", "agent": null, "model": "gpt-4o", "source": "live",
///      "text": "", "calls": [{"tool": "lookup_order", "args": {"order_id": "A123"}}],
///      "usage": {"input": 40, "output": 14, "cache_read": 0, "cache_write": 0, "reasoning": 0},
///      "cost": 0.0003, "seconds": 0.08, "error": null},
///     {"step": 2, "kind": "tool", "lane": "main", "agent": null, "tool": "lookup_order", "asked_by": 1,
///      "args": {"order_id": "A123"}, "result": {"amount": 4999}, "text": "{\"amount\":4999}",
///      "seconds": null, "error": null}
///   ],
///   "answer": "Done.",
///   "exit": 0,
///   "signal": null,
///   "models": ["gpt-4o"],
///   "tokens": {"input": 800, "output": 70, "cache_read": 0, "cache_write": 0, "reasoning": 0},
///   "cost": 0.0027,
///   "seconds": 1.92
/// }
/// ```
///
/// - `step`: the number that every view of retake gives the step. A tool's step has its number when it is asked for;
///   `asked_by` is the model's step that asked.
/// - `agent`: the innermost agent of the spans, where there are some. `lane`: its own name, else its key.
/// - `model`: the model that was asked. `source`: `live`, `recorded`, `edited`, `refused`.
/// - `args`: as the model gave them. `result`: the result, read as JSON where it is JSON, else its text; `null` when the
///   run ended before. `text`: what was said, or the result as it is written.
/// - `usage`: tokens, `input` with those of the cache. `cost`: US dollars. `seconds`: of a tool only where its server was
///   seen.
/// - `error`: why the model call failed, or what a tool said when it failed.
/// - `answer`: the last word of the run; `null` when its last model call has none.
/// - `tokens`, `cost`: of all model calls; `null` when one of them is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    document: Value,
    /// What is not known of the run, and why not.
    unknown: BTreeMap<&'static str, String>,
}

impl Subject {
    /// Reads a run.
    pub fn of(run: &RunView) -> Subject {
        let mut unknown = BTreeMap::new();
        let mut not_known = |name: &'static str, why: String| {
            unknown.insert(name, why);
            Value::Null
        };
        let tokens = match tokens(run) {
            Ok(tokens) => usage(&tokens),
            Err(model) => {
                not_known("tokens", format!("tokens are not known (n/a): {model} did not count them"))
            }
        };
        let spent = run.spent();
        let cost = match spent.whole() {
            Some(cost) => json!(cost.dollars()),
            None => {
                let models: Vec<&str> = spent.unpriced.iter().map(String::as_str).collect();
                not_known(
                    "cost",
                    format!("cost is not known (n/a): there is no price of {}", models.join(", ")),
                )
            }
        };
        let seconds = match run.duration_us() {
            Some(time) => seconds(time),
            None => {
                let why = match run.manifest.imported {
                    true => "the file that the run was imported from does not say when it ended",
                    false => "nobody saw the run end",
                };
                not_known("seconds", format!("seconds are not known (n/a): {why}"))
            }
        };
        let answer = match answer(run) {
            Ok(text) => Value::String(text),
            Err(why) => {
                not_known("answer_json", why.clone());
                not_known("answer", why)
            }
        };
        if answer.as_str().is_some_and(|text| serde_json::from_str::<Value>(text).is_err()) {
            not_known("answer_json", format!("the answer is no JSON: {}", super::values::short(&answer)));
        }
        let outcome = run.manifest.outcome.as_ref();
        let exit = outcome.and_then(|o| o.exit_code);
        let signal = outcome.and_then(|o| o.signal);
        if exit.is_none() {
            let why = match signal {
                Some(signal) => format!("there is no exit code: signal {signal} ended the agent"),
                None => "the exit code is not known: nobody saw the agent end".into(),
            };
            not_known("exit", why);
        }
        let document = json!({
            "version": VERSION,
            "run": run.manifest.id.as_str(),
            "uuid": run.manifest.uuid,
            "labels": run.manifest.labels,
            "steps": steps(run),
            "answer": answer,
            "exit": exit,
            "signal": signal,
            "models": models(run),
            "tokens": tokens,
            "cost": cost,
            "seconds": seconds,
        });
        Subject { document, unknown }
    }

    /// The run as JSON.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// A member of the document; null when there is none.
    pub(super) fn member(&self, name: &str) -> &Value {
        self.document.get(name).unwrap_or(&Value::Null)
    }

    /// The steps of a kind, `model` or `tool`, in order.
    pub(super) fn steps(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let all = self.member("steps").as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(move |step| step.get("kind").is_some_and(|k| k == kind))
    }

    /// The calls of a tool, in order.
    pub(super) fn calls(&self, tool: &str) -> Vec<&Value> {
        let is_meant = |name: &str| match tool.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == tool,
        };
        let of = |step: &&Value| step.get("tool").and_then(Value::as_str).is_some_and(is_meant);
        self.steps("tool").filter(of).collect()
    }

    /// Which tools the run calls: `it calls get_policy and lookup_order`.
    pub(super) fn tools(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for name in self.steps("tool").filter_map(|step| step.get("tool")?.as_str()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        match names.as_slice() {
            [] => "the run calls no tool".into(),
            names => format!("the run calls {}", names.join(", ")),
        }
    }

    /// Why a member is not known; none when it is.
    pub(super) fn unknown(&self, name: &str) -> Option<&str> {
        self.unknown.get(name).map(String::as_str)
    }
}

fn seconds(us: u64) -> Value {
    json!(us as f64 / 1e6)
}

fn usage(of: &Usage) -> Value {
    json!({
        "input": of.input,
        "output": of.output,
        "cache_read": of.cache_read,
        "cache_write": of.cache_write,
        "reasoning": of.reasoning,
    })
}

fn turns<'a>(run: &RunView<'a>) -> impl Iterator<Item = &'a Turn> {
    run.outline.lanes.iter().flat_map(|lane| &lane.turns)
}

/// Tokens of all calls, or the model that did not count them.
fn tokens(run: &RunView) -> Result<Usage, String> {
    let mut total = Usage::default();
    for turn in turns(run) {
        match turn.counted() {
            Some(usage) => total += usage,
            None if turn.error.is_some() => {}
            None => return Err(turn.model.clone()),
        }
    }
    Ok(total)
}

fn model(run: &RunView, turn: &Turn) -> String {
    run.sent_model(turn).unwrap_or_else(|| turn.model.clone())
}

fn models(run: &RunView) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in turns(run).map(|turn| model(run, turn)) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// The last word, or why there is none.
fn answer(run: &RunView) -> Result<String, String> {
    let turn = run.last_turn().ok_or("there is no answer: the run has no model call")?;
    if let Some(error) = &turn.error {
        return Err(format!("there is no answer: the last model call failed ({error})"));
    }
    match run.full_text(turn) {
        text if text.is_empty() => {
            Err("there is no answer: the last model call says nothing in words".into())
        }
        text => Ok(text),
    }
}

fn steps(run: &RunView) -> Vec<Value> {
    let numbers = StepNumbers::of(run.outline);
    let numbered = (1u32..).zip(&run.outline.steps);
    let step = |(number, step): (u32, &crate::run::Step)| match step.kind {
        StepKind::Model { lane, turn } => model_step(run, number, (lane, turn)),
        StepKind::Tool { site } => tool_step(run, number, site, &numbers),
    };
    numbered.filter_map(step).collect()
}

/// What both kinds of step have.
fn begin(run: &RunView, number: u32, kind: &str, lane: u32) -> Map<String, Value> {
    let lane = run.outline.lanes.get(lane as usize);
    let agent = run.source.places().and_then(|places| places.path(number)?.agent());
    let mut step = Map::new();
    step.insert("step".into(), json!(number));
    step.insert("kind".into(), json!(kind));
    step.insert("lane".into(), json!(lane.map(|lane| lane.named.as_ref().unwrap_or(&lane.key))));
    step.insert("agent".into(), json!(agent));
    step
}

fn model_step(run: &RunView, number: u32, (lane, at): (u32, u32)) -> Option<Value> {
    let turn = run.outline.turn(lane, at)?;
    let mut step = begin(run, number, "model", lane);
    let calls = (0u32..).zip(&turn.calls).map(|(call, of)| {
        let args = run.full_args(CallSite { lane, turn: at, call }).unwrap_or(Value::Null);
        json!({ "tool": of.name, "args": numbers_read(args) })
    });
    let source = turn.attempts.last().map(|id| match run.source.source(*id) {
        Source::Recorded { .. } => "recorded",
        Source::Edited { .. } => "edited",
        Source::Refused => "refused",
        _ => "live",
    });
    step.insert("model".into(), json!(model(run, turn)));
    step.insert("source".into(), json!(source));
    step.insert("text".into(), json!(run.full_text(turn)));
    step.insert("calls".into(), calls.collect());
    step.insert("usage".into(), turn.counted().as_ref().map_or(Value::Null, usage));
    step.insert("cost".into(), json!(run.cost_of(turn).map(|cost| cost.dollars())));
    step.insert("seconds".into(), turn.took_us().map_or(Value::Null, seconds));
    step.insert("error".into(), json!(turn.error));
    Some(Value::Object(step))
}

fn tool_step(run: &RunView, number: u32, site: CallSite, numbers: &StepNumbers) -> Option<Value> {
    let call = run.outline.call(site)?;
    let mut step = begin(run, number, "tool", site.lane);
    let short = call.result.as_ref();
    let full = run.sent_result(site).or_else(|| match short {
        Some(result) if result.text.len() >= MAYBE_CUT => run.full_result(call).ok().flatten(),
        _ => None,
    });
    let is_error = full.as_ref().map_or(short.is_some_and(|r| r.is_error), |f| f.is_error);
    let text = full.map(|f| f.text).or_else(|| short.map(|r| r.text.clone()));
    let result = text.as_deref().map(|text| match serde_json::from_str::<Value>(text) {
        Ok(value) => value,
        Err(_) => Value::String(text.into()),
    });
    let took = run.source.carried_out(site).and_then(|by| by.took_us);
    let asked_by = numbers.model(site.lane as usize, site.turn as usize);
    step.insert("tool".into(), json!(call.name));
    step.insert("asked_by".into(), json!(asked_by));
    step.insert("args".into(), run.full_args(site).map_or(Value::Null, numbers_read));
    step.insert("result".into(), json!(result));
    step.insert("text".into(), json!(text));
    step.insert("seconds".into(), took.map_or(Value::Null, seconds));
    step.insert("error".into(), json!(text.filter(|_| is_error)));
    Some(Value::Object(step))
}

/// The normal form keeps digits that a number would lose as `{"$number": "…"}`; here they are numbers.
fn numbers_read(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let digits = fields.get("$number").filter(|_| fields.len() == 1).and_then(Value::as_str);
            if let Some(number) =
                digits.and_then(|text| serde_json::from_str::<serde_json::Number>(text).ok())
            {
                return Value::Number(number);
            }
            Value::Object(fields.into_iter().map(|(key, value)| (key, numbers_read(value))).collect())
        }
        Value::Array(items) => items.into_iter().map(numbers_read).collect(),
        other => other,
    }
}
