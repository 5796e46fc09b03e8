//! The columns of questions about moves.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ProposedMove;
use super::targets::Target;
use crate::scale_down::judge::{JudgedNode, KeptVerdicts, NodeTable, PodAction, group_columns};
use crate::scale_down::plan::ScaleDownContext;
use crate::scale_down::removals::evicted;
use crate::state::ClusterState;
use flyball_decision::scale_down::{
    GroupColumns, MAX_MOVES, MoveColumns, NONE, ScaleDownMovesInput,
};

/// A question about moves.
pub(super) struct MovesQuestion {
    pub(super) input: ScaleDownMovesInput,
    /// Index of the judged node of each row of nodes.
    pub(super) rows: Vec<usize>,
    /// Name of the node of each row of nodes.
    pub(super) names: Vec<Arc<str>>,
    /// The move of each row.
    pub(super) moves: Vec<ProposedMove>,
}

/// Returns the questions about these moves.
pub(super) fn questions(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    nodes: &[JudgedNode],
    moves: Vec<ProposedMove>,
    targets: &[Target],
    kept: &KeptVerdicts,
) -> Vec<MovesQuestion> {
    let groups = Arc::new(groups(context, state, nodes));
    let mut questions = Vec::new();
    let mut moves = moves.into_iter().peekable();
    while moves.peek().is_some() {
        let asked: Vec<ProposedMove> = moves.by_ref().take(MAX_MOVES).collect();
        let mut table = MoveTable {
            state,
            nodes,
            targets,
            rows: BTreeMap::new(),
            order: Vec::new(),
            columns: MoveColumns::default(),
        };
        for one in &asked {
            table.add(one);
        }
        let mut leaving = NodeTable::new(context);
        for &at in &table.order {
            let node = &nodes[at].node;
            if let Some(known) = kept.get(&node.name) {
                leaving.add(node, known);
            }
        }
        let names = table.order.iter();
        let names = names.map(|&at| Arc::clone(&nodes[at].node.name)).collect();
        let input = ScaleDownMovesInput {
            groups: Arc::clone(&groups),
            nodes: leaving.input(Arc::clone(&groups)).nodes,
            moves: Arc::new(table.columns),
        };
        questions.push(MovesQuestion {
            input,
            rows: table.order,
            names,
            moves: asked,
        });
    }
    questions
}

/// The groups, with what moving all pods of their candidates costs.
fn groups(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    nodes: &[JudgedNode],
) -> GroupColumns {
    let mut columns = group_columns(context, state, true);
    for node in nodes {
        if let Some(cost) = columns.cost.get_mut(node.node.group) {
            *cost = Some(cost.unwrap_or(0.0) + node.cost);
        }
    }
    columns
}

struct MoveTable<'a> {
    state: &'a ClusterState,
    nodes: &'a [JudgedNode],
    targets: &'a [Target],
    /// Row of each node that leaves, by its index.
    rows: BTreeMap<usize, u32>,
    order: Vec<usize>,
    columns: MoveColumns,
}

impl MoveTable<'_> {
    fn add(&mut self, one: &ProposedMove) {
        let (mut count, mut cost) = (0_usize, 0.0);
        let (mut youngest, mut priority): (Option<i64>, Option<i32>) = (None, None);
        for &at in &one.leaving {
            let row = self.row(at);
            self.columns.leaving_node.push(row);
            let node = &self.nodes[at];
            cost += node.cost;
            for slot in evicted(node) {
                let Some(pod) = self.state.pod_at(slot) else {
                    continue;
                };
                count += 1;
                youngest = youngest.into_iter().chain([pod.facts.created.0]).max();
                priority = priority.into_iter().chain([pod.priority]).max();
            }
            // Pods that run to their end are part of what a move waits for.
            let waits = node.pods.iter();
            count += waits.filter(|pod| pod.action == PodAction::Wait).count();
        }
        let columns = &mut self.columns;
        columns.leaving_end.push(length(&columns.leaving_node));
        if let Some(coming) = &one.coming {
            let target = &self.targets[coming.target];
            let group = u32::try_from(target.row).unwrap_or(u32::MAX);
            columns.coming_group.push(group);
            columns.coming_count.push(coming.count);
        }
        columns.coming_end.push(length(&columns.coming_group));
        columns
            .pod_count
            .push(u32::try_from(count).unwrap_or(u32::MAX));
        columns.cost.push(cost);
        columns.youngest_pod_ms.push(youngest.unwrap_or(NONE));
        columns.highest_priority.push(priority.unwrap_or_default());
        columns.exhausted_budgets.push(one.exhausted_budgets);
        columns.price_before.push(one.price_before);
        columns.price_after.push(one.price_after);
    }

    fn row(&mut self, at: usize) -> u32 {
        let next = length(&self.order);
        let row = *self.rows.entry(at).or_insert(next);
        if row == next {
            self.order.push(at);
        }
        row
    }
}

fn length<T>(entries: &[T]) -> u32 {
    u32::try_from(entries.len()).unwrap_or(u32::MAX)
}
