//! Stateless random numbers: a value depends only on the numbers that it is drawn for,
//! not on the order or number of draws.

use flyball_decision::hash::{SPLIT_MIX_STEP, fnv1a, split_mix};

/// Letters of generated names: without vowels, as in Kubernetes.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Number of different names with five of these letters.
const NAMES: u64 = 27u64.pow(5);

/// Returns five letters, different ones for each `id` (until all names are used up).
pub fn suffix(seed: u64, id: u64) -> String {
    // The factor is odd and not a multiple of 3, so different ids give different numbers.
    let number = (seed % NAMES + id % NAMES * 7_654_321) % NAMES;
    let letters = (0..5).map(|place| (number / 27u64.pow(place)) % 27);
    letters
        .map(|letter| ALPHABET[letter as usize] as char)
        .collect()
}

/// Returns a random number for these numbers.
pub fn draw(parts: &[u64]) -> u64 {
    parts.iter().fold(SPLIT_MIX_STEP, |state, part| {
        split_mix(state ^ split_mix(*part))
    })
}

/// Returns a number for a name, as an argument of [`draw`].
pub fn name(text: &str) -> u64 {
    fnv1a(text.bytes())
}

/// Converts a draw to a number in [0, 1), evenly distributed.
pub fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64
}

/// Converts a draw to a number with mean 0 and deviation 1, in nearly a normal
/// distribution but within ±3.5: the sum of four even ones, which needs no logarithm.
pub fn normal(draw: u64) -> f64 {
    let sum: u64 = (0..4).map(|part| (draw >> (16 * part)) & 0xffff).sum();
    // The variance of the sum of n even numbers from 0 to 1 is n / 12.
    ((sum as f64 + 2.0) / 65_536.0 - 2.0) * 3f64.sqrt()
}

/// Returns smooth noise from -1 to 1: one draw for each whole number, interpolated
/// between them.
pub fn smooth_noise(seed: u64, at: f64) -> f64 {
    let knot = at.floor();
    // The conversion saturates for times that are never simulated.
    let index = knot as i64;
    let value = |index: i64| 2.0 * unit(draw(&[seed, index.cast_unsigned()])) - 1.0;
    let (before, after) = (value(index), value(index.saturating_add(1)));
    before + (after - before) * (at - knot)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{draw, normal, smooth_noise, suffix, unit};

    #[test]
    fn no_two_pods_share_a_name() {
        let names: BTreeSet<String> = (0..100_000).map(|id| suffix(42, id)).collect();
        assert_eq!(names.len(), 100_000);
    }

    #[test]
    fn draws_are_shaped_as_promised() {
        let count = 100_000u64;
        let draws: Vec<u64> = (0..count).map(|n| draw(&[7, n])).collect();
        let mean = |f: fn(u64) -> f64| draws.iter().map(|d| f(*d)).sum::<f64>() / count as f64;
        assert!((mean(unit) - 0.5).abs() < 0.01);
        assert!(mean(normal).abs() < 0.01);
        assert!((mean(|d| normal(d) * normal(d)) - 1.0).abs() < 0.02);
        assert!(draws.iter().all(|d| normal(*d).abs() <= 3.5));
        let steps = (0..1000).map(|n| smooth_noise(3, f64::from(n) / 10.0));
        assert!(steps.into_iter().all(|value| value.abs() <= 1.0));
    }

    #[test]
    fn a_draw_never_changes() {
        // Otherwise scenarios would run differently after an update.
        assert_eq!(draw(&[1, 2, 3]), draw(&[1, 2, 3]));
        assert_ne!(draw(&[1, 2, 3]), draw(&[1, 3, 2]));
        assert_eq!(draw(&[]), 0x9e37_79b9_7f4a_7c15);
    }
}
