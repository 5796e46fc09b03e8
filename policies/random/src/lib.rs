//! The built-in policy `random`: one option, each with the same chance. The chance is
//! the input's seed: the same seed and number of options, the same choice.

use flyball_policy::{Expander, Ranking};

flyball_policy::expander_policy! {
    summary: "One option by chance",
    rank: rank,
}

/// Keeps one option.
pub fn rank(input: &Expander) -> Ranking {
    let count = input.options().len();
    let Some(option) = input.option(below(input.seed(), count)) else {
        return Ranking::none("there is no option");
    };
    let sentence = format!("{}, by chance among {count}", option.node_group());
    Ranking::keep([option.row()]).because("Random", sentence)
}

/// A number below `count`, or 0. Seeds of one object differ in few bits: they are
/// mixed first (the output function of SplitMix64).
fn below(seed: u64, count: usize) -> usize {
    let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // The remainder is smaller than `count`.
    mixed.checked_rem(count as u64).unwrap_or(0) as usize
}

#[cfg(test)]
mod tests {
    use flyball_policy::OptionSpec;

    use super::*;

    fn picked(seed: u64) -> usize {
        let groups = ["a", "b", "c", "d"].map(OptionSpec::group);
        let build = Expander::build().seed(seed);
        let input = groups
            .into_iter()
            .fold(build, |build, group| build.option(group));
        rank(&input.done()).best()[0]
    }

    #[test]
    fn each_option_has_its_chance_and_a_seed_decides_alike() {
        let mut counts = [0; 4];
        for seed in 0..1_000 {
            counts[picked(seed)] += 1;
            assert_eq!(picked(seed), picked(seed));
        }
        assert!(
            counts.iter().all(|&count| (200..300).contains(&count)),
            "{counts:?}"
        );
        assert!(rank(&Expander::build().done()).best().is_empty());
    }
}
