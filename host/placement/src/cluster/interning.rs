//! Finding the class of a pod that no class is known for yet.

use super::classes::Parts;
use super::pod_limits::{exceeded_by_spread, exceeded_by_terms};
use super::predicate::PodTerm;
use super::relevant_labels::ReadKey;
use super::steps::of_reshaping;
use super::terms::KeyedTerms;
use super::{ClassId, Cluster, NodeId};
use crate::intern::Symbol;
use crate::{Pod, Unjudged};

impl Cluster {
    pub(super) fn find_class(&mut self, pod: &Pod) -> ClassId {
        let namespace = self.symbols.intern(&pod.namespace);
        let nodes = &self.nodes;
        let is_on_nodes = |key| nodes.have_label(key);
        let (statics, divides_kinds) = self.statics.intern(pod, &mut self.symbols, is_on_nodes);
        if divides_kinds {
            let nodes = self.nodes.len();
            self.relations.counting.steps.add_for_all(nodes);
            self.find_kinds();
        }
        let (terms, new) = self.relations.find_terms(pod, namespace);
        if new {
            self.add_terms(pod, namespace);
        }
        let parts = Parts {
            namespace,
            statics,
            terms,
        };
        let class = self
            .classes
            .class(pod, parts, &mut self.symbols, &mut self.nodes);
        if !self.classes.has_shape(class) {
            let keys = self.keys_of_spread(pod, namespace);
            // If they are refused, the constraints are not judged.
            self.add_relevant_keys(keys, namespace).ok();
            self.assign_shape(class, None);
            self.classes.push_bonds(self.find_bonds(class));
        }
        class
    }

    /// Notes which keys of labels a pod's rules read, before any pod or node is known.
    /// Otherwise a key that is read for the first time changes shapes and kinds that are.
    pub(super) fn read_keys(&mut self, pod: &Pod) {
        let namespace = self.symbols.intern(&pod.namespace);
        self.statics.read_keys(pod, &mut self.symbols);
        let mut keys = self.keys_of_spread(pod, namespace);
        if exceeded_by_terms(pod).is_none() {
            let terms = KeyedTerms::of(pod, namespace, &mut self.symbols);
            keys.extend(terms.label_keys());
        }
        self.classes.add_relevant_keys(keys);
    }

    fn find_kinds(&mut self) {
        self.new_nodes.forget_templates();
        let ids: Vec<NodeId> = self.node_ids().collect();
        for id in ids {
            self.find_kind(id);
        }
    }

    fn add_terms(&mut self, pod: &Pod, namespace: Symbol) {
        let terms = KeyedTerms::of(pod, namespace, &mut self.symbols);
        let keys: Vec<ReadKey> = terms.label_keys().collect();
        let refused =
            exceeded_by_terms(pod).or_else(|| self.add_relevant_keys(keys, namespace).err());
        let (relations, mut inputs) = self.counter_inputs();
        match refused {
            Some(why) => relations.add_unjudged_terms(&terms, (namespace, why), &mut inputs),
            None => relations.add_terms(&terms, namespace, &mut inputs),
        }
    }

    /// Returns the keys of pod labels that a pod's spread constraints read. None if they are
    /// too many to be judged.
    fn keys_of_spread(&mut self, pod: &Pod, namespace: Symbol) -> Vec<ReadKey> {
        if exceeded_by_spread(&pod.spread).is_some() {
            return Vec::new();
        }
        let mut keys = Vec::new();
        for constraint in &pod.spread {
            let selector = constraint.selector.as_ref();
            let term = PodTerm::of_spread(selector, namespace, &mut self.symbols);
            keys.extend(term.keys());
        }
        keys
    }

    /// Makes label keys of pods relevant to shapes, for a pod of a namespace whose terms or
    /// constraints read them. Classes whose shape changes by it get a new one.
    ///
    /// # Errors
    ///
    /// The limit that the namespace is beyond.
    fn add_relevant_keys(
        &mut self,
        mut keys: Vec<ReadKey>,
        namespace: Symbol,
    ) -> Result<(), Unjudged> {
        keys.retain(|key| !self.classes.is_read(*key));
        if keys.is_empty() {
            return Ok(());
        }
        if !self.relations.counting.steps.allow(namespace) {
            return Err(Unjudged::TooManyComparisons);
        }
        let classes = self.classes.add_relevant_keys(keys);
        if classes.is_empty() {
            return Ok(());
        }
        let (relations, inputs) = self.counter_inputs();
        let left = relations.counting.release(&classes, &inputs);
        let before = classes.iter().map(|class| self.classes.shape_of(*class));
        let before: Vec<u32> = before.collect();
        for class in &classes {
            self.assign_shape(*class, Some(namespace));
        }
        self.classes.find_first(before.into_iter());
        self.count_reshaped(&classes, namespace);
        self.relations.counting.retire(&left, namespace);
        Ok(())
    }

    /// Counts classes that got another shape, and the steps that it took.
    fn count_reshaped(&mut self, classes: &[ClassId], namespace: Symbol) {
        let steps = classes.iter().map(|class| {
            let labels = self.classes.key(*class).labels;
            of_reshaping(self.classes.labels(labels).len())
        });
        let steps: usize = steps.sum();
        self.reshaped += classes.len();
        self.relations.counting.steps.add(namespace, steps);
    }

    /// Finds the shape of a class, and moves its pods there from the one before.
    fn assign_shape(&mut self, class: ClassId, reshaped_by: Option<Symbol>) {
        let had_shape = self.classes.has_shape(class);
        let before = had_shape.then(|| self.classes.shape_of(class));
        let (shape, new) = self.classes.assign_shape(class);
        let (relations, mut inputs) = self.counter_inputs();
        if new {
            relations.add_profile(shape, reshaped_by, &inputs);
        }
        // Then come counters of its constraints, which count the pods that its profile has.
        relations
            .counting
            .enter_shape(class, (before, shape), reshaped_by, &inputs);
        if new {
            relations.add_shape(shape, &mut inputs);
        }
    }
}
