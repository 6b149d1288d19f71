use super::{ReportKind, markdown};
use crate::suite::checks::{Judgement, Outcome};
use crate::suite::findings::{Code, Difference, Drift, Finding, Severity};
use crate::suite::outcome::{CaseOutcome, FORMAT, SuiteOutcome, Verdict};
use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

fn finding(
    code: Code,
    severity: Severity,
    what: &str,
    sides: &[(&str, Option<&str>, Option<&str>)],
) -> Finding {
    let mut sides = sides.iter().map(|(path, before, after)| Difference {
        path: path.to_string(),
        before: before.map(String::from),
        after: after.map(String::from),
    });
    Finding {
        code,
        severity,
        drift: Drift::Code,
        step: Some(8),
        now: Some(7),
        what: what.into(),
        difference: sides.next(),
        more: sides.collect(),
        follows: severity == Severity::Warning,
    }
}

fn judgement(name: &str, outcome: Outcome) -> Judgement {
    Judgement { name: name.into(), severity: Severity::Error, why: Some("money <moves>".into()), outcome }
}

/// All verdicts, and everything that a format could trip over.
fn odd() -> SuiteOutcome {
    let case = |name: &str, verdict, why: &str| CaseOutcome {
        verdict,
        steps: 10,
        replayed: 10,
        took_us: 123_456,
        agent_us: 100_000,
        ..CaseOutcome::broken(name, &format!("tests/retake/{name}.retake"), why)
    };
    let amount = finding(
        Code::ArgsChanged,
        Severity::Error,
        "issue_refund is called with another amount_usd | @ada, see #12 and https://example.com",
        &[
            ("issue_refund.amount_usd", Some("4999"), Some("49.99")),
            ("note", Some("one\n```\n</details>\ntwo"), Some("one\n````\n]]> \u{1b}[31m&amp;\u{0}\ntwo")),
        ],
    );
    let text = finding(
        Code::TextChanged,
        Severity::Warning,
        "the answer reads otherwise",
        &[("", None, Some("猫 🐈"))],
    );
    let note = finding(Code::LooseMatch, Severity::Note, "a looser match", &[]);
    let regression = CaseOutcome {
        replayed: 7,
        live: 1,
        drift: Some(Drift::Code),
        tools_run: vec![("issue_refund".into(), 2), ("<lookup>".into(), 1)],
        findings: vec![amount, text.clone(), note],
        lines: [(8, 31)].into(),
        checks: vec![
            judgement("never `rm`", Outcome::Passed),
            judgement(
                "refund, exact: \"cents\"",
                Outcome::Failed { what: "amount_usd is 4999 | wanted 49.99".into() },
            ),
        ],
        output: "\u{1b}[1mbold\u{1b}[0m ]]> <script>alert(1)</script>\n````\n::error::forged\n100%\r\n"
            .into(),
        warnings: vec!["[findings] is misspelt & ignored".into()],
        ..case(
            "billing/refund \"<A&B>\"",
            Verdict::Regression,
            "ARGS_CHANGED, step 8: 100% other, a: b\nsecond line",
        )
    };
    let broken = CaseOutcome {
        steps: 0,
        replayed: 0,
        excerpt: "  |\n2 | comand = `<x>`\n  | ^^^^^^".into(),
        hints: vec!["say it in `tests/retake/x.toml`: command = [\"python\"]".into()],
        ..case("billing/日本語", Verdict::Broken, "it does not say which command it recorded")
    };
    let open = CaseOutcome {
        checks: vec![judgement("cost", Outcome::Broken { why: "no price for gpt-small".into() })],
        miss: "no recorded answer is right for this request\n  asked     `x`\n".into(),
        hints: vec!["in the miss".into()],
        ..case("slow", Verdict::Inconclusive, "the agent had not ended after 60 s")
    };
    let passed = CaseOutcome { findings: vec![text], ..case("wording", Verdict::Passed, "") };
    SuiteOutcome {
        format: FORMAT,
        retake: "0.1.0".into(),
        started_us: 1_795_224_700_000_000,
        took_us: 1_500_000,
        shards: Vec::new(),
        left_out: 2,
        cases: vec![regression, broken, open, case("plain", Verdict::Passed, ""), passed],
    }
}

fn written(kind: &str, of: &SuiteOutcome) -> String {
    ReportKind::named(kind).unwrap().written(of, "agents/").unwrap()
}

#[test]
fn every_form_of_an_odd_suite() {
    for kind in ["junit", "markdown", "json", "github", "gitlab"] {
        insta::assert_snapshot!(kind, written(kind, &odd()));
    }
    let page = written("html", &odd());
    insta::assert_snapshot!("html", page.split("<body>").nth(1).unwrap());
}

#[test]
fn a_report_is_the_same_each_time_and_json_is_read_back() {
    for kind in ["junit", "markdown", "html", "json", "github", "gitlab"] {
        assert_eq!(written(kind, &odd()), written(kind, &odd()));
    }
    assert_eq!(serde_json::from_str::<SuiteOutcome>(&written("json", &odd())).unwrap(), odd());
}

#[test]
fn a_suite_without_a_case_is_not_green() {
    let empty = SuiteOutcome { cases: Vec::new(), ..odd() };
    assert!(written("markdown", &empty).contains("❌ retake: no case was run"));
    assert!(written("html", &empty).contains("No case was run"));
    assert!(written("github", &empty).starts_with("::error "));
}

/// A suite of so many regressions.
fn many(cases: usize, verdict: Verdict) -> SuiteOutcome {
    let odd = odd();
    let one = |n: usize| CaseOutcome { name: format!("case-{n:03}"), verdict, ..odd.cases[0].clone() };
    SuiteOutcome { cases: (0..cases).map(one).collect(), ..odd.clone() }
}

#[test]
fn a_comment_has_whole_cases_and_says_what_it_left_out() {
    for most in [2_000, 10_000, markdown::COMMENT] {
        let text = markdown::markdown(&many(300, Verdict::Regression), most);
        assert!(text.len() <= most, "{} of {most}", text.len());
        assert!(text.contains("There is no room here for the details of"), "{most}");
        assert_eq!(text.matches("<details>\n").count(), text.matches("\n</details>\n").count());
        let details = text.matches("<summary>").count();
        let left: usize =
            text.split("details of ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert_eq!(details + left, 300);
    }
    let long = "`".repeat(9_000);
    let mut suite = many(1, Verdict::Regression);
    suite.cases[0].output = long.clone();
    suite.cases[0].why = long;
    assert!(markdown::markdown(&suite, markdown::COMMENT).contains("<summary>"));
}

#[test]
fn github_shows_ten_of_a_kind() {
    let told = |n| written("github", &many(n, Verdict::Broken));
    assert_eq!(told(10).lines().count(), 10);
    assert_eq!(told(25).lines().count(), 10);
    assert!(told(25).ends_with("::error title=retake::and 16 more cases; the summary has all\n"));
    assert!(
        written("github", &many(11, Verdict::Inconclusive))
            .lines()
            .all(|line| line.starts_with("::warning "))
    );
}

#[test]
fn a_fingerprint_stays_while_values_change() {
    let prints = |of: &SuiteOutcome| -> Vec<String> {
        let issues: serde_json::Value = serde_json::from_str(&written("gitlab", of)).unwrap();
        issues.as_array().unwrap().iter().map(|issue| issue["fingerprint"].as_str().unwrap().into()).collect()
    };
    let before = prints(&odd());
    let mut other = odd();
    other.cases[0].findings[0].difference.as_mut().unwrap().after = Some("50".into());
    other.cases[0].findings[0].what = "said otherwise".into();
    other.cases.remove(4);
    let after = prints(&other);
    assert_eq!(before[..after.len()], after);
    let mut twice = odd();
    let again = twice.cases[0].findings[0].clone();
    twice.cases[0].findings.push(again);
    let all: std::collections::BTreeSet<String> = prints(&twice).into_iter().collect();
    assert_eq!(all.len(), before.len() + 1);
}

/// An element: its name, attributes, and children by name.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn begun(start: &BytesStart<'_>) -> Element {
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.expect("an attribute");
            let name = String::from_utf8(attribute.key.as_ref().to_vec()).expect("a name");
            (
                name,
                attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).expect("a value").into_owned(),
            )
        });
        let name = String::from_utf8(start.name().as_ref().to_vec()).expect("a name");
        Element { name, attributes: attributes.collect(), ..Element::default() }
    }

    fn get(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {}", self.name))
    }

    fn named(&self, name: &str) -> Vec<&Element> {
        self.children.iter().filter(|child| child.name == name).collect()
    }
}

/// Reads XML as strictly as the library does, and holds what it leaves to others: characters, entities, one root.
fn parsed(text: &str) -> Element {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(text.chars().all(allowed), "a character that XML cannot hold");
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) => open.push(Element::begun(&start)),
            Event::Empty(start) => open.last_mut().expect("open").children.push(Element::begun(&start)),
            Event::End(_) => {
                let ended = open.pop().expect("open");
                open.last_mut().expect("open").children.push(ended);
            }
            Event::Text(text) => open.last_mut().expect("open").text.push_str(&text.decode().expect("text")),
            Event::GeneralRef(entity) => {
                let known = entity.resolve_char_ref().expect("a number").map(String::from).or_else(|| {
                    let name = entity.decode().expect("a name");
                    quick_xml::escape::resolve_xml_entity(&name).map(String::from)
                });
                open.last_mut().expect("open").text.push_str(&known.expect("an entity that is known"));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open.len(), 1, "something is not closed");
    let mut root = open.remove(0);
    assert_eq!((root.children.len(), root.text.trim()), (1, ""));
    root.children.remove(0)
}

/// What readers of JUnit and its schema ask for.
fn holds_as_junit(text: &str, of: &SuiteOutcome) {
    let root = parsed(text);
    assert_eq!(root.name, "testsuites");
    let number = |element: &Element, name: &str| element.get(name).parse::<usize>().expect("a number");
    let mut seen = 0;
    for suite in &root.children {
        assert_eq!(suite.name, "testsuite");
        let cases = suite.named("testcase");
        assert_eq!(number(suite, "tests"), cases.len());
        for (word, child) in [("failures", "failure"), ("errors", "error"), ("skipped", "skipped")] {
            assert_eq!(
                number(suite, word),
                cases.iter().filter(|case| !case.named(child).is_empty()).count()
            );
        }
        assert_eq!(suite.get("timestamp").len(), "2026-11-22T02:58:17".len());
        for case in cases {
            seen += 1;
            assert!(case.get("time").parse::<f64>().expect("seconds") >= 0.0);
            assert_eq!(case.get("classname"), suite.get("name"));
            let order: Vec<usize> = case
                .children
                .iter()
                .map(|child| {
                    let known = ["properties", "skipped", "error", "failure", "system-out", "system-err"];
                    known.iter().position(|name| *name == child.name).expect("known to the schema")
                })
                .collect();
            assert!(order.is_sorted() && order.windows(2).all(|two| two[0] != two[1]));
            for failed in case.named("failure").into_iter().chain(case.named("error")) {
                assert!(!failed.get("message").is_empty() && !failed.get("type").is_empty());
            }
        }
    }
    assert_eq!((seen, number(&root, "tests")), (of.cases.len(), of.cases.len()));
    let verdicts = |verdict| of.cases.iter().filter(|case| case.verdict == verdict).count();
    assert_eq!(number(&root, "failures"), verdicts(Verdict::Regression));
    assert_eq!(number(&root, "errors"), verdicts(Verdict::Broken) + verdicts(Verdict::Inconclusive));
}

#[test]
fn junit_is_as_its_readers_want_it() {
    let text = written("junit", &odd());
    holds_as_junit(&text, &odd());
    let root = parsed(&text);
    let case = root.children[1].named("testcase")[0];
    assert_eq!((case.get("name"), case.get("classname")), ("refund \"<A&B>\"", "retake.billing"));
    assert!(case.named("system-out")[0].text.contains("␛[1mbold␛[0m ]]> <script>"));
}

/// The page is well-formed, has nothing of its own to run or to fetch, and leads nowhere but into itself.
fn holds_as_page(text: &str) {
    let root = parsed(text.strip_prefix("<!DOCTYPE html>\n").expect("a type"));
    assert_eq!(root.name, "html");
    let mut all = vec![&root];
    while let Some(element) = all.pop() {
        assert!(
            !["script", "img", "link", "iframe", "object", "form", "base"].contains(&element.name.as_str())
        );
        for (name, value) in &element.attributes {
            assert!(!name.starts_with("on") && name != "src" && name != "style", "{name}");
            assert!(name != "href" || value.starts_with("#case-"), "{value}");
        }
        all.extend(&element.children);
    }
}

#[test]
fn the_page_needs_nothing_else() {
    let text = written("html", &many(200, Verdict::Regression));
    holds_as_page(&text);
    assert_eq!(text.matches("<details class=\"case\"").count(), 200);
    assert!(written("html", &odd()).contains("<mark>49.99</mark>"), "the part of a line that differs");
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        proptest::sample::select(vec![
            "]]>",
            "<!--",
            "-->",
            "</pre>",
            "</details>",
            "<x y=\"",
            "&amp;",
            "&#0;",
            "```",
            "````",
            "\u{0}",
            "\u{1b}[1m",
            "\n",
            "\r\n",
            "\u{fffe}",
            "\u{85}",
            "\u{2028}",
            "{{ x }}",
            "{% raw %}",
            "::error::",
            "%0A",
            "|",
            "'",
            "/",
        ])
        .prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// The odd suite with these texts in all its fields, in turn.
fn filled(texts: &[String], verdict: Verdict) -> SuiteOutcome {
    let mut next = texts.iter().cycle().cloned();
    let mut next = || next.next().unwrap_or_default();
    let mut suite = odd();
    for (n, case) in suite.cases.iter_mut().enumerate() {
        case.name = format!("{}{n}", next());
        (case.file, case.why, case.miss, case.output) = (next(), next(), next(), next());
        case.hints = vec![next()];
        case.warnings = vec![next()];
        case.tools_run = vec![(next(), 2)];
        for finding in &mut case.findings {
            finding.what = next();
            for side in finding.difference.iter_mut().chain(&mut finding.more) {
                *side = Difference { path: next(), before: Some(next()), after: Some(next()) };
            }
        }
        for check in &mut case.checks {
            (check.name, check.why) = (next(), Some(next()));
            check.outcome = Outcome::Failed { what: next() };
        }
    }
    suite.cases[3].verdict = verdict;
    suite.retake = next();
    suite
}

/// Blocks end where they are meant to, and nothing but what the report opens is HTML.
fn holds_as_markdown(text: &str) {
    let tags = regex::Regex::new("<[^>]*>?").expect("a pattern");
    let mut fence: Option<String> = None;
    let mut details = 0_i32;
    for line in text.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) => {
                let ends = ticks.len() >= open.len() && line.trim_end() == ticks;
                if ends {
                    fence = None;
                }
            }
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                details +=
                    line.matches("<details>").count() as i32 - line.matches("</details>").count() as i32;
                for tag in tags.find_iter(line) {
                    let known = [
                        "<details>",
                        "</details>",
                        "<summary>",
                        "</summary>",
                        "<code>",
                        "</code>",
                        markdown::MARKER,
                    ];
                    assert!(known.contains(&tag.as_str()), "{line:?}");
                }
            }
        }
        assert!((0..=1).contains(&details), "{line:?}");
    }
    assert!(fence.is_none() && details == 0);
}

#[test]
fn markdown_is_not_broken_by_what_it_quotes() {
    holds_as_markdown(&written("markdown", &odd()));
    assert!(!written("markdown", &odd()).contains("@ada"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_text_in_any_field_is_well_formed(
        texts in proptest::collection::vec(text(), 1..20),
        verdict in proptest::sample::select(vec![Verdict::Passed, Verdict::Broken, Verdict::Inconclusive]),
    ) {
        let suite = filled(&texts, verdict);
        holds_as_junit(&written("junit", &suite), &suite);
        holds_as_page(&written("html", &suite));
        holds_as_markdown(&written("markdown", &suite));
        let issues = written("gitlab", &suite);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&issues).is_ok());
        for line in written("github", &suite).lines() {
            prop_assert!(line.starts_with("::error ") || line.starts_with("::warning "), "{}", line);
        }
    }
}
