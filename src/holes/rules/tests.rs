use super::*;
use proptest::prelude::*;

const DIALECT: &str = "openai-chat";

fn ignoring(path: Option<&str>, pattern: Option<&str>) -> Rules {
    Rules::new(vec![Ignore::new(Within { path, ..Within::default() }, pattern).unwrap()], Vec::new())
}

fn hole(path: Option<&str>, pattern: &str, kind: HoleKind) -> Hole {
    Hole::new(Within { path, ..Within::default() }, pattern, kind).unwrap()
}

#[test]
fn a_field_does_not_count() {
    let rules = ignoring(Some("params.seed"), None);
    assert!(
        rules.ignores(&Place::of(DIALECT, "params.seed"))
            && !rules.ignores(&Place::of(DIALECT, "params.top_p"))
    );
    assert_eq!(rules.without_ignored(&Place::of(DIALECT, "params.seed"), "7"), "");
    assert_eq!(rules.without_ignored(&Place::of(DIALECT, "params.top_p"), "7"), "7");
    assert!(!rules.is_empty() && Rules::default().is_empty());
}

#[test]
fn a_part_of_a_text_does_not_count() {
    let rules = ignoring(Some("messages[*].text"), Some(r"took \d+ ms"));
    assert!(!rules.ignores(&Place::of(DIALECT, "messages[0].text")), "only what the pattern takes");
    assert_eq!(
        rules.without_ignored(&Place::of(DIALECT, "messages[0].text"), "it took 5 ms, or took 17 ms"),
        "it , or "
    );
    assert_eq!(rules.without_ignored(&Place::of(DIALECT, "system"), "it took 5 ms"), "it took 5 ms");
    let both = Rules::new(
        vec![
            Ignore::new(Within::default(), Some("a-b")).unwrap(),
            Ignore::new(Within::default(), Some("b-c")).unwrap(),
            Ignore::new(Within::default(), Some("a.c")).unwrap(),
        ],
        Vec::new(),
    );
    assert_eq!(both.without_ignored(&Place::of(DIALECT, "system"), "1a-b-c2"), "12", "overlapping");
    assert_eq!(
        both.without_ignored(&Place::of(DIALECT, "system"), "aa-bc"),
        "ac",
        "what is left is not looked at again"
    );
}

#[test]
fn a_rule_may_be_of_one_dialect() {
    let dialect = Some("anthropic-messages");
    let rule = Ignore::new(Within { dialect, path: Some("params.seed"), tool: None }, None).unwrap();
    let rules = Rules::new(vec![rule], Vec::new());
    assert!(
        rules.ignores(&Place::of("anthropic-messages", "params.seed"))
            && !rules.ignores(&Place::of(DIALECT, "params.seed"))
    );
    let of_one = Hole::new(Within { dialect, ..Within::default() }, "id-[0-9]+", HoleKind::Name).unwrap();
    let rules = Rules::new(Vec::new(), vec![of_one]);
    assert_eq!(rules.holes(&Place::of("anthropic-messages", "system"), "id-7").len(), 1);
    assert_eq!(rules.holes(&Place::of(DIALECT, "system"), "id-7"), []);
}

#[test]
fn holes_are_a_group_or_the_whole() {
    let rules = Rules::new(
        Vec::new(),
        vec![
            hole(None, r"session ([0-9a-f]+)|no session", HoleKind::Name),
            hole(Some("messages[*].result.at"), r"\d+", HoleKind::Any),
        ],
    );
    let text = "session 12ab, session 34cd; no session";
    assert_eq!(
        rules.holes(&Place::of(DIALECT, "messages[2].result.at"), text),
        [(8..12, HoleKind::Name), (22..26, HoleKind::Name)],
        "the longer of two; a group that took nothing is no hole"
    );
    assert_eq!(rules.holes(&Place::of(DIALECT, "messages[2].result.at"), "7 and 8").len(), 2);
    assert_eq!(rules.holes(&Place::of(DIALECT, "messages[2].result"), "7 and 8"), []);
}

#[test]
fn rules_that_would_let_everything_pass_are_refused() {
    let field = |path, pattern| Ignore::new(Within { path, ..Within::default() }, pattern).unwrap_err().field;
    assert_eq!(field(None, None), RuleField::Whole);
    assert_eq!(field(None, Some("(?s).*")), RuleField::Pattern);
    assert_eq!(field(Some("messages[*]"), None), RuleField::Path);
    assert_eq!(field(Some("messages"), None), RuleField::Path);
    assert!(
        Ignore::new(Within { path: Some("messages[*]"), ..Within::default() }, Some("id-[0-9]+")).is_ok()
    );
    assert!(Ignore::new(Within::default(), Some(r"\d+")).is_ok());
    let all = Hole::new(Within::default(), r"(?s)(.+)", HoleKind::Any).unwrap_err();
    assert_eq!(all.field, RuleField::Pattern);
    let bad = Ignore::new(Within::default(), Some("(")).unwrap_err();
    assert_eq!(bad.why, "`(` is no pattern: unclosed group");
    let two = Hole::new(Within::default(), r"Session S-(\d+), ticket (\d+)", HoleKind::Any).unwrap_err();
    assert!(two.why.contains("this pattern has several"), "{}", two.why);
}

#[test]
fn a_rule_may_be_of_one_tool() {
    let within = Within { tool: Some("look"), path: Some("messages[*].result.note"), dialect: None };
    let rules = Rules::new(
        vec![Ignore::new(within, None).unwrap()],
        vec![Hole::new(Within { tool: Some("look"), ..Within::default() }, r"\d+", HoleKind::Any).unwrap()],
    );
    let at = |tool| Place { dialect: DIALECT, path: "messages[3].result.note", tool };
    assert!(rules.ignores(&at(Some("look"))));
    assert!(!rules.ignores(&at(Some("looks"))) && !rules.ignores(&at(None)));
    assert_eq!(rules.holes(&at(Some("look")), "a 7").len(), 1);
    assert_eq!((rules.holes(&at(Some("list")), "a 7"), rules.holes(&at(None), "a 7")), (vec![], vec![]));
}

proptest! {
    #[test]
    fn no_rule_is_too_odd(
        path in prop::option::of("(messages|params|system)(\\[[*0-9]\\])?(\\.[a-z*]{1,4})?|.{0,12}"),
        pattern in prop::option::of("[a-z(|)\\[\\]*+?\\\\d.^$]{0,10}|.{0,12}"),
        at in "(messages|params|system)(\\[[0-9]\\]){0,2}(\\.[a-z]{1,4})?|.{0,12}",
        text in ".{0,40}",
    ) {
        let within = Within { path: path.as_deref(), ..Within::default() };
        if let Ok(rule) = Ignore::new(within, pattern.as_deref()) {
            let rules = Rules::new(vec![rule.clone()], Vec::new());
            let left = rules.without_ignored(&Place::of(DIALECT, &at), &text);
            let covered = rule.scope.covers(&Place::of(DIALECT, &at));
            prop_assert!(left.len() <= text.len());
            prop_assert!(covered || (left == text && !rules.ignores(&Place::of(DIALECT, &at))), "outside of its path");
        }
        if let Ok(rule) = Hole::new(within, pattern.as_deref().unwrap_or("a+"), HoleKind::Any) {
            let covered = rule.scope.covers(&Place::of(DIALECT, &at));
            let rules = Rules::new(Vec::new(), vec![rule.clone(), rule]);
            let holes = rules.holes(&Place::of(DIALECT, &at), &text);
            prop_assert!(covered || holes.is_empty(), "outside of its path");
            prop_assert!(holes.windows(2).all(|two| two[0].0.end <= two[1].0.start));
            prop_assert!(holes.iter().all(|(range, _)| !range.is_empty() && text.get(range.clone()).is_some()));
        }
    }
}

#[test]
fn a_text_is_masked_wherever_its_holes_were_declared() {
    let rules = Rules::new(Vec::new(), vec![hole(Some("messages[*].text"), r"ticket (\d+)", HoleKind::Any)]);
    assert_eq!(rules.masked("ticket 4711, ticket x"), "ticket \u{0}declared\u{0}, ticket x");
    assert!(matches!(rules.masked("none"), Cow::Borrowed("none")));
}
