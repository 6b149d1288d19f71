use super::*;
use crate::diff::tests::fake::Fake;
use crate::prices::Prices;
use serde_json::json;

fn run() -> Fake {
    let mut run = Fake::new("refund.1");
    run.model("gpt-4o").user("go");
    run.calls(&[("look", json!({}), "fine"), ("pay", json!({}), "Card refused")]).tool_failed();
    run.says("Done.").end(1);
    run.manifest.labels.insert("task".into(), "A 1".into());
    run
}

fn steps(terms: &str) -> Vec<u32> {
    let run = run();
    let prices = Prices::default();
    let cost = |turn: &Turn| prices.cost(&turn.model, &turn.usage?);
    Wanted::parse(terms).unwrap().steps(&run.outline, &cost, &Told::default())
}

#[test]
fn steps_are_found_by_what_they_are() {
    for (terms, found) in [
        ("tool=pay", &[3][..]),
        ("tool!=pay", &[2]),
        ("tool~A", &[3]),
        ("tool=pay status=error agent=main", &[3]),
        ("tool=look status=error", &[]),
        ("status=error", &[3]),
        ("model=gpt-4o", &[1, 4]),
        ("model~GPT tool=look", &[2]),
        ("text~refused", &[3]),
        ("text=Done.", &[4]),
        ("tokens>0", &[1, 4]),
        ("tokens>0 tool~o", &[2]),
        ("tokens<0", &[]),
        ("cost>0", &[1, 4]),
        ("cost>$1", &[]),
        ("time>=0s", &[1, 2, 3, 4]),
        ("agent!=main", &[]),
        ("lane=main time<0", &[]),
    ] {
        assert_eq!(steps(terms), found, "{terms}");
    }
}

#[test]
fn runs_are_found_by_what_is_said_of_them() {
    let run = run();
    for (terms, fits) in [
        ("name=refund", true),
        ("name=refund.1", true),
        ("name!=refund", false),
        ("name!=refund.2", true),
        ("exit=1 steps>=4", true),
        ("exit!=1", false),
        ("steps>4", false),
        ("label:task=\"A 1\"", true),
        ("label:task~a", true),
        ("label:other=x", false),
        ("label:other!=x", true),
    ] {
        let wanted = Wanted::parse(terms).unwrap();
        assert!(!wanted.is_about_steps());
        assert_eq!(wanted.fits(&run.manifest, Some(4)), fits, "{terms}");
    }
}

#[test]
fn what_makes_no_sense_is_said() {
    let told: Vec<String> = [
        "",
        "tool",
        "tool!pay",
        "tol=pay",
        "modle~x",
        "colour=red",
        "tokens>many",
        "tokens~1",
        "tool>5",
        "status=bad",
        "text=\"a",
        "label:=x",
        "=x",
    ]
    .iter()
    .map(|terms| Wanted::parse(terms).expect_err(terms))
    .map(|unclear| format!("{}\n    {}", unclear.what, unclear.hint))
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}

proptest::proptest! {
    #[test]
    fn no_terms_are_too_odd(text in "[a-z:é!=<>~\" 0-9]{0,40}") {
        if let Err(unclear) = Wanted::parse(&text) {
            assert!(!unclear.what.is_empty());
        }
    }
}
