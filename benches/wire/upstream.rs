//! The model's place: 2 KB of JSON at once, or an event stream of 40 events 5 ms apart, each with its send time.

use crate::subject::now_us;
use crate::trust::{Authority, HOST};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

pub const EVENTS: usize = 40;

/// `shows`: behind TLS, with a file for who signs.
pub fn serve(port: u16, shows: Option<&str>) {
    let acceptor = shows.map(|file| {
        let authority = Authority::new();
        authority.publish(Path::new(file));
        TlsAcceptor::from(authority.server(HOST))
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("bind");
        println!("{}", listener.local_addr().expect("address").port());
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            let _ = socket.set_nodelay(true);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                match acceptor {
                    None => connection(socket).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(socket).await {
                            connection(stream).await;
                        }
                    }
                }
            });
        }
    });
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let service = hyper::service::service_fn(answer);
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The answer to a request that holds `nonce=N`: about 2 KB, different for every nonce.
pub fn json_answer(nonce: &str) -> String {
    let filler: String = crate::load::words(nonce.bytes().map(u64::from).sum::<u64>() + 7, 1600);
    serde_json::json!({
        "id": format!("chatcmpl-{nonce}"), "object": "chat.completion", "created": 1_795_224_754, "model": "bench",
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": format!("answer to nonce={nonce}: {filler}")}}],
        "usage": {"prompt_tokens": 250, "completion_tokens": 400, "total_tokens": 650}
    })
    .to_string()
}

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(Response::new(Full::new(Bytes::new()).boxed())),
    };
    let nonce = crate::load::nonce_of(&body);
    if memchr::memmem::find(&body, b"\"stream\":true").is_none() {
        let body = Full::new(Bytes::from(json_answer(&nonce))).boxed();
        let response = Response::builder().header("content-type", "application/json").body(body);
        return Ok(response.expect("response"));
    }
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(4);
    tokio::spawn(async move {
        for index in 0..EVENTS {
            let event = format!(
                "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"word {index} t={} \"}}}}]}}\n\n",
                now_us()
            );
            if sender.send(Bytes::from(event)).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let _ = sender.send(Bytes::from_static(b"data: [DONE]\n\n")).await;
    });
    let frames = futures_of(receiver);
    let response = Response::builder().header("content-type", "text/event-stream").body(frames);
    Ok(response.expect("response"))
}

fn futures_of(receiver: tokio::sync::mpsc::Receiver<Bytes>) -> BoxBody<Bytes, Infallible> {
    struct Frames(tokio::sync::mpsc::Receiver<Bytes>);
    impl hyper::body::Body for Frames {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(cx).map(|b| b.map(|b| Ok(Frame::data(b))))
        }
    }
    BodyExt::boxed(Frames(receiver))
}
