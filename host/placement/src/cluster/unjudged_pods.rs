//! Pods that no term is compared with, because their connections would be too many: how
//! many are in each domain. Pods whose own terms might select them can't be judged beside
//! them.

use hashbrown::HashMap;

use super::counter::Counter;
use super::domains::Domains;
use super::nodes::NodeId;
use crate::intern::Symbol;

#[derive(Default)]
pub(super) struct UnjudgedPods {
    all: Pods,
    by_namespace: HashMap<Symbol, Pods>,
}

#[derive(Default)]
struct Pods {
    placed: u64,
    /// By topology key.
    counters: Vec<Counter>,
}

/// Unjudged pods on a node.
#[derive(Clone, Copy)]
pub(super) struct OnNode {
    pub(super) namespace: Symbol,
    pub(super) node: NodeId,
    pub(super) pods: u32,
}

impl UnjudgedPods {
    /// Whether there are any, in a namespace or in all if `None`.
    pub(super) fn are_placed(&self, namespace: Option<Symbol>) -> bool {
        self.all.placed > 0 && self.of(namespace).is_some_and(|pods| pods.placed > 0)
    }

    /// Returns how many are in the domain of a node, in a namespace or in all if `None`.
    pub(super) fn near(
        &self,
        domains: &Domains,
        namespace: Option<Symbol>,
        key: u32,
        node: NodeId,
    ) -> u32 {
        let domain = domains.of(key, node);
        let counter = || self.of(namespace)?.counters.get(key as usize);
        let pods = domain.and_then(|domain| Some(counter()?.get(domain)));
        pods.unwrap_or(0)
    }

    fn of(&self, namespace: Option<Symbol>) -> Option<&Pods> {
        match namespace {
            Some(namespace) => self.by_namespace.get(&namespace),
            None => Some(&self.all),
        }
    }

    /// Adds pods, or removes them if not `up`.
    pub(super) fn shift(&mut self, domains: &Domains, pods: OnNode, up: bool) {
        let of_namespace = self.by_namespace.entry(pods.namespace).or_default();
        for known in [&mut self.all, of_namespace] {
            known.placed = if up {
                known.placed + u64::from(pods.pods)
            } else {
                known.placed.saturating_sub(pods.pods.into())
            };
        }
        for key in domains.held_keys() {
            self.shift_over(domains, *key, pods, up);
        }
    }

    /// Adds pods for a new topology key, or removes them if not `up`.
    pub(super) fn shift_over(&mut self, domains: &Domains, key: u32, pods: OnNode, up: bool) {
        let Some(domain) = domains.of(key, pods.node) else {
            return;
        };
        let at = key as usize;
        let of_namespace = self.by_namespace.entry(pods.namespace).or_default();
        for known in [&mut self.all, of_namespace] {
            if known.counters.len() <= at {
                known.counters.resize_with(at + 1, Counter::default);
            }
            known.counters[at].shift(domain, pods.pods, up);
        }
    }
}
