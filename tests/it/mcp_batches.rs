//! Batches of the Model Context Protocol, over streamable HTTP and on stdio.

use crate::support::env::{Ran, TestEnv, project};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const RETAKE: &str = env!("CARGO_BIN_EXE_retake");

fn scripts() -> TestEnv {
    let env = TestEnv::new();
    for name in ["mcp_batch.py", "mcp_stream.py"] {
        let text = std::fs::read_to_string(project().join("tests/it/agents").join(name)).expect("agent");
        env.file(name, &text);
    }
    env
}

fn bridged(env: &TestEnv) -> Ran {
    let server = [RETAKE, "mcp", "--name", "shop", "--", "python3", "mcp_batch.py", "serve"];
    let agent = ["run", "--name", "b", "--", "python3", "mcp_batch.py", "ask"];
    env.retake([agent.as_slice(), &server].concat())
}

fn over_http(env: &TestEnv, has: &[(&str, &str)]) -> (Child, Ran) {
    let mut server = Command::new("python3")
        .args(["mcp_stream.py", "serve", "0", "python3", "mcp_batch.py", "serve"])
        .current_dir(env.work())
        .envs(has.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3");
    let mut port = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut port).expect("a port");
    let url = format!("http://127.0.0.1:{}/mcp", port.trim());
    let agent = ["run", "--name", "b", "--intercept", "--", "python3", "mcp_batch.py", "ask"];
    let ran = env.retake([agent.as_slice(), &["python3", "mcp_stream.py", "carry", &url]].concat());
    (server, ran)
}

fn end(mut server: Child) {
    drop(server.stdin.take());
    server.wait().expect("it ends");
}

/// What must be true of a recorded batch, however it came.
fn is_replayed(mut env: TestEnv, recorded: &Ran) {
    assert_eq!(env.ran(), ["gadget", "widget"]);
    env.forget_ran();
    let replayed = env.retake(["replay", "b.1"]).expect(0);
    assert_eq!(replayed.out, recorded.out);
    replayed.says(&["same outcome", "is answered from the recording: stock x2"]);
    env.set("SINGLY", "1");
    let singly = env.retake(["replay", "b.1"]).expect(0);
    assert_eq!(singly.out, recorded.out, "each message has its own answer");
    env.unset("SINGLY");
    env.set("ITEM", "gizmo");
    let changed = env.retake(["replay", "b.1"]).expect(4);
    changed.says(&["stock(item=\"gizmo\")", "arguments.item", "error retake: "]);
    env.unset("ITEM");
    env.set("AGAIN", "1");
    env.retake(["replay", "b.1"]).expect(4).says(&["it is called once more than recorded"]);
    assert!(env.ran().is_empty(), "{:?}", env.ran());
}

#[test]
fn a_batch_on_stdio_is_replayed_message_by_message() {
    let env = scripts();
    let ran = bridged(&env).expect(0);
    ran.says(&["tools recorded: shop", "2 calls"]);
    is_replayed(env, &ran);
}

#[test]
fn a_batch_over_http_is_replayed_message_by_message() {
    for has in [&[][..], &[("STREAMED", "1")]] {
        let env = scripts();
        let (server, ran) = over_http(&env, has);
        end(server);
        let ran = ran.expect(0);
        ran.says(&["tools recorded: 127.0.0.1", "2 calls"]);
        is_replayed(env, &ran);
    }
}
