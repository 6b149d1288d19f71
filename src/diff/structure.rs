//! Where steps stand in the trees of two runs: below which agents, workflows, tools and other spans. A step that does the
//! same at another place is the same step; which agent took it is a difference all the same, of a kind of its own.

use super::levels::At;
use super::rows::{Status, StepPair};
use super::view::RunView;
use super::worlds::{Side, Worlds};
use crate::run::tree::NodeKind;
use crate::run::tree::places::{Actor, Level, Path, Places};
use crate::run::{RunState, StepKind};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The spans above a step, the outermost first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Elsewhere {
    /// Those that both runs have before the first that differs; named as in the left run.
    pub above: Vec<Level>,
    /// From there on in the left run.
    pub left: Vec<Level>,
    /// From there on in the right run.
    pub right: Vec<Level>,
}

/// Steps that stand elsewhere, all in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// From where to where.
    #[serde(flatten)]
    pub place: Elsewhere,
    /// True when `right` came in between, or `left` went, and what stands below that is as it was.
    pub is_depth: bool,
    /// Which steps.
    pub steps: Vec<At>,
    /// The tool of all of these steps, or their model (`model small`), when it is one.
    pub what: Option<String>,
}

/// An agent or a workflow that ran more often in one run than in the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ran {
    /// What it is.
    pub kind: NodeKind,
    /// Its name.
    pub name: String,
    /// How often it ran in the left run.
    pub left: usize,
    /// How often in the right one.
    pub right: usize,
    /// The steps that it took in the left run.
    pub left_steps: Vec<u32>,
    /// In the right one.
    pub right_steps: Vec<u32>,
}

/// How the trees of two runs differ that both have spans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Structure {
    /// Steps that stand elsewhere, in order of the left run.
    pub moves: Vec<Move>,
    /// Agents and workflows that ran more or less often.
    pub ran: Vec<Ran>,
}

impl Structure {
    /// True when both trees are the same.
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty() && self.ran.is_empty()
    }
}

/// Both trees, as far as both runs have spans.
pub(super) struct Trees<'a, 'r> {
    worlds: &'a Worlds<'a, 'r>,
    left: &'r Places,
    right: &'r Places,
    /// What levels are called, once worked out.
    known: RefCell<HashMap<(bool, Level), String>>,
}

impl<'a, 'r> Trees<'a, 'r> {
    /// None unless both runs have spans.
    pub(super) fn of(
        worlds: &'a Worlds<'a, 'r>,
        left: &RunView<'r>,
        right: &RunView<'r>,
    ) -> Option<Trees<'a, 'r>> {
        let left = left.source.places()?;
        Some(Trees { worlds, left, right: right.source.places()?, known: RefCell::default() })
    }

    fn places(&self, side: Side) -> &'r Places {
        match side {
            Side::Left => self.left,
            Side::Right => self.right,
        }
    }

    /// What a step's place is called in either run; none when no span tells of it, or not of all of it.
    pub(super) fn key(&self, side: Side, step: u32) -> Option<String> {
        let path = self.places(side).path(step).filter(|path| !path.is_cut)?;
        Some(self.keys(side, path).join("\n"))
    }

    fn keys(&self, side: Side, path: &Path) -> Vec<String> {
        path.levels.iter().map(|level| self.level(side, level)).collect()
    }

    /// A level without what may be another in the other run. A number tells agents and tools apart; other spans are
    /// counted with it: `turn 3`.
    fn level(&self, side: Side, level: &Level) -> String {
        let key = (side == Side::Left, level.clone());
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        let name = self.worlds.masked(side, &level.name);
        let is_counted = level.kind == NodeKind::Other;
        let name = if is_counted { without_numbers(&name) } else { name };
        let name = format!("{:?} {name}", level.kind);
        self.known.borrow_mut().insert(key, name.clone());
        name
    }

    /// Notes at each row where it stands in either run, when these are two places.
    pub(super) fn mark(&self, rows: &mut [StepPair]) {
        for row in rows {
            row.place = row.left.zip(row.right).and_then(|(left, right)| self.moved(left, right));
        }
    }

    fn moved(&self, left: u32, right: u32) -> Option<Elsewhere> {
        let (l, r) = (self.left.path(left)?, self.right.path(right)?);
        if l == r {
            return None;
        }
        let (own, other) = (self.keys(Side::Left, l), self.keys(Side::Right, r));
        let is_same = match (l.is_cut, r.is_cut) {
            (true, false) => other.ends_with(&own),
            (false, true) => own.ends_with(&other),
            _ => own == other,
        };
        if is_same {
            return None;
        }
        let before = own.iter().zip(&other).take_while(|(a, b)| a == b).count();
        let rest = |levels: &[Level]| levels.iter().skip(before).cloned().collect();
        let above = l.levels.iter().take(before).cloned().collect();
        Some(Elsewhere { above, left: rest(&l.levels), right: rest(&r.levels) })
    }

    /// All that differs, after [`Trees::mark`].
    pub(super) fn structure(&self, rows: &[StepPair], (left, right): (&RunView, &RunView)) -> Structure {
        let moves = self.moves(rows, left);
        let mut ran = self.ran(rows, &moves);
        // Who was stopped, or died, may not have come to it.
        ran.retain(|ran| {
            let less = if ran.left < ran.right { left } else { right };
            less.state == RunState::Complete && !rows.iter().any(|row| row.status == Status::NotRun)
        });
        Structure { moves, ran }
    }

    fn moves(&self, rows: &[StepPair], left: &RunView) -> Vec<Move> {
        let mut moves: Vec<Move> = Vec::new();
        let mut known: HashMap<[Vec<String>; 3], usize> = HashMap::new();
        for row in rows {
            let Some(moved) = &row.place else { continue };
            let (place, is_depth) = self.in_between(moved);
            let keys = |side: Side, levels: &[Level]| -> Vec<String> {
                levels.iter().map(|level| self.level(side, level)).collect()
            };
            let last = place.above.last().map(std::slice::from_ref).unwrap_or_default();
            let key =
                [keys(Side::Left, last), keys(Side::Left, &place.left), keys(Side::Right, &place.right)];
            let at = At { left: row.left, right: row.right };
            let what = row.left.and_then(|step| name_of(left, step));
            match known.get(&key).and_then(|at| moves.get_mut(*at)) {
                Some(known) => {
                    known.steps.push(at);
                    known.what = known.what.take().filter(|name| Some(name) == what.as_ref());
                }
                None => {
                    known.insert(key, moves.len());
                    moves.push(Move { place, is_depth, steps: vec![at], what });
                }
            }
        }
        moves
    }

    /// Where spans only came in between, or went, these alone: whatever stands below them is as it was.
    fn in_between(&self, moved: &Elsewhere) -> (Elsewhere, bool) {
        let keys = |side: Side, levels: &[Level]| -> Vec<String> {
            levels.iter().map(|level| self.level(side, level)).collect()
        };
        let (l, r) = (keys(Side::Left, &moved.left), keys(Side::Right, &moved.right));
        let after = l.iter().rev().zip(r.iter().rev()).take_while(|(a, b)| a == b).count();
        if after == 0 || after < l.len().min(r.len()) {
            return (moved.clone(), false);
        }
        let cut =
            |levels: &[Level]| levels.iter().take(levels.len().saturating_sub(after)).cloned().collect();
        (Elsewhere { above: moved.above.clone(), left: cut(&moved.left), right: cut(&moved.right) }, true)
    }

    fn ran(&self, rows: &[StepPair], moves: &[Move]) -> Vec<Ran> {
        let mut all: BTreeMap<String, Ran> = BTreeMap::new();
        for side in [Side::Left, Side::Right] {
            for actor in self.places(side).actors() {
                let level = Level { kind: actor.kind, name: actor.name.clone() };
                let ran = all.entry(self.level(side, &level)).or_insert_with(|| Ran::never(actor));
                let (count, steps) = match side {
                    Side::Left => (&mut ran.left, &mut ran.left_steps),
                    Side::Right => (&mut ran.right, &mut ran.right_steps),
                };
                *count += 1;
                steps.extend(&actor.steps);
            }
        }
        // An agent of which all steps are told to stand elsewhere is told already.
        let told: [HashSet<u32>; 2] = [
            moves.iter().flat_map(|of| &of.steps).filter_map(|at| at.left).collect(),
            moves.iter().flat_map(|of| &of.steps).filter_map(|at| at.right).collect(),
        ];
        let paired = |steps: &[u32], told: &HashSet<u32>| {
            !steps.is_empty() && steps.iter().all(|step| told.contains(step))
        };
        let mut all: Vec<Ran> = all.into_values().filter(|ran| ran.left != ran.right).collect();
        all.retain(|ran| !paired(&ran.left_steps, &told[0]) && !paired(&ran.right_steps, &told[1]));
        for ran in &mut all {
            ran.left_steps.sort_unstable();
            ran.right_steps.sort_unstable();
        }
        let first = |ran: &Ran| {
            let place = |step: u32| rows.iter().position(|row| row.left == Some(step));
            ran.left_steps.first().and_then(|step| place(*step)).unwrap_or(usize::MAX)
        };
        all.sort_by_key(first);
        all
    }
}

impl Ran {
    fn never(actor: &Actor) -> Ran {
        let (left_steps, right_steps) = (Vec::new(), Vec::new());
        Ran { kind: actor.kind, name: actor.name.clone(), left: 0, right: 0, left_steps, right_steps }
    }
}

/// The tool of a step; of a model call the model: `model small`.
fn name_of(run: &RunView, step: u32) -> Option<String> {
    Some(match run.outline.step(step)? {
        StepKind::Tool { site } => run.outline.call(site)?.name.clone(),
        StepKind::Model { lane, turn } => {
            run.outline.turn(lane, turn).map(|turn| format!("model {}", turn.model))?
        }
    })
}

/// A name with one sign for each word that holds a digit.
fn without_numbers(name: &str) -> String {
    let mut out = String::new();
    for word in name.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let (word, end) = match word.char_indices().next_back() {
            Some((at, c)) if !c.is_alphanumeric() => word.split_at(at),
            _ => (word, ""),
        };
        out.push_str(if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word });
        out.push_str(end);
    }
    out
}
