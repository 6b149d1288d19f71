//! An agent's end of a connection, byte by byte: it can stop in the middle, hang up, or be slow.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to the proxy.
pub struct Agent {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The head of a response as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// In order, names in their case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

impl Agent {
    pub async fn connect(origin: &str) -> Agent {
        let address = origin.strip_prefix("http://").expect("an http origin");
        let stream = TcpStream::connect(address).await.expect("the proxy listens");
        stream.set_nodelay(true).expect("sockets can be quick");
        Agent { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the proxy reads");
    }

    /// A POST with a content-length.
    pub async fn post(&mut self, target: &str, body: &[u8]) {
        let head = format!("POST {target} HTTP/1.1\r\nHost: proxy\r\nContent-Length: {}\r\n\r\n", body.len());
        self.send(head.as_bytes()).await;
        self.send(body).await;
    }

    pub async fn get(&mut self, target: &str) {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: proxy\r\n\r\n").as_bytes()).await;
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(line[..at].iter().map(|&b| char::from(b)).collect());
            }
            self.fill().await?;
        }
    }

    pub async fn head(&mut self) -> io::Result<Head> {
        let status = self.line().await?;
        let status = status.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let headers = self.fields().await?;
        Ok(Head { status, headers })
    }

    async fn fields(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await?;
            match line.split_once(':') {
                Some((name, value)) => fields.push((name.to_string(), value.trim().to_string())),
                None => return Ok(fields),
            }
        }
    }

    /// What has come and was not read yet.
    pub fn pending(&mut self) -> &[u8] {
        while matches!(self.stream.try_read_buf(&mut self.buffer), Ok(n) if n > 0) {}
        &self.buffer
    }

    /// So many bytes of a body.
    pub async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill().await?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// The next chunk of a chunked body; empty for the last one, whose trailers are left to read.
    pub async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = usize::from_str_radix(&self.line().await?, 16).unwrap_or(0);
        let bytes = self.exactly(size).await?;
        if size > 0 {
            self.exactly(2).await?;
        }
        Ok(bytes)
    }

    /// The whole body that the head announces, and its trailers.
    pub async fn body(&mut self, head: &Head) -> io::Result<(Vec<u8>, Vec<(String, String)>)> {
        if let Some(length) = head.header("content-length") {
            let length = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            return Ok((self.exactly(length).await?, Vec::new()));
        }
        if head.header("transfer-encoding").is_none() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk().await?;
            if chunk.is_empty() {
                return Ok((body, self.fields().await?));
            }
            body.extend(chunk);
        }
    }

    /// Head and body of an answer.
    pub async fn answer(&mut self) -> io::Result<(Head, Vec<u8>)> {
        let head = self.head().await?;
        let (body, _) = self.body(&head).await?;
        Ok((head, body))
    }

    /// Everything until the connection ends, and whether it ended in order.
    pub async fn rest(&mut self) -> (Vec<u8>, bool) {
        let in_order = loop {
            match self.fill().await {
                Ok(()) => {}
                Err(error) => break error.kind() == io::ErrorKind::UnexpectedEof,
            }
        };
        (std::mem::take(&mut self.buffer), in_order)
    }
}
