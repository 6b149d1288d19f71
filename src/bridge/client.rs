//! The agent's end: lines in, HTTP requests out; what comes back goes out as lines.

use super::lines::{self, Writer};
use super::server::Server;
use crate::dialect::sse;
use crate::mcp::message::{CHANGED, Kind, messages};
use crate::mcp::stamp;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::sync::Arc;
use tokio::io::{AsyncRead, BufReader, Stdout};
use tokio::sync::{mpsc, watch};

/// The way to the agent and to the proxy.
pub(super) struct Client {
    http: HttpClient<HttpConnector, Full<Bytes>>,
    to: String,
    out: Writer<Stdout>,
    /// How many messages of the agent wait for their answers.
    under_way: watch::Sender<usize>,
}

/// What an error of the proxy says.
fn told(body: &[u8]) -> String {
    let error = serde_json::from_slice::<serde_json::Value>(body).ok();
    let said = error.as_ref().and_then(|error| error.get("error")?.get("message")?.as_str());
    said.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_string)
}

impl Client {
    /// Messages go to this address.
    pub(super) fn new(to: &str) -> Arc<Client> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Arc::new(Client {
            http: HttpClient::builder(TokioExecutor::new()).build(connector),
            to: to.to_string(),
            out: Writer::new(tokio::io::stdout()),
            under_way: watch::Sender::new(0),
        })
    }

    /// Carries messages until the agent closes its end. True when the proxy, or the recording, broke off an answer:
    /// the agent is to see its server end.
    pub(super) async fn carry(self: &Arc<Self>, server: &Arc<Server>) -> bool {
        let (broken, mut broke) = mpsc::channel(1);
        tokio::spawn(self.clone().tell_of_changes(server.changes()));
        let mut input = BufReader::new(tokio::io::stdin());
        tokio::select! {
            () = self.read(server, &mut input, broken) => false,
            _ = broke.recv() => true,
        }
    }

    /// Waits until what was asked is answered, or cannot be any more.
    pub(super) async fn settle(&self) {
        // The sender lives as long as this.
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Tells the run when a server that was started late has other tools than the agent was told of.
    async fn tell_of_changes(self: Arc<Self>, mut changes: watch::Receiver<Vec<String>>) {
        while changes.changed().await.is_ok() {
            let lines = changes.borrow_and_update().clone();
            if !lines.is_empty() {
                let params = serde_json::json!({ "tools": lines });
                let body = serde_json::json!({ "jsonrpc": "2.0", "method": CHANGED, "params": params });
                // The run may be over.
                let _ = self.request(Method::POST, Bytes::from(body.to_string())).await;
            }
        }
    }

    async fn read(
        self: &Arc<Self>,
        server: &Arc<Server>,
        input: &mut BufReader<impl AsyncRead + Unpin>,
        broken: mpsc::Sender<()>,
    ) {
        let mut given = server.given();
        let mut first = true;
        loop {
            let line = match lines::read(input).await {
                Ok(Some(line)) => line,
                Ok(None) => return,
                Err(error) => return eprintln!("retake mcp: the agent's messages: {error}"),
            };
            server.pass_by(&line);
            given.mark_unchanged();
            let (answered, mut begun) = watch::channel(false);
            let (own, broken, told) = (self.clone(), broken.clone(), server.clone());
            self.under_way.send_modify(|count| *count += 1);
            tokio::spawn(async move {
                if own.ask(line, answered, &told).await.is_none() {
                    // The one message that fits says it all.
                    let _ = broken.try_send(());
                }
                own.under_way.send_modify(|count| *count -= 1);
            });
            // The order of messages is kept: the next one waits until the server has this one, or its answer begins.
            tokio::select! {
                _ = begun.changed() => {}
                _ = given.changed() => {}
            }
            if std::mem::take(&mut first) {
                let (own, told) = (self.clone(), server.clone());
                tokio::spawn(async move { own.listen(&told).await });
            }
        }
    }

    async fn request(&self, method: Method, body: Bytes) -> Option<Response<Incoming>> {
        let mut request = Request::new(Full::new(body));
        *request.uri_mut() = self.to.parse().ok()?;
        let accepts =
            if method == Method::GET { "text/event-stream" } else { "application/json, text/event-stream" };
        request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static(accepts));
        if method == Method::POST {
            request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        }
        *request.method_mut() = method;
        self.http.request(request).await.ok()
    }

    /// Asks, and passes on what is answered; none when the connection broke off.
    async fn ask(&self, line: Bytes, answered: watch::Sender<bool>, server: &Server) -> Option<()> {
        let response = self.request(Method::POST, line.clone()).await?;
        answered.send_replace(true);
        let status = response.status();
        if status.is_success() {
            return self.pass_on(response, server).await;
        }
        let body = response.into_body().collect().await.ok()?.to_bytes();
        let why = match messages(&body, false).first() {
            Some(_) => return self.out.write(&body).await.ok(),
            None => told(&body),
        };
        for asked in messages(&line, false).iter().filter(|m| m.kind == Kind::Request) {
            self.out.write(&stamp::refusal(asked, &why)).await.ok()?;
        }
        Some(())
    }

    /// Asks for what the server says of itself. That there is nothing is no failure.
    async fn listen(&self, server: &Server) {
        if let Some(response) = self.request(Method::GET, Bytes::new()).await
            && response.status() == StatusCode::OK
        {
            let _ = self.pass_on(response, server).await;
        }
    }

    async fn pass_on(&self, response: Response<Incoming>, server: &Server) -> Option<()> {
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let streams = content_type.starts_with("text/event-stream");
        let mut body = response.into_body();
        if !streams {
            let whole = body.collect().await.ok()?.to_bytes();
            let whole = whole.trim_ascii();
            server.pass_back(whole);
            return if whole.is_empty() { Some(()) } else { self.out.write(whole).await.ok() };
        }
        let mut events = sse::Parser::default();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.ok()?.into_data() else { continue };
            for event in events.push(&data) {
                server.pass_back(event.data.as_bytes());
                self.out.write(event.data.as_bytes()).await.ok()?;
            }
        }
        Some(())
    }
}
