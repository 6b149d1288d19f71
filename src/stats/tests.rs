use super::*;
use crate::diff::tests::fake::Fake;
use crate::exchange::ExchangeId;
use crate::run::LaneKind;
use serde_json::json;
use std::sync::Arc;

fn stats(run: &Fake) -> Stats {
    let mut stats = Stats::default();
    stats.add(&run.view(), &Told::default());
    stats.settle();
    stats
}

#[test]
fn percentiles_are_times_that_were_measured() {
    let percentiles = |times: &[u64]| {
        let mut latency = Latency { times: times.to_vec(), ..Latency::default() };
        latency.settle();
        (latency.p50_us, latency.p95_us, latency.p99_us)
    };
    assert_eq!(percentiles(&[]), (None, None, None));
    assert_eq!(percentiles(&[7]), (Some(7), Some(7), Some(7)));
    assert_eq!(percentiles(&[30, 10, 20, 40]), (Some(20), Some(40), Some(40)));
    let hundred: Vec<u64> = (1..=100).rev().collect();
    assert_eq!(percentiles(&hundred), (Some(50), Some(95), Some(99)));
}

#[test]
fn calls_are_counted_by_model_tool_and_agent() {
    let mut run = Fake::new("x.1");
    run.model("gpt-4o").user("go").calls(&[("look", json!({"a": 1}), "one"), ("pay", json!({}), "no")]);
    run.tool_failed();
    run.says("done");
    run.open("main#1", LaneKind::Side, None).model("nobody-knows").user("title").says("t").end(0);
    let stats = stats(&run);
    assert_eq!((stats.total.calls, stats.models["gpt-4o"].calls, stats.agents["main"].calls), (3, 2, 2));
    assert_eq!((stats.tools["look"].errors, stats.tools["pay"].errors), (0, 1));
    assert!(stats.tools["look"].latency.at_most && !stats.models["gpt-4o"].latency.at_most);
    let expected = run.view().spent();
    assert_eq!(stats.total.cost, expected);
    assert!(stats.models["gpt-4o"].cost.whole().is_some_and(|cost| cost.0 > 0));
    assert!(stats.models["nobody-knows"].cost.is_unknown() && stats.total.cost.whole().is_none());
    assert_eq!(stats.growth.len(), 1, "a side call has no context that grows");
    assert!(stats.growth[0].last > stats.growth[0].first);
}

#[test]
fn the_same_again_is_found_and_what_differs_is_not() {
    let mut run = Fake::new("x.1");
    run.user("go");
    for (args, result) in [
        (json!({"a": 1, "b": 2}), "same"),
        (json!({"b": 2, "a": 1}), "same"),
        (json!({"a": 1, "b": 2}), "same"),
        (json!({"a": 1, "b": 2}), "other"),
        (json!({"a": 2, "b": 2}), "other"),
    ] {
        run.calls(&[("look", args, result)]);
    }
    run.says("done").end(0);
    let stats = stats(&run);
    assert_eq!(stats.stuck.len(), 1, "{:?}", stats.stuck);
    assert_eq!((stats.stuck[0].times, stats.stuck[0].steps), (3, (2, 6)));
    let tools: Vec<_> = stats.repeated.iter().filter(|repeated| !repeated.is_model).collect();
    assert_eq!(tools.len(), 1);
    assert_eq!(tools[0].steps, [2, 4, 6, 8], "the order of members says nothing");
}

#[test]
fn rounds_of_several_calls_are_loops_too() {
    let mut run = Fake::new("x.1");
    run.user("go");
    for _ in 0..3 {
        run.calls(&[("read", json!({}), "x"), ("check", json!({}), "bad")]);
    }
    run.calls(&[("read", json!({}), "new")]).says("done").end(0);
    let stuck = stats(&run).stuck;
    assert_eq!(stuck.len(), 1);
    assert_eq!((stuck[0].tools.clone(), stuck[0].times), (vec!["read".to_string(), "check".into()], 3));
}

#[test]
fn a_broken_prefix_is_named() {
    let mut run = Fake::new("x.1");
    run.system("You help. It is 10:00.").user("go").calls(&[("look", json!({}), "x")]);
    assert!(stats(&run).breaks.is_empty());
    run.system("You help. It is 10:01.").calls(&[("look", json!({}), "y")]).says("done").end(0);
    let breaks = stats(&run).breaks;
    assert_eq!(breaks.len(), 1, "{breaks:?}");
    assert_eq!((breaks[0].step, &breaks[0].what[..]), (3, &["the system prompt".to_string()][..]));
    assert_eq!(breaks[0].text.clone().unwrap().1, "help. It is 10:01.");

    // The second request offers another tool and has another first message.
    let second = ExchangeId(2);
    let mut request = (*run.requests[&second]).clone();
    request.system = run.requests[&ExchangeId(1)].system.clone();
    request.tools = vec![json!({"name": "new"})];
    request.messages[0] = run.requests[&ExchangeId(3)].messages[1].clone();
    run.requests.insert(second, Arc::new(request));
    let breaks = stats(&run).breaks;
    assert_eq!(breaks[0].what[0], "tool new added");
    assert!(breaks[0].what[1].starts_with("message 0 ("), "{breaks:?}");
}
