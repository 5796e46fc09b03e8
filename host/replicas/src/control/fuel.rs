//! Fuel that policies may use in one tick: a budget for each policy and namespace, so that
//! a policy that takes long for the objects of one namespace does not keep those of others
//! waiting. It is fuel and not time, so that the same objects are decided on any machine.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;

use crate::observe::PreparedPolicy;

/// What policies have used of their budgets, by namespace and policy.
#[derive(Debug, Default)]
pub(super) struct TickFuel {
    by_namespace: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Used>>,
}

/// What a policy has used for the objects of a namespace.
#[derive(Debug, Default)]
struct Used {
    /// In this tick.
    fuel: u64,
    /// In this tick, as expected of the objects that are observed.
    expected: u64,
    /// For the last object that was decided, in this tick or the one before.
    last: u64,
}

impl TickFuel {
    /// Begins a tick.
    pub(super) fn begin(&mut self) {
        self.by_namespace.retain(|_, policies| {
            policies.retain(|_, used| used.fuel > 0);
            !policies.is_empty()
        });
        for used in self.by_namespace.values_mut().flat_map(|p| p.values_mut()) {
            (used.fuel, used.expected) = (0, 0);
        }
    }

    /// Reports whether an object is to be observed: whether what is expected of those
    /// before it leaves some of the budget. `fuel` is what its last decision took; `None`
    /// if there was none.
    pub(super) fn expects(
        &mut self,
        budget: NonZero<u64>,
        namespace: &Arc<str>,
        policies: &[PreparedPolicy],
        fuel: Option<u64>,
    ) -> bool {
        let known = self.by_namespace.get(namespace);
        let expected = |policy: &PreparedPolicy| Some(known?.get(&policy.name)?.expected);
        if policies
            .iter()
            .filter_map(expected)
            .any(|fuel| fuel >= budget.get())
        {
            return false;
        }
        for policy in policies {
            let used = self.used(namespace, &policy.name);
            used.expected = used.expected.saturating_add(fuel.unwrap_or(used.last));
        }
        true
    }

    /// Reports whether one of these policies has used up its budget in the namespace.
    pub(super) fn is_used_up(
        &self,
        budget: NonZero<u64>,
        namespace: &str,
        policies: &[PreparedPolicy],
    ) -> bool {
        let Some(by_policy) = self.by_namespace.get(namespace) else {
            return false;
        };
        let used = |policy: &PreparedPolicy| by_policy.get(&policy.name);
        policies
            .iter()
            .filter_map(used)
            .any(|used| used.fuel >= budget.get())
    }

    /// Counts what a policy has used for an object of a namespace.
    pub(super) fn took(&mut self, namespace: &Arc<str>, policy: &Arc<str>, fuel: u64) {
        if fuel == 0 {
            return;
        }
        let used = self.used(namespace, policy);
        used.fuel = used.fuel.saturating_add(fuel);
        used.last = fuel;
    }

    fn used(&mut self, namespace: &Arc<str>, policy: &Arc<str>) -> &mut Used {
        let by_policy = self.by_namespace.entry(Arc::clone(namespace)).or_default();
        by_policy.entry(Arc::clone(policy)).or_default()
    }
}
