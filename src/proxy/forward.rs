//! Sends a request upstream and passes the answer on.

use super::answer::{Going, finish_without_body, serve};
use super::ledger::Outcome;
use super::marker::MarkerScan;
use super::refuse::has_body;
use super::sent::SentBody;
use super::tee::{AnswerBody, BrokenOff, Spring, Tee, TeeSetup, chain};
use super::upstream::UpstreamClient;
use super::wire::WireState;
use super::{Canned, CannedEnd, SeenResponse, head, listen::Shared};
use crate::exchange::{BodyEnd, Fault, ResponseHead, Source};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HOST, HeaderValue, TE};
use http::{Request, Response, Uri, Version, request};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper_util::client::legacy::Error as ClientError;
use std::time::Duration;

/// A request as the agent made it, under the address that it goes to.
pub(super) fn readdressed(agent: request::Parts, to: Uri, body: SentBody) -> Request<SentBody> {
    let mut sent = Request::new(body);
    *sent.method_mut() = agent.method;
    *sent.version_mut() = Version::HTTP_11;
    *sent.headers_mut() = head::sent_on(&agent.headers);
    // gRPC's servers want to be told that trailers are understood, which they are.
    if agent.version == Version::HTTP_2
        && let Some(trailers) = agent.headers.get(TE).filter(|accepted| *accepted == "trailers")
    {
        sent.headers_mut().insert(TE, trailers.clone());
    }
    *sent.extensions_mut() = head::carried(agent.extensions);
    let authority = to.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Ok(host) = HeaderValue::from_str(host) {
        sent.headers_mut().insert(HOST, host);
    }
    *sent.uri_mut() = to;
    sent
}

/// Puts other bytes into a request: identity-encoded, with their own length.
pub(super) fn replace_body(request: &mut Request<SentBody>, body: Bytes) {
    let mut fields = head::without(request.headers(), &CONTENT_ENCODING);
    fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    *request.headers_mut() = fields;
    *request.body_mut() = SentBody::Whole((!body.is_empty()).then_some(body));
}

/// Sends, and answers with what comes back. An upstream that gives no answer is a connection that closes without one.
pub(super) async fn forward(
    shared: &Shared,
    client: &UpstreamClient,
    going: Going,
    request: Request<SentBody>,
) -> Result<Response<AnswerBody>, BrokenOff> {
    match client.request(request).await {
        Ok(response) => Ok(pass_on(shared, going, response).await),
        Err(error) => {
            going.ledger.read_unsent().await;
            let fault = fault_of(&going, &error);
            let what = fault.to_string();
            going.close(Outcome::fault(fault, BodyEnd::Complete)).await;
            Err(BrokenOff(what))
        }
    }
}

fn fault_of(going: &Going, error: &ClientError) -> Fault {
    if going.ledger.cut_short() {
        return Fault::Abandoned;
    }
    fault(error)
}

/// Why an upstream gave no answer.
pub(super) fn fault(error: &ClientError) -> Fault {
    // The outermost text only says which step failed.
    let what = std::error::Error::source(error).map_or_else(|| error.to_string(), chain);
    if error.is_connect() { Fault::Connect { what } } else { Fault::Reset { what } }
}

/// Passes an upstream's answer on.
pub(super) async fn pass_on(
    shared: &Shared,
    mut going: Going,
    response: Response<Incoming>,
) -> Response<AnswerBody> {
    let head_us = going.ledger.now_us();
    let (mut parts, body) = response.into_parts();
    let seen = ResponseHead {
        status: parts.status.as_u16(),
        headers: head::header_list(parts.extensions.get::<WireState>(), &parts.headers),
    };
    if going.hold {
        return held(shared, going, seen, head_us, body).await;
    }
    parts.version = Version::HTTP_11;
    parts.headers = head::passed_on(&parts.headers);
    parts.extensions = head::carried(parts.extensions);
    if body.is_end_stream() || !has_body(&going.method, parts.status) {
        return finish_without_body(going, seen, head_us, parts).await;
    }
    let setup = TeeSetup {
        scan: MarkerScan::of(&seen, &shared.markers),
        lasts: going.method == http::Method::GET,
        head: Some(seen),
        head_us,
        length: body.size_hint().exact(),
        wire: going.wire.clone(),
        delivery: going.delivery.take(),
        ledger: going.hand_over(),
    };
    let tee = Tee::new(Spring::Upstream(body), setup);
    Response::from_parts(parts, AnswerBody::Tee(Box::new(tee)))
}

/// Reads a whole answer, shows it to the answerer, and passes on that or what the answerer gives instead.
async fn held(
    shared: &Shared,
    going: Going,
    seen: ResponseHead,
    head_us: u64,
    mut body: Incoming,
) -> Response<AnswerBody> {
    let mut frames = Vec::new();
    let mut end = BodyEnd::Complete;
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => frames.push((data, going.ledger.now_us())),
            Ok(Err(other)) => {
                let fields = other.trailers_ref().map(head::from_map).unwrap_or_default();
                end = BodyEnd::Trailers { fields };
            }
            Err(error) => {
                end = BodyEnd::Error { what: chain(&error) };
                break;
            }
        }
    }
    let end_us = going.ledger.now_us();
    let whole = SeenResponse {
        id: going.ledger.id(),
        source: Source::Live,
        head: Some(seen.clone()),
        fault: None,
        head_us,
        frames,
        end,
        end_us,
    };
    let instead = going.delivery.as_ref().and_then(|delivery| delivery.answerer.inspect(&whole));
    let canned = instead.unwrap_or_else(|| Canned {
        source: Source::Live,
        head: seen,
        frames: whole.frames.into_iter().map(|(data, _)| (Duration::ZERO, data)).collect(),
        end: match whole.end {
            BodyEnd::Complete => CannedEnd::Complete,
            BodyEnd::Trailers { fields } => CannedEnd::Trailers(fields),
            _ => CannedEnd::Broken,
        },
    });
    serve(shared, going, canned, Vec::new()).await
}
