//! Lower bounds on the number of new nodes that pods need.

use std::collections::HashMap;

use super::Demand;
use super::context::PackContext;
use crate::Cluster;

/// Requirements of pods on new nodes, independent of the order of placement. Pods that
/// may fit on existing nodes are not counted.
pub(super) struct LowerBounds {
    /// Sum of their requests, by column.
    amounts: Vec<i128>,
    /// Nodes needed by pods that exclude each other by host, one for each pod.
    exclusive: u64,
}

impl LowerBounds {
    /// Sums the requirements of the pods of some rows.
    #[expect(clippy::disallowed_methods, reason = "a maximum has no order")]
    pub(super) fn new(
        cluster: &Cluster,
        context: &PackContext<'_>,
        demands: &[Demand],
        rows: impl Iterator<Item = usize>,
    ) -> Self {
        let mut amounts = vec![0; context.columns.len()];
        let mut apart: HashMap<u32, u64> = HashMap::new();
        let of_new = rows.filter(|row| !context.may_take(&context.requirements[*row]));
        for row in of_new {
            let (requirements, Demand { class, count }) =
                (&context.requirements[row], demands[row]);
            for &(column, amount) in &requirements.amounts {
                amounts[column] += i128::from(amount) * i128::from(count);
            }
            if requirements.bonds.anti_affinity {
                for exclusion in cluster.host_exclusions(class) {
                    *apart.entry(exclusion).or_default() += u64::from(count);
                }
            }
        }
        Self {
            amounts,
            exclusive: apart.into_values().max().unwrap_or_default(),
        }
    }

    /// Returns a lower bound on the number of new nodes. `free` has the free amounts on
    /// a new node of each part, by column.
    pub(super) fn least_nodes<'a>(&self, free: impl Iterator<Item = &'a [i64]> + Clone) -> u64 {
        let amounts = self.amounts.iter().enumerate();
        let nodes = amounts.map(|(column, &amount)| {
            if amount <= 0 {
                return 0;
            }
            let most = free.clone().map(|free| free[column]).max();
            let most = most.filter(|most| *most > 0);
            let nodes = most.map(|most| (amount - 1) / i128::from(most) + 1);
            nodes.map_or(u64::MAX, |nodes| u64::try_from(nodes).unwrap_or(u64::MAX))
        });
        nodes.max().unwrap_or_default().max(self.exclusive)
    }
}
