//! Hashes and pseudo-random numbers that are the same on every machine and in every
//! version.

/// FNV-1a of 64 bits.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Increment of a generator's state from one number to the next ([`split_mix`]).
pub const SPLIT_MIX_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns the number of a `SplitMix64` generator in this state: seeds that differ in few
/// bits give numbers that differ in about half of them.
#[must_use]
pub fn split_mix(state: u64) -> u64 {
    let value = state.wrapping_add(SPLIT_MIX_STEP);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::{fnv1a, split_mix};

    /// Both affect records. The values are those of the algorithms' authors.
    #[test]
    fn hash_and_chance_never_change() {
        assert_eq!(fnv1a([]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(*b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(split_mix(0), 0xe220_a839_7b1d_cdaf);
    }
}
