//! A client on a plain socket: what it has read, it has; nothing reads ahead or tries again.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A connection to a recorder.
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub fn connect(origin: &str) -> io::Result<Raw> {
        let stream = TcpStream::connect(origin.trim_start_matches("http://"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Raw { stream, buffer: Vec::new() })
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// A chat completion with a number in a header.
    pub fn ask(&mut self, number: u32, body: &[u8]) -> io::Result<()> {
        self.send(&chat_head(number, body.len()))?;
        self.send(body)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.buffer.extend_from_slice(&bytes[..n]);
                Ok(())
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.fill()?;
        }
    }

    fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill()?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// The status line and the header lines, up to the body.
    pub fn head(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            match self.line()? {
                line if line.is_empty() => return Ok(lines),
                line => lines.push(line),
            }
        }
    }

    /// The next chunk of a chunked body; empty for the last one.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = usize::from_str_radix(&self.line()?, 16).map_err(io::Error::other)?;
        let bytes = self.exactly(size)?;
        self.exactly(2)?;
        Ok(bytes)
    }

    /// The body of an answer: up to its length, or up to the event that ends it. The end of a stream is left unread
    /// if `hurried`.
    pub fn body(&mut self, head: &[String], hurried: bool) -> io::Result<Vec<u8>> {
        let length = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        if let Some(length) = length {
            return self.exactly(length);
        }
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            let over = chunk.is_empty();
            body.extend(chunk);
            if over || (hurried && body.ends_with(b"data: [DONE]\n\n")) {
                return Ok(body);
            }
        }
    }
}

/// The head of a chat completion with a body of this length.
pub fn chat_head(number: u32, length: usize) -> Vec<u8> {
    let head = format!(
        "POST /openai/v1/chat/completions HTTP/1.1\r\nHost: model\r\nContent-Type: application/json\r\n\
         X-Number: {number}\r\nContent-Length: {length}\r\n\r\n"
    );
    head.into_bytes()
}
