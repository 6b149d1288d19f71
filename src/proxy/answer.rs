//! One request: routed, then forwarded or answered.

use super::attach::Entry;
use super::beside::{self, Beside};
use super::intercept::Inside;
use super::ledger::{Abandonment, Ledger, Outcome};
use super::listen::Shared;
use super::marker::MarkerScan;
use super::no_export::NoExport;
use super::refuse::{self, has_body};
use super::sent::{SentBody, read_whole};
use super::serve::{CannedBody, true_length};
use super::shim::{self, TOOL};
use super::tee::{AnswerBody, BrokenOff, Spring, Tee, TeeSetup};
use super::telemetry::{self, Export, Of};
use super::websocket::{self, Later};
use super::wire::{Delivery, WireState};
use super::{Answer, Answerer, Asked, Canned, CannedEnd, Feed, Gate, Seat, forward, head, route, signing};
use crate::exchange::{BodyEnd, ExchangeId, Fault, HeaderList, RequestHead, ResponseHead, Source, Upstream};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, request, response};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;

/// An exchange on its way to an answer.
pub(super) struct Going {
    pub(super) ledger: Arc<Ledger>,
    pub(super) wire: WireState,
    pub(super) delivery: Option<Delivery>,
    pub(super) method: Method,
    /// The answerer is to see the whole answer before the agent sees any of it.
    pub(super) hold: bool,
    abandonment: Abandonment,
}

impl Going {
    /// That of a request which nobody is told of.
    fn unseen(shared: &Shared, wire: &WireState, method: &Method) -> Going {
        let upstream = Upstream { provider: String::new(), origin: String::new() };
        let head =
            RequestHead { method: String::new(), target: String::new(), headers: HeaderList::default() };
        let breaking = shared.breaking.clone();
        let ledger = Arc::new(Ledger::open(ExchangeId(0), upstream, head, None, None, breaking));
        Going {
            abandonment: Abandonment::watch(&ledger),
            ledger,
            wire: wire.clone(),
            delivery: None,
            method: method.clone(),
            hold: false,
        }
    }

    /// The books pass to a body, which tells of the end from here on.
    pub(super) fn hand_over(mut self) -> Arc<Ledger> {
        self.abandonment.disarm();
        self.ledger.clone()
    }

    /// Tells of an end without an answer; the connection is to be closed next.
    pub(super) async fn close(mut self, outcome: Outcome) {
        self.abandonment.disarm();
        self.ledger.response_written(outcome).await;
        if let Some(delivery) = self.delivery.take() {
            self.wire.deliver(delivery);
        }
    }
}

/// Answers one request. An error closes the agent's connection.
pub(super) async fn answer(
    shared: Arc<Shared>,
    inside: Option<Arc<Inside>>,
    wire: WireState,
    later: Later,
    mut request: Request<Incoming>,
) -> Result<Response<AnswerBody>, BrokenOff> {
    if request.version() == Version::HTTP_2 {
        head::name_host(&mut request);
    }
    let headers = head::header_list(Some(&wire), request.headers());
    let outside = match &inside {
        Some(inside) => Some(inside.as_ref().clone()),
        None => shared.intercepting.as_ref().and_then(|_| Inside::of_request(shared.address, request.uri())),
    };
    if let (Some(inside), Some(intercepting)) = (&inside, &shared.intercepting) {
        intercepting.asked(inside);
    }
    let (request, run) = match &shared.attach {
        None => (request, None),
        Some(attach) => {
            let from = outside.as_ref().map(|inside| inside.run.clone());
            match attach.enter(request, from).await {
                Entry::Exchange(request, run) => (request, run),
                Entry::Answered(response) => return Ok(response),
            }
        }
    };
    let outside = outside.map(|host| Inside { run: run.clone(), ..host });
    let hidden = outside.as_ref().is_some_and(|host| shared.leaves(host));
    let way = match &outside {
        Some(host) => Some(route::outside(&shared.routes, &host.origin(), request.uri())),
        None => route::resolve(&shared.routes, request.uri())
            .or_else(|| telemetry::way_of_logfire(&shared.routes, &request)),
    };
    if let Some(export) = Export::of(&shared.routes, way.as_ref(), outside.is_some(), &request) {
        let method = request.method().clone();
        let going = || Going::unseen(&shared, &wire, &method);
        let of = if hidden { Of::Nobody } else { Of::Run(run) };
        return telemetry::receive(&shared, of, going, export, request).await;
    }
    let no_export = NoExport::of(way.as_ref(), &request);
    let Some(way) = way else {
        let Some(no_export) = no_export else {
            return Ok(refuse::unknown_route(&shared.routes, request.uri().path()));
        };
        let going = Going::unseen(&shared, &wire, request.method());
        return Ok(serve(&shared, going, no_export.canned(), Vec::new()).await);
    };
    if let Some(beside) = Beside::of(&way, &request) {
        let method = request.method().clone();
        let going = || Going::unseen(&shared, &wire, &method);
        return beside::pass(&shared, going, beside, no_export, request).await;
    }
    let upgrades = refuse::wants_websocket(request.headers());
    if upgrades && !websocket::can_open(&request) {
        return Ok(refuse::no_websocket());
    }
    let seat = if hidden { Ok(Seat::unseen()) } else { shared.seat(run.as_deref()).await };
    let Seat { id, tape, answerer } = match seat {
        Ok(seat) => seat,
        Err(why) => return Ok(refuse::refusal(StatusCode::BAD_REQUEST, "retake_bad_run_name", &why)),
    };
    let (parts, body) = request.into_parts();
    let answerer = match way.upstream.provider.as_str() {
        TOOL if !hidden => answerer.or_else(|| Some(Arc::new(shim::Recording))),
        _ => answerer,
    };
    let seen = RequestHead { method: parts.method.to_string(), target: way.target.clone(), headers };
    let ledger = Arc::new(Ledger::open(
        id,
        way.upstream.clone(),
        seen.clone(),
        tape.clone(),
        answerer.clone(),
        shared.breaking.clone(),
    ));
    let going = Going {
        abandonment: Abandonment::watch(&ledger),
        ledger,
        wire,
        delivery: None,
        method: parts.method.clone(),
        hold: false,
    };
    if let Some(tape) = &tape {
        tape.room().await;
    }
    if upgrades {
        let asking = Asking { id, upstream: way.upstream, head: seen, parts, body };
        return websocket::open(shared, tape, answerer, going, asking, &later).await;
    }
    match answerer {
        Some(answerer) => {
            let asking = Asking { id, upstream: way.upstream, head: seen, parts, body };
            ask(&shared, &answerer, going, asking).await
        }
        None => {
            let body = SentBody::tee(body, going.ledger.clone());
            let sending =
                Sending { upstream: &way.upstream, target: &way.target, body, other: None, moved: false };
            send(&shared, going, parts, sending).await
        }
    }
}

/// A request that an answerer is to be asked about.
pub(super) struct Asking {
    pub(super) id: ExchangeId,
    pub(super) upstream: Upstream,
    pub(super) head: RequestHead,
    pub(super) parts: request::Parts,
    body: Incoming,
}

async fn ask(
    shared: &Shared,
    answerer: &Arc<dyn Answerer>,
    mut going: Going,
    asking: Asking,
) -> Result<Response<AnswerBody>, BrokenOff> {
    let body = match read_whole(asking.body).await {
        Ok((body, end)) => {
            going.ledger.request_read(body.clone(), end);
            body
        }
        Err((body, broken)) => {
            going.ledger.request_read(body, BodyEnd::Error { what: broken.0.clone() });
            going.close(Outcome::fault(Fault::Abandoned, BodyEnd::Cancelled)).await;
            return Err(broken);
        }
    };
    going.delivery = Some(Delivery { answerer: answerer.clone(), id: asking.id });
    let target = asking.head.target.clone();
    let asked =
        Asked { id: asking.id, upstream: asking.upstream.clone(), head: asking.head, body: body.clone() };
    match answerer.answer(asked).await {
        Answer::Serve(canned) => Ok(serve(shared, going, canned, Vec::new()).await),
        Answer::ServeGated(canned, gates) => Ok(serve(shared, going, canned, gates).await),
        Answer::ServeFed(canned, feed) => Ok(serve_fed(shared, going, canned, Vec::new(), Some(feed)).await),
        Answer::Close(source, fault) => {
            going.ledger.answers_from(source);
            going.close(Outcome::fault(fault, BodyEnd::Complete)).await;
            Err(BrokenOff("closed without an answer, as recorded".into()))
        }
        Answer::Forward { body: other, target: to, upstream, fields, hold } => {
            going.hold = hold;
            let at = upstream.as_ref().unwrap_or(&asking.upstream);
            let to = route::moved(&shared.routes, at, to.as_deref().unwrap_or(&target)).or(to);
            going.ledger.forwards(other.clone(), to.clone(), upstream.clone());
            let moved = to.is_some();
            let target = to.unwrap_or(target);
            let upstream = upstream.unwrap_or(asking.upstream);
            let body = SentBody::Whole((!body.is_empty()).then_some(body));
            let sending = Sending { upstream: &upstream, target: &target, body, other, moved };
            let mut parts = asking.parts;
            parts.headers = head::with(&parts.headers, &fields);
            send(shared, going, parts, sending).await
        }
    }
}

/// Passes on a request that was read and is no part of the run, with its answer.
pub(super) async fn pass_unseen(
    shared: &Shared,
    going: Going,
    parts: request::Parts,
    upstream: &Upstream,
    target: &str,
    body: SentBody,
) -> Result<Response<AnswerBody>, BrokenOff> {
    send(shared, going, parts, Sending { upstream, target, body, other: None, moved: false }).await
}

/// What goes upstream, and where.
struct Sending<'a> {
    upstream: &'a Upstream,
    target: &'a str,
    body: SentBody,
    /// Goes in the place of the body.
    other: Option<Bytes>,
    /// The target is not the agent's.
    moved: bool,
}

/// Sends a request upstream, if that is allowed.
async fn send(
    shared: &Shared,
    going: Going,
    parts: request::Parts,
    sending: Sending<'_>,
) -> Result<Response<AnswerBody>, BrokenOff> {
    let Sending { upstream, target, body, other, moved } = sending;
    let refused = |what: String| refusal("retake_cannot_send", &what);
    let Some(client) = &shared.client else {
        let what =
            format!("this replay may not ask {}: it answers from the recording alone", upstream.origin);
        return Ok(serve(shared, going, refused(what), Vec::new()).await);
    };
    let to = match route::address(upstream, target) {
        Ok(to) => to,
        Err(what) => return Ok(serve(shared, going, refused(what), Vec::new()).await),
    };
    let changed = other.is_some() || moved;
    let client = client.of(&parts, &to);
    let signed_for = parts.headers.get(http::header::HOST).cloned();
    let mut request = forward::readdressed(parts, to, body);
    let read_before = matches!(request.body(), SentBody::Whole(_));
    if let Some(other) = other {
        forward::replace_body(&mut request, other);
    }
    if read_before && signing::is_signed(request.headers()) {
        let is_amazon = signing::is_amazon(request.uri());
        let other_host = signed_for.as_ref() != request.headers().get(http::header::HOST);
        if (changed || other_host && is_amazon)
            && let Err(what) = signing::sign_again(&mut request, shared.aws_key.as_ref())
            && is_amazon
        {
            return Ok(serve(shared, going, unsigned(&what), Vec::new()).await);
        }
    }
    if read_before {
        going.ledger.request_ended(BodyEnd::Complete);
    }
    forward::forward(shared, client, going, request).await
}

/// Says that a request cannot be signed, in the words of Amazon's errors.
fn unsigned(message: &str) -> Canned {
    let body = serde_json::json!({ "message": message, "__type": "AccessDeniedException" }).to_string();
    refusal_with(StatusCode::FORBIDDEN, body.into())
}

fn refusal(kind: &str, message: &str) -> Canned {
    refusal_with(StatusCode::INTERNAL_SERVER_ERROR, refuse::error_json(kind, message))
}

fn refusal_with(status: StatusCode, body: Bytes) -> Canned {
    let mut headers = HeaderList::default();
    headers.push("content-type", "application/json");
    headers.push("x-should-retry", "false");
    headers.push("content-length", body.len().to_string());
    Canned {
        source: Source::Refused,
        head: ResponseHead { status: status.as_u16(), headers },
        frames: vec![(Duration::ZERO, body)],
        end: CannedEnd::Complete,
    }
}

/// Answers without an upstream.
pub(super) async fn serve(
    shared: &Shared,
    going: Going,
    canned: Canned,
    gates: Vec<Gate>,
) -> Response<AnswerBody> {
    serve_fed(shared, going, canned, gates, None).await
}

async fn serve_fed(
    shared: &Shared,
    mut going: Going,
    mut canned: Canned,
    gates: Vec<Gate>,
    feed: Option<Feed>,
) -> Response<AnswerBody> {
    let mut status =
        StatusCode::from_u16(canned.head.status).ok().filter(|status| !status.is_informational());
    if status.is_none() {
        canned = refusal("retake_bad_status", &format!("no answer has the status {}", canned.head.status));
        status = StatusCode::from_u16(canned.head.status).ok();
    }
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let has_body = has_body(&going.method, status);
    if has_body {
        true_length(&mut canned);
    }
    going.ledger.answers_from(canned.source);
    going.ledger.request_ended(BodyEnd::Complete);
    let head_us = going.ledger.now_us();
    let mut parts = Response::new(()).into_parts().0;
    parts.status = status;
    parts.headers = head::passed_on(&head::to_map(&canned.head.headers));
    parts.extensions = shared.cases.extensions(&canned.head.headers).await;
    let length = head::content_length(&parts.headers);
    if !has_body || length == Some(0) {
        return finish_without_body(going, canned.head, head_us, parts).await;
    }
    let setup = TeeSetup {
        scan: MarkerScan::of(&canned.head, &shared.markers),
        lasts: going.method == Method::GET,
        head: Some(canned.head),
        head_us,
        length,
        wire: going.wire.clone(),
        delivery: going.delivery.take(),
        ledger: going.hand_over(),
    };
    let tee = Tee::new(Spring::Canned(CannedBody::new(canned.frames, canned.end, gates).then(feed)), setup);
    Response::from_parts(parts, AnswerBody::Tee(Box::new(tee)))
}

/// An answer that is all head: its head is the finishing frame.
pub(super) async fn finish_without_body(
    mut going: Going,
    seen: ResponseHead,
    head_us: u64,
    parts: response::Parts,
) -> Response<AnswerBody> {
    going.abandonment.disarm();
    let outcome =
        Outcome { head: Some(seen), fault: None, head_us, frames: Vec::new(), end: BodyEnd::Complete };
    going.ledger.response_written(outcome).await;
    if let Some(delivery) = going.delivery.take() {
        going.wire.deliver(delivery);
    }
    let body = head::content_length(&parts.headers).map_or(AnswerBody::Plain(None), AnswerBody::Sized);
    Response::from_parts(parts, body)
}
