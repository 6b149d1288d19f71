//! The demo's agent: asks a model, runs the tools it calls, until it has an answer. It knows nothing of retake.

use super::http::read_message;
use super::model::money;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The question that the demo asks.
pub const PROMPT: &str = "My laptop from order A123 is broken, refund me";

const SYSTEM: &str = "You are a refund agent. Check the order, the policy, the customer and the fraud risk, \
                      then refund.";

/// Most model calls of one run: an agent that goes in circles must end.
const MOST_TURNS: usize = 12;

/// The agent as a program: `[--stream] [--model NAME] [PROMPT]`. Reads `OPENAI_BASE_URL` and `OPENAI_API_KEY`, prints
/// the answer, returns the exit code.
pub fn agent_main(args: &[String]) -> i32 {
    let (mut model, mut stream, mut prompt) = ("gpt-small".to_string(), false, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--stream" => stream = true,
            "--model" => model = args.next().cloned().unwrap_or(model),
            word => prompt.push(word),
        }
    }
    let prompt = if prompt.is_empty() { PROMPT.to_string() } else { prompt.join(" ") };
    match converse(&model, stream, &prompt) {
        Ok(answer) => {
            // Nobody reads it any more when the pipe is closed.
            let _ = writeln!(io::stdout(), "{answer}");
            0
        }
        Err(problem) => {
            let _ = writeln!(io::stderr(), "agent: {problem}");
            1
        }
    }
}

fn converse(model: &str, stream: bool, prompt: &str) -> Result<String, String> {
    let mut messages =
        vec![json!({"role": "system", "content": SYSTEM}), json!({"role": "user", "content": prompt})];
    for _ in 0..MOST_TURNS {
        let message = ask(&json!({
            "model": model, "messages": messages, "tools": tools(), "temperature": 0, "stream": stream,
        }))?;
        let calls = message.get("tool_calls").and_then(Value::as_array).cloned().unwrap_or_default();
        messages.push(message.clone());
        if calls.is_empty() {
            let answer = message.get("content").and_then(Value::as_str).unwrap_or_default();
            return Ok(answer.to_string());
        }
        for call in calls {
            let text = |pointer: &str| call.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let arguments = serde_json::from_str(text("/function/arguments")).unwrap_or_default();
            let result = run_tool(text("/function/name"), &arguments).to_string();
            messages.push(json!({"role": "tool", "tool_call_id": text("/id"), "content": result}));
        }
    }
    Err(format!("no answer after {MOST_TURNS} model calls"))
}

/// The agent's tools, each a function of its own process. `check_fraud` answers differently every time, as services
/// with clocks and trace ids do.
fn run_tool(name: &str, arguments: &Value) -> Value {
    let argument = |name: &str| arguments.get(name).cloned().unwrap_or_default();
    match name {
        "lookup_order" if argument("order_id") == "A123" => json!({
            "amount": 4999, "currency": "USD", "customer_id": "c9", "sku": "LAP-1", "days_since_delivery": 12,
        }),
        "lookup_order" => json!({"error": "no such order"}),
        "get_policy" => json!({"refundable": true, "window_days": 30}),
        "get_customer" => json!({"id": argument("customer_id"), "name": "Ada", "since": 2019}),
        "check_fraud" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let trace = blake3::hash(&now.as_nanos().to_le_bytes()).to_hex();
            let checked_at = (now.as_secs_f64() * 10.0).round() / 10.0;
            let trace = trace.get(..16).unwrap_or_default();
            json!({"risk": "low", "score": 0.07, "checked_at": checked_at, "trace": trace})
        }
        "issue_refund" => {
            let amount = argument("amount_usd");
            let dollars = amount.as_f64().unwrap_or_default();
            // The side effect: this is where money would move.
            let _ = writeln!(io::stderr(), "agent: refunding {} now", money(dollars));
            json!({"ok": true, "refunded": amount})
        }
        _ => json!({"error": format!("there is no tool {name}")}),
    }
}

fn tools() -> Value {
    let tool = |name: &str, what: &str, fields: &[(&str, &str)]| {
        let properties: BTreeMap<&str, Value> =
            fields.iter().map(|(f, kind)| (*f, json!({"type": kind}))).collect();
        let required: Vec<&str> = fields.iter().map(|(f, _)| *f).collect();
        json!({"type": "function", "function": {"name": name, "description": what,
            "parameters": {"type": "object", "properties": properties, "required": required}}})
    };
    json!([
        tool("lookup_order", "Find an order.", &[("order_id", "string")]),
        tool("get_policy", "The refund policy of a product.", &[("sku", "string")]),
        tool("get_customer", "Who a customer is.", &[("customer_id", "string")]),
        tool("check_fraud", "How risky a refund is.", &[("order_id", "string"), ("amount", "number")]),
        tool("issue_refund", "Pay money back.", &[("order_id", "string"), ("amount_usd", "number")]),
    ])
}

/// Asks the model; its message.
fn ask(body: &Value) -> Result<Value, String> {
    let base = std::env::var("OPENAI_BASE_URL").unwrap_or_else(|_| "https://api.openai.com/v1".to_string());
    let key = std::env::var("OPENAI_API_KEY").unwrap_or_default();
    let place = base.strip_prefix("http://").ok_or_else(|| {
        format!("OPENAI_BASE_URL is {base:?}; this agent speaks plain http only, so run it with `retake run`")
    })?;
    let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let failed = |error: io::Error| format!("cannot reach {base}: {error}");
    let (status, bytes) = post(host, &format!("{}/chat/completions", path.trim_end_matches('/')), &key, body)
        .map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    if status != "200" {
        let error: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let what = error.pointer("/error/message").and_then(Value::as_str).unwrap_or(&text);
        return Err(format!("the model answered {status}: {what}"));
    }
    if body.get("stream") == Some(&Value::Bool(true)) {
        return Ok(assemble(&text));
    }
    let answer: Value = serde_json::from_slice(&bytes).map_err(|e| format!("the model sent no JSON: {e}"))?;
    answer.pointer("/choices/0/message").cloned().ok_or_else(|| format!("the model sent no message: {text}"))
}

fn post(host: &str, path: &str, key: &str, body: &Value) -> io::Result<(String, Vec<u8>)> {
    let body = body.to_string();
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    let address = host.to_socket_addrs()?.next().ok_or_else(unknown)?;
    let mut connection = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    connection.set_read_timeout(Some(Duration::from_secs(60)))?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         User-Agent: refund-agent/1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(format!("{head}{body}").as_bytes())?;
    let answer = read_message(&mut BufReader::new(connection), true)?;
    let answer =
        answer.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "closed without an answer"))?;
    Ok((answer.word(1).to_string(), answer.body))
}

/// Puts a streamed message together.
fn assemble(events: &str) -> Value {
    let mut content = String::new();
    let mut calls: BTreeMap<u64, (String, String, String)> = BTreeMap::new();
    for event in events.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: Value = serde_json::from_str(event).unwrap_or_default();
        let Some(delta) = event.pointer("/choices/0/delta") else { continue };
        content.push_str(delta.get("content").and_then(Value::as_str).unwrap_or_default());
        let parts = delta.get("tool_calls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for part in parts {
            let text = |pointer: &str| part.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let call =
                calls.entry(part.get("index").and_then(Value::as_u64).unwrap_or_default()).or_default();
            call.0.push_str(text("/id"));
            call.1.push_str(text("/function/name"));
            call.2.push_str(text("/function/arguments"));
        }
    }
    if calls.is_empty() {
        return json!({"role": "assistant", "content": content});
    }
    let calls: Vec<Value> = calls
        .into_values()
        .map(|(id, name, arguments)| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        })
        .collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streamed_message_is_the_same_as_a_whole_one() {
        for turns in [1, 2, 5] {
            let mut request = json!({"model": "gpt-small", "tools": tools(),
                "messages": [{"role": "user", "content": PROMPT}]});
            let mut whole = Value::Null;
            for _ in 0..turns {
                whole =
                    super::super::model::completion(&request).pointer("/choices/0/message").cloned().unwrap();
                let events: String =
                    super::super::model::events(&request).iter().map(|e| format!("data: {e}\n\n")).collect();
                let streamed = assemble(&events);
                assert_eq!(streamed.get("content"), whole.get("content"));
                assert_eq!(streamed.get("tool_calls"), whole.get("tool_calls"));
                let messages = request.get_mut("messages").and_then(Value::as_array_mut).unwrap();
                messages.push(whole.clone());
                for call in whole["tool_calls"].as_array().into_iter().flatten() {
                    let arguments =
                        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
                    let result = run_tool(call["function"]["name"].as_str().unwrap(), &arguments).to_string();
                    messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": result}));
                }
            }
            assert_eq!(whole["content"].is_string(), turns == 5);
        }
    }

    #[test]
    fn fraud_checks_differ_from_run_to_run() {
        let first = run_tool("check_fraud", &json!({}));
        assert_eq!(first["risk"], "low");
        std::thread::sleep(Duration::from_millis(2));
        assert_ne!(first["trace"], run_tool("check_fraud", &json!({}))["trace"]);
    }
}
