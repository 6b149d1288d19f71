//! Certificates in the one kind of file that every Java reads as a trust store: a JKS. (A PKCS#12 file would have to carry
//! attributes of Java's own, and PEM is none of its kinds.)

use sha1::{Digest, Sha1};

const MAGIC: u32 = 0xFEED_FEED;
const VERSION: u32 = 2;
const TRUSTED_CERTIFICATE: u32 = 2;
/// Java's own stores have it. The file holds no secret, and is read without a password too.
const PASSWORD: &str = "changeit";

/// A store of certificates (DER), all trusted.
pub(super) fn store<'a>(certificates: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut count: u32 = 0;
    for der in certificates {
        // A longer one than a number can say is no certificate.
        let Ok(length) = u32::try_from(der.len()) else { continue };
        entries.extend(TRUSTED_CERTIFICATE.to_be_bytes());
        text(&format!("retake-{count}"), &mut entries);
        // When it was made, which nobody asks.
        entries.extend(0_u64.to_be_bytes());
        text("X.509", &mut entries);
        entries.extend(length.to_be_bytes());
        entries.extend(der);
        count += 1;
    }
    let mut store: Vec<u8> = [MAGIC, VERSION, count].into_iter().flat_map(u32::to_be_bytes).collect();
    store.extend(entries);
    let password: Vec<u8> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let digest = Sha1::new().chain_update(password).chain_update("Mighty Aphrodite").chain_update(&store);
    store.extend(digest.finalize());
    store
}

/// A short text behind its length.
fn text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u16).to_be_bytes());
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are those that Java 17 writes.
    #[test]
    fn an_empty_store_is_as_java_writes_it() {
        let hex: String = store(std::iter::empty()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "feedfeed0000000200000000e2686e45fb43dfa4d992dd41ceb6b21c6330d792");
    }

    #[test]
    fn each_certificate_is_an_entry() {
        let store = store([b"one".as_slice(), b"three".as_slice()].into_iter());
        assert_eq!(store[8..12], 2_u32.to_be_bytes());
        let entry = b"\0\0\0\x02\0\x08retake-0\0\0\0\0\0\0\0\0\0\x05X.509\0\0\0\x03one";
        assert_eq!(&store[12..12 + entry.len()], entry);
        assert_eq!(&store[store.len() - 25..store.len() - 20], b"three");
    }
}
