//! What a replay asks that nothing recorded is right for: which recorded call it was meant to be.

use super::*;
use crate::run::LaneKind;

const REFUSED: &str = "422 retake: nothing recorded is right for this request";

fn found(left: &Fake, right: &Fake) -> String {
    lines(&compared(left, right, Some(&Tally::default()), &Severities::default())).join("\n")
}

/// A plan, then three conversations of two turns at once, then one that sums them up.
struct Parallel {
    run: Fake,
    /// What each conversation came to, in the order of the last request.
    came_to: Vec<String>,
}

impl Parallel {
    fn new(id: &str) -> Parallel {
        let mut run = Fake::new(id);
        run.system("You plan trips.").user("Plan a trip to three towns.").says("Oslo, Rome and Lima.");
        Parallel { run, came_to: Vec::new() }
    }

    fn begin(&mut self, town: &str) {
        self.run.open(&format!("main.{}", self.run.outline.lanes.len() + 1), LaneKind::Root, None);
        self.run.system("You know towns. Be brief.").user(&format!("What is there to see in {town}?"));
        self.run.calls(&[("look_up", json!({"town": town}), &format!("{town} has a fine cathedral"))]);
    }

    fn end(&mut self, lane: usize, town: &str) {
        let answer = format!("In {town} see the cathedral.");
        self.run.on(lane).system("You know towns. Be brief.").says(&answer);
        self.came_to.push(answer);
    }

    fn open_sum(&mut self) {
        self.run.open("main.9", LaneKind::Root, None);
        let all = self.came_to.join(" ");
        self.run.system("You sum up.").user(&format!("Sum up in a sentence: {all}"));
    }

    fn sum(mut self) -> Fake {
        self.open_sum();
        self.run.says("Cathedrals everywhere.").end(0);
        self.run
    }

    fn recorded() -> Fake {
        let mut run = Parallel::new("trip.1");
        for town in ["Oslo", "Rome", "Lima"] {
            run.begin(town);
        }
        for (lane, town) in [(1, "Oslo"), (2, "Rome"), (3, "Lima")] {
            run.end(lane, town);
        }
        run.sum()
    }
}

#[test]
fn a_message_in_one_of_several_conversations_is_told_in_the_same_way_whatever_the_others_do() {
    let told = |others_first: bool| {
        let mut now = Parallel::new("trip.2");
        for town in ["Rome", "Lima", "Oslo"] {
            now.begin(town);
        }
        let mut served = vec![(1, 1), (2, 3), (3, 4), (4, 2)];
        if others_first {
            now.end(2, "Lima");
            now.end(3, "Oslo");
            served.extend([(5, 7), (6, 5)]);
        }
        now.run.on(1).system("You know towns. Be brief.").user("Be brief.").fails(REFUSED);
        now.run.replays("trip.1", &served).end(1);
        found(&Parallel::recorded(), &now.run).lines().next().unwrap_or_default().to_string()
    };
    let wanted = "PROMPT_CHANGED error code 9: the user's message is new [messages[2]: (none) -> Be brief.]";
    assert_eq!((told(false).as_str(), told(true).as_str()), (wanted, wanted));
}

#[test]
fn a_conversation_that_is_gone_is_why_the_last_request_lacks_it() {
    let mut now = Parallel::new("trip.2");
    for town in ["Oslo", "Lima"] {
        now.begin(town);
    }
    now.end(1, "Oslo");
    now.end(2, "Lima");
    now.open_sum();
    now.run.fails(REFUSED).replays("trip.1", &[(1, 1), (2, 2), (3, 4), (4, 5), (5, 7)]).end(1);
    insta::assert_snapshot!(found(&Parallel::recorded(), &now.run), @r#"
    MISSING_CALL error code 4: a conversation does not happen any more: it begins "What is there to see in Rome?" and has 2 model calls []
    > PROMPT_CHANGED error code 11: the user's message is cut short [messages[0].text: …see the cathedral. In Rome see the cathedral. In Lima see the cathedral. -> …see the cathedral. In Lima see the cathedral.]
    > OUTCOME_CHANGED error code -: the agent ends with exit code 1 instead of exit code 0, after retake had refused its request (422) [exit: exit code 0 -> exit code 1]
    "#);
}

#[test]
fn a_digit_in_the_last_request_is_no_doing_of_a_conversation_that_did_not_end() {
    let mut now = Parallel::new("trip.2");
    for town in ["Oslo", "Rome", "Lima"] {
        now.begin(town);
    }
    for (lane, town) in [(1, "Oslo"), (2, "Rome"), (3, "Lima")] {
        now.end(lane, town);
    }
    now.run.open("main.9", LaneKind::Root, None);
    let all = now.came_to.join(" ");
    now.run.system("You sum up.").user(&format!("Sum up in 2 sentences: {all}")).fails(REFUSED);
    let served: Vec<(u32, u32)> = (1..=7).map(|id| (id, id)).collect();
    now.run.replays("trip.1", &served).end(1);
    insta::assert_snapshot!(found(&Parallel::recorded(), &now.run), @r#"
    PROMPT_CHANGED error code 11: the user's message is another one [messages[0]: Sum up in a sentence: In Oslo see the… -> Sum up in 2 sentences: In Oslo see the…]
    > OUTCOME_CHANGED error code -: the agent ends with exit code 1 instead of exit code 0, after retake had refused its request (422) [exit: exit code 0 -> exit code 1]
    "#);
}

#[test]
fn a_call_of_another_kind_is_a_new_one() {
    let mut now = Fake::new("refund.2");
    now.system("Say yes or no.").user("Is this about money?").fails(REFUSED).replays("refund.1", &[]).end(1);
    insta::assert_snapshot!(found(&refund("refund.1"), &now), @r#"
    NEW_CALL error code -: the agent asks the model something that it did not ask [messages[0]: (none) -> Is this about money?]
    > OUTCOME_CHANGED error code -: the agent ends with exit code 1 instead of exit code 0, after retake had refused its request (422) [exit: exit code 0 -> exit code 1]
    > MISSING_CALL error code -: the run ends here: 6 recorded calls do not happen (lookup_order, get_policy, get_customer, check_fraud, issue_refund, a model call) []
    "#);
}

#[test]
fn what_was_asked_and_answered_is_asked_once_more() {
    let mut now = Fake::new("refund.2");
    refund_to_fraud_check(&mut now, FRAUD);
    let again = now.requests[&ExchangeId(2)].clone();
    now.fails(REFUSED);
    let turn = |run: &mut Fake, at: usize| run.outline.lanes[0].turns[at].request_key;
    let key = turn(&mut now, 1);
    now.requests.insert(ExchangeId(4), again);
    now.outline.lanes[0].turns[3].request_key = key;
    now.replays("refund.1", &[(1, 1), (2, 2), (3, 3)]).end(1);
    insta::assert_snapshot!(found(&refund("refund.1"), &now), @r#"
    NEW_CALL error code 3: the agent asks the model the same once more []
    > OUTCOME_CHANGED error code -: the agent ends with exit code 1 instead of exit code 0, after retake had refused its request (422) [exit: exit code 0 -> exit code 1]
    > MISSING_CALL error code -: the run ends here: 2 recorded calls do not happen (issue_refund, a model call) []
    "#);
}

#[test]
fn a_conversation_whose_history_is_another_one_is_still_that_conversation() {
    let mut now = Fake::new("refund.2");
    refund_to_fraud_check(&mut now, FRAUD);
    now.open("main.2", LaneKind::Root, None).user("My laptop from order A123 is broken, refund me");
    now.user("Earlier: the order was looked up, the fraud check says low.").fails(REFUSED);
    now.replays("refund.1", &[(1, 1), (2, 2), (3, 3)]).end(1);
    insta::assert_snapshot!(found(&refund("refund.1"), &now), @r#"
    PROMPT_CHANGED error code 8: 7 messages of the history are missing [messages[1]: calls lookup_order(order_id="A123") -> (none); messages[2]: {"amount":4999,"currency":"USD","sku":"LAP-1"} -> (none); messages[3]: calls get_policy(sku="LAP-1") + get_customer(customer_id="c9") -> (none); messages[4]: {"refundable":true,"window_days":30} -> (none); messages[5]: {"id":"c9","name":"Ada","tier":"gold"} -> (none); messages[6]: calls check_fraud(order_id="A123", amount=4999) -> (none); messages[7]: {"risk":"low","score":0.07,"checked_at":1795224754.6,"trace":"0643afbe"} -> (none)]
    PROMPT_CHANGED error code 8: the user's message is new [messages[1]: (none) -> Earlier: the order was looked up, the fraud check says low.]
    > OUTCOME_CHANGED error code -: the agent ends with exit code 1 instead of exit code 0, after retake had refused its request (422) [exit: exit code 0 -> exit code 1]
    > MISSING_CALL error code 7: the model is never told what check_fraud returned []
    > MISSING_CALL error code -: the run ends here: 2 recorded calls do not happen (issue_refund, a model call) []
    "#);
}

#[test]
fn where_the_recorded_agent_was_done_a_request_is_a_new_one() {
    let mut now = refund("refund.2");
    now.user("Anything else?").fails(REFUSED);
    let served: Vec<(u32, u32)> = (1..=5).map(|id| (id, id)).collect();
    now.replays("refund.1", &served).end(1);
    insta::assert_snapshot!(found(&refund("refund.1"), &now), @r#"
    NEW_CALL error code -: the agent goes on asking where the recorded one was done [messages[11]: (none) -> Anything else?]
    > OUTCOME_CHANGED error code -: the agent ends with exit code 1 instead of exit code 0, after retake had refused its request (422) [exit: exit code 0 -> exit code 1]
    "#);
}

#[test]
fn what_an_agent_that_was_ended_did_not_come_to_is_no_difference() {
    let mut now = Fake::new("refund.2");
    refund_to_fraud_check(&mut now, FRAUD);
    now.replays("refund.1", &[(1, 1), (2, 2), (3, 3)]).end(143);
    let left = refund("refund.1");
    let of = |cut_off: bool| {
        let surroundings = surroundings(&left, &now);
        let (tally, rules) = (Tally::default(), Rules::default());
        let replay = Some(Replayed { tally: &tally, rules: &rules, cut_off });
        lines(&find(&left.view(), &now.view(), &surroundings, replay, &Severities::default()))
    };
    assert_eq!(of(true), Vec::<String>::new());
    assert!(!of(false).is_empty());
}

/// Three who are asked the same, and a judge who is told what they said, in the order in which they came.
fn votes(id: &str, said: [&str; 3]) -> Fake {
    let mut run = Fake::new(id);
    for (lane, said) in said.iter().enumerate() {
        if lane > 0 {
            run.open(&format!("main.{}", lane + 1), LaneKind::Root, None);
        }
        run.system("You are an expert.").user("Is 91 prime?").says(said);
    }
    run.open("main.4", LaneKind::Root, None);
    run.system("You are the judge.")
        .user(&format!("Choose one: {}", said.join(" ")))
        .says("It is not.")
        .end(0);
    run
}

#[test]
fn what_was_served_is_as_it_was_recorded_whoever_of_equals_came_first() {
    let (yes, no, never) = ("Yes, surely.", "No, 7 times 13.", "Primes do not exist.");
    let left = votes("vote.1", [yes, no, never]);
    let mut right = votes("vote.2", [never, yes, no]);
    right.replays("vote.1", &[(1, 3), (2, 1), (3, 2), (4, 4)]);
    assert_eq!(found(&left, &right), "");
}

/// An agent that asks a guard of its own about each result before it tells its model.
fn guarded(id: &str, article: &str, title: bool, last: bool) -> Fake {
    let mut run = Fake::new(id);
    if title {
        run.open("main#1", LaneKind::Side, None).system("").user("A title for: help!").says("Help").on(0);
    }
    run.system("You help.").user("My client does not start.");
    run.calls(&[("find_article", json!({"about": "start"}), article)]);
    run.open("main#2", LaneKind::Side, None).system("").user(&format!("Is this safe? {article}"));
    run.says("yes").on(0).system("You help.").says("Sign in again.");
    if last {
        run.open("main#3", LaneKind::Side, None).system("").user("A summary, please.").says("All is well.");
    }
    run.end(0);
    run
}

#[test]
fn a_result_that_another_conversation_quotes_first_is_told_as_a_result() {
    let left = guarded("help.1", r#"{"text":"Article 17: restart it."}"#, false, false);
    let mut right = Fake::new("help.2");
    let now = r#"{"text":"Article 18: buy another."}"#;
    right.system("You help.").user("My client does not start.");
    right.calls(&[("find_article", json!({"about": "start"}), now)]);
    right
        .open("main#1", LaneKind::Side, None)
        .system("")
        .user(&format!("Is this safe? {now}"))
        .fails(REFUSED);
    right.replays("help.1", &[(1, 1)]).end(1);
    insta::assert_snapshot!(found(&left, &right), @r#"
    TOOL_RESULT_CHANGED error world 2: find_article returns something else, which step 3 quotes [find_article.text: "Article 17: restart it." -> "Article 18: buy another."]
    > PROMPT_CHANGED error code 3: the user's message is another one [messages[0]: Is this safe? {"text":"Article 17: restart it."} -> Is this safe? {"text":"Article 18: buy another."}]
    > OUTCOME_CHANGED error world -: the agent ends with exit code 1 instead of exit code 0, after retake had refused its request (422) [exit: exit code 0 -> exit code 1]
    > MISSING_CALL error world -: the run ends here: 1 recorded call does not happen (a model call) []
    "#);
}

#[test]
fn calls_beside_the_conversations_may_come_and_go_and_are_told() {
    const ARTICLE: &str = r#"{"text":"Article 17: restart it."}"#;
    let with = guarded("help.1", ARTICLE, true, true);
    let mut without = guarded("help.2", ARTICLE, false, true);
    without.replays("help.1", &[(1, 2), (2, 3), (3, 4), (4, 5)]);
    insta::assert_snapshot!(found(&with, &without), @r#"SIDE_CALL warning code 1: a side call does not happen any more [messages[0]: A title for: help! -> (none)]"#);
    let without = guarded("help.1", ARTICLE, false, true);
    let mut with = guarded("help.2", ARTICLE, true, true);
    with.replays("help.1", &[(1, 1), (2, 1), (3, 2), (4, 3), (5, 4)]);
    insta::assert_snapshot!(found(&without, &with), @r#"SIDE_CALL warning code -: a side call is made that was not [messages[0]: (none) -> A title for: help!]"#);
    let left = guarded("help.1", ARTICLE, false, true);
    let mut right = guarded("help.2", ARTICLE, false, false);
    right.replays("help.1", &[(1, 1), (2, 2), (3, 3)]);
    insta::assert_snapshot!(found(&left, &right), @r#"MISSING_CALL error code 5: the model is not asked any more; it says "All is well." []"#);
}

#[test]
fn in_a_long_run_in_which_every_request_has_an_id_the_change_is_still_told() {
    let run = |id: &str, session: &str| {
        let mut run = Fake::new(id);
        run.system(&format!("You count sheep. Session {session}."));
        for sheep in 1..=210 {
            run.user(&format!("Sheep {sheep}.")).says("Noted.");
        }
        run
    };
    let mut left = run("sheep.1", "2e6c1600-3803-400f-a26d-b20c4785d905");
    left.user("Sum up.").says("210.").end(0);
    let mut right = run("sheep.2", "9b2f0a44-1c1d-4b6e-8a77-0f1e2d3c4b5a");
    right.user("Sum up in a verse.").fails(REFUSED);
    let served: Vec<(u32, u32)> = (1..=210).map(|id| (id, id)).collect();
    right.replays("sheep.1", &served).end(1);
    let wanted = "PROMPT_CHANGED error code 211: the user's message is another one [messages[420]: Sum up. -> Sum up in a verse.]";
    assert_eq!(found(&left, &right).lines().next(), Some(wanted));
}

#[test]
fn what_a_refused_request_lacks_is_told_of_a_run_that_was_ended_too() {
    let mut now = Parallel::new("trip.2");
    for town in ["Oslo", "Lima"] {
        now.begin(town);
    }
    now.end(1, "Oslo");
    now.end(2, "Lima");
    now.open_sum();
    now.run.fails(REFUSED).replays("trip.1", &[(1, 1), (2, 2), (3, 4), (4, 5), (5, 7)]).end(143);
    let left = Parallel::recorded();
    let (surroundings, tally) = (surroundings(&left, &now.run), Tally::default());
    let rules = Rules::default();
    let replay = Some(Replayed { tally: &tally, rules: &rules, cut_off: true });
    let found = lines(&find(&left.view(), &now.run.view(), &surroundings, replay, &Severities::default()));
    assert!(found[0].starts_with("MISSING_CALL error code 4: a conversation does not happen"), "{found:?}");
}

#[test]
fn a_call_that_a_conversation_skips_is_why_its_next_request_is_another_one() {
    let mut now = Fake::new("refund.2");
    now.user("My laptop from order A123 is broken, refund me");
    let found_it = r#"{"amount":4999,"currency":"USD","sku":"LAP-1"}"#;
    now.calls(&[("lookup_order", json!({"order_id": "A123"}), found_it)]);
    now.calls(&[("check_fraud", json!({"order_id": "A123", "amount": 4999}), FRAUD)]);
    now.user("What now?").fails(REFUSED).replays("refund.1", &[(1, 1), (2, 3)]).end(1);
    insta::assert_snapshot!(found(&refund("refund.1"), &now), @r#"
    MISSING_CALL error code 3: the model is not asked any more; it calls get_policy and get_customer []
    > PROMPT_CHANGED error code 8: 3 messages of the history are missing [messages[3]: calls get_policy(sku="LAP-1") + get_customer(customer_id="c9") -> (none); messages[4]: {"refundable":true,"window_days":30} -> (none); messages[5]: {"id":"c9","name":"Ada","tier":"gold"} -> (none)]
    > PROMPT_CHANGED error code 8: the user's message is new [messages[4]: (none) -> What now?]
    > OUTCOME_CHANGED error code -: the agent ends with exit code 1 instead of exit code 0, after retake had refused its request (422) [exit: exit code 0 -> exit code 1]
    > MISSING_CALL error code -: the run ends here: 2 recorded calls do not happen (issue_refund, a model call) []
    "#);
}

#[test]
fn only_an_id_differs_and_it_is_told() {
    let run = |id: &str, ticket: &str| {
        let mut run = Fake::new(id);
        run.system(&format!(
            "You handle tickets of customers, politely and briefly. This ticket is {ticket}."
        ))
        .user("Close it.");
        run
    };
    let mut left = run("ticket.1", "2e6c1600-3803-400f-a26d-b20c4785d905");
    left.says("Closed.").end(0);
    let mut right = run("ticket.2", "9b2f0a44-1c1d-4b6e-8a77-0f1e2d3c4b5a");
    right.fails(REFUSED).replays("ticket.1", &[]).end(1);
    let first = found(&left, &right).lines().next().unwrap_or_default().to_string();
    let looks = "PROMPT_CHANGED error code 1: the request differs in what looks like an id or a clock";
    assert!(first.starts_with(looks), "{first}");
    let mut right = Fake::new("refund.2");
    refund_to_fraud_check(&mut right, FRAUD);
    right.fails(REFUSED).replays("refund.1", &[(1, 1), (2, 2), (3, 3)]).end(1);
    let first = found(&refund("refund.1"), &right);
    let others =
        "PROMPT_CHANGED error code 8: the calls in the history have other ids than the model gave them";
    assert!(first.starts_with(others), "{first}");
}

#[test]
fn a_request_holds_what_a_model_said_or_called() {
    let mut run = Fake::new("talk.1");
    run.user("Look.").calls(&[("look", json!({"at": 1}), "a tree")]).says(" A tree. ");
    run.user("Sum up: A tree.").says("Done.").end(0);
    let id = |id: u32| ExchangeId(id);
    let tells = |request: u32, answer: u32| {
        crate::suite::findings::requests::tells(&run.requests[&id(request)], &run.answers[&id(answer)])
    };
    assert!(tells(2, 1) && tells(3, 2));
    assert!(!tells(1, 1) && !tells(2, 2) && !tells(3, 3));
}
