//! Structural keys for lanes, and the one numbering of steps.

use crate::run::outline::{CallSite, Lane, LaneKind, Outline, Step, StepKind};

/// Gives every lane its key: by lineage and order alone, never by content, ids or times.
pub(super) fn name(outline: &mut Outline) {
    let plain = |l: &Lane| l.kind == LaneKind::Root && l.named.is_none();
    let busy = |l: &Lane| l.turns.len() > 1 || l.turns.iter().any(|t| !t.calls.is_empty());
    let main = outline
        .lanes
        .iter()
        .position(|l| plain(l) && busy(l))
        .or_else(|| outline.lanes.iter().position(plain));
    let mut keys: Vec<Option<String>> = vec![None; outline.lanes.len()];
    let (mut root, mut unknown) = (1, 0);
    for (index, lane) in outline.lanes.iter().enumerate() {
        keys[index] = match (&lane.named, lane.kind) {
            (Some(name), _) => Some(unique(name, &keys)),
            (None, LaneKind::Root) if Some(index) == main => Some("main".to_string()),
            (None, LaneKind::Root) => {
                root += 1;
                Some(format!("main.{root}"))
            }
            (None, LaneKind::Child) if lane.parent.is_none() => {
                unknown += 1;
                Some(format!("main/?.{unknown}"))
            }
            (None, LaneKind::Side) => Some(unique("main#1", &keys)),
            _ => None,
        };
    }
    // A lane's origin begins before it, so one pass in order would do; a second costs nothing and trusts nobody.
    for _ in 0..2 {
        for (index, lane) in outline.lanes.iter().enumerate() {
            if keys[index].is_some() {
                continue;
            }
            let of = |lane: u32| keys.get(lane as usize).cloned().flatten();
            keys[index] = match (lane.parent, lane.continues) {
                (_, Some(old)) => of(old).map(|key| match key.rsplit_once('~') {
                    Some((stem, n)) if n.parse::<u32>().is_ok() => {
                        format!("{stem}~{}", n.parse::<u32>().unwrap_or_default().saturating_add(1))
                    }
                    _ => format!("{key}~1"),
                }),
                (Some(CallSite { lane, turn, call }), None) => {
                    of(lane).map(|key| format!("{key}/{turn}.{call}"))
                }
                (None, None) => None,
            };
        }
    }
    for (index, lane) in outline.lanes.iter_mut().enumerate() {
        lane.key = keys[index].take().unwrap_or_else(|| format!("lane.{}", index + 1));
    }
}

fn unique(name: &str, taken: &[Option<String>]) -> String {
    let free = |key: &str| !taken.iter().flatten().any(|t| t == key);
    if free(name) {
        return name.to_string();
    }
    (2u32..).map(|n| format!("{name}.{n}")).find(|key| free(key)).unwrap_or_else(|| name.to_string())
}

/// Numbers model and tool calls by time: a model call when it begins, a tool call when it is asked for.
pub(super) fn number(outline: &mut Outline) {
    let mut timed = Vec::new();
    for (lane_at, lane) in outline.lanes.iter().enumerate() {
        for (turn_at, turn) in lane.turns.iter().enumerate() {
            let (lane, turn_at) = (lane_at as u32, turn_at as u32);
            // Clocks are coarse: the order of arrival decides among equals, and a call comes after its answer.
            let first = turn.attempts.first().copied();
            timed.push(((turn.started_us, first, 0), StepKind::Model { lane, turn: turn_at }));
            for call in 0..turn.calls.len() as u32 {
                let site = CallSite { lane, turn: turn_at, call };
                let asked = turn.ended_us.max(turn.started_us);
                timed.push(((asked, first, call + 1), StepKind::Tool { site }));
            }
        }
    }
    timed.sort_by_key(|(at, _)| *at);
    outline.steps = timed.into_iter().map(|(_, kind)| Step { kind }).collect();
}
