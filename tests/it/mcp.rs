//! Servers of the Model Context Protocol: recorded behind `retake mcp`, and not started by a replay.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::refund_model::RefundModel;

const ALL: [&str; 5] = ["lookup_order", "get_policy", "get_customer", "check_fraud", "issue_refund"];

struct Shop {
    env: TestEnv,
    model: Option<RefundModel>,
}

impl Shop {
    fn new() -> Shop {
        let (model, mut env) = (RefundModel::start(), TestEnv::new());
        env.upstream(&model.origin());
        for name in ["mcp_refund.py", "mcp_tools.py"] {
            let text = std::fs::read_to_string(project().join("tests/it/agents").join(name)).expect("agent");
            env.file(name, &text);
        }
        Shop { env, model: Some(model) }
    }

    fn recorded() -> Shop {
        let shop = Shop::new();
        shop.run().expect(0);
        shop.forget();
        shop
    }

    fn run(&self) -> Ran {
        let retake = env!("CARGO_BIN_EXE_retake");
        let server = [retake, "mcp", "--name", "shop", "--", "python3", "mcp_tools.py"];
        let agent = ["run", "--name", "shop", "--", "python3", "mcp_refund.py"];
        self.env.retake([agent.as_slice(), &server].concat())
    }

    /// The tools that ran since they were forgotten last.
    fn ran(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.env.work().join("ran.log")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    fn forget(&self) {
        std::fs::remove_file(self.env.work().join("ran.log")).expect("tools were run");
    }
}

#[test]
fn a_server_is_recorded_and_not_started_by_a_replay() {
    let mut shop = Shop::new();
    let ran = shop.run().expect(0);
    assert_eq!(shop.ran(), ALL);
    shop.forget();
    shop.model = None;
    for _ in 0..2 {
        let replayed = shop.env.retake(["replay", "shop.1"]).expect(0);
        assert_eq!(replayed.out, ran.out);
        replayed.says(&["10/10 steps", "0 live calls", "same outcome"]);
        assert!(shop.ran().is_empty(), "{:?}", shop.ran());
    }
}
