//! A sample of an evaluation: a run.

use super::call::{Way, chat, exchange};
use crate::import::transcript::{Builder, missing, no_bytes, put_in_order, unsent};
use crate::import::{Foreign, Lack, Use};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Stands before the name of what is kept beside the events.
const ATTACHMENT: &str = "attachment://";
/// How deep attachments are looked for.
const DEPTH: usize = 64;

/// A model event with its place in time, and its begin and end where they are told.
type Timed<'a> = (Option<u64>, Option<(u64, u64)>, &'a Map<String, Value>);

/// What was found out on the way.
#[derive(Default)]
pub(super) struct Gathered {
    told: Vec<u32>,
    failed: Vec<u32>,
    silent: Vec<u32>,
    sent: usize,
    nowhere: bool,
    no_body: bool,
}

impl Gathered {
    pub(super) fn as_sent(&mut self, way: &Way) {
        self.sent += 1;
        self.nowhere |= way.is_nowhere();
        self.no_body |= !way.is_body;
    }

    pub(super) fn as_told(&mut self, number: u32, failed: bool, silent: bool) {
        self.told.push(number);
        self.failed.extend(Some(number).filter(|_| failed));
        self.silent.extend(Some(number).filter(|_| silent));
    }

    fn lacks(&self) -> Vec<Lack> {
        let of = |what: &str, numbers: &[u32], spoils: &[Use]| {
            let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
            let what = format!("{what} of model call {}", numbers.join(", "));
            (!numbers.is_empty()).then(|| Lack { what, spoils: spoils.to_vec() })
        };
        let both = [Use::Replay, Use::Fork];
        let mut lacks = Vec::new();
        lacks.extend(of("call.request and call.response", &self.told, &both));
        lacks.extend(of("status and body of the failed answer", &self.failed, &both));
        lacks.extend(of("input and output", &self.silent, &[Use::Diff, Use::Replay, Use::Fork]));
        if self.sent > 0 {
            lacks.push(missing(
                "bytes and headers: bodies are written anew from JSON values, in whole answers",
            ));
        }
        if self.no_body {
            let what = "the request on the wire: call.request has the arguments of an SDK";
            lacks.push(Lack { what: what.into(), spoils: both.to_vec() });
        }
        if self.nowhere {
            lacks.push(Lack { what: "the address of the provider".into(), spoils: vec![Use::Fork] });
        }
        lacks
    }
}

/// Reads a sample. `eval`: what the log says of the whole evaluation.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn read(
    name: &str,
    eval: Option<&Map<String, Value>>,
    sample: &Value,
    builder: &mut Builder,
) -> Result<Foreign, String> {
    let mut sample = sample.as_object().ok_or("it is no object")?.clone();
    let mut lost = BTreeSet::new();
    if let Some(Value::Object(kept)) = sample.shift_remove("attachments") {
        sample.values_mut().for_each(|value| put_in(value, &kept, &mut lost, 0));
    } else {
        sample.values_mut().for_each(|value| put_in(value, &Map::new(), &mut lost, 0));
    }
    let events = sample.get("events").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let of_model = |event: &&Map<String, Value>| event.get("event").and_then(Value::as_str) == Some("model");
    let calls = events.iter().filter_map(Value::as_object).filter(of_model);
    let mut begun = None;
    // One whose time is not told stays behind the one that it stands behind.
    let calls = calls.map(|call| {
        let times = times(call);
        begun = times.map(|(begin, _)| begin).or(begun);
        (begun, times, call)
    });
    let mut calls: Vec<Timed<'_>> = calls.collect();
    calls.sort_by_key(|(begun, ..)| *begun);
    let mut gathered = Gathered::default();
    let mut exchanges = Vec::new();
    let mut lacks = Vec::new();
    for (number, (_, times, call)) in (1..).zip(&calls) {
        exchanges.push(exchange(number, call, times.unwrap_or_default(), builder, &mut gathered)?);
    }
    let times: Vec<Option<(u64, u64)>> = calls.iter().map(|(_, times, _)| *times).collect();
    put_in_order(&mut exchanges, &times);
    if times.iter().any(Option::is_none) {
        lacks.push(missing("timestamp of a model event"));
    }
    if calls.iter().any(|(.., call)| call.contains_key("input_refs")) {
        lacks.push(Lack {
            what: "input of model events: it stands in a pool of messages that is not read".into(),
            spoils: vec![Use::Diff, Use::Replay, Use::Fork],
        });
    }
    if calls.is_empty() {
        let messages = chat(sample.get("messages"));
        exchanges = builder.conversation(&messages, |_, call| call)?;
        lacks.push(no_bytes());
        lacks.push(missing("events of the kind `model`: calls are read from the messages"));
        lacks.extend(unsent(&messages));
    }
    lacks.extend(gathered.lacks());
    if !lost.is_empty() {
        let what = format!("{} attachments: {}", lost.len(), lost.into_iter().collect::<Vec<_>>().join(", "));
        lacks.push(Lack { what, spoils: vec![Use::Replay, Use::Fork] });
    }
    if exchanges.is_empty() {
        let what = "a call of a model: neither an event nor a message of the assistant tells of one";
        lacks.push(Lack { what: what.into(), spoils: vec![Use::View, Use::Diff, Use::Replay, Use::Fork] });
    }
    let scores = scores(&sample);
    let began = events.iter().filter_map(|event| time(event.get("timestamp"))).min();
    Ok(Foreign {
        name: named(name, eval, &sample),
        started_us: began.or_else(|| time(eval?.get("created"))),
        exchanges,
        exports: Vec::new(),
        labels: labels(eval, &sample, &scores),
        succeeded: verdict(&scores),
        lacks,
    })
}

/// Puts what is kept beside the events in its places.
fn put_in(value: &mut Value, kept: &Map<String, Value>, lost: &mut BTreeSet<String>, depth: usize) {
    match value {
        Value::String(text) => {
            let Some(id) = text.strip_prefix(ATTACHMENT) else { return };
            match kept.get(id) {
                Some(Value::String(content)) => *text = content.clone(),
                _ => {
                    lost.insert(id.chars().take(64).collect());
                }
            }
        }
        Value::Array(list) if depth < DEPTH => {
            list.iter_mut().for_each(|each| put_in(each, kept, lost, depth + 1));
        }
        Value::Object(fields) if depth < DEPTH => {
            fields.values_mut().for_each(|each| put_in(each, kept, lost, depth + 1));
        }
        _ => {}
    }
}

/// Begin and end of a model event. One without its completion was written when it was over.
fn times(event: &Map<String, Value>) -> Option<(u64, u64)> {
    let told = time(event.get("timestamp"))?;
    if let Some(end) = time(event.get("completed")) {
        return Some((told, end.max(told)));
    }
    let took = ["call", "output"].iter().find_map(|of| event.get(*of)?.get("time")?.as_f64());
    let took = (took.unwrap_or_default().clamp(0.0, 1e9) * 1e6) as u64;
    Some((told.saturating_sub(took), told))
}

fn time(value: Option<&Value>) -> Option<u64> {
    let time: jiff::Timestamp = value?.as_str()?.parse().ok()?;
    u64::try_from(time.as_microsecond()).ok()
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.chars().take(100).collect()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The value of each scorer.
fn scores(sample: &Map<String, Value>) -> BTreeMap<String, Value> {
    match (sample.get("scores"), sample.get("score")) {
        (Some(Value::Object(scores)), _) => {
            let values =
                scores.iter().filter_map(|(name, score)| Some((name.clone(), score.get("value")?.clone())));
            values.collect()
        }
        (_, Some(score)) => {
            score.get("value").map(|v| ("score".to_string(), v.clone())).into_iter().collect()
        }
        _ => BTreeMap::new(),
    }
}

/// What all scorers say together: correct or not; none where they do not agree, or say something between.
fn verdict(scores: &BTreeMap<String, Value>) -> Option<bool> {
    let mut verdicts = scores.values().map(|value| match value {
        Value::String(word) if word == "C" => Some(true),
        Value::String(word) if word == "I" || word == "N" => Some(false),
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
        _ => None,
    });
    let first = verdicts.next()??;
    verdicts.all(|other| other == Some(first)).then_some(first)
}

fn named(name: &str, eval: Option<&Map<String, Value>>, sample: &Map<String, Value>) -> String {
    let task =
        eval.and_then(|eval| eval.get("task")?.as_str()).filter(|task| task.contains(char::is_alphanumeric));
    match sample.get("id").and_then(plain) {
        Some(id) => format!("{}-{id}", task.unwrap_or(name)),
        None => task.unwrap_or(name).to_string(),
    }
}

fn labels(
    eval: Option<&Map<String, Value>>,
    sample: &Map<String, Value>,
    scores: &BTreeMap<String, Value>,
) -> BTreeMap<String, String> {
    let of_eval = ["task", "model", "run_id"].iter().filter_map(|key| Some((*key, plain(eval?.get(*key)?)?)));
    let own = [("id", "sample"), ("epoch", "epoch"), ("uuid", "uuid")];
    let own = own.iter().filter_map(|(key, name)| Some((*name, plain(sample.get(*key)?)?)));
    let scores = scores.iter().filter_map(|(name, value)| Some((format!("score.{name}"), plain(value)?)));
    of_eval.chain(own).map(|(name, value)| (name.to_string(), value)).chain(scores).collect()
}
