//! What the shim says to the proxy, and what it is told.

use crate::proxy::shim::COMMAND;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// What is to be done with a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// Run it.
    Run,
    /// Do not: this came of it.
    Result(Value),
    /// There is no answer, and this is why.
    Refused(String),
}

/// One command, towards the proxy.
pub(super) struct Report {
    http: Client<HttpConnector, Full<Bytes>>,
    /// Where it is asked for.
    address: String,
    call: String,
}

impl Report {
    /// To the proxy at this address.
    pub fn to(proxy: &str) -> Report {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let name = utf8_percent_encode(COMMAND, NON_ALPHANUMERIC);
        Report {
            http: Client::builder(TokioExecutor::new()).build(connector),
            address: format!("{}/tool/{name}", proxy.trim_end_matches('/')),
            call: uuid::Uuid::now_v7().to_string(),
        }
    }

    /// Asks what is to be done; none when the proxy cannot be reached, or says what nobody knows.
    pub async fn ask(&self, arguments: &Value) -> Option<Told> {
        let (status, said) = self.post("", json!({ "call": self.call, "arguments": arguments })).await?;
        if status >= 400 {
            let why = said.pointer("/error/message").and_then(Value::as_str);
            return Some(Told::Refused(why.unwrap_or("retake has no answer to this command").to_string()));
        }
        match (said.get("run"), said.get("result")) {
            (Some(Value::Bool(true)), _) => Some(Told::Run),
            (_, Some(result)) => Some(Told::Result(result.clone())),
            _ => None,
        }
    }

    /// Tells what came of it, under `result` or `unrecordable`. That nobody hears it is no failure of the command.
    pub async fn done(&self, name: &str, came: Value) {
        let _ = self.post("/done", json!({ "call": self.call, name: came })).await;
    }

    async fn post(&self, path: &str, body: Value) -> Option<(u16, Value)> {
        let mut request = Request::new(Full::new(Bytes::from(body.to_string())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("{}{path}", self.address).parse().ok()?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = self.http.request(request).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}
