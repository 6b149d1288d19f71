use super::*;
use crate::run::Outcome;
use proptest::prelude::*;
use serde_json::json;

fn run(number: u32) -> Manifest {
    serde_json::from_value(json!({
        "id": format!("x.{}", number + 1), "uuid": uuid::Uuid::from_u128(u128::from(number)).to_string(), "recorder": "0",
        "started_us": 1_000, "outcome": { "exit_code": 0, "ended_us": 1_000 + u64::from(number) * 1_000_000 },
    }))
    .unwrap()
}

fn forked(number: u32, from: u32) -> Manifest {
    let from = run(from);
    let parent = json!({ "run": from.id, "uuid": from.uuid, "at_step": 1, "edits": [] });
    Manifest { parent: serde_json::from_value(parent).unwrap(), ..run(number) }
}

fn policy(share: &str, slow: Option<&str>) -> Sampling {
    Sampling { share: share.parse().unwrap(), slow: slow.map(|slow| slow.parse().unwrap()) }
}

#[test]
fn shares_are_percents() {
    for (text, millionths) in [("10%", 100_000), (" 0.5 %", 5_000), ("0%", 0), ("100%", 1_000_000)] {
        assert_eq!(text.parse(), Ok(Share(millionths)), "{text}");
    }
    for bad in ["", "10", "%", "-1%", "101%", "NaN%", "inf%", "1/10"] {
        assert!(bad.parse::<Share>().is_err(), "{bad}");
    }
    assert_eq!((Share(5_000).to_string(), Share(1_000_000).to_string()), ("0.5%".into(), "100%".into()));
}

#[test]
fn slow_is_a_time_or_a_percentile() {
    for (text, slow) in [
        ("30s", Slow::Than(30_000_000)),
        ("1h 30m", Slow::Than(5_400_000_000)),
        ("p95", Slow::Most(950)),
        ("p99.9", Slow::Most(999)),
    ] {
        assert_eq!(text.parse(), Ok(slow), "{text}");
    }
    for bad in ["", "30", "p0", "p100", "p", "-1s", "pNaN", "soon"] {
        assert!(bad.parse::<Slow>().is_err(), "{bad}");
    }
}

#[test]
fn a_share_is_about_so_many() {
    let share: Share = "10%".parse().unwrap();
    let taken = (0..20_000).filter(|number| share.takes(&run(*number).uuid)).count();
    assert!((1_800..2_200).contains(&taken), "{taken} of 20000");
}

#[test]
fn what_a_percentile_says_goes_by_the_runs_that_there_are() {
    let runs: Vec<Manifest> = (1..=100).map(run).collect();
    let policy = policy("0%", Some("p95"));
    let from = policy.slow_from(runs.iter());
    assert_eq!(from, Some(95_000_000));
    let slow = runs.iter().filter(|run| policy.why(run, None, from).is_some()).count();
    assert_eq!(slow, 5);
    assert_eq!(policy.slow_from(std::iter::empty()), None);
    let one = policy.slow_from(runs.iter().take(1));
    assert_eq!(policy.why(&runs[0], None, one), None, "one run is not slower than others");
}

#[test]
fn how_runs_fail() {
    let whole = Outline::default();
    let ended = |exit_code, signal, stopped| Manifest {
        outcome: Some(Outcome { exit_code, signal, ended_us: 1, stopped }),
        ..run(1)
    };
    let fence = || Some(crate::run::Stopped::LiveLimit);
    for (state, run, told) in [
        (RunState::Complete, ended(Some(0), None, None), None),
        (RunState::Complete, ended(None, None, None), None),
        (RunState::Complete, ended(Some(3), None, None), Some("exit 3")),
        (RunState::Complete, ended(None, Some(9), None), Some("signal 9")),
        (RunState::Complete, ended(None, Some(15), fence()), None),
        (RunState::Interrupted, ended(Some(0), None, None), Some("interrupted")),
        (RunState::Incomplete, ended(Some(0), None, None), Some("incomplete")),
    ] {
        assert_eq!(failure(state, &run, Some(&whole)).as_deref(), told, "{run:?}");
    }
    assert!(failure(RunState::Complete, &run(1), None).is_some(), "what cannot be read is no success");
    let outline = |error: Option<&str>, is_error: bool| -> Outline {
        let mut call = json!({ "id": "1", "name": "pay", "args": {} });
        call["result"] = json!({ "exchange": 2, "message": 0, "block": 0, "text": "", "is_error": is_error, "seen_us": 3 });
        let turn = json!({ "attempts": [1], "model": "m", "messages": 1, "request_key": "0".repeat(32),
            "started_us": 1, "ended_us": 2, "error": error, "calls": [call] });
        let lane = json!({ "key": "main", "kind": "root", "parent": null, "turns": [turn] });
        let site = json!({ "lane": 0, "turn": 0, "call": 0 });
        let steps = json!([{ "kind": "model", "lane": 0, "turn": 0 }, { "kind": "tool", "site": site }]);
        let Ok(lane) = serde_json::from_value(lane) else { panic!("a lane") };
        let Ok(steps) = serde_json::from_value::<Vec<StepKind>>(steps) else { panic!("steps") };
        let steps = steps.into_iter().map(|kind| crate::run::Step { kind }).collect();
        Outline { lanes: vec![lane], steps, ..Outline::default() }
    };
    let told = |error, is_error| failure(RunState::Complete, &run(1), Some(&outline(error, is_error)));
    assert_eq!(told(None, false), None);
    assert_eq!(told(Some("429 slow down"), false).as_deref(), Some("step 1: a model call failed"));
    assert_eq!(told(None, true).as_deref(), Some("step 2: pay failed"));
    let not_asked = format!("422 {}", crate::run::stop::after_fence());
    assert_eq!(told(Some(&not_asked), false), None, "retake stopped it");
}

proptest! {
    /// In a share: in every larger one, and at every later time.
    #[test]
    fn a_share_is_monotone_and_always_the_same(uuid in any::<u128>(), less in 0u32..=MILLION, more in 0u32..=MILLION) {
        let uuid = uuid::Uuid::from_u128(uuid).to_string();
        let (less, more) = (Share(less.min(more)), Share(less.max(more)));
        prop_assert!(!less.takes(&uuid) || more.takes(&uuid));
        prop_assert_eq!(less.takes(&uuid), less.takes(&uuid));
        prop_assert!(!Share(0).takes(&uuid) && Share(MILLION).takes(&uuid));
    }

    /// Whatever the share: errors, forks and slow runs stay, and a run that stays with less stays with more.
    #[test]
    fn what_is_special_stays(number in 1u32..1000, fork in any::<bool>(), failed in any::<bool>(), less in 0u32..=MILLION, more in 0u32..=MILLION, limit in 0u64..1000) {
        let run = if fork { forked(number, number + 1) } else { run(number) };
        let failed = failed.then(|| "exit 1".to_string());
        let (less, more) = (less.min(more), less.max(more));
        let why = |share| {
            let policy = Sampling { share: Share(share), slow: Some(Slow::Than(limit * 1_000_000)) };
            policy.why(&run, failed.clone(), policy.slow_from(std::iter::once(&run)))
        };
        let (with_less, with_more) = (why(less), why(more));
        let special = failed.is_some() || fork || u64::from(number) > limit;
        prop_assert!(!special || with_less.is_some());
        prop_assert!(with_less.is_none() || with_more.is_some());
        prop_assert_eq!(special, matches!(with_less, Some(Why::Error(_) | Why::Fork(_) | Why::Slow(_))));
    }

    /// After it no run stays whose parent is here and goes; nothing else is let stay.
    #[test]
    fn what_a_fork_needs_stays(parents in proptest::collection::vec(0u32..30, 30), stay in proptest::collection::vec(any::<bool>(), 30)) {
        // A parent with a smaller number is older, as in a store.
        let runs: Vec<Manifest> = (0u32..).zip(&parents).map(|(number, parent)| if *parent < number { forked(number, *parent) } else { run(number) }).collect();
        let refs: Vec<&Manifest> = runs.iter().collect();
        let mut stays = stay.clone();
        let added = needed(&refs, &mut stays);
        for (at, run) in runs.iter().enumerate() {
            if let Some(parent) = run.parent.as_ref().filter(|_| stays[at]) {
                prop_assert!(runs.iter().enumerate().any(|(at, other)| other.uuid == parent.uuid && stays[at]));
            }
        }
        for (at, (before, after)) in stay.iter().zip(&stays).enumerate() {
            prop_assert_eq!(*after, *before || added.iter().any(|(needed, _)| *needed == at));
        }
        for (copy, by) in added {
            prop_assert!(stays[by] && runs[by].parent.as_ref().unwrap().uuid == runs[copy].uuid);
        }
    }
}
