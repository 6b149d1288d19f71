//! How gRPC frames messages.

/// The one message of a call, and whether it is compressed.
///
/// # Errors
/// Says what is missing.
pub fn message(raw: &[u8]) -> Result<(bool, &[u8]), String> {
    let (head, message) = raw.split_at_checked(5).ok_or("the call holds no message")?;
    let [squeezed, length @ ..] = head else { return Err("the call holds no message".into()) };
    let length = length.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
    match message.get(..length) {
        Some(message) => Ok((*squeezed != 0, message)),
        None => Err(format!("the message should have {length} bytes and has {}", message.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_holds_one_message() {
        assert_eq!(message(b"\0\0\0\0\x02abc"), Ok((false, &b"ab"[..])));
        assert_eq!(message(b"\x01\0\0\0\0"), Ok((true, &b""[..])));
        for bad in [&b""[..], b"\0\0\0", b"\0\0\0\0\x05abc", b"\0\xff\xff\xff\xffabc"] {
            assert!(message(bad).is_err(), "{bad:?}");
        }
    }
}
