//! How bytes are bent.

/// What readers may mind.
const WORDS: [&[u8]; 28] = [
    b"0",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"0x",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"\"\"",
    b"\\u0000",
    b"\\ud800",
    b"\xff\xfe",
    b"\x00",
    b"..",
    b"%2f",
    b"%",
    b";",
    b"?",
    b"@",
    b",",
    b"\r\n",
    b"\n\n",
    b"-----BEGIN",
    b"\x30\x84\xff\xff\xff\xff",
    b"\x02\x01\x00",
    b"\xe2\x80\x94 ",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

/// Inputs are not longer than this.
const LONGEST: usize = 64 * 1024;

/// Numbers that look random and are the same in each run.
pub(super) struct Bender(u64);

impl Bender {
    pub(super) fn new(start: u64) -> Self {
        Self(start)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    /// One of these, bent a few times.
    pub(super) fn bend(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(6) {
            self.bend_once(&mut bytes, seeds);
            bytes.truncate(LONGEST);
        }
        bytes
    }

    fn bend_once(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let (from, to) = self.range(bytes.len());
        match self.below(9) {
            0 => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte = u8::try_from(self.below(256)).unwrap();
                }
            }
            2 => drop(bytes.drain(from..to)),
            3 => {
                let again = bytes[from..to].to_vec();
                bytes.splice(to..to, again);
            }
            4 => bytes.truncate(from),
            5 => {
                let word = WORDS[self.below(WORDS.len())];
                bytes.splice(from..from, word.iter().copied());
            }
            6 => {
                let word = WORDS[self.below(WORDS.len())];
                bytes.splice(from..to, word.iter().copied());
            }
            7 => {
                let other = seeds[self.below(seeds.len())].clone();
                let (first, last) = self.range(other.len());
                bytes.splice(from..to, other[first..last].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte = byte.wrapping_add(1);
                }
            }
        }
    }

    /// A short stretch, mostly.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let from = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 8 };
        let to = (from + self.below(most + 1)).min(length);
        (from, to)
    }
}
