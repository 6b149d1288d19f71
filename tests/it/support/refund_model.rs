//! A model that handles refunds, in every dialect, streamed and not: every answer is computed from the conversation,
//! so an edited prompt or tool result leads to another one. It takes 4999 for dollars unless told of cents.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use retake::dialect::conversation::{Block, ModelRequest};
use retake::dialect::histories::Histories;
use retake::dialect::{self, Endpoint};
use retake::exchange::{HeaderList, RequestHead, ResponseHead};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A running model. It stops when it is dropped.
pub struct RefundModel {
    port: u16,
    asked: Arc<AtomicU32>,
    connections: Arc<AtomicU32>,
    last: Arc<Mutex<String>>,
    _runtime: tokio::runtime::Runtime,
}

impl RefundModel {
    pub fn start() -> RefundModel {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("bind");
        let port = listener.local_addr().expect("address").port();
        let (asked, connections) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (count, accepted) = (asked.clone(), connections.clone());
        let kept: Arc<Mutex<Histories>> = Arc::default();
        let last: Arc<Mutex<String>> = Arc::default();
        let told = last.clone();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                let (count, kept, told) = (count.clone(), kept.clone(), told.clone());
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        *told.lock().expect("told") = request.uri().path().to_string();
                        answer(request, count.clone(), kept.clone())
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        RefundModel { port, asked, connections, last, _runtime: runtime }
    }

    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Model calls so far.
    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    /// The path that was asked last.
    pub fn last_path(&self) -> String {
        self.last.lock().expect("told").clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn answer(
    request: Request<Incoming>,
    count: Arc<AtomicU32>,
    kept: Arc<Mutex<Histories>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let head = RequestHead {
        method: parts.method.to_string(),
        target: parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_string(),
        headers: HeaderList::default(),
    };
    let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let Some((dialect, Endpoint::Model)) = dialect::recognise(&head) else {
        return Ok(Response::builder().status(404).body(Full::default()).expect("response"));
    };
    let nth = count.fetch_add(1, Ordering::Relaxed);
    let unfolded = kept.lock().expect("kept").unfold(dialect, &body);
    let asks_for = dialect.recalled(&body).filter(|_| dialect.recalls(&body));
    if unfolded.is_none() && asks_for.is_some() && dialect.conversation(&body).is_none() {
        let body = dialect.render_error(404, "Previous response not found.");
        return Ok(Response::builder().status(404).body(Full::new(body)).expect("response"));
    }
    let body = unfolded.unwrap_or(body);
    let request = match dialect.read_request(&head.target, &body) {
        Ok(request) => request,
        Err(error) => {
            let body = dialect.render_error(400, &error.to_string());
            return Ok(Response::builder().status(400).body(Full::new(body)).expect("response"));
        }
    };
    let blocks = decide(&request, nth);
    let rendered = dialect.render_answer(&head.target, &blocks, None, &request.model, request.stream);
    let fields = vec![("content-type".to_string(), rendered.content_type.to_string())];
    let head = ResponseHead { status: 200, headers: HeaderList(fields) };
    kept.lock().expect("kept").note(dialect, &body, &head, &rendered.body);
    let response = Response::builder()
        .header("content-type", rendered.content_type)
        .header("x-request-id", format!("req_{nth}"));
    Ok(response.body(Full::new(rendered.body)).expect("response"))
}

fn decide(request: &ModelRequest, nth: u32) -> Vec<Block> {
    // Agents put the name of a server in front of those of its tools.
    let offered = request.tools.iter().any(|tool| tool.to_string().contains("\"shop__"));
    let prefix = if offered { "shop__" } else { "" };
    let mut names = HashMap::new();
    let mut results: HashMap<String, Value> = HashMap::new();
    let mut system = String::new();
    let outside = request.system.iter();
    for block in outside.chain(request.messages.iter().flat_map(|m| &m.blocks)) {
        match block {
            Block::Text { text } => system.push_str(text),
            Block::ToolCall { id, name, .. } => {
                names.insert(id.clone(), name.trim_start_matches(prefix).to_string());
            }
            Block::ToolResult { call_id, text, .. } => {
                let value = serde_json::from_str(text).unwrap_or(Value::Null);
                results.insert(names.get(call_id).cloned().unwrap_or_default(), value);
            }
            _ => {}
        }
    }
    let call = |index: u32, name: &str, args: Value| Block::ToolCall {
        id: format!("call_{nth}_{index}"),
        name: format!("{prefix}{name}"),
        args,
    };
    let text = |text: String| vec![Block::Text { text }];
    let Some(order) = results.get("lookup_order") else {
        return vec![call(0, "lookup_order", json!({"order_id": "A123"}))];
    };
    if !results.contains_key("get_policy") {
        return vec![
            call(0, "get_policy", json!({"sku": "LAP-1"})),
            call(1, "get_customer", json!({"customer_id": "c9"})),
        ];
    }
    let amount = order["amount"].as_f64().unwrap_or_default();
    let Some(fraud) = results.get("check_fraud") else {
        return vec![call(0, "check_fraud", json!({"order_id": "A123", "amount": order["amount"]}))];
    };
    if fraud["risk"] == "high" {
        return text("I cannot refund order A123; it was escalated to a human reviewer.".into());
    }
    let cents = system.contains("cents") || order["unit"] == "cents";
    let dollars = if cents { json!(amount / 100.0) } else { order["amount"].clone() };
    match results.get("issue_refund") {
        None => vec![call(0, "issue_refund", json!({"order_id": "A123", "amount_usd": dollars}))],
        Some(refund) => text(format!("Done. I refunded ${} for order A123.", refund["refunded"])),
    }
}
