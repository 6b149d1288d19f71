//! Who answers the agent: the model while it is recorded, the truth, the matcher, and two that are wrong on purpose.

use super::agent::{Answerer, Given, Out, Truth, run};
use super::history::write_call;
use super::program::{Ids, Program, Say};
use super::tape::{Tape, Taped, body_key, failure, text, written};
use super::values::{Values, masked};
use crate::dialect::conversation::{Block, ModelAnswer, ModelRequest};
use crate::exchange::ExchangeId;
use crate::holes::{Side, Surroundings};
use crate::replay::matcher::{Ask, Decision, Matcher, Options};
use crate::run::likeness;
use serde_json::Value;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// An answer of a program, with the values of a run.
fn spoken(program: &Program, say: &Say, id: u32, truth: &mut Truth<'_>) -> ModelAnswer {
    let mut filled = |template: &str| truth.values.fill(template, truth.path, 0);
    let mut said = filled(&say.text);
    let mut blocks: Vec<Block> = Vec::new();
    for (i, (name, args)) in say.calls.iter().enumerate() {
        let mut args = args.clone();
        for value in args.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
            *value = Value::String(filled(value.as_str().unwrap_or_default()));
        }
        let id = match program.ids {
            Ids::Unique => format!("call_{id}_{i}"),
            Ids::Repeated => format!("call_{i}"),
            Ids::Absent => {
                said += &write_call(name, &args);
                continue;
            }
        };
        blocks.push(Block::ToolCall { id, name: name.to_string(), args });
    }
    blocks.insert(0, text(&said));
    if let Some(reasoning) = &say.reasoning {
        blocks.insert(0, Block::Reasoning { text: reasoning.clone(), signed: true });
    }
    ModelAnswer { blocks, whole: true, ..ModelAnswer::default() }
}

/// The model while it is recorded.
struct Model<'p> {
    program: &'p Program,
    calls: Vec<Taped>,
    truth: HashMap<u32, (String, u32)>,
}

impl Answerer for Model<'_> {
    fn ask(&mut self, ask: Ask, mut truth: Truth<'_>) -> Out {
        let say = self.program.say(truth.path, truth.turn);
        let id = ask.id.0;
        let fails = truth.attempt < say.fails;
        let answer = Arc::new(if fails { failure() } else { spoken(self.program, &say, id, &mut truth) });
        self.truth.insert(id, (truth.path.to_string(), truth.turn));
        self.calls.push(Taped {
            id,
            started: truth.now,
            ended: u64::MAX,
            path: ask.path,
            context: ask.context,
            request: Arc::new(ask.request),
            answer: Arc::clone(&answer),
        });
        vec![(id, Given::Answer { exchange: id, answer })]
    }
    fn delivered(&mut self, rid: u32, now: u64) -> Out {
        self.calls.iter_mut().filter(|c| c.id == rid).for_each(|c| c.ended = now);
        vec![]
    }
}

/// A recorded run, with the truth about every exchange.
pub struct Recorded {
    pub tape: Tape,
    pub truth: HashMap<u32, (String, u32)>,
    pub side: Side,
}

/// Runs a program against its model.
pub fn record(program: &Program, schedule: u64) -> Recorded {
    let mut values = Values::new(schedule ^ 0x5eed, 0);
    let mut model = Model { program, calls: vec![], truth: HashMap::new() };
    let outcome = run(program, schedule, true, &mut values, &mut model);
    assert!(outcome.refused.is_none() && outcome.broken.is_none(), "{:?}", outcome.broken);
    Recorded { tape: Tape::new(model.calls), truth: model.truth, side: values.side }
}

/// Serves by ground truth: what no matcher can do better.
pub struct GroundTruth<'p> {
    program: &'p Program,
    /// Attempts in order, by path and turn.
    exchanges: HashMap<(&'p str, u32), Vec<u32>>,
    tape: &'p Tape,
}

impl<'p> GroundTruth<'p> {
    pub fn new(program: &'p Program, recorded: &'p Recorded) -> GroundTruth<'p> {
        let mut exchanges: HashMap<(&str, u32), Vec<u32>> = HashMap::new();
        let mut ids: Vec<_> = recorded.truth.iter().collect();
        ids.sort();
        for (id, (path, turn)) in ids {
            exchanges.entry((path, *turn)).or_default().push(*id);
        }
        GroundTruth { program, exchanges, tape: &recorded.tape }
    }
}

/// Why the truth refuses.
pub const UNRECORDED: &str = "the recording has no such request";

impl Answerer for GroundTruth<'_> {
    fn ask(&mut self, ask: Ask, mut truth: Truth<'_>) -> Out {
        let ids = self.exchanges.get(&(truth.path, truth.turn)).map_or(&[][..], Vec::as_slice);
        let say = self.program.say(truth.path, truth.turn);
        let fails = truth.attempt < say.fails;
        let is_failure = |id: &&u32| self.tape.calls[*id].answer.error.is_some();
        let given = match ids.iter().find(|id| is_failure(id) == fails) {
            Some(id) if fails => Given::Answer { exchange: *id, answer: Arc::new(failure()) },
            Some(id) => {
                let answer = Arc::new(spoken(self.program, &say, *id, &mut truth));
                Given::Answer { exchange: *id, answer }
            }
            None => Given::Refused(UNRECORDED.into()),
        };
        vec![(ask.id.0, given)]
    }
}

/// A change that a replayed request gets on its way.
pub type Mutation<'m> = Box<dyn Fn(&mut ModelRequest) + 'm>;

/// The matcher under test.
pub struct Matched<'m> {
    pub matcher: Matcher<Tape>,
    /// At which request, and what.
    pub mutation: Option<(u32, Mutation<'m>)>,
}

impl Matched<'_> {
    pub fn new(recorded: &Recorded, live: &Side) -> Matched<'static> {
        let surroundings = Surroundings { recorded: recorded.side.clone(), live: live.clone() };
        let options = Options { surroundings: Some(surroundings), ..Options::default() };
        Matched { matcher: recorded.tape.matcher(options), mutation: None }
    }

    fn give(&self, decisions: Vec<Decision>) -> Out {
        let tape = self.matcher.recording();
        let one = |decision: Decision| match decision {
            Decision::Serve { id, lane, turn, attempt, rewrite, .. } => {
                let exchange = tape.exchange(lane, turn, attempt);
                let answer = Arc::new(rewrite.answer(&tape.calls[&exchange].answer));
                (id.0, Given::Answer { exchange, answer })
            }
            Decision::Live { id, .. } => (id.0, Given::Refused("live in a replay".into())),
            Decision::Miss { id, miss } => {
                assert!(!miss.reason.is_empty(), "refused without a reason");
                (id.0, Given::Refused(format!("{miss:#?}")))
            }
        };
        decisions.into_iter().map(one).collect()
    }
}

impl Answerer for Matched<'_> {
    fn ask(&mut self, mut ask: Ask, _: Truth<'_>) -> Out {
        if let Some((at, mutation)) = &self.mutation
            && *at == ask.id.0
        {
            mutation(&mut ask.request);
        }
        // Every other request is first looked for by its bytes, so that both ways are taken in turn.
        let body = ask.id.0.is_multiple_of(2).then(|| written(&ask.request));
        let placed = body.and_then(|body| {
            let key = body_key(&ask.path, &ask.request);
            self.matcher.on_bytes(ask.id, &key, body.as_bytes(), &ask.context)
        });
        let decisions = placed.unwrap_or_else(|| self.matcher.on_request(ask));
        self.give(decisions)
    }
    fn delivered(&mut self, rid: u32, _: u64) -> Out {
        let decisions = self.matcher.delivered(ExchangeId(rid));
        self.give(decisions)
    }
    fn idle(&mut self) -> Out {
        let decisions = self.matcher.idle();
        self.give(decisions)
    }
}

/// The n-th request gets the n-th answer.
pub struct Nth<'p>(pub &'p Tape, pub u32);

impl Answerer for Nth<'_> {
    fn ask(&mut self, ask: Ask, _: Truth<'_>) -> Out {
        let given = match self.0.calls.get(&self.1) {
            Some(call) => Given::Answer { exchange: self.1, answer: Arc::clone(&call.answer) },
            None => Given::Refused("more requests than recorded".into()),
        };
        self.1 += 1;
        vec![(ask.id.0, given)]
    }
}

/// Requests in canonical form with everything masked that may vary, first in first out.
pub struct Fifo(HashMap<String, VecDeque<(u32, Arc<ModelAnswer>)>>);

impl Fifo {
    pub fn new(tape: &Tape) -> Fifo {
        let mut queues: HashMap<String, VecDeque<_>> = HashMap::new();
        let mut calls: Vec<&Taped> = tape.calls.values().collect();
        calls.sort_by_key(|c| c.id);
        for call in calls {
            queues
                .entry(canonical(&call.request))
                .or_default()
                .push_back((call.id, Arc::clone(&call.answer)));
        }
        Fifo(queues)
    }
}

impl Answerer for Fifo {
    fn ask(&mut self, ask: Ask, _: Truth<'_>) -> Out {
        let given = match self.0.get_mut(&canonical(&ask.request)).and_then(VecDeque::pop_front) {
            Some((exchange, answer)) => Given::Answer { exchange, answer },
            None => Given::Refused("no such request".into()),
        };
        vec![(ask.id.0, given)]
    }
}

fn canonical(request: &ModelRequest) -> String {
    let mut request = request.clone();
    let blocks = request.messages.iter_mut().flat_map(|m| &mut m.blocks);
    for block in blocks.chain(&mut request.system) {
        match block {
            Block::ToolCall { id, args, .. } => {
                id.clear();
                *args = Value::String(masked(&args.to_string()));
            }
            Block::ToolResult { call_id, text, .. } => {
                call_id.clear();
                *text = masked(text);
            }
            Block::Text { text } => *text = masked(text),
            _ => {}
        }
    }
    likeness::hex(&likeness::request_key(&request))
}
