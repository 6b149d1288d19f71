//! WebSockets: their opening goes the way of every request, their sessions are noted turn by turn.
//!
//! Each turn is an exchange of its own: the head of the opening, the client's messages as its body, the server's as the
//! body of its answer ([`crate::exchange::messages`]). Compression is not offered to the upstream.

mod dial;
mod pump;
mod served;
mod socket;
mod turns;

use super::answer::{Asking, Going, serve};
use super::head;
use super::ledger::Outcome;
use super::listen::Shared;
use super::refuse;
use super::route;
use super::tee::{AnswerBody, BrokenOff};
use super::wire::Delivery;
use super::{Answer, Answerer, Asked, BoxFuture, Canned, Tape, forward};
use crate::dialect::websocket::Protocol;
use crate::exchange::{BodyEnd, HeaderList, ResponseHead, Upstream};
use bytes::Bytes;
use dial::Dialled;
use http::header::{CONNECTION, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use served::Served;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use turns::{Opening, Turn};

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const EXTENSIONS: HeaderName = HeaderName::from_static("sec-websocket-extensions");

/// What a connection goes on with when it has been upgraded.
#[derive(Clone, Default)]
pub(super) struct Later(Arc<Mutex<Option<BoxFuture<'static, ()>>>>);

impl Later {
    fn set(&self, what: impl Future<Output = ()> + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(what));
    }

    /// What is to be done, if the connection was upgraded.
    pub(super) fn take(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// True for a request that opens a WebSocket in a way that is understood here (RFC 6455).
pub(super) fn can_open(request: &Request<Incoming>) -> bool {
    let is = |name: &HeaderName, value: &[u8]| request.headers().get(name).is_some_and(|v| v == value);
    request.method() == Method::GET
        && is(&VERSION, b"13")
        && request.headers().contains_key(KEY)
        && request.extensions().get::<OnUpgrade>().is_some()
}

/// Answers the opening of a WebSocket.
pub(super) async fn open(
    shared: Arc<Shared>,
    tape: Option<Arc<dyn Tape>>,
    answerer: Option<Arc<dyn Answerer>>,
    mut going: Going,
    mut asking: Asking,
    later: &Later,
) -> Result<Response<AnswerBody>, BrokenOff> {
    let Some(agent) = asking.parts.extensions.remove::<OnUpgrade>() else {
        return Ok(refuse::no_websocket());
    };
    let start = Start { shared, tape, agent };
    let Some(answerer) = answerer else {
        let (upstream, target) = (asking.upstream.clone(), asking.head.target.clone());
        return start.pass_on(going, asking, upstream, &target, later).await;
    };
    going.ledger.request_read(Bytes::new(), BodyEnd::Complete);
    going.delivery = Some(Delivery { answerer: answerer.clone(), id: asking.id });
    let (id, upstream, head) = (asking.id, asking.upstream.clone(), asking.head.clone());
    match answerer.answer(Asked { id, upstream, head, body: Bytes::new() }).await {
        Answer::Serve(canned) if canned.head.is_websocket() => {
            Ok(start.serve(going, asking, answerer, canned, later).await)
        }
        Answer::Serve(canned) => Ok(serve(&start.shared, going, canned, Vec::new()).await),
        Answer::ServeGated(canned, gates) => Ok(serve(&start.shared, going, canned, gates).await),
        Answer::ServeFed(canned, _) => Ok(serve(&start.shared, going, canned, Vec::new()).await),
        Answer::Close(source, fault) => {
            going.ledger.answers_from(source);
            going.close(Outcome::fault(fault, BodyEnd::Complete)).await;
            Err(BrokenOff("closed without an answer, as recorded".into()))
        }
        Answer::Forward { target, upstream, .. } => {
            let at = upstream.as_ref().unwrap_or(&asking.upstream);
            let own = target.as_deref().unwrap_or(&asking.head.target);
            let target = route::moved(&start.shared.routes, at, own).or(target);
            going.ledger.forwards(None, target.clone(), upstream.clone());
            let target = target.unwrap_or_else(|| asking.head.target.clone());
            let upstream = upstream.unwrap_or_else(|| asking.upstream.clone());
            start.pass_on(going, asking, upstream, &target, later).await
        }
    }
}

/// An opening that is about to be answered.
struct Start {
    shared: Arc<Shared>,
    tape: Option<Arc<dyn Tape>>,
    agent: OnUpgrade,
}

impl Start {
    fn opening(&self, asking: &Asking, response: ResponseHead) -> Opening {
        Opening {
            shared: self.shared.clone(),
            upstream: asking.upstream.clone(),
            head: asking.head.clone(),
            response,
            tape: self.tape.clone(),
            answerer: None,
            protocol: Protocol::of(&asking.head),
        }
    }

    /// Opens it at the upstream too; what is said goes through.
    async fn pass_on(
        self,
        going: Going,
        asking: Asking,
        upstream: Upstream,
        target: &str,
        later: &Later,
    ) -> Result<Response<AnswerBody>, BrokenOff> {
        going.ledger.request_ended(BodyEnd::Complete);
        match dial::dial(&self.shared, asking.parts.clone(), &upstream, target).await {
            Dialled::Open { parts, connection } => {
                let seen = dial::seen(&parts);
                let opening = Opening { upstream, ..self.opening(&asking, seen.clone()) };
                let mut first = Turn::new(going.hand_over(), seen);
                written(first.tell(BodyEnd::Complete)).await;
                later.set(pump::run(opening, first, self.agent, connection));
                let mut answer = Response::new(AnswerBody::Plain(None));
                *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                *answer.headers_mut() = dial::upgraded(head::passed_on(&parts.headers));
                *answer.extensions_mut() = head::carried(parts.extensions);
                Ok(answer)
            }
            Dialled::Refused(response) => Ok(forward::pass_on(&self.shared, going, response).await),
            Dialled::Failed(fault) => {
                let what = format!("{fault:?}");
                going.close(Outcome::fault(fault, BodyEnd::Complete)).await;
                Err(BrokenOff(what))
            }
            Dialled::Impossible(refusal) => Ok(serve(&self.shared, going, *refusal, Vec::new()).await),
        }
    }

    /// Accepts it without an upstream.
    async fn serve(
        self,
        mut going: Going,
        asking: Asking,
        answerer: Arc<dyn Answerer>,
        mut canned: Canned,
        later: &Later,
    ) -> Response<AnswerBody> {
        let key = asking.parts.headers.get(KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        canned.head.headers.remove(EXTENSIONS.as_str());
        canned.head.headers.set(ACCEPT.as_str(), derive_accept_key(key));
        let mut answer = Response::new(AnswerBody::Plain(None));
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *answer.headers_mut() = dial::upgraded(head::passed_on(&head::to_map(&canned.head.headers)));
        *answer.extensions_mut() = self.shared.cases.extensions(&canned.head.headers).await;
        let delivery = going.delivery.take();
        going.ledger.answers_from(canned.source.clone());
        let mut first = Turn::new(going.hand_over(), canned.head.clone());
        first.ask();
        written(first.tell(BodyEnd::Complete)).await;
        let opening =
            Opening { answerer: Some(answerer.clone()), ..self.opening(&asking, canned.head.clone()) };
        let served = Served::new(opening, answerer, asking.parts, self.agent);
        later.set(served.run(first, canned, delivery));
        answer
    }
}

/// Waits until something was written, or cannot be.
async fn written(receiver: Option<turns::Written>) {
    if let Some(receiver) = receiver {
        // Dropped means that it cannot be written, which is not the agent's concern.
        let _ = receiver.await;
    }
}

/// An answer of retake's own with a JSON body.
fn refusal(status: StatusCode, kind: &str, message: &str) -> Canned {
    let body = refuse::error_json(kind, message);
    let mut headers = HeaderList::default();
    headers.push("content-type", "application/json");
    headers.push("content-length", body.len().to_string());
    Canned {
        source: crate::exchange::Source::Refused,
        head: ResponseHead { status: status.as_u16(), headers },
        frames: vec![(std::time::Duration::ZERO, body)],
        end: super::CannedEnd::Complete,
    }
}

/// The fields that make a message one of an upgrade.
fn upgrade_fields() -> [(HeaderName, HeaderValue); 2] {
    [(CONNECTION, HeaderValue::from_static("Upgrade")), (UPGRADE, HeaderValue::from_static("websocket"))]
}
