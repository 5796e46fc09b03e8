//! Index of labelled things, which finds them by selector without testing each one.
//!
//! The pods of one template share their labels: a selector is tested once for each
//! distinct set of labels that shares a value with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::selector::Selector;

/// Labels of an object, by key.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// Distinct sets of labels.
type Sets = BTreeSet<Arc<Labels>>;

/// Distinct sets of labels, each with data about the things that have them.
#[derive(Debug)]
pub struct LabelSets<M> {
    members: BTreeMap<Arc<Labels>, M>,
    /// The sets by key and value.
    sets_with: HashMap<Arc<str>, HashMap<Arc<str>, Sets>>,
}

impl<M> Default for LabelSets<M> {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            sets_with: HashMap::new(),
        }
    }
}

impl<M: Default> LabelSets<M> {
    /// Returns the shared copy of a set. Adds the set if it is new.
    pub fn share(&mut self, labels: Labels) -> Arc<Labels> {
        if let Some((known, _)) = self.members.get_key_value(&labels) {
            return known.clone();
        }
        let labels = Arc::new(labels);
        for (key, value) in labels.iter() {
            let values = self.sets_with.entry(key.clone()).or_default();
            values
                .entry(value.clone())
                .or_default()
                .insert(labels.clone());
        }
        self.members.insert(labels.clone(), M::default());
        labels
    }

    /// Returns the data about the things of a set. `None` if there is no such set.
    #[must_use]
    pub fn get(&self, labels: &Arc<Labels>) -> Option<&M> {
        self.members.get(labels)
    }

    /// Returns the data about the things of a set. `None` if there is no such set.
    pub fn get_mut(&mut self, labels: &Arc<Labels>) -> Option<&mut M> {
        self.members.get_mut(labels)
    }

    /// Removes a set.
    pub fn remove(&mut self, labels: &Arc<Labels>) {
        self.members.remove(labels);
        for (key, value) in labels.iter() {
            let Some(values) = self.sets_with.get_mut(key) else {
                continue;
            };
            if let Some(sets) = values.get_mut(value) {
                sets.remove(labels);
                if sets.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.sets_with.remove(key);
            }
        }
    }

    /// Returns the sets that a selector matches.
    #[must_use]
    pub fn matching(&self, selector: &Selector) -> Vec<&Arc<Labels>> {
        let matches =
            |labels: &&Arc<Labels>| selector.matches(|key| labels.get(key).map(|value| &**value));
        match self.with_value_of(selector) {
            Some(sets) => sets.into_iter().flatten().filter(matches).collect(),
            None => self.members.keys().filter(matches).collect(),
        }
    }

    /// Returns how many comparisons [`Self::matching`] makes at most.
    #[must_use]
    pub fn cost_of_matching(&self, selector: &Selector) -> usize {
        let sets = match self.with_value_of(selector) {
            Some(sets) => sets.into_iter().map(BTreeSet::len).sum(),
            None => self.members.len(),
        };
        selector.cost().saturating_mul(sets)
    }

    /// Returns the sets with one of the values that a selector names. `None` if it names none.
    fn with_value_of(&self, selector: &Selector) -> Option<Vec<&Sets>> {
        let (key, values) = selector.one_of()?;
        let sets = self.sets_with.get(key);
        let with = |value: &String| sets.and_then(|sets| sets.get(value.as_str()));
        Some(values.iter().filter_map(with).collect())
    }
}

/// Things of one namespace, by their labels and name.
#[derive(Debug)]
pub struct LabelIndex<T>(LabelSets<BTreeMap<Arc<str>, T>>);

impl<T> Default for LabelIndex<T> {
    fn default() -> Self {
        Self(LabelSets::default())
    }
}

impl<T> LabelIndex<T> {
    /// Inserts a thing, or replaces one of the same labels and name. Returns the shared
    /// copy of the labels.
    pub fn insert(&mut self, labels: Labels, name: Arc<str>, thing: T) -> Arc<Labels> {
        let labels = self.0.share(labels);
        if let Some(members) = self.0.get_mut(&labels) {
            members.insert(name, thing);
        }
        labels
    }

    /// Removes a thing.
    pub fn remove(&mut self, labels: &Arc<Labels>, name: &str) -> Option<T> {
        let members = self.0.get_mut(labels)?;
        let removed = members.remove(name);
        if members.is_empty() {
            self.0.remove(labels);
        }
        removed
    }

    /// Returns the things that a selector matches, ordered by name.
    #[must_use]
    pub fn select(&self, selector: &Selector) -> Vec<(&Arc<str>, &T)> {
        let matching = self.0.matching(selector).into_iter();
        let mut found: Vec<_> = matching
            .filter_map(|labels| self.0.get(labels))
            .flatten()
            .collect();
        found.sort_unstable_by_key(|&(name, _)| name);
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{LabelIndex, Labels};
    use crate::selector::Selector;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|&(key, value)| (key.into(), value.into()))
            .collect()
    }

    #[test]
    fn things_are_found_by_selector_until_they_are_removed() {
        let mut index = LabelIndex::default();
        let web = index.insert(labels(&[("app", "web"), ("tier", "a")]), "web-1".into(), 1);
        let same = index.insert(labels(&[("app", "web"), ("tier", "a")]), "web-0".into(), 2);
        assert!(Arc::ptr_eq(&web, &same));
        index.insert(labels(&[("app", "api")]), "api-0".into(), 3);

        let names = |index: &LabelIndex<i32>, text: &str| {
            let selector = Selector::parse(text).unwrap_or_default();
            let found = index.select(&selector);
            found
                .into_iter()
                .map(|(name, _)| name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&index, "app=web"), ["web-0", "web-1"]);
        assert_eq!(names(&index, "app in (web,api),tier!=a"), ["api-0"]);
        assert_eq!(names(&index, "!tier"), ["api-0"]);
        assert_eq!(names(&index, "app in (web,web)"), ["web-0", "web-1"]);
        assert_eq!(names(&index, "app=none"), Vec::<String>::new());

        assert_eq!(index.remove(&web, "web-1"), Some(1));
        assert_eq!(index.remove(&web, "web-1"), None);
        assert_eq!(names(&index, ""), ["api-0", "web-0"]);
        assert_eq!(index.remove(&web, "web-0"), Some(2));
        assert_eq!(names(&index, "app=web"), Vec::<String>::new());
    }
}
