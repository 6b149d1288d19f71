//! Bodies put together again from their lists, within a budget: a few lines can describe terabytes.

use super::line::sha256;
use super::list::{Handle, Item};
use super::record::BodyList;
use bytes::Bytes;
use std::collections::HashMap;

/// What a place in a list costs beside its bytes.
const ITEM: u64 = 4;

/// The parts, texts and lists of the lines so far.
pub(super) struct Bodies {
    pieces: Vec<Bytes>,
    parts: HashMap<u32, Handle>,
    texts: HashMap<String, Handle>,
    /// Lists of the requests, by exchange.
    lists: HashMap<u32, Vec<Handle>>,
    /// Bytes that may still be used.
    budget: u64,
}

/// Why a body cannot be put together.
pub(super) enum Unresolved {
    /// The budget is used up.
    TooLarge,
    /// Something that the list names is not there, in words.
    Missing(String),
}

/// A body that was put together.
pub(super) struct Resolved {
    /// Its bytes.
    pub(super) bytes: Bytes,
    /// Why they are not the bytes that were exported; none when they are.
    pub(super) differs: Option<String>,
    list: Vec<Handle>,
}

impl Bodies {
    pub(super) fn new(budget: u64) -> Bodies {
        Bodies {
            pieces: Vec::new(),
            parts: HashMap::new(),
            texts: HashMap::new(),
            lists: HashMap::new(),
            budget,
        }
    }

    /// Adds a part.
    pub(super) fn add_part(&mut self, id: u32, bytes: Vec<u8>) -> Result<(), Unresolved> {
        if bytes.is_empty() || self.parts.contains_key(&id) {
            return Err(Unresolved::Missing(format!("part {id} is empty, or there are two with this id")));
        }
        self.spend(bytes.len())?;
        let handle = self.add(bytes.into())?;
        self.parts.insert(id, handle);
        Ok(())
    }

    /// Puts a body together; an absent one is empty. `own` is the exchange it belongs to.
    pub(super) fn resolve(&mut self, own: u32, body: Option<&BodyList>) -> Result<Resolved, Unresolved> {
        let Some(body) = body else {
            return Ok(Resolved { bytes: Bytes::new(), differs: None, list: Vec::new() });
        };
        let mut list = Vec::new();
        for item in &body.items {
            match item {
                Item::Part(id) => {
                    let missing = || Unresolved::Missing(format!("part {id} is in no line above"));
                    let handle = *self.parts.get(id).ok_or_else(missing)?;
                    self.place(&mut list, &[handle])?;
                }
                Item::Text(text) => {
                    let handle = match self.texts.get(text) {
                        Some(handle) => *handle,
                        None if text.is_empty() => {
                            return Err(Unresolved::Missing(
                                "a body has an empty text in its list".to_string(),
                            ));
                        }
                        None => {
                            let handle = self.add(text.clone().into())?;
                            self.texts.insert(text.clone(), handle);
                            handle
                        }
                    };
                    self.place(&mut list, &[handle])?;
                }
                Item::Same { exchange, from, items } => {
                    let base = self.lists.get(exchange);
                    let run =
                        base.and_then(|base| base.get(*from..from.checked_add(*items)?)).map(<[u32]>::to_vec);
                    let missing = || {
                        Unresolved::Missing(format!(
                            "exchange {own} repeats items {from} to {} of the request of exchange {exchange}, which are in no line above",
                            from.saturating_add(*items)
                        ))
                    };
                    self.place(&mut list, &run.ok_or_else(missing)?)?;
                }
            }
        }
        let mut bytes = Vec::new();
        for handle in &list {
            bytes.extend_from_slice(self.piece(*handle));
        }
        let differs = if bytes.len() as u64 != body.bytes {
            Some(format!("a body has {} bytes, and {} were exported", bytes.len(), body.bytes))
        } else if sha256(&bytes) != body.sha256 {
            Some(format!("a body does not have the SHA-256 {}", body.sha256))
        } else {
            None
        };
        Ok(Resolved { bytes: bytes.into(), differs, list })
    }

    /// Keeps the list of a request's body, for later ones to refer to.
    pub(super) fn keep(&mut self, exchange: u32, body: Resolved) {
        self.lists.insert(exchange, body.list);
    }

    fn place(&mut self, list: &mut Vec<Handle>, handles: &[Handle]) -> Result<(), Unresolved> {
        for handle in handles {
            self.spend(self.piece(*handle).len())?;
            list.push(*handle);
        }
        Ok(())
    }

    fn piece(&self, handle: Handle) -> &[u8] {
        self.pieces.get(handle as usize).map(AsRef::as_ref).unwrap_or_default()
    }

    fn add(&mut self, bytes: Bytes) -> Result<Handle, Unresolved> {
        let handle = Handle::try_from(self.pieces.len()).map_err(|_| Unresolved::TooLarge)?;
        self.pieces.push(bytes);
        Ok(handle)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Unresolved> {
        self.budget = self.budget.checked_sub(bytes as u64 + ITEM).ok_or(Unresolved::TooLarge)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_doubles_every_turn_hits_the_budget() {
        let mut bodies = Bodies::new(1 << 16);
        let list = |items| BodyList { items, bytes: 0, sha256: String::new() };
        let first = bodies.resolve(1, Some(&list(vec![Item::Text("x".into()), Item::Text("y".into())])));
        bodies.keep(1, first.ok().unwrap());
        let refused = (2..60u32).find(|&id| {
            let twice = Item::Same { exchange: id - 1, from: 0, items: 1 << (id - 1) };
            let body = bodies.resolve(id, Some(&list(vec![twice.clone(), twice])));
            let too_large = matches!(body, Err(Unresolved::TooLarge));
            if let Ok(body) = body {
                bodies.keep(id, body);
            }
            too_large
        });
        assert!(refused.is_some_and(|id| id < 16));
    }
}
