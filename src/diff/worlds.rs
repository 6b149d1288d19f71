//! What is the same in two runs though each writes it in its own way: directories that moved are, names bind one to one,
//! clocks vary within the time of each run.

use super::tree::Tree;
use super::view::RunView;
use super::volatile;
use crate::dialect::conversation::Block;
use crate::holes::{Bindings, Holes, Place, Rules, Surroundings};
use crate::run::ToolCallRef;
use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashSet;

/// One of the two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same, each in its run's own directories.
    Same,
    /// The same but for names, clocks and the like.
    Varies,
    /// They differ.
    Differs,
}

/// What two runs have in common, and what was found to stand for what so far.
pub(super) struct Worlds<'a, 'r> {
    /// None where nothing is known of the runs: then only the shapes of values tell.
    holes: Option<Holes>,
    runs: Option<(&'a RunView<'r>, &'a RunView<'r>)>,
    /// What holds for both runs.
    bound: RefCell<Bindings>,
    /// What holds if the steps that are being compared are the same.
    trial: RefCell<Bindings>,
    /// The names in each run; read when one is another for the first time.
    names: OnceCell<(HashSet<String>, HashSet<String>)>,
}

impl<'a, 'r> Worlds<'a, 'r> {
    /// Texts of which nothing is known.
    pub(super) fn unknown() -> Worlds<'a, 'r> {
        Worlds {
            holes: None,
            runs: None,
            bound: RefCell::default(),
            trial: RefCell::default(),
            names: OnceCell::new(),
        }
    }

    /// Two runs; the left one stands for what was recorded.
    pub(super) fn of(left: &'a RunView<'r>, right: &'a RunView<'r>, surroundings: &Surroundings) -> Self {
        // It fails for too many stand-ins only, and there are none.
        let holes = Holes::new(&HashSet::new(), Some(surroundings), &Rules::default()).unwrap_or_default();
        Worlds { holes: Some(holes), runs: Some((left, right)), ..Worlds::unknown() }
    }

    /// Compares two steps: what they bind counts for the rest only when they turn out to be the same.
    pub(super) fn attempt<T>(&self, compare: impl FnOnce() -> T, same: impl FnOnce(&T) -> bool) -> T {
        self.trial.take();
        let found = compare();
        let trial = self.trial.take();
        if same(&found) {
            self.bound.borrow_mut().merge(&trial);
        }
        found
    }

    /// A text with one sign for each directory that moved.
    pub(super) fn key<'t>(&self, side: Side, text: &'t str) -> Cow<'t, str> {
        match &self.holes {
            Some(holes) => holes.without_roots(side == Side::Left, text),
            None => Cow::Borrowed(text),
        }
    }

    /// The same for a text of its own.
    pub(super) fn keyed(&self, side: Side, text: String) -> String {
        match self.key(side, &text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(key) => key,
        }
    }

    /// A text without anything that may be another in the other run. Names that both runs have stay.
    pub(super) fn masked(&self, side: Side, text: &str) -> String {
        let Some(holes) = &self.holes else { return text.to_string() };
        let both = |name: &str| {
            let (left, right) = self.names();
            left.contains(name) && right.contains(name)
        };
        holes.masked_text(side == Side::Left, text, &both)
    }

    /// Compares two texts.
    pub(super) fn text(&self, left: &str, right: &str) -> Verdict {
        if left == right {
            return Verdict::Same;
        }
        let Some(holes) = &self.holes else {
            return if volatile::text_varies(left, right) { Verdict::Varies } else { Verdict::Differs };
        };
        let mut found = Bindings::default();
        let may_bind = |left: &str, right: &str| self.may_bind(left, right);
        let place = Place::of("", "");
        let walked = holes.walk(&place, left, right, &mut found, &self.bound.borrow(), &may_bind);
        match walked {
            Some(walked) if self.trial.borrow_mut().merge(&found).is_none() => match walked.another {
                true => Verdict::Varies,
                false => Verdict::Same,
            },
            _ => Verdict::Differs,
        }
    }

    /// Compares two values of a field, named by the last name of its path, neither of them a list or an object.
    pub(super) fn leaf(&self, name: &str, left: &Tree, right: &Tree) -> Verdict {
        if self.holes.is_none() {
            let varies = match (left, right) {
                (Tree::Text(l), Tree::Text(r)) => {
                    volatile::varies(name, left, right) || volatile::text_varies(l, r)
                }
                _ => volatile::varies(name, left, right),
            };
            return match (left == right, varies) {
                (true, _) => Verdict::Same,
                (_, true) => Verdict::Varies,
                _ => Verdict::Differs,
            };
        }
        match (left, right) {
            (l, r) if l == r => Verdict::Same,
            (Tree::Lexeme(_), Tree::Lexeme(_)) if volatile::varies_by_name(name, left, right) => {
                Verdict::Varies
            }
            // A number alone is content, unless it is an instant within the time of its run.
            (Tree::Lexeme(l), Tree::Lexeme(r)) => self.text(l, r),
            (Tree::Text(l), Tree::Text(r)) => match self.text(l, r) {
                Verdict::Differs if volatile::varies_by_name(name, left, right) && self.stands_for(l, r) => {
                    Verdict::Varies
                }
                verdict => verdict,
            },
            _ => Verdict::Differs,
        }
    }

    /// True when a whole text can stand for another one, wherever it does.
    fn stands_for(&self, left: &str, right: &str) -> bool {
        let known = self.bound.borrow().is_bound(&Bindings::default(), left, right);
        // A clock stands for any other.
        let is_clock = volatile::is_clock(left) && volatile::is_clock(right);
        is_clock || known.unwrap_or_else(|| self.trial.borrow_mut().bind(&Bindings::default(), left, right))
    }

    /// True when a name of the left run can have become one of the right: neither is a name of the other run.
    fn may_bind(&self, left: &str, right: &str) -> bool {
        let (lefts, rights) = self.names();
        !rights.contains(left) && !lefts.contains(right)
    }

    fn names(&self) -> &(HashSet<String>, HashSet<String>) {
        self.names.get_or_init(|| {
            let (Some(holes), Some((left, right))) = (&self.holes, self.runs) else {
                return Default::default();
            };
            (names_of(holes, Side::Left, left), names_of(holes, Side::Right, right))
        })
    }
}

/// The names in a run: the last request of a lane holds its history, the outline what later requests left out.
fn names_of(holes: &Holes, side: Side, run: &RunView) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut look = |blocks: &mut dyn Iterator<Item = &Block>, tools: &[serde_json::Value]| {
        holes.names_on(side == Side::Left, blocks, tools, &mut names);
    };
    for lane in &run.outline.lanes {
        for turn in &lane.turns {
            let text = |text: &str| Block::Text { text: text.to_string() };
            let called = |call: &ToolCallRef| {
                let result = call.result.as_ref().map(|r| text(&r.text));
                let call =
                    Block::ToolCall { id: String::new(), name: String::new(), args: call.args.clone() };
                std::iter::once(call).chain(result)
            };
            let said: Vec<Block> =
                turn.calls.iter().flat_map(called).chain(std::iter::once(text(&turn.text))).collect();
            look(&mut said.iter(), &[]);
        }
        let Some(last) = lane.turns.last() else { continue };
        if let Ok(request) = run.request_of(last) {
            let said = request.messages.iter().flat_map(|m| &m.blocks);
            look(&mut request.system.iter().chain(said), &request.tools);
        }
        if let Ok(answer) = run.answer_of(last) {
            look(&mut answer.blocks.iter(), &[]);
        }
    }
    names
}
