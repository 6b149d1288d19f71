//! What a control replay is needed for.

use super::*;
use crate::run::outline::ToolResultRef;
use crate::run::{Lane, LaneKind, ToolCallRef, Turn};

/// A lane whose turns begin at these times; each but the last makes one call.
fn lane(parent: Option<(u32, u32)>, times: &[u64]) -> Lane {
    let turn = |(n, at): (usize, &u64)| Turn {
        attempts: Vec::new(),
        model: String::new(),
        messages: 0,
        request_key: [0; 16],
        body_key: None,
        answer_key: None,
        started_us: *at,
        ended_us: *at,
        usage: None,
        text: String::new(),
        error: None,
        calls: times.get(n + 1).map(|next| call(*next)).into_iter().collect(),
    };
    Lane {
        key: String::new(),
        kind: LaneKind::Root,
        parent: parent.map(|(lane, turn)| CallSite { lane, turn, call: 0 }),
        parent_unknown: false,
        continues: None,
        rewinds: None,
        named: None,
        turns: times.iter().enumerate().map(turn).collect(),
    }
}

fn call(seen_us: u64) -> ToolCallRef {
    let result = ToolResultRef {
        exchange: crate::exchange::ExchangeId(1),
        message: 0,
        block: 0,
        text: String::new(),
        is_error: false,
        seen_us,
    };
    ToolCallRef { id: String::new(), name: "t".into(), args: serde_json::Value::Null, result: Some(result) }
}

#[test]
fn what_comes_before_a_live_turn_needs_no_control() {
    // The main lane begins 1 and 2 at its second turn; 1 begins 3; 4 is a root of its own, 5 a later one.
    let lanes = vec![
        lane(None, &[10, 20, 60, 70]),
        lane(Some((0, 1)), &[21, 30, 40]),
        lane(Some((0, 1)), &[22, 31, 41]),
        lane(Some((1, 0)), &[23, 24]),
        lane(None, &[5, 65]),
        lane(None, &[80, 90]),
    ];
    let outline = Outline { lanes, ..Outline::default() };
    let before = |site: (u32, u32), place: (u32, u32)| {
        is_before(&outline, CallSite { lane: site.0, turn: site.1, call: 0 }, place)
    };
    assert!(before((0, 0), (0, 1)) && before((0, 0), (0, 2)) && !before((0, 2), (0, 2)));
    assert!(before((0, 0), (1, 0)), "the parent's earlier call");
    assert!(before((1, 1), (0, 2)) && before((3, 0), (0, 2)), "the parent has waited for them");
    assert!(!before((2, 0), (1, 2)), "a sibling may be late, whenever it was recorded");
    assert!(before((3, 0), (1, 1)) && !before((3, 0), (1, 0)));
    assert!(!before((4, 0), (0, 0)) && before((4, 0), (5, 0)), "of unrelated ones the times tell");
}
