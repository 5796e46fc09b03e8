//! Work: how many steps packing takes for the pods of each namespace. How long it takes
//! depends on the rules of the pods, so anybody who may create pods could otherwise keep the
//! planner busy.
//!
//! Steps are counted, not timed: a plan is the same on any machine.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::Demand;
use crate::{Cluster, Name};

/// Steps of a check whether a pod fits on a node, besides one for each counter that it may
/// read. A step takes about 10 ns, like a look at a node of a search tree.
pub(super) const CHECK: u64 = 10;

/// Number of checks that take as long as placing a pod and removing it again, besides
/// counting it.
pub(super) const CHECKS_TO_PLACE: u64 = 4;

/// Steps for a class in an estimate, besides those that are counted one by one.
pub(super) const CLASS: u64 = 50;

/// Steps to copy an area, and to put it in order for a class.
pub(super) const AREA: u64 = 25;

/// Steps to add a new node and to remove it again, besides those for each view.
pub(super) const NODE: u64 = 20;

/// Steps to count a new node in a view, or a pod in a counter, and to subtract it again.
pub(super) const COUNT: u64 = 4;

/// Steps for each pod of a namespace, besides those for each node of the cluster.
const PER_POD: u64 = 20_000;

/// Steps for each pod and node: each pod may be checked with each node.
const PER_NODE: u64 = CHECK + 5;

/// Steps for the pods of all namespaces, as a multiple of the base.
const ALL: u64 = 5;

/// The same if only one namespace has pods, at most: no other waits for it, but a pass must
/// end.
const ALL_OF_ONE: u64 = 10;

/// Steps taken so far for the pods of each namespace, and how many may be.
///
/// A namespace may take a base, which is the same for each, and further steps by the number
/// of its pods and of the nodes. When all together have taken more than five times the
/// base, each may only take its equal part of that. Packing then leaves further pods of a
/// namespace without a place, as if they fitted nowhere. A namespace that is alone may take
/// what its pods allow, up to ten times the base.
#[derive(Debug)]
pub struct Work {
    /// Ordered by namespace. The last one is of all namespaces that are not listed.
    shares: Vec<Share>,
    /// Steps for all namespaces.
    taken: Cell<u64>,
    /// Number of steps for all namespaces above which only equal parts of it may be taken.
    most: u64,
}

/// Steps for the pods of a namespace.
#[derive(Debug)]
struct Share {
    namespace: Name,
    taken: Cell<u64>,
    most: u64,
}

impl Share {
    fn new(namespace: Name, most: u64) -> Self {
        Self {
            namespace,
            taken: Cell::new(0),
            most,
        }
    }
}

impl Work {
    /// Creates the work for these pods, with `base` steps for each namespace. Namespaces
    /// without any of the pods share a base.
    #[must_use]
    pub fn new(cluster: &Cluster, pods: impl Iterator<Item = Demand>, base: u64) -> Self {
        let mut runs: Vec<(&Name, u64)> = Vec::new();
        for Demand { class, count } in pods {
            let namespace = cluster.namespace(class);
            match runs.last_mut() {
                // Pods of a namespace mostly follow each other.
                Some((latest, pods)) if std::ptr::eq(*latest, namespace) => {
                    *pods += u64::from(count);
                }
                _ => runs.push((namespace, count.into())),
            }
        }
        let mut counts: BTreeMap<&Name, u64> = BTreeMap::new();
        for (namespace, pods) in runs {
            *counts.entry(namespace).or_default() += pods;
        }
        let per_pod = PER_POD + PER_NODE * cluster.node_count() as u64;
        let shares = counts.into_iter().map(|(namespace, pods)| {
            let most = base.saturating_add(per_pod.saturating_mul(pods));
            Share::new(namespace.clone(), most)
        });
        let mut shares: Vec<Share> = shares.collect();
        let of_one = match shares.as_slice() {
            [only] => only.most.min(base.saturating_mul(ALL_OF_ONE)),
            _ => 0,
        };
        shares.push(Share::new(Name::default(), base));
        Self {
            shares,
            taken: Cell::new(0),
            most: of_one.max(base.saturating_mul(ALL)),
        }
    }

    /// Creates work without a limit.
    #[must_use]
    pub fn unlimited() -> Self {
        Self {
            shares: vec![Share::new(Name::default(), u64::MAX)],
            taken: Cell::new(0),
            most: u64::MAX,
        }
    }

    /// Returns the namespaces whose pods have used up their steps, ordered by name.
    #[must_use]
    pub fn used_up(&self) -> Vec<Name> {
        let listed = self.shares.iter().enumerate().take(self.listed());
        let used_up = listed.filter(|(share, _)| self.is_used_up(*share));
        used_up.map(|(_, share)| share.namespace.clone()).collect()
    }

    /// Returns the namespaces because of whose pods some have used up their steps, ordered by
    /// name: those that took more than their own, and if all together took too many, those
    /// that took most.
    #[must_use]
    pub fn heaviest(&self) -> Vec<Name> {
        let level = self.level();
        let listed = self.shares[..self.listed()].iter();
        let heaviest = listed.filter(|share| share.taken.get() > share.most.min(level));
        heaviest.map(|share| share.namespace.clone()).collect()
    }

    /// Returns the number of steps of each namespace with which all together would not have
    /// taken too many: those that took fewer leave the rest of their part to others.
    fn level(&self) -> u64 {
        let mut all: Vec<u64> = self.shares.iter().map(|share| share.taken.get()).collect();
        all.sort_unstable();
        let (mut left, mut others) = (self.most, all.len() as u64);
        for taken in all {
            let part = left / others;
            if taken > part {
                return part;
            }
            left -= taken;
            others -= 1;
        }
        u64::MAX
    }

    /// Number of steps taken for the pods of a namespace.
    #[must_use]
    pub fn steps_of(&self, namespace: &str) -> u64 {
        self.shares[self.share_of(namespace)].taken.get()
    }

    /// Number of namespaces that are listed.
    fn listed(&self) -> usize {
        self.shares.len() - 1
    }

    /// Returns the index of a namespace's share.
    pub(super) fn share_of(&self, namespace: &str) -> usize {
        let listed = &self.shares[..self.listed()];
        let found = listed.binary_search_by(|share| (*share.namespace).cmp(namespace));
        found.unwrap_or(listed.len())
    }

    /// Number of shares.
    pub(super) fn share_count(&self) -> usize {
        self.shares.len()
    }

    /// Counts steps.
    pub(super) fn take(&self, share: usize, steps: u64) {
        for taken in [&self.taken, &self.shares[share].taken] {
            taken.set(taken.get().saturating_add(steps));
        }
    }

    /// Whether no further steps may be taken of a share.
    pub(super) fn is_used_up(&self, share: usize) -> bool {
        let Share { taken, most, .. } = &self.shares[share];
        let is_over = self.taken.get() > self.most;
        taken.get() > *most || (is_over && taken.get() > self.most / self.shares.len() as u64)
    }
}
