//! Canned answers: recorded bytes at their times.

use super::tee::BrokenOff;
use super::{BoxFuture, Canned, CannedEnd, Feed, Gate, head};
use bytes::Bytes;
use hyper::body::Frame;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// The bytes of a canned answer, each frame after its delay and behind its gates.
pub(super) struct CannedBody {
    frames: VecDeque<(Duration, Bytes)>,
    sleep: Option<Pin<Box<Sleep>>>,
    end: Option<CannedEnd>,
    gates: VecDeque<Gate>,
    /// Index of the next frame.
    at: usize,
    waiting: Option<BoxFuture<'static, ()>>,
    /// More frames, behind those that are known.
    feed: Option<Feed>,
}

impl CannedBody {
    pub(super) fn new(frames: Vec<(Duration, Bytes)>, end: CannedEnd, gates: Vec<Gate>) -> CannedBody {
        CannedBody {
            frames: frames.into(),
            sleep: None,
            end: Some(end),
            gates: gates.into(),
            at: 0,
            waiting: None,
            feed: None,
        }
    }

    /// Goes on with what comes through a feed.
    pub(super) fn then(self, feed: Option<Feed>) -> CannedBody {
        CannedBody { feed, ..self }
    }

    /// Waits for the gates in front of the next frame.
    fn poll_gates(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            match self.gates.front() {
                Some(gate) if gate.frame <= self.at => {
                    let mut open = gate.open.clone();
                    self.gates.pop_front();
                    // An error says that nobody is left to open it.
                    self.waiting = Some(Box::pin(async move { drop(open.wait_for(|open| *open).await) }));
                }
                _ => return Poll::Ready(()),
            }
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        ready!(self.poll_gates(cx));
        if self.frames.is_empty()
            && let Some(feed) = &mut self.feed
        {
            self.frames.extend(ready!(feed.poll_recv(cx)));
        }
        let Some((delay, _)) = self.frames.front() else {
            return Poll::Ready(match self.end.take() {
                Some(CannedEnd::Broken) => Some(Err(BrokenOff("as recorded".into()))),
                Some(CannedEnd::Trailers(fields)) => Some(Ok(Frame::trailers(head::to_map(&fields)))),
                Some(CannedEnd::Complete) | None => None,
            });
        };
        if !delay.is_zero() {
            let delay = *delay;
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(delay)));
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        self.at += 1;
        Poll::Ready(self.frames.pop_front().map(|(_, bytes)| Ok(Frame::data(bytes))))
    }
}

/// Makes a canned answer's content-length that of its bytes, if it has one and is to end in order; one that breaks
/// off keeps the length it was recorded with.
pub(super) fn true_length(canned: &mut Canned) {
    let total: usize = canned.frames.iter().map(|(_, bytes)| bytes.len()).sum();
    let stated = canned.head.headers.get("content-length");
    if canned.end != CannedEnd::Broken && stated.is_some_and(|stated| stated.trim() != total.to_string()) {
        canned.head.headers.set("content-length", total.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{HeaderList, ResponseHead, Source};

    fn canned(length: &str, end: CannedEnd) -> Canned {
        let headers = HeaderList(vec![
            ("Content-Length".into(), length.into()),
            ("Transfer-Encoding".into(), "chunked".into()),
        ]);
        Canned {
            source: Source::Refused,
            head: ResponseHead { status: 200, headers },
            frames: vec![(Duration::ZERO, Bytes::from_static(b"abc"))],
            end,
        }
    }

    #[test]
    fn only_an_answer_that_ends_in_order_has_its_length_made_true() {
        for (end, length) in [(CannedEnd::Complete, "3"), (CannedEnd::Broken, "99")] {
            let mut canned = canned("99", end);
            true_length(&mut canned);
            let want = [("Content-Length", length), ("Transfer-Encoding", "chunked")];
            assert_eq!(canned.head.headers.iter().collect::<Vec<_>>(), want);
        }
    }

    #[tokio::test]
    async fn a_broken_end_is_an_error_and_a_whole_one_is_not() {
        for (end, fails) in [(CannedEnd::Broken, true), (CannedEnd::Complete, false)] {
            let frames = vec![(Duration::from_millis(1), Bytes::from_static(b"a"))];
            let mut body = CannedBody::new(frames, end, Vec::new());
            let first = std::future::poll_fn(|cx| body.poll_frame(cx)).await;
            assert_eq!(first.unwrap().unwrap().into_data().unwrap(), "a");
            let last = std::future::poll_fn(|cx| body.poll_frame(cx)).await;
            assert_eq!(last.is_some_and(|frame| frame.is_err()), fails);
        }
    }

    #[tokio::test]
    async fn a_fed_body_ends_when_its_feed_does() {
        let (feeds, feed) = tokio::sync::mpsc::unbounded_channel();
        let first = vec![(Duration::ZERO, Bytes::from_static(b"a"))];
        let mut body = CannedBody::new(first, CannedEnd::Complete, Vec::new()).then(Some(feed));
        let mut next = async || {
            let frame = std::future::poll_fn(|cx| body.poll_frame(cx));
            let frame = tokio::time::timeout(Duration::from_millis(20), frame).await.ok()?;
            Some(frame.map(|frame| frame.unwrap().into_data().unwrap()))
        };
        assert_eq!(next().await, Some(Some(Bytes::from("a"))));
        assert_eq!(next().await, None, "it waits");
        feeds.send((Duration::from_millis(1), Bytes::from("b"))).unwrap();
        assert_eq!(next().await, Some(Some(Bytes::from("b"))));
        drop(feeds);
        assert_eq!(next().await, Some(None));
    }

    #[tokio::test]
    async fn a_frame_waits_for_its_gate_and_the_end_for_one_behind_all() {
        let (opens, open) = tokio::sync::watch::channel(false);
        let (never, closed) = tokio::sync::watch::channel(false);
        let frames = ["a", "b"].map(|text| (Duration::ZERO, Bytes::from_static(text.as_bytes())));
        let gates = vec![Gate { frame: 1, open }, Gate { frame: 2, open: closed }];
        let mut body = CannedBody::new(frames.into(), CannedEnd::Complete, gates);
        let mut next = async |what: &str| {
            let frame = std::future::poll_fn(|cx| body.poll_frame(cx));
            let frame = tokio::time::timeout(Duration::from_millis(20), frame).await;
            frame
                .map(|frame| frame.map(|frame| frame.unwrap().into_data().unwrap()))
                .map_err(|_| what.to_string())
        };
        assert_eq!(next("first").await, Ok(Some(Bytes::from("a"))));
        assert_eq!(next("waits").await, Err("waits".into()));
        opens.send_replace(true);
        assert_eq!(next("second").await, Ok(Some(Bytes::from("b"))));
        assert_eq!(next("stays").await, Err("stays".into()));
        drop(never);
        assert_eq!(next("ends").await, Ok(None));
    }
}
