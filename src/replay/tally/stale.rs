//! Recorded results that no longer say how the world is: a write before them was not as recorded.

use super::Tally;
use crate::diff::field;
use crate::replay::tools::ToolClasses;
use crate::run::{CallSite, Outline, StepKind};
use serde::Serialize;

/// A recorded result that was shown to the model although a write before it was not as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// Number of the tool step.
    pub step: Option<u32>,
    /// The tool.
    pub tool: String,
    /// Number of the write's step.
    pub after_step: Option<u32>,
    /// The tool that wrote.
    pub after: String,
}

impl Tally {
    /// The pins of a fork that are stale. A write, or a tool that nobody has classified, was not as recorded when it
    /// came out otherwise (ids and clocks aside), when an edit says that it did, and when its lane had gone on from
    /// another answer before. `edited`: the steps that an edit names.
    pub fn stale(&self, outline: &Outline, tools: &ToolClasses, edited: &[u32]) -> Vec<Stale> {
        let numbers = outline.numbers();
        let number = |site: CallSite| numbers.get(&StepKind::Tool { site }).copied();
        let otherwise = |site: CallSite| {
            let pin = self.pins.iter().find(|pin| pin.site == site);
            pin.is_some_and(|pin| !field::texts(&pin.recorded, &pin.live).iter().all(|f| f.varies))
        };
        let changed = |site: &CallSite| {
            let parted = self.parted.get(&site.lane).is_some_and(|first| *first <= site.turn);
            let told = number(*site).is_some_and(|step| edited.contains(&step));
            parted || told || otherwise(*site)
        };
        let writes =
            |site: &CallSite| outline.call(*site).is_some_and(|call| tools.class_of(&call.name).may_write());
        let stale = self.pins.iter().filter_map(|pin| {
            let write = before(outline, pin.site).into_iter().find(|site| writes(site) && changed(site))?;
            Some(Stale {
                step: pin.step,
                tool: pin.tool.clone(),
                after_step: number(write),
                after: outline.call(write).map(|call| call.name.clone()).unwrap_or_default(),
            })
        });
        stale.collect()
    }
}

/// The calls that had been answered when this one was asked for: those of earlier turns of its lane, of the lane that
/// this one continues, and of the one that began it, the nearest first.
fn before(outline: &Outline, site: CallSite) -> Vec<CallSite> {
    let mut found = Vec::new();
    let mut next = Some((site.lane, site.turn));
    // A forged outline may go round in circles.
    for _ in 0..=outline.lanes.len() {
        let Some((lane, turn)) = next else { break };
        let Some(own) = outline.lanes.get(lane as usize) else { break };
        for (turn, asked) in own.turns.iter().enumerate().take(turn as usize).rev() {
            let calls = 0..asked.calls.len() as u32;
            found.extend(calls.map(|call| CallSite { lane, turn: turn as u32, call }));
        }
        next = match (own.continues, own.parent) {
            (Some(old), _) => Some((old, u32::MAX)),
            (None, Some(parent)) => Some((parent.lane, parent.turn)),
            (None, None) => None,
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::tests::fake::refund;
    use crate::replay::matcher::Pin;
    use crate::replay::tools::ToolClass;

    /// Turns of the refund run: 0 lookup_order (step 2), 1 get_policy (4) and get_customer (5), 2 check_fraud (7),
    /// 3 issue_refund (9).
    fn pinned(turn: u32, recorded: &str, live: &str, outline: &Outline) -> Tally {
        let mut tally = Tally::default();
        pin(&mut tally, turn, recorded, live, outline);
        tally
    }

    fn pin(tally: &mut Tally, turn: u32, recorded: &str, live: &str, outline: &Outline) {
        let site = CallSite { lane: 0, turn, call: 0 };
        let tool = outline.call(site).map(|call| call.name.clone()).unwrap_or_default();
        let (recorded, live) = (recorded.to_string(), live.to_string());
        tally.pin(outline, &Pin { site, tool, message: 0, block: 0, recorded, live, renamed: false });
    }

    fn reads(names: &[&str]) -> ToolClasses {
        let mut tools = ToolClasses::default();
        assert!(names.iter().all(|name| tools.declare(name, ToolClass::Read)));
        tools
    }

    const CLOCK: [&str; 2] = [r#"{"checked_at":1760000001.5}"#, r#"{"checked_at":1760000007.5}"#];

    #[test]
    fn a_pin_after_a_write_that_came_out_otherwise() {
        let outline = refund("refund.1").outline;
        let mut tally = pinned(2, CLOCK[0], CLOCK[1], &outline);
        assert_eq!(tally.stale(&outline, &ToolClasses::default(), &[]), [], "nothing was changed before it");
        pin(&mut tally, 0, r#"{"amount":4999}"#, r#"{"amount":1}"#, &outline);
        let stale = tally.stale(&outline, &ToolClasses::default(), &[]);
        let [only] = stale.as_slice() else { panic!("{stale:?}") };
        assert_eq!((only.step, only.tool.as_str()), (Some(7), "check_fraud"));
        assert_eq!(
            (only.after_step, only.after.as_str()),
            (Some(2), "lookup_order"),
            "nobody says it only reads"
        );
        assert_eq!(tally.stale(&outline, &reads(&["lookup_order"]), &[]), []);
    }

    #[test]
    fn clocks_and_ids_of_a_write_change_nothing() {
        let outline = refund("refund.1").outline;
        let mut tally = pinned(2, CLOCK[0], CLOCK[1], &outline);
        pin(&mut tally, 0, CLOCK[0], CLOCK[1], &outline);
        assert_eq!(tally.stale(&outline, &ToolClasses::default(), &[]), []);
    }

    #[test]
    fn a_pin_after_an_edited_write_or_another_answer() {
        let outline = refund("refund.1").outline;
        let mut tally = pinned(2, CLOCK[0], CLOCK[1], &outline);
        assert_eq!(tally.stale(&outline, &ToolClasses::default(), &[5]).len(), 1);
        assert_eq!(tally.stale(&outline, &reads(&["get_*"]), &[5]), []);
        assert_eq!(tally.stale(&outline, &ToolClasses::default(), &[9]), [], "it comes after");
        tally.part((0, 3));
        assert_eq!(tally.stale(&outline, &ToolClasses::default(), &[]), []);
        tally.part((0, 1));
        assert_eq!(tally.stale(&outline, &ToolClasses::default(), &[]).len(), 1);
        assert_eq!(tally.stale(&outline, &reads(&["get_*", "lookup_order"]), &[]), []);
    }
}
