//! Replays: which recorded turn answered which request is known, and what a request without an answer was meant to be.

use super::*;

const REFUSED: &str = "422 retake: nothing recorded is right for this request";

/// The numbers of a row's step in both runs.
type Steps = (Option<u32>, Option<u32>);

/// Those of all rows.
fn steps(left: &Fake, right: &Fake) -> Vec<Steps> {
    compare(&left.view(), &right.view()).rows.iter().map(|row| (row.left, row.right)).collect()
}

/// Conversations that are asked and answered the same, of so many turns each.
fn alike(id: &str, turns: &[usize]) -> Fake {
    let mut run = Fake::new(id);
    for (lane, turns) in turns.iter().enumerate() {
        if lane > 0 {
            run.open(&format!("main.{}", lane + 1), LaneKind::Root, None);
        }
        for _ in 0..*turns {
            run.user("Go on.").says("Yes.");
        }
    }
    run.end(0);
    run
}

#[test]
fn lanes_and_turns_are_paired_by_what_was_served() {
    let (left, mut right) = (alike("vote.1", &[1, 1]), alike("vote.2", &[1, 1]));
    right.replays("vote.1", &[(1, 2), (2, 1)]);
    assert_eq!(steps(&left, &right), [(Some(1), Some(2)), (Some(2), Some(1))]);
    assert_eq!(steps(&right, &left), [(Some(1), Some(2)), (Some(2), Some(1))], "the replay on the left");
    right.replays("another.1", &[(1, 2), (2, 1)]).forked("vote.1", 0, &[]);
    assert_eq!(steps(&left, &right), [(Some(1), Some(1)), (Some(2), Some(2))], "served from another run");
}

#[test]
fn a_turn_that_was_skipped_is_the_one_that_nothing_was_served_from() {
    let (left, mut right) = (alike("vote.1", &[3]), alike("vote.2", &[2]));
    right.replays("vote.1", &[(1, 2), (2, 3)]);
    assert_eq!(steps(&left, &right), [(Some(1), None), (Some(2), Some(1)), (Some(3), Some(2))]);
}

#[test]
fn a_turn_that_was_served_to_another_conversation_is_the_same_turn() {
    let mut left = Fake::new("vote.1");
    left.user("Look.").calls(&[("look", json!({}), "seen")]).says("Done.").end(0);
    let mut right = Fake::new("vote.2");
    right.user("Look.").calls(&[("look", json!({}), "seen")]);
    right.open("main.2", LaneKind::Root, None).user("Look.").user("I saw it.").says("Done.").end(0);
    right.replays("vote.1", &[(1, 1), (2, 2)]);
    assert_eq!(steps(&left, &right), [(Some(1), Some(1)), (Some(2), Some(2)), (Some(3), Some(3))]);
    let mut left = Fake::new("vote.1");
    left.user("Look.").says("No.").calls(&[("look", json!({}), "seen")]).end(0);
    let mut right = Fake::new("vote.2");
    right.user("Look.").says("No.");
    right.open("main.2", LaneKind::Root, None).user("Again.").calls(&[("look", json!({}), "seen")]).end(0);
    right.replays("vote.1", &[(1, 1), (2, 2)]);
    let wanted = [(Some(1), Some(1)), (Some(2), Some(2)), (Some(3), Some(3))];
    assert_eq!(steps(&left, &right), wanted, "with its tools");
}

#[test]
fn each_step_has_one_row_whatever_the_order_of_serving() {
    for served in [[(1, 2), (2, 1), (3, 3)], [(1, 3), (2, 1), (3, 2)], [(1, 1), (2, 1), (3, 1)]] {
        let (left, mut right) = (alike("vote.1", &[3]), alike("vote.2", &[3]));
        right.replays("vote.1", &served);
        for (a, b) in [(&left, &right), (&right, &left)] {
            let rows = steps(a, b);
            let side = |of: fn(&Steps) -> Option<u32>| {
                let mut all: Vec<u32> = rows.iter().filter_map(of).collect();
                all.sort_unstable();
                all
            };
            assert_eq!((side(|row| row.0), side(|row| row.1)), (vec![1, 2, 3], vec![1, 2, 3]), "{served:?}");
        }
    }
}

#[test]
fn what_is_asked_once_more_is_the_second_one_unless_the_first_did_not_arrive() {
    let (left, mut right) = (alike("vote.1", &[1]), alike("vote.2", &[1, 1]));
    right.replays("vote.1", &[(1, 1), (2, 1)]);
    assert_eq!(steps(&left, &right), [(Some(1), Some(1)), (None, Some(2))]);
    right.outline.lanes[0].turns[0].error = Some("the client hung up".into());
    assert!(steps(&left, &right).contains(&(Some(1), Some(2))));
}

/// Which recorded step each step of a replay that had no answer was meant to be: the rows of these.
fn meant(left: &Fake, right: &Fake) -> Vec<Steps> {
    let is_refused = |step: &Option<u32>| {
        let turn = step.and_then(|step| right.view().model_call(step));
        turn.is_some_and(|turn| crate::diff::refused::is_refused(&right.view(), turn))
    };
    steps(left, right).into_iter().filter(|(_, now)| is_refused(now)).collect()
}

/// Two experts who are asked nearly the same.
fn experts(id: &str) -> Fake {
    let mut run = Fake::new(id);
    run.system("You are an expert of numbers. Answer briefly.").user("Is 91 a prime, yes or no?").says("No.");
    run.open("main.2", LaneKind::Root, None).system("You are an expert of letters. Answer briefly.");
    run.user("How many are in the alphabet?").says("26.").end(0);
    run
}

#[test]
fn who_speaks_as_a_recorded_agent_is_that_agent() {
    let mut right = Fake::new("vote.2");
    right.system("You are an expert of letters. Answer briefly.").user("Is 97 a prime, yes or no?");
    right.fails(REFUSED).replays("vote.1", &[]).end(1);
    assert_eq!(meant(&experts("vote.1"), &right), [(Some(2), Some(1))]);
}

#[test]
fn who_is_told_to_be_somebody_else_is_nobody_recorded() {
    let mut right = Fake::new("vote.2");
    right.system("Translate what follows into Latin, word by word.").user("Is 91 a prime, yes or no?");
    right.fails(REFUSED).replays("vote.1", &[]).end(1);
    assert_eq!(meant(&experts("vote.1"), &right), [(None, Some(1))]);
}

#[test]
fn another_question_to_one_of_the_same_instructions_is_that_call() {
    let mut right = Fake::new("vote.2");
    right.system("You are an expert of numbers. Answer very briefly.").user("Count backwards.");
    right.fails(REFUSED).replays("vote.1", &[]).end(1);
    assert_eq!(meant(&experts("vote.1"), &right), [(Some(1), Some(1))]);
}

#[test]
fn the_same_request_refused_twice_is_one_recorded_call() {
    let mut right = Fake::new("vote.2");
    let letters = "You are an expert of letters. Answer briefly.";
    for lane in 0..2 {
        if lane > 0 {
            right.open("main.2", LaneKind::Root, None);
        }
        right.system(letters).user("How many are in the alphabet?").fails(REFUSED);
    }
    right.replays("vote.1", &[]).end(1);
    assert_eq!(meant(&experts("vote.1"), &right), [(Some(2), Some(1)), (None, Some(2))]);
}

#[test]
fn a_conversation_goes_on_with_its_own_next_turn() {
    let mut left = Fake::new("talk.1");
    for question in ["What is red?", "And green?", "And blue?"] {
        left.user(question).says("A colour.");
    }
    left.open("main.2", LaneKind::Root, None)
        .user("What is grey, and what is it for?")
        .says("A shade.")
        .end(0);
    let mut right = Fake::new("talk.2");
    right.user("What is red?").says("A colour.").user("What is grey, and what is it for?").fails(REFUSED);
    right.replays("talk.1", &[(1, 1)]).end(1);
    assert_eq!(meant(&left, &right), [(Some(2), Some(2))]);
    let mut right = Fake::new("talk.2");
    right.user("And green?").says("A colour.").user("What is red?!").fails(REFUSED);
    right.replays("talk.1", &[(1, 2)]).end(1);
    assert_eq!(meant(&left, &right), [(Some(3), Some(2))], "not with one before it");
}

#[test]
fn a_conversation_that_was_cut_short_goes_on_in_the_next_one() {
    let run = |id: &str, question: &str| {
        let mut run = Fake::new(id);
        run.user("What is red?").says("A colour.");
        run.open("main.2", LaneKind::Root, None).user("What is grey, and what is it for?").says("A shade.");
        run.open("main~1", LaneKind::Root, None).user("Summary: red was explained.").user(question);
        run.outline.lanes[2].continues = Some(0);
        run
    };
    let (mut left, mut right) =
        (run("talk.1", "And green?"), run("talk.2", "What is grey, and what is it for?"));
    left.says("A colour.").end(0);
    right.fails(REFUSED).replays("talk.1", &[(1, 1)]).end(1);
    assert_eq!(meant(&left, &right), [(Some(3), Some(3))]);
}

#[test]
fn what_begins_is_no_later_part_of_a_conversation() {
    let mut left = Fake::new("talk.1");
    left.user("What is red?").says("A colour.").user("And green?").says("A colour.").end(0);
    let mut right = Fake::new("talk.2");
    right.user("What is red?").says("A colour.");
    right.open("main.2", LaneKind::Root, None).user("How far is the moon?").fails(REFUSED);
    right.replays("talk.1", &[(1, 1)]).end(1);
    assert_eq!(meant(&left, &right), [(None, Some(2))]);
}
