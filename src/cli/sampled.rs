//! Which of many runs a verb is about.

use super::args::{ExportArgs, SamplingArgs};
use super::error::CliError;
use super::runs::{Hits, pass_on_notes, told_meant, wanted};
use super::{Context, warn};
use crate::run::sampling::{Sampling, Why, needed};
use crate::run::wanted::Met;
use crate::run::{Manifest, RunId, RunState};
use crate::store::{RunSummary, Store};

/// What is asked for, by the flags, else by retake.toml; none: every run.
pub(super) fn sampling(context: &Context, flags: &SamplingArgs) -> Result<Option<Sampling>, CliError> {
    if flags.no_sample {
        return Ok(None);
    }
    let declared = context.config()?.sampling;
    let share = flags.sample.or(declared.map(|declared| declared.share));
    let slow = flags.slow.or(declared.and_then(|declared| declared.slow));
    match share {
        Some(share) => Ok(Some(Sampling { share, slow })),
        None if flags.slow.is_some() => Err(CliError::usage("--slow says which runs stay beside a share")
            .hint("--sample 10% is the share of all others")),
        None => Ok(None),
    }
}

/// Runs that were chosen.
pub(super) struct Chosen {
    /// These, and why where not all are; oldest first, so that a fork comes after what it was forked from.
    pub runs: Vec<(RunId, Option<Why>)>,
    /// The others.
    pub left_out: Vec<RunId>,
    /// What they were chosen by.
    pub sampling: Option<Sampling>,
}

/// The runs that an export tells of.
pub(super) fn chosen(context: &Context, store: &Store, args: &ExportArgs) -> Result<Chosen, CliError> {
    let named: Vec<RunId> =
        args.words.iter().map(|word| by_name(store, &word.to_string_lossy())).collect::<Result<_, _>>()?;
    let asked = args.sampling.sample.is_some() || args.sampling.slow.is_some();
    // Who names runs means these.
    let sampling = if named.is_empty() || asked { sampling(context, &args.sampling)? } else { None };
    if let (Some(first), true, None) = (named.first(), named.len() == 1, sampling) {
        return Ok(Chosen { runs: vec![(first.clone(), None)], left_out: Vec::new(), sampling });
    }
    let all = store.runs()?;
    pass_on_notes(store);
    let slow_from = sampling.and_then(|sampling| sampling.slow_from(all.iter().map(|run| &run.manifest)));
    let runs = if args.words.is_empty() {
        fitting(context, store, all, args.terms.as_deref())?
    } else {
        all.into_iter().filter(|run| named.contains(&run.manifest.id)).collect()
    };
    let mut whys: Vec<Option<Why>> = match sampling {
        None => runs.iter().map(|_| None).collect(),
        Some(sampling) => {
            runs.iter().map(|run| sampling.why(&run.manifest, store.failure_of(run), slow_from)).collect()
        }
    };
    let mut stays: Vec<bool> = whys.iter().map(|why| sampling.is_none() || why.is_some()).collect();
    let manifests: Vec<&Manifest> = runs.iter().map(|run| &run.manifest).collect();
    for (copy, by) in needed(&manifests, &mut stays) {
        if let (Some(why), Some(by)) = (whys.get_mut(copy), manifests.get(by)) {
            *why = Some(Why::Needed(by.id.clone()));
        }
    }
    let mut chosen = Chosen { runs: Vec::new(), left_out: Vec::new(), sampling };
    for ((run, stays), why) in manifests.iter().zip(stays).zip(whys) {
        match stays {
            true => chosen.runs.push((run.id.clone(), why)),
            false => chosen.left_out.push(run.id.clone()),
        }
    }
    Ok(chosen)
}

fn by_name(store: &Store, word: &str) -> Result<RunId, CliError> {
    let id = store.resolve(word)?;
    if word.trim() == "last" {
        warn(&format!("last is {id}"));
    }
    Ok(id)
}

/// The runs that have ended and in which the terms hold.
fn fitting(
    context: &Context,
    store: &Store,
    mut runs: Vec<RunSummary>,
    terms: Option<&str>,
) -> Result<Vec<RunSummary>, CliError> {
    runs.retain(|run| {
        let why = match run.state {
            RunState::Recording => "it is being recorded",
            _ if run.manifest.uuid.is_empty() => "it cannot be read",
            _ => return true,
        };
        warn(&format!("{} is left out: {why}", run.manifest.id));
        false
    });
    let Some(wanted) = terms.map(wanted).transpose()? else { return Ok(runs) };
    let prices = context.prices();
    let mut met = Met::default();
    runs.retain(|run| {
        wanted.fits(&run.manifest, run.steps)
            && (!wanted.is_about_steps()
                || match Hits::of(store, run, (&wanted, &mut met), &prices) {
                    Ok(hits) => !hits.is_empty(),
                    Err(error) => {
                        warn(&format!("{} is left out: {}", run.manifest.id, error.message));
                        false
                    }
                })
    });
    if runs.is_empty() {
        told_meant(&wanted, &met).into_iter().for_each(|told| warn(&told));
    }
    Ok(runs)
}
