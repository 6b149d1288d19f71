use super::*;
use crate::dialect::conversation::{Block, ModelAnswer, ModelRequest};
use crate::exchange::SpanContext;
use crate::replay::dice::Dice;
use crate::replay::matcher::tests::tape::{Tape, Taped, answer, call, request, result, says, text, user};
use crate::replay::matcher::{MatchClass, Options};
use crate::run::likeness;
use serde_json::json;

/// Asks, calls a tool twice, and ends; `id` goes into the ids of the calls, `prompt` and `results` into its texts.
fn talk(id: &str, prompt: &str, results: [&str; 2], end: &str) -> Vec<(ModelRequest, ModelAnswer)> {
    let first = user(vec![text(prompt)]);
    let calls = answer(vec![
        call(&format!("{id}_a"), "bash", json!({"cmd": "ls"})),
        call(&format!("{id}_b"), "bash", json!({"cmd": "id"})),
    ]);
    let given = user(vec![result(&format!("{id}_a"), results[0]), result(&format!("{id}_b"), results[1])]);
    let history = vec![first.clone(), says(&calls), given];
    vec![(request(vec![first]), calls), (request(history), answer(vec![text(end)]))]
}

fn tape(id: &str, prompt: &str, results: [&str; 2], end: &str) -> Tape {
    Tape::in_sequence(talk(id, prompt, results, end))
}

fn compared(one: &Tape, two: &Tape) -> Comparison {
    compare(one, two, Second::Recording, &Options::default()).unwrap()
}

fn told(c: &Comparison) -> Vec<(Source, Option<ValueKind>, Vec<u32>, Copes)> {
    c.findings.iter().map(|f| (f.source, f.kind, f.steps.clone(), f.copes)).collect()
}

#[test]
fn ids_of_calls_are_no_difference() {
    let c = compared(&tape("x", "Go.", ["1", "2"], "Done."), &tape("y", "Go.", ["1", "2"], "Done."));
    assert_eq!(c, Comparison { compared: 2, same: 2, ..Comparison::default() });
    assert!(c.replays());
}

#[test]
fn earlier_arguments_are_what_mutants_say_of_them() {
    let id = |n: u8| format!("6f1c8a52-1111-4222-8333-abcdefabcde{n}");
    // The model asks for the same; the agent writes other arguments into its history.
    let rewritten = |cmd: serde_json::Value| {
        let mut all = talk("x", "Go.", ["1", "2"], "Done.");
        let Block::ToolCall { args, .. } = &mut all[1].0.messages[1].blocks[0] else { panic!("a call") };
        *args = cmd;
        Tape::in_sequence(all)
    };
    let one = rewritten(json!({"cmd": "ls", "in": id(1)}));
    let copes = |cmd| compared(&one, &rewritten(cmd)).findings.iter().map(|f| f.copes).collect::<Vec<_>>();
    assert_eq!(copes(json!({"in": id(1), "cmd": "ls"})), [], "in another order they are the same");
    assert_eq!(copes(json!({"cmd": "ls", "in": id(2)})), [Copes::Renamed]);
    assert_eq!(copes(json!({"cmd": "rm", "in": id(1)})), [Copes::No]);
    let mutated = mutants(&one, &Options::default(), 1).unwrap().by_leaf[&Leaf::Argument];
    assert_eq!(mutated.mutants, mutated.noticed + mutated.renamed, "{mutated:?}");
}

#[test]
fn a_prompt_that_stays_in_the_history_is_told_once() {
    let one = tape("x", "It is 2026-11-21.", ["1", "2"], "Done.");
    let c = compared(&one, &tape("y", "It is 2026-11-22.", ["1", "2"], "Done."));
    assert_eq!(told(&c), [(Source::Prompt, Some(ValueKind::Date), vec![1], Copes::No)]);
    assert_eq!((c.compared, c.not_compared), (2, 0), "the second turn was looked at too");
    assert!(!c.replays());
}

#[test]
fn differences_are_judged_one_by_one() {
    let one = tape("x", "It is 2026-11-21.", ["{\"at\":1}", "2"], "Done.");
    let c = compared(&one, &tape("y", "It is 2026-11-22.", ["{\"at\":7}", "2"], "Well done."));
    let expected = [
        (Source::Sampling, None, vec![4], Copes::Recorded),
        (Source::ToolResult, Some(ValueKind::Number), vec![2], Copes::Pinned),
        (Source::Prompt, Some(ValueKind::Date), vec![1], Copes::No),
    ];
    assert_eq!(told(&c), expected);
    assert_eq!(c.findings[1].path, "at");
    assert_eq!(c.findings[1].tool.as_deref(), Some("bash"));
}

#[test]
fn what_follows_from_another_answer_is_not_compared() {
    let one = tape("x", "Go.", ["1", "2"], "Done.");
    let mut other = talk("y", "Go.", ["9", "8"], "Other.");
    for block in &mut other[0].1.blocks {
        if let Block::ToolCall { args, .. } = block {
            *args = json!({"cmd": "rm"});
        }
    }
    other[1].0.messages[1] = says(&other[0].1);
    let c = compared(&one, &Tape::in_sequence(other));
    assert_eq!(told(&c), [(Source::Sampling, None, vec![1], Copes::Recorded)]);
    assert_eq!((c.compared, c.not_compared), (1, 1));
}

#[test]
fn an_answer_that_is_quoted_later_is_taken_for_the_recorded_one() {
    let quoting = |first: &str| {
        let (ask, said) = (request(vec![user(vec![text("Vote.")])]), answer(vec![text(first)]));
        let sum = request(vec![user(vec![text(&format!("Sum up: {first}"))])]);
        Tape::in_sequence(vec![(ask, said), (sum, answer(vec![text("Sum.")]))])
    };
    let c = compared(&quoting("I vote for the lamp."), &quoting("The lamp has my vote."));
    assert_eq!(told(&c), [(Source::Sampling, None, vec![1], Copes::Recorded)]);
}

#[test]
fn more_and_fewer_requests_are_told() {
    let ask = |prompt: &str| (request(vec![user(vec![text(prompt)])]), answer(vec![text("Yes.")]));
    let one = Tape::in_sequence(vec![ask("One?"), ask("Two?")]);
    let two = Tape::in_sequence(vec![ask("One?")]);
    let fewer = compared(&one, &two);
    assert_eq!(told(&fewer), [(Source::Request, None, vec![2], Copes::No)]);
    let more = compared(&two, &one);
    assert_eq!(told(&more), [(Source::Request, None, vec![], Copes::No)]);
    let replayed = compare(&one, &two, Second::Replay { stopped: true }, &Options::default()).unwrap();
    assert_eq!(told(&replayed), []);
}

#[test]
fn no_mutant_is_served_silently() {
    let tape = tape("x", "Refund 4999 for A123.", ["{\"risk\":\"low\"}", "2"], "Done.");
    for seed in 0..20 {
        let all = mutants(&tape, &Options::default(), seed).unwrap();
        assert_eq!((all.turns, all.mutated, all.unanswered.len()), (2, 2, 0));
        assert_eq!(all.silent, []);
        let total = all.total();
        assert_eq!(total.noticed + total.pinned, total.mutants);
        assert!(total.pinned > 0 && total.noticed > total.pinned, "{all:?}");
    }
    assert_eq!(mutants(&tape, &Options::default(), 3), mutants(&tape, &Options::default(), 3));
}

#[test]
fn a_matcher_that_takes_too_much_is_found_out() {
    let mut tape = tape("x", "Go.", ["1", "2"], "Done.");
    let recorded = tape.calls[&2].request.clone();
    // What the seed will change at the second turn, after the first has been changed.
    let mut dice = Dice(5);
    dice.below(2);
    mutate::mutants_of(&tape.calls[&1].request, 0, &mut dice);
    let mutant =
        mutate::mutants_of(&recorded, 1, &mut dice).into_iter().find(|m| m.leaf == Leaf::System).unwrap();
    // The recording claims that it is this request.
    tape.outline.lanes[0].turns[1].request_key = likeness::request_key(&mutant.request);
    let all = mutants(&tape, &Options::default(), 5).unwrap();
    assert_eq!(all.silent.len(), 1, "{all:?}");
    let found = &all.silent[0];
    assert_eq!((found.leaf, found.step, found.class), (Leaf::System, Some(4), MatchClass::Exact));
    assert_eq!((found.path.as_str(), all.by_leaf[&Leaf::System].silent), ("system", 1));
}

#[test]
fn of_twins_that_are_asked_at_once_none_is_missing() {
    // A task is given twice in the same words; both are asked before either is answered, and then differ.
    let task = |n: u8| call(&format!("t{n}"), "task", json!({"prompt": "Look."}));
    let (ask, asks) = (user(vec![text("Go.")]), answer(vec![task(1), task(2)]));
    let look = || request(vec![user(vec![text("Look.")])]);
    let probe = |n: u8| answer(vec![call(&format!("p{n}"), "probe", json!({}))]);
    let more = |n: u8| {
        let history =
            vec![user(vec![text("Look.")]), says(&probe(n)), user(vec![result(&format!("p{n}"), "1")])];
        (request(history), answer(vec![text(&format!("saw {n}"))]))
    };
    let told = user(vec![result("t1", "saw 1"), result("t2", "saw 2")]);
    let end = (request(vec![ask.clone(), says(&asks), told]), answer(vec![text("Done.")]));
    let calls = [(request(vec![ask]), asks), (look(), probe(1)), (look(), probe(2)), more(1), more(2), end];
    let times = [(1, 2), (10, 20), (11, 21), (30, 40), (31, 41), (50, 60)];
    let taped =
        calls.into_iter().zip(times).zip(1..).map(|(((request, answer), (started, ended)), id)| Taped {
            id,
            started,
            ended,
            path: "/v1/messages".into(),
            context: SpanContext::default(),
            request: request.into(),
            answer: answer.into(),
        });
    let run = Tape::new(taped.collect());
    assert_eq!(run.outline.lanes.len(), 3);
    let c = compare(&run, &run, Second::Replay { stopped: false }, &Options::default()).unwrap();
    assert_eq!(c.findings, []);
}
