use crate::diff::compare;
use crate::diff::tests::fake::*;
use crate::report::Style;
use crate::report::difference::difference;

#[test]
fn look() {
    let (a, b) = (refund("refund.1"), refused("refund.2", "refund.1"));
    println!("{}", difference(&compare(&a.view(), &b.view()), false, Style::default()));
    let mut b = Fake::new("refund.3");
    b.system("You handle refunds. Amounts are in cents.");
    refund_to_fraud_check(
        &mut b,
        r#"{"risk":"low","score":0.07,"checked_at":1795229999.1,"trace":"99ab41ce"}"#,
    );
    b.calls(&[(
        "issue_refund",
        serde_json::json!({"amount_usd": 49.99, "order_id": "A123"}),
        r#"{"ok":true,"refunded":49.99}"#,
    )])
    .says("Done. I refunded $49.99 for order A123.")
    .end(0);
    println!("{}", difference(&compare(&a.view(), &b.view()), false, Style::default()));
    println!("{}", difference(&compare(&a.view(), &a.view()), false, Style::default()));
}
