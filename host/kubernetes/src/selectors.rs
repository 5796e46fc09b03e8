//! Which autoscalers select the same pods.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flyball_core::labels::Labels;
use flyball_core::ports::ObjectKey;
use flyball_core::selector::Selector;

/// The selectors of the targets that are written, as last read.
#[derive(Default)]
pub(crate) struct Selectors {
    by_key: BTreeMap<ObjectKey, (Arc<str>, Arc<Selector>)>,
    /// Autoscalers by namespace and a label that their selector requires; those
    /// whose selector requires none are under the empty label.
    by_label: HashMap<(Arc<str>, String, String), BTreeSet<ObjectKey>>,
}

impl Selectors {
    /// Notes a selector in place of the autoscaler's last one, and parses it only
    /// if it is another.
    pub(crate) fn set(&mut self, key: &ObjectKey, text: &Arc<str>, selector: Arc<Selector>) {
        if self.by_key.get(key).is_some_and(|(known, _)| known == text) {
            return;
        }
        self.remove(key);
        for label in labels(key, &selector) {
            self.by_label.entry(label).or_default().insert(key.clone());
        }
        self.by_key.insert(key.clone(), (text.clone(), selector));
    }

    /// The parsed form of an autoscaler's selector, if it is still the same.
    pub(crate) fn known(&self, key: &ObjectKey, text: &str) -> Option<Arc<Selector>> {
        let (known, selector) = self.by_key.get(key)?;
        (**known == *text).then(|| selector.clone())
    }

    /// Forgets those that are not to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&ObjectKey) -> bool) {
        let gone: Vec<_> = self
            .by_key
            .keys()
            .filter(|key| !keep(key))
            .cloned()
            .collect();
        for key in &gone {
            self.remove(key);
        }
    }

    /// The autoscalers other than `key` whose selector matches labels that the
    /// pods of `key` have.
    pub(crate) fn others(&self, key: &ObjectKey, pods: &[Arc<Labels>]) -> BTreeSet<&ObjectKey> {
        let mut others = BTreeSet::new();
        for labels in pods {
            let of_pods = labels.iter().map(|(key, value)| (&**key, &**value));
            for (label, value) in of_pods.chain([("", "")]) {
                let label = (key.namespace.clone(), label.to_owned(), value.to_owned());
                let candidates = self.by_label.get(&label).into_iter().flatten();
                others.extend(
                    candidates.filter(|other| *other != key && self.selects(other, labels)),
                );
            }
        }
        others
    }

    fn selects(&self, key: &ObjectKey, labels: &Labels) -> bool {
        self.by_key.get(key).is_some_and(|(_, selector)| {
            selector.matches(|key| labels.get(key).map(|value| &**value))
        })
    }

    fn remove(&mut self, key: &ObjectKey) {
        let Some((_, selector)) = self.by_key.remove(key) else {
            return;
        };
        for label in labels(key, &selector) {
            if let Some(keys) = self.by_label.get_mut(&label) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_label.remove(&label);
                }
            }
        }
    }
}

/// The labels of which matching pods have one.
fn labels(key: &ObjectKey, selector: &Selector) -> Vec<(Arc<str>, String, String)> {
    let namespace = &key.namespace;
    match selector.one_of() {
        Some((label, values)) => values
            .iter()
            .map(|value| (namespace.clone(), label.to_owned(), value.clone()))
            .collect(),
        None => vec![(namespace.clone(), String::new(), String::new())],
    }
}
