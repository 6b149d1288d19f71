//! `multipart/form-data`, whole in memory.

use memchr::memmem;

/// A part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Its name in the form.
    pub name: String,
    /// Its bytes.
    pub body: &'a [u8],
}

/// The boundary that a content type says.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let said = parameters.split(';').find_map(|of| {
        let (name, value) = of.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_string())
    })?;
    // RFC 2046 has 70 characters at most.
    (!said.is_empty() && said.len() <= 200).then_some(said)
}

/// The parts that have a name, in order.
///
/// # Errors
/// When it does not begin with the boundary.
pub(super) fn parts<'a>(boundary: &str, body: &'a [u8]) -> Result<Vec<Part<'a>>, String> {
    let first = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let start = memmem::find(body, first.as_bytes()).ok_or("the body has no part")?;
    let mut rest = body.get(start + first.len()..).unwrap_or_default();
    let finder = memmem::Finder::new(between.as_bytes());
    let mut found = Vec::new();
    while !rest.starts_with(b"--") {
        let Some(inside) = memmem::find(rest, b"\r\n").and_then(|at| rest.get(at + 2..)) else { break };
        let end = finder.find(inside).unwrap_or(inside.len());
        let part = inside.get(..end).unwrap_or_default();
        found.extend(read(part));
        match inside.get(end + between.len()..) {
            Some(next) => rest = next,
            None => break,
        }
    }
    Ok(found)
}

fn read(part: &[u8]) -> Option<Part<'_>> {
    let end = memmem::find(part, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(part.get(..end)?);
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let name = disposition.split(';').find_map(|of| of.trim().strip_prefix("name="))?;
    Some(Part { name: name.trim_matches('"').to_string(), body: part.get(end + 4..)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_whatever_stands_in_them() {
        let body = b"before\r\n--x\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: text/plain\r\n\r\none\r\n-- two\
            \r\n--x\r\ncontent-disposition: form-data; name=b; filename=\"c\"\r\n\r\n\r\n--x\r\nno name\r\n\r\nlost\r\n--x--\r\n";
        let part = |name: &str, body: &'static [u8]| Part { name: name.into(), body };
        assert_eq!(parts("x", body), Ok(vec![part("a", b"one\r\n-- two"), part("b", b"")]));
        assert_eq!(parts("x", b"--x--\r\n"), Ok(vec![]));
        for cut in [&b"--x"[..], b"--x\r\n", b"--x\r\nContent-Disposition: form-data; name=\"a\""] {
            assert_eq!(parts("x", cut), Ok(vec![]), "{cut:?}");
        }
        assert!(parts("x", b"nothing").is_err());
    }

    #[test]
    fn boundaries() {
        let of = |text: &str| boundary(text);
        assert_eq!(of("multipart/form-data; charset=x; Boundary=\"a b\""), Some("a b".into()));
        for bad in ["multipart/form-data", "multipart/mixed; boundary=x", "multipart/form-data; boundary="] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
