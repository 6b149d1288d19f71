//! What a server writes on standard error: passed on as it comes, and its end kept for when it dies.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

/// How much is kept, in bytes.
const KEPT: usize = 4096;

/// How many lines are told.
const LINES: usize = 5;

/// The end of what was written.
pub(super) struct LastWords {
    tail: Mutex<Vec<u8>>,
    over: watch::Sender<bool>,
}

impl Default for LastWords {
    fn default() -> LastWords {
        LastWords { tail: Mutex::default(), over: watch::Sender::new(false) }
    }
}

impl LastWords {
    /// Passes everything on to this process's standard error, until the end.
    pub(super) async fn pass_on(self: std::sync::Arc<Self>, mut from: impl AsyncRead + Unpin) {
        let (mut out, mut buffer) = (tokio::io::stderr(), [0; KEPT]);
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            let Some(read) = buffer.get(..n) else { break };
            self.keep(read);
            // Nobody may read it any more; the server is not to wait for that.
            let _ = out.write_all(read).await;
            let _ = out.flush().await;
        }
        self.over.send_replace(true);
    }

    fn keep(&self, read: &[u8]) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(read);
        let surplus = tail.len().saturating_sub(KEPT);
        tail.drain(..surplus);
    }

    /// The last lines, once all is written or `patience` has passed: a child of the server may keep the pipe open.
    pub(super) async fn lines(&self, patience: Duration) -> Vec<String> {
        let mut over = self.over.subscribe();
        let _ = tokio::time::timeout(patience, over.wait_for(|over| *over)).await;
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&tail).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.len().saturating_sub(LINES);
        lines.into_iter().skip(last).map(String::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept() {
        let words = std::sync::Arc::new(LastWords::default());
        let text: String = (0..2000).map(|n| format!("line {n}\n\n")).collect();
        words.keep(text.as_bytes());
        words.over.send_replace(true);
        assert_eq!(words.tail.lock().unwrap().len(), KEPT);
        let lines = words.lines(Duration::ZERO).await;
        assert_eq!(lines, ["line 1995", "line 1996", "line 1997", "line 1998", "line 1999"]);
    }
}
