//! How far edits may reach: what a fork may cost at most.

use super::Plan;
use crate::run::Outline;
use std::collections::BTreeMap;

impl Plan {
    /// The first turn of each lane that an edit may reach: of the edited lanes, of those that wait for their results, of
    /// those that are begun or continued after it.
    pub fn reach(&self, outline: &Outline) -> BTreeMap<u32, u32> {
        let mut reach = self.first_asked();
        reach.retain(|lane, first| outline.turn(*lane, *first).is_some());
        loop {
            let mut more: Vec<(u32, u32)> = Vec::new();
            for (lane, index) in outline.lanes.iter().zip(0..) {
                let from = |lane: u32| reach.get(&lane).copied();
                let begun = lane.parent.is_some_and(|s| from(s.lane).is_some_and(|first| s.turn >= first));
                if begun || lane.continues.is_some_and(|old| from(old).is_some()) {
                    more.push((index, 0));
                }
                if let (Some(site), Some(_)) = (lane.parent, from(index)) {
                    more.push((site.lane, site.turn + 1));
                }
            }
            more.retain(|(lane, turn)| outline.turn(*lane, *turn).is_some());
            more.retain(|(lane, turn)| reach.get(lane).is_none_or(|first| turn < first));
            if more.is_empty() {
                return reach;
            }
            for (lane, turn) in more {
                let first = reach.entry(lane).or_insert(turn);
                *first = turn.min(*first);
            }
        }
    }

    /// Model steps of the parent that will be asked again, at most.
    pub fn asked_again(&self, outline: &Outline) -> usize {
        let reach = self.reach(outline);
        self.steps.keys().filter(|(lane, turn)| reach.get(lane).is_some_and(|first| turn >= first)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{CallSite, Lane, LaneKind, Turn};

    fn lane(turns: usize, parent: Option<(u32, u32)>) -> Lane {
        let turn = Turn {
            attempts: Vec::new(),
            model: String::new(),
            messages: 0,
            request_key: [0; 16],
            body_key: None,
            answer_key: None,
            started_us: 0,
            ended_us: 0,
            usage: None,
            text: String::new(),
            error: None,
            calls: Vec::new(),
        };
        Lane {
            key: String::new(),
            kind: LaneKind::Root,
            parent: parent.map(|(lane, turn)| CallSite { lane, turn, call: 0 }),
            parent_unknown: false,
            continues: None,
            rewinds: None,
            named: None,
            turns: vec![turn; turns],
        }
    }

    #[test]
    fn an_edit_reaches_those_who_wait_for_its_lane_and_whom_they_begin() {
        // The main lane begins 1 and 2, and later 3; 1 begins 4.
        let lanes = vec![
            lane(3, None),
            lane(2, Some((0, 0))),
            lane(2, Some((0, 0))),
            lane(1, Some((0, 1))),
            lane(2, Some((1, 0))),
        ];
        let outline = Outline { lanes, ..Outline::default() };
        let reached = |dirty: &[(u32, u32)]| {
            let plan = Plan { dirty: dirty.iter().copied().collect(), ..Plan::default() };
            plan.reach(&outline).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(reached(&[(4, 1)]), [(0, 1), (1, 1), (3, 0), (4, 1)]);
        assert_eq!(reached(&[(2, 1), (1, 2)]), [(0, 1), (2, 1), (3, 0)], "lane 1 has no turn 2");
        assert_eq!(reached(&[]), []);
    }
}
