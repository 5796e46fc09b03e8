//! PodDisruptionBudgets, and the controller that counts the pods of each.

use flyball_decision::key::ObjectKey;
use flyball_nodes::state::{BudgetFacts, ClusterState, OwnerKind};

use super::scheduler::{Shape, WorkloadCounts};
use crate::random;
use crate::scenario::{BudgetSpec, CountOrPercent, UnhealthyPodEvictionPolicy, selector};

/// All PodDisruptionBudgets.
#[derive(Debug)]
pub struct Budgets(Vec<Budget>);

#[derive(Debug)]
struct Budget {
    facts: BudgetFacts,
    min_available: Option<CountOrPercent>,
    max_unavailable: Option<CountOrPercent>,
    /// Index and controller of each workload whose pods it selects.
    workloads: Vec<(usize, Option<OwnerKind>)>,
}

impl Budgets {
    /// Creates the budgets, with a status that allows nothing.
    pub fn new(specs: &[BudgetSpec], shapes: &[Shape], seed: u64) -> Self {
        let budgets = specs.iter();
        Self(
            budgets
                .map(|spec| Budget::new(spec, shapes, seed))
                .collect(),
        )
    }

    /// Counts the pods, and updates the statuses.
    pub fn count(&mut self, state: &mut ClusterState, counts: &[WorkloadCounts]) {
        for budget in &mut self.0 {
            budget.count(counts);
            state.apply_budget(budget.facts.clone());
        }
    }

    /// Counts an eviction against the budget with this uid.
    pub fn spend(&mut self, state: &mut ClusterState, uid: &str) {
        let budget = self.0.iter_mut().find(|budget| *budget.facts.uid == *uid);
        if let Some(Budget { facts, .. }) = budget {
            facts.disruptions_allowed -= 1;
            state.apply_budget(facts.clone());
        }
    }
}

impl Budget {
    fn new(spec: &BudgetSpec, shapes: &[Shape], seed: u64) -> Self {
        let selector = spec.selector.as_ref().map(selector);
        let is_selected = |shape: &Shape| {
            let same = *shape.pod.namespace == *spec.namespace;
            let selector = selector.as_ref().filter(|_| same);
            selector.is_some_and(|selector| selector.selects(|key| shape.pod.labels.get(key)))
        };
        let workloads = shapes.iter().enumerate();
        let workloads = workloads.filter(|(_, shape)| is_selected(shape));
        let names = [random::name(&spec.namespace), random::name(&spec.name)];
        let uid = random::draw(&[seed, names[0], names[1], 10]);
        let policy = spec.unhealthy_pod_eviction_policy;
        Self {
            workloads: workloads
                .map(|(index, shape)| (index, shape.kind))
                .collect(),
            facts: BudgetFacts {
                uid: format!("{uid:016x}").into(),
                key: ObjectKey {
                    namespace: spec.namespace.as_str().into(),
                    name: spec.name.as_str().into(),
                },
                selector,
                disruptions_allowed: 0,
                is_current: true,
                always_evict_unhealthy: policy == UnhealthyPodEvictionPolicy::AlwaysAllow,
                min_healthy: 0,
                current_healthy: 0,
            },
            min_available: spec.min_available,
            max_unavailable: spec.max_unavailable,
        }
    }

    /// Counts as the disruption controller does.
    fn count(&mut self, counts: &[WorkloadCounts]) {
        let with_pods = self.workloads.iter().filter_map(|(index, kind)| {
            let counts = counts.get(*index).filter(|counts| counts.pods > 0)?;
            Some((counts, *kind))
        });
        let (mut pods, mut healthy, mut scale) = (0, 0, 0);
        let mut is_scalable = true;
        for (counts, kind) in with_pods {
            pods += count(counts.pods);
            healthy += count(counts.ready);
            // Pods without a controller do not count; a Job has no scale.
            is_scalable &= kind != Some(OwnerKind::Job);
            if kind.is_some() {
                scale += u32::try_from(counts.desired).unwrap_or_default();
            }
        }
        let (expected, min_healthy, is_known) = match (self.min_available, self.max_unavailable) {
            (Some(CountOrPercent::Count(min)), _) => (pods, min, true),
            (Some(percent), _) => (scale, percent.of(scale), is_scalable),
            (None, Some(max)) => (scale, scale.saturating_sub(max.of(scale)), is_scalable),
            (None, None) => (0, 0, false),
        };
        let allowed = if expected > 0 && is_known {
            healthy.saturating_sub(min_healthy)
        } else {
            0
        };
        let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        self.facts.disruptions_allowed = number(allowed);
        self.facts.min_healthy = number(min_healthy);
        self.facts.current_healthy = number(healthy);
    }
}

fn count(pods: usize) -> u32 {
    u32::try_from(pods).unwrap_or(u32::MAX)
}

/// Returns the message of the API server when a budget does not allow an eviction.
pub fn refusal(budget: &BudgetFacts) -> String {
    let (min, healthy) = (budget.min_healthy, budget.current_healthy);
    let name = &budget.key.name;
    format!(
        "Cannot evict pod as it would violate the pod's disruption budget. The disruption \
         budget {name} needs {min} healthy pods and has {healthy} currently"
    )
}
