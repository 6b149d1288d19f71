//! `retake doctor RUN --shuffle N`: the same answers in other orders.

use super::super::args::DoctorArgs;
use super::super::error::{CliError, exit};
use super::super::record::redactor;
use super::super::replay::{ended, stopped_by};
use super::super::rerun::{Rerun, knowing};
use super::super::session::Session;
use super::super::view::Opened;
use super::super::{Context, fences, print};
use super::asked;
use crate::replay::player::Player;
use crate::replay::shuffle::{Orders, Shuffled};
use crate::report::doctor::{OrderOutcome, Shuffles, shuffles};
use crate::run::StepKind;
use crate::store::Store;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Characters of what an agent printed that are shown.
const PRINTED: usize = 300;

pub(super) fn shuffle(
    context: &Context,
    store: &Store,
    opened: &Opened,
    args: &DoctorArgs,
    times: u32,
) -> Result<i32, CliError> {
    let manifest = opened.reader.manifest();
    let config = context.config()?;
    let redactor = knowing(redactor(store, &args.command)?, opened);
    let rerun = Rerun::of(context, &config, opened, redactor, &asked(args))?;
    rerun.tell_misspelt();
    let orders = Arc::new(Mutex::new(Orders::new(args.seed)));
    let mut played: Vec<Played> = Vec::new();
    let (mut stopped, mut go_on) = (None, None);
    let mut took_us = 0;
    for _ in 0..times {
        let mut options = rerun.options();
        options.policy = config.allow.clone().unwrap_or_default();
        let player = Arc::new(Player::new(rerun.run(), options).map_err(CliError::broken)?);
        let shuffled = Arc::new(Shuffled::new(player.clone(), &opened.outline, orders.clone()));
        let session = Session {
            json: true,
            quiet: true,
            answerer: Some(shuffled.clone()),
            stop: Some(player.stopped()),
            ..rerun.session()
        };
        let landed = session.run()?;
        took_us += landed.took_us;
        let tally = player.tally();
        let unasked: Vec<u32> = match tally.misses.is_empty() && tally.fenced.is_none() {
            true => player
                .unasked()
                .into_iter()
                .filter_map(|(lane, turn)| opened.outline.number_of(StepKind::Model { lane, turn }))
                .collect(),
            false => Vec::new(),
        };
        let printed =
            landed.ended.stdout.as_ref().map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default();
        let miss = tally.misses.first().map(|m| m.reason.clone());
        let same_exit = manifest.outcome.as_ref().filter(|then| then.is_told()).is_none_or(|then| {
            (then.exit_code, then.signal) == (landed.ended.exit_code, landed.ended.signal)
        });
        let as_recorded = miss.is_none() && unasked.is_empty() && (same_exit || tally.fenced.is_some());
        let mut how = ended(&landed);
        if let Some(by) = stopped_by(&tally).filter(|_| tally.fenced.is_some()) {
            // How an agent takes being stopped is no outcome.
            how = format!("stopped {by}");
            stopped.get_or_insert(by);
            go_on = go_on.or(fences::go_on(&rerun, &tally));
        } else if miss.is_some() {
            how.push_str(", after a request that nothing recorded is right for");
        } else if !unasked.is_empty() {
            how.push_str(&format!(", step {} never asked for", crate::report::words::ranges(&unasked)));
        }
        played.push(Played { order: shuffled.order(), ended: how, miss, as_recorded, printed });
    }
    let orders = played.iter().map(|p| &p.order).collect::<BTreeSet<_>>().len() as u32;
    let (outcomes, prints_otherwise) = outcomes(played);
    let done = Shuffles {
        run: manifest.id.to_string(),
        replays: times,
        seed: args.seed,
        orders,
        outcomes,
        stopped,
        go_on,
        prints_otherwise,
        took_us,
    };
    let code = match done.outcomes.as_slice() {
        [one] if one.as_recorded && done.stopped.is_some() => exit::FENCE,
        [one] if one.as_recorded => exit::OK,
        _ => exit::DIFFERS,
    };
    if context.json {
        let mut data = serde_json::to_value(&done).map_err(|e| CliError::broken(e.to_string()))?;
        data["exit"] = code.into();
        context.print_json(&data)?;
    } else {
        print(&shuffles(&done, context.style))?;
    }
    Ok(code)
}

/// One replay.
struct Played {
    order: Vec<u32>,
    ended: String,
    miss: Option<String>,
    as_recorded: bool,
    printed: String,
}

impl Played {
    /// What was printed, whatever the order of its lines.
    fn lines(&self) -> Vec<&str> {
        let mut lines: Vec<&str> = self.printed.lines().collect();
        lines.sort_unstable();
        lines
    }
}

/// Replays that came to the same, put together; and whether they printed something else without order being the reason.
/// Order is the reason when the same order printed the same each time that it came up again.
fn outcomes(played: Vec<Played>) -> (Vec<OrderOutcome>, bool) {
    let pairs =
        || played.iter().enumerate().flat_map(|(i, a)| played.iter().skip(i + 1).map(move |b| (a, b)));
    let again = || pairs().filter(|(a, b)| a.order == b.order);
    let by_order = again().next().is_some() && again().all(|(a, b)| a.lines() == b.lines());
    let ends_alike = |a: &Played, b: &Played| a.ended == b.ended && a.miss == b.miss;
    let differs = pairs().any(|(a, b)| ends_alike(a, b) && a.lines() != b.lines());
    let mut groups: Vec<(&Played, OrderOutcome)> = Vec::new();
    for one in &played {
        let same = |known: &Played| ends_alike(known, one) && (!by_order || known.lines() == one.lines());
        match groups.iter_mut().find(|(known, _)| same(known)) {
            Some((_, group)) => group.replays += 1,
            None => groups.push((
                one,
                OrderOutcome {
                    ended: one.ended.clone(),
                    miss: one.miss.clone(),
                    printed: (by_order && differs).then(|| one.printed.chars().take(PRINTED).collect()),
                    as_recorded: one.as_recorded,
                    replays: 1,
                    order: one.order.clone(),
                },
            )),
        }
    }
    (groups.into_iter().map(|(_, group)| group).collect(), differs && !by_order)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(order: &[u32], ended: &str, printed: &str) -> Played {
        let (order, ended, printed) = (order.to_vec(), ended.to_string(), printed.to_string());
        Played { order, ended, miss: None, as_recorded: true, printed }
    }

    #[test]
    fn another_exit_is_another_outcome() {
        let (all, _) = outcomes(vec![
            played(&[1, 2], "exit 0", ""),
            played(&[2, 1], "exit 1", ""),
            played(&[1, 2], "exit 0", ""),
        ]);
        let told: Vec<(&str, u32, &[u32])> =
            all.iter().map(|o| (o.ended.as_str(), o.replays, &o.order[..])).collect();
        assert_eq!(told, [("exit 0", 2, &[1, 2][..]), ("exit 1", 1, &[2, 1])]);
    }

    #[test]
    fn what_is_printed_counts_when_order_decides_it() {
        let race = vec![
            played(&[1, 2], "exit 0", "a"),
            played(&[2, 1], "exit 0", "b"),
            played(&[1, 2], "exit 0", "a"),
        ];
        let (all, otherwise) = outcomes(race);
        assert_eq!((all.len(), otherwise), (2, false));
        assert_eq!(all[1].printed.as_deref(), Some("b"));
        let clock = vec![
            played(&[1, 2], "exit 0", "1"),
            played(&[2, 1], "exit 0", "2"),
            played(&[1, 2], "exit 0", "3"),
        ];
        let (all, otherwise) = outcomes(clock);
        assert_eq!((all.len(), otherwise), (1, true));
        let progress = vec![
            played(&[1, 2], "exit 0", "a\nb"),
            played(&[2, 1], "exit 0", "b\na"),
            played(&[1, 2], "exit 0", "a\nb"),
        ];
        assert_eq!(outcomes(progress).0.len(), 1, "the same lines in another order are the same");
    }
}
