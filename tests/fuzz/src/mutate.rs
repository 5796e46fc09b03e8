//! Mutations of inputs: of bytes, of tokens, and of nesting.

use std::ops::Range;

use flyball_decision::hash::{SPLIT_MIX_STEP, split_mix};

/// A sequence of numbers: those of an input while it lasts, then those of a seed (SplitMix64).
pub struct Random<'a> {
    input: &'a [u8],
    state: u64,
}

impl<'a> Random<'a> {
    /// The numbers of a seed.
    fn seeded(seed: u32) -> Self {
        Self {
            input: &[],
            state: seed.into(),
        }
    }

    /// The numbers of an input, two bytes each.
    pub fn of(input: &'a [u8]) -> Self {
        Self { input, state: 0 }
    }

    fn next(&mut self) -> u64 {
        if let Some((bytes, rest)) = self.input.split_first_chunk() {
            self.input = rest;
            return u16::from_le_bytes(*bytes).into();
        }
        let number = split_mix(self.state);
        self.state = self.state.wrapping_add(SPLIT_MIX_STEP);
        number
    }

    /// A number below `end`; 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap().max(1);
        usize::try_from(self.next() % end).unwrap()
    }

    fn range(&mut self, length: usize, most: usize) -> Range<usize> {
        let start = self.below(length + 1);
        let end = start + self.below(most.min(length - start) + 1);
        start..end
    }
}

/// Bits of text that parsers treat in a way of their own.
const TOKENS: [&str; 34] = [
    "0",
    "-0",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e999",
    "-1e-999",
    "0.1",
    "NaN",
    ".inf",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\u{1b}[31m",
    "\u{202e}",
    "\r\n",
    "\u{0}",
    "../../kube-system",
    "?x=",
    "%2f",
    "1Ei",
    "1e2147483648",
    "0.000000000000000000001n",
    "!",
    " notin (",
    "&a *a ",
    "<<: ",
    "!!binary ",
    "\u{feff}",
];

/// Returns a mutation of an input, of at most `max_size` bytes. Parts of it can come from
/// other inputs.
pub fn mutated(input: &[u8], others: &[Vec<u8>], max_size: usize, seed: u32) -> Vec<u8> {
    let mut random = Random::seeded(seed);
    let mut input = input.to_vec();
    for _ in 0..=random.below(6) {
        mutate(&mut input, others, max_size, &mut random);
        input.truncate(max_size);
    }
    input
}

fn mutate(input: &mut Vec<u8>, others: &[Vec<u8>], max_size: usize, random: &mut Random) {
    let length = input.len();
    match random.below(11) {
        0 if length > 0 => input[random.below(length)] ^= 1 << random.below(8),
        1 if length > 0 => {
            let bytes = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'\n'];
            input[random.below(length)] = bytes[random.below(bytes.len())];
        }
        2 => {
            input.drain(random.range(length, 64));
        }
        3 => {
            let part = input[random.range(length, 256)].to_vec();
            let at = random.below(length + 1);
            let times = [1, 2, 100, 1000][random.below(4)];
            let part = part.repeat(times.min(max_size / part.len().max(1)));
            input.splice(at..at, part);
        }
        4 if !others.is_empty() => {
            let other = &others[random.below(others.len())];
            let part = other[random.range(other.len(), 1024)].to_vec();
            let at = random.range(length, 64);
            input.splice(at, part);
        }
        5 | 6 => {
            let token = TOKENS[random.below(TOKENS.len())];
            let at = random.below(length + 1);
            input.splice(at..at, token.bytes());
        }
        7 | 8 => {
            // Replaces a word, such as a number or a name.
            let start = random.below(length + 1);
            let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
            let start = start + input[start..].iter().take_while(|b| !is_word(b)).count();
            let end = start + input[start..].iter().take_while(|b| is_word(b)).count();
            let token = TOKENS[random.below(TOKENS.len())];
            input.splice(start..end, token.bytes());
        }
        9 => {
            let (open, close) =
                [("[", "]"), ("{\"a\":", "}"), ("- ", ""), ("(", ")")][random.below(4)];
            let depth = [2, 70, 200, 20_000][random.below(4)];
            let at = random.below(length + 1);
            let nested = [open.repeat(depth), close.repeat(depth)].concat();
            input.splice(at..at, nested.bytes());
        }
        _ => input.truncate(random.below(length + 1)),
    }
}
