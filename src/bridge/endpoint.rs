//! The bridge's own endpoint: streamable HTTP in front of the server's pipes, for the proxy alone.

use super::server::{Said, Server};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// The server has ended without an answer: the connection is closed, as its pipe is.
#[derive(Debug, thiserror::Error)]
#[error("the server ended")]
struct Ended;

type Answer = UnsyncBoxBody<Bytes, Ended>;

/// Listens on a free port of the loopback, for as long as this process lives.
pub(super) async fn open(server: Arc<Server>) -> std::io::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            // A socket that refuses still works.
            let _ = stream.set_nodelay(true);
            let server = server.clone();
            let service = service_fn(move |request| answer(server.clone(), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(port)
}

async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Result<Response<Answer>, Ended> {
    if request.method() == Method::GET {
        let heard = Heard::Unasked(server.overhear());
        return Ok(stream(Stream { from: heard, next: None }));
    }
    if request.method() != Method::POST {
        return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let body = request.into_body().collect().await.map_err(|_| Ended)?.to_bytes();
    let Some(mut said) = server.give(&body).await.map_err(|_| Ended)? else {
        return Ok(empty(StatusCode::ACCEPTED));
    };
    let first = said.recv().await.ok_or(Ended)?;
    if first.last {
        let whole = Full::new(first.message).map_err(|never: Infallible| match never {}).boxed_unsync();
        return Ok(dressed(whole, "application/json"));
    }
    Ok(stream(Stream { from: Heard::Asked(said), next: Some(first) }))
}

fn empty(status: StatusCode) -> Response<Answer> {
    let none = Full::new(Bytes::new()).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut response = Response::new(none);
    *response.status_mut() = status;
    response
}

fn dressed(body: Answer, content_type: &'static str) -> Response<Answer> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn stream(body: Stream) -> Response<Answer> {
    dressed(body.boxed_unsync(), "text/event-stream")
}

enum Heard {
    Asked(mpsc::UnboundedReceiver<Said>),
    Unasked(mpsc::UnboundedReceiver<Bytes>),
}

/// Messages as an event stream.
struct Stream {
    from: Heard,
    next: Option<Said>,
}

impl Body for Stream {
    type Data = Bytes;
    type Error = Ended;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Ended>>> {
        let event = |message: &Bytes| {
            let text = [b"event: message\ndata: ".as_slice(), message, b"\n\n"].concat();
            Frame::data(Bytes::from(text))
        };
        let this = &mut *self;
        if let Some(first) = this.next.take() {
            return Poll::Ready(Some(Ok(event(&first.message))));
        }
        match &mut this.from {
            Heard::Unasked(from) => {
                let message = ready!(from.poll_recv(context));
                Poll::Ready(message.map(|message| Ok(event(&message))))
            }
            Heard::Asked(from) => match ready!(from.poll_recv(context)) {
                None => Poll::Ready(Some(Err(Ended))),
                Some(said) => {
                    if said.last {
                        // The stream ends in order behind it.
                        let (_, ended) = mpsc::unbounded_channel();
                        this.from = Heard::Unasked(ended);
                    }
                    Poll::Ready(Some(Ok(event(&said.message))))
                }
            },
        }
    }
}
