//! Parsed selectors of targets, and a search for autoscalers that select the same pods.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_replicas::labels::Labels;
use flyball_replicas::selector::{InvalidSelector, Selector};
use flyball_replicas::spec::Mode;

/// The last selector of each autoscaler's target.
#[derive(Default)]
pub(crate) struct Selectors {
    by_key: BTreeMap<ObjectKey, Entry>,
    /// Autoscalers that write their target, by namespace and a label that their
    /// selector requires. Those whose selector requires none have the empty label.
    by_label: HashMap<(Arc<str>, String, String), BTreeSet<ObjectKey>>,
}

struct Entry {
    text: Arc<str>,
    selector: Arc<Selector>,
    mode: Mode,
}

impl Selectors {
    /// Sets the selector and mode of an autoscaler and returns the parsed selector. It
    /// is only parsed if the text has changed.
    ///
    /// # Errors
    /// If the text is not a selector. The autoscaler then has none.
    pub(crate) fn set(
        &mut self,
        key: &ObjectKey,
        text: &Arc<str>,
        mode: Mode,
    ) -> Result<Arc<Selector>, InvalidSelector> {
        let known = self.by_key.get(key).filter(|known| known.text == *text);
        let selector = known.map(|known| (Arc::clone(&known.selector), known.mode));
        if let Some((selector, known)) = &selector
            && *known == mode
        {
            return Ok(Arc::clone(selector));
        }
        self.remove(key);
        let selector = match selector {
            Some((selector, _)) => selector,
            None => Arc::new(Selector::parse(text)?),
        };
        if mode == Mode::Active {
            for label in labels(key, &selector) {
                self.by_label.entry(label).or_default().insert(key.clone());
            }
        }
        let known = Entry {
            text: Arc::clone(text),
            selector: Arc::clone(&selector),
            mode,
        };
        self.by_key.insert(key.clone(), known);
        Ok(selector)
    }

    /// Removes autoscalers that have another mode by now (see [`Selectors::set`]) or
    /// are gone (`mode` returns `None`).
    pub(crate) fn retain(&mut self, mode: impl Fn(&ObjectKey) -> Option<Mode>) {
        let all = self.by_key.iter();
        let gone = all.filter(|(key, known)| mode(key) != Some(known.mode));
        let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
        for key in &gone {
            self.remove(key);
        }
    }

    /// Returns the autoscalers other than `key` whose selector matches the labels of
    /// any of `key`'s pods.
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
        let known = self.by_key.get(key);
        known.is_some_and(|known| {
            let label = |key: &str| labels.get(key).map(|value| &**value);
            known.selector.matches(label)
        })
    }

    fn remove(&mut self, key: &ObjectKey) {
        let Some(known) = self.by_key.remove(key) else {
            return;
        };
        for label in labels(key, &known.selector) {
            if let Some(keys) = self.by_label.get_mut(&label) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_label.remove(&label);
                }
            }
        }
    }
}

/// Returns labels of which each matching pod has one.
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
