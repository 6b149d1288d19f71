//! A recorded text against a live one, token by token.

use super::lexer::{looks_made_up, stands_alone};
use super::rules::{HoleKind, Place};
use super::token::{Kind, Shape, Token};
use super::{Bindings, Holes};
use std::borrow::Cow;
use std::ops::Range;

/// What it costs that a directory or a day is still the recorded one though today's is another.
const FIXED_COST: usize = 2;

/// What two texts had in common.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walked {
    /// What had to be taken for granted; 0 where nothing differs that was not known.
    pub cost: usize,
    /// True when a part that does not count differs.
    pub masked: bool,
    /// True when a value came out differently that nothing foretold: a new name, another quantity.
    pub varied: bool,
    /// True when a name, a quantity, a port or a day is another, foretold or not.
    pub another: bool,
}

/// A hole of a recorded text.
enum Hole {
    Token(Kind),
    Secret,
    Declared(HoleKind),
}

impl Holes {
    /// Compares two texts; what is new is bound in `bound`, which is left half done where they differ. `may_bind` says
    /// whether a recorded name can have become a live one.
    pub(crate) fn walk(
        &self,
        place: &Place<'_>,
        recorded: &str,
        live: &str,
        bound: &mut Bindings,
        below: &Bindings,
        may_bind: &dyn Fn(&str, &str) -> bool,
    ) -> Option<Walked> {
        if self.rules.is_empty() {
            return self.whole(place, recorded, live, bound, below, may_bind);
        }
        let mut trial = bound.clone();
        if let Some(walked) = self.whole(place, recorded, live, &mut trial, below, may_bind) {
            *bound = trial;
            return Some(walked);
        }
        let then = self.rules.without_ignored(place, recorded);
        let now = self.rules.without_ignored(place, live);
        if matches!((&then, &now), (Cow::Borrowed(_), Cow::Borrowed(_))) {
            return None;
        }
        let walked = self.whole(place, &then, &now, bound, below, may_bind)?;
        Some(Walked { masked: true, ..walked })
    }

    /// The same for texts of which everything counts.
    fn whole(
        &self,
        place: &Place<'_>,
        recorded: &str,
        live: &str,
        bound: &mut Bindings,
        below: &Bindings,
        may_bind: &dyn Fn(&str, &str) -> bool,
    ) -> Option<Walked> {
        let mut walked = Walked::default();
        let declared = |text: &str| match self.rules.is_empty() {
            true => Vec::new(),
            false => self.rules.holes(place, text),
        };
        let today = Today { tokens: self.live.tokens(live), declared: declared(live) };
        let (mut done, mut at) = (0, 0);
        for (range, hole) in self.holes_of(recorded, declared(recorded)) {
            let literal = recorded.get(done..range.start)?;
            at = live.get(at..)?.starts_with(literal).then_some(at + literal.len())?;
            let said = recorded.get(range.clone())?;
            let rest = live.get(at..)?;
            let same = rest.starts_with(said);
            let is_made_up = |name: &str| name.contains("tmp") || looks_made_up(name.as_bytes());
            let end = match hole {
                Hole::Secret => {
                    let secret = rest.get(..said.len())?;
                    // The stand-in itself comes back where it was served as it is.
                    (same || bound.bind_secret(below, said, secret)).then_some(at + said.len())?
                }
                Hole::Declared(kind) => {
                    let end = today.declared_at(at).or(same.then_some(at + said.len()))?;
                    let now = live.get(at..end)?;
                    let known = bound.is_bound(below, said, now).is_some();
                    if kind == HoleKind::Name && !bound.bind_declared(below, said, now) {
                        return None;
                    }
                    walked.varied |= said != now && !(kind == HoleKind::Name && known);
                    walked.another |= said != now;
                    end
                }
                Hole::Token(Kind::Root(index)) => {
                    let moved = self.recorded.same_root(index).find_map(|candidate| {
                        let root = self.live.root(candidate);
                        let end = at + root.len();
                        (rest.starts_with(root) && stands_alone(live, at..end)).then_some((candidate, end))
                    });
                    match moved {
                        Some((candidate, end)) => {
                            bound.note_root(candidate, true);
                            end
                        }
                        None if same => {
                            bound.note_root(index, false);
                            walked.cost += FIXED_COST;
                            at + said.len()
                        }
                        None => return None,
                    }
                }
                Hole::Token(Kind::Date(form, day)) => {
                    let moved = today.token_at(at).and_then(|t| match t.kind {
                        Kind::Date(f, d) if f == form => {
                            let by = self.shifts.iter().position(|shift| *shift == d - day)?;
                            // Local and universal time may be days apart: a run goes by one of them.
                            let known = bound.shift(below).is_none_or(|shift| shift == d - day);
                            known.then_some((d - day, t.range.end, by))
                        }
                        _ => None,
                    });
                    match moved {
                        Some((shift, end, by)) => {
                            bound.note_day(day, Some(shift));
                            walked.another |= shift != 0;
                            walked.cost += by;
                            end
                        }
                        None if same => {
                            bound.note_day(day, None);
                            walked.cost += FIXED_COST;
                            at + said.len()
                        }
                        None => return None,
                    }
                }
                Hole::Token(kind) => {
                    let token = today.token_at(at).filter(|t| t.kind == kind);
                    let end = token.map(|t| t.range.end).or(same.then_some(at + said.len()))?;
                    let now = live.get(at..end)?;
                    match kind {
                        Kind::Name(Shape::Temporary)
                            if said != now && !(is_made_up(said) || is_made_up(now)) =>
                        {
                            return None;
                        }
                        Kind::Name(_) => {
                            let known = bound.is_bound(below, said, now);
                            let holds = known.unwrap_or_else(|| said == now || may_bind(said, now));
                            if !holds || !bound.bind(below, said, now) {
                                return None;
                            }
                            let new = known.is_none() && said != now;
                            walked.cost += usize::from(new);
                            walked.varied |= new;
                        }
                        Kind::Port => bound.note_port(said, now),
                        Kind::Quantity(_) => walked.varied |= said != now,
                        Kind::Date(..) | Kind::Root(_) => {}
                    }
                    walked.another |= said != now;
                    end
                }
            };
            at = end;
            done = range.end;
        }
        (live.get(at..)? == recorded.get(done..)?).then_some(walked)
    }

    /// The holes of a recorded text, in order: declared ones first, then stand-ins, then what the lexer finds between.
    fn holes_of(&self, text: &str, declared: Vec<(Range<usize>, HoleKind)>) -> Vec<(Range<usize>, Hole)> {
        let mut found: Vec<(Range<usize>, Hole)> = declared
            .into_iter()
            .filter(|(r, _)| !r.is_empty())
            .map(|(r, kind)| (r, Hole::Declared(kind)))
            .collect();
        let free = |found: &[(Range<usize>, Hole)], range: &Range<usize>| {
            found.iter().all(|(taken, _)| taken.end <= range.start || range.end <= taken.start)
        };
        if let Some(finder) = &self.stand_ins.0 {
            for hit in finder.find_iter(text) {
                if free(&found, &hit.range()) {
                    found.push((hit.range(), Hole::Secret));
                }
            }
        }
        let special = found.len();
        for Token { range, kind } in self.recorded.tokens(text) {
            if special == 0 || free(&found[..special], &range) {
                found.push((range, Hole::Token(kind)));
            }
        }
        if special > 0 {
            found.sort_by_key(|(range, _)| range.start);
        }
        found
    }
}

/// What was found in a live text.
struct Today {
    tokens: Vec<Token>,
    declared: Vec<(Range<usize>, HoleKind)>,
}

impl Today {
    fn token_at(&self, at: usize) -> Option<&Token> {
        let index = self.tokens.binary_search_by_key(&at, |t| t.range.start).ok()?;
        self.tokens.get(index)
    }

    fn declared_at(&self, at: usize) -> Option<usize> {
        self.declared.iter().find(|(range, _)| range.start == at).map(|(range, _)| range.end)
    }
}
