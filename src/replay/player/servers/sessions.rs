//! Sessions over streamable HTTP that the recording began, and what they are called by a server that a fork asks.

use super::Player;
use super::introduction::{Acquaintance, Known, SESSION, Way};
use crate::exchange::HeaderList;
use crate::mcp::message::{Message, messages};
use crate::proxy::{Answer, Asked};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// A session that the recording began.
pub(super) struct Session {
    /// The request that began it.
    begun: Asked,
    agent: Mutex<Acquaintance>,
    /// What it is to the server, once that was asked; or why it is nothing.
    live: OnceCell<Result<Known, String>>,
}

impl Player {
    /// Notes what the agent was told in a session by the recording.
    pub(super) fn note_session(&self, asked: &Asked, live: &Message, answer: &Answer) {
        let (Answer::Serve(canned) | Answer::ServeGated(canned, _)) = answer else { return };
        if !matches!(live.method.as_str(), "initialize" | "tools/list") {
            return;
        }
        let named = canned.head.headers.get(SESSION).or_else(|| asked.head.headers.get(SESSION));
        let Some(id) = named.map(str::to_string) else { return };
        let body: Vec<u8> = canned.frames.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let told = messages(&body, canned.head.is_event_stream());
        let mut state = self.state();
        let session = state.said.sessions.entry(id).or_insert_with(|| {
            let (agent, live) = (Mutex::default(), OnceCell::new());
            Arc::new(Session { begun: asked.clone(), agent, live })
        });
        session.agent.lock().unwrap_or_else(PoisonError::into_inner).note(live, &told);
    }

    fn session_of(&self, asked: &Asked) -> Option<Arc<Session>> {
        let id = asked.head.headers.get(SESSION)?;
        self.state().said.sessions.get(id).cloned()
    }

    /// The fields under which the server knows the session of a request, if it knows it.
    pub(super) fn fields_of_session(&self, asked: &Asked) -> Option<HeaderList> {
        let session = self.session_of(asked)?;
        Some(session.live.get()?.as_ref().ok()?.fields.clone())
    }

    /// Introduces the agent to a server that it has met in the recording only: once, whoever asks. The fields that today's
    /// requests go with.
    ///
    /// # Errors
    /// Why the server does not take it.
    pub(super) async fn introduced(&self, asked: &Asked, server: &str) -> Result<HeaderList, String> {
        let Some(session) = self.session_of(asked) else { return Ok(HeaderList::default()) };
        let meet = async {
            let agent = session.agent.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut way = Way::posting(self.outbound.clone(), &session.begun);
            let known = way.introduce(&agent).await?;
            self.note_changes(server, &known);
            Ok(known)
        };
        session.live.get_or_init(|| meet).await.clone().map(|known| known.fields)
    }

    /// Notes that a server has other tools than the agent was told of.
    pub(super) fn note_changes(&self, server: &str, known: &Known) {
        if !known.changes.is_empty() {
            self.state().tally.servers.changed.insert(server.to_string(), known.changes.clone());
        }
    }
}
