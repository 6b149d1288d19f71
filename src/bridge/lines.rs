//! Messages as lines: how stdio carries them.

use bytes::Bytes;
use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

/// Longest message, in bytes. A longer one ends the connection: neither side could be kept waiting for its end.
pub(super) const LONGEST: usize = 256 << 20;

/// Reads the next line that is not empty; none at the end.
pub(super) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Bytes>> {
    let mut line = Vec::new();
    loop {
        let part = from.fill_buf().await?;
        if part.is_empty() {
            let rest = line.trim_ascii();
            return Ok((!rest.is_empty()).then(|| Bytes::copy_from_slice(rest)));
        }
        let end = memchr::memchr(b'\n', part);
        line.extend_from_slice(part.get(..end.unwrap_or(part.len())).unwrap_or_default());
        let taken = end.map_or(part.len(), |end| end + 1);
        from.consume(taken);
        if line.len() > LONGEST {
            return Err(io::Error::other("a message is longer than 256 MiB"));
        }
        if end.is_some() {
            let whole = line.trim_ascii();
            if !whole.is_empty() {
                return Ok(Some(Bytes::copy_from_slice(whole)));
            }
            line.clear();
        }
    }
}

/// Writes one message at a time.
pub(super) struct Writer<W>(Mutex<W>);

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(super) fn new(to: W) -> Writer<W> {
        Writer(Mutex::new(to))
    }

    pub(super) async fn write(&self, message: &[u8]) -> io::Result<()> {
        // Line breaks stand between the members of a message, never inside of a JSON string.
        let mut line: Vec<u8> =
            message.iter().map(|&b| if b == b'\n' || b == b'\r' { b' ' } else { b }).collect();
        line.push(b'\n');
        let mut to = self.0.lock().await;
        to.write_all(&line).await?;
        to.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_go_in_and_out() {
        let mut from: &[u8] = b"\n{\"a\":1}\r\n\n  {\"b\":2}";
        assert_eq!(read(&mut from).await.unwrap().unwrap(), "{\"a\":1}");
        assert_eq!(read(&mut from).await.unwrap().unwrap(), "{\"b\":2}");
        assert_eq!(read(&mut from).await.unwrap(), None);
        let writer = Writer::new(Vec::new());
        writer.write(b"{\n\"a\":1}").await.unwrap();
        assert_eq!(writer.0.into_inner(), b"{ \"a\":1}\n");
    }
}
