//! A compressed body, decoded for the eye: the wire bytes stand beside it and are what counts.

use crate::exchange::encoding;
use std::borrow::Cow;

/// Most bytes of a view.
const MOST: usize = 64 * 1024;

/// The text of a body with this `content-encoding`, as far as it can be decoded and read, cut to 64 KiB.
pub(super) fn decoded(encoding: &str, body: &[u8]) -> Option<String> {
    let decoded = encoding::decode_up_to(MOST, Some(encoding), body);
    let Cow::Owned(bytes) = decoded.bytes else { return None };
    let mut text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // A character may be cut in two at the end; anything else is no text.
        Err(error) if error.as_bytes().len() - error.utf8_error().valid_up_to() < 4 => {
            let valid = error.utf8_error().valid_up_to();
            String::from_utf8(error.into_bytes().get(..valid)?.to_vec()).ok()?
        }
        Err(_) => return None,
    };
    if text.is_empty() {
        return None;
    }
    if decoded.broken.is_some() {
        text.push('…');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_and_zstd_are_read_and_cut() {
        assert_eq!(decoded("gzip", &gzip(b"hello")).as_deref(), Some("hello"));
        assert_eq!(decoded("zstd", &zstd::encode_all(&b"hello"[..], 3).unwrap()).as_deref(), Some("hello"));
        let long = decoded("GZIP", &gzip("é".repeat(MOST).as_bytes())).unwrap();
        assert!(long.ends_with("é…") && long.len() <= MOST + 3, "{}", long.len());
        let text = (0..5000).map(|n| format!("{n} ")).collect::<String>();
        let whole = gzip(text.as_bytes());
        let half = decoded("gzip", &whole[..whole.len() / 2]).unwrap();
        assert!(half.len() > 1000 && half.starts_with("0 1 2 ") && half.ends_with('…'), "{half}");
    }

    #[test]
    fn what_is_no_text_has_no_view() {
        assert_eq!(decoded("gzip", b"not gzip"), None);
        assert_eq!(decoded("gzip", &gzip(&[0xff; 100])), None);
        assert_eq!(decoded("identity", b"x"), None);
        assert_eq!(decoded("unheard-of", b"x"), None);
    }
}
