//! Mutations of inputs: the same for the same seed, on every machine.

/// Bytes that parsers stumble over.
const TOKENS: [&[u8]; 28] = [
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\0",
    b"\r",
    b"\n\n",
    b"\r\n\r\n",
    b"data: ",
    b"event: ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[[[[[[[[[[[[[[[[",
    b"\"",
    b"\\",
    b"\\ud800",
    b",",
    b":",
    b"null",
    b"-1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"4294967295",
    b"1e999",
    b"[DONE]",
    b"\xef\xbb\xbf",
    b"\xff\xff\xff\xff",
];

/// SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below another; 0 below 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.roll() % n as u64) as usize }
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        // Short ones mostly.
        let most = if self.below(4) == 0 { len - start } else { (len - start).min(16) };
        start..start + self.below(most + 1)
    }
}

/// One input made of a seed and others of the same corpus.
pub fn mutated(dice: &mut Dice, seed: &[u8], corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for _ in 0..1 + dice.below(4) {
        let range = dice.range(data.len());
        match dice.below(9) {
            0 => {
                if let Some(byte) = data.get_mut(range.start) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            1 => {
                if let Some(byte) = data.get_mut(range.start) {
                    *byte = dice.below(256) as u8;
                }
            }
            2 => drop(data.drain(range)),
            3 => {
                let again = data[range.clone()].to_vec();
                data.splice(range.start..range.start, again);
            }
            4 => data.truncate(range.end),
            5 => {
                let other = &corpus[dice.below(corpus.len())];
                let piece = other[dice.range(other.len())].to_vec();
                data.splice(range, piece);
            }
            6 => {
                let token = TOKENS[dice.below(TOKENS.len())];
                data.splice(range.start..range.start, token.iter().copied());
            }
            7 => {
                let token = TOKENS[dice.below(TOKENS.len())];
                data.splice(range, token.iter().copied());
            }
            _ => {
                let digits: Vec<usize> = (0..data.len()).filter(|at| data[*at].is_ascii_digit()).collect();
                if let Some(at) = digits.get(dice.below(digits.len())) {
                    data[*at] = b'0' + dice.below(10) as u8;
                }
            }
        }
    }
    data
}
