//! As much of HTTP/1.1 as a demo needs: blocking, one message at a time, bounded.

use std::io::{self, BufRead, Read};

/// Longest head and longest body that are read, in bytes.
const LONGEST_HEAD: u64 = 64 * 1024;
const LONGEST_BODY: u64 = 64 * 1024 * 1024;

/// A request or response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// `POST /v1/chat/completions HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub start: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Whole, with the chunks put together.
    pub body: Vec<u8>,
}

impl Message {
    /// The n-th word of the start line: method and target, or version and status.
    pub fn word(&self, n: usize) -> &str {
        self.start.split(' ').nth(n).unwrap_or_default()
    }

    /// A header's value, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Reads one message; none when the connection was closed before it began.
///
/// `to_end`: a body without a length goes on until the connection is closed, as a response's does.
pub(super) fn read_message(from: &mut impl BufRead, to_end: bool) -> io::Result<Option<Message>> {
    let mut left = LONGEST_HEAD;
    let Some(start) = read_line(from, &mut left)? else { return Ok(None) };
    let mut message = Message { start, ..Default::default() };
    loop {
        let line = read_line(from, &mut left)?.ok_or_else(|| bad("the head breaks off"))?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header has no colon"))?;
        message.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_string()));
    }
    let chunked = message.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
    let length = message.header("content-length").map(str::to_string);
    message.body = match length {
        _ if chunked => read_chunks(from)?,
        Some(length) => {
            let length = length.parse().map_err(|_| bad("the content-length is no number"))?;
            read_exactly(from, length)?
        }
        None if to_end => {
            let mut body = Vec::new();
            from.take(LONGEST_BODY).read_to_end(&mut body)?;
            body
        }
        None => Vec::new(),
    };
    Ok(Some(message))
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(from, &mut { LONGEST_HEAD })?.ok_or_else(|| bad("the chunks break off"))?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| bad("a chunk has no size"))?;
        if size.saturating_add(body.len() as u64) > LONGEST_BODY {
            return Err(bad("the body is too long"));
        }
        body.extend(read_exactly(from, size)?);
        // After the data its line end; after the last chunk the trailers, up to an empty line.
        while !read_line(from, &mut { LONGEST_HEAD })?.ok_or_else(|| bad("the chunks break off"))?.is_empty()
        {
        }
        if size == 0 {
            return Ok(body);
        }
    }
}

fn read_exactly(from: &mut impl BufRead, length: u64) -> io::Result<Vec<u8>> {
    if length > LONGEST_BODY {
        return Err(bad("the body is too long"));
    }
    let mut body = Vec::new();
    from.take(length).read_to_end(&mut body)?;
    if body.len() as u64 == length { Ok(body) } else { Err(bad("the body breaks off")) }
}

/// A line without its end; none at the end of the stream.
fn read_line(from: &mut impl BufRead, left: &mut u64) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let read = from.take(*left).read_until(b'\n', &mut line)? as u64;
    *left = left.saturating_sub(read);
    match line.strip_suffix(b"\n") {
        Some(text) => {
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            Ok(Some(String::from_utf8_lossy(text).into_owned()))
        }
        None if read == 0 && *left > 0 => Ok(None),
        None => Err(bad("a line breaks off or is too long")),
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, to_end: bool) -> io::Result<Option<Message>> {
        read_message(&mut io::Cursor::new(text), to_end)
    }

    #[test]
    fn bodies_of_every_kind() {
        let by_length = read("POST /v1 HTTP/1.1\r\nContent-Length: 2\r\n\r\nabc", false).unwrap().unwrap();
        assert_eq!(
            (by_length.word(0), by_length.word(1), by_length.body.as_slice()),
            ("POST", "/v1", &b"ab"[..])
        );
        let chunks =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n";
        assert_eq!(read(chunks, true).unwrap().unwrap().body, b"abc");
        assert_eq!(read("HTTP/1.1 200 OK\n\nabc", true).unwrap().unwrap().body, b"abc");
        assert_eq!(read("GET / HTTP/1.1\n\nabc", false).unwrap().unwrap().body, b"");
        assert_eq!(read("", false).unwrap(), None);
    }

    #[test]
    fn what_breaks_off_is_an_error() {
        for text in [
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
            "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nno colon\r\n\r\n",
            "POST / HTTP/1.1\r\nA: b",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        ] {
            assert!(read(text, false).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(GET / HTTP/1.1\n)?(transfer-encoding: chunked\n|content-length: [0-9]{1,20}\n)?\n?.{0,40}") {
            let _ = read(&text, true);
        }
    }
}
