//! Answers in another order: requests that are open at the same time are answered one by one, in an order of chance.
//!
//! What depends on an answer cannot come before it, so whatever order comes out is one that the agent may meet.

use super::dice::Dice;
use super::player::Player;
use crate::exchange::{ExchangeId, Source};
use crate::proxy::{Answer, Answerer, Asked, BoxFuture, Canned, SeenResponse};
use crate::run::{Outline, StepKind};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// How long nothing must have happened before an answer is chosen: the agent may be about to ask something else.
const QUIET: Duration = Duration::from_millis(30);
/// The same while a request is missing that was open at the same time in the recording.
const COMPANY: Duration = Duration::from_millis(300);
/// How long the chosen answer may take to reach the agent before the next is chosen.
const ARRIVAL: Duration = Duration::from_secs(1);

/// The orders that were tried, over all replays, so that each replay tries what was tried least.
#[derive(Debug)]
pub struct Orders {
    dice: Dice,
    /// How often an order (of step numbers) was begun like this.
    tried: HashMap<Vec<u32>, u32>,
}

impl Orders {
    /// None tried yet; a seed names the choices.
    pub fn new(seed: u64) -> Orders {
        Orders { dice: Dice(seed), tried: HashMap::new() }
    }

    /// Which of these steps comes next, after those.
    fn choose(&mut self, so_far: &[u32], open: &[u32]) -> usize {
        let path = |step: u32| [so_far, &[step]].concat();
        let counts: Vec<u32> =
            open.iter().map(|s| self.tried.get(&path(*s)).copied().unwrap_or_default()).collect();
        let least = counts.iter().min().copied().unwrap_or_default();
        let rarest: Vec<usize> = (0..open.len()).filter(|i| counts.get(*i) == Some(&least)).collect();
        let chosen = rarest.get(self.dice.below(rarest.len())).copied().unwrap_or_default();
        if let Some(step) = open.get(chosen) {
            *self.tried.entry(path(*step)).or_default() += 1;
        }
        chosen
    }
}

/// A player whose answers come in an order of chance.
pub struct Shuffled {
    player: Arc<Player>,
    orders: Arc<Mutex<Orders>>,
    /// Model steps by the exchange that holds their answer.
    steps: HashMap<ExchangeId, u32>,
    /// By model step: those that were open at the same time in the recording.
    company: HashMap<u32, Vec<u32>>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// Answers that are ready.
    waiting: Vec<(ExchangeId, u32)>,
    /// Answers that may go.
    released: HashSet<ExchangeId>,
    /// Steps that were asked for.
    asked: HashSet<u32>,
    /// The one on its way.
    going: Option<(ExchangeId, Instant)>,
    /// When something happened last.
    moved: Instant,
    order: Vec<u32>,
}

impl Shuffled {
    /// Answers as the player does, in another order.
    pub fn new(player: Arc<Player>, outline: &Outline, orders: Arc<Mutex<Orders>>) -> Shuffled {
        let mut steps = HashMap::new();
        let mut open: Vec<(u64, u64, u32)> = Vec::new();
        for (number, step) in (1..).zip(&outline.steps) {
            if let StepKind::Model { lane, turn } = step.kind
                && let Some(turn) = outline.turn(lane, turn)
            {
                steps.extend(turn.attempts.iter().map(|id| (*id, number)));
                open.push((turn.started_us, turn.ended_us, number));
            }
        }
        open.sort_unstable();
        let mut company: HashMap<u32, Vec<u32>> = HashMap::new();
        for (i, (_, end, step)) in open.iter().enumerate() {
            for (_, _, other) in open.iter().skip(i + 1).take_while(|(start, ..)| start < end) {
                company.entry(*step).or_default().push(*other);
                company.entry(*other).or_default().push(*step);
            }
        }
        let state = State {
            waiting: Vec::new(),
            released: HashSet::new(),
            asked: HashSet::new(),
            going: None,
            moved: Instant::now(),
            order: Vec::new(),
        };
        Shuffled { player, orders, steps, company, state: Mutex::new(state), changed: Notify::new() }
    }

    /// The steps in the order in which their answers went out.
    pub fn order(&self) -> Vec<u32> {
        self.state().order.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an answer is chosen. One whose agent hangs up is chosen no more.
    async fn wait(&self, id: ExchangeId, step: u32) {
        let _leave = Leave { shuffled: self, id };
        {
            let mut state = self.state();
            state.waiting.push((id, step));
            state.asked.insert(step);
            state.moved = Instant::now();
        }
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let ready_at = {
                let mut state = self.state();
                if state.released.remove(&id) {
                    return;
                }
                let ready_at = match state.going {
                    Some((_, since)) => since + ARRIVAL,
                    None if self.is_alone(&state) => state.moved + QUIET,
                    None => state.moved + COMPANY,
                };
                if ready_at <= now {
                    self.choose(&mut state);
                    continue;
                }
                ready_at
            };
            // Woken or not: it is looked at again.
            let _ = timeout(ready_at - now, changed).await;
        }
    }

    /// True when nothing is missing that was open together with what is open now.
    fn is_alone(&self, state: &State) -> bool {
        let waiting = state.waiting.iter().filter_map(|(_, step)| self.company.get(step));
        waiting.flatten().all(|step| state.asked.contains(step))
    }

    fn choose(&self, state: &mut State) {
        let open: Vec<u32> = state.waiting.iter().map(|(_, step)| *step).collect();
        let at = self.orders.lock().unwrap_or_else(PoisonError::into_inner).choose(&state.order, &open);
        if at < state.waiting.len() {
            let (id, step) = state.waiting.remove(at);
            state.order.push(step);
            state.released.insert(id);
            state.going = Some((id, Instant::now()));
            self.changed.notify_waiters();
        }
    }
}

/// Takes an answer out of the choice when nobody waits for it any more.
struct Leave<'a> {
    shuffled: &'a Shuffled,
    id: ExchangeId,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.shuffled.state();
        state.waiting.retain(|(id, _)| *id != self.id);
        state.released.remove(&self.id);
    }
}

impl Answerer for Shuffled {
    fn answer(&self, asked: Asked) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let id = asked.id;
            self.state().moved = Instant::now();
            let answer = self.player.answer(asked).await;
            let source = match &answer {
                Answer::Serve(canned) | Answer::ServeGated(canned, _) | Answer::ServeFed(canned, _) => {
                    Some(&canned.source)
                }
                Answer::Close(source, _) => Some(source),
                Answer::Forward { .. } => None,
            };
            if let Some(Source::Recorded { exchange, .. }) = source
                && let Some(step) = self.steps.get(exchange).copied()
            {
                self.wait(id, step).await;
            }
            answer
        })
    }

    fn delivered(&self, id: ExchangeId) {
        self.player.delivered(id);
        let mut state = self.state();
        if state.going.is_some_and(|(going, _)| going == id) {
            state.going = None;
        }
        state.moved = Instant::now();
        drop(state);
        self.changed.notify_waiters();
    }

    fn inspect(&self, seen: &SeenResponse) -> Option<Canned> {
        self.player.inspect(seen)
    }

    fn answered(&self, seen: &SeenResponse) {
        self.player.answered(seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Plays two lanes of two steps each: 1 then 3, 2 then 4.
    fn play(orders: &mut Orders) -> Vec<u32> {
        let mut lanes = [vec![3, 1], vec![4, 2]];
        let mut order = Vec::new();
        while lanes.iter().any(|l| !l.is_empty()) {
            let open: Vec<u32> = lanes.iter().filter_map(|l| l.last().copied()).collect();
            let step = open[orders.choose(&order, &open)];
            lanes.iter_mut().filter(|l| l.last() == Some(&step)).for_each(|l| {
                l.pop();
            });
            order.push(step);
        }
        order
    }

    #[test]
    fn every_order_is_tried_before_one_is_tried_again() {
        for seed in 0..20 {
            let mut orders = Orders::new(seed);
            let found: BTreeSet<Vec<u32>> = (0..8).map(|_| play(&mut orders)).collect();
            // 1 and 3 are in order, and so are 2 and 4: six orders. What was tried least at each step comes next.
            assert_eq!(found.len(), 6, "{found:?}");
        }
    }

    #[test]
    fn a_seed_names_the_orders() {
        let all = |seed| {
            let mut orders = Orders::new(seed);
            (0..4).map(|_| play(&mut orders)).collect::<Vec<_>>()
        };
        assert_eq!(all(7), all(7));
        assert!((0..9).any(|seed| all(seed) != all(7)));
    }
}
