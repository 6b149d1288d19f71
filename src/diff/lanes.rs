//! Which lanes of two runs belong together: by the user's names, by structure, by content, and by their agents where
//! both have spans.

use super::align::{Pair, align_loosely};
use super::keys::{LaneKeys, alike, call_key, loosen};
use super::served::Served;
use super::structure::Trees;
use super::view::{RunView, StepNumbers};
use super::worlds::{Side, Worlds};
use crate::dialect::conversation::Role;
use crate::run::likeness::hex;
use crate::run::{CallSite, Lane, LaneKind, Turn};
use std::cell::OnceCell;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::ops::Range;

/// More lanes than this without a partner are not compared by content.
const CONTENT_LIMIT: usize = 512;
/// An action that more lanes than this have in common tells nothing.
const COMMON_ACTION: usize = 64;

/// Two lanes that belong together (or one that has no partner), and their turns aligned.
#[derive(Debug)]
pub(super) struct LanePair {
    pub left: Option<usize>,
    pub right: Option<usize>,
    pub turns: Vec<Pair>,
}

/// Pairs the lanes of two runs. Every lane occurs once.
pub(super) fn pair(
    worlds: &Worlds,
    (left, right): (&RunView, &RunView),
    served: &Served,
    trees: Option<&Trees>,
) -> Vec<LanePair> {
    let keys = |side: Side, run: &RunView| {
        run.outline.lanes.iter().map(|l| LaneKeys::of(worlds, side, run, l)).collect::<Vec<_>>()
    };
    let (mut lefts, mut rights) = (keys(Side::Left, left), keys(Side::Right, right));
    loosen(worlds, &mut lefts, &mut rights);
    let mut pairing = Pairing {
        worlds,
        served,
        left: Lanes::of(Side::Left, left, lefts, trees),
        right: Lanes::of(Side::Right, right, rights, trees),
        pairs: Vec::new(),
        follow: VecDeque::new(),
    };
    pairing.run();
    pairing.finish()
}

struct Lanes<'a, 'r> {
    side: Side,
    run: &'a RunView<'r>,
    keys: Vec<LaneKeys>,
    /// The agents and other spans above each, where both runs have spans.
    places: Vec<Option<String>>,
    free: Vec<bool>,
}

impl<'a, 'r> Lanes<'a, 'r> {
    fn of(side: Side, run: &'a RunView<'r>, keys: Vec<LaneKeys>, trees: Option<&Trees>) -> Lanes<'a, 'r> {
        let count = run.outline.lanes.len();
        let mut places = vec![None; if trees.is_some() { count } else { 0 }];
        if let Some(trees) = trees {
            let numbers = StepNumbers::of(run.outline);
            for (index, place) in places.iter_mut().enumerate() {
                *place = numbers.model(index, 0).and_then(|step| trees.key(side, step));
            }
        }
        Lanes { side, run, keys, places, free: vec![true; count] }
    }

    fn place(&self, lane: usize) -> Option<&String> {
        self.places.get(lane)?.as_ref()
    }
}

impl Lanes<'_, '_> {
    fn lanes(&self) -> &[Lane] {
        &self.run.outline.lanes
    }

    fn free(&self, only: Option<LaneKind>) -> impl Iterator<Item = (usize, &Lane)> {
        let fits = move |lane: &Lane| only.is_none_or(|kind| lane.kind == kind);
        self.lanes().iter().enumerate().filter(move |(i, l)| self.free.get(*i) == Some(&true) && fits(l))
    }

    /// What the first request says beside its instructions.
    fn opening(&self, lane: &Lane) -> Option<String> {
        let request = self.run.request_of(lane.turns.first()?).ok()?;
        let said = request.messages.iter().filter(|m| m.role != Role::System).map(|m| m.text());
        let text = said.collect::<Vec<_>>().join("\n");
        (!text.is_empty()).then_some(text)
    }
}

struct Pairing<'a, 'r> {
    worlds: &'a Worlds<'a, 'r>,
    served: &'a Served,
    left: Lanes<'a, 'r>,
    right: Lanes<'a, 'r>,
    pairs: Vec<LanePair>,
    /// Pairs whose children and continuations are still to be paired.
    follow: VecDeque<usize>,
}

impl Pairing<'_, '_> {
    fn run(&mut self) {
        for (l, r) in self.served.lanes() {
            self.join(l, r);
        }
        self.by(None, |_, lane| lane.named.clone());
        // Below a call the call tells more.
        let begins = |lane: &Lane| first(lane).filter(|_| lane.kind != LaneKind::Child);
        self.placed_by(None, |_, lane| Some(format!("{}\n{}", begins(lane)?, answers(lane)?)));
        // An agent that was asked the same is the same agent, whatever it was answered.
        self.placed_by(None, |_, lane| begins(lane));
        self.by_content(Some(LaneKind::Root));
        self.descend();
        self.by_content(None);
        self.descend();
    }

    fn by_content(&mut self, kind: Option<LaneKind>) {
        self.placed_by(kind, |_, lane| Some(format!("{}\n{}", first(lane)?, answers(lane)?)));
        self.placed_by(kind, |_, lane| first(lane));
        // Conversations that begin alike may have changed places: what each was answered tells which is which.
        self.by(kind, |_, lane| Some(format!("{}\n{}", first(lane)?, answers(lane)?)));
        self.by(kind, |_, lane| Some(format!("{}\n{}", lane.key, first(lane)?)));
        self.by(kind, |_, lane| first(lane));
        let few = |side: &Lanes| side.free(kind).nth(CONTENT_LIMIT).is_none();
        let any = |side: &Lanes| side.free(kind).next().is_some();
        if few(&self.left) && few(&self.right) && any(&self.left) && any(&self.right) {
            let worlds = self.worlds;
            let answered = |lane: &Lane, opening: String| Some(format!("{}\n{opening}", answers(lane)?));
            self.placed_by(kind, |own, lane| answered(lane, worlds.keyed(own.side, own.opening(lane)?)));
            self.placed_by(kind, |own, lane| Some(worlds.keyed(own.side, own.opening(lane)?)));
            self.by(kind, |own, lane| answered(lane, worlds.keyed(own.side, own.opening(lane)?)));
            self.by(kind, |own, lane| Some(worlds.keyed(own.side, own.opening(lane)?)));
            if any(&self.left) && any(&self.right) {
                self.placed_by(kind, |own, lane| Some(worlds.masked(own.side, &own.opening(lane)?)));
                self.by(kind, |own, lane| answered(lane, worlds.masked(own.side, &own.opening(lane)?)));
                self.by(kind, |own, lane| Some(worlds.masked(own.side, &own.opening(lane)?)));
            }
        }
        self.by_place(kind);
        self.by_shared_actions(kind);
        self.by(kind, |_, lane| Some(lane.key.clone()));
    }

    /// Pairs the lanes that stand alone below their agent in both runs.
    fn by_place(&mut self, kind: Option<LaneKind>) {
        let alone = |side: &Lanes| {
            let mut lanes: HashMap<String, Vec<usize>> = HashMap::new();
            for (i, lane) in side.free(kind).filter(|(_, lane)| lane.kind != LaneKind::Side) {
                if let Some(place) = side.place(i).filter(|place| !place.is_empty()) {
                    lanes.entry(format!("{:?}\n{place}", lane.kind)).or_default().push(i);
                }
            }
            lanes
        };
        let (lefts, rights) = (alone(&self.left), alone(&self.right));
        let mut found: Vec<(usize, usize)> = lefts
            .iter()
            .filter_map(|(place, left)| match (left.as_slice(), rights.get(place)?.as_slice()) {
                (&[l], &[r]) => Some((l, r)),
                _ => None,
            })
            .collect();
        found.sort_unstable();
        for (l, r) in found {
            self.join(l, r);
        }
    }

    /// Pairs free lanes of equal key and kind, in order.
    fn by(&mut self, kind: Option<LaneKind>, key: impl Fn(&Lanes, &Lane) -> Option<String>) {
        let is_side = |lane: &Lane| lane.kind == LaneKind::Side;
        self.by_key(kind, |own, _, lane| Some((is_side(lane), String::new(), key(own, lane)?)));
    }

    /// The same, of those below the same agents, as far as spans tell. What makes a side call is a guess, an agent is none.
    fn placed_by(&mut self, kind: Option<LaneKind>, key: impl Fn(&Lanes, &Lane) -> Option<String>) {
        if !self.left.places.is_empty() {
            self.by_key(kind, |own, at, lane| Some((false, own.place(at)?.clone(), key(own, lane)?)));
        }
    }

    fn by_key<K: Eq + Hash>(
        &mut self,
        kind: Option<LaneKind>,
        key: impl Fn(&Lanes, usize, &Lane) -> Option<K>,
    ) {
        let mut rights: HashMap<K, VecDeque<usize>> = HashMap::new();
        for (i, lane) in self.right.free(kind) {
            if let Some(key) = key(&self.right, i, lane) {
                rights.entry(key).or_default().push_back(i);
            }
        }
        let mut found = Vec::new();
        for (i, lane) in self.left.free(kind) {
            let partner =
                key(&self.left, i, lane).and_then(|key| rights.get_mut(&key)).and_then(VecDeque::pop_front);
            found.extend(partner.map(|p| (i, p)));
        }
        for (l, r) in found {
            self.join(l, r);
        }
    }

    /// Pairs each free lane with the free lane that shares most of its actions.
    fn by_shared_actions(&mut self, kind: Option<LaneKind>) {
        let mut index: HashMap<&str, Vec<usize>> = HashMap::new();
        for (i, _) in self.right.free(kind) {
            for key in self.right.keys.get(i).iter().flat_map(|k| &k.strong) {
                let lanes = index.entry(key).or_default();
                if lanes.last() != Some(&i) {
                    lanes.push(i);
                }
            }
        }
        let mut found: Vec<(usize, usize)> = Vec::new();
        let mut taken = vec![false; self.right.free.len()];
        for (l, lane) in self.left.free(kind) {
            let mut shared: HashMap<usize, usize> = HashMap::new();
            for key in self.left.keys.get(l).iter().flat_map(|k| &k.strong) {
                let lanes = index.get(key.as_str()).filter(|lanes| lanes.len() <= COMMON_ACTION);
                for r in lanes.into_iter().flatten().filter(|r| taken.get(**r) == Some(&false)) {
                    *shared.entry(*r).or_default() += 1;
                }
            }
            let like = |r: usize| self.right.lanes().get(r).map(|o| (o.kind == lane.kind, o.key == lane.key));
            let best = shared
                .into_iter()
                .filter(|(r, _)| like(*r).is_some_and(|(same_kind, _)| same_kind))
                .max_by_key(|(r, n)| (*n, like(*r), std::cmp::Reverse(*r)));
            if let Some((r, _)) = best {
                found.push((l, r));
                taken.iter_mut().skip(r).take(1).for_each(|t| *t = true);
            }
        }
        for (l, r) in found {
            self.join(l, r);
        }
    }

    /// Pairs what paired calls began, and what continues paired lanes.
    fn descend(&mut self) {
        while let Some(at) = self.follow.pop_front() {
            let Some(pair) = self.pairs.get(at) else { continue };
            let (Some(l), Some(r)) = (pair.left, pair.right) else { continue };
            let mut sites: HashMap<CallSite, CallSite> = HashMap::new();
            for (a, b) in pair.turns.iter().filter_map(|(a, b)| Some(((*a)?, (*b)?))) {
                let (Some(left), Some(right)) = (
                    self.left.lanes().get(l).and_then(|lane| lane.turns.get(a)),
                    self.right.lanes().get(r).and_then(|lane| lane.turns.get(b)),
                ) else {
                    continue;
                };
                for (x, y) in calls(self.worlds, left, right).into_iter().filter_map(|(x, y)| Some((x?, y?)))
                {
                    sites.insert(site(l, a, x), site(r, b, y));
                }
            }
            let mut found = Vec::new();
            let mut used = Vec::new();
            let mut among: Vec<(usize, &Lane)> = self.left.free(None).collect();
            // Twins that have a partner with the same answers choose first.
            let twin = |lane: &Lane| self.right.free(None).any(|(_, other)| are_alike(lane, other));
            among.sort_by_key(|(_, lane)| !twin(lane));
            for (i, lane) in among {
                let wanted = lane.parent.and_then(|p| sites.get(&p)).copied();
                let fits = |(j, other): &(usize, &Lane)| {
                    let child = wanted.is_some() && other.parent == wanted;
                    let goes_on = lane.continues == Some(l as u32) && other.continues == Some(r as u32);
                    !used.contains(j) && (child || goes_on)
                };
                let there = |o: &(usize, &Lane)| {
                    self.left.place(i).is_some() && self.left.place(i) == self.right.place(o.0)
                };
                let alike = |o: &(usize, &Lane)| are_alike(lane, o.1);
                let free =
                    |is: &dyn Fn(&(usize, &Lane)) -> bool| self.right.free(None).find(|o| fits(o) && is(o));
                let placed = free(&|o| there(o) && alike(o)).or_else(|| free(&there));
                let partner = placed.or_else(|| free(&alike)).or_else(|| self.right.free(None).find(fits));
                if let Some((j, _)) = partner.filter(|_| wanted.is_some() || lane.continues.is_some()) {
                    used.push(j);
                    found.push((i, j));
                }
            }
            for (i, j) in found {
                self.join(i, j);
            }
        }
    }

    fn join(&mut self, l: usize, r: usize) {
        let free = |side: &Lanes, i: usize| side.free.get(i) == Some(&true);
        if !free(&self.left, l) || !free(&self.right, r) {
            return;
        }
        self.left.free.iter_mut().skip(l).take(1).for_each(|f| *f = false);
        self.right.free.iter_mut().skip(r).take(1).for_each(|f| *f = false);
        let turns = match (self.left.keys.get(l), self.right.keys.get(r)) {
            (Some(a), Some(b)) => {
                let (x, y) = (self.left.lanes().get(l), self.right.lanes().get(r));
                let similar = |a: usize, b: usize| {
                    let turns = x.and_then(|l| l.turns.get(a)).zip(y.and_then(|l| l.turns.get(b)));
                    turns.is_some_and(|(a, b)| alike(a, b))
                };
                let between = |left: Range<usize>, right: Range<usize>| {
                    let similar = |a: usize, b: usize| similar(a + left.start, b + right.start);
                    let (left, right) = (a.some(left.clone()), b.some(right.clone()));
                    align_loosely(left, right, similar, |_, _| true)
                };
                self.served.align((l, r), (a.strong.len(), b.strong.len()), between)
            }
            _ => Vec::new(),
        };
        self.follow.push_back(self.pairs.len());
        self.pairs.push(LanePair { left: Some(l), right: Some(r), turns });
    }

    fn finish(mut self) -> Vec<LanePair> {
        for (i, lane) in self.left.free(None) {
            let turns = (0..lane.turns.len()).map(|t| (Some(t), None)).collect();
            self.pairs.push(LanePair { left: Some(i), right: None, turns });
        }
        for (i, lane) in self.right.free(None) {
            let turns = (0..lane.turns.len()).map(|t| (None, Some(t))).collect();
            self.pairs.push(LanePair { left: None, right: Some(i), turns });
        }
        self.pairs
    }
}

/// What a conversation begins with.
fn first(lane: &Lane) -> Option<String> {
    lane.turns.first().map(|turn| hex(&turn.request_key))
}

/// What a conversation was answered, turn by turn; none where a turn was not.
fn answers(lane: &Lane) -> Option<String> {
    lane.turns.iter().map(|turn| turn.answer_key.map(|key| hex(&key))).collect()
}

/// True when both begin with the same request and were answered the same throughout.
fn are_alike(a: &Lane, b: &Lane) -> bool {
    let first = |lane: &Lane| lane.turns.first().map(|turn| turn.request_key);
    first(a) == first(b) && answers(a).is_some_and(|own| answers(b) == Some(own))
}

fn site(lane: usize, turn: usize, call: usize) -> CallSite {
    CallSite { lane: lane as u32, turn: turn as u32, call: call as u32 }
}

/// Aligns the calls of two answers: equal calls first (wherever they stand, for they run in parallel), then those that
/// are equal but for names and clocks, then calls of the same tool in order. Calls of different tools never pair.
pub(super) fn calls(worlds: &Worlds, left: &Turn, right: &Turn) -> Vec<Pair> {
    let keys = |side: Side, turn: &Turn| {
        turn.calls.iter().map(|call| call_key(worlds, side, call)).collect::<Vec<_>>()
    };
    let (l, r) = (keys(Side::Left, left), keys(Side::Right, right));
    let masked = OnceCell::new();
    let masks = || {
        let all = |side: Side, keys: &[String]| keys.iter().map(|k| worlds.masked(side, k)).collect();
        masked.get_or_init(|| -> (Vec<String>, Vec<String>) { (all(Side::Left, &l), all(Side::Right, &r)) })
    };
    let mut partner: Vec<Option<usize>> = vec![None; l.len()];
    let mut free: Vec<bool> = vec![true; r.len()];
    let name = |turn: &Turn, i: usize| turn.calls.get(i).map(|c| c.name.clone());
    let one = l.len() == 1 && r.len() == 1;
    let rounds: [&dyn Fn(usize, usize) -> bool; 3] =
        [&|a, b| l.get(a) == r.get(b), &|a, b| !one && masks().0.get(a) == masks().1.get(b), &|a, b| {
            name(left, a) == name(right, b)
        }];
    for fits in rounds {
        for (a, slot) in partner.iter_mut().enumerate().filter(|(_, p)| p.is_none()) {
            let found = free.iter_mut().enumerate().find(|(b, is_free)| **is_free && fits(a, *b));
            if let Some((b, is_free)) = found {
                *is_free = false;
                *slot = Some(b);
            }
        }
    }
    let mut pairs: Vec<Pair> = partner.into_iter().enumerate().map(|(a, b)| (Some(a), b)).collect();
    pairs.extend(free.iter().enumerate().filter(|(_, f)| **f).map(|(b, _)| (None, Some(b))));
    pairs
}
