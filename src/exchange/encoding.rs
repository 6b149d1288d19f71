//! Content encodings: gzip, brotli, zstd, deflate. For reading only; what is stored and served stays encoded.

use std::borrow::Cow;
use std::io::{BufRead, ErrorKind, Read};

/// The most that a body may grow to, in bytes: a few kilobytes can be made to unpack to gigabytes.
pub const MAX_DECODED: usize = 256 << 20;

/// The most encodings that a body may be in, one inside of the other: each costs what the whole body costs.
const MOST_LAYERS: usize = 8;

/// Window of a zstd frame, as a power of two: HTTP allows 8 MB (RFC 9659), some senders use more.
const ZSTD_WINDOW_LOG: u32 = 27;

/// What could be decoded of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The bytes; borrowed when the body is not encoded.
    pub bytes: Cow<'a, [u8]>,
    /// Why this is not all of it: the body was cut off, damaged, too large, or in an unknown encoding (then `bytes`
    /// is what goes into that encoding). None when it is whole.
    pub broken: Option<String>,
}

/// Decodes a body. `content_encoding` is the header's value: `gzip`, or several in a row (`gzip, br`).
///
/// # Errors
/// A sentence when an encoding is unknown, the body is damaged or cut off, or larger than [`MAX_DECODED`].
pub fn decode<'a>(content_encoding: Option<&str>, body: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let decoded = decode_what_is_there(content_encoding, body);
    match decoded.broken {
        Some(why) => Err(why),
        None => Ok(decoded.bytes),
    }
}

/// Like [`decode`], for a body that may be cut off: gives what can be read of it and says what is wrong.
pub fn decode_what_is_there<'a>(content_encoding: Option<&str>, body: &'a [u8]) -> Decoded<'a> {
    decode_up_to(MAX_DECODED, content_encoding, body)
}

/// Like [`decode_what_is_there`], for the beginning of a body: stops after `most` bytes, and then it is broken.
pub fn decode_up_to<'a>(most: usize, content_encoding: Option<&str>, body: &'a [u8]) -> Decoded<'a> {
    let mut decoded = Decoded { bytes: Cow::Borrowed(body), broken: None };
    let layers = content_encoding.unwrap_or_default().split(',').filter(|name| !is_plain(name)).count();
    if layers > MOST_LAYERS {
        decoded.broken =
            Some(format!("the body is in {layers} content encodings, and {MOST_LAYERS} are the most"));
        return decoded;
    }
    // They are listed in the order in which they were applied.
    for name in content_encoding.unwrap_or_default().rsplit(',').map(str::trim) {
        // A response to HEAD, or a 304, names an encoding and has no body.
        if decoded.bytes.is_empty() {
            break;
        }
        let (bytes, broken) = match name.to_ascii_lowercase().as_str() {
            "" | "identity" => continue,
            "gzip" | "x-gzip" => drain(flate2::bufread::MultiGzDecoder::new(&*decoded.bytes), most),
            "deflate" => inflate(&decoded.bytes, most),
            "br" => drain(brotli_decompressor::Decompressor::new(&*decoded.bytes, 64 << 10), most),
            "zstd" => unzstd(&decoded.bytes, most),
            _ => {
                decoded.broken = Some(format!("the content encoding {name:?} is unknown"));
                return decoded;
            }
        };
        decoded.bytes = Cow::Owned(bytes);
        let why = broken.map(|what| format!("the {name} body cannot be decoded whole: {what}"));
        decoded.broken = decoded.broken.or(why);
    }
    decoded
}

fn is_plain(name: &str) -> bool {
    let name = name.trim();
    name.is_empty() || name.eq_ignore_ascii_case("identity")
}

/// `deflate` is zlib by the standard and raw deflate by habit of some servers.
fn inflate(bytes: &[u8], most: usize) -> (Vec<u8>, Option<String>) {
    let zlib = bytes.len() >= 2
        && bytes[0] & 0x0f == 8
        && u16::from_be_bytes([bytes[0], bytes[1]]).is_multiple_of(31);
    match zlib {
        true => drain(flate2::bufread::ZlibDecoder::new(bytes), most),
        false => drain(flate2::bufread::DeflateDecoder::new(bytes), most),
    }
}

fn unzstd(bytes: &[u8], most: usize) -> (Vec<u8>, Option<String>) {
    match zstd::stream::read::Decoder::with_buffer(bytes) {
        Ok(mut decoder) => match decoder.window_log_max(ZSTD_WINDOW_LOG) {
            Ok(()) => drain(decoder, most),
            Err(e) => (Vec::new(), Some(e.to_string())),
        },
        Err(e) => (Vec::new(), Some(e.to_string())),
    }
}

/// Reads to the end, keeping what came before an error.
fn drain(reader: impl Read, most: usize) -> (Vec<u8>, Option<String>) {
    let mut reader = std::io::BufReader::with_capacity(32 << 10, reader);
    let mut out = Vec::new();
    loop {
        let used = match reader.fill_buf() {
            Ok([]) => return (out, None),
            Ok(chunk) => {
                let fits = chunk.len().min(most - out.len());
                out.extend_from_slice(&chunk[..fits]);
                if fits < chunk.len() {
                    return (out, Some(format!("it unpacks to more than {most} bytes")));
                }
                fits
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return (out, Some("it is cut off".into())),
            Err(e) => return (out, Some(e.to_string())),
        };
        reader.consume(used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 3).unwrap()
    }

    /// `hello hello hello` in brotli (no encoder is built in).
    const BROTLI: &[u8] =
        &[27, 16, 0, 248, 141, 148, 110, 222, 68, 85, 134, 150, 108, 32, 111, 1, 79, 28, 96, 28];

    /// Two million zeros in brotli.
    const BOMB: &[u8] = &[155, 255, 255, 31, 248, 39, 0, 226, 177, 64, 32, 247, 254, 3];

    #[test]
    fn every_encoding_is_read() {
        let text = b"hello hello hello";
        for (name, body) in [
            ("gzip", gzip(text)),
            ("X-GZIP", gzip(text)),
            ("deflate", zlib(text)),
            ("deflate", raw_deflate(text)),
            ("zstd", zstd(text)),
            ("br", BROTLI.to_vec()),
            ("identity", text.to_vec()),
            ("gzip, zstd", zstd(&gzip(text))),
        ] {
            assert_eq!(decode(Some(name), &body).unwrap(), &text[..], "{name}");
        }
        assert_eq!(decode(None, text).unwrap(), &text[..]);
        assert!(decode(Some("snappy"), text).unwrap_err().contains("snappy"));
        assert_eq!(decode(Some("gzip"), b"").unwrap(), &b""[..]);
    }

    #[test]
    fn a_cut_off_body_gives_its_beginning() {
        let text: Vec<u8> =
            (0..200_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for (name, body) in [("gzip", gzip(&text)), ("zstd", zstd(&text)), ("deflate", zlib(&text))] {
            let cut = &body[..body.len() / 2];
            assert!(decode(Some(name), cut).is_err(), "{name}");
            let there = decode_what_is_there(Some(name), cut);
            assert!(there.bytes.len() > 100_000 && text.starts_with(&there.bytes), "{name}");
            assert!(there.broken.is_some(), "{name}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_bound() {
        let bomb = gzip(&vec![0; 100_000]);
        let (out, why) = drain(flate2::bufread::MultiGzDecoder::new(&bomb[..]), 1000);
        assert_eq!(out.len(), 1000);
        assert!(why.unwrap().contains("1000"));
    }

    #[test]
    fn a_bomb_of_any_encoding_and_a_bomb_in_a_bomb_stop_at_the_bound() {
        const MOST: usize = 1 << 20;
        let zeros = vec![0; MOST + 1];
        let bombs = [
            ("gzip", gzip(&zeros)),
            ("deflate", zlib(&zeros)),
            ("deflate", raw_deflate(&zeros)),
            ("zstd", zstd(&zeros)),
            ("br", BOMB.to_vec()),
            ("gzip, gzip", gzip(&gzip(&vec![0; 200 << 10].repeat(40)))),
            ("zstd, deflate", zlib(&zstd(&zeros))),
        ];
        for (name, bomb) in bombs {
            let out = decode_up_to(MOST, Some(name), &bomb);
            assert!(bomb.len() < MOST / 50 && out.bytes.len() == MOST, "{name}: {}", out.bytes.len());
            assert!(out.broken.unwrap().contains("unpacks to more than"), "{name}");
        }
        let many = ["gzip"; MOST_LAYERS + 1].join(",");
        assert!(decode(Some(&many), &gzip(b"x")).unwrap_err().contains("9 content encodings"));
        assert_eq!(decode(Some(&["identity"; 50].join(",")), b"x").unwrap(), &b"x"[..]);
    }

    proptest! {
        #[test]
        fn damage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
            for name in ["gzip", "deflate", "br", "zstd"] {
                let _ = decode_what_is_there(Some(name), &bytes);
            }
            for (name, mut body) in [("gzip", gzip(&bytes)), ("zstd", zstd(&bytes)), ("deflate", zlib(&bytes))] {
                prop_assert_eq!(&*decode(Some(name), &body).unwrap(), &bytes[..]);
                body.truncate(cut);
                prop_assert!(bytes.starts_with(&decode_what_is_there(Some(name), &body).bytes));
            }
        }
    }
}
