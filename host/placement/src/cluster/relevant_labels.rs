//! Which labels of pods matter: those whose keys some term reads that may select pods of
//! their namespace.

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::classes::ClassId;
use crate::condition::LabelSet;
use crate::intern::{Symbol, Table};

/// A key of pod labels that terms read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadKey {
    pub(super) key: Symbol,
    /// The namespace of the pods whose labels they read. `None` if it may be any.
    pub(super) namespace: Option<Symbol>,
}

/// Label sets of the pods of a namespace, numbered, and the part of each that matters.
#[derive(Default)]
pub(super) struct RelevantLabels {
    everywhere: HashSet<Symbol>,
    /// Namespace and key.
    in_namespaces: HashSet<(Symbol, Symbol)>,
    /// Namespace and id of the label set.
    sets: Table<(Symbol, u32)>,
    /// By set, the id of the set of its relevant labels.
    relevant: Vec<u32>,
    /// By set, the classes of the pods that have it.
    classes: Vec<Vec<ClassId>>,
    /// The sets that have a key, by namespace and key that is not relevant there.
    sets_of_key: HashMap<(Symbol, Symbol), Vec<u32>>,
    /// The namespaces in `sets_of_key`, by key.
    namespaces_of_key: HashMap<Symbol, Vec<Symbol>>,
}

impl RelevantLabels {
    /// Returns the number of a label set in a namespace. `labels` are all label sets.
    pub(super) fn set(&mut self, namespace: Symbol, id: u32, labels: &mut Table<LabelSet>) -> u32 {
        let set = self.sets.intern((namespace, id));
        if set as usize == self.relevant.len() {
            for (key, _) in labels.get(id) {
                if !self.is_relevant(*key, namespace) {
                    self.note_key(*key, namespace, set);
                }
            }
            let relevant = self.find_relevant(namespace, id, labels);
            self.relevant.push(relevant);
            self.classes.push(Vec::new());
        }
        set
    }

    fn note_key(&mut self, key: Symbol, namespace: Symbol, set: u32) {
        let sets = self.sets_of_key.entry((namespace, key)).or_default();
        if sets.is_empty() {
            let namespaces = self.namespaces_of_key.entry(key).or_default();
            namespaces.push(namespace);
        }
        sets.push(set);
    }

    /// Notes that pods of a class have a set.
    pub(super) fn add_class(&mut self, set: u32, class: ClassId) {
        self.classes[set as usize].push(class);
    }

    /// Returns the classes of the pods that have a set.
    pub(super) fn classes(&self, set: u32) -> &[ClassId] {
        &self.classes[set as usize]
    }

    /// Returns the id of the set of a set's relevant labels.
    pub(super) fn relevant(&self, set: u32) -> u32 {
        self.relevant[set as usize]
    }

    /// Whether a key is known to be read.
    pub(super) fn is_read(&self, read: ReadKey) -> bool {
        match read.namespace {
            Some(namespace) => self.is_relevant(read.key, namespace),
            None => self.everywhere.contains(&read.key),
        }
    }

    fn is_relevant(&self, key: Symbol, namespace: Symbol) -> bool {
        self.everywhere.contains(&key) || self.in_namespaces.contains(&(namespace, key))
    }

    /// Makes keys relevant. Returns the sets that have one of those that were not relevant
    /// before, ordered: [`Self::update`] must be called for each.
    pub(super) fn add(&mut self, keys: impl IntoIterator<Item = ReadKey>) -> Vec<u32> {
        let mut touched: Vec<u32> = Vec::new();
        for read in keys {
            if self.is_read(read) {
                continue;
            }
            let namespaces = match read.namespace {
                Some(namespace) => {
                    self.in_namespaces.insert((namespace, read.key));
                    vec![namespace]
                }
                None => {
                    self.everywhere.insert(read.key);
                    self.namespaces_of_key.remove(&read.key).unwrap_or_default()
                }
            };
            for namespace in namespaces {
                let sets = self.sets_of_key.remove(&(namespace, read.key));
                touched.extend(sets.into_iter().flatten());
            }
        }
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    /// Finds the relevant labels of a set again.
    pub(super) fn update(&mut self, set: u32, labels: &mut Table<LabelSet>) {
        let (namespace, id) = *self.sets.get(set);
        self.relevant[set as usize] = self.find_relevant(namespace, id, labels);
    }

    fn find_relevant(&self, namespace: Symbol, id: u32, labels: &mut Table<LabelSet>) -> u32 {
        let all = labels.get(id).iter();
        let read = all.filter(|(key, _)| self.is_relevant(*key, namespace));
        let read: SmallVec<[_; 12]> = read.copied().collect();
        labels.intern_as(&read[..], |known: &LabelSet| &**known, || read[..].into())
    }
}
