use super::*;
use crate::holes::{HoleKind, Place};
use crate::replay::matcher::MatchClass;
use crate::replay::tools::ToolClass;
use proptest::prelude::*;

const FILE: &str = r#"
[[ignore]]
path = "params.seed"

[[ignore]]
dialect = "openai-chat"
path = "messages[*].text"
pattern = 'took \d+ ms'

[[hole]]
pattern = 'session ([0-9a-f]{8})'
kind = "name"

[[hole]]
path = "messages[*].result.at"
pattern = '\d+'

[tools]
read = ["get_*", "lookup_order"]
write = ["crm_put"]
irreversible = ["issue_refund"]

[replay]
allow = ["renamed", "pinned"]
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("retake.toml"))
}

/// What a person reads.
fn told(text: &str) -> String {
    let error = parse(text).expect_err(text);
    format!("{error}\n{}\n    hint: {}", error.excerpt(), error.hint())
}

#[test]
fn everything_is_read() {
    let config = parse(FILE).unwrap();
    assert!(config.rules.ignores(&Place::of("anthropic-messages", "params.seed")));
    assert_eq!(config.rules.without_ignored(&Place::of("openai-chat", "messages[1].text"), "took 5 ms"), "");
    assert_eq!(
        config.rules.without_ignored(&Place::of("anthropic-messages", "messages[1].text"), "took 5 ms"),
        "took 5 ms"
    );
    let holes = config.rules.holes(&Place::of("openai-chat", "system"), "session 0123abcd");
    assert_eq!(holes, [(8..16, HoleKind::Name)]);
    assert_eq!(
        config.rules.holes(&Place::of("openai-chat", "messages[1].result.at"), "7"),
        [(0..1, HoleKind::Any)]
    );
    assert_eq!(config.tools.class_of("get_policy"), ToolClass::Read);
    assert_eq!(config.tools.class_of("issue_refund"), ToolClass::Irreversible);
    let allow = config.allow.unwrap();
    assert!(allow.allows(MatchClass::Pinned) && !allow.allows(MatchClass::Masked));
    assert_eq!(config.path.as_deref(), Some(Path::new("retake.toml")));
}

#[test]
fn prices_are_read() {
    let text = "[prices.\"a/b\"]\ninput = 1\noutput = 2.5\nabove = {tokens = 9, input = 2, output = 5}\n";
    let price = parse(text).unwrap().prices.of("a/b").unwrap();
    assert_eq!((price.input, price.output, price.cache_read), (1.0, 2.5, None));
    assert_eq!(price.above.unwrap().tokens, 9);
}

#[test]
fn sampling_is_read() {
    let sampling = parse("[sampling]\nshare = \"10%\"\nslow = \"p95\"\n").unwrap().sampling.unwrap();
    assert_eq!((sampling.share.to_string(), sampling.slow.is_some()), ("10%".to_string(), true));
    assert!(parse("").unwrap().sampling.is_none());
}

#[test]
fn nothing_said_is_nothing_declared() {
    for text in ["", "# nothing\n", "[tools]\n[replay]\n"] {
        let config = parse(text).unwrap();
        assert!(config.rules.is_empty() && config.tools.is_empty() && config.allow.is_none());
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let wrong = [
        "[[ignore]]\npaht = \"params.seed\"\n",
        "\n[[ignor]]\npath = \"params.seed\"\n",
        "[ignore]\npath = \"params.seed\"\n",
        "[[ignore]]\n",
        "[[ignore]]\ndialect = \"openai\"\npath = \"params.seed\"\n",
        "[[ignore]]\npath = \"params.seed\"\n\n[[ignore]]\npath = \"mesages[*].text\"\n",
        "[[ignore]]\npath = \"messages[*]\"\n",
        "[[ignore]]\npattern = \"\\d+\"\n",
        "[[ignore]]\npattern = '(\\d+'\n",
        "[[ignore]]\npattern = '(?s).*'\n",
        "[[hole]]\npath = \"system\"\n",
        "[[hole]]\npattern = 'x'\nkind = \"nmae\"\n",
        "[tools]\nread = \"get_*\"\n",
        "[tools]\nread = [\"pay\"]\nirreversible = [\n  \"pay\",\n]\n",
        "[tools]\nread = [\"*_get\"]\n",
        "[tools]\nirreversibel = []\n",
        "[replay]\nallow = [\"pinned\", \"drift\"]\n",
        "[replay]\nallow = [\n  \"pinned\",\n  \"mask\",\n]\n",
        "[[ignore]\n",
        "[prices.\"my-model\"]\ninput = 1\n",
        "\n[prices.m]\ninput = 1\noutput = -2\n",
        "[prices]\nm = {input = 1, output = 2, above = {tokens = 10, input = nan, output = 1}}\n",
        "[prices.m]\ninput = 1\noutput = 2\ncache_reed = 1\n",
        "[prices.m]\ninput = \"1\"\noutput = 2\n",
        "[prices]\nm = 2\n",
        "[sampling]\nslow = \"p95\"\n",
        "[sampling]\nshare = \"110%\"\n",
        "[sampling]\nshare = \"1%\"\nslow = \"soon\"\n",
        "[sampling]\nshare = 0.1\n",
        "[sampling]\nshar = \"1%\"\n",
        "[test]\ncommand = \"python agent.py --fast\"\n",
        "[test]\ncommand = 'python agent.py | tee \"log\"'\n",
        "[test]\ntimeout = \"60\"\n",
        "[[check]]\nfoo = 1\n",
        "[[check]]\nat_most = { call = \"search\" }\n",
        "[findings]\n\nPROMT_CHANGED = \"off\"\n",
        "[findings]\nSLOW = \"off\"\nNO_SUCH_THING = \"off\"\n",
        "[findings]\nSLOWER = \"fatal\"\n",
        "bogus = 1\n",
    ];
    let all: Vec<String> = wrong.iter().map(|text| told(text)).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn the_place_is_shown_as_the_reader_of_toml_shows_it() {
    for text in ["comand = 1\n", "\n\n\n\n\n\n\n\n\n[[check]]\n  exits = [1, 2]\n", "x"] {
        let theirs = toml::from_str::<Beside>(text).unwrap_err().to_string();
        let ours = beside(text, Path::new("refund.toml")).unwrap_err();
        let shown: Vec<&str> = theirs.lines().skip(1).take(3).map(str::trim_end).collect();
        assert_eq!(ours.excerpt(), shown.join("\n"), "{theirs}");
    }
    let wide = beside("directory = '日本' x\n", Path::new("refund.toml")).unwrap_err();
    assert_eq!(
        wide.excerpt(),
        "  |\n1 | directory = '日本' x\n  |                    ^",
        "columns, not bytes"
    );
    let long = format!("x = \"{}\"\ny = \"{}\", z = 1\n", "a".repeat(300), "b".repeat(300));
    let wrong = beside(&long, Path::new("refund.toml")).unwrap_err();
    assert!(wrong.excerpt().lines().all(|line| line.chars().count() < 120), "{}", wrong.excerpt());
}

#[test]
fn the_nearest_file_is_found() {
    let root = tempfile::tempdir().unwrap();
    let (home, work) = (root.path().join("home"), root.path().join("home/work/deep"));
    std::fs::create_dir_all(&work).unwrap();
    let found = || Config::find(&work, Some(&home)).unwrap().path;
    std::fs::write(root.path().join(NAME), "").unwrap();
    assert_eq!(found(), None, "the search ends at home");
    std::fs::write(home.join(NAME), "").unwrap();
    assert_eq!(found(), Some(home.join(NAME)), "home itself is looked into");
    std::fs::create_dir(home.join("work/.git")).unwrap();
    assert_eq!(found(), None, "the search ends at a repository");
    std::fs::write(home.join("work").join(NAME), "").unwrap();
    assert_eq!(found(), Some(home.join("work").join(NAME)));
    std::fs::create_dir(work.join(NAME)).unwrap();
    assert_eq!(found(), Some(home.join("work").join(NAME)), "a directory of that name is none");
    std::fs::remove_dir(work.join(NAME)).unwrap();
    std::fs::write(work.join(NAME), [0xff]).unwrap();
    let error = Config::find(&work, Some(&home)).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert!(Config::read(&root.path().join("none.toml")).is_err());
}

proptest! {
    #[test]
    fn no_file_is_too_odd(text in ".{0,200}") {
        if let Err(error) = parse(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn no_rule_of_a_file_is_too_odd(
        table in "\\[?\\[?(ignore|hole|tools|replay|x)\\]?\\]?",
        keys in prop::collection::vec(("dialect|path|pattern|kind|read|allow|y", "[\"'\\[]?.{0,12}[\"'\\]]?"), 0..4),
    ) {
        let lines: String = keys.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let text = format!("{table}\n{lines}");
        if let Err(ConfigError::Wrong { line, what, .. }) = parse(&text) {
            prop_assert!(!what.is_empty() && !what.contains('\n'), "{what:?}");
            prop_assert!(line <= text.lines().count() + 1, "{line}: {text:?}");
        }
    }
}

#[test]
fn what_the_documents_show_can_be_read() {
    for document in ["README.md", "replay-format.md"] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
        let shown: Vec<&str> =
            text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!shown.is_empty(), "{document} shows none");
        for file in shown {
            let config = parse(file).unwrap_or_else(|error| panic!("{document}: {error}"));
            let is_whole = !config.rules.is_empty() && !config.tools.is_empty();
            assert!(is_whole || !config.checks.is_empty(), "{document}");
        }
    }
}
