//! Amounts of resources: what a pod requests, what a node offers.

use serde::{Deserialize, Serialize};

use crate::Name;

/// Largest amount: larger ones are treated as this one. Sums over a node's pods can't
/// overflow below it. (2^47: 128 TiB, or 140 billion cores.)
const LARGEST: i64 = 1 << 47;

/// Amounts of resources in the scheduler's units. What is missing is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage: i64,
    /// Pods. Of a node only: a pod always takes one.
    pub pods: i64,
    /// All others by name, in whole units (huge pages in bytes), sorted by name,
    /// each name once.
    pub extended: Vec<(Name, i64)>,
}

impl Resources {
    /// The amount of a resource by the name that Kubernetes gives it.
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

    /// Sets the amount of a resource by its name: thousandths of a core for cpu,
    /// bytes or whole units for all others.
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

/// An amount as it enters the sums.
pub(crate) fn bounded(amount: i64) -> i64 {
    amount.clamp(-LARGEST, LARGEST)
}
