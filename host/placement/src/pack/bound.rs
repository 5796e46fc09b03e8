//! Lower bounds of the new nodes that pods need.

use std::collections::HashMap;

use super::Demand;
use super::ground::Ground;
use crate::Cluster;

/// What some pods need of new nodes, whatever the order in which they are placed. Pods
/// that may go to nodes that are there count for nothing.
pub(super) struct Needs {
    /// What they ask for together, by column.
    amounts: Vec<i128>,
    /// Nodes that pods which keep apart by host need: each one of its own.
    exclusive: u64,
}

impl Needs {
    /// What the pods of some rows need.
    #[expect(clippy::disallowed_methods, reason = "a maximum has no order")]
    pub(super) fn new(
        cluster: &Cluster,
        ground: &Ground,
        demands: &[Demand],
        rows: impl Iterator<Item = usize>,
    ) -> Self {
        let mut amounts = vec![0; ground.names.len()];
        let mut apart: HashMap<u32, u64> = HashMap::new();
        let of_new = rows.filter(|row| !ground.may_take(&ground.asking[*row]));
        for row in of_new {
            let (asking, Demand { class, count }) = (&ground.asking[row], demands[row]);
            for &(column, amount) in &asking.amounts {
                amounts[column] += i128::from(amount) * i128::from(count);
            }
            if asking.bonds.anti_affinity {
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

    /// The pods can't be placed on fewer new nodes. `free`: what is free on a node of each
    /// part, by column.
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
