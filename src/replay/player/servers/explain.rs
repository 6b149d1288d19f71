//! Why no recorded message was right.

use super::Player;
use crate::dialect::summary::call_line;
use crate::mcp::message::Message;
use crate::replay::matcher::{Miss, Near};
use crate::replay::servers::{Spoken, is_same};
use crate::replay::shim::SHIM;
use crate::run::{StepKind, spelling};
use serde_json::Value;

impl Player {
    /// Why a message to a server is not answered. Shared with the tool shim.
    pub(in crate::replay::player) fn explain(&self, server: &str, live: &Message) -> Miss {
        let asked = match live.call() {
            Some((tool, arguments)) => {
                format!("{server}: {}", call_line(tool, arguments, 200))
            }
            None if live.method.is_empty() => format!("{server}: an answer of the agent"),
            None => format!("{server}: {}", live.method),
        };
        let servers = self.run.servers();
        let own = servers.spoken().iter().filter(|s| is_same(&s.server, server));
        let called = |s: &&Spoken| s.message.call().map(|(name, _)| name.to_string());
        let tool = live.call().map(|(name, _)| name.to_string());
        let same: Vec<&Spoken> =
            own.clone().filter(|s| s.message.method == live.method && called(s) == tool).collect();
        let (mut nearest, mut hints) = (Vec::new(), Vec::new());
        let reason = match (&tool, same.is_empty()) {
            (_, _) if own.clone().next().is_none() => {
                format!("the recording knows no server {server}")
            }
            (Some(tool), true) => {
                let names: Vec<String> = own.filter_map(|s| called(&s)).collect();
                if let Some(meant) = spelling::nearest(tool, names.iter().map(String::as_str)) {
                    hints.push(format!("did it mean {meant}?"));
                }
                format!("the recording has no call of {tool}")
            }
            (None, true) => format!("the recording has no {} of this server", live.method),
            (_, false) if same.iter().any(|s| s.subject == live.subject()) => {
                "the recording has this call, but it was answered already: it is called once more than recorded".into()
            }
            (_, false) => {
                nearest = self.differences(&same, live);
                "the recording has it with other arguments only".into()
            }
        };
        let itself = match server {
            SHIM => "to run the function itself",
            _ => "to let the server itself answer",
        };
        hints.push(format!("{itself} from here on: `retake fork RUN --at STEP`"));
        Miss { asked, reason, nearest, hints: self.named(hints, &same) }
    }

    /// Hints with the run and the step before the nearest call in them.
    fn named(&self, hints: Vec<String>, same: &[&Spoken]) -> Vec<String> {
        let step = same.first().and_then(|s| self.run.number_of(StepKind::Tool { site: s.site? }));
        let at = step.map_or(0, |step| step.saturating_sub(1));
        hints
            .into_iter()
            .map(|hint| hint.replace("RUN --at STEP", &format!("{} --at {at}", self.name)))
            .collect()
    }

    pub(super) fn differences(&self, same: &[&Spoken], live: &Message) -> Vec<Near> {
        let near = |spoken: &&Spoken| {
            let (path, recorded, now) = first_difference("", &spoken.message.content, &live.content)?;
            let outline = self.run.shared_outline();
            let lane = spoken.site.and_then(|site| outline.lanes.get(site.lane as usize));
            Some(Near {
                lane: lane.map_or_else(|| spoken.server.clone(), |lane| lane.key.clone()),
                turn: spoken.site.map_or(0, |site| site.turn),
                step: spoken.site.and_then(|site| self.run.number_of(StepKind::Tool { site })),
                why: "what is asked differs".into(),
                path,
                recorded,
                live: now,
                rule: None,
            })
        };
        same.iter().filter_map(near).collect()
    }
}

/// The first place where two values differ, and what stands there.
fn first_difference(path: &str, recorded: &Value, live: &Value) -> Option<(String, String, String)> {
    if let (Value::Object(then), Value::Object(now)) = (recorded, live) {
        let names = then.keys().chain(now.keys().filter(|name| !then.contains_key(*name)));
        let mut names = names.filter(|name| *name != "_meta");
        return names.find_map(|name| {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let nothing = &Value::Null;
            first_difference(&below, then.get(name).unwrap_or(nothing), now.get(name).unwrap_or(nothing))
        });
    }
    (recorded != live).then(|| (path.to_string(), recorded.to_string(), live.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_named() {
        let then = json!({"name": "stock", "arguments": {"item": "gadget"}, "_meta": {"progressToken": 1}});
        let now = json!({"name": "stock", "arguments": {"item": "widget"}, "_meta": {"progressToken": 2}});
        let (path, recorded, live) = first_difference("", &then, &now).unwrap();
        assert_eq!(
            (path.as_str(), recorded.as_str(), live.as_str()),
            ("arguments.item", "\"gadget\"", "\"widget\"")
        );
        assert_eq!(first_difference("", &then, &then), None);
    }
}
