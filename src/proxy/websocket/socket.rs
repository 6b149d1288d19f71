//! One end of a WebSocket: messages in and out. Pings are answered by the library, frame by frame.

use crate::exchange::messages::{Closing, Message};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Framed, Utf8Bytes};

/// A longer message ends the session: it is held in memory as a whole.
const LONGEST_MESSAGE: usize = 64 << 20;
/// Bytes that are read at once.
const READ: usize = 16 << 10;
/// The most bytes of a reason in a close frame (RFC 6455, section 5.5).
const LONGEST_REASON: usize = 123;

type Stream = WebSocketStream<TokioIo<Upgraded>>;

/// The end of a WebSocket that messages come from.
pub(super) struct Incoming(SplitStream<Stream>);

/// The end of a WebSocket that messages go to.
pub(super) struct Outgoing(SplitSink<Stream, Framed>);

/// What came from a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Came {
    /// A message.
    Message(Message),
    /// It was closed in order, with a code and a reason or without.
    Closed(Option<(u16, String)>),
    /// A message came that is longer than can be held; why. What follows it cannot be read.
    TooLong(String),
    /// It broke off.
    Broke(String),
}

/// The code with which a session is closed whose message is too long (RFC 6455, section 7.4.1).
pub(super) const TOO_LONG: u16 = 1009;
/// What is said with it.
const TOO_LONG_REASON: &str = "retake: a message is longer than 64 MiB";

impl Came {
    /// How it ended, as it is noted; none for a message.
    pub(super) fn closing(&self, by_agent: bool) -> Option<Closing> {
        match self {
            Came::Message(_) => None,
            Came::Closed(Some((code, reason))) => {
                Some(Closing { by_agent, code: Some(*code), reason: reason.clone() })
            }
            // Whoever got it would have been closed with that code.
            Came::TooLong(_) if !by_agent => {
                Some(Closing { by_agent, code: Some(TOO_LONG), reason: TOO_LONG_REASON.into() })
            }
            Came::Closed(None) | Came::TooLong(_) | Came::Broke(_) => {
                Some(Closing { by_agent, code: None, reason: String::new() })
            }
        }
    }
}

/// Both ends of an upgraded connection.
pub(super) async fn open(connection: Upgraded, role: Role) -> (Incoming, Outgoing) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(0)
        .max_message_size(Some(LONGEST_MESSAGE))
        .max_frame_size(Some(LONGEST_MESSAGE));
    let stream = WebSocketStream::from_raw_socket(TokioIo::new(connection), role, Some(config)).await;
    let (sink, stream) = stream.split();
    (Incoming(stream), Outgoing(sink))
}

impl Incoming {
    /// The next message, or the end. Answers pings meanwhile.
    pub(super) async fn next(&mut self) -> Came {
        loop {
            return match self.0.next().await {
                Some(Ok(Framed::Text(text))) => Came::Message(Message::Text(text.into())),
                Some(Ok(Framed::Binary(bytes))) => Came::Message(Message::Binary(bytes)),
                Some(Ok(Framed::Close(told))) => {
                    Came::Closed(told.map(|frame| (frame.code.into(), frame.reason.to_string())))
                }
                Some(Ok(Framed::Ping(_) | Framed::Pong(_) | Framed::Frame(_))) => continue,
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) | None => Came::Closed(None),
                Some(Err(Error::Capacity(error))) => Came::TooLong(error.to_string()),
                Some(Err(error)) => Came::Broke(error.to_string()),
            };
        }
    }

    /// Reads until the other side has nothing more to say: what ends a closing in order.
    pub(super) async fn drain(&mut self) {
        while let Some(Ok(_)) = self.0.next().await {}
    }
}

impl Outgoing {
    /// Sends a message; false when it cannot be sent any more.
    pub(super) async fn send(&mut self, message: &Message) -> bool {
        let framed = match message {
            Message::Text(text) => match Utf8Bytes::try_from(text.clone()) {
                Ok(text) => Framed::Text(text),
                Err(_) => Framed::Binary(text.clone()),
            },
            Message::Binary(bytes) => Framed::Binary(bytes.clone()),
            Message::Close(closing) => return self.close(closing.code, &closing.reason).await,
        };
        self.0.send(framed).await.is_ok()
    }

    /// Closes in order. A code that may not be sent is left away.
    pub(super) async fn close(&mut self, code: Option<u16>, reason: &str) -> bool {
        let code = code.map(CloseCode::from).filter(|code| code.is_allowed());
        let frame = code.map(|code| CloseFrame { code, reason: shortened(reason).into() });
        self.0.send(Framed::Close(frame)).await.is_ok()
    }
}

/// Tells a side that its message, or the other side's, is too long; then passes over what it still sends for a while: were
/// the connection let go with bytes in it that nobody read, the reason would be lost.
pub(super) async fn refuse_length(from: Incoming, mut to: Outgoing, patience: Duration) {
    if !to.close(Some(TOO_LONG), TOO_LONG_REASON).await {
        return;
    }
    let Ok(mut whole) = from.0.reunite(to.0) else { return };
    let connection = whole.get_mut();
    let mut unread = vec![0; READ];
    let over = async { while matches!(connection.read(&mut unread).await, Ok(n) if n > 0) {} };
    // One that goes on for ever is left.
    let _ = timeout(patience, over).await;
}

/// A reason as far as it fits.
fn shortened(reason: &str) -> &str {
    let mut end = reason.len().min(LONGEST_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

/// The bytes of a message's line, with its line feed: how it stands in a recorded answer.
pub(super) fn frame(message: &Message) -> Bytes {
    let mut line = Vec::from(message.line());
    line.push(b'\n');
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(shortened("bye"), "bye");
        let long = "ü".repeat(100);
        assert_eq!(shortened(&long).len(), 122);
    }
}
