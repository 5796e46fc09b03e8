//! Counting again after the labels of a namespace changed.

use super::{Count, CounterInputs, Counting, NodeId};
use crate::Unjudged;
use crate::condition::LabelSet;
use crate::intern::Symbol;

impl Counting {
    /// Sets a namespace's labels, or removes the namespace if `None`.
    pub(in super::super) fn set_namespace(
        &mut self,
        name: Symbol,
        labels: Option<LabelSet>,
        inputs: &CounterInputs<'_>,
    ) {
        match labels {
            Some(labels) => self.namespaces.insert(name, labels),
            None => self.namespaces.remove(&name),
        };
        if self.of_namespaces.is_empty() {
            return;
        }
        for profile in self.index.profiles_in(name) {
            if self.profiles.get(profile).is_compared() {
                self.reconnect(profile, name, inputs);
            }
        }
    }

    /// Connects and disconnects a profile, after the labels of its namespace changed.
    fn reconnect(&mut self, profile: u32, namespace: Symbol, inputs: &CounterInputs<'_>) {
        let (mut more, mut fewer) = (Vec::new(), Vec::new());
        for predicate in &self.of_namespaces {
            let matches = self.matches(self.predicates.get(*predicate), profile, inputs);
            let known = self.profiles.get(profile).is_matched(*predicate);
            match (known, matches) {
                (false, true) => more.push(*predicate),
                (true, false) => fewer.push(*predicate),
                _ => {}
            }
        }
        if more.is_empty() && fewer.is_empty() {
            return;
        }
        let placed = self.placed_in(profile, inputs);
        if let Err(why) = self.add_connections(profile, namespace, &more) {
            self.stop_judging(profile, why, &placed);
            return;
        }
        for (predicates, up) in [(more, true), (fewer, false)] {
            for predicate in predicates {
                if up {
                    self.profiles.connect(predicate, profile);
                } else {
                    self.connections
                        .remove(namespace, self.load_of(&[predicate]));
                    self.profiles.disconnect(predicate, profile);
                }
                let counters: Vec<u32> = self.profiles.counters_of(predicate).collect();
                for counter in counters {
                    for (node, count) in &placed {
                        self.shift_counter(counter, *node, *count, up);
                    }
                }
            }
        }
    }

    /// Compares no predicate with a profile any more. `placed` are its pods.
    fn stop_judging(&mut self, profile: u32, why: Unjudged, placed: &[(NodeId, Count)]) {
        for (node, count) in placed {
            self.shift_profile(profile, *node, *count, false);
        }
        self.profiles.stop_judging(profile, why);
        for (node, count) in placed {
            self.shift_profile(profile, *node, *count, true);
        }
    }
}
