//! Answers the proxy from a recording: matched, edited, or sent on.

mod answerer;
mod answers;
mod commands;
mod edited;
mod lenient;
mod live;
mod memory;
mod opening;
mod refusal;
mod servers;
mod session;
mod shim;
mod side;

use super::fences::Fences;
use super::matcher::{Ask, Decision, MatchClass, Matcher, Options as MatcherOptions, Pin};
use super::plan::{Plan, reasoning_blocks};
use super::policy::Policy;
use super::recording::RecordedRun;
use super::serve::{self, Timing};
use super::tally::{Fenced, Matching, Tally};
use super::tools::Pinning;
use crate::dialect::conversation::{ModelAnswer, ModelRequest};
use crate::dialect::{self, Dialect, Endpoint};
use crate::exchange::{ExchangeId, Fault, Source, SpanContext, StandIn, encoding};
use crate::holes::{Rewrite, Rules, Surroundings};
use crate::proxy::{Answer, Asked, Outbound};
use crate::redact::Redactor;
use crate::run::StepKind;
use crate::run::likeness;
use answers::{calls, served_answer};
use bytes::Bytes;
use live::Live;
use memory::Memory;
use refusal::lost_decision;
use servers::{Open, Said};
use session::Session;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How long nothing must have been asked or delivered before a gate is opened: an agent that starts a conversation may
/// take some time to.
const QUIET: Duration = Duration::from_millis(600);

/// How a replay or a fork is to go.
pub struct PlayerOptions {
    /// How fast answers come.
    pub timing: Timing,
    /// Tools that must not run: the answer that asks for one is not served.
    pub fences: Fences,
    /// Which matches pass.
    pub policy: Policy,
    /// The command is the recorded one.
    pub same_agent: bool,
    /// What does not count, and what differs.
    pub rules: Rules,
    /// Stop after this step.
    pub to_step: Option<u32>,
    /// Live calls at most.
    pub max_live: Option<u32>,
    /// The edits; none for a plain replay, which never goes live.
    pub plan: Option<Plan>,
    /// Where live calls go instead of where they went when recorded.
    pub upstream: Option<String>,
    /// Where and when the recording ran, and where and when this replay does.
    pub surroundings: Option<Surroundings>,
    /// Knows today's secrets.
    pub redactor: Arc<Redactor>,
    /// When the recorded result of a tool stands for today's.
    pub pinning: Pinning,
    /// In a fork: commands of shells are answered behind the checkpoint, too.
    pub serve_commands: bool,
    /// Answer what does not fit as the nearest recorded turn, so that the next difference is seen too. Never a replay.
    pub lenient: bool,
}

/// Why the agent is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Go on.
    No,
    /// Nothing right was recorded for a request.
    Miss,
    /// A fenced tool was about to run.
    Fence,
    /// The live calls are used up.
    LiveLimit,
    /// `--to` was reached.
    Reached,
}

/// The answerer of replays and forks.
pub struct Player {
    run: RecordedRun,
    name: String,
    options: PlayerOptions,
    state: Mutex<State>,
    /// Streams of servers, on which posts are answered. Locked before the state.
    channels: Mutex<Vec<Open>>,
    stop: watch::Sender<Stop>,
    /// For what retake itself asks of servers in a fork.
    outbound: Arc<Outbound>,
}

struct State {
    matcher: Matcher<RecordedRun>,
    /// When something was asked or delivered last.
    moved: Instant,
    waiting: HashMap<ExchangeId, oneshot::Sender<Decision>>,
    /// Live calls under way.
    asked_live: HashMap<ExchangeId, Live>,
    /// What a provider would keep of what the agent has seen.
    memory: Memory,
    /// Side calls and unknown bodies: how often each recorded one was served.
    side_served: HashMap<ExchangeId, u32>,
    /// Sessions in which both sides speak when they like, by the key of their opening.
    sessions: HashMap<String, Session>,
    /// What servers of tools were asked.
    said: Said,
    tally: Tally,
}

/// The recorded turn that a request fits.
struct Fit {
    place: (u32, u32),
    attempt: u32,
    class: MatchClass,
    pins: Vec<Pin>,
    rewrite: Rewrite,
}

impl Player {
    /// Prepares a replay (or, with a plan, a fork) of a run.
    ///
    /// # Errors
    /// A sentence when the recording cannot be used.
    pub fn new(run: RecordedRun, options: PlayerOptions) -> Result<Player, String> {
        let stand_ins = run.stand_ins();
        let matcher_options = MatcherOptions {
            live_on_drift: options.plan.is_some(),
            secrets: stand_ins,
            surroundings: options.surroundings.clone(),
            rules: options.rules.clone(),
            ..options.pinning.matcher_options()
        };
        let mut matcher = Matcher::new(run.clone(), matcher_options)?;
        if let Some(read) = matcher.reads_ahead() {
            // Where no thread is to be had, the first request that needs it reads.
            let _ = std::thread::Builder::new().name("survey".into()).spawn(read);
        }
        if let Some(plan) = &options.plan {
            for (lane, turn) in plan.dirty() {
                matcher.mark_dirty(lane, turn);
            }
            for (lane, turn) in plan.alone() {
                matcher.mark_alone(lane, turn);
            }
            plan.edited_results().for_each(|site| matcher.mark_result(site));
        }
        let name = run.reader().manifest().id.to_string();
        let state = State {
            matcher,
            moved: Instant::now(),
            waiting: HashMap::new(),
            asked_live: HashMap::new(),
            memory: Memory::default(),
            side_served: HashMap::new(),
            sessions: HashMap::new(),
            said: Said::default(),
            tally: Tally::default(),
        };
        Ok(Player {
            run,
            name,
            options,
            state: Mutex::new(state),
            outbound: Arc::default(),
            channels: Mutex::default(),
            stop: watch::Sender::new(Stop::No),
        })
    }

    /// Tells when the agent is to be stopped, and why.
    pub fn stopped(&self) -> watch::Receiver<Stop> {
        self.stop.subscribe()
    }

    /// Counts so far.
    pub fn tally(&self) -> Tally {
        let (outline, state) = (self.run.shared_outline(), self.state());
        let side_repeats = state.side_served.values().map(|times| times.saturating_sub(1)).sum();
        Tally {
            matching: Matching::of(state.matcher.counters(), side_repeats, state.tally.matching.side_unknown),
            unasked: state.matcher.unasked().into_iter().collect(),
            drifts: state.matcher.drifts().to_vec(),
            sent_as_is: Tally::sent_as_they_are(&outline, state.matcher.sent_as_they_are()),
            ..state.tally.clone()
        }
    }

    /// Recorded turns that were never asked for, as lane and turn.
    pub fn unasked(&self) -> Vec<(u32, u32)> {
        self.state().matcher.unasked()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn decide(&self, asked: Asked) -> Answer {
        if *self.stop.borrow() != Stop::No {
            return self.refuse_after_stop(&asked);
        }
        if let Some(answer) = self.server_message(&asked).await {
            return answer;
        }
        let Some((dialect, Endpoint::Model)) = dialect::recognise(&asked.head) else {
            return self.side_call(&asked);
        };
        if dialect.warms_up(&Player::decoded(&asked)) {
            return self.warm_up(&asked, dialect);
        }
        let context = SpanContext::from_headers(&asked.head.headers);
        if let Some(told) = self.place_by_bytes(&asked, &context) {
            let decision = self.wait_for(told).await;
            return self.act(&asked, dialect, None, decision).await;
        }
        let body = self.unfolded(&asked, dialect);
        let request = match dialect.read_request(&asked.head.target, &body) {
            Ok(request) => request,
            // A body the provider would refuse too: perhaps it did when it was recorded.
            Err(_) => return self.side_call(&asked),
        };
        let path = dialect.path(&asked.head).into_owned();
        let ask = Ask { id: asked.id, dialect: dialect.name(), path, context, request: request.clone() };
        let told = self.place(ask.clone());
        let decision = self.leniently(ask, self.wait_for(told).await).await;
        self.act(&asked, dialect, Some((request, body)), decision).await
    }

    /// Places a request by a hash of its bytes, where that is enough.
    fn place_by_bytes(&self, asked: &Asked, context: &SpanContext) -> Option<oneshot::Receiver<Decision>> {
        let key = likeness::body_key(asked.head.path(), &asked.body);
        let mut state = self.state();
        let decisions = state.matcher.on_bytes(asked.id, &key, &asked.body, context)?;
        let (tell, told) = oneshot::channel();
        state.waiting.insert(asked.id, tell);
        state.hand_out(decisions);
        Some(told)
    }

    /// Waits for the decision on a request; gates open when nothing has happened for a while.
    async fn wait_for(&self, mut told: oneshot::Receiver<Decision>) -> Option<Decision> {
        if let Ok(decision) = told.try_recv() {
            return Some(decision);
        }
        let mut wait = QUIET;
        loop {
            match tokio::time::timeout(wait, &mut told).await {
                Ok(decision) => return decision.ok(),
                Err(_) => {
                    let mut state = self.state();
                    wait = QUIET.saturating_sub(state.moved.elapsed());
                    if wait.is_zero() {
                        let decisions = state.matcher.idle();
                        state.hand_out(decisions);
                        wait = QUIET;
                    }
                }
            }
        }
    }

    /// Does what was decided. `read`: the request in normal form and its decoded body, where it was read already.
    async fn act(
        &self,
        asked: &Asked,
        dialect: &'static dyn Dialect,
        read: Option<(ModelRequest, Bytes)>,
        decision: Option<Decision>,
    ) -> Answer {
        match decision {
            Some(Decision::Serve { lane, turn, attempt, class, pins, rewrite, .. }) => {
                let fit = Fit { place: (lane, turn), attempt, class, pins, rewrite };
                if !self.options.policy.allows(class) {
                    return self.not_allowed(asked, dialect, read.map(|(request, _)| request), &fit);
                }
                let answer = self.serve(asked, dialect, fit);
                self.hang(&answer).await;
                answer
            }
            Some(Decision::Live { lane, turn, pins, .. }) => {
                let read = match read {
                    Some(read) => Some(read),
                    None => {
                        let body = self.unfolded(asked, dialect);
                        dialect.read_request(&asked.head.target, &body).ok().map(|request| (request, body))
                    }
                };
                match read {
                    Some((request, body)) => {
                        self.go_live(asked, dialect, &request, body, (lane, turn), &pins)
                    }
                    None => self.miss(asked, Some(dialect), lost_decision()),
                }
            }
            Some(Decision::Miss { miss, .. }) => {
                self.state().tally.unfitted += 1;
                self.miss(asked, Some(dialect), *miss)
            }
            None => self.miss(asked, Some(dialect), lost_decision()),
        }
    }

    /// The body without its content-encoding; as it is when it cannot be decoded.
    fn decoded(asked: &Asked) -> Bytes {
        match encoding::decode(asked.head.headers.get("content-encoding"), &asked.body) {
            Ok(Cow::Owned(body)) => Bytes::from(body),
            Ok(Cow::Borrowed(_)) | Err(_) => asked.body.clone(),
        }
    }

    /// Keeps an agent waiting that gave up in the recording, when times are to be as recorded.
    async fn hang(&self, answer: &Answer) {
        let Answer::Close(Source::Recorded { exchange, .. }, Fault::Abandoned) = answer else { return };
        let lasted = self.run.reader().response(*exchange).ok().flatten().map_or(0, |r| r.end_us);
        // A little longer than it had patience.
        tokio::time::sleep(self.options.timing.wait(lasted.saturating_add(2_000_000))).await;
    }

    fn serve(&self, asked: &Asked, dialect: &'static dyn Dialect, fit: Fit) -> Answer {
        let Fit { place, attempt, class, pins, rewrite } = fit;
        let outline = self.run.shared_outline();
        let (lane, turn) = place;
        let step = || self.run.number_of(StepKind::Model { lane, turn });
        // The results were in this request, whether it is answered or stopped.
        for pin in &pins {
            let mut state = self.state();
            state.tally.pin(&outline, pin);
            if pin.stale.is_some() {
                state.tally.note_stale(asked.id, Some((pin.message as u32, pin.block as u32)));
            }
        }
        if let Some(to) = self.options.to_step
            && step().is_some_and(|step| step > to)
        {
            self.state().tally.stopped_at = Some(to);
            let why = format!("retake: stopped after step {to}, as asked (--to)");
            return Answer::Serve(self.halt(Some(dialect), Stop::Reached, &why));
        }
        let Some(turn_ref) = outline.turn(lane, turn) else {
            return self.miss(asked, Some(dialect), lost_decision());
        };
        let edited = self.options.plan.as_ref().and_then(|p| p.answer(lane, turn));
        if !self.options.fences.is_empty() {
            let asks_for: Vec<String> = match edited {
                Some(blocks) => calls(blocks),
                None => self.would_run(lane, turn, &turn_ref.calls),
            };
            let whole = || match edited {
                Some(blocks) => Some(ModelAnswer { blocks: blocks.to_vec(), ..ModelAnswer::default() }),
                None => self
                    .run
                    .model_answer(self.run.exchange_of(lane, turn).ok()?)
                    .ok()
                    .map(|a| a.as_ref().clone()),
            };
            if let Some(answer) = self.fenced(dialect, &asks_for, step, whole) {
                return answer;
            }
        }
        let attempts = &turn_ref.attempts;
        let Some(id) = attempts.get(attempt as usize).or(attempts.last()).copied() else {
            return self.miss(asked, Some(dialect), lost_decision());
        };
        let response = match self.run.reader().answer(id) {
            Ok(response) => response,
            Err(error) => {
                let mut miss = lost_decision();
                miss.reason = format!("the recorded answer cannot be read: {error}");
                return self.miss(asked, Some(dialect), miss);
            }
        };
        if let (None, Some(why)) = (&response, &self.run.reader().manifest().incomplete) {
            let mut miss = lost_decision();
            miss.reason = format!("the recording has no answer to this request: it is incomplete ({why})");
            return self.miss(asked, Some(dialect), miss);
        }
        if let Some(blocks) = edited {
            self.note_served(place, class);
            let blocks = ModelAnswer { blocks: blocks.to_vec(), ..ModelAnswer::default() };
            let blocks = rewrite.answer(&blocks).blocks;
            return self.serve_edited(asked, dialect, place, &blocks, (id, response.as_ref()));
        }
        // Put together before the books are opened: other requests wait for them.
        let holds_secrets = response.as_ref().is_some_and(|r| !r.stand_ins.is_empty());
        let bindings = if holds_secrets { self.state().matcher.secrets().clone() } else { BTreeMap::new() };
        let reveal = |stand_in: &StandIn| {
            let bound = bindings.get(&stand_in.text).cloned();
            bound.or_else(|| self.options.redactor.reveal(&stand_in.text))
        };
        let (answer, rewritten) =
            serve::recorded(&self.name, id, response.as_ref(), self.options.timing, &reveal, &rewrite);
        let first = self.note_served(place, class);
        let fault = self.options.plan.as_ref().and_then(|p| p.fault(lane, turn)).filter(|_| first);
        let mut state = self.state();
        match fault {
            None => {
                if let Answer::Serve(canned) = &answer {
                    state.memory.served(dialect, asked, canned);
                }
                if rewritten.revealed + rewritten.values > 0
                    && let Some(served) = served_answer(dialect, &answer)
                {
                    state.matcher.served_as(asked.id, &served);
                }
                state.tally.recorded += 1;
                state.tally.rewritten(rewritten);
                answer
            }
            Some(kind) => {
                state.tally.edited += 1;
                state.tally.edits_met.extend(self.run.number_of(StepKind::Model { lane, turn }));
                // The agent may try again: that is the same turn, with its recorded answer.
                state.matcher.served_as(asked.id, &ModelAnswer::default());
                let source = Source::Edited { run: self.name.clone(), exchange: id };
                serve::injected(kind, answer, source, (&self.name, id), dialect)
            }
        }
    }

    /// Notes a turn that is served; true the first time.
    fn note_served(&self, place: (u32, u32), class: MatchClass) -> bool {
        let mut state = self.state();
        *state.tally.fitted.entry(class).or_default() += 1;
        state.tally.served.insert(place, class).is_none()
    }
}

impl State {
    fn hand_out(&mut self, decisions: Vec<Decision>) {
        self.moved = Instant::now();
        for decision in decisions {
            if let Some(waiting) = self.waiting.remove(&decision.id()) {
                // Nobody waits when the agent hung up meanwhile.
                let _ = waiting.send(decision);
            }
        }
    }
}
