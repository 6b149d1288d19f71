//! Sessions over WebSockets that are no model calls to retake: a line for each side of each turn.

use super::style::{Ink, Style};
use super::words::{count, line};
use crate::dialect::websocket::{Gist, Protocol};
use crate::exchange::messages;
use crate::exchange::{Exchange, RequestHead};
use serde::Serialize;

/// Characters of a line.
const WIDTH: usize = 90;

/// A session, from its opening to its end.
#[derive(Debug, Clone, Serialize)]
pub struct Session {
    /// Its path.
    pub path: String,
    /// Its turns, in order; the first is the opening.
    pub turns: Vec<Turn>,
}

/// One turn of a session.
#[derive(Debug, Clone, Serialize)]
pub struct Turn {
    /// The exchange that holds it.
    pub exchange: u32,
    /// When it began, in microseconds since the Unix epoch.
    pub started_us: u64,
    /// What the client says; empty when it says nothing.
    pub client: String,
    /// What the server says; empty when it says nothing.
    pub server: String,
}

/// The sessions among exchanges that are no model calls, in order of their openings. Their turns are told apart by the key
/// of the opening.
pub fn sessions<'a>(exchanges: impl IntoIterator<Item = &'a Exchange>) -> Vec<Session> {
    let key = |head: &RequestHead| head.headers.get("sec-websocket-key").unwrap_or_default().to_string();
    let mut found: Vec<(String, Gist, Session)> = Vec::new();
    for exchange in exchanges {
        let head = &exchange.request.head;
        let protocol = Protocol::of(head);
        if !head.is_websocket() || protocol.takes_turns() {
            continue;
        }
        let own = key(head);
        if !found.iter().any(|(known, ..)| *known == own) {
            let session = Session { path: head.path().to_string(), turns: Vec::new() };
            found.push((own.clone(), Gist::new(protocol), session));
        }
        let Some((_, gist, session)) = found.iter_mut().find(|(known, ..)| *known == own) else { continue };
        let client = gist.of_client(&messages::read(&exchange.request.body), WIDTH);
        let answer = exchange.response.as_ref();
        let server = match answer.and_then(|a| Some((a.head.as_ref()?, &a.body))) {
            Some((head, body)) if head.is_websocket() => gist.of_server(&messages::read(body), WIDTH),
            Some((head, _)) => format!("refuses: status {}", head.status),
            None => "no answer came".to_string(),
        };
        let (id, started_us) = (exchange.request.id.0, exchange.request.started_us);
        session.turns.push(Turn { exchange: id, started_us, client, server });
    }
    found.into_iter().map(|(.., session)| session).collect()
}

/// The sessions of a run for a person; empty when there are none.
pub fn show(sessions: &[Session], style: Style) -> String {
    let mut out = String::new();
    for session in sessions {
        let turns = session.turns.iter().filter(|t| !t.client.is_empty()).count() as u64;
        let s = if turns == 1 { "" } else { "s" };
        let heading = format!("websocket {}   {} turn{s}", line(&session.path), count(turns));
        out.push_str(&format!("\n{}\n", style.paint(Ink::Note, &heading)));
        for turn in &session.turns {
            for (who, said) in [("client", &turn.client), ("server", &turn.server)] {
                if !said.is_empty() {
                    out.push_str(&format!("  x{:<4} {who}  {}\n", turn.exchange, line(said)));
                }
            }
        }
    }
    out
}
