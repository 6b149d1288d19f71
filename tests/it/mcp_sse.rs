//! Servers of the Model Context Protocol over the older transport: an event stream, and posts that are answered on it.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::refund_model::RefundModel;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const ALL: [&str; 5] = ["lookup_order", "get_policy", "get_customer", "check_fraud", "issue_refund"];

struct Shop {
    env: TestEnv,
    model: Option<RefundModel>,
    server: Option<Child>,
    port: String,
}

impl Shop {
    fn new() -> Shop {
        Shop::that(&[])
    }

    /// A shop whose server has these variables.
    fn that(has: &[(&str, &str)]) -> Shop {
        let (model, mut env) = (RefundModel::start(), TestEnv::new());
        env.upstream(&model.origin());
        for name in ["mcp_refund.py", "mcp_tools.py", "mcp_sse.py"] {
            let text = std::fs::read_to_string(project().join("tests/it/agents").join(name)).expect("agent");
            env.file(name, &text);
        }
        let mut shop = Shop { env, model: Some(model), server: None, port: "0".into() };
        shop.serve(has);
        shop
    }

    /// Starts the server: at the same port, if it was there before.
    fn serve(&mut self, has: &[(&str, &str)]) {
        let mut server = Command::new("python3")
            .args(["mcp_sse.py", "serve", &self.port, "python3", "mcp_tools.py"])
            .current_dir(self.env.work())
            .envs(has.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut port = String::new();
        BufReader::new(server.stdout.take().expect("piped")).read_line(&mut port).expect("a port");
        self.port = port.trim().to_string();
        self.server = Some(server);
    }

    fn close(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        drop(server.stdin.take());
        server.wait().expect("it ends");
    }

    fn recorded() -> Shop {
        let mut shop = Shop::new();
        shop.run().expect(0);
        shop.close();
        shop.env.forget_ran();
        shop
    }

    fn run(&self) -> Ran {
        let url = format!("http://127.0.0.1:{}/sse", self.port);
        let server = ["python3", "mcp_sse.py", "carry", &url];
        let agent = ["run", "--name", "shop", "--intercept", "--", "python3", "mcp_refund.py"];
        self.env.retake([agent.as_slice(), &server].concat())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.close();
    }
}

#[test]
fn a_session_on_a_stream_is_recorded_and_replayed_without_its_server() {
    let mut shop = Shop::new();
    let ran = shop.run().expect(0);
    assert_eq!(shop.env.ran(), ALL);
    ran.says(&["heard : ping", "10 messages, 5 calls"]);
    let shown = shop.env.retake(["show", "shop.1"]).expect(0).out;
    assert_eq!(shown.matches("by 127.0.0.1").count(), 5, "{shown}");
    shop.close();
    shop.model = None;
    shop.env.forget_ran();
    for _ in 0..2 {
        let replayed = shop.env.retake(["replay", "shop.1"]).expect(0);
        assert_eq!(replayed.out, ran.out);
        replayed.says(&["10/10 steps", "0 live calls", "same outcome", "heard : ping"]);
        assert!(shop.env.ran().is_empty(), "{:?}", shop.env.ran());
    }
}

#[test]
fn a_call_with_other_arguments_is_refused_on_the_stream() {
    let mut shop = Shop::recorded();
    shop.model = None;
    shop.env.set("ARGUMENT", "4");
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(4);
    replayed.says(&["lookup_order(order_id=\"A1234\")", "with other arguments only", "arguments.order_id"]);
    let told = "'message': 'retake: 127.0.0.1";
    assert!(replayed.err.contains(told), "the agent is told: {}", replayed.err);
}

#[test]
fn a_person_who_answers_otherwise_makes_the_recorded_result_wrong() {
    let mut shop = Shop::recorded();
    shop.env.set("SAYS", "decline");
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(4);
    replayed.says(&["asked something of the agent, which answers otherwise", "accept", "decline"]);
}

#[test]
fn a_server_that_dies_closes_its_stream_again() {
    let mut shop = Shop::that(&[("DIES", "check_fraud")]);
    let ran = shop.run().expect(8);
    assert!(ran.err.contains("the server ended"), "{}", ran.err);
    shop.close();
    shop.model = None;
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(0);
    replayed.says(&["the server ended", "same outcome"]);
}
