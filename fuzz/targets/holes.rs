//! Values that differ from run to run, in texts. The text is cut in two: the recorded and the live one.

use super::some_place;
use retake::dialect::conversation::{Block, ModelAnswer};
use retake::holes::{Bindings, Holes, Rules, Side, Surroundings};
use std::collections::HashSet;
use std::sync::LazyLock;

static HOLES: LazyLock<Holes> = LazyLock::new(|| {
    let side = |name: &str, day: u64| Side {
        directory: format!("/srv/{name}/work"),
        home: format!("/home/{name}"),
        temp: "/tmp".into(),
        started_us: day * 86_400_000_000 + 1_760_000_000_000_000,
        ended_us: day * 86_400_000_000 + 1_760_000_900_000_000,
        zone_s: 7200,
    };
    let sides = Surroundings { recorded: side("a", 0), live: side("bob", 9) };
    let secrets = HashSet::from(["sk-stand-in".to_string()]);
    Holes::new(&secrets, Some(&sides), &Rules::default()).expect("few stand-ins")
});

/// Names come in pairs, and what is unbound is not rewritten.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut at = some_place(data).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let (recorded, live) = text.split_at(at);
    HOLES.name_pairs(recorded, live);
    for (one, other) in HOLES.name_pairs(recorded, recorded) {
        assert!(recorded.contains(&one) && recorded.contains(&other));
    }
    HOLES.may_mean_another(data);
    let answer = ModelAnswer { blocks: vec![Block::Text { text: text.into_owned() }], ..Default::default() };
    HOLES.rewrite(&answer, &Bindings::default(), &Bindings::default());
}
