//! Conversations as lists of messages: lines for fine-tuning, trajectories of tau-bench, results of tau2-bench, plain
//! lists, in one JSON document or one a line.

mod conversation;
mod simulation;
#[cfg(test)]
mod tests;

use super::transcript::Builder;
use super::{Foreign, Unreadable};
use crate::exchange::json::{self, Node};
use serde_json::{Map, Value};

/// See [`super::read`].
pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Vec<Foreign>, Unreadable> {
    let mut file = File { name, builder: Builder::default(), runs: Vec::new() };
    match json::parse(bytes) {
        Ok(root) => file.document(&root).map_err(Unreadable::new)?,
        Err(whole) => {
            let lines = bytes.split(|byte| *byte == b'\n').enumerate();
            let lines: Vec<(usize, &[u8])> =
                lines.filter(|(_, line)| !line.trim_ascii().is_empty()).collect();
            for (at, line) in &lines {
                let place = |what: String| Unreadable::new(format!("line {}: {what}", at + 1));
                let root = json::parse(line).map_err(|e| match file.runs.is_empty() {
                    // A document over several lines has no line that is a document.
                    true => Unreadable::new(format!("it is no JSON: {whole}; nor is line {}: {e}", at + 1)),
                    false => place(e.to_string()),
                })?;
                file.entry(&root.to_value()).map_err(place)?;
            }
        }
    }
    match file.runs.is_empty() {
        true => Err(Unreadable::new("it holds no conversation")),
        false => Ok(file.runs),
    }
}

/// What is being read.
struct File<'a> {
    name: &'a str,
    builder: Builder,
    runs: Vec<Foreign>,
}

impl File<'_> {
    /// A whole file: one entry, or a list of entries.
    fn document(&mut self, root: &Node<'_>) -> Result<(), String> {
        let value = root.to_value();
        match &value {
            Value::Array(entries) if !entries.iter().all(is_message) => {
                for (at, entry) in entries.iter().enumerate() {
                    self.entry(entry).map_err(|what| format!("element {at}: {what}"))?;
                }
                Ok(())
            }
            Value::Array(entries) if entries.is_empty() => Ok(()),
            entry => self.entry(entry),
        }
    }

    /// A conversation, or the results of a benchmark.
    fn entry(&mut self, value: &Value) -> Result<(), String> {
        let run = match value {
            Value::Array(messages) if messages.iter().all(is_message) => {
                conversation::read(self.name, &Map::new(), messages, &mut self.builder)?
            }
            Value::Object(fields) => match fields.get("simulations") {
                Some(Value::Array(simulations)) => {
                    for (at, of) in simulations.iter().enumerate() {
                        let run = simulation::read(self.name, fields, of, &mut self.builder);
                        self.runs.push(run.map_err(|what| format!("simulation {at}: {what}"))?);
                    }
                    return Ok(());
                }
                _ => {
                    let messages = ["messages", "traj"].iter().find_map(|key| fields.get(*key)?.as_array());
                    let messages = messages.ok_or("no \"messages\" and no \"traj\" in it")?;
                    conversation::read(self.name, fields, messages, &mut self.builder)?
                }
            },
            _ => return Err("it is no list of messages".into()),
        };
        self.runs.push(run);
        Ok(())
    }
}

fn is_message(value: &Value) -> bool {
    value.get("role").is_some_and(Value::is_string)
}
