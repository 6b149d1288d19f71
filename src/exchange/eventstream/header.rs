//! The headers of a message: a name, a type and a value each.

use super::{MAX_HEADERS, TooLong};

/// A header's value.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderValue {
    /// True or false.
    Bool(bool),
    /// One byte, signed.
    Byte(i8),
    /// Two bytes, signed.
    Short(i16),
    /// Four bytes, signed.
    Int(i32),
    /// Eight bytes, signed.
    Long(i64),
    /// Any bytes, at most 65,535.
    Bytes(Vec<u8>),
    /// Text, at most 65,535 bytes.
    Text(String),
    /// Milliseconds since the Unix epoch.
    Timestamp(i64),
    /// The bytes of a UUID.
    Uuid([u8; 16]),
}

impl HeaderValue {
    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            HeaderValue::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Takes bytes from the front of others.
struct Taker<'b>(&'b [u8]);

impl<'b> Taker<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Bytes behind their own length.
    fn counted(&mut self) -> Option<&'b [u8]> {
        let length = u16::from_be_bytes(self.array()?);
        self.take(usize::from(length))
    }

    fn header(&mut self) -> Option<(String, HeaderValue)> {
        let [length] = self.array()?;
        let name = std::str::from_utf8(self.take(usize::from(length))?).ok()?.to_string();
        let [kind] = self.array()?;
        let value = match kind {
            0 => HeaderValue::Bool(true),
            1 => HeaderValue::Bool(false),
            2 => HeaderValue::Byte(i8::from_be_bytes(self.array()?)),
            3 => HeaderValue::Short(i16::from_be_bytes(self.array()?)),
            4 => HeaderValue::Int(i32::from_be_bytes(self.array()?)),
            5 => HeaderValue::Long(i64::from_be_bytes(self.array()?)),
            6 => HeaderValue::Bytes(self.counted()?.to_vec()),
            7 => HeaderValue::Text(std::str::from_utf8(self.counted()?).ok()?.to_string()),
            8 => HeaderValue::Timestamp(i64::from_be_bytes(self.array()?)),
            9 => HeaderValue::Uuid(self.array()?),
            _ => return None,
        };
        Some((name, value))
    }
}

/// Reads all headers; none when they do not end where they should.
pub(super) fn read_headers(bytes: &[u8]) -> Option<Vec<(String, HeaderValue)>> {
    let mut taker = Taker(bytes);
    let mut headers = Vec::new();
    while !taker.0.is_empty() {
        headers.push(taker.header()?);
    }
    Some(headers)
}

/// Writes headers.
pub(super) fn write_headers(headers: &[(&str, HeaderValue)]) -> Result<Vec<u8>, TooLong> {
    let mut out = Vec::new();
    for (name, value) in headers {
        out.push(u8::try_from(name.len()).map_err(|_| TooLong)?);
        out.extend_from_slice(name.as_bytes());
        let mut plain = |kind: u8, bytes: &[u8]| {
            out.push(kind);
            out.extend_from_slice(bytes);
        };
        match value {
            HeaderValue::Bool(yes) => plain(u8::from(!yes), &[]),
            HeaderValue::Byte(n) => plain(2, &n.to_be_bytes()),
            HeaderValue::Short(n) => plain(3, &n.to_be_bytes()),
            HeaderValue::Int(n) => plain(4, &n.to_be_bytes()),
            HeaderValue::Long(n) => plain(5, &n.to_be_bytes()),
            HeaderValue::Bytes(bytes) => plain(6, &counted(bytes)?),
            HeaderValue::Text(text) => plain(7, &counted(text.as_bytes())?),
            HeaderValue::Timestamp(n) => plain(8, &n.to_be_bytes()),
            HeaderValue::Uuid(bytes) => plain(9, bytes),
        }
    }
    if out.len() > MAX_HEADERS { Err(TooLong) } else { Ok(out) }
}

fn counted(bytes: &[u8]) -> Result<Vec<u8>, TooLong> {
    let length = u16::try_from(bytes.len()).map_err(|_| TooLong)?;
    Ok([&length.to_be_bytes(), bytes].concat())
}
