//! The agent: runs a program's lanes, does what the answers say, and asks again.

use super::clock::{Clock, Queue};
use super::dice::{Dice, dice_for};
use super::history::Talk;
use super::program::{Job, Program, QUOTA, Summary};
use super::values::Values;
use crate::dialect::conversation::{Message, ModelAnswer, ModelRequest};
use crate::exchange::{ExchangeId, SpanContext};
use crate::replay::matcher::Ask;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// What a request gets.
pub enum Given {
    Answer { exchange: u32, answer: Arc<ModelAnswer> },
    Refused(String),
}
pub type Out = Vec<(u32, Given)>;

/// How often an agent tries again; no program needs so many.
const ATTEMPTS: u32 = 6;

/// What only the generator knows about a request.
pub struct Truth<'t> {
    pub path: &'t str,
    pub turn: u32,
    pub attempt: u32,
    pub now: u64,
    /// The values of the run that asks.
    pub values: &'t mut Values,
}

/// Whatever answers the agent's requests.
pub trait Answerer {
    fn ask(&mut self, ask: Ask, truth: Truth<'_>) -> Out;
    fn delivered(&mut self, _rid: u32, _now: u64) -> Out {
        vec![]
    }
    fn idle(&mut self) -> Out {
        vec![]
    }
}

/// A request and what it got.
pub struct Entry {
    pub path: String,
    pub turn: u32,
    /// Its first message.
    pub asked: String,
    /// The exchange whose answer it got; failed attempts do not count.
    pub served: Option<u32>,
}

/// What came of a run.
pub struct Outcome {
    pub log: Vec<Entry>,
    pub refused: Option<String>,
    /// What cannot be right: a tool got a value of another run.
    pub broken: Option<String>,
}

struct World<'a> {
    program: &'a Program,
    clock: Clock<'a>,
    schedule: u64,
    recording: bool,
    values: RefCell<&'a mut Values>,
    answerer: RefCell<&'a mut dyn Answerer>,
    log: RefCell<Vec<Entry>>,
    waiting: RefCell<HashMap<u32, Queue<Arc<ModelAnswer>>>>,
    refused: RefCell<Option<String>>,
    broken: RefCell<Option<String>>,
    probes: Cell<u32>,
}

/// A task's hold on the world.
type Shared<'a> = Rc<World<'a>>;

/// Runs a program under a schedule. The one that is recorded makes every side call there is.
pub fn run(
    program: &Program,
    schedule: u64,
    recording: bool,
    values: &mut Values,
    answerer: &mut dyn Answerer,
) -> Outcome {
    let world = Rc::new(World {
        program,
        clock: Clock::default(),
        schedule,
        recording,
        values: RefCell::new(values),
        answerer: RefCell::new(answerer),
        log: RefCell::default(),
        waiting: RefCell::default(),
        refused: RefCell::default(),
        broken: RefCell::default(),
        probes: Cell::new(0),
    });
    for group in 0..program.roots.len() {
        let shared = Rc::clone(&world);
        world.clock.spawn(async move {
            for (n, prompt) in shared.program.roots[group].iter().enumerate() {
                shared.pause(&format!("begin {group}.{n}"), 300).await;
                let path = format!("{group}.{n}");
                let prompt = shared.fill(prompt, &path);
                let agent = shared.values.borrow_mut().agent_id();
                lane(&shared, path, prompt, agent, None).await;
            }
        });
    }
    world.clock.run(|| world.refused.borrow().is_some() || world.broken.borrow().is_some(), || world.still());
    Outcome { log: world.log.take(), refused: world.refused.take(), broken: world.broken.take() }
}

impl<'a> World<'a> {
    fn dice(&self, what: &str) -> Dice {
        dice_for(self.schedule, what)
    }

    async fn pause(&self, what: &str, within: u64) {
        self.clock.sleep(1 + self.dice(what).below(within)).await;
    }

    fn fill(&self, template: &str, path: &str) -> String {
        self.values.borrow_mut().fill(template, path, self.clock.now() * 1_000)
    }

    /// Whether this run makes a side call here.
    fn makes(&self, side: &str, percent: u64) -> bool {
        (self.recording && !self.program.lossy) || self.dice(side).chance(percent)
    }

    /// Nothing is going to happen unless the answerer lets go of an answer.
    fn still(self: &Rc<World<'a>>) -> bool {
        if self.waiting.borrow().is_empty() {
            return false;
        }
        let out = self.answerer.borrow_mut().idle();
        assert!(!out.is_empty(), "answers are held back for ever");
        self.take(out);
        true
    }

    fn take(self: &Rc<World<'a>>, out: Out) {
        for (rid, given) in out {
            match given {
                Given::Refused(why) => *self.refused.borrow_mut() = Some(why),
                Given::Answer { exchange, answer } => {
                    let mut log = self.log.borrow_mut();
                    let entry = &mut log[rid as usize];
                    if answer.error.is_none() {
                        entry.served = Some(exchange);
                    }
                    let what = format!("answer {} {} {rid}", entry.path, entry.turn);
                    let shared = Rc::clone(self);
                    self.clock.spawn(async move {
                        shared.pause(&what, 1000).await;
                        let out = shared.answerer.borrow_mut().delivered(rid, shared.clock.now());
                        shared.take(out);
                        let queue = shared.waiting.borrow_mut().remove(&rid);
                        if let Some(queue) = queue {
                            shared.clock.send(&queue, answer);
                        }
                    });
                }
            }
        }
    }

    /// Asks until there is an answer.
    async fn ask(
        self: &Rc<World<'a>>,
        path: &str,
        turn: u32,
        context: &SpanContext,
        request: ModelRequest,
    ) -> Arc<ModelAnswer> {
        let mut attempt = 0;
        loop {
            let rid = self.log.borrow().len() as u32;
            let ask = Ask {
                id: ExchangeId(rid),
                dialect: "anthropic-messages",
                path: "/v1/messages".into(),
                context: SpanContext { retry_count: attempt, ..context.clone() },
                request: request.clone(),
            };
            let asked = request.messages.first().map(Message::text).unwrap_or_default();
            self.log.borrow_mut().push(Entry { path: path.into(), turn, asked, served: None });
            let queue = Queue::default();
            self.waiting.borrow_mut().insert(rid, queue.clone());
            let out = {
                let values = &mut **self.values.borrow_mut();
                let truth = Truth { path, turn, attempt, now: self.clock.now(), values };
                self.answerer.borrow_mut().ask(ask, truth)
            };
            self.take(out);
            let answer = self.clock.next(&queue).await;
            if answer.error.is_none() {
                return answer;
            }
            attempt += 1;
            if attempt > ATTEMPTS {
                // The agent gives up, and says so: that is not silent.
                *self.refused.borrow_mut() = Some(format!("{path} turn {turn} fails for ever"));
            }
            self.pause(&format!("retry {path} {turn} {attempt}"), 100).await;
        }
    }

    /// A call beside the conversation, of which nothing comes. Now and then it is made twice.
    fn aside(self: &Rc<World<'a>>, path: String, name: String, context: SpanContext, request: ModelRequest) {
        let times = if self.dice(&format!("again {name}")).chance(15) { 2 } else { 1 };
        for time in 0..times {
            let shared = Rc::clone(self);
            let (name, path) = (format!("{name} {time}"), path.clone());
            let (context, request) = (context.clone(), request.clone());
            self.clock.spawn(async move {
                shared.pause(&name, 300).await;
                shared.ask(&path, 0, &context, request).await;
            });
        }
    }

    /// What a tool returns.
    fn tool(&self, path: &str, command: &str) -> String {
        if let Some(complaint) = self.values.borrow().complaint(command) {
            *self.broken.borrow_mut() = Some(complaint.clone());
            return complaint;
        }
        let (name, job) = self.program.job(command);
        match job {
            Job::Returns(template) => self.fill(template, path),
            Job::Flaky => format!("found at {}", self.dice(&format!("flaky {path} {name}")).roll()),
            Job::Hidden => format!("tree {}", path.rsplit('.').next().unwrap_or_default()),
        }
    }
}

/// A conversation from its prompt to its last answer.
async fn lane<'a>(
    world: &Shared<'a>,
    path: String,
    prompt: String,
    agent: String,
    parent: Option<String>,
) -> String {
    let habits = world.program.habits(&path);
    let context = SpanContext {
        agent_id: habits.names_agents.then(|| agent.clone()),
        parent_agent_id: parent.filter(|_| habits.names_agents),
        ..SpanContext::default()
    };
    let system = world.fill(&habits.system, &path);
    let mut talk = Talk::new(world.program, habits, system, prompt);
    if habits.titles && world.makes(&format!("title {path}"), 60) {
        let request = talk.aside("You make titles.", format!("Make a title for: {}", talk.prompt));
        world.aside(format!("{path}#title"), format!("title {path}"), context.clone(), request);
    }
    if let Some(votes) = habits.votes {
        let said = samples(world, &path, &context, &talk, votes.count, votes.at_once).await;
        talk.begin(format!("{}\nVotes: {}", talk.prompt, said.join(" | ")));
    }
    for turn in 0.. {
        if habits.probes && world.makes(&format!("probe {path} {turn}"), 50) {
            world.probes.set(world.probes.get() + 1);
            let mut request = talk.aside("", "quota".into());
            request.params.insert("max_tokens".into(), 1.into());
            world.aside(QUOTA.into(), format!("probe {path} {turn}"), context.clone(), request);
        }
        if let Some((at, how)) = habits.compacts
            && at == turn
        {
            let request = match how {
                Summary::Inside => talk.asking("Summarise this conversation."),
                Summary::Aside => talk.aside("You summarise.", format!("Summarise:\n{}", talk.as_text())),
            };
            let summary = world.ask(&format!("{path}#summary"), 0, &context, request).await;
            talk.begin(format!("{}\nSummary so far: {}\nContinue.", talk.prompt, summary.text()));
        }
        if let Some((at, back)) = habits.rewinds
            && at == turn
        {
            talk.rewind(back);
        }
        let answer = world.ask(&path, turn, &context, talk.request()).await;
        let calls = talk.take(&answer);
        if calls.is_empty() {
            return answer.text();
        }
        let results = Queue::default();
        for (i, (name, args)) in calls.iter().enumerate() {
            let begun =
                Doing { call: i, path: path.clone(), turn, agent: agent.clone(), results: results.clone() };
            let text = |field: &str| args[field].as_str().unwrap_or_default().to_string();
            if name == "task" {
                delegate(world, begun, text("prompt"))
            } else {
                local(world, begun, text("cmd"))
            }
        }
        let mut came: Vec<(usize, String)> = Vec::new();
        while came.len() < calls.len() {
            came.push(world.clock.next(&results).await);
        }
        if !habits.by_completion {
            came.sort();
        }
        talk.results(came);
    }
    unreachable!()
}

/// A call that is being carried out.
struct Doing {
    call: usize,
    path: String,
    turn: u32,
    agent: String,
    results: Queue<(usize, String)>,
}

fn delegate<'a>(world: &Shared<'a>, doing: Doing, prompt: String) {
    let shared = Rc::clone(world);
    world.clock.spawn(async move {
        let path = format!("{}/{}.{}", doing.path, doing.turn, doing.call);
        shared.pause(&format!("begin {path}"), 300).await;
        let prompt = shared.fill(&prompt, &path);
        let agent = shared.values.borrow_mut().agent_id();
        let mut text = lane(&shared, path.clone(), prompt, agent.clone(), Some(doing.agent)).await;
        if shared.program.worker.signs_results {
            let usage = "<usage>subagent_tokens: 19\ntool_uses: 2\nduration_ms: {duration}</usage>";
            text = format!("{text}\nagentId: {agent}\n{}", shared.fill(usage, &path));
        }
        shared.clock.send(&doing.results, (doing.call, text));
    });
}

fn local<'a>(world: &Shared<'a>, doing: Doing, command: String) {
    let shared = Rc::clone(world);
    world.clock.spawn(async move {
        shared.pause(&format!("tool {} {} {}", doing.path, doing.turn, doing.call), 1000).await;
        let text = shared.tool(&doing.path, &command);
        shared.clock.send(&doing.results, (doing.call, text));
    });
}

async fn samples<'a>(
    world: &Shared<'a>,
    path: &str,
    context: &SpanContext,
    talk: &Talk<'_>,
    count: u32,
    at_once: bool,
) -> Vec<String> {
    let request = talk.aside("You vote.", "Vote on the plan.".into());
    let drawn: Queue<(u32, String)> = Queue::default();
    let mut said = Vec::new();
    for i in 0..count {
        let (shared, path) = (Rc::clone(world), format!("{path}#vote.{i}"));
        let (context, request, to) = (context.clone(), request.clone(), drawn.clone());
        world.clock.spawn(async move {
            shared.pause(&path, 100).await;
            let answer = shared.ask(&path, 0, &context, request).await;
            shared.clock.send(&to, (i, answer.text()));
        });
        if !at_once {
            said.push(world.clock.next(&drawn).await);
        }
    }
    while said.len() < count as usize {
        said.push(world.clock.next(&drawn).await);
    }
    said.sort();
    said.into_iter().map(|s| s.1).collect()
}
