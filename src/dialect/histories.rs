//! What providers keep for their clients between requests: a client sends what is new and the name of an answer to go
//! on from.
//!
//! A body is unfolded before it is read, so that everything else sees the whole conversation, as it does where clients
//! send it themselves.

use super::{Dialect, Endpoint, recognise};
use crate::exchange::{Exchange, ResponseHead, encoding};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What a provider keeps of an exchange.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Names under which a later request can go on from it: the answer's id, the conversation's.
    pub names: Vec<String>,
    /// What was asked, unfolded: the JSON texts of its items.
    pub input: Vec<String>,
    /// What was answered: the ids of its items and their JSON texts; empty for what cannot be sent again.
    pub output: Vec<(String, String)>,
    /// What even the unfolded request leaves to the provider: an answer from before the recording.
    pub root: Option<String>,
}

/// A conversation up to an answer.
#[derive(Debug, Clone, Default)]
pub struct Link {
    /// The JSON texts of its items.
    pub items: Vec<Arc<str>>,
    /// The answer from before the recording that it goes on from.
    pub root: Option<String>,
}

/// The conversations that providers keep, as far as they were seen.
#[derive(Debug, Clone, Default)]
pub struct Histories {
    links: HashMap<String, Arc<Link>>,
    items: HashMap<String, Arc<str>>,
    /// Every text once: later conversations repeat earlier ones.
    texts: HashSet<Arc<str>>,
}

impl Histories {
    /// The conversation that a (decoded) body goes on from, where it is known.
    pub fn before(&self, dialect: &dyn Dialect, body: &[u8]) -> Option<Arc<Link>> {
        let name = Some(body).filter(|body| dialect.recalls(body)).and_then(|body| dialect.recalled(body))?;
        self.links.get(&name).cloned()
    }

    /// A (decoded) body with what the provider keeps for it put in; none where that is nothing, or is not known.
    pub fn unfold(&self, dialect: &dyn Dialect, body: &[u8]) -> Option<Bytes> {
        self.unfold_after(dialect, body, self.before(dialect, body).as_deref())
    }

    /// The same, where the conversation that it goes on from is at hand.
    pub fn unfold_after(&self, dialect: &dyn Dialect, body: &[u8], before: Option<&Link>) -> Option<Bytes> {
        dialect.recalls(body).then(|| dialect.unfold(body, before, self)).flatten()
    }

    /// The JSON text of an item that was answered, by its id; empty for one that cannot be sent again.
    pub fn item(&self, id: &str) -> Option<&str> {
        self.items.get(id).map(|text| &**text)
    }

    /// Notes an answer to a (decoded, unfolded) body.
    pub fn note(&mut self, dialect: &dyn Dialect, body: &[u8], head: &ResponseHead, answer: &[u8]) {
        let kept = Some(body).filter(|body| dialect.remembers(body));
        let Some(kept) = kept.and_then(|body| dialect.keeps(body, head, answer)) else { return };
        let mut items: Vec<Arc<str>> = kept.input.into_iter().map(|text| self.shared(text)).collect();
        for (id, text) in kept.output {
            let text = self.shared(text);
            if !text.is_empty() {
                items.push(text.clone());
            }
            if !id.is_empty() {
                self.items.insert(id, text);
            }
        }
        let link = Arc::new(Link { items, root: kept.root });
        for name in kept.names {
            self.links.insert(name, link.clone());
        }
    }

    /// Takes in the next exchange of a run; the conversation that its request goes on from.
    pub fn follow(&mut self, exchange: &Exchange) -> Option<Arc<Link>> {
        let (dialect, endpoint) = recognise(&exchange.request.head)?;
        let coding = exchange.request.head.headers.get("content-encoding");
        let body = encoding::decode(coding, &exchange.request.body).ok()?;
        let before = self.before(dialect, &body);
        let unfolded = self.unfold_after(dialect, &body, before.as_deref());
        if let (Endpoint::Model, Some(response)) = (endpoint, &exchange.response)
            && let Some(head) = &response.head
        {
            self.note(dialect, unfolded.as_deref().unwrap_or(&body), head, &response.body);
        }
        before
    }

    fn shared(&mut self, text: String) -> Arc<str> {
        let text: Arc<str> = text.into();
        match self.texts.get(&text) {
            Some(known) => known.clone(),
            None => {
                self.texts.insert(text.clone());
                text
            }
        }
    }
}
