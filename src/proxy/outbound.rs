//! Requests of retake's own to upstreams: nobody's exchange, and not recorded.

use super::sent::SentBody;
use super::tee::chain;
use super::upstream::Upstreams;
use super::{forward, head, route};
use crate::exchange::{HeaderList, ResponseHead, Upstream};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HOST, HeaderValue};
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Asks upstreams.
pub struct Outbound(Upstreams);

/// What comes back.
pub struct Reply {
    pub head: ResponseHead,
    body: Incoming,
}

impl Default for Outbound {
    fn default() -> Outbound {
        Outbound(Upstreams::new(&Arc::new(AtomicU32::new(0))))
    }
}

impl Outbound {
    /// Sends a request with the fields of an agent's, but for those that are about its body or the connection. None in
    /// `body` makes it a GET, else it is a POST.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send(
        &self,
        upstream: &Upstream,
        target: &str,
        fields: &HeaderList,
        body: Option<Bytes>,
    ) -> Result<Reply, String> {
        let to = route::address(upstream, target)?;
        let host = to.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
        let mut headers = head::sent_on(&head::to_map(fields));
        for name in [HOST, CONTENT_LENGTH, CONTENT_ENCODING, ACCEPT_ENCODING] {
            headers = head::without(&headers, &name);
        }
        if let Some(host) = host {
            headers.insert(HOST, host);
        }
        if let Some(body) = &body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::new(SentBody::Whole(body));
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        *request.uri_mut() = to;
        let answered = self.0.plain().request(request).await;
        let (parts, body) = answered.map_err(|error| forward::fault(&error).to_string())?.into_parts();
        let head = ResponseHead { status: parts.status.as_u16(), headers: head::from_map(&parts.headers) };
        Ok(Reply { head, body })
    }
}

impl Reply {
    /// The next bytes of its body; none at the end.
    ///
    /// # Errors
    /// How it broke off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, String> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.map_err(|error| chain(&error))?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_went_wrong_is_said_in_words() {
        // The port of a listener that is gone again.
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let upstream = Upstream { provider: "mcp".into(), origin: format!("http://{gone}") };
        let sent = Outbound::default().send(&upstream, "/mcp", &HeaderList::default(), None).await;
        let why = sent.err().unwrap();
        assert!(why.starts_with("no connection: ") && !why.contains(['{', '"']), "{why}");
    }
}
