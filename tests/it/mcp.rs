//! Servers of the Model Context Protocol: recorded behind `retake mcp`, and not started by a replay.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::refund_model::RefundModel;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

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
        shop.env.forget_ran();
        shop
    }

    fn run(&self) -> Ran {
        let retake = env!("CARGO_BIN_EXE_retake");
        let server = [retake, "mcp", "--name", "shop", "--", "python3", "mcp_tools.py"];
        let agent = ["run", "--name", "shop", "--", "python3", "mcp_refund.py"];
        self.env.retake([agent.as_slice(), &server].concat())
    }
}

#[test]
fn a_server_is_recorded_and_not_started_by_a_replay() {
    let mut shop = Shop::new();
    let ran = shop.run().expect(0);
    assert_eq!(shop.env.ran(), ALL);
    shop.env.forget_ran();
    shop.model = None;
    for _ in 0..2 {
        let replayed = shop.env.retake(["replay", "shop.1"]).expect(0);
        assert_eq!(replayed.out, ran.out);
        replayed.says(&["10/10 steps", "0 live calls", "same outcome"]);
        assert!(shop.env.ran().is_empty(), "{:?}", shop.env.ran());
    }
}

#[test]
fn what_servers_carried_out_is_told() {
    let shop = Shop::new();
    let ran = shop.run().expect(0);
    ran.says(&["tools recorded: shop (10 messages, 5 calls)", "retake replay shop.1\n"]);
    let shown = shop.env.retake(["show", "shop.1"]).expect(0).out;
    assert_eq!(shown.matches("by shop").count(), 5, "{shown}");
    let replayed = shop.env.retake(["--json", "replay", "shop.1"]).expect(0).json();
    let tools = &replayed["replay"];
    assert_eq!(tools["ran"], serde_json::json!({}), "{replayed}");
    assert_eq!(tools["servers"]["answered"]["shop"]["issue_refund"], 1, "{replayed}");
}

#[test]
fn a_fork_asks_a_server_only_for_what_was_not_recorded() {
    let shop = Shop::recorded();
    let fork = shop.env.retake(["fork", "shop.1", "--set", r#"7:result.risk="high""#]).expect(0);
    assert!(fork.out.contains("I cannot refund"), "{}", fork.all());
    assert!(shop.env.ran().is_empty(), "{:?}", shop.env.ran());
    let diff = shop.env.retake(["diff", "shop.1", "shop.2"]).expect(1);
    assert!(diff.out.contains("why: the edit 7:result.risk"), "{}", diff.out);

    let cents = ["fork", "shop.1", "--set", r#"1..:system+="Amounts are in cents.""#];
    let fenced = shop.env.retake(cents).expect(5);
    fenced.says(&["destructive, as its server says", "--unfence shop__issue_refund"]);
    assert!(shop.env.ran().is_empty(), "{:?}", shop.env.ran());

    let lifted = shop.env.retake([&cents[..], &["--unfence", "shop__issue_refund"]].concat()).expect(0);
    assert!(lifted.out.contains("I refunded $49.99"), "{}", lifted.all());
    assert_eq!(shop.env.ran(), ["issue_refund"], "the rest is recorded");
    lifted.says(&["shop ran for real: issue_refund"]);
}

#[test]
fn a_server_that_has_other_tools_by_now_is_told_of() {
    let shop = Shop::recorded();
    let server = shop.env.work().join("mcp_tools.py");
    let changed =
        std::fs::read_to_string(&server).expect("server").replace("\"get_policy\": (", "\"get_rules\": (");
    std::fs::write(&server, changed).expect("write");
    let cents = [
        "fork",
        "shop.1",
        "--set",
        r#"1..:system+="Amounts are in cents.""#,
        "--unfence",
        "shop__issue_refund",
    ];
    let fork = shop.env.retake(cents).expect(0);
    fork.says(&["the tools of shop are not those", "get_policy is gone"]);
}

#[test]
fn a_person_s_word_counts_more_than_a_server_s() {
    let shop = Shop::recorded();
    shop.env.file(
        "retake.toml",
        "[tools]\nwrite = [\"shop__issue_refund\"]\nirreversible = [\"shop__get_policy\"]\n",
    );
    // What is answered from the recording does not run: no fence is in its way.
    shop.env.retake(["replay", "shop.1"]).expect(0);
    let cents = ["fork", "shop.1", "--set", r#"1..:system+="Amounts are in cents.""#];
    shop.env.retake(cents).expect(5).says(&["before shop__get_policy", "irreversible in retake.toml"]);
    assert!(shop.env.ran().is_empty(), "{:?}", shop.env.ran());
}

#[test]
fn a_call_with_other_arguments_is_refused_and_explained() {
    let mut shop = Shop::recorded();
    shop.model = None;
    shop.env.set("ARGUMENT", "4");
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(4);
    let said = [
        "shop: lookup_order(order_id=\"A1234\")",
        "with other arguments only",
        "arguments.order_id",
        "\"A123\"",
    ];
    replayed.says(&said);
    let mut changed = Shop::new();
    changed.env.set("ARGUMENT", "4");
    changed.run().expect(0);
    let shown = changed.env.retake(["show", "shop.1"]).expect(0).out;
    assert_eq!(shown.matches("by shop").count(), 5, "an agent may change what the model asked for: {shown}");
    assert!(
        replayed.err.contains("'message': 'retake: shop: lookup_order"),
        "the agent is told: {}",
        replayed.err
    );
    assert!(shop.env.ran().is_empty(), "{:?}", shop.env.ran());
}

#[test]
fn a_person_who_answers_otherwise_makes_the_recorded_result_wrong() {
    let mut shop = Shop::recorded();
    shop.env.set("SAYS", "decline");
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(4);
    replayed.says(&["shop asked something of the agent, which answers otherwise", "accept", "decline"]);
}

#[test]
fn servers_without_sessions_are_recorded_too() {
    let mut shop = Shop::new();
    shop.env.set("STATELESS", "1");
    let ran = shop.run().expect(0);
    shop.env.forget_ran();
    shop.model = None;
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(0);
    assert_eq!(replayed.out, ran.out);
    assert!(shop.env.ran().is_empty(), "{:?}", shop.env.ran());
}

#[test]
fn a_server_that_dies_does_so_again() {
    let mut shop = Shop::new();
    shop.env.set("DIES", "check_fraud");
    let ran = shop.run().expect(8);
    assert!(ran.err.contains("the server ended"), "{}", ran.err);
    ran.says(&[
        "retake mcp: the server shop ended by itself, exit status 9; its command: python3 mcp_tools.py",
        "  shop: out of memory",
    ]);
    shop.env.forget_ran();
    shop.model = None;
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(0);
    replayed.says(&["the server ended", "same outcome"]);
    assert!(shop.env.ran().is_empty(), "{:?}", shop.env.ran());
}

#[test]
fn without_a_run_the_server_is_simply_started() {
    let shop = Shop::new();
    let server = ["mcp", "--", "python3", "mcp_tools.py"];
    let mut child =
        shop.env.command(server).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    let ask = b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"initialize\"}\n";
    child.stdin.take().expect("piped").write_all(ask).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("\"id\": 5"), "{said}");
    let missing = shop.env.retake(["mcp", "--", "no-such-server"]).expect(3);
    missing.says(&["cannot start the server no-such-server (no-such-server): No such file"]);
    let mut gone = shop.env.command(["mcp", "--name", "shop", "--", "python3", "mcp_tools.py"]);
    let gone = gone.env("RETAKE_PROXY", "http://127.0.0.1:9").output().expect("it ends");
    let said = String::from_utf8_lossy(&gone.stderr);
    assert!(said.contains("shop was not started: no proxy answers at http://127.0.0.1:9"), "{said}");
}

#[test]
fn a_server_over_http_is_recorded_through_interception() {
    let mut env = TestEnv::new();
    let script = project().join("tests/it/agents/mcp_http.py").display().to_string();
    let mut server = Command::new("python3")
        .args([&script, "serve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut port = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut port).expect("a port");
    let url = format!("http://127.0.0.1:{}/mcp", port.trim());
    let ran = env
        .retake(["run", "--name", "stock", "--intercept", "--", "python3", &script, "ask", &url])
        .expect(0);
    ran.says(&["tools recorded: 127.0.0.1", "3 calls"]);
    drop(server.stdin.take());
    server.wait().expect("it ends");
    let replayed = env.retake(["replay", "stock.1"]).expect(0);
    assert_eq!(replayed.out, ran.out, "equal calls keep their own answers, in order");
    replayed.says(&["no model call", "same outcome", "is answered from the recording: stock x3"]);
    env.set("ITEM", "gizmo");
    env.retake(["replay", "stock.1"]).expect(4).says(&["stock(item=\"gizmo\")", "arguments.item"]);
    env.set("ITEM", "gadget");
    let more = env.retake(["replay", "stock.1"]).expect(4);
    more.says(&["it is called once more than recorded"]);
}
