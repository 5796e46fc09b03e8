//! The taint of nodes that are not needed: the scheduler avoids them, and its value keeps
//! their timers over a restart.

use std::sync::Arc;

use futures::stream::{self, StreamExt as _};

use super::{CONCURRENCY, DELETION_CANDIDATE, NodeLoop, Removals};
use crate::cloud::CloudProvider;
use crate::ports::{NodeChange, NodesReader, NodesWriter, TaintChange};
use crate::reasons::{BEING_DELETED, NOT_AUTOSCALED, REPLACEMENT_UNDER_WAY};
use crate::scale_down::ScaleDownPlan;
use crate::state::ClusterState;
use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;
use flyball_placement::{Node, Taint};

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Taints the nodes that have become unneeded with the time since which they are, and
    /// removes the taint from others, at most `--max-bulk-soft-taint-count` in one pass.
    /// Returns also whether there was something to write.
    pub(super) async fn update_soft_taints(
        &mut self,
        now: Timestamp,
        plan: &ScaleDownPlan,
    ) -> (Removals, bool) {
        let mut removals = Removals::default();
        let changes = self.soft_taint_changes(now, plan);
        let has_written = !changes.is_empty();
        let writes = stream::iter(changes).map(|change| async {
            let name = Arc::clone(&change.name);
            (name, self.writer.update_node(now, change).await)
        });
        let results: Vec<_> = writes.buffered(CONCURRENCY).collect().await;
        for (node, result) in results {
            if let Err(error) = result {
                let message = format!("the taint {DELETION_CANDIDATE} was not written: {error}");
                removals.step(&node, "SoftTaintFailed", message);
            }
        }
        (removals, has_written)
    }

    fn soft_taint_changes(&self, now: Timestamp, plan: &ScaleDownPlan) -> Vec<NodeChange> {
        let max = self.options.scale_down.max_bulk_soft_taint_count as usize;
        let (drains, timers) = (&self.scale_down.drains, &self.scale_down.timers);
        let find = |state: &mut ClusterState| {
            let mut changes = Vec::new();
            let unneeded = plan.unneeded.iter();
            let unneeded = unneeded.filter(|node| drains.get(&node.name).is_none());
            for node in unneeded {
                let Some(view) = state.node(&node.name) else {
                    continue;
                };
                let since = timers.since(&node.name).unwrap_or(now);
                let value = (since.0 / 1000).to_string();
                // The value is another one if the timer began anew after a time without a
                // leader.
                let is_tainted = taints(&view.facts.node).any(|taint| *taint.value == value);
                if changes.len() < max && !is_tainted {
                    changes.push(NodeChange {
                        name: Arc::clone(&node.name),
                        add_taints: vec![TaintChange {
                            key: DELETION_CANDIDATE.into(),
                            value: value.into(),
                            effect: "PreferNoSchedule".into(),
                        }],
                        ..NodeChange::default()
                    });
                }
            }
            for node in &plan.needed {
                let Some(view) = state.node(&node.name) else {
                    continue;
                };
                let code = &*node.stay.code;
                // Nodes of other groups have the taints of another autoscaler, and the rest are
                // about to leave.
                let keeps = [NOT_AUTOSCALED, BEING_DELETED, REPLACEMENT_UNDER_WAY];
                let keeps = keeps.iter().any(|reason| reason.code == code);
                if changes.len() < max && !keeps && taints(&view.facts.node).next().is_some() {
                    changes.push(NodeChange {
                        name: Arc::clone(&node.name),
                        remove_taints: vec![DELETION_CANDIDATE.into()],
                        ..NodeChange::default()
                    });
                }
            }
            changes
        };
        self.reader.with_state(find)
    }
}

fn taints(node: &Node) -> impl Iterator<Item = &Taint> {
    let taints = node.taints.iter();
    taints.filter(|taint| &*taint.key == DELETION_CANDIDATE)
}
