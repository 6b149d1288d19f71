//! Servers of the Model Context Protocol over HTTP: by the older transport (an event stream, and posts that are answered on
//! it), and what a fork asks of them by either.

use crate::support::env::{Ran, TestEnv, project};
use crate::support::refund_model::RefundModel;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const ALL: [&str; 5] = ["lookup_order", "get_policy", "get_customer", "check_fraud", "issue_refund"];

/// A way over HTTP: the script that has both ends, and its path.
type Transport = (&'static str, &'static str);

const EVENTS: Transport = ("mcp_sse.py", "/sse");
const STREAMS: Transport = ("mcp_stream.py", "/mcp");

struct Shop {
    over: Transport,
    env: TestEnv,
    model: Option<RefundModel>,
    server: Option<Child>,
    port: String,
}

impl Shop {
    fn new() -> Shop {
        Shop::that(EVENTS, &[])
    }

    /// A shop whose server has these variables.
    fn that(over: Transport, has: &[(&str, &str)]) -> Shop {
        let (model, mut env) = (RefundModel::start(), TestEnv::new());
        env.upstream(&model.origin());
        for name in ["mcp_refund.py", "mcp_tools.py", over.0] {
            let text = std::fs::read_to_string(project().join("tests/it/agents").join(name)).expect("agent");
            env.file(name, &text);
        }
        let mut shop = Shop { over, env, model: Some(model), server: None, port: "0".into() };
        shop.serve(has);
        shop
    }

    /// Starts the server: at the same port, if it was there before.
    fn serve(&mut self, has: &[(&str, &str)]) {
        let mut server = Command::new("python3")
            .args([self.over.0, "serve", &self.port, "python3", "mcp_tools.py"])
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

    fn recorded(over: Transport) -> Shop {
        let mut shop = Shop::that(over, &[]);
        shop.run().expect(0);
        shop.close();
        shop.env.forget_ran();
        shop
    }

    fn run(&self) -> Ran {
        let url = format!("http://127.0.0.1:{}{}", self.port, self.over.1);
        let server = ["python3", self.over.0, "carry", &url];
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
    let mut shop = Shop::recorded(EVENTS);
    shop.model = None;
    shop.env.set("ARGUMENT", "4");
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(4);
    replayed.says(&["lookup_order(order_id=\"A1234\")", "with other arguments only", "arguments.order_id"]);
    let told = "'message': 'retake: 127.0.0.1";
    assert!(replayed.err.contains(told), "the agent is told: {}", replayed.err);
}

#[test]
fn a_person_who_answers_otherwise_makes_the_recorded_result_wrong() {
    let mut shop = Shop::recorded(EVENTS);
    shop.env.set("SAYS", "decline");
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(4);
    replayed.says(&["asked something of the agent, which answers otherwise", "accept", "decline"]);
}

#[test]
fn a_server_that_dies_closes_its_stream_again() {
    let mut shop = Shop::that(EVENTS, &[("DIES", "check_fraud")]);
    let ran = shop.run().expect(8);
    assert!(ran.err.contains("the server ended"), "{}", ran.err);
    shop.close();
    shop.model = None;
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(0);
    replayed.says(&["the server ended", "same outcome"]);
}

const CENTS: [&str; 4] = ["fork", "shop.1", "--set", r#"1..:system+="Amounts are in cents.""#];
const UNFENCED: [&str; 2] = ["--unfence", "shop__issue_refund"];

#[test]
fn a_fork_opens_a_stream_of_its_own_for_what_was_not_recorded() {
    let mut shop = Shop::recorded(EVENTS);
    let fenced = shop.env.retake(CENTS).expect(5);
    fenced.says(&["destructive, as its server says"]);
    let edited = shop.env.retake(["fork", "shop.1", "--set", r#"7:result.risk="high""#]).expect(0);
    assert!(edited.out.contains("I cannot refund"), "{}", edited.all());

    let nobody = shop.env.retake([&CENTS[..], &UNFENCED].concat()).expect(4);
    nobody.says(&["/sse: a call that is not recorded", "the server cannot be asked"]);
    assert!(shop.env.ran().is_empty(), "{:?}", shop.env.ran());

    shop.serve(&[]);
    let lifted = shop.env.retake([&CENTS[..], &UNFENCED].concat()).expect(0);
    assert!(lifted.out.contains("I refunded $49.99"), "{}", lifted.all());
    assert_eq!(shop.env.ran(), ["issue_refund"], "the rest is recorded");
    lifted.says(&["ran for real: issue_refund"]);
    assert!(!lifted.err.contains("are not those"), "{}", lifted.err);

    shop.close();
    shop.env.forget_ran();
    let fork = lifted.err.split("forked").nth(1).and_then(|after| after.split_whitespace().next());
    let newest = fork.expect("a run").to_string();
    let again = shop.env.retake(["replay", newest.as_str()]);
    assert!(again.out.contains("I refunded $49.99"), "a fork is a recording: {newest}\n{}", again.all());
    assert!(shop.env.ran().is_empty(), "{:?}", shop.env.ran());
}

#[test]
fn a_server_that_has_other_tools_by_now_is_told_of() {
    for over in [EVENTS, STREAMS] {
        let mut shop = Shop::recorded(over);
        let script = shop.env.work().join("mcp_tools.py");
        let text = std::fs::read_to_string(&script).expect("server");
        std::fs::write(&script, text.replace("\"get_policy\": (", "\"get_rules\": (")).expect("write");
        shop.serve(&[]);
        let fork = shop.env.retake([&CENTS[..], &UNFENCED].concat()).expect(0);
        fork.says(&[&format!("{} are not those", over.1), "get_rules is new"]);
    }
}

#[test]
fn a_fork_introduces_the_agent_to_a_server_that_knows_no_recorded_session() {
    let mut shop = Shop::recorded(STREAMS);
    let met = shop.env.work().join("met.log");
    std::fs::remove_file(&met).expect("the server was met");
    let replayed = shop.env.retake(["replay", "shop.1"]).expect(0);
    replayed.says(&["10/10 steps", "same outcome"]);
    let fenced = shop.env.retake(CENTS).expect(5);
    fenced.says(&["destructive, as its server says"]);
    let nobody = shop.env.retake([&CENTS[..], &UNFENCED].concat()).expect(4);
    nobody.says(&["/mcp: a call that is not recorded", "the server cannot be asked", "refused"]);

    shop.serve(&[]);
    let lifted = shop.env.retake([&CENTS[..], &UNFENCED].concat()).expect(0);
    assert!(lifted.out.contains("I refunded $49.99"), "{}", lifted.all());
    assert_eq!(shop.env.ran(), ["issue_refund"], "the rest is recorded");
    let met = std::fs::read_to_string(met).expect("the server was met");
    assert_eq!(met, "{\"name\": \"test\", \"version\": \"1\"}\n", "once, as the agent says of itself");
    assert!(!lifted.err.contains("are not those"), "{}", lifted.err);
}
