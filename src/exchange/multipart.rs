//! Forms of several parts (RFC 7578), and what stays of them when the boundary, which clients draw at random, is taken out.

use std::borrow::Cow;

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'b> {
    /// Name of its field; empty when it has none.
    pub name: String,
    /// Name of the file in it.
    pub file: Option<String>,
    /// Its bytes.
    pub body: &'b [u8],
}

/// The boundary that a `content-type` names, of any kind of multipart body.
pub fn boundary(content_type: Option<&str>) -> Option<String> {
    let content_type = content_type?;
    let kind = content_type.trim_start().get(..10)?;
    let found = parameter(content_type, "boundary").filter(|b| !b.is_empty());
    found.filter(|_| kind.eq_ignore_ascii_case("multipart/"))
}

/// The value of a parameter of a header: `name=value` or `name="value"`, behind a semicolon.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header;
    while let Some(at) = rest.find(';') {
        rest = rest.get(at + 1..)?.trim_start();
        let Some((key, value)) = rest.split_once('=') else { continue };
        let quoted = value.strip_prefix('"');
        let (text, after) = match quoted {
            Some(inside) => read_quoted(inside),
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value.get(..end)?.trim().to_string(), value.get(end..)?)
            }
        };
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(text);
        }
        rest = after;
    }
    None
}

/// Reads to the closing quote; gives the text and what follows.
fn read_quoted(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (out, text.get(at + 1..).unwrap_or_default()),
            '\\' => out.extend(letters.next().map(|(_, escaped)| escaped)),
            letter => out.push(letter),
        }
    }
    (out, "")
}

/// Where the delimiters of a body stand: each from its two hyphens to the end of its boundary, at the start of a line.
fn delimiters<'b>(boundary: &str, body: &'b [u8]) -> impl Iterator<Item = (usize, usize)> + 'b {
    let needle = format!("--{boundary}").into_bytes();
    let length = needle.len();
    let found: Vec<usize> = memchr::memmem::find_iter(body, &needle).collect();
    let at_line = |at: &usize| at.checked_sub(1).is_none_or(|before| body.get(before) == Some(&b'\n'));
    found.into_iter().filter(at_line).map(move |at| (at, at + length))
}

/// The body as it is compared: every delimiter without its boundary. A body of another kind is compared as it is.
pub fn without_boundary<'b>(content_type: Option<&str>, body: &'b [u8]) -> Cow<'b, [u8]> {
    let Some(boundary) = boundary(content_type) else { return Cow::Borrowed(body) };
    let mut out = Vec::with_capacity(body.len());
    let mut done = 0;
    for (start, end) in delimiters(&boundary, body) {
        out.extend_from_slice(body.get(done..start).unwrap_or_default());
        out.extend_from_slice(b"--");
        done = end;
    }
    match done {
        0 => Cow::Borrowed(body),
        _ => {
            out.extend_from_slice(body.get(done..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// The parts of a form, as far as it came.
pub fn parts<'b>(content_type: Option<&str>, body: &'b [u8]) -> Vec<Part<'b>> {
    let Some(boundary) = boundary(content_type) else { return Vec::new() };
    let places: Vec<(usize, usize)> = delimiters(&boundary, body).collect();
    let part = |i: usize, (_, start): (usize, usize)| {
        let end = places.get(i + 1).map_or(body.len(), |(start, _)| *start);
        let text = body.get(start..end)?;
        // The last delimiter ends in two hyphens, and nothing of the form follows it.
        let text = text.strip_prefix(b"\r\n").or(text.strip_prefix(b"\n"))?;
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let (head, body) = match memchr::memmem::find(text, b"\r\n\r\n") {
            Some(at) => (text.get(..at)?, text.get(at + 4..)?),
            None => match memchr::memmem::find(text, b"\n\n") {
                Some(at) => (text.get(..at)?, text.get(at + 2..)?),
                None => (text, &[][..]),
            },
        };
        let head = String::from_utf8_lossy(head).into_owned();
        let said = head.lines().find(|l| l.to_ascii_lowercase().starts_with("content-disposition:"));
        let said = said.unwrap_or_default();
        Some(Part {
            name: parameter(said, "name").unwrap_or_default(),
            file: parameter(said, "filename"),
            body,
        })
    };
    places.iter().enumerate().filter_map(|(i, place)| part(i, *place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(boundary: &str) -> (String, Vec<u8>) {
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".mp3\"\r\nContent-Type: audio/mpeg\r\n\r\nID3 --{boundary}\n\r\n--{boundary}--\r\n"
        );
        (format!("multipart/form-data; charset=utf-8; boundary=\"{boundary}\""), body.into_bytes())
    }

    #[test]
    fn the_same_form_is_the_same_under_any_boundary() {
        let (kind, body) = form("aaa");
        let (other_kind, other) = form("0f9-b");
        let plain = without_boundary(Some(&kind), &body);
        assert!(plain.starts_with(b"--\r\nContent-Disposition") && plain.ends_with(b"\r\n----\r\n"));
        // A boundary inside of a line is content.
        let inside = |body: &[u8], text: &str| memchr::memmem::find(body, text.as_bytes()).is_some();
        assert!(inside(&plain, "ID3 --aaa\n"));
        let same = String::from_utf8(other).unwrap().replace("ID3 --0f9-b", "ID3 --aaa").into_bytes();
        assert_eq!(without_boundary(Some(&other_kind), &same), plain);
        for kind in [None, Some("application/json; boundary=aaa"), Some("multipart/form-data")] {
            assert_eq!(&*without_boundary(kind, &body), &body[..]);
        }
    }

    #[test]
    fn parts_have_names_files_and_bodies() {
        let (kind, body) = form("x.y");
        let parts = parts(Some(&kind), &body);
        let part = |name: &str, file: Option<&str>, body| Part {
            name: name.into(),
            file: file.map(str::to_string),
            body,
        };
        assert_eq!(
            parts,
            [part("model", None, &b"whisper-1"[..]), part("file", Some("a \"b\".mp3"), &b"ID3 --x.y\n"[..])]
        );
    }

    proptest! {
        #[test]
        fn junk_never_panics(kind in ".{0,60}", name in "[a-z]{1,3}", body in prop::collection::vec(prop_oneof![Just(b'-'), Just(b'\n'), Just(b'\r'), Just(b'a'), any::<u8>()], 0..80)) {
            for kind in [kind, format!("multipart/mixed; boundary={name}")] {
                without_boundary(Some(&kind), &body);
                parts(Some(&kind), &body);
            }
        }
    }
}
