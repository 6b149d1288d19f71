//! A connection that remembers the raw head of the message it is reading, and says when everything written to it
//! has gone out.
//!
//! hyper keeps the case of header names to itself and groups repeated fields, so the recorded head is taken from
//! the bytes. It also has no way to say that its write buffer is empty; its flush of the connection is that moment.

use super::Answerer;
use crate::exchange::ExchangeId;
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A longer head is not captured: the record then has the names in lower case.
const LONGEST_HEAD: usize = 512 * 1024;

/// Whose heads are read from a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    Requests,
    /// Interim (1xx) heads are skipped, as hyper does.
    Responses,
    /// None: of HTTP/2, heads are compressed and messages mixed.
    Streams,
}

/// Tells the answerer that an answer was delivered, when dropped: exactly once, whatever happens to the exchange.
pub(super) struct Delivery {
    pub(super) answerer: Arc<dyn Answerer>,
    pub(super) id: ExchangeId,
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.answerer.delivered(self.id);
    }
}

/// What is known of a connection, shared between its stream and the exchanges on it.
#[derive(Clone)]
pub(super) struct WireState(Arc<Mutex<Inner>>);

struct Inner {
    reads: Reads,
    head: Vec<u8>,
    whole: bool,
    /// Bytes went the other way since the last read: what is read next starts a new message.
    turned: bool,
    flushes: u64,
    waiting: Option<Waker>,
    deliveries: Vec<Delivery>,
}

impl std::fmt::Debug for WireState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WireState")
    }
}

impl WireState {
    pub(super) fn new(reads: Reads) -> WireState {
        WireState(Arc::new(Mutex::new(Inner {
            reads,
            head: Vec::new(),
            whole: false,
            turned: false,
            flushes: 0,
            waiting: None,
            deliveries: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The raw bytes of the head that was read last, if all of it was seen. Gone after that.
    pub(super) fn take_head(&self) -> Option<Vec<u8>> {
        let mut inner = self.lock();
        inner.whole.then(|| std::mem::take(&mut inner.head)).filter(|head| !head.is_empty())
    }

    /// How often the connection was found with nothing left to write.
    pub(super) fn flushes(&self) -> u64 {
        self.lock().flushes
    }

    /// True for a connection that is flushed when a frame was given to it, and by nothing else.
    pub(super) fn is_of_streams(&self) -> bool {
        self.lock().reads == Reads::Streams
    }

    /// Ready when everything written before flush number `since` + 1 has gone out.
    pub(super) fn poll_flushed(&self, since: u64, cx: &Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        if inner.flushes > since {
            return Poll::Ready(());
        }
        inner.waiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Holds a delivery back until what was written so far has gone out, or the connection is gone.
    pub(super) fn deliver(&self, delivery: Delivery) {
        self.lock().deliveries.push(delivery);
    }

    fn was_read(&self, bytes: &[u8]) {
        self.lock().was_read(bytes);
    }

    fn was_written(&self) {
        self.lock().turned = true;
    }

    fn was_flushed(&self) {
        let mut inner = self.lock();
        inner.flushes += 1;
        let waiting = inner.waiting.take();
        let deliveries = std::mem::take(&mut inner.deliveries);
        drop(inner);
        if let Some(waker) = waiting {
            waker.wake();
        }
        drop(deliveries);
    }
}

impl Inner {
    fn was_read(&mut self, bytes: &[u8]) {
        if self.turned {
            self.turned = false;
            self.whole = false;
            self.head.clear();
        }
        if self.reads == Reads::Streams || self.whole || bytes.is_empty() || self.head.len() > LONGEST_HEAD {
            return;
        }
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let mut from = before.saturating_sub(3);
        while let Some(end) = head_end(&self.head, from) {
            if self.reads == Reads::Responses && is_interim(&self.head) {
                self.head.drain(..end);
                from = 0;
            } else {
                self.head.truncate(end);
                self.whole = true;
                return;
            }
        }
    }
}

/// Where the empty line after a head ends, if it is there; the search starts at `from`.
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let tail = bytes.get(from..)?;
    memchr::memchr_iter(b'\n', tail).find_map(|at| {
        let rest = tail.get(at + 1..)?;
        let line = if rest.starts_with(b"\r\n") {
            2
        } else if rest.starts_with(b"\n") {
            1
        } else {
            return None;
        };
        Some(from + at + 1 + line)
    })
}

fn is_interim(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.") && head.get(8..10) == Some(b" 1") && head.get(8..12) != Some(b" 101")
}

/// A stream whose traffic is noted in a [`WireState`].
pub(super) struct Wire<S> {
    stream: S,
    state: WireState,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, state: WireState) -> Wire<S> {
        Wire { stream, state }
    }
}

impl<S> Drop for Wire<S> {
    fn drop(&mut self) {
        // Nothing more will go out: whoever waits for it is released.
        self.state.was_flushed();
    }
}

impl<S: Unpin> Connection for Wire<S> {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.state.clone());
        if self.state.is_of_streams() { connected.negotiated_h2() } else { connected }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.state.was_read(buf.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.state.was_written();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.state.was_written();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.state.was_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(reads: Reads, parts: &[&str]) -> Option<String> {
        let state = WireState::new(reads);
        for part in parts {
            state.was_read(part.as_bytes());
        }
        state.take_head().map(|head| String::from_utf8(head).unwrap())
    }

    #[test]
    fn a_head_is_whole_at_its_empty_line_however_it_is_cut() {
        let text = "GET / HTTP/1.1\r\nA: 1\r\n\r\nbody\r\n\r\n";
        for cut in 1..text.len() - 1 {
            let (left, right) = text.split_at(cut);
            assert_eq!(
                captured(Reads::Requests, &[left, right]).as_deref(),
                Some("GET / HTTP/1.1\r\nA: 1\r\n\r\n"),
                "cut at {cut}"
            );
        }
        assert_eq!(captured(Reads::Requests, &["GET / HTTP/1.1\r\nA: 1\r\n"]), None);
    }

    #[test]
    fn streams_have_no_head_in_plain_text() {
        assert_eq!(captured(Reads::Streams, &["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]), None);
    }

    #[test]
    fn interim_heads_are_skipped() {
        let parts =
            ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nL: x\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n{}"];
        assert_eq!(captured(Reads::Responses, &parts).as_deref(), Some("HTTP/1.1 200 OK\r\n\r\n"));
    }

    #[test]
    fn a_new_head_is_looked_for_after_the_connection_turned() {
        let state = WireState::new(Reads::Requests);
        state.was_read(b"GET /1 HTTP/1.1\r\n\r\n");
        assert!(state.take_head().is_some());
        state.was_read(b"rest of a body\r\n\r\n");
        assert_eq!(state.take_head(), None);
        state.was_written();
        state.was_read(b"GET /2 HTTP/1.1\r\n\r\n");
        assert_eq!(state.take_head().as_deref(), Some(&b"GET /2 HTTP/1.1\r\n\r\n"[..]));
    }
}
