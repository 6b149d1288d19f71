//! The opening of a WebSocket at the upstream: through the client of all requests, with the agent's own fields.

use super::super::forward::{self, readdressed};
use super::super::listen::Shared;
use super::super::sent::SentBody;
use super::super::wire::WireState;
use super::super::{Canned, head, route};
use super::{EXTENSIONS, refusal, upgrade_fields};
use crate::exchange::{Fault, ResponseHead, Upstream};
use http::{HeaderMap, Response, StatusCode, request, response};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;

/// What became of it.
pub(super) enum Dialled {
    /// The upstream goes on as a WebSocket.
    Open { parts: response::Parts, connection: Upgraded },
    /// The upstream answered otherwise.
    Refused(Response<Incoming>),
    /// There was no answer.
    Failed(Fault),
    /// It was not tried, or what came cannot be handled.
    Impossible(Box<Canned>),
}

/// Asks the upstream to go on as a WebSocket.
pub(super) async fn dial(
    shared: &Shared,
    parts: request::Parts,
    upstream: &Upstream,
    target: &str,
) -> Dialled {
    let impossible = |kind: &str, what: &str| {
        Dialled::Impossible(Box::new(refusal(StatusCode::INTERNAL_SERVER_ERROR, kind, what)))
    };
    let Some(client) = &shared.client else {
        let what =
            format!("this replay may not ask {}: it answers from the recording alone", upstream.origin);
        return impossible("retake_cannot_send", &what);
    };
    let to = match route::address(upstream, target) {
        Ok(to) => to,
        Err(what) => return impossible("retake_cannot_send", &what),
    };
    let mut request = readdressed(parts, to, SentBody::Whole(None));
    *request.headers_mut() = upgraded(head::without(request.headers(), &EXTENSIONS));
    let mut response = match client.plain().request(request).await {
        Ok(response) => response,
        Err(error) => return Dialled::Failed(forward::fault(&error)),
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Dialled::Refused(response);
    }
    if response.headers().contains_key(EXTENSIONS) {
        let what = format!("{} goes on in a compressed form that nobody offered", upstream.origin);
        return impossible("retake_no_websocket", &what);
    }
    match hyper::upgrade::on(&mut response).await {
        Ok(connection) => Dialled::Open { parts: response.into_parts().0, connection },
        Err(error) => Dialled::Failed(Fault::Reset { what: error.to_string() }),
    }
}

/// The head of an upstream's answer, as it came.
pub(super) fn seen(parts: &response::Parts) -> ResponseHead {
    ResponseHead {
        status: parts.status.as_u16(),
        headers: head::header_list(parts.extensions.get::<WireState>(), &parts.headers),
    }
}

/// The fields with those of an upgrade.
pub(super) fn upgraded(mut fields: HeaderMap) -> HeaderMap {
    fields.extend(upgrade_fields());
    fields
}
