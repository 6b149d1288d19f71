//! A place that was found, and that who replays does not take.

use super::decision::{Ask, MatchClass, Miss};
use super::segments::{Backdrop, Part, Said};
use super::thread::Carried;
use super::unify::{Difference, Known, Unifier};
use super::{Bindings, Live, Matcher, Recording, explain};
use crate::dialect::conversation::ModelRequest;
use crate::holes::Holes;
use crate::run::reading::{Piece, Reading, readings};

/// Nothing may differ.
struct Strict(Holes);

impl Backdrop for Strict {
    fn holes(&self) -> &Holes {
        &self.0
    }

    fn may_bind(&self, recorded: &str, live: &str) -> bool {
        recorded == live
    }

    fn split(&self, _: &str, _: &str) -> (Vec<Part>, Vec<Part>) {
        Default::default()
    }

    fn may_swap(&self, recorded: Said, live: Said) -> bool {
        recorded == live
    }
}

/// What may differ by itself. A result that was placed may be quoted by now, if only by itself: no text is taken for a
/// quote.
struct Alone<'a> {
    behind: &'a dyn Backdrop,
    holes: Holes,
}

impl Backdrop for Alone<'_> {
    fn holes(&self) -> &Holes {
        &self.holes
    }

    fn may_bind(&self, recorded: &str, live: &str) -> bool {
        self.behind.may_bind(recorded, live)
    }

    fn split(&self, _: &str, _: &str) -> (Vec<Part>, Vec<Part>) {
        Default::default()
    }

    fn may_swap(&self, recorded: Said, live: Said) -> bool {
        self.behind.may_swap(recorded, live)
    }
}

impl<R: Recording> Matcher<R> {
    /// Why a request is refused though its place is known: its class is not allowed. What is told is the first
    /// difference that makes it one of that class. The reason is the caller's to say.
    pub fn refused(&self, ask: &Ask, (lane, turn): (u32, u32), class: MatchClass) -> Miss {
        let why = match class {
            MatchClass::Exact => "it is the same",
            MatchClass::Renamed => "only values that stand for each other differ",
            MatchClass::Pinned => "only results of tool calls that were the same differ",
            MatchClass::Masked => "only what a rule says does not count differs",
            MatchClass::Reordered => "only the order of lines or items differs",
            MatchClass::Drift => "another request",
        };
        let live = Live::read(ask);
        let looked = self.first_difference(&live, (lane, turn), class);
        let mut near = explain::near(self.recording.outline(), lane, turn, why, looked);
        // What a rule lets pass, or would not, needs none.
        near.rule = near.rule.filter(|_| class == MatchClass::Pinned);
        let hints = near.rule.iter().flat_map(|rule| pasted(rule)).collect();
        Miss { asked: explain::asked(&live), reason: String::new(), nearest: vec![near], hints }
    }

    /// The first difference that makes a request one of this class: of a pinned one a result that was pinned, of a masked
    /// one what a rule takes away, of a reordered one what stands elsewhere, of others whatever is not the same.
    fn first_difference(
        &self,
        live: &Live<'_>,
        (lane, turn): (u32, u32),
        class: MatchClass,
    ) -> Option<Difference> {
        let recorded = self.recording.request(lane, turn).ok()?;
        let there = readings(&recorded.messages);
        let thread = self.threads.iter().find(|t| t.id == live.ask.id);
        let own = thread.and_then(|t| t.hypotheses.iter().find(|h| h.lane == lane));
        let bound = own.map(|h| Bindings::clone(&h.bound)).unwrap_or_default();
        let holes = match class {
            MatchClass::Masked => self.holes.without_rules(),
            _ => Holes::clone(&self.holes),
        };
        let alone = Alone { behind: self, holes };
        let known = Known { behind: &alone, plain: false, ..self.known(live.ask.dialect, &bound) };
        let mut unifier = Unifier::new(known, bound.clone());
        unifier.in_order = class == MatchClass::Reordered;
        // Of pins, the newest ones: those before them have passed.
        let newest = thread.and_then(|t| t.pins.iter().map(|c| c.pin.site.turn).max());
        let is_pin = |piece: &Piece<'_>, of: Option<u32>| {
            let mut pins = thread.iter().flat_map(|t| &t.pins);
            pins.any(|c| stands(c, piece) && of.is_none_or(|turn| c.pin.site.turn == turn))
        };
        let passes = |piece: &Piece<'_>| match class {
            MatchClass::Pinned => newest.is_some() && !is_pin(piece, newest),
            _ => is_pin(piece, None),
        };
        let found = match class {
            MatchClass::Pinned | MatchClass::Masked | MatchClass::Reordered => {
                apart(&mut unifier, (&recorded, &there), live, &passes)
            }
            MatchClass::Exact | MatchClass::Renamed | MatchClass::Drift => None,
        };
        let (strict, below) = (Strict(Holes::default()), Bindings::default());
        let known = Known { behind: &strict, below: &below, plain: true, dialect: live.ask.dialect };
        let found = found.or_else(|| {
            apart(&mut Unifier::new(known, Bindings::default()), (&recorded, &there), live, &|_| false)
        });
        let found = found.or_else(|| {
            (there.len() != live.readings.len()).then(|| explain::lengths(&there, &live.readings))
        });
        // A quantity, or an id, which no comparison minds.
        found.or_else(|| {
            let mut messages = recorded.messages.iter().zip(&live.ask.request.messages).enumerate();
            let (at, (a, b)) = messages.find(|(_, (a, b))| a != b)?;
            let text = |message| serde_json::to_string(message).unwrap_or_default();
            let (recorded, live) = (text(&a.blocks), text(&b.blocks));
            Some(Difference::new(format!("messages[{at}]"), recorded, live))
        })
    }
}

/// The first difference of two requests, results that `passes` apart.
fn apart(
    unifier: &mut Unifier<'_>,
    (recorded, there): (&ModelRequest, &[Reading<'_>]),
    live: &Live<'_>,
    passes: &dyn Fn(&Piece<'_>) -> bool,
) -> Option<Difference> {
    if let Err(difference) = unifier.head(recorded, &live.ask.request) {
        return Some(difference);
    }
    let mut differences = there.iter().zip(&live.readings).filter_map(|(a, b)| {
        let mut pin = |_: &Piece<'_>, y: &Piece<'_>, difference| match passes(y) {
            true => Ok(()),
            false => Err(difference),
        };
        unifier.reading(a, b, &|_, _| false, &mut pin).err()
    });
    differences.next()
}

/// True for a live result for which the recorded one stands.
fn stands(carried: &Carried, piece: &Piece<'_>) -> bool {
    (carried.pin.message, carried.pin.block) == (piece.message, piece.index)
}

/// A rule to be pasted, line by line.
fn pasted(rule: &str) -> Vec<String> {
    let say = "or, if it varies without meaning, say so in retake.toml:".to_string();
    std::iter::once(say).chain(rule.lines().map(str::to_string)).collect()
}
