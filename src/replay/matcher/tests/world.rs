//! Runs a synthetic agent under a schedule, against whatever answers it, and judges what it got.

use super::program::{Job, Program, Rng, Say};
use super::tape::{Tape, Taped, body_key, failure, request, result, text, user};
use crate::dialect::conversation::{Block, Message, ModelAnswer, Role};
use crate::exchange::{ExchangeId, SpanContext};
use crate::replay::matcher::{Ask, Counters, Decision, Matcher, Options, Recording};
use crate::run::likeness;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

pub enum Given {
    Answer { exchange: u32, answer: Arc<ModelAnswer> },
    Refused(String),
}
pub type Out = Vec<(u32, Given)>;

pub trait Answerer {
    fn ask(&mut self, ask: Ask, truth: (&str, u32, u32), now: u64) -> Out;
    fn delivered(&mut self, rid: u32, now: u64) -> Out;
    fn idle(&mut self) -> Out;
}

enum Event {
    Ask { lane: usize, attempt: u32 },
    Tool { lane: usize, call: usize, text: String },
    Arrive { rid: u32, answer: Arc<ModelAnswer> },
}

struct Talk {
    path: String,
    agent: String,
    parent_agent: Option<String>,
    messages: Vec<Message>,
    turn: u32,
    calls: Vec<String>,
    results: Vec<Option<String>>,
    arrived: Vec<usize>,
    parent: Option<(usize, usize)>,
}

/// A request and what it got.
pub struct Entry {
    pub path: String,
    pub turn: u32,
    pub served: Option<u32>,
}

pub struct Run<'a> {
    program: &'a Program,
    tag: u64,
    rng: Rng,
    now: u64,
    heap: BinaryHeap<Reverse<(u64, usize)>>,
    events: Vec<Option<Event>>,
    lanes: Vec<Talk>,
    /// Who waits for which request.
    waiting: HashMap<u32, (usize, u32)>,
    pub log: Vec<Entry>,
    pub refused: Option<String>,
}

pub fn run<'a>(program: &'a Program, schedule: u64, tag: u64, answerer: &mut dyn Answerer) -> Run<'a> {
    let mut run = Run {
        program,
        tag,
        rng: Rng::new(schedule),
        now: 0,
        heap: BinaryHeap::new(),
        events: Vec::new(),
        lanes: Vec::new(),
        waiting: HashMap::new(),
        log: Vec::new(),
        refused: None,
    };
    for (group, prompts) in program.roots.iter().enumerate() {
        run.begin(format!("{group}.0"), &prompts[0], None);
    }
    while run.refused.is_none() {
        match run.heap.pop() {
            Some(Reverse((at, event))) => {
                run.now = at;
                if let Some(event) = run.events[event].take() {
                    run.happen(event, answerer);
                }
            }
            None if run.waiting.is_empty() => break,
            None => {
                let out = answerer.idle();
                assert!(!out.is_empty(), "answers are held back for ever");
                run.take(out);
            }
        }
    }
    run
}

impl Run<'_> {
    fn at(&mut self, within: u64, event: Event) {
        let delay = 1 + self.rng.below(within);
        self.heap.push(Reverse((self.now + delay, self.events.len())));
        self.events.push(Some(event));
    }

    fn begin(&mut self, path: String, prompt: &str, parent: Option<(usize, usize)>) {
        let parent_agent = parent.and_then(|(lane, _)| self.lanes.get(lane)).map(|l| l.agent.clone());
        let agent = format!("a{}-{}", self.tag, self.lanes.len());
        self.lanes.push(Talk {
            path,
            agent,
            parent_agent,
            messages: vec![user(vec![text(prompt)])],
            turn: 0,
            calls: vec![],
            results: vec![],
            arrived: vec![],
            parent,
        });
        self.at(300, Event::Ask { lane: self.lanes.len() - 1, attempt: 0 });
    }

    fn happen(&mut self, event: Event, answerer: &mut dyn Answerer) {
        match event {
            Event::Ask { lane, attempt } => {
                let rid = self.log.len() as u32;
                let talk = &self.lanes[lane];
                let mut context = SpanContext::default();
                if self.program.agent_ids {
                    context.agent_id = Some(talk.agent.clone());
                    context.parent_agent_id = talk.parent_agent.clone();
                }
                context.retry_count = if self.program.declares_retries { attempt } else { 0 };
                let ask = Ask {
                    id: ExchangeId(rid),
                    dialect: "anthropic-messages",
                    path: "/v1/messages".into(),
                    context,
                    request: request(talk.messages.clone()),
                };
                self.log.push(Entry { path: talk.path.clone(), turn: talk.turn, served: None });
                self.waiting.insert(rid, (lane, attempt));
                let truth = (talk.path.clone(), talk.turn);
                let out = answerer.ask(ask, (&truth.0, truth.1, attempt), self.now);
                self.take(out);
            }
            Event::Arrive { rid, answer } => {
                let out = answerer.delivered(rid, self.now);
                self.take(out);
                let Some((lane, attempt)) = self.waiting.remove(&rid) else { return };
                if answer.error.is_some() {
                    self.at(100, Event::Ask { lane, attempt: attempt + 1 });
                } else {
                    self.act(lane, &answer);
                }
            }
            Event::Tool { lane, call, text } => self.result(lane, call, text),
        }
    }

    fn take(&mut self, out: Out) {
        for (rid, given) in out {
            match given {
                Given::Refused(why) => self.refused = Some(why),
                Given::Answer { exchange, answer } => {
                    if answer.error.is_none() {
                        self.log[rid as usize].served = Some(exchange);
                    }
                    self.at(1000, Event::Arrive { rid, answer });
                }
            }
        }
    }

    /// The agent does what the answer says.
    fn act(&mut self, lane: usize, answer: &ModelAnswer) {
        let talk = &mut self.lanes[lane];
        talk.messages.push(Message { role: Role::Assistant, blocks: answer.blocks.clone() });
        let (path, turn) = (talk.path.clone(), talk.turn);
        talk.turn += 1;
        let calls: Vec<(String, String, serde_json::Value)> =
            answer.tool_calls().map(|(id, name, args)| (id.into(), name.into(), args.clone())).collect();
        if calls.is_empty() {
            return self.finish(lane, answer.text());
        }
        talk.calls = calls.iter().map(|c| c.0.clone()).collect();
        talk.results = vec![None; calls.len()];
        talk.arrived.clear();
        for (i, (_, name, args)) in calls.iter().enumerate() {
            if name == "task" {
                self.begin(format!("{path}/{turn}.{i}"), args["prompt"].as_str().unwrap(), Some((lane, i)));
                continue;
            }
            let text = match &self.program.jobs[args["cmd"].as_str().unwrap()] {
                Job::Plain(text) => text.clone(),
                Job::Flaky => format!("found in run {} at {}", self.tag, self.rng.next()),
                Job::Hidden => format!("tree {}", path.rsplit('.').next().unwrap()),
            };
            self.at(1000, Event::Tool { lane, call: i, text });
        }
    }

    fn finish(&mut self, lane: usize, text: String) {
        let talk = &self.lanes[lane];
        match talk.parent {
            Some((parent, call)) => self.result(parent, call, text),
            None => {
                let (group, n) = talk.path.split_once('.').unwrap();
                let next = n.parse::<usize>().unwrap() + 1;
                if let Some(prompt) = self.program.roots[group.parse::<usize>().unwrap()].get(next) {
                    self.begin(format!("{group}.{next}"), prompt, None);
                }
            }
        }
    }

    fn result(&mut self, lane: usize, call: usize, text: String) {
        let talk = &mut self.lanes[lane];
        talk.results[call] = Some(text);
        talk.arrived.push(call);
        if talk.arrived.len() < talk.calls.len() {
            return;
        }
        let order: Vec<usize> =
            if self.program.by_completion { talk.arrived.clone() } else { (0..talk.calls.len()).collect() };
        let results: Vec<Block> =
            order.iter().map(|c| result(&talk.calls[*c], talk.results[*c].as_deref().unwrap())).collect();
        if self.program.openai {
            talk.messages.extend(results.into_iter().map(|b| Message { role: Role::Tool, blocks: vec![b] }));
        } else {
            talk.messages.push(user(results));
        }
        self.at(100, Event::Ask { lane, attempt: 0 });
    }
}

/// The model while it is recorded.
#[derive(Default)]
pub struct Scripted {
    script: BTreeMap<String, Vec<Say>>,
    repeats_ids: bool,
    pub calls: Vec<Taped>,
    pub truth: HashMap<u32, (String, u32)>,
}

impl Answerer for Scripted {
    fn ask(&mut self, ask: Ask, (path, turn, attempt): (&str, u32, u32), now: u64) -> Out {
        let say = &self.script[path][turn as usize];
        let id = ask.id.0;
        let answer = if attempt < say.fails {
            failure()
        } else {
            let mut blocks = vec![text(&say.text)];
            blocks.extend(say.calls.iter().enumerate().map(|(i, (name, args))| Block::ToolCall {
                id: if self.repeats_ids { format!("call_{i}") } else { format!("call_{id}_{i}") },
                name: name.to_string(),
                args: args.clone(),
            }));
            ModelAnswer { blocks, whole: true, ..ModelAnswer::default() }
        };
        let answer = Arc::new(answer);
        self.truth.insert(id, (path.to_string(), turn));
        self.calls.push(Taped {
            id,
            started: now,
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
    fn idle(&mut self) -> Out {
        vec![]
    }
}

/// A recorded run, with the truth about every exchange.
pub struct Recorded {
    pub tape: Tape,
    pub truth: HashMap<u32, (String, u32)>,
}

pub fn record(program: &Program, schedule: u64) -> Recorded {
    let mut model =
        Scripted { script: program.script.clone(), repeats_ids: program.repeats_ids, ..Scripted::default() };
    let run = run(program, schedule, 1, &mut model);
    assert!(run.refused.is_none());
    Recorded { tape: Tape::new(model.calls), truth: model.truth }
}

/// The matcher under test.
pub struct Matched(pub Matcher<Tape>);

impl Matched {
    pub fn new(tape: &Tape) -> Matched {
        Matched(tape.matcher(Options::default()))
    }
    pub fn counters(&self) -> Counters {
        self.0.counters()
    }
    fn give(&self, decisions: Vec<Decision>) -> Out {
        let one = |decision: Decision| match decision {
            Decision::Serve { id, lane, turn, attempt, .. } => {
                let exchange = self.0.recording().exchange(lane, turn, attempt);
                let answer = Arc::clone(&self.0.recording().calls[&exchange].answer);
                (id.0, Given::Answer { exchange, answer })
            }
            Decision::Live { id, .. } => (id.0, Given::Refused("live in a replay".into())),
            Decision::Miss { id, miss } => (id.0, Given::Refused(format!("{miss:#?}"))),
        };
        decisions.into_iter().map(one).collect()
    }
}

impl Answerer for Matched {
    fn ask(&mut self, ask: Ask, _: (&str, u32, u32), _: u64) -> Out {
        // Every other request is first looked for by its bytes, so that both ways are taken in turn.
        let by_bytes = ask.id.0.is_multiple_of(2).then(|| body_key(&ask.path, &ask.request));
        let placed = by_bytes.and_then(|key| self.0.on_bytes(ask.id, &key, b"", &ask.context));
        let decisions = placed.unwrap_or_else(|| self.0.on_request(ask));
        self.give(decisions)
    }
    fn delivered(&mut self, rid: u32, _: u64) -> Out {
        let decisions = self.0.delivered(ExchangeId(rid));
        self.give(decisions)
    }
    fn idle(&mut self) -> Out {
        let decisions = self.0.idle();
        self.give(decisions)
    }
}

#[derive(Debug, PartialEq, Eq, Clone, Copy, PartialOrd, Ord)]
pub enum Verdict {
    Right,
    /// Only identical calls of one message were exchanged.
    Exchanged,
    Stopped,
    Wrong,
}

/// Judges a replay by the truth. A replay that stops is loud about it, whatever came before.
pub fn verdict(program: &Program, recorded: &Recorded, run: &Run<'_>) -> Verdict {
    if run.refused.is_some() {
        return Verdict::Stopped;
    }
    let mut lane_of: BTreeMap<&str, &str> = BTreeMap::new();
    let good = recorded.tape.calls.values().filter(|c| c.answer.error.is_none());
    let shape_of: HashMap<(&str, u32), likeness::Key> = good
        .map(|c| (&recorded.truth[&c.id], likeness::shape_key(&c.answer)))
        .map(|((path, turn), shape)| ((path.as_str(), *turn), shape))
        .collect();
    for entry in &run.log {
        let Some(exchange) = entry.served else { continue };
        let (path, turn) = &recorded.truth[&exchange];
        // An answer that says the same is the same, whichever lane it is taken from.
        let own = shape_of.get(&(entry.path.as_str(), entry.turn));
        if path != &entry.path && own == Some(&likeness::shape_key(&recorded.tape.calls[&exchange].answer)) {
            continue;
        }
        if *turn != entry.turn || *lane_of.entry(&entry.path).or_insert(path) != path {
            return Verdict::Wrong;
        }
    }
    let mut taken: Vec<&str> = lane_of.values().copied().collect();
    taken.sort_unstable();
    if taken.windows(2).any(|w| w[0] == w[1]) {
        return Verdict::Wrong;
    }
    let prompt_of = |path: &str| -> Option<&serde_json::Value> {
        let (parent, place) = path.rsplit_once('/')?;
        let (turn, call) = place.split_once('.')?;
        let say = program.script.get(parent)?.get(turn.parse::<usize>().ok()?)?;
        say.calls.get(call.parse::<usize>().ok()?).map(|c| &c.1)
    };
    let hidden = |path: &str| {
        program.script[path].iter().flat_map(|s| &s.calls).any(|c| {
            c.1.get("cmd").is_some_and(|cmd| matches!(program.jobs[cmd.as_str().unwrap()], Job::Hidden))
        })
    };
    let mut exchanged = false;
    for (live, served) in lane_of.iter().filter(|(a, b)| a != b) {
        exchanged = true;
        let (Some((up, place)), Some((served_up, served_place))) =
            (live.rsplit_once('/'), served.rsplit_once('/'))
        else {
            return Verdict::Wrong;
        };
        let same_message = place.split_once('.').map(|p| p.0) == served_place.split_once('.').map(|p| p.0);
        let same_parent = lane_of.get(up).copied() == Some(served_up);
        if !same_message || !same_parent || hidden(served) {
            return Verdict::Wrong;
        }
        if prompt_of(served) != prompt_of(&format!("{served_up}/{place}")) {
            return Verdict::Wrong;
        }
    }
    let whole = run.log.iter().filter(|e| e.served.is_some()).count();
    let answers = recorded.tape.calls.values().filter(|c| c.answer.error.is_none()).count();
    if whole != answers {
        Verdict::Wrong
    } else if exchanged {
        Verdict::Exchanged
    } else {
        Verdict::Right
    }
}

/// A matcher's recording, for the deliberately wrong ones.
pub fn in_order(tape: &Tape) -> Vec<&Taped> {
    let mut calls: Vec<&Taped> = tape.calls.values().collect();
    calls.sort_by_key(|c| c.id);
    assert!(tape.outline().lanes.len() <= calls.len());
    calls
}
