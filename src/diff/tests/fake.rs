//! Runs made up for tests: conversations told in a few words, as the recorder would have seen them.

use crate::dialect::conversation::{Block, Message, ModelAnswer, ModelRequest, Role, Usage};
use crate::diff::{Comparison, Conversations, RunView};
use crate::exchange::{ExchangeId, Source};
use crate::holes::{Side, Surroundings};
use crate::run::likeness::body_key;
use crate::run::manifest::Manifest;
use crate::run::outline::ToolResultRef;
use crate::run::tree::places::Places;
use crate::run::{
    Ancestor, CallSite, Lane, LaneKind, Outcome, Outline, Parent, RunId, RunState, Step, StepKind,
    ToolCallRef, Turn,
};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A second, in microseconds.
pub const SECOND: u64 = 1_000_000;
/// When every made-up run begins.
pub const START: u64 = 1_795_224_700 * SECOND;

/// A run that is told step by step.
pub struct Fake {
    pub manifest: Manifest,
    pub state: RunState,
    pub outline: Outline,
    pub ancestry: Vec<Ancestor>,
    pub requests: HashMap<ExchangeId, Arc<ModelRequest>>,
    pub answers: HashMap<ExchangeId, Arc<ModelAnswer>>,
    pub sources: HashMap<ExchangeId, Source>,
    pub rewritten: HashSet<ExchangeId>,
    pub fingerprints: HashMap<ExchangeId, u64>,
    pub places: Option<Places>,
    /// What the next request of each lane holds.
    history: Vec<Vec<Message>>,
    pending: Vec<Vec<(CallSite, String, bool)>>,
    system: Vec<Block>,
    model: String,
    params: serde_json::Map<String, Value>,
    lane: usize,
    now: u64,
    exchange: u32,
    id_prefix: String,
}

impl Fake {
    pub fn new(id: &str) -> Fake {
        let text = |t: &str| Block::Text { text: t.to_string() };
        let mut fake = Fake {
            manifest: Manifest {
                id: RunId::parse(id).expect("a run id"),
                uuid: format!("uuid of {id}"),
                recorder: "0.1.0".into(),
                started_us: START,
                home: String::new(),
                temp: String::new(),
                zone_s: 0,
                labels: Default::default(),
                note: None,
                command: vec![
                    "python".into(),
                    "agent.py".into(),
                    "My laptop from order A123 is broken".into(),
                ],
                command_redacted: false,
                directory: "/home/ada/refund".into(),
                environment: Default::default(),
                secret_variables: Vec::new(),
                stdin: None,
                git: None,
                upstreams: Vec::new(),
                parent: None,
                imported: false,
                lacks: Vec::new(),
                stale: Vec::new(),
                intercepted: None,
                shell: false,
                outcome: None,
                incomplete: None,
                stand_ins: 0,
                replaced: Default::default(),
                own_stand_ins: Vec::new(),
            },
            state: RunState::Recording,
            outline: Outline::default(),
            ancestry: Vec::new(),
            requests: HashMap::new(),
            answers: HashMap::new(),
            sources: HashMap::new(),
            rewritten: HashSet::new(),
            fingerprints: HashMap::new(),
            places: None,
            history: Vec::new(),
            pending: Vec::new(),
            system: vec![text("You handle refunds.")],
            model: "gpt-small".into(),
            params: Default::default(),
            lane: 0,
            now: START + 10_000,
            exchange: 0,
            id_prefix: id.replace('.', "_"),
        };
        fake.open("main", LaneKind::Root, None);
        fake
    }

    pub fn open(&mut self, key: &str, kind: LaneKind, parent: Option<CallSite>) -> &mut Fake {
        self.outline.lanes.push(Lane {
            key: key.into(),
            kind,
            parent,
            parent_unknown: false,
            continues: None,
            rewinds: None,
            named: None,
            turns: Vec::new(),
        });
        self.history.push(Vec::new());
        self.pending.push(Vec::new());
        self.lane = self.outline.lanes.len() - 1;
        self
    }

    pub fn on(&mut self, lane: usize) -> &mut Fake {
        self.lane = lane;
        self
    }

    pub fn system(&mut self, text: &str) -> &mut Fake {
        self.system = vec![Block::Text { text: text.into() }];
        self
    }

    pub fn model(&mut self, name: &str) -> &mut Fake {
        self.model = name.into();
        self
    }

    pub fn param(&mut self, name: &str, value: Value) -> &mut Fake {
        self.params.insert(name.into(), value);
        self
    }

    pub fn user(&mut self, text: &str) -> &mut Fake {
        let message = Message { role: Role::User, blocks: vec![Block::Text { text: text.into() }] };
        self.history[self.lane].push(message);
        self
    }

    pub fn forked(&mut self, parent: &str, at_step: u32, edits: &[&str]) -> &mut Fake {
        self.manifest.parent = Some(Parent {
            run: RunId::parse(parent).expect("a run id"),
            uuid: format!("uuid of {parent}"),
            at_step,
            edits: edits.iter().map(|e| e.to_string()).collect(),
            replay: false,
        });
        self.ancestry =
            self.manifest.parent.iter().map(|p| Ancestor { parent: p.clone(), is_here: true }).collect();
        self
    }

    /// A replay of a run: which of its own exchanges were answered with which recorded ones. The others were refused.
    pub fn replays(&mut self, parent: &str, served: &[(u32, u32)]) -> &mut Fake {
        self.forked(parent, 0, &[]);
        self.manifest.parent.iter_mut().for_each(|parent| parent.replay = true);
        self.ancestry.iter_mut().for_each(|ancestor| ancestor.parent.replay = true);
        for id in 1..=self.exchange {
            let then = served.iter().find(|(now, _)| *now == id).map(|(_, then)| ExchangeId(*then));
            let recorded = |exchange| Source::Recorded { run: parent.into(), exchange };
            self.sources.insert(ExchangeId(id), then.map_or(Source::Refused, recorded));
        }
        self
    }

    /// Forked from what another was forked from, and so on.
    pub fn descends(&mut self, parent: &Fake) -> &mut Fake {
        self.ancestry.extend(parent.ancestry.iter().cloned());
        self
    }

    /// A model call that asks for tools, each with its result.
    pub fn calls(&mut self, calls: &[(&str, Value, &str)]) -> &mut Fake {
        self.turn("", calls, None)
    }

    /// The same, with words beside it.
    pub fn calls_saying(&mut self, text: &str, calls: &[(&str, Value, &str)]) -> &mut Fake {
        self.turn(text, calls, None)
    }

    /// A model call that answers.
    pub fn says(&mut self, text: &str) -> &mut Fake {
        self.turn(text, &[], None)
    }

    /// A model call that fails.
    pub fn fails(&mut self, error: &str) -> &mut Fake {
        self.turn("", &[], Some(error))
    }

    /// An attempt of the last model call that failed before it.
    pub fn after_failure(&mut self, error: &str) -> &mut Fake {
        self.exchange += 1;
        let id = ExchangeId(self.exchange);
        let failed = ModelAnswer { error: Some(error.into()), whole: true, ..Default::default() };
        self.answers.insert(id, Arc::new(failed));
        let turn = self.outline.lanes[self.lane].turns.last_mut().expect("a turn");
        turn.attempts.insert(0, id);
        self
    }

    /// The last call's result was an error.
    pub fn tool_failed(&mut self) -> &mut Fake {
        self.pending[self.lane].last_mut().expect("a result").2 = true;
        self
    }

    pub fn end(&mut self, exit_code: i32) -> &mut Fake {
        self.state = RunState::Complete;
        self.manifest.outcome = Some(Outcome {
            exit_code: Some(exit_code),
            signal: None,
            ended_us: self.now + 20_000,
            stopped: None,
        });
        self
    }

    pub fn view(&self) -> RunView<'_> {
        RunView {
            manifest: &self.manifest,
            state: self.state,
            outline: &self.outline,
            ancestry: &self.ancestry,
            source: self,
        }
    }

    fn turn(&mut self, text: &str, calls: &[(&str, Value, &str)], error: Option<&str>) -> &mut Fake {
        self.exchange += 1;
        let id = ExchangeId(self.exchange);
        self.deliver(id);
        let lane = self.lane;
        let request = ModelRequest {
            model: self.model.clone(),
            stream: false,
            system: self.system.clone(),
            tools: Vec::new(),
            params: self.params.clone(),
            messages: self.history[lane].clone(),
            spans: Vec::new(),
        };
        let turn = self.outline.lanes[lane].turns.len() as u32;
        let usage = Usage {
            input: 40 + 60 * u64::from(turn),
            output: 10 + calls.len() as u64 * 4,
            ..Default::default()
        };
        let mut blocks = Vec::new();
        if !text.is_empty() {
            blocks.push(Block::Text { text: text.into() });
        }
        let mut refs = Vec::new();
        for (i, (name, args, result)) in calls.iter().enumerate() {
            let call_id = format!("call_{}_{}_{i}", self.id_prefix, self.exchange);
            blocks.push(Block::ToolCall { id: call_id.clone(), name: name.to_string(), args: args.clone() });
            refs.push(ToolCallRef { id: call_id, name: name.to_string(), args: args.clone(), result: None });
            let site = CallSite { lane: lane as u32, turn, call: i as u32 };
            self.pending[lane].push((site, result.to_string(), false));
        }
        let started_us = self.now;
        self.now += 76_000 + 13_000 * u64::from(turn);
        let kind = StepKind::Model { lane: lane as u32, turn };
        self.outline.steps.push(Step { kind });
        for call in 0..calls.len() as u32 {
            let site = CallSite { lane: lane as u32, turn, call };
            self.outline.steps.push(Step { kind: StepKind::Tool { site } });
        }
        self.outline.lanes[lane].turns.push(Turn {
            attempts: vec![id],
            model: request.model.clone(),
            messages: request.messages.len() as u32,
            request_key: body_key("", format!("{request:?}").as_bytes()),
            body_key: None,
            answer_key: (!blocks.is_empty()).then(|| body_key("", format!("{blocks:?}").as_bytes())),
            started_us,
            ended_us: self.now,
            usage: error.is_none().then_some(usage),
            text: text.chars().take(200).collect(),
            error: error.map(str::to_string),
            calls: refs,
        });
        let answer = ModelAnswer {
            blocks: blocks.clone(),
            usage: error.is_none().then_some(usage),
            error: error.map(str::to_string),
            whole: error.is_none(),
            ..Default::default()
        };
        self.requests.insert(id, Arc::new(request));
        self.answers.insert(id, Arc::new(answer));
        self.history[lane].push(Message { role: Role::Assistant, blocks });
        self
    }

    /// Puts the results that wait into the lane's history, first seen in this exchange.
    fn deliver(&mut self, id: ExchangeId) {
        for (site, text, is_error) in std::mem::take(&mut self.pending[self.lane]) {
            self.now += 1_000;
            let message = self.history[self.lane].len() as u32;
            let lane = &mut self.outline.lanes[site.lane as usize];
            let call = &mut lane.turns[site.turn as usize].calls[site.call as usize];
            self.history[self.lane].push(Message {
                role: Role::Tool,
                blocks: vec![Block::ToolResult {
                    call_id: call.id.clone(),
                    text: text.clone(),
                    other: Vec::new(),
                    is_error,
                }],
            });
            call.result = Some(ToolResultRef {
                exchange: id,
                message,
                block: 0,
                text: text.chars().take(2_000).collect(),
                is_error,
                seen_us: self.now,
            });
        }
    }
}

impl Conversations for Fake {
    fn request(&self, id: ExchangeId) -> Result<Arc<ModelRequest>, String> {
        self.requests.get(&id).cloned().ok_or_else(|| format!("exchange {id} cannot be read"))
    }
    fn answer(&self, id: ExchangeId) -> Result<Arc<ModelAnswer>, String> {
        self.answers.get(&id).cloned().ok_or_else(|| format!("exchange {id} cannot be read"))
    }
    fn source(&self, id: ExchangeId) -> Source {
        self.sources.get(&id).cloned().unwrap_or_default()
    }
    fn rewritten(&self, id: ExchangeId) -> bool {
        self.rewritten.contains(&id)
    }
    fn places(&self) -> Option<&Places> {
        self.places.as_ref()
    }
    fn fingerprint(&self, id: ExchangeId) -> Option<u64> {
        self.fingerprints.get(&id).copied()
    }
}

/// Compares two runs, each in its own directories.
pub fn compare(left: &RunView, right: &RunView) -> Comparison {
    let side = |run: &RunView| Side {
        directory: run.manifest.directory.clone(),
        home: run.manifest.home.clone(),
        temp: run.manifest.temp.clone(),
        started_us: run.manifest.started_us,
        ended_us: run.manifest.outcome.as_ref().map_or(run.manifest.started_us, |o| o.ended_us),
        zone_s: run.manifest.zone_s,
    };
    crate::diff::compare(left, right, &Surroundings { recorded: side(left), live: side(right) })
}

/// The refund agent's run: ten steps, $4,999 where $49.99 was meant.
pub fn refund(id: &str) -> Fake {
    let mut run = Fake::new(id);
    refund_to_fraud_check(
        &mut run,
        r#"{"risk":"low","score":0.07,"checked_at":1795224754.6,"trace":"0643afbe"}"#,
    );
    run.calls(&[(
        "issue_refund",
        serde_json::json!({"order_id": "A123", "amount_usd": 4999}),
        r#"{"ok":true,"refunded":4999}"#,
    )])
    .says("Done. I refunded $4,999.00 for order A123.")
    .end(0);
    run
}

/// The refund agent's first seven steps, the fraud check with this result.
pub fn refund_to_fraud_check(run: &mut Fake, fraud: &str) {
    use serde_json::json;
    run.user("My laptop from order A123 is broken, refund me")
        .calls(&[(
            "lookup_order",
            json!({"order_id": "A123"}),
            r#"{"amount":4999,"currency":"USD","sku":"LAP-1"}"#,
        )])
        .calls(&[
            ("get_policy", json!({"sku": "LAP-1"}), r#"{"refundable":true,"window_days":30}"#),
            ("get_customer", json!({"customer_id": "c9"}), r#"{"id":"c9","name":"Ada","tier":"gold"}"#),
        ])
        .calls(&[("check_fraud", json!({"order_id": "A123", "amount": 4999}), fraud)]);
}

/// The fork of the refund run whose fraud check says `high`: the agent's own bytes keep `low`, the model saw `high`.
pub fn refused(id: &str, parent: &str) -> Fake {
    let mut run = Fake::new(id);
    refund_to_fraud_check(
        &mut run,
        r#"{"risk":"low","score":0.07,"checked_at":1795224754.6,"trace":"0643afbe"}"#,
    );
    run.says("I cannot refund order A123 automatically; it has been escalated to a human reviewer.")
        .forked(parent, 6, &[r#"7:result.risk="high""#])
        .end(0);
    let last = ExchangeId(run.exchange);
    let mut request = run.requests[&last].as_ref().clone();
    for block in request.messages.iter_mut().flat_map(|m| &mut m.blocks) {
        if let Block::ToolResult { text, .. } = block {
            *text = text.replace("\"risk\":\"low\"", "\"risk\":\"high\"");
        }
    }
    run.requests.insert(last, Arc::new(request));
    run.rewritten.insert(last);
    for id in 1..last.0 {
        let exchange = ExchangeId(id);
        run.sources.insert(exchange, Source::Recorded { run: parent.into(), exchange });
    }
    run
}
