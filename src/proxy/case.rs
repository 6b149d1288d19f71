//! The case of header names in canned answers. hyper writes names as it once read them and takes that from nobody
//! else, so it is given them to read; what it makes of a list of names is kept.

use super::head::{self, MOST_HEADERS};
use super::sent::SentBody;
use crate::exchange::HeaderList;
use http::{Extensions, HeaderName, Request};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// So many lists of names are kept; the answers of one run have a handful.
const MOST_LISTS: usize = 256;

/// Lists of names, with what makes hyper write them so.
#[derive(Default)]
pub(super) struct CaseBook(Mutex<HashMap<String, Extensions>>);

impl CaseBook {
    /// What makes hyper write these fields in their case. Empty when it would anyway, or cannot.
    pub(super) async fn extensions(&self, fields: &HeaderList) -> Extensions {
        let names: Vec<&str> = fields
            .iter()
            .map(|(name, _)| name)
            .filter(|name| HeaderName::from_bytes(name.as_bytes()).is_ok())
            .collect();
        if !names.iter().any(|name| name.bytes().any(|b| b.is_ascii_uppercase())) {
            return Extensions::new();
        }
        let head = format!("HTTP/1.1 204 No Content\r\n{}: 0\r\n\r\n", names.join(": 0\r\n"));
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&head) {
            return known.clone();
        }
        let read = read_by_hyper(head.as_bytes()).await.unwrap_or_default();
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if book.len() >= MOST_LISTS {
            book.clear();
        }
        book.insert(head, read.clone());
        read
    }
}

/// Lets hyper read a response head from a pipe in memory; none when it does not take it.
async fn read_by_hyper(head: &[u8]) -> Option<Extensions> {
    let (near, mut far) = tokio::io::duplex(head.len().max(1024));
    let (mut sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .max_headers(MOST_HEADERS)
        .handshake::<_, SentBody>(TokioIo::new(near))
        .await
        .ok()?;
    let exchange = async {
        let response = sender.send_request(Request::new(SentBody::Whole(None)));
        let answer = async {
            // Bytes of the request: hyper refuses an answer that comes before it.
            far.read_u8().await.ok()?;
            far.write_all(head).await.ok()
        };
        let (response, _) = tokio::join!(response, answer);
        response.ok().map(|response| head::carried(response.into_parts().0.extensions))
    };
    tokio::select! {
        read = exchange => read,
        // The connection only ends first when it failed; while it lives it is driven here.
        _ = connection => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> HeaderList {
        HeaderList(names.iter().map(|name| (name.to_string(), "v".to_string())).collect())
    }

    #[tokio::test]
    async fn only_lists_with_capitals_are_kept() {
        let book = CaseBook::default();
        assert!(book.extensions(&list(&["a", "b"])).await.is_empty());
        for _ in 0..2 {
            assert!(
                !book.extensions(&list(&["A-b", "Content-Length", "not a name", "A-B"])).await.is_empty()
            );
        }
        assert_eq!(book.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_book_is_bounded() {
        let book = CaseBook::default();
        for n in 0..MOST_LISTS + 5 {
            book.extensions(&list(&[format!("X-{n}").as_str()])).await;
        }
        assert!(book.0.lock().unwrap().len() <= MOST_LISTS);
    }
}
