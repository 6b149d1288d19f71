//! What is misspelt is refused before anything runs, with what was meant.

use crate::support::refund::Refund;

#[test]
fn misspelt_edits_do_not_go_live() {
    let refund = Refund::recorded();
    let asked = refund.model.asked();
    for (edit, said) in [
        ("7:reslt=\"x\"", "no field \"reslt\" for a tool step; did you mean result?"),
        ("*:temprature=0", "is no known field; did you mean temperature? (raw:temprature=… sends it anyway)"),
        (
            "*:bogus=1",
            "\"bogus\" is not in the recorded request and is no known field (raw:bogus=… sends it anyway)",
        ),
        ("6:temperature=hot", "temperature is a number, \"hot\" is none"),
        ("7:result.risk==", "= sets a value"),
    ] {
        let refused = refund.retake(&["fork", "refund.1", "--set", edit]).expect(64);
        let told = refused.err.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(said), "{edit}: {told}");
    }
    assert_eq!((refund.model.asked(), refund.ran()), (asked, String::new()));
    refund.retake(&["fork", "refund.1", "--set", "*:raw:bogus=1"]).expect(0);
}
