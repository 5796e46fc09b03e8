//! Amounts of resources: requests of pods, allocatable resources of nodes.

use serde::{Deserialize, Serialize};

use crate::Name;

/// Largest amount. Larger amounts are reduced to it, so that sums over a node's pods
/// can't overflow. (2^47: 128 TiB, or 140 billion cores.)
const LARGEST: i64 = 1 << 47;

/// Amounts of resources in the scheduler's units. A missing resource is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage: i64,
    /// Number of pods. Only set for nodes: a pod always takes one.
    pub pods: i64,
    /// All other resources in whole units (huge pages in bytes), sorted by name, each
    /// name once.
    pub extended: Vec<(Name, i64)>,
}

impl Resources {
    /// Returns the amount of a resource by its Kubernetes name.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.cpu,
            "memory" => self.memory,
            "ephemeral-storage" => self.ephemeral_storage,
            "pods" => self.pods,
            _ => self
                .extended
                .binary_search_by(|(known, _)| known.as_ref().cmp(name))
                .map_or(0, |found| self.extended[found].1),
        }
    }

    /// Sets the amount of a resource by its Kubernetes name: thousandths of a core for
    /// cpu, bytes or whole units for all others.
    pub fn set(&mut self, name: &str, amount: i64) {
        match name {
            "cpu" => self.cpu = amount,
            "memory" => self.memory = amount,
            "ephemeral-storage" => self.ephemeral_storage = amount,
            "pods" => self.pods = amount,
            _ => match self
                .extended
                .binary_search_by(|(known, _)| known.as_ref().cmp(name))
            {
                Ok(found) => self.extended[found].1 = amount,
                Err(place) => self.extended.insert(place, (name.into(), amount)),
            },
        }
    }
}

/// Limits an amount to the range that can be summed.
pub(crate) fn bounded(amount: i64) -> i64 {
    amount.clamp(-LARGEST, LARGEST)
}
