//! What a person may have meant by the name of a tool, a model, an agent or a span that is nowhere.

use super::{Key, Op, Term, Told, Value, Wanted};
use crate::run::outline::Outline;
use crate::run::spelling::nearest;
use std::collections::BTreeSet;

/// The names that runs have, as far as terms ask for names.
#[derive(Debug, Clone, Default)]
pub struct Met {
    /// In order of the terms.
    of_terms: Vec<BTreeSet<String>>,
}

impl Wanted {
    /// Notes the names of a run.
    pub fn meet(&self, outline: &Outline, told: &Told, met: &mut Met) {
        met.of_terms.resize(self.terms.len(), BTreeSet::new());
        for (term, met) in self.terms.iter().zip(&mut met.of_terms) {
            if asked(term).is_none() {
                continue;
            }
            let mut note = |name: &String| {
                if !met.contains(name) {
                    met.insert(name.clone());
                }
            };
            let turns = outline.lanes.iter().flat_map(|lane| &lane.turns);
            match term.key {
                Key::Tool => turns.flat_map(|turn| &turn.calls).for_each(|call| note(&call.name)),
                Key::Model => turns.for_each(|turn| note(&turn.model)),
                Key::Agent => {
                    outline
                        .lanes
                        .iter()
                        .flat_map(|lane| [Some(&lane.key), lane.named.as_ref()])
                        .flatten()
                        .for_each(&mut note);
                    told.agents().for_each(note);
                }
                _ => told.names().for_each(note),
            }
        }
    }

    /// The first name that no run has, and the nearest that one has; none when that is not why nothing was found.
    pub fn meant<'a>(&'a self, met: &'a Met) -> Option<(&'a str, &'a str)> {
        let mut terms = self.terms.iter().zip(&met.of_terms);
        terms.find_map(|(term, met)| {
            let asked = asked(term).filter(|asked| !met.contains(*asked))?;
            Some((asked, nearest(asked, met.iter().map(String::as_str))?))
        })
    }
}

/// The name that a term asks for.
fn asked(term: &Term) -> Option<&str> {
    match (&term.key, term.op, &term.value) {
        (Key::Tool | Key::Model | Key::Agent | Key::Span, Op::Is, Value::Text(name)) => Some(name),
        _ => None,
    }
}
