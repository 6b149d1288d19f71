//! Lanes, turns, parents and steps of small runs.

use super::{LaneBuilder, ModelCall};
use crate::dialect::conversation::{Block, Message, ModelAnswer, ModelRequest, Role, Usage};
use crate::exchange::{ExchangeId, SpanContext};
use crate::run::checkpoint::{Checkpoint, checkpoint, snap};
use crate::run::outline::{CallSite, LaneKind, Outline, StepKind};
use serde_json::{Value, json};

fn text(text: &str) -> Block {
    Block::Text { text: text.into() }
}
fn call(id: &str, args: Value) -> Block {
    Block::ToolCall { id: id.into(), name: "task".into(), args }
}
fn result(id: &str, text: &str) -> Block {
    Block::ToolResult { call_id: id.into(), text: text.into(), other: vec![], is_error: false }
}
fn user(blocks: Vec<Block>) -> Message {
    Message { role: Role::User, blocks }
}
fn model(blocks: Vec<Block>) -> Message {
    Message { role: Role::Assistant, blocks }
}

/// Calls as they are added, each with its times.
#[derive(Default)]
struct Tape {
    builder: LaneBuilder,
    next: u32,
    context: SpanContext,
    no_tools: bool,
    /// Answers end this long after they begin.
    lasting: u64,
}

impl Tape {
    fn new() -> Tape {
        Tape { next: 1, lasting: 5, ..Tape::default() }
    }
    fn add(&mut self, messages: Vec<Message>, blocks: Vec<Block>, error: Option<&str>) -> u32 {
        let id = self.next;
        self.next += 1;
        let request = ModelRequest {
            model: "m".into(),
            stream: false,
            system: vec![text("You work.")],
            tools: if self.no_tools { vec![] } else { vec![json!({"name": "task"})] },
            params: serde_json::Map::new(),
            spans: messages.iter().map(|_| 0..0).collect(),
            messages,
        };
        let usage = Some(Usage { input: 10, output: 1, ..Usage::default() });
        let answer = ModelAnswer { blocks, usage, whole: error.is_none(), ..ModelAnswer::default() };
        let started_us = u64::from(id) * 10;
        self.builder.add_call(&ModelCall {
            id: ExchangeId(id),
            started_us,
            ended_us: started_us + self.lasting,
            path: "/v1/messages",
            body_key: None,
            context: &self.context.clone(),
            request: &request,
            answer: error.is_none().then_some(&answer),
            error: error.map(str::to_string),
        });
        id
    }
    fn done(self) -> Outline {
        self.builder.finish()
    }
}

fn keys(outline: &Outline) -> Vec<&str> {
    outline.lanes.iter().map(|l| l.key.as_str()).collect()
}
fn attempts(outline: &Outline, lane: usize) -> Vec<Vec<u32>> {
    outline.lanes[lane].turns.iter().map(|t| t.attempts.iter().map(|a| a.0).collect()).collect()
}

/// Main asks for two workers with one prompt; the workers answer; main goes on.
fn family(first_done: &str, second_done: &str) -> Outline {
    let prompt = json!({"prompt": "Review the module."});
    let go = user(vec![text("Go on with it.")]);
    let sends = vec![text("Sending."), call("a", prompt.clone()), call("b", prompt)];
    let mut tape = Tape::new();
    tape.add(vec![go.clone()], sends.clone(), None);
    tape.add(vec![user(vec![text("Review the module.")])], vec![text(first_done)], None);
    tape.add(vec![user(vec![text("Review the module.")])], vec![text(second_done)], None);
    let results = user(vec![result("b", "It said: good."), result("a", "It said: bad.")]);
    tape.add(vec![go, model(sends), results], vec![text("The end.")], None);
    tape.done()
}

#[test]
fn joins_settle_which_twin_is_whose() {
    assert_eq!(keys(&family("bad.", "good.")), ["main", "main/0.0", "main/0.1"]);
    assert_eq!(keys(&family("good.", "bad.")), ["main", "main/0.1", "main/0.0"]);
    let site = |call| CallSite { lane: 0, turn: 0, call };
    assert_eq!(family("good.", "bad.").lanes[1].parent, Some(site(1)));
}

#[test]
fn results_are_paired_with_their_calls_and_steps_are_numbered_by_time() {
    let outline = family("bad.", "good.");
    let calls = &outline.lanes[0].turns[0].calls;
    let seen = |call: usize| calls[call].result.as_ref().unwrap();
    assert_eq!((seen(0).text.as_str(), seen(0).message, seen(0).block), ("It said: bad.", 2, 1));
    assert_eq!((seen(1).text.as_str(), seen(1).exchange), ("It said: good.", ExchangeId(4)));
    let model = |lane, turn| StepKind::Model { lane, turn };
    let tool = |call| StepKind::Tool { site: CallSite { lane: 0, turn: 0, call } };
    let steps: Vec<StepKind> = outline.steps.iter().map(|s| s.kind).collect();
    assert_eq!(steps, [model(0, 0), tool(0), tool(1), model(1, 0), model(2, 0), model(0, 1)]);
}

#[test]
fn a_child_without_a_join_that_fits_two_messages_has_no_known_parent() {
    let prompt = json!({"prompt": "Count the files."});
    let mut tape = Tape::new();
    for area in ["North side.", "South side."] {
        tape.add(vec![user(vec![text(area)])], vec![text(area), call("c", prompt.clone())], None);
    }
    tape.add(vec![user(vec![text("Count the files.")])], vec![text("seven")], None);
    let outline = tape.done();
    assert!(outline.lanes[2].parent_unknown);
    assert_eq!(outline.lanes[2].parent, None);
    assert_eq!(keys(&outline), ["main", "main.2", "main/?.1"]);
}

#[test]
fn declared_retries_are_attempts_and_siblings_are_not() {
    let go = || vec![user(vec![text("Go.")])];
    let mut tape = Tape::new();
    tape.add(go(), vec![], Some("429"));
    tape.add(go(), vec![text("sibling")], None);
    tape.context.retry_count = 1;
    tape.add(go(), vec![text("at last")], None);
    let outline = tape.done();
    assert_eq!(attempts(&outline, 0), [vec![1, 3]]);
    assert_eq!(attempts(&outline, 1), [vec![2]]);
    assert_eq!(outline.lanes[0].turns[0].error, None);
}

#[test]
fn undeclared_retries_are_attempts_when_nobody_declares_any() {
    let go = vec![user(vec![text("Go.")])];
    let asks = vec![call("c", json!({"x": 1}))];
    let then = vec![go[0].clone(), model(asks.clone()), user(vec![result("c", "r")])];
    let mut tape = Tape::new();
    tape.add(go.clone(), vec![], Some("reset"));
    tape.add(go, asks, None);
    tape.add(then.clone(), vec![], Some("500"));
    tape.add(then, vec![text("done")], None);
    let outline = tape.done();
    assert_eq!(keys(&outline), ["main"]);
    assert_eq!(attempts(&outline, 0), [vec![1, 2], vec![3, 4]]);
}

#[test]
fn retries_whose_answers_have_no_time_have_none_together() {
    let go = vec![user(vec![text("Go.")])];
    let asks = vec![call("c", json!({"x": 1}))];
    let then = vec![go[0].clone(), model(asks.clone()), user(vec![result("c", "r")])];
    for (lasting, model, tool) in [(5, Some(15), Some(5)), (0, None, None)] {
        let mut tape = Tape { lasting, ..Tape::new() };
        tape.add(go.clone(), vec![], Some("reset"));
        tape.add(go.clone(), asks.clone(), None);
        tape.add(then.clone(), vec![], Some("500"));
        tape.add(then.clone(), vec![text("done")], None);
        let outline = tape.done();
        let turns = &outline.lanes[0].turns;
        assert_eq!(attempts(&outline, 0), [vec![1, 2], vec![3, 4]]);
        assert_eq!(turns.iter().map(|turn| turn.took_us()).collect::<Vec<_>>(), [model, model]);
        assert_eq!(turns[0].call_took_us(&turns[0].calls[0]), tool);
        assert_eq!(outline.steps.len(), 3);
    }
}

#[test]
fn a_turn_that_failed_for_good_is_followed_by_the_next() {
    let go = user(vec![text("Go.")]);
    let asks = vec![call("c", json!({"x": 1}))];
    let then = |more: &str| vec![go.clone(), model(asks.clone()), user(vec![result("c", "r"), text(more)])];
    let mut tape = Tape::new();
    tape.add(vec![go.clone()], asks.clone(), None);
    tape.add(then("all of it"), vec![], Some("too long"));
    tape.add(then("less"), vec![text("done")], None);
    let outline = tape.done();
    assert_eq!(attempts(&outline, 0), [vec![1], vec![2], vec![3]]);
    assert_eq!(outline.lanes[0].turns[1].error.as_deref(), Some("too long"));
}

#[test]
fn a_summarised_history_goes_on_as_a_continuation() {
    let go = user(vec![text("Do the long work.")]);
    let asks = vec![text("First I look around."), call("c", json!({"x": 1}))];
    let mut tape = Tape::new();
    tape.add(vec![go.clone()], asks.clone(), None);
    tape.no_tools = true;
    let flat = "Summarise:\nuser: Do the long work.\nassistant: First I look around.\nuser: r";
    tape.add(vec![user(vec![text(flat)])], vec![text("In short: looked around.")], None);
    tape.no_tools = false;
    let resumed = "Do the long work.\nSummary: In short: looked around.\nContinue.";
    tape.add(vec![user(vec![text(resumed)])], vec![text("done")], None);
    let outline = tape.done();
    assert_eq!(keys(&outline), ["main", "main.2", "main~1"]);
    assert_eq!(outline.lanes[2].continues, Some(0));
    assert_eq!(outline.lanes[2].kind, LaneKind::Continuation);
}

#[test]
fn one_question_asked_of_a_pipeline_is_no_continuation() {
    let mut tape = Tape::new();
    tape.add(vec![user(vec![text("Classify this: help!")])], vec![text("a support request")], None);
    tape.add(vec![user(vec![text("Answer a support request: help!")])], vec![text("We will help.")], None);
    assert_eq!(keys(&tape.done()), ["main", "main.2"]);
}

#[test]
fn a_checkpoint_is_a_cut_that_holds_what_caused_it() {
    let outline = family("bad.", "good.");
    let state = |c: &Checkpoint| -> Vec<(String, u32, usize)> {
        c.lanes.iter().map(|l| (l.lane.clone(), l.turns, l.pending.len())).collect()
    };
    let at = |step| checkpoint(&outline, step).unwrap();
    assert_eq!(state(&at(1)), [("main".to_string(), 1, 2)]);
    assert_eq!(state(&at(3)), [("main".to_string(), 1, 2)], "the workers have not answered");
    assert_eq!(state(&at(4)), [("main".to_string(), 1, 1), ("main/0.0".into(), 1, 0)]);
    let five = at(5);
    assert_eq!(five.lanes[0].pending, []);
    assert_eq!((five.lanes[0].head.exchange, five.lanes[0].head.messages), (ExchangeId(1), 2));
    assert_eq!(five.usage.input, 30);
    assert!(checkpoint(&outline, 0).is_none());
    assert!(checkpoint(&outline, 7).is_none());
    let read: Checkpoint = serde_json::from_str(&serde_json::to_string(&five).unwrap()).unwrap();
    assert_eq!(read, five);
}

#[test]
fn a_cut_snaps_to_where_all_results_are_in() {
    let outline = family("bad.", "good.");
    for step in [1, 2, 3, 5] {
        assert_eq!(snap(&outline, step).unwrap().after_step, 5, "from {step}");
    }
    assert_eq!(snap(&outline, 4).unwrap().after_step, 4, "a worker's own lane can go on at once");
    assert_eq!(snap(&outline, 6).unwrap().after_step, 6);
    assert!(snap(&outline, 7).is_none());
}

#[test]
fn a_recording_that_ends_before_the_results_cannot_be_snapped() {
    let mut tape = Tape::new();
    tape.add(vec![user(vec![text("Go.")])], vec![call("c", json!({"x": 1}))], None);
    let outline = tape.done();
    assert_eq!(checkpoint(&outline, 2).unwrap().lanes[0].pending.len(), 1);
    assert!(snap(&outline, 2).is_none());
}
