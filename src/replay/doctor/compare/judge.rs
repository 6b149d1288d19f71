//! Two requests that stand for each other, leaf by leaf.

use super::{Pair, other, reason};
use crate::dialect::conversation::Role;
use crate::diff::field;
use crate::replay::doctor::findings::{Copes, Finding, Source};
use crate::replay::doctor::holes::{self, Field, rule_for};
use crate::replay::doctor::kinds::{Part, ValueKind, kind_of, parts};
use crate::replay::doctor::leaves::{Leaf, Place, differences, with_leaf};
use crate::replay::matcher::{Ask, Decision, MatchClass, Recording};
use crate::run::reading::readings;
use crate::run::{CallSite, StepKind};

impl<R: Recording + Clone, S: Recording> Pair<'_, R, S> {
    /// Tells every leaf that differs, and whether a replay copes with it alone. True when there are some that were told
    /// before.
    pub(super) fn judge(
        &mut self,
        lane: u32,
        place: (u32, u32),
        recorded: &Ask,
        live: &Ask,
        decision: Option<&Decision>,
    ) -> bool {
        let step = self.step(place);
        let leaves = match differences(&recorded.request, &live.request) {
            Ok(leaves) => leaves,
            Err((recorded, live)) => {
                let why = reason(decision);
                let copes = if why.is_some() { Copes::No } else { Copes::Matched };
                self.findings.push(Finding { why, copes, ..other(step, "messages", &recorded, &live) });
                return false;
            }
        };
        let mut known = false;
        let mut explained = !matches!(decision, Some(Decision::Miss { .. }));
        let several = leaves.len() > 1;
        for leaf in leaves {
            let alone = |pair: &Self| {
                let request = with_leaf(&recorded.request, &live.request, &leaf.place);
                let ask = Ask { context: live.context.clone(), request, ..recorded.clone() };
                match pair.rehearsal.would(&ask) {
                    Some(Decision::Serve { class, pins, .. }) => {
                        Some((class, pins.iter().any(|p| !p.renamed)))
                    }
                    _ => None,
                }
            };
            let fits = match decision {
                Some(Decision::Serve { class, pins, .. }) => {
                    let pinned = pins.iter().any(|p| !p.renamed && stands(&leaf, p.message, p.block));
                    // The class is that of the whole request.
                    let own = (several && !pinned).then(|| alone(self)).flatten();
                    Some(own.unwrap_or((*class, pinned)))
                }
                _ => alone(self),
            };
            let told = (leaf.path.clone(), leaf.recorded.clone(), leaf.live.clone());
            let fresh = self.lanes.get_mut(lane as usize).is_some_and(|t| t.told.insert(told));
            explained |= fits.is_none();
            known |= !fresh;
            if fresh {
                // What the agent gives back is the answer that it was served, with today's values in it.
                let echoed = leaf.role == Some(Role::Assistant);
                let copes = match fits {
                    None => Copes::No,
                    Some((MatchClass::Exact | MatchClass::Pinned, _)) if echoed => Copes::Renamed,
                    Some((_, true)) => Copes::Pinned,
                    Some((MatchClass::Renamed, _)) => Copes::Renamed,
                    Some((MatchClass::Masked, _)) => Copes::Masked,
                    Some((MatchClass::Reordered, _)) => Copes::Reordered,
                    Some((MatchClass::Pinned, _)) if leaf.is_result => Copes::Pinned,
                    Some(_) => Copes::Matched,
                };
                let why = (copes == Copes::No).then(|| reason(decision)).flatten();
                self.tell(place, recorded, leaf, copes, why);
            }
        }
        if !explained {
            // Each alone would do, not all of them at once: one name for two values, or lanes that are tied.
            let mut finding = other(step, "", "", "");
            if let Some(Decision::Miss { miss, .. }) = decision {
                finding.why = Some(miss.reason.clone());
                if let Some(near) = miss.nearest.first() {
                    finding.path = near.path.clone();
                    (finding.recorded, finding.live) = (near.recorded.clone(), near.live.clone());
                }
            }
            self.findings.push(finding);
        }
        if self.result_order(place, recorded, live) {
            known = true;
        }
        known
    }

    fn tell(&mut self, place: (u32, u32), recorded: &Ask, leaf: Leaf, copes: Copes, why: Option<String>) {
        let step = self.step(place);
        let no = copes == Copes::No;
        if leaf.is_result {
            return self.result(place, recorded, &leaf, copes, why);
        }
        let prompt = matches!(leaf.role, Some(Role::System | Role::User))
            && matches!(leaf.place, Place::System | Place::Block { recorded: (_, 0..usize::MAX), .. });
        if !prompt {
            let mut finding = Finding { copes, why, ..other(step, &leaf.path, &leaf.recorded, &leaf.live) };
            finding.paste =
                (no && matches!(leaf.place, Place::Param(_))).then(|| holes::ignore(&leaf.path, None));
            return self.findings.push(finding);
        }
        for part in parts(&leaf.recorded, &leaf.live) {
            let paste =
                no.then(|| holes::hole(&part).unwrap_or_else(|| holes::ignore_part(&leaf.path, &part)));
            self.findings.push(Finding {
                source: Source::Prompt,
                kind: Some(part.kind),
                steps: step.into_iter().collect(),
                tool: None,
                path: leaf.path.clone(),
                recorded: around(&part, &part.recorded),
                live: around(&part, &part.live),
                copes,
                why: why.clone(),
                paste,
            });
        }
    }

    fn result(&mut self, place: (u32, u32), recorded: &Ask, leaf: &Leaf, copes: Copes, why: Option<String>) {
        let call = self.call_of(place, recorded, leaf);
        let (step, tool) = call.unwrap_or((self.step(place), None));
        for change in field::texts(&leaf.recorded, &leaf.live) {
            let (l, r) = (change.left.unwrap_or_default(), change.right.unwrap_or_default());
            let name = change.path.rsplit(['.', ']']).next().unwrap_or_default();
            let all: Vec<Part> = parts(l.trim_matches('"'), r.trim_matches('"'))
                .into_iter()
                .map(|p| Part {
                    before: if p.before.is_empty() { format!("{name}: ") } else { p.before },
                    ..p
                })
                .collect();
            let kind = match all.as_slice() {
                [part] => kind_of(&part.recorded, &part.live, &part.before, &part.behind),
                _ => ValueKind::Other,
            };
            let paste = (copes == Copes::No).then(|| rule(&leaf.path, tool.as_deref(), &change.path, &l, &r));
            self.findings.push(Finding {
                source: Source::ToolResult,
                kind: Some(kind),
                steps: step.into_iter().collect(),
                tool: tool.clone(),
                path: change.path,
                recorded: l,
                live: r,
                copes,
                why: why.clone(),
                paste,
            });
        }
    }

    /// The step and the name of the tool whose result stands at a leaf.
    fn call_of(
        &self,
        (lane, turn): (u32, u32),
        recorded: &Ask,
        leaf: &Leaf,
    ) -> Option<(Option<u32>, Option<String>)> {
        let Place::Block { recorded: (message, block), .. } = leaf.place else { return None };
        let there = readings(&recorded.request.messages);
        let answers = there
            .iter()
            .flat_map(|r| &r.pieces)
            .find(|p| (p.message, p.index) == (message, block))?
            .answers?;
        let outline = self.first.outline();
        let turns = &outline.lanes.get(lane as usize)?.turns;
        // The last turn before this one that was asked with fewer messages than stand before the result.
        let of = (0..turn)
            .rev()
            .find(|t| turns.get(*t as usize).is_some_and(|t| t.messages as usize <= message))?;
        let site = CallSite { lane, turn: of, call: answers as u32 };
        let call = outline.call(site)?;
        Some((self.numbers.get(&StepKind::Tool { site }).copied(), Some(call.name.clone())))
    }
}

/// The rule for a field of a result; values are as in JSON where the result is.
fn rule(result: &str, tool: Option<&str>, field: &str, recorded: &str, live: &str) -> String {
    let dot = if field.is_empty() || field.starts_with('[') { "" } else { "." };
    let path = format!("{result}{dot}{field}");
    let bare = |value: &str| serde_json::from_str(value).unwrap_or_else(|_| value.to_string());
    let (recorded, live) = (bare(recorded), bare(live));
    let rule = rule_for(&[Field { path: &path, tool, recorded: &recorded, live: &live }]);
    rule.unwrap_or_else(|| holes::ignore(&path, tool))
}

/// True when a pin is for this leaf.
fn stands(leaf: &Leaf, message: usize, block: usize) -> bool {
    matches!(leaf.place, Place::Block { live, .. } if live == (message, block))
}

/// A value with the words around it.
fn around(part: &Part, value: &str) -> String {
    let before: Vec<char> = part.before.chars().rev().take(24).collect();
    let cut = if before.len() < part.before.chars().count() { "…" } else { "" };
    let before: String = before.into_iter().rev().collect();
    format!("{cut}{before}{value}")
}
