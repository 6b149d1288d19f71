//! `show`.

use crate::diff::tests::fake::{refund, refused};
use crate::report::Style;
use crate::report::steps::{Notes, show};

#[test]
fn a_run() {
    let run = refund("refund.1");
    let notes = Notes::from([(7, "changes every run".to_string())]);
    println!("{}", show(&run.view(), &notes, Style::default()));
    println!("{}", show(&refused("refund.2", "refund.1").view(), &Notes::new(), Style::default()));
    for n in [1, 4, 6, 7] {
        println!("{}", crate::report::step::show_step(&run.view(), n, false, Style::default()).unwrap());
    }
    println!(
        "{}",
        crate::report::step::show_context(&run.view(), 8, Some((&run.view(), 6)), false, Style::default())
            .unwrap()
    );
}
