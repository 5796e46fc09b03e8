//! What is counted, and which pods a term selects.

use super::{Counting, NodeId, Profile, Selected, UnjudgedPods};

impl Counting {
    /// Whether a counter counts no pod in any domain.
    pub(in super::super) fn is_empty(&self, counter: u32) -> bool {
        self.counters[counter as usize].is_empty()
    }

    /// Returns the count in the domain of a node. `None` if the node is in no domain.
    pub(in super::super) fn pods_near(&self, counter: u32, node: NodeId) -> Option<u32> {
        let key = self.counter_keys.get(counter).key;
        let domain = self.domains.of(key, node)?;
        Some(self.counters[counter as usize].get(domain))
    }

    /// Returns the topology key of a counter.
    pub(in super::super) fn key_of(&self, counter: u32) -> u32 {
        self.counter_keys.get(counter).key
    }

    /// Whether a counter's predicate matches a shape's pods.
    pub(in super::super) fn predicate_matches(&self, counter: u32, shape: u32) -> bool {
        let counted = self.counter_keys.get(counter).counted;
        self.is_matched(shape, counted.predicate())
    }

    /// Whether a term of anti-affinity selects pods in the domain of a node.
    pub(in super::super) fn selects_near(&self, term: Selected, node: NodeId) -> bool {
        let pods = self.pods_near(term.counter, node).unwrap_or(0);
        let except = |counter| self.pods_near(counter, node).unwrap_or(0);
        pods > 0 && pods > term.except.map_or(0, except)
    }

    /// Whether a term of anti-affinity selects a shape's pods.
    pub(in super::super) fn selects(&self, term: Selected, shape: u32) -> bool {
        let matches = |counter| self.predicate_matches(counter, shape);
        matches(term.counter) && !term.except.is_some_and(matches)
    }

    /// Whether pods of a counter of [`Profile::excluding`] are in the domain of a node.
    pub(in super::super) fn excludes(&self, shape: u32, counter: u32, node: NodeId) -> bool {
        let pods = self.pods_near(counter, node).unwrap_or(0);
        if pods == 0 {
            return false;
        }
        let exempting = self.profile(shape).exempting(counter).iter();
        let exempting = exempting.map(|counter| self.pods_near(*counter, node).unwrap_or(0));
        pods > exempting.sum()
    }

    /// Returns the count in a domain.
    pub(in super::super) fn get(&self, counter: u32, domain: u32) -> u32 {
        self.counters[counter as usize].get(domain)
    }

    /// Returns the smallest count, given the number of all domains.
    pub(in super::super) fn smallest(&self, counter: u32, domains: usize) -> u32 {
        self.counters[counter as usize].smallest(domains)
    }

    /// Whether a predicate matches a shape's pods.
    pub(in super::super) fn is_matched(&self, shape: u32, predicate: u32) -> bool {
        self.profile(shape).is_matched(predicate)
    }

    /// Returns the profile of a shape's pods.
    pub(in super::super) fn profile(&self, shape: u32) -> &Profile {
        self.profiles.get(self.profile_of(shape))
    }

    /// Returns the pods that no predicate is compared with.
    pub(in super::super) fn unjudged(&self) -> &UnjudgedPods {
        &self.unjudged
    }

    /// Whether predicates or pods were refused because of the connections or steps of all.
    pub(in super::super) fn were_refused(&self) -> bool {
        self.connections.were_refused() || self.steps.were_refused()
    }
}
