//! Numbers of one to ten bytes (LEB128), as they stand in blocks, lists and footers.

/// Appends a number, seven bits a byte, low bits first.
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number; small ones of either sign are short.
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Reads numbers and byte strings off the front of a slice.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a>(
    /// What has not been read yet.
    pub &'a [u8],
);

impl<'a> Cursor<'a> {
    /// The next number; none when the bytes end first or it has more than 64 bits.
    pub fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (i, &byte) in self.0.iter().enumerate().take(10) {
            let low = u64::from(byte & 0x7f);
            if i == 9 && low > 1 {
                return None;
            }
            value |= low << (7 * i);
            if byte & 0x80 == 0 {
                self.0 = self.0.get(i + 1..)?;
                return Some(value);
            }
        }
        None
    }

    /// The next number, if it fits.
    pub fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    /// The next signed number.
    pub fn signed(&mut self) -> Option<i64> {
        let raw = self.number()?;
        Some(((raw >> 1) as i64) ^ -((raw & 1) as i64))
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(values in prop::collection::vec(any::<u64>(), 0..20), signed in any::<i64>()) {
            let mut out = Vec::new();
            for &v in &values {
                put(&mut out, v);
            }
            put_signed(&mut out, signed);
            let mut cursor = Cursor(&out);
            for &v in &values {
                prop_assert_eq!(cursor.number(), Some(v));
            }
            prop_assert_eq!(cursor.signed(), Some(signed));
            prop_assert!(cursor.0.is_empty());
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut cursor = Cursor(&bytes);
            while cursor.number().is_some() {}
        }
    }

    #[test]
    fn overlong_and_cut_numbers_are_refused() {
        assert_eq!(Cursor(&[0x80; 11]).number(), None);
        assert_eq!(Cursor(&[0xff; 9]).number(), None);
        assert_eq!(Cursor(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).number(), None);
    }
}
