//! Two runs, compared.

use super::cause::{Kin, Parting};
use super::context::ContextDiff;
use super::lanes::{self, LanePair};
use super::levels::{Level, Levels};
use super::outcome::{Outcomes, Totals};
use super::parting::{Requests, first_bytes, first_parting, parting};
use super::refused::is_refused;
use super::rejoin;
use super::rows::{self, Act, PairKind, Place, Status, StepPair};
use super::served::{Served, is_served};
use super::stop::{self, Stop};
use super::structure::{Structure, Trees};
use super::tools::{self, ToolParting};
use super::view::{RunView, StepNumbers};
use super::worlds::Worlds;
use crate::holes::Surroundings;
use crate::run::{LaneKind, Turn};
use serde::Serialize;

/// How many steps compare how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The same.
    pub same: usize,
    /// The same but for ids, clocks and the like.
    pub varies: usize,
    /// Different.
    pub changed: usize,
    /// Only in the left run.
    pub only_left: usize,
    /// Only in the right run.
    pub only_right: usize,
    /// At another place of their lane.
    pub moved: usize,
    /// Only in one run, for the other was stopped before.
    pub not_run: usize,
}

/// How two runs compare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Name of the left run.
    pub left: String,
    /// Name of the right run.
    pub right: String,
    /// How they are related.
    pub kin: Kin,
    /// Every step of both, aligned, in the order of the left run.
    pub rows: Vec<StepPair>,
    /// How many compare how.
    pub counts: Counts,
    /// Where they first part, level by level.
    pub levels: Levels,
    /// The first step that differs in more than ids and clocks, and why.
    pub first: Option<Parting>,
    /// The first step at which they act differently, and why.
    pub acts: Option<Parting>,
    /// The first call that is another one, whatever is said before it; none when both make the same calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<ToolParting>,
    /// How what the model saw at that step (or, when they act the same, at the first that differs) differs; none when
    /// the requests are the same.
    pub context: Option<ContextDiff>,
    /// How their trees differ; none unless both have spans. It makes no two runs unequal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structure: Option<Structure>,
    /// How they ended.
    pub outcome: Outcomes,
    /// What the left run used.
    pub left_totals: Totals,
    /// What the right run used.
    pub right_totals: Totals,
}

impl Comparison {
    /// True when the runs differ in action or outcome.
    pub fn differs(&self) -> bool {
        self.levels.action.is_some() || self.levels.outcome
    }

    /// The same where the names of the runs, and who is whose fork, say nothing to whoever reads it.
    #[must_use]
    pub fn called(self, left: &str, right: &str) -> Comparison {
        Comparison { left: left.to_string(), right: right.to_string(), kin: Kin::Strangers, ..self }
    }

    /// Exit code of `retake diff`: 1 when the runs differ in action or outcome, else 0.
    pub fn exit_code(&self) -> u8 {
        u8::from(self.differs())
    }
}

/// How the request of a model call differs from its counterpart in the other run. Of one that was answered from the recording
/// the matcher knows best how far it may differ, which has seen what stands for what in the whole run.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Index into [`Comparison::rows`].
    pub row: usize,
    /// How; in more than ids and clocks.
    pub diff: ContextDiff,
}

/// Requests that are told of in one comparison.
const ASKED: usize = 200;

/// Compares two runs. `surroundings`: where and when the left one (as recorded) and the right one (as live) ran.
pub fn compare(left: &RunView, right: &RunView, surroundings: &Surroundings) -> Comparison {
    compare_with(left, right, surroundings, 0).0
}

/// The same, with how the requests of the first 200 model calls differ that differ; a request holds those before it.
pub fn compare_asked(
    left: &RunView,
    right: &RunView,
    surroundings: &Surroundings,
) -> (Comparison, Vec<Asked>) {
    compare_with(left, right, surroundings, ASKED)
}

fn compare_with(
    left: &RunView,
    right: &RunView,
    surroundings: &Surroundings,
    asked: usize,
) -> (Comparison, Vec<Asked>) {
    let worlds = Worlds::of(left, right, surroundings);
    let kin = Kin::of(left, right);
    let stops = (Stop::of(left), Stop::of(right));
    let trees = Trees::of(&worlds, left, right);
    let numbers = (StepNumbers::of(left.outline), StepNumbers::of(right.outline));
    let served = Served::of(left, right, &kin);
    let pairs = lanes::pair(&worlds, (left, right), &served, trees.as_ref());
    let mut rows = rows_of(&worlds, (left, right), &kin, stops, trees.as_ref(), (&pairs, &served, &numbers));
    let tools = tools::parting(&worlds, (left, right), &pairs, (&numbers.0, &numbers.1), stops);
    let requests = Requests { worlds: &worlds, left, right };
    let first = first_parting(&mut rows, &kin, &requests);
    let acts = rows
        .iter()
        .position(|r| !r.is_side && r.level.is_some_and(|l| l >= Level::Action))
        .map(|at| parting(&rows, at, &kin, &requests));
    let told = acts.as_ref().or(first.as_ref());
    let context = told.and_then(|p| requests.diff(&rows, p.row)?.ok());
    let differ = |row: &StepPair| {
        let now = row.places.1.and_then(|place| place.turn(right));
        let is = |is: fn(&RunView, &Turn) -> bool| now.is_some_and(|turn| is(right, turn));
        let is_told = row.asked_differently && row.status != Status::NotRun;
        is_told && !is(is_served) && (!row.is_side || is(is_refused))
    };
    let asked = (0..rows.len()).filter(|at| rows.get(*at).is_some_and(differ)).take(asked);
    let asked = asked.filter_map(|row| Some(Asked { row, diff: requests.diff(&rows, row)?.ok()? }));
    let asked = asked.filter(|asked| !asked.diff.is_volatile_only()).collect();
    let outcome = Outcomes::of(&worlds, (left, right), stops);
    let structure = trees.map(|trees| trees.structure(&rows, (left, right)));
    let levels = Levels::of(&rows, first_bytes(left, right, &rows), outcome.differ());
    let comparison = Comparison {
        left: left.manifest.id.to_string(),
        right: right.manifest.id.to_string(),
        kin,
        counts: count(&rows),
        rows,
        levels,
        first,
        acts,
        tools,
        context: context.filter(|c| !c.is_empty()),
        structure,
        outcome,
        left_totals: Totals::of(left),
        right_totals: Totals::of(right),
    };
    (comparison, asked)
}

fn rows_of(
    worlds: &Worlds,
    (left, right): (&RunView, &RunView),
    kin: &Kin,
    stops: (Option<Stop>, Option<Stop>),
    trees: Option<&Trees>,
    (pairs, served, numbers): (&[LanePair], &Served, &(StepNumbers, StepNumbers)),
) -> Vec<StepPair> {
    let build = Builder { worlds, left, right, kin, numbers };
    let mut rows = Vec::new();
    for pair in pairs {
        build.lane(pair, &mut rows);
    }
    rejoin::served(&mut rows, &build, served);
    if matches!(kin, Kin::RightIsFork { replay: true, .. }) {
        rejoin::refused(&mut rows, &build, served);
    }
    if trees.is_some() {
        // Spans tell which agent took a turn that another conversation has.
        rejoin::moved(&mut rows, 0, &build);
    }
    stop::mark(&mut rows, stops.0, stops.1);
    let mut rows = in_order(rows);
    if let Some(trees) = trees {
        trees.mark(&mut rows);
    }
    rows
}

/// Makes rows of two runs.
pub(super) struct Builder<'a, 'r> {
    pub(super) worlds: &'a Worlds<'a, 'r>,
    pub(super) left: &'a RunView<'r>,
    pub(super) right: &'a RunView<'r>,
    kin: &'a Kin,
    numbers: &'a (StepNumbers, StepNumbers),
}

impl Builder<'_, '_> {
    fn lane(&self, pair: &LanePair, rows: &mut Vec<StepPair>) {
        let begin = rows.len();
        let lane = pair.left.and_then(|l| self.left.outline.lanes.get(l));
        let lane = lane.or_else(|| pair.right.and_then(|r| self.right.outline.lanes.get(r)));
        let Some(lane) = lane else { return };
        for (l, r) in &pair.turns {
            let place = |lane: Option<usize>, turn: Option<usize>| {
                Some(Place { lane: lane? as u32, turn: turn? as u32, call: None })
            };
            let places = (place(pair.left, *l), place(pair.right, *r));
            rows.extend(self.row(places));
            for (a, b) in self.calls(places) {
                let site = |place: Option<Place>, call: Option<usize>| {
                    Some(Place { call: Some(call? as u32), ..place? })
                };
                rows.extend(self.row((site(places.0, a), site(places.1, b))));
            }
        }
        let is_side = lane.kind == LaneKind::Side;
        let name = lane.named.clone().unwrap_or_else(|| lane.key.clone());
        for row in rows.iter_mut().skip(begin) {
            row.lane.clone_from(&name);
            row.is_side = is_side;
        }
        rejoin::moved(rows, begin, self);
    }

    fn calls(&self, places: (Option<Place>, Option<Place>)) -> Vec<super::align::Pair> {
        let left = places.0.and_then(|p| p.turn(self.left));
        let right = places.1.and_then(|p| p.turn(self.right));
        match (left, right) {
            (Some(l), Some(r)) => lanes::calls(self.worlds, l, r),
            (Some(l), None) => (0..l.calls.len()).map(|i| (Some(i), None)).collect(),
            (None, Some(r)) => (0..r.calls.len()).map(|i| (None, Some(i))).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// The row of two steps, or of one that stands alone; none of none.
    pub(super) fn row(&self, places: (Option<Place>, Option<Place>)) -> Option<StepPair> {
        let number = |place: Option<Place>, numbers: &StepNumbers| {
            let place = place?;
            match place.site() {
                Some(site) => numbers.tool(site),
                None => numbers.model(place.lane as usize, place.turn as usize),
            }
        };
        let is_tool = places.0.or(places.1).is_some_and(|p| p.call.is_some());
        let mut row = StepPair {
            lane: String::new(),
            left: number(places.0, &self.numbers.0),
            right: number(places.1, &self.numbers.1),
            kind: if is_tool { PairKind::Tool } else { PairKind::Model },
            status: Status::Same,
            level: None,
            edit: None,
            before: None,
            after: None,
            fields: Vec::new(),
            asked_differently: false,
            pinned: false,
            stale: false,
            place: None,
            places,
            is_side: false,
        };
        let idle = |place: Option<Place>, run: &RunView| {
            let turn = place.filter(|p| p.call.is_none()).and_then(|p| p.turn(run));
            turn.is_some_and(|turn| stop::not_asked(run, turn))
        };
        match places {
            _ if idle(places.0, self.left) || idle(places.1, self.right) => {
                row.status = Status::NotRun;
                row.before = places.0.and_then(|l| rows::act_of(self.left, l));
                row.after = places.1.and_then(|r| rows::act_of(self.right, r));
            }
            (Some(l), Some(r)) => self.compare(&mut row, l, r),
            (Some(l), None) => {
                row.status = Status::OnlyLeft;
                row.level = Some(Level::Action);
                row.before = rows::act_of(self.left, l);
            }
            (None, Some(r)) => {
                row.status = Status::OnlyRight;
                row.level = Some(Level::Action);
                row.after = rows::act_of(self.right, r);
            }
            (None, None) => return None,
        }
        Some(row)
    }

    /// Compares the two steps of a row.
    pub(super) fn compare(&self, row: &mut StepPair, l: Place, r: Place) {
        row.edit = self.kin.number(row).and_then(|n| self.kin.edit_at(n)).map(str::to_string);
        let is_same = |found: &rows::Difference| matches!(found.0, Status::Same | Status::Varies);
        (row.status, row.level, row.fields) = self.worlds.attempt(|| self.difference(row, l, r), is_same);
    }

    fn difference(&self, row: &mut StepPair, l: Place, r: Place) -> rows::Difference {
        let (left, right) = ((self.left, l), (self.right, r));
        if row.kind == PairKind::Tool {
            let (difference, before, after) = rows::compare_results(self.worlds, left, right);
            row.stale =
                [left, right].iter().any(|(run, place)| place.site().is_some_and(|at| run.is_stale(at)));
            row.pinned = difference.0 == Status::Same && rows::own_results_differ(self.worlds, left, right);
            if difference.0 != Status::Same || row.pinned || row.stale {
                (row.before, row.after) = (before, after);
            }
            difference
        } else {
            let key = |p: Place, run: &RunView| p.turn(run).map(|t| t.request_key);
            row.asked_differently = key(l, self.left) != key(r, self.right);
            let difference = rows::compare_answers(self.worlds, left, right);
            let acts = (rows::act_of(self.left, l), rows::act_of(self.right, r));
            let is_fenced = |act: &Option<Act>| matches!(act, Some(Act::Fenced { .. }));
            if difference.0 != Status::Same || is_fenced(&acts.0) || is_fenced(&acts.1) {
                (row.before, row.after) = acts;
            }
            difference
        }
    }
}

/// Rows in the order of the left run; what only the right run has stands where it happened there.
fn in_order(rows: Vec<StepPair>) -> Vec<StepPair> {
    let mut both: Vec<(u32, u32)> =
        rows.iter().filter(|r| r.status != Status::Moved).filter_map(|r| Some((r.right?, r.left?))).collect();
    both.sort_unstable();
    let mut highest = 0;
    for (_, left) in &mut both {
        highest = highest.max(*left);
        *left = highest;
    }
    let before = |right: u32| {
        let n = both.partition_point(|(r, _)| *r < right);
        n.checked_sub(1).and_then(|i| both.get(i)).map_or(0, |(_, l)| *l)
    };
    let mut keyed: Vec<((u32, bool, u32), StepPair)> = rows
        .into_iter()
        .map(|row| {
            let key = match (row.left, row.right) {
                (Some(left), _) if row.status != Status::Moved => (left, false, 0),
                (_, Some(right)) => (before(right), true, right),
                (left, None) => (left.unwrap_or(0), false, 0),
            };
            (key, row)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, row)| row).collect()
}

fn count(rows: &[StepPair]) -> Counts {
    let mut counts = Counts::default();
    for row in rows {
        *match row.status {
            Status::Same => &mut counts.same,
            Status::Varies => &mut counts.varies,
            Status::Changed => &mut counts.changed,
            Status::OnlyLeft => &mut counts.only_left,
            Status::OnlyRight => &mut counts.only_right,
            Status::Moved => &mut counts.moved,
            Status::NotRun => &mut counts.not_run,
        } += 1;
    }
    counts
}
