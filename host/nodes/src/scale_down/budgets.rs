//! What PodDisruptionBudgets allow in a plan: each simulated eviction uses one disruption.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::reasons::{self, Stay};
use crate::state::{BudgetFacts, BudgetId, ClusterState, PodPhase, PodView};

/// Disruptions that budgets still allow.
pub(super) struct RemainingBudgets {
    left: BTreeMap<BudgetId, i32>,
}

/// Disruptions that the removal of a node needs.
#[derive(Debug, Default)]
pub(super) struct NeededDisruptions {
    counts: BTreeMap<BudgetId, i32>,
    /// Whether a budget does not allow all of them at once.
    pub(super) is_risky: bool,
}

impl RemainingBudgets {
    pub(super) fn new(state: &ClusterState) -> Self {
        let budgets = state.budgets();
        Self {
            left: budgets.map(|(id, budget)| (id, budget.allowed())).collect(),
        }
    }

    /// Counts the disruptions that the evictions of these pods need.
    ///
    /// # Errors
    /// The first pod whose budget allows none, or that has several budgets: the eviction
    /// API refuses such a pod.
    pub(super) fn check(
        &self,
        state: &ClusterState,
        evicted: &[u32],
    ) -> Result<NeededDisruptions, Arc<Stay>> {
        let mut needed = NeededDisruptions::default();
        for pod in evicted.iter().filter_map(|&slot| state.pod_at(slot)) {
            if passes_budgets(&pod) {
                continue;
            }
            let budgets = state.budgets_of(&pod);
            let budget = match budgets.only() {
                Some(budget) => budget,
                None if budgets.count == 0 => continue,
                None => return Err(Arc::new(Stay::blocked(pod.key, reasons::SEVERAL_BUDGETS))),
            };
            let facts = state.budget(budget);
            if !pod.facts.ready && facts.is_some_and(BudgetFacts::passes_unready) {
                continue;
            }
            let left = self.left.get(&budget).copied().unwrap_or_default();
            if left < 1 {
                return Err(Arc::new(Stay::blocked(pod.key, reasons::NOT_ENOUGH_PDB)));
            }
            let count = needed.counts.entry(budget).or_default();
            *count += 1;
            needed.is_risky |= *count > left;
        }
        Ok(needed)
    }

    /// Number of budgets that allow no further disruption after a removal.
    pub(super) fn exhausted(&self, needed: &NeededDisruptions) -> u32 {
        let exhausted = needed.counts.iter().filter(|(budget, count)| {
            let left = self.left.get(budget).copied().unwrap_or_default();
            left <= **count
        });
        u32::try_from(exhausted.count()).unwrap_or(u32::MAX)
    }

    /// Uses the disruptions of a removal.
    pub(super) fn take(&mut self, needed: &NeededDisruptions) {
        for (budget, count) in &needed.counts {
            if let Some(left) = self.left.get_mut(budget) {
                *left -= count;
            }
        }
    }
}

/// Whether the eviction API evicts a pod whatever its budgets say: it is not running, or is
/// being deleted.
pub(super) fn passes_budgets(pod: &PodView<'_>) -> bool {
    pod.facts.phase == PodPhase::Pending || !pod.stays()
}
