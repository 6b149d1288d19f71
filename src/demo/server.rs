//! The scripted model behind a port, with the wire format of OpenAI chat completions.

use super::http::{Message, read_message};
use super::model;
use serde_json::{Value, json};
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// A running server; it stops when it is dropped.
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    latency: Duration,
    asked: AtomicU32,
    stopping: AtomicBool,
}

impl ModelServer {
    /// Listens on a free loopback port. Every answer takes `latency` to think of.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub fn start(latency: Duration) -> io::Result<ModelServer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { latency, asked: AtomicU32::new(0), stopping: AtomicBool::new(false) });
        let host = Arc::clone(&shared);
        thread::Builder::new().name("model".to_string()).spawn(move || host.listen(&listener))?;
        Ok(ModelServer { address, shared })
    }

    /// What clients are given: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How many requests have reached it.
    pub fn asked(&self) -> u32 {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    fn listen(self: &Arc<Shared>, listener: &TcpListener) {
        for connection in listener.incoming() {
            if self.stopping.load(Ordering::Relaxed) {
                return;
            }
            // A connection that failed is the client's to notice.
            let Ok(connection) = connection else { continue };
            let host = Arc::clone(self);
            let serve = move || drop(host.serve(connection));
            drop(thread::Builder::new().name("model connection".to_string()).spawn(serve));
        }
    }

    /// Answers the requests of one connection until the client closes it.
    fn serve(&self, connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut out = connection.try_clone()?;
        let mut requests = BufReader::new(connection);
        while let Some(request) = read_message(&mut requests, false)? {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.answer(&request, &mut out)?;
            if request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close")) {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Message, out: &mut TcpStream) -> io::Result<()> {
        let path = request.word(1).split('?').next().unwrap_or_default();
        if request.word(0) != "POST" || !path.ends_with("/chat/completions") {
            return send(
                out,
                "404 Not Found",
                &problem("this demo model knows only POST /v1/chat/completions"),
            );
        }
        let body: Value = match serde_json::from_slice(&request.body) {
            Ok(body) => body,
            Err(error) => {
                return send(out, "400 Bad Request", &problem(&format!("the body is no JSON: {error}")));
            }
        };
        thread::sleep(self.latency);
        if body.get("stream") != Some(&Value::Bool(true)) {
            return send(out, "200 OK", &model::completion(&body));
        }
        out.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
              x-request-id: req_demo\r\ntransfer-encoding: chunked\r\n\r\n",
        )?;
        for event in model::events(&body) {
            let event = format!("data: {event}\n\n");
            out.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes())?;
            thread::sleep(self.latency / 50);
        }
        out.write_all(b"0\r\n\r\n")
    }
}

fn problem(what: &str) -> Value {
    json!({"error": {"message": what, "type": "invalid_request_error", "param": null, "code": null}})
}

fn send(out: &mut TcpStream, status: &str, body: &Value) -> io::Result<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nx-request-id: req_demo\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    out.write_all(format!("{head}{body}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &ModelServer, requests: &[(&str, &str)]) -> Vec<Message> {
        let mut connection = TcpStream::connect(server.address).unwrap();
        let mut answers = BufReader::new(connection.try_clone().unwrap());
        let mut all = Vec::new();
        for (target, body) in requests {
            let head = format!("POST {target} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", body.len());
            connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
            all.push(read_message(&mut answers, true).unwrap().unwrap());
        }
        all
    }

    #[test]
    fn answers_one_after_the_other_on_one_connection() {
        let server = ModelServer::start(Duration::ZERO).unwrap();
        let body = r#"{"messages":[{"role":"user","content":"A123"}]}"#;
        let stream = r#"{"stream":true,"messages":[]}"#;
        let chat = "/v1/chat/completions?x=1";
        let answers =
            ask(&server, &[("/v1/models", ""), (chat, "{"), (chat, body), (chat, stream), (chat, body)]);
        let statuses: Vec<&str> = answers.iter().map(|a| a.word(1)).collect();
        assert_eq!(statuses, ["404", "400", "200", "200", "200"]);
        assert_eq!(answers[2], answers[4]);
        assert!(answers[3].body.ends_with(b"data: [DONE]\n\n"));
        assert_eq!(server.asked(), 5);
    }

    #[test]
    fn a_dropped_server_is_gone() {
        let server = ModelServer::start(Duration::ZERO).unwrap();
        let address = server.address;
        drop(server);
        for _ in 0..200 {
            if TcpStream::connect(address).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{address} still answers");
    }
}
