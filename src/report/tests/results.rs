//! The result lines of `run`, `replay` and `fork`, and a miss.

use crate::diff::tests::fake::{Fake, refund};
use crate::prices::{Cost, Spent};
use crate::replay::fences::{FencedBy, Fences};
use crate::replay::matcher::{MatchClass, Miss, Near};
use crate::replay::tally::{Matching, Stale};
use crate::replay::tools::{ToolClass, ToolClasses};
use crate::report::Style;
use crate::report::control::{Control, Made, control};
use crate::report::matched::Matched;
use crate::report::miss::{miss, not_allowed};
use crate::report::results::{
    Answers, Compared, Fork, ForkPlan, LiveCalls, Recording, Replay, SentAsIs, fork, fork_plan, recording,
    replay,
};
use crate::report::tool_results::{Differing, ToolResults};
use crate::report::tools_run::{ToolsRun, go_on};
use insta::assert_snapshot;

fn replayed() -> Replay {
    Replay {
        run: "refund.1".into(),
        steps: 10,
        replayed: 10,
        answers: Answers { recorded: 5, ..Answers::default() },
        took_us: 80_000,
        outcome: Compared::Same,
        pinned: Vec::new(),
        stale: Vec::new(),
        matched: Matched::default(),
        tools: ToolsRun::default(),
        go_on: None,
        unasked: Vec::new(),
        backoff: (0, 0),
        secrets: (0, 0),
        warnings: Vec::new(),
    }
}

fn declared(all: &[(&str, ToolClass)]) -> ToolClasses {
    let mut tools = ToolClasses::default();
    assert!(all.iter().all(|(name, class)| tools.declare(name, *class)));
    tools
}

fn ran(all: &[(&str, u32)], lifted: &[&str], tools: ToolClasses) -> ToolsRun {
    let lifted: Vec<String> = lifted.iter().map(|t| t.to_string()).collect();
    let ran = all.iter().map(|(tool, n)| (tool.to_string(), *n)).collect();
    ToolsRun::new(ran, &Fences::new(&[], &lifted, tools))
}

/// Step, tool, recorded and live result.
fn differing(all: &[(u32, &str, &str, &str)]) -> Vec<ToolResults> {
    ToolResults::of(all.iter().map(|(step, tool, recorded, live)| Differing {
        step: Some(*step),
        tool,
        recorded,
        live,
        by_itself: false,
        renamed: false,
    }))
}

#[test]
fn recordings() {
    let mut run = refund("refund.1");
    run.manifest.stand_ins = 1;
    let plain = recording(
        &Recording {
            run: run.view(),
            untouched: 0,
            exported: (0, 0),
            others: Vec::new(),
            warnings: Vec::new(),
            fences: Vec::new(),
        },
        Style::default(),
    );
    run.manifest.stand_ins = 2;
    run.manifest.incomplete = Some("/home/ada/.retake/refund.1: no space left on device".into());
    let bad = recording(
        &Recording {
            run: run.view(),
            untouched: 1,
            exported: (0, 0),
            others: Vec::new(),
            warnings: vec!["http://h:1 could not be reached: refused".into()],
            fences: vec!["issue_refund".into()],
        },
        Style::default(),
    );
    let fake = Fake::new("e.1");
    let side = Recording {
        run: fake.view(),
        untouched: 0,
        exported: (0, 0),
        others: vec!["2x GET /v1/models (openai), 404".into(), "POST /v1/responses (openai), 200".into()],
        warnings: Vec::new(),
        fences: Vec::new(),
    };
    let empty = recording(&side, Style::plain(80));
    assert_snapshot!(format!("{plain}\n{bad}\n{empty}"));
}

#[test]
fn replays() {
    let clean = replayed();
    let mut pinned = replayed();
    let long = "The customer wrote a long letter about the order. ".repeat(4);
    pinned.pinned = differing(&[
        (
            7,
            "check_fraud",
            r#"{"checked_at":1.5,"trace":"0643afbe12"}"#,
            r#"{"checked_at":2.5,"trace":"99ab41ce07"}"#,
        ),
        (2, "lookup_order", r#"{"amount":4999,"at":1}"#, r#"{"amount":49.99,"at":2}"#),
        (4, "lookup_order", r#"{"amount":4999,"at":1}"#, r#"{"at":2}"#),
        (5, "lookup_order", r#"{"amount":4999,"at":1}"#, r#"{"amount":4999,"at":2,"b":[1,2]}"#),
        (9, "note", &format!("{long}left"), &format!("{long}right")),
    ]);
    let after = |step, tool: &str| Stale {
        step: Some(step),
        tool: tool.into(),
        after_step: Some(2),
        after: "lookup_order".into(),
    };
    pinned.stale = vec![after(9, "note")];
    let all = [("lookup_order", 1), ("get_policy", 3), ("issue_refund", 1)];
    pinned.tools = ran(&all, &[], ToolClasses::default());
    pinned.matched.classes = [(MatchClass::Exact, 2), (MatchClass::Pinned, 3)].into();
    pinned.matched.matching = Matching { retries: 2, symmetric: 1, ..Matching::default() };
    pinned.backoff = (2, 4_500_000);
    pinned.secrets = (1, 1);
    let mut bad = replayed();
    bad.replayed = 7;
    bad.answers.refused = 1;
    bad.outcome = Compared::Differs { what: "exit 1 instead of 0".into() };
    bad.unasked = vec![
        (8, "calls issue_refund(order_id=\"A123\", amount_usd=4999)".into()),
        (9, "issue_refund".into()),
        (10, "\"Done. I refunded $4,999.00 for order A123.\"".into()),
    ];
    bad.warnings = vec!["the working directory is at another commit than when this was recorded".into()];
    let mut fenced = replayed();
    fenced.replayed = 7;
    fenced.outcome = Compared::Stopped { by: "at the fence before issue_refund (step 9)".into() };
    fenced.go_on = Some(go_on("issue_refund", FencedBy::Flag, None));
    let mut classed = replayed();
    let classes =
        declared(&[("get_*", ToolClass::Read), ("put", ToolClass::Write), ("pay", ToolClass::Irreversible)]);
    classed.tools =
        ran(&[("get_a", 2), ("get_b", 1), ("put", 1), ("pay", 1), ("send", 1)], &["pay"], classes);
    let mut looked = replayed();
    looked.tools = ran(&[("get_a", 2)], &[], declared(&[("get_*", ToolClass::Read)]));
    let all: Vec<String> =
        [clean, pinned, bad, fenced, classed, looked].iter().map(|r| replay(r, Style::default())).collect();
    assert_snapshot!(all.join("\n"));
}

#[test]
fn forks() {
    let to = |recorded: Option<&str>| LiveCalls {
        provider: "openai".into(),
        origin: "https://api.openai.com".into(),
        said: "OPENAI_BASE_URL".into(),
        recorded: recorded.map(str::to_string),
    };
    let plan = ForkPlan {
        shared: 6,
        edited: vec![7],
        live_calls: (1, 2),
        tokens: 400,
        moved: None,
        to: vec![to(None)],
        may_run: vec!["issue_refund".into(), "check_fraud".into()],
    };
    let moved = ForkPlan {
        shared: 0,
        edited: vec![1, 2, 3, 5],
        live_calls: (3, 3),
        tokens: 12_400,
        moved: Some("step 4 ran beside step 5: forking after step 5, the next cut that can be sent".into()),
        to: vec![to(Some("http://gateway.example")), LiveCalls { provider: "anthropic".into(), ..to(None) }],
        may_run: Vec::new(),
    };
    let done = Fork {
        run: "refund.2".into(),
        parent: "refund.1".into(),
        steps: (4, 4),
        answers: Answers { recorded: 3, live: 1, ..Answers::default() },
        edited_steps: 1,
        tokens: (220, 10),
        cost: Spent { known: Cost(12_300_000_000), priced: 1, unpriced: ["m".into()].into() },
        took_us: 110_000,
        answer: Some((8, "I cannot refund order A123 automatically; it has been escalated to a human reviewer, who will look at it.".into())),
        unrecorded: 0,
        agent: None,
        stopped: None,
        pinned: Vec::new(),
        stale: Vec::new(),
        sent_as_is: SentAsIs::default(),
        matched: Matched::default(),
        tools: ran(&[("check_fraud", 1)], &[], ToolClasses::default()),
        go_on: None,
        repaired: Vec::new(),
        drifted: Vec::new(),
        warnings: Vec::new(),
    };
    let stopped = Fork {
        answer: None,
        stopped: Some("at the fence before issue_refund (step 9)".into()),
        tokens: (0, 0),
        cost: Spent { known: Cost(0), priced: 0, unpriced: ["m".into()].into() },
        drifted: vec!["step 3 no longer matches the recording (messages[0].text); asked live".into()],
        repaired: vec!["signed reasoning of step 6 dropped from the edited history".into()],
        warnings: vec!["the agent's own memory still holds risk \"low\"; only the model saw the edit".into()],
        tools: ran(&[("send_mail", 1), ("pay", 1)], &[], ToolClasses::default()),
        go_on: Some(go_on(
            "issue_refund",
            FencedBy::Irreversible,
            Some("retake fork refund.1 --at 7 --unfence issue_refund -- python agent.py"),
        )),
        matched: Matched {
            classes: [(MatchClass::Renamed, 1), (MatchClass::Drift, 1)].into(),
            matching: Matching { gate_timeouts: 1, side_repeats: 2, retries: 1, ..Matching::default() },
        },
        stale: vec![Stale {
            step: Some(7),
            tool: "get_balance".into(),
            after_step: Some(5),
            after: "pay".into(),
        }],
        ..done.clone()
    };
    let style = Style::default();
    assert_snapshot!(
        [fork_plan(&plan, style), fork(&done, style), fork_plan(&moved, style), fork(&stopped, style)]
            .join("\n")
    );
}

#[test]
fn misses() {
    let near = |step: Option<u32>, why: &str, path: &str, recorded: &str, live: &str| Near {
        lane: "main".into(),
        turn: 3,
        step,
        why: why.into(),
        path: path.into(),
        recorded: recorded.into(),
        live: live.into(),
        rule: None,
    };
    let long = "The customer wrote a long letter about the order. ".repeat(8);
    let with = Miss {
        asked: "model gpt-small, 9 messages, the last one a tool result: {\"risk\":\"low\"}".into(),
        reason: "a message of the history is not what was recorded there".into(),
        nearest: vec![
            near(
                Some(8),
                "the new user message differs",
                "messages[8].text",
                &format!("{long}$4,999.00"),
                &format!("{long}$49.99"),
            ),
            near(None, "another amount", "messages[2].content.amount", "4999", "49.99"),
            near(Some(2), "it was served already", "", "", ""),
            near(Some(4), "further off", "a", "1", "2"),
        ],
        hints: vec![
            "retake fork refund.1 --at 7   to go on live from here".into(),
            "retake show refund.1 8 --context".into(),
        ],
    };
    let without = Miss {
        asked: "model gpt-small\x1b[31m, 1 message".into(),
        reason: "the recording has no lane that begins like this".into(),
        nearest: Vec::new(),
        hints: Vec::new(),
    };
    let style = Style::default();
    let refused = not_allowed(&without, style);
    assert_snapshot!(format!("{}\n{}\n{refused}", miss(&with, style), miss(&without, style)));
}

#[test]
fn controls_and_results_sent_as_they_are() {
    let style = Style::default();
    let nothing = Control {
        made: Made::Now,
        varying: Default::default(),
        ran: [("look".into(), 2)].into(),
        stopped: None,
        missed: None,
    };
    let some = Control {
        made: Made::Kept { age_us: 7_200_000_000 },
        varying: [("lookup_clock".into(), 1), ("make_id".into(), 3)].into(),
        ran: Default::default(),
        stopped: Some("before issue_refund".into()),
        missed: None,
    };
    let missed = Control { missed: Some("no recorded lane begins so".into()), ..nothing.clone() };
    let none = Control { made: Made::None { why: "--no-control".into() }, ..nothing.clone() };
    let told: Vec<String> = [nothing, some, missed, none].iter().map(|c| control(c, style)).collect();
    let done = Fork {
        run: "refund.2".into(),
        parent: "refund.1".into(),
        steps: (4, 4),
        answers: Answers { recorded: 3, live: 1, ..Answers::default() },
        edited_steps: 1,
        tokens: (220, 10),
        cost: Spent { known: Cost(400_000_000_000), priced: 1, unpriced: Default::default() },
        took_us: 110_000,
        answer: None,
        unrecorded: 0,
        agent: None,
        stopped: None,
        pinned: differing(&[(4, "clock", r#"{"at":1}"#, r#"{"at":2}"#)]),
        stale: Vec::new(),
        sent_as_is: SentAsIs {
            by_edit: differing(&[(6, "recall", r#"{"said":"ten"}"#, r#"{"said":"seven"}"#)]),
            after_write: differing(&[(8, "clock", r#"{"at":1}"#, r#"{"at":2}"#), (9, "note", "a", "b")]),
            unwanted: differing(&[(5, "make_id", r#"{"id":1}"#, r#"{"id":2}"#)]),
            unknown: differing(&[(10, "stock", "{\u{7}}", "12")]),
            why_unknown: Some("the control replay stopped before issue_refund".into()),
        },
        matched: Matched::default(),
        tools: ToolsRun::default(),
        go_on: None,
        repaired: Vec::new(),
        drifted: Vec::new(),
        warnings: Vec::new(),
    };
    assert_snapshot!(format!("{}\n{}", told.concat(), fork(&done, style)));
}
