//! Messages against messages: results in the order of their calls, notes apart, pins where a result differs.

use super::{Difference, Renamed, Unified, Unifier, differ, kind, structured};
use crate::dialect::conversation::{Block, Role};
use crate::replay::matcher::notes;
use crate::run::reading::{Piece, Reading};
use serde_json::Value;

impl Unifier<'_> {
    /// One reading. Results of calls that are `alike` (same tool, same arguments) may stand in each other's place. A
    /// result that differs is handed to `pin`, which may take the difference upon itself.
    pub fn reading(
        &mut self,
        recorded: &Reading<'_>,
        live: &Reading<'_>,
        alike: &dyn Fn(usize, usize) -> bool,
        pin: &mut dyn FnMut(&Piece<'_>, &Piece<'_>, Difference) -> Unified,
    ) -> Unified {
        let first = live.pieces.first().map_or(0, |p| p.message);
        if recorded.role != live.role {
            return differ(
                format!("messages[{first}].role"),
                format!("{:?}", recorded.role).to_lowercase(),
                format!("{:?}", live.role).to_lowercase(),
            );
        }
        if recorded.pieces.len() != live.pieces.len() {
            return differ(format!("messages[{first}]"), outline_of(recorded), outline_of(live));
        }
        let noted = notes::has_any(recorded) || notes::has_any(live);
        if noted {
            self.notes(first, recorded, live)?;
        }
        // The search binds nothing: what fits is compared again, in its place.
        let before = self.state();
        let order = self.order(recorded, live, alike, noted);
        let moved = self.reordered;
        self.restore(before);
        self.reordered |= moved;
        for (a, b) in recorded.pieces.iter().zip(order) {
            let path = path_of(b, live);
            if let (Block::ToolResult { call_id: x, .. }, Block::ToolResult { call_id: y, .. }) =
                (a.block, b.block)
                && !paired(a, b, alike)
                && (a.answers.is_some() || b.answers.is_some() || x != y)
            {
                return differ(format!("{path}.result.call_id"), x.clone(), y.clone());
            }
            self.varied = false;
            if let Err(difference) = self.piece(&path, a, b, noted) {
                if self.contradicts(a.block, b.block) {
                    return Err(difference);
                }
                pin(a, b, difference).map_err(|difference| self.by_field(&path, a, b, difference))?;
                self.bind_names(a.block, b.block);
                self.varied = false;
            }
            if let (Block::ToolResult { text: x, .. }, Block::ToolResult { text: y, .. }, Some(call)) =
                (a.block, b.block, a.answers)
                && x != y
            {
                self.results.push(Renamed {
                    call,
                    message: b.message,
                    block: b.index,
                    recorded: x.clone(),
                    live: y.clone(),
                    varied: self.varied,
                });
            }
        }
        Ok(())
    }

    /// True when two results hold the same numbers of names, and one of them stands for another already: what differs
    /// is no chance.
    fn contradicts(&self, recorded: &Block, live: &Block) -> bool {
        let pairs = self.names_in(recorded, live);
        pairs.iter().any(|(then, now)| self.bound.is_another(self.known.below, then, now))
    }

    /// Binds the names of a result that came out differently: what is done with them later is done with today's.
    fn bind_names(&mut self, recorded: &Block, live: &Block) {
        for (then, now) in self.names_in(recorded, live) {
            if then == now || self.known.behind.may_bind(&then, &now) {
                self.bound.bind(self.known.below, &then, &now);
            }
        }
    }

    fn names_in(&self, recorded: &Block, live: &Block) -> Vec<(String, String)> {
        match (recorded, live) {
            (Block::ToolResult { text: then, .. }, Block::ToolResult { text: now, .. }) => {
                self.known.behind.holes().name_pairs(then, now)
            }
            _ => Vec::new(),
        }
    }

    /// The notes of all results: the same ones in the same order, whichever results they hang on.
    fn notes(&mut self, message: usize, recorded: &Reading<'_>, live: &Reading<'_>) -> Unified {
        let path = format!("messages[{message}].reminders");
        let (a, b) = (notes::of(recorded), notes::of(live));
        if a.len() != b.len() {
            return differ(path, format!("{} reminders", a.len()), format!("{} reminders", b.len()));
        }
        for ((at, x), (now, y)) in a.into_iter().zip(b) {
            self.reordered |= at != now;
            self.text_at(&path, x, y)?;
        }
        Ok(())
    }

    /// One piece against another; what the harness hung on it is left out where it is compared by itself.
    fn piece(&mut self, path: &str, recorded: &Piece<'_>, live: &Piece<'_>, noted: bool) -> Unified {
        self.within(tool_of(recorded));
        let unified = if noted {
            self.block(path, &notes::without(recorded.block), &notes::without(live.block))
        } else {
            self.block(path, recorded.block, live.block)
        };
        self.within(None);
        unified
    }

    /// The difference of two results, told of the fields that differ where both are JSON.
    fn by_field(
        &mut self,
        path: &str,
        recorded: &Piece<'_>,
        live: &Piece<'_>,
        whole: Difference,
    ) -> Difference {
        let whole = Difference { tool: recorded.tool.map(str::to_string), ..whole };
        let (Block::ToolResult { text: then, .. }, Block::ToolResult { text: now, .. }) =
            (recorded.block, live.block)
        else {
            return whole;
        };
        let path = format!("{path}.result");
        let (Some(then), Some(now), true) = (structured(then), structured(now), whole.path == path) else {
            return whole;
        };
        let before = self.state();
        self.within(recorded.tool);
        let mut fields = Vec::new();
        self.fields_apart(&path, &then, &now, &mut fields);
        self.within(None);
        self.restore(before);
        let tool = &whole.tool;
        let mut fields = fields.into_iter().map(|field| Difference { tool: tool.clone(), ..field });
        match fields.next() {
            Some(first) => Difference { more: fields.collect(), ..first },
            None => whole,
        }
    }

    /// The narrowest fields in which two values differ.
    fn fields_apart(&mut self, path: &str, recorded: &Value, live: &Value, out: &mut Vec<Difference>) {
        match (recorded, live) {
            _ if recorded == live || self.ignores(path) => {}
            (Value::Object(a), Value::Object(b)) => {
                for (name, x) in a {
                    let path = format!("{path}.{name}");
                    match b.get(name) {
                        Some(y) => self.fields_apart(&path, x, y, out),
                        None => out.extend(self.lone(path, x.to_string(), "(absent)".into()).err()),
                    }
                }
                for (name, y) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
                    let path = format!("{path}.{name}");
                    out.extend(self.lone(path, "(absent)".into(), y.to_string()).err());
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (i, (x, y)) in a.iter().zip(b).enumerate() {
                    self.fields_apart(&format!("{path}[{i}]"), x, y, out);
                }
            }
            _ => {
                let before = self.state();
                let Err(difference) = self.value(path, recorded, live) else { return };
                self.restore(before);
                let nested = |value: &Value| value.as_str().and_then(structured);
                let told = out.len();
                if let (Some(then), Some(now)) = (nested(recorded), nested(live)) {
                    self.fields_apart(path, &then, &now, out);
                }
                if out.len() == told {
                    out.push(difference);
                }
            }
        }
    }

    /// True when two pieces fit; where they do not, nothing is left of the attempt.
    fn tries(&mut self, path: &str, recorded: &Piece<'_>, live: &Piece<'_>, noted: bool) -> bool {
        let before = self.state();
        let fits = self.piece(path, recorded, live, noted).is_ok();
        if !fits {
            self.restore(before);
        }
        fits
    }

    /// The live pieces in the order of the recorded ones: each in its own place, but for results of identical calls,
    /// which stand where they fit.
    fn order<'p>(
        &mut self,
        recorded: &Reading<'_>,
        live: &'p Reading<'p>,
        alike: &dyn Fn(usize, usize) -> bool,
        noted: bool,
    ) -> Vec<&'p Piece<'p>> {
        if let [only] = live.pieces.as_slice() {
            return vec![only];
        }
        let loose = self.new && is_flat(recorded) && is_flat(live);
        let paired = |a: &Piece<'_>, b: &Piece<'_>| loose || paired(a, b, alike);
        let mut order: Vec<Option<usize>> = vec![None; recorded.pieces.len()];
        let mut left: Vec<usize> = (0..live.pieces.len()).collect();
        let paths: Vec<String> = live.pieces.iter().map(|b| path_of(b, live)).collect();
        // Texts in any order first as they are, then with their parts in another order.
        for plainly in if loose { &[true, false][..] } else { &[false] } {
            self.plainly = *plainly;
            for stays in [true, false] {
                for (i, a) in recorded.pieces.iter().enumerate() {
                    if order[i].is_some() {
                        continue;
                    }
                    let found = left.iter().position(|j| {
                        let b = &live.pieces[*j];
                        let other = loose || a.answers != b.answers;
                        (*j == i) == stays
                            && paired(a, b)
                            && (stays || other)
                            && self.tries(&paths[*j], a, b, noted)
                    });
                    if let Some(at) = found {
                        order[i] = Some(left.remove(at));
                        self.swapped += usize::from(!stays);
                        self.reordered |= loose && !stays;
                    }
                }
            }
        }
        self.plainly = false;
        for (i, a) in recorded.pieces.iter().enumerate() {
            if order[i].is_none() {
                // What fits nowhere stays in its place where that is free, else goes to the first that is alike.
                let at = left.iter().position(|j| *j == i);
                let at = at.or_else(|| left.iter().position(|j| paired(a, &live.pieces[*j]))).unwrap_or(0);
                order[i] = (at < left.len()).then(|| left.remove(at));
            }
        }
        order.into_iter().flatten().map(|j| &live.pieces[j]).collect()
    }
}

/// Where a piece stands, as a difference shows it.
fn path_of(piece: &Piece<'_>, reading: &Reading<'_>) -> String {
    let alone = reading.pieces.iter().filter(|p| p.message == piece.message).count() == 1;
    match alone {
        true => format!("messages[{}]", piece.message),
        false => format!("messages[{}][{}]", piece.message, piece.index),
    }
}

/// The tool whose call or result a piece is.
fn tool_of<'a>(piece: &Piece<'a>) -> Option<&'a str> {
    match piece.block {
        Block::ToolCall { name, .. } => Some(name),
        _ => piece.tool,
    }
}

/// True for a message of several texts, as agents without tool calls send their results: in order of completion.
fn is_flat(reading: &Reading<'_>) -> bool {
    reading.role == Role::User
        && reading.pieces.len() > 1
        && reading.pieces.iter().all(|p| matches!(p.block, Block::Text { .. }))
}

/// True when a live result can stand for a recorded one: both answer the same call, or calls that are alike.
fn paired(recorded: &Piece<'_>, live: &Piece<'_>, alike: &dyn Fn(usize, usize) -> bool) -> bool {
    match (recorded.answers, live.answers) {
        (Some(a), Some(b)) => a == b || alike(a, b),
        _ => false,
    }
}

fn outline_of(reading: &Reading<'_>) -> String {
    reading.pieces.iter().map(|p| kind(p.block)).collect::<Vec<_>>().join(", ")
}
