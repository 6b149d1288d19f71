//! What waits to be written, and who writes it.
//!
//! A thread of its own writes. A small answer is written by whoever brings it, when nothing is in its way: waking the
//! thread and being woken by it would take longer. Messages are taken out and written under one lock, so that they are
//! written in their order whoever does it.

use super::writer::Writer;
use crate::proxy::{SeenRequest, SeenResponse};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// Bytes of bodies that may wait for the writer before agents have to wait.
const QUEUE_BYTES: usize = 16 << 20;
/// A message that is written by whoever brings it has no more bytes than this.
const SMALL: usize = 16 << 10;
/// So many messages at most are written in passing.
const IN_PASSING: usize = 3;
/// The writer will soon be free when no more than so many messages are ahead: one that is being written, and the own.
const NEARLY_FREE: u64 = 2;
/// How long to wait for that: about as long as waking a thread takes.
const PATIENCE: Duration = Duration::from_micros(60);
/// How long written exchanges may wait for `fdatasync`.
const SYNC_EVERY: Duration = Duration::from_millis(50);
/// The same while the writer is busy: an fdatasync stands in the way of those who wait for a write.
const SYNC_WHEN_BUSY: Duration = Duration::from_millis(200);

pub(super) enum Message {
    Request(SeenRequest),
    Response(SeenResponse, oneshot::Sender<()>),
    Finish,
}

impl Message {
    fn bytes(&self) -> usize {
        match self {
            Message::Request(seen) => seen.body.iter().map(|b| b.len()).sum(),
            Message::Response(seen, _) => seen.frames.iter().map(|(b, _)| b.len()).sum(),
            Message::Finish => 0,
        }
    }
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    /// Nobody writes any more: whoever would wait goes on at once.
    closed: bool,
}

pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// None once it was taken to be sealed.
    writer: Mutex<Option<Writer>>,
    /// Messages handed over, and messages written.
    posted: AtomicU64,
    written: AtomicU64,
    /// Bytes that wait.
    bytes: AtomicUsize,
    drained: Notify,
}

impl Inbox {
    pub(super) fn new(writer: Writer) -> Inbox {
        Inbox {
            waiting: Mutex::default(),
            arrived: Condvar::new(),
            writer: Mutex::new(Some(writer)),
            posted: AtomicU64::new(0),
            written: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            drained: Notify::new(),
        }
    }

    /// Hands over a message.
    pub(super) fn post(&self, message: Message) {
        let in_passing = matches!(message, Message::Response(..)) && message.bytes() <= SMALL;
        let number = {
            let mut waiting = self.waiting();
            if waiting.closed {
                return;
            }
            self.bytes.fetch_add(message.bytes(), Ordering::AcqRel);
            waiting.messages.push_back(message);
            self.posted.fetch_add(1, Ordering::AcqRel) + 1
        };
        if in_passing {
            self.write_in_passing(number);
        }
        if !self.waiting().messages.is_empty() {
            self.arrived.notify_one();
        }
    }

    /// Writes what waits, this message among it, if the writer is free or soon will be: its thread is mostly at the
    /// request of the same exchange then.
    fn write_in_passing(&self, number: u64) {
        let begun = Instant::now();
        while self.written.load(Ordering::Acquire) < number {
            if let Ok(mut writer) = self.writer.try_lock() {
                for _ in 0..IN_PASSING {
                    match self.next(|m| !matches!(m, Message::Finish) && m.bytes() <= SMALL) {
                        Some(message) => self.write(&mut writer, message),
                        None => break,
                    }
                }
                return;
            }
            let written = self.written.load(Ordering::Acquire);
            let behind = self.posted.load(Ordering::Acquire).saturating_sub(written);
            if behind > NEARLY_FREE || begun.elapsed() > PATIENCE {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Writes what comes, until it is told to finish.
    pub(super) fn work(&self) {
        // However this ends: nobody waits for a writer that is gone.
        let _closing = Closing(self);
        loop {
            let timed_out = self.wait();
            let Ok(mut writer) = self.writer.lock() else { return };
            while let Some(message) = self.next(|_| true) {
                if matches!(message, Message::Finish) {
                    return;
                }
                self.write(&mut writer, message);
                if let Some(writer) = writer.as_mut() {
                    writer.sync_if_older(SYNC_WHEN_BUSY);
                }
            }
            if let (true, Some(writer)) = (timed_out, writer.as_mut()) {
                writer.sync_if_older(Duration::ZERO);
            }
        }
    }

    /// The writer, when its thread has ended in order.
    pub(super) fn take_writer(&self) -> Option<Writer> {
        self.writer.lock().ok()?.take()
    }

    /// Waits until there is room for more.
    pub(super) async fn room(&self) {
        while self.bytes.load(Ordering::Acquire) >= QUEUE_BYTES {
            let drained = self.drained.notified();
            if self.bytes.load(Ordering::Acquire) < QUEUE_BYTES {
                break;
            }
            drained.await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a message; true when none came for a while.
    fn wait(&self) -> bool {
        let waiting = self.waiting();
        let none = |w: &mut Waiting| w.messages.is_empty();
        let waited = self.arrived.wait_timeout_while(waiting, SYNC_EVERY, none);
        waited.map_or(true, |(_, timeout)| timeout.timed_out())
    }

    /// The message that has waited longest, if it is one of these.
    fn next(&self, of: impl Fn(&Message) -> bool) -> Option<Message> {
        let mut waiting = self.waiting();
        if waiting.messages.front().is_some_and(of) { waiting.messages.pop_front() } else { None }
    }

    fn write(&self, writer: &mut Option<Writer>, message: Message) {
        let bytes = message.bytes();
        match (writer, message) {
            (Some(writer), Message::Request(seen)) => writer.request(seen),
            (Some(writer), Message::Response(seen, written)) => {
                writer.response(seen);
                // The agent may have hung up meanwhile; then nobody waits for this.
                let _ = written.send(());
            }
            (None, _) | (_, Message::Finish) => {}
        }
        self.written.fetch_add(1, Ordering::AcqRel);
        self.remove(bytes);
    }

    fn remove(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        if before >= QUEUE_BYTES && before.saturating_sub(bytes) < QUEUE_BYTES {
            self.drained.notify_waiters();
        }
    }
}

/// Lets go of everything that waits, when dropped.
struct Closing<'i>(&'i Inbox);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let left = {
            let mut waiting = self.0.waiting();
            waiting.closed = true;
            std::mem::take(&mut waiting.messages)
        };
        drop(left);
        self.0.bytes.store(0, Ordering::Release);
        self.0.drained.notify_waiters();
    }
}
