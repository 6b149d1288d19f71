//! The body of a request on its way upstream, noted by reference as it passes.

use super::head;
use super::ledger::Ledger;
use super::tee::{BrokenOff, chain};
use crate::exchange::BodyEnd;
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What is sent upstream.
pub(super) enum SentBody {
    Tee(RequestTee),
    /// Read (and perhaps replaced) before it was sent.
    Whole(Option<Bytes>),
}

/// A request's body, passed on frame by frame.
pub(super) struct RequestTee {
    /// None once it is given back.
    body: Option<Incoming>,
    ledger: Arc<Ledger>,
    /// Bytes to come, when the agent gave a content-length: hyper stops asking once they are out.
    left: Option<u64>,
    ended: bool,
    /// Nothing was read of it yet.
    untouched: bool,
}

impl RequestTee {
    fn end(&mut self, end: BodyEnd) {
        if !std::mem::replace(&mut self.ended, true) {
            self.ledger.request_ended(end);
        }
    }
}

impl Drop for RequestTee {
    fn drop(&mut self) {
        if self.untouched
            && let Some(body) = self.body.take()
        {
            // There was no connection to send it over.
            return self.ledger.unsent(body);
        }
        let end = self.ledger.gone();
        self.end(end);
    }
}

impl SentBody {
    pub(super) fn tee(body: Incoming, ledger: Arc<Ledger>) -> SentBody {
        if body.is_end_stream() {
            ledger.request_ended(BodyEnd::Complete);
            return SentBody::Whole(None);
        }
        let left = body.size_hint().exact();
        SentBody::Tee(RequestTee { body: Some(body), ledger, left, ended: false, untouched: true })
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let tee = match self.get_mut() {
            SentBody::Tee(tee) => tee,
            SentBody::Whole(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
        };
        tee.untouched = false;
        let Some(body) = &mut tee.body else { return Poll::Ready(None) };
        let polled = ready!(Pin::new(body).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    tee.ledger.request_frame(data.clone());
                    tee.left = tee.left.map(|left| left.saturating_sub(data.len() as u64));
                    if tee.left == Some(0) {
                        tee.end(BodyEnd::Complete);
                    }
                } else if let Some(fields) = frame.trailers_ref() {
                    tee.end(BodyEnd::Trailers { fields: head::from_map(fields) });
                }
            }
            Some(Err(error)) => tee.end(BodyEnd::Error { what: chain(error) }),
            None => tee.end(BodyEnd::Complete),
        }
        Poll::Ready(polled.map(|frame| frame.map_err(|error| BrokenOff(chain(&error)))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            SentBody::Tee(tee) => tee.body.as_ref().is_none_or(Body::is_end_stream),
            SentBody::Whole(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            SentBody::Tee(tee) => tee.body.as_ref().map(Body::size_hint).unwrap_or_default(),
            SentBody::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
        }
    }
}

/// Reads a request's body to its end.
///
/// # Errors
/// What hyper said when the agent broke off, and the bytes until then.
pub(super) async fn read_whole(mut body: Incoming) -> Result<(Bytes, BodyEnd), (Bytes, BrokenOff)> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut end = BodyEnd::Complete;
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) if first.is_empty() => first = data,
            Ok(Ok(data)) => {
                if rest.is_empty() {
                    rest.reserve(body.size_hint().lower().min(1 << 26) as usize + first.len() + data.len());
                    rest.extend_from_slice(&first);
                }
                rest.extend_from_slice(&data);
            }
            Ok(Err(frame)) => {
                if let Some(fields) = frame.trailers_ref() {
                    end = BodyEnd::Trailers { fields: head::from_map(fields) };
                }
            }
            Err(error) => {
                return Err((joined(first, rest), BrokenOff(chain(&error))));
            }
        }
    }
    Ok((joined(first, rest), end))
}

fn joined(first: Bytes, rest: BytesMut) -> Bytes {
    if rest.is_empty() { first } else { rest.freeze() }
}
