//! What a suite of recorded runs costs: `cargo bench --bench suite`.
//!
//! 200 cases of 20 steps (10 model calls, 10 tool calls), played by a compiled agent, two at once. `--cases N`, `--jobs N`,
//! `--rounds N`. Beside it the agent alone, as often, against a model that answers at once: what no harness can save.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const RETAKE: &str = env!("CARGO_BIN_EXE_retake");
/// Model calls of a run; the first asks for two tools, the last for none.
const TURNS: usize = 10;

fn main() {
    let flag = |name: &str, usual: usize| {
        let value = std::env::args().skip_while(|arg| arg != name).nth(1);
        value.and_then(|value| value.parse().ok()).unwrap_or(usual)
    };
    let (cases, jobs, rounds) = (flag("--cases", 200), flag("--jobs", 2), flag("--rounds", 3));
    let place = tempfile::tempdir().expect("a directory");
    let model = model();
    let agent = |program: &[&str]| -> Output {
        let done = Command::new(RETAKE)
            .args(program)
            .env("OPENAI_BASE_URL", format!("http://{model}/v1"))
            .env("OPENAI_API_KEY", "none")
            .current_dir(place.path())
            .output()
            .expect("retake runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        done
    };
    agent(&["run", "--name", "case", "--", RETAKE, "demo-agent"]);
    agent(&["test", "add", "case.1", "--as", "case-000"]);
    let suite = place.path().join("tests/retake");
    for case in 1..cases {
        copy(&suite.join("case-000.retake"), &suite.join(format!("case-{case:03}.retake")));
    }
    let mut alone = Vec::new();
    let mut whole = Vec::new();
    let mut lived = 0;
    for _ in 0..rounds {
        alone.push(time(|| (0..cases).for_each(|_| drop(agent(&["demo-agent"])))));
        let mut out = Vec::new();
        whole.push(time(|| out = agent(&["test", "--json", "-j", &jobs.to_string()]).stdout));
        let done: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        let all = done["cases"].as_array().expect("cases");
        assert_eq!(all.len(), cases);
        assert!(all.iter().all(|case| case["verdict"] == "passed" && case["steps"] == 20), "{}", all[0]);
        lived = all.iter().filter_map(|case| case["agent_us"].as_u64()).sum();
    }
    alone.sort();
    whole.sort();
    let each = |time: Duration| time.as_secs_f64() * 1000.0 / cases as f64;
    let (alone, whole) = (alone[rounds / 2], whole[rounds / 2]);
    println!("{cases} cases of 20 steps, {jobs} at once, {rounds} rounds");
    println!("the suite                      {:>7.2} s   {:.1} ms a case", whole.as_secs_f64(), each(whole));
    println!("of that an agent was running   {:>7.2} s   (of {jobs} times that long)", lived as f64 / 1e6);
    println!("the agents alone, one by one   {:>7.2} s   {:.1} ms each", alone.as_secs_f64(), each(alone));
}

fn time(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).expect("a copy");
}

/// A model that answers by how many answers it is told of. Its address.
fn model() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(stream: TcpStream) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let asked: serde_json::Value = serde_json::from_slice(&body).ok()?;
        let answers = asked["messages"].as_array()?.iter().filter(|m| m["role"] == "assistant").count();
        let answer = answer(answers);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        writer.write_all(format!("{head}{answer}").as_bytes()).ok()?;
    }
}

fn answer(turn: usize) -> String {
    let call = |n: usize| {
        serde_json::json!({"id": format!("call_{turn}_{n}"), "type": "function",
            "function": {"name": "lookup_order", "arguments": format!("{{\"order_id\":\"A{turn}{n}\"}}")}})
    };
    let message = match turn {
        0 => serde_json::json!({"role": "assistant", "content": null, "tool_calls": [call(0), call(1)]}),
        _ if turn + 1 < TURNS => {
            serde_json::json!({"role": "assistant", "content": null, "tool_calls": [call(0)]})
        }
        _ => serde_json::json!({"role": "assistant", "content": "Done."}),
    };
    serde_json::json!({"id": format!("chatcmpl-{turn}"), "object": "chat.completion", "model": "gpt-small",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}})
    .to_string()
}
