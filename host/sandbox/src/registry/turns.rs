//! The configurations in use that a new version is checked with, and their order.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use flyball_decision::policy::ConfigurationsInUse;

use crate::policy::NAMESPACE_STEPS;

/// Maximum number of configurations that are checked.
const MAX_CHECKED: usize = 1024;

/// Steps after which no further configuration is checked: about ten seconds' worth. All
/// files of policies wait meanwhile.
const MAX_STEPS: u64 = 100_000_000;

/// Calls `check` with the configurations in use, each once, until there were
/// [`MAX_CHECKED`] or [`MAX_STEPS`]. It returns the steps that it took. The namespaces take
/// turns, and after [`NAMESPACE_STEPS`] a namespace has none any more, so that none uses up
/// the checks of others. What is left over is not checked.
///
/// # Errors
/// The first error of `check`, after which it is not called again.
pub(super) fn check_in_turns<E>(
    in_use: &ConfigurationsInUse,
    mut check: impl FnMut(&Arc<str>) -> Result<u64, E>,
) -> Result<(), E> {
    let mut checked = BTreeSet::new();
    let mut left = MAX_STEPS;
    let namespaces = in_use.values();
    let mut turns: VecDeque<_> = namespaces
        .map(|own| (own.iter(), NAMESPACE_STEPS))
        .collect();
    while let Some((mut own, own_left)) = turns.pop_front() {
        if left == 0 || checked.len() == MAX_CHECKED {
            break;
        }
        let Some(configuration) = own.find(|next| checked.insert(*next)) else {
            continue;
        };
        let steps = check(configuration)?;
        left = left.saturating_sub(steps);
        let own_left = own_left.saturating_sub(steps);
        if own_left > 0 {
            turns.push_back((own, own_left));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;
    use std::sync::Arc;

    use flyball_decision::policy::ConfigurationsInUse;

    use super::{MAX_CHECKED, check_in_turns};

    /// Steps of a configuration that begins with `heavy`: of these, a namespace has 20, and
    /// there are 100 in all.
    const HEAVY: u64 = 1_000_000;

    fn in_use(namespaces: &[(&str, Vec<String>)]) -> ConfigurationsInUse {
        let mut in_use = ConfigurationsInUse::new();
        for (namespace, texts) in namespaces {
            let texts = texts.iter().map(|text| Arc::from(text.as_str()));
            in_use.insert(Arc::from(*namespace), texts.collect());
        }
        in_use
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn numbered(name: &str, count: usize) -> Vec<String> {
        (0..count).map(|n| format!("{name}-{n:04}")).collect()
    }

    /// Returns what is checked, in that order.
    fn checked(in_use: &ConfigurationsInUse) -> Vec<String> {
        let mut checked = Vec::new();
        let result = check_in_turns(in_use, |text| {
            checked.push(text.to_string());
            let steps = if text.starts_with("heavy") { HEAVY } else { 1 };
            Ok::<_, Infallible>(steps)
        });
        assert_eq!(result, Ok(()));
        checked
    }

    /// Returns how many are checked, by the name that they begin with.
    fn counts(in_use: &ConfigurationsInUse) -> BTreeMap<String, usize> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for text in checked(in_use) {
            let (name, _) = text.rsplit_once('-').unwrap_or_default();
            *counts.entry(name.to_owned()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn namespaces_take_turns_with_their_configurations() {
        let few = in_use(&[
            ("one", texts(&["a", "b", "c"])),
            ("three", texts(&["a", "y"])),
            ("two", texts(&["z"])),
        ]);
        assert_eq!(checked(&few), ["a", "y", "z", "b", "c"]);
        let many = ["a", "b", "c"].map(|name| (name, numbered(name, 1_000)));
        let counts: Vec<usize> = counts(&in_use(&many)).into_values().collect();
        assert_eq!(counts, [342, 341, 341]);
        assert_eq!(counts.iter().sum::<usize>(), MAX_CHECKED);
    }

    #[test]
    fn configurations_that_take_long_use_up_only_the_checks_of_their_namespace() {
        let heavy = numbered("heavy", 60);
        let last = heavy[59].clone();
        // The other namespace has it too, also as its last.
        let light = [numbered("a", 60), vec![last.clone()]].concat();
        let both = in_use(&[("heavy", heavy), ("light", light)]);
        let counts = counts(&both);
        assert_eq!((counts["heavy"], counts["a"]), (21, 60));
        assert!(checked(&both).contains(&last));
    }

    #[test]
    fn all_namespaces_together_have_a_number_of_steps() {
        let names: Vec<String> = (0..8).map(|number| format!("heavy-{number}")).collect();
        let heavy = names.iter().map(|name| (name.as_str(), numbered(name, 20)));
        let counts = counts(&in_use(&heavy.collect::<Vec<_>>()));
        let counts: Vec<usize> = counts.into_values().collect();
        assert_eq!(counts, [13, 13, 13, 13, 12, 12, 12, 12]);
    }
}
