//! Which lane and turn an exchange belongs to.

use super::ModelCall;
use super::kinship::{self, Claims};
use super::numbering;
use super::quotes::QuoteIndex;
use crate::dialect::conversation::{Block, ModelAnswer, ModelRequest, Role};
use crate::dialect::histories::Histories;
use crate::exchange::{ExchangeId, StandIn};
use crate::run::likeness::{self, Key};
use crate::run::outline::{CallSite, Lane, LaneKind, Outline, ToolCallRef, ToolResultRef, Turn};
use crate::run::reading::{Reading, last_assistant, readings};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Characters of an answer, of a tool result, bytes of arguments that are kept for one-line views.
const TEXT_CHARS: usize = 200;
const RESULT_CHARS: usize = 2_000;
const ARGS_BYTES: usize = 2_000;

/// A lane while the run is read.
pub(super) struct OpenLane {
    pub lane: Lane,
    pub path: String,
    /// System blocks and tools of its first request.
    pub head: Key,
    pub system: Key,
    pub has_tools: bool,
    /// Keys of its last request's readings.
    keys: Vec<Key>,
    /// The last answer that can be sent back, and the turn that gave it.
    echoes: Vec<Key>,
    /// How many readings the request had that it answered.
    echo_at: usize,
    answered_turn: u32,
    answered_us: u64,
    /// Text of that answer.
    pub last_text: String,
    pub agent_id: Option<String>,
    /// Beginning of the first user text.
    pub first_text: String,
    /// Lanes whose answers its first request quotes.
    pub quotes: Vec<u32>,
    /// Key of its first request.
    pub first_key: Key,
    /// The lane that goes on after it.
    pub continued_by: Option<u32>,
    /// The lane that went back to an earlier answer of it, the last of them.
    pub rewound_by: Option<u32>,
    /// Key of its last request, when the last attempt failed.
    failing: Option<Key>,
}

/// How many short answers are listened for.
const MOST_WHISPERS: usize = 64;

/// Builds the outline of a run, one exchange after the other.
#[derive(Default)]
pub struct LaneBuilder {
    pub(super) lanes: Vec<OpenLane>,
    pub(super) others: Vec<ExchangeId>,
    pub(super) stand_ins: BTreeSet<StandIn>,
    /// What providers keep between requests.
    pub(super) histories: Histories,
    /// Lanes by the echo of their last answer.
    by_echo: HashMap<Key, Vec<u32>>,
    /// Lanes by the echo of every answer they had.
    told: HashMap<Key, Vec<u32>>,
    /// Lanes whose last attempt failed, by that request's key.
    failing: HashMap<Key, Vec<u32>>,
    pub(super) claims: Claims,
    quoted: QuoteIndex,
    /// Lanes whose answers a later request quotes.
    pub(super) heard: BTreeSet<u32>,
    /// Short answers of calls that may be side calls, with their lanes.
    whispers: Vec<(String, u32)>,
    /// True once a request said that it is a retry: then requests that do not say so are none.
    pub(super) retries_are_declared: bool,
}

/// What a request looks like to the builder.
struct Seen<'a> {
    readings: Vec<Reading<'a>>,
    keys: Vec<Key>,
    request_key: Key,
    system: Key,
}

impl LaneBuilder {
    /// Notes an exchange that is no model call.
    pub fn add_other(&mut self, id: ExchangeId) {
        self.others.push(id);
    }

    /// Adds the next model call, in order of arrival.
    pub fn add_call(&mut self, call: &ModelCall<'_>) {
        let readings = readings(&call.request.messages);
        let keys = likeness::reading_keys(&readings);
        let request_key = likeness::request_key_of(call.request, &keys);
        let system = likeness::echo_key(call.request.system.iter());
        let seen = Seen { readings, keys, request_key, system };
        self.retries_are_declared |= call.context.retry_count > 0;
        let at = match self.retried(call, &seen) {
            Some(lane) => {
                self.attempt(lane, call, &seen);
                lane
            }
            None => match self.extended(call, &seen) {
                Some(lane) => {
                    self.extend(lane, call, &seen);
                    lane
                }
                None => self.begin(call, &seen),
            },
        };
        self.note_answer(at, call, &seen);
    }

    /// Derives parents, continuations and the numbering.
    pub fn finish(mut self) -> Outline {
        kinship::merge_undeclared_retries(&mut self);
        kinship::settle_parents(&mut self);
        kinship::tell_side_calls(&mut self);
        let lanes = self.lanes.into_iter().map(|l| l.lane).collect();
        let stand_ins = self.stand_ins.into_iter().collect();
        let mut outline = Outline { lanes, steps: Vec::new(), others: self.others, stand_ins };
        numbering::name(&mut outline);
        numbering::number(&mut outline);
        outline
    }

    /// The lane whose last attempt failed and is tried again by this request.
    fn retried(&self, call: &ModelCall<'_>, seen: &Seen<'_>) -> Option<u32> {
        let open = self.failing.get(&seen.request_key)?;
        let agrees = |lane: &OpenLane| {
            lane.path == call.path
                && !matches!((&lane.agent_id, &call.context.agent_id), (Some(a), Some(b)) if a != b)
        };
        let known = |index: &u32| self.lanes.get(*index as usize).filter(|l| agrees(l));
        if call.context.retry_count == 0 {
            // A sibling's first request has the same bytes: only a later turn is surely the same lane's.
            return open.iter().copied().find(|i| {
                known(i).is_some_and(|l| l.lane.turns.len() > 1 && l.answered_us <= call.started_us)
            });
        }
        let tried = |l: &OpenLane| l.lane.turns.last().map_or(0, |t| t.attempts.len());
        let mut fitting: Vec<(bool, bool, u32)> = open
            .iter()
            .filter_map(|i| known(i).map(|l| (i, l)))
            .map(|(i, l)| {
                (l.agent_id != call.context.agent_id, tried(l) != call.context.retry_count as usize, *i)
            })
            .collect();
        fitting.sort_unstable();
        fitting.first().map(|f| f.2)
    }

    /// The lane whose last answer this request sends back.
    fn extended(&self, call: &ModelCall<'_>, seen: &Seen<'_>) -> Option<u32> {
        let last = last_assistant(&seen.readings)?;
        let echoes = seen.readings.get(last).map(likeness::reading_echoes)?;
        echoes.iter().find_map(|echo| self.answered(call, seen, last, echo))
    }

    /// The lane whose last answer has this echo and that this request goes on.
    fn answered(&self, call: &ModelCall<'_>, seen: &Seen<'_>, last: usize, echo: &Key) -> Option<u32> {
        let fitting = self.by_echo.get(echo)?.iter().filter_map(|&index| {
            let lane = self.lanes.get(index as usize)?;
            let same_voice = lane.system == seen.system || (lane.has_tools && !call.request.tools.is_empty());
            let in_place = lane.echo_at == last;
            // Agents that cut their history short move the answer: then its tool-call ids must tell.
            let told_by_ids =
                lane.lane.turns.get(lane.answered_turn as usize).is_some_and(|t| !t.calls.is_empty());
            if lane.path != call.path || !same_voice || !(in_place || told_by_ids) {
                return None;
            }
            let equal = lane.keys.iter().zip(&seen.keys).filter(|(a, b)| a == b).count();
            let before = lane.answered_us <= call.started_us;
            let glue = lane.agent_id == call.context.agent_id;
            // One that has been asked again since, in vain, is less likely than its twin.
            let waits = lane.answered_turn as usize + 1 == lane.lane.turns.len();
            Some((
                in_place,
                before,
                (glue, waits),
                lane.system == seen.system,
                equal,
                std::cmp::Reverse(lane.answered_us),
                index,
            ))
        });
        fitting
            .max_by(|a, b| (a.0, a.1, a.2, a.3, a.4, a.5).cmp(&(b.0, b.1, b.2, b.3, b.4, b.5)))
            .map(|f| f.6)
    }

    fn attempt(&mut self, index: u32, call: &ModelCall<'_>, seen: &Seen<'_>) {
        self.close_failure(index);
        let Some(lane) = self.lanes.get_mut(index as usize).map(|l| &mut l.lane) else { return };
        if let Some(turn) = lane.turns.last_mut() {
            turn.attempts.push(call.id);
        }
        if lane.turns.len() == 1 && lane.continues.is_none() && last_assistant(&seen.readings).is_none() {
            self.claims.begin(index, &opening_texts(&seen.readings), call, &self.lanes);
        }
    }

    /// A lane's failed attempt is not open any more.
    fn close_failure(&mut self, index: u32) {
        let Some(key) = self.lanes.get_mut(index as usize).and_then(|l| l.failing.take()) else { return };
        if let Some(open) = self.failing.get_mut(&key) {
            open.retain(|i| *i != index);
            if open.is_empty() {
                self.failing.remove(&key);
            }
        }
    }

    fn extend(&mut self, index: u32, call: &ModelCall<'_>, seen: &Seen<'_>) {
        // A failed turn is left behind: whatever is asked now is no retry of it.
        self.close_failure(index);
        let Some(lane) = self.lanes.get_mut(index as usize) else { return };
        let turn = lane.answered_turn;
        let at = lane.echo_at;
        lane.keys.clone_from(&seen.keys);
        lane.lane.turns.push(new_turn(call, seen));
        let last = last_assistant(&seen.readings).unwrap_or(at);
        for piece in seen.readings.iter().skip(last + 1).flat_map(|r| &r.pieces) {
            if let Block::Text { text } | Block::ToolResult { text, .. } = piece.block {
                self.hear(text);
            }
            let (Some(call_index), Block::ToolResult { text, is_error, .. }) = (piece.answers, piece.block)
            else {
                continue;
            };
            let site = CallSite { lane: index, turn, call: call_index as u32 };
            self.claims.join(site, text, call.started_us, &self.lanes);
            let Some(lane) = self.lanes.get_mut(index as usize) else { continue };
            if let Some(asked) =
                lane.lane.turns.get_mut(turn as usize).and_then(|t| t.calls.get_mut(call_index))
                && asked.result.is_none()
            {
                asked.result = Some(ToolResultRef {
                    exchange: call.id,
                    message: piece.message as u32,
                    block: piece.index as u32,
                    text: cut(text, RESULT_CHARS),
                    is_error: *is_error,
                    seen_us: call.started_us,
                });
            }
        }
    }

    fn begin(&mut self, call: &ModelCall<'_>, seen: &Seen<'_>) -> u32 {
        let index = self.lanes.len() as u32;
        let texts = opening_texts(&seen.readings);
        let mut quotes: BTreeMap<u32, usize> = BTreeMap::new();
        for text in &texts {
            for (lane, n) in self.quoted.scan(text) {
                *quotes.entry(lane).or_default() += n;
            }
        }
        let mut lane = OpenLane {
            lane: Lane {
                key: String::new(),
                kind: LaneKind::Root,
                parent: None,
                parent_unknown: false,
                continues: None,
                rewinds: None,
                named: call.context.lane.clone(),
                turns: vec![new_turn(call, seen)],
            },
            path: call.path.to_string(),
            head: likeness::head_key(call.request),
            system: seen.system,
            has_tools: !call.request.tools.is_empty(),
            keys: seen.keys.clone(),
            echoes: Vec::new(),
            echo_at: 0,
            answered_turn: 0,
            answered_us: 0,
            last_text: String::new(),
            agent_id: call.context.agent_id.clone(),
            first_text: texts.first().map(|t| cut(t, TEXT_CHARS)).unwrap_or_default(),
            quotes: Vec::new(),
            first_key: seen.request_key,
            continued_by: None,
            rewound_by: None,
            failing: None,
        };
        let fresh = last_assistant(&seen.readings).is_none();
        lane.lane.continues = if fresh {
            kinship::continued(&lane, texts.first().copied(), &quotes, &self.lanes)
        } else {
            None
        };
        lane.lane.rewinds = if fresh { None } else { self.rewound(&lane, seen) };
        if let Some(old) = lane.lane.rewinds.and_then(|old| self.lanes.get_mut(old as usize)) {
            old.rewound_by = Some(index);
        }
        lane.quotes = quotes.into_keys().collect();
        self.heard.extend(&lane.quotes);
        texts.iter().for_each(|text| self.hear(text));
        if let Some(old) = lane.lane.continues.and_then(|old| self.lanes.get_mut(old as usize)) {
            old.continued_by = Some(index);
        }
        if fresh && lane.lane.continues.is_none() {
            self.claims.begin(index, &texts, call, &self.lanes);
        }
        self.lanes.push(lane);
        index
    }

    /// The lane that a new one goes back in: it carries an earlier answer of it, and most of its history.
    fn rewound(&self, new: &OpenLane, seen: &Seen<'_>) -> Option<u32> {
        let last = last_assistant(&seen.readings)?;
        let echoes = seen.readings.get(last).map(likeness::reading_echoes)?;
        let like = |index: &u32| {
            let open = self.lanes.get(*index as usize)?;
            let same_voice = open.path == new.path && open.head == new.head && open.agent_id == new.agent_id;
            let equal = open.keys.iter().zip(&seen.keys).take_while(|(a, b)| a == b).count();
            same_voice.then_some((equal, *index))
        };
        let told = echoes.iter().find_map(|echo| self.told.get(echo))?;
        told.iter().filter_map(like).max().map(|(_, index)| index)
    }

    /// Notes which answers a text quotes.
    fn hear(&mut self, text: &str) {
        self.heard.extend(self.quoted.scan(text).into_keys());
        let quoted = self.whispers.iter().filter(|(said, _)| text.contains(said.as_str()));
        self.heard.extend(quoted.map(|(_, lane)| *lane));
    }

    /// Takes in the answer of a lane's last turn.
    fn note_answer(&mut self, index: u32, call: &ModelCall<'_>, seen: &Seen<'_>) {
        let Some(lane) = self.lanes.get_mut(index as usize) else { return };
        let number = lane.lane.turns.len().saturating_sub(1) as u32;
        let Some(turn) = lane.lane.turns.last_mut() else { return };
        turn.ended_us = if call.ended_us > call.started_us { call.ended_us } else { turn.started_us };
        turn.error = call.error.clone();
        if let Some(answer) = call.answer {
            take_answer(turn, answer);
        }
        if turn.error.is_some() {
            lane.failing = Some(seen.request_key);
            self.failing.entry(seen.request_key).or_default().push(index);
        }
        let Some(answer) = call.answer.filter(|a| !a.blocks.is_empty()) else { return };
        for old in std::mem::take(&mut lane.echoes) {
            if let Some(list) = self.by_echo.get_mut(&old) {
                list.retain(|i| *i != index);
                if list.is_empty() {
                    self.by_echo.remove(&old);
                }
            }
        }
        let echo = likeness::echo_key(answer.blocks.iter());
        lane.echoes = std::iter::once(echo).chain(likeness::calls_key(answer.blocks.iter())).collect();
        lane.echo_at = seen.keys.len();
        lane.answered_turn = number;
        lane.answered_us = call.ended_us;
        lane.last_text = answer.text();
        let said = lane.last_text.trim();
        let may_be_side = lane.lane.turns.len() == 1 && !lane.has_tools;
        if may_be_side && said.len() < QuoteIndex::SHORTEST && self.whispers.len() < MOST_WHISPERS {
            self.whispers.push((said.to_string(), index));
        }
        for echo in &lane.echoes {
            self.by_echo.entry(*echo).or_default().push(index);
            self.told.entry(*echo).or_default().push(index);
        }
        self.quoted.add(&lane.last_text, index);
        self.claims.offer(index, number, answer, call);
    }
}

fn new_turn(call: &ModelCall<'_>, seen: &Seen<'_>) -> Turn {
    let ModelRequest { model, messages, .. } = call.request;
    Turn {
        attempts: vec![call.id],
        model: model.clone(),
        messages: messages.len() as u32,
        request_key: seen.request_key,
        body_key: call.body_key,
        answer_key: None,
        started_us: call.started_us,
        ended_us: call.ended_us,
        usage: None,
        text: String::new(),
        error: None,
        calls: Vec::new(),
    }
}

fn take_answer(turn: &mut Turn, answer: &ModelAnswer) {
    turn.answer_key = likeness::answer_key(answer);
    turn.usage = answer.usage;
    turn.text = cut(&answer.text(), TEXT_CHARS);
    turn.calls = answer
        .tool_calls()
        .map(|(id, name, args)| ToolCallRef {
            id: id.to_string(),
            name: name.to_string(),
            args: short_args(args),
            result: None,
        })
        .collect();
}

/// The texts with which a conversation opens: those of its user messages before the first answer.
fn opening_texts<'a>(readings: &[Reading<'a>]) -> Vec<&'a str> {
    readings
        .iter()
        .take_while(|r| r.role != Role::Assistant)
        .filter(|r| r.role == Role::User)
        .flat_map(|r| &r.pieces)
        .filter_map(|p| match p.block {
            Block::Text { text } => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// The first `chars` characters.
fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

fn short_args(args: &Value) -> Value {
    let text = args.to_string();
    if text.len() <= ARGS_BYTES { args.clone() } else { Value::String(cut(&text, ARGS_BYTES)) }
}
