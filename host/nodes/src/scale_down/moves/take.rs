//! Simulates the removals of a plan: of nodes that are reviewed or replaced, and of those
//! whose moves the policies take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::under_way::ReplacementKey;
use super::{Judged, Proposed, ProposedMove, are_judged, judge_moves, min_pod_age_ms, propose};
use crate::reasons::{self, Stay};
use crate::scale_down::judge::JudgedNode;
use crate::scale_down::plan::{
    RemovalKind, ReviewedNode, ScaleDownContext, ScaleDownPlan, StayingNode, UnneededNode,
};
use crate::scale_down::removals::{Replacing, SimulatedRemovals};
use crate::scale_down::tracker::ScaleDownTracker;
use crate::state::ClusterState;
use flyball_decision::time::Timestamp;

/// Unneeded nodes that cheaper ones can take the place of.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedReplacement {
    /// Which nodes leave, and what comes.
    pub key: ReplacementKey,
    /// Indices of the unneeded nodes that leave.
    pub nodes: Vec<usize>,
    /// Index in the census of the group whose nodes come.
    pub group: usize,
    /// Price of the nodes that leave, for an hour.
    pub price_before: f64,
    /// Price of the nodes that come, for an hour.
    pub price_after: f64,
    /// Since when it has been proposed in every pass.
    pub since: Timestamp,
    /// Whether its nodes are ordered now.
    pub is_ordered: bool,
}

impl PlannedReplacement {
    /// Why its nodes stay for now.
    pub(in crate::scale_down) fn stay(&self) -> Stay {
        let ReplacementKey {
            leaving,
            group,
            count,
        } = &self.key;
        let message = format!(
            "{count} of {group} for {:.4} an hour can take the place of {} for {:.4}",
            self.price_after,
            leaving.join(", "),
            self.price_before
        );
        Stay {
            message,
            ..Stay::of(reasons::REPLACEMENT_PROPOSED)
        }
    }
}

/// Simulates the removals of a plan. What moves stays moved until the end, so that the next
/// node sees it. `nodes` are in their order.
pub(in crate::scale_down) fn simulate(
    context: &ScaleDownContext<'_>,
    state: &mut ClusterState,
    tracker: &ScaleDownTracker,
    (reviewed, mut nodes): (Vec<JudgedNode>, Vec<JudgedNode>),
    plan: &mut ScaleDownPlan,
) {
    let is_replaced = |node: &JudgedNode| {
        let replacement = tracker.replacements.of_leaving(&node.node.name);
        replacement.is_some()
    };
    let replaced: Vec<JudgedNode> = nodes.extract_if(.., |node| is_replaced(node)).collect();
    let mark = state.cluster_mut().mark();
    let mut simulated = SimulatedPlan {
        context,
        tracker,
        reviewed: &reviewed,
        replaced: &replaced,
        nodes: &nodes,
        plan,
    };
    let moves = are_judged(context).then(|| {
        let removable = simulated.removable(state);
        let proposed = simulated.propose(state, &removable);
        (removable, proposed)
    });
    let mut removals = simulated.begin(state);
    simulated.settle_reviewed(&mut removals);
    simulated.settle_replaced(&mut removals);
    match moves {
        None => simulated.remove_all(&mut removals),
        Some((removable, proposed)) => simulated.move_all(&mut removals, removable, proposed),
    }
    let next = &mut simulated.plan.next;
    *next = next.iter().copied().chain(removals.old_enough).min();
    for node in &mut simulated.plan.unneeded {
        removals.set_places(node);
    }
    state.cluster_mut().rollback(mark);
}

/// Indices of the nodes that can be removed one after the other, and why others stay that the
/// policies let go.
struct Removable {
    nodes: Vec<usize>,
    stays: BTreeMap<usize, Arc<Stay>>,
}

struct SimulatedPlan<'p> {
    context: &'p ScaleDownContext<'p>,
    tracker: &'p ScaleDownTracker,
    reviewed: &'p [JudgedNode],
    /// Nodes whose replacements have come.
    replaced: &'p [JudgedNode],
    nodes: &'p [JudgedNode],
    plan: &'p mut ScaleDownPlan,
}

impl<'p> SimulatedPlan<'p> {
    fn begin(&self, state: &'p mut ClusterState) -> SimulatedRemovals<'p> {
        SimulatedRemovals::new(self.context, state, self.tracker, self.nodes)
    }

    /// Begins a simulation that only prepares the plan: without the nodes that are reviewed or
    /// replaced. Whether these go is decided later, in the simulation of the plan itself.
    fn begin_without_leaving(&self, state: &'p mut ClusterState) -> SimulatedRemovals<'p> {
        let mut removals = self.begin(state);
        for node in self.reviewed {
            let _ = removals.review(node);
        }
        for set in self.replaced_sets() {
            let _ = removals.remove_together(&set, 0, None);
        }
        removals
    }

    /// Finds out which nodes can be removed one after the other. The cluster is unchanged
    /// afterwards.
    fn removable(&self, state: &mut ClusterState) -> Removable {
        let mark = state.cluster_mut().mark();
        let mut removals = self.begin_without_leaving(state);
        let mut removable = Removable {
            nodes: Vec::new(),
            stays: BTreeMap::new(),
        };
        let nodes = self.nodes.iter().enumerate();
        for (at, node) in nodes.filter(|(_, node)| node.stay.is_none()) {
            match removals.remove(node) {
                Ok(_) => removable.nodes.push(at),
                Err(stay) => {
                    removable.stays.insert(at, stay);
                }
            }
        }
        state.cluster_mut().rollback(mark);
        removable
    }

    /// Proposes moves. The cluster is unchanged afterwards.
    fn propose(&self, state: &mut ClusterState, removable: &Removable) -> Proposed {
        let mark = state.cluster_mut().mark();
        let mut removals = self.begin_without_leaving(state);
        // Nodes without pods leave in any case: nothing moves there.
        for &at in &removable.nodes {
            if self.nodes[at].is_empty() {
                let _ = removals.remove(&self.nodes[at]);
            }
        }
        let proposed = propose(&mut removals, self.context, self.nodes, &removable.nodes);
        state.cluster_mut().rollback(mark);
        proposed
    }

    fn settle_reviewed(&mut self, removals: &mut SimulatedRemovals<'_>) {
        for node in self.reviewed {
            let result = removals.review(node);
            self.plan.reviewed.push(ReviewedNode {
                name: Arc::clone(&node.node.name),
                result,
            });
        }
    }

    /// The nodes of each replacement that leave now.
    fn replaced_sets(&self) -> Vec<Vec<&'p JudgedNode>> {
        let replacements = self.tracker.replacements.under_way.iter();
        let sets = replacements.map(|one| {
            let nodes = self.replaced.iter();
            let nodes = nodes.filter(|node| one.leaving.contains(&node.node.name));
            nodes.collect::<Vec<_>>()
        });
        sets.filter(|set| !set.is_empty()).collect()
    }

    /// Removes the nodes whose replacements have come, if what really came has room for all
    /// their pods.
    fn settle_replaced(&mut self, removals: &mut SimulatedRemovals<'_>) {
        let min_age = self.context.options.scale_down.min_pod_age_ms;
        for set in self.replaced_sets() {
            match removals.remove_together(&set, min_age, None) {
                Ok((unneeded, _)) => self.add(unneeded, RemovalKind::Replaced),
                Err(stay) => {
                    let names = set.iter().map(|node| Arc::clone(&node.node.name));
                    let names: Vec<Arc<str>> = names.collect();
                    for name in &names {
                        self.stay(name, Arc::clone(&stay));
                    }
                    self.plan.unfit.push((names, stay));
                }
            }
        }
    }

    /// Removes one node after the other.
    fn remove_all(&mut self, removals: &mut SimulatedRemovals<'_>) {
        for node in self.nodes {
            match removals.remove(node) {
                Ok(unneeded) => self.plan.unneeded.push(unneeded),
                Err(stay) => self.stay(&node.node.name, stay),
            }
        }
    }

    /// Asks the policies about moves, and makes those that they take, in their order. They
    /// share room, so one that no longer fits waits.
    fn move_all(
        &mut self,
        removals: &mut SimulatedRemovals<'_>,
        removable: Removable,
        proposed: Proposed,
    ) {
        let mut stays = removable.stays;
        let next = self.plan.next.into_iter();
        self.plan.next = next.chain(proposed.old_enough).min();
        let ScaleDownPlan {
            questions,
            policy_events,
            ..
        } = &mut *self.plan;
        let recorded = (questions, policy_events);
        let kept = &self.tracker.verdicts;
        let judged = judge_moves(
            removals.state,
            self.context,
            self.nodes,
            proposed,
            kept,
            recorded,
        );
        stays.extend(judged.left.iter().cloned());
        if let Some(again) = judged.again {
            self.plan.next = self.plan.next.into_iter().chain([again]).min();
        }
        let mut gone = BTreeSet::new();
        // Nodes without pods first: nothing else moves there.
        let is_empty = |one: &&ProposedMove| {
            let mut leaving = one.leaving.iter();
            one.coming.is_none() && leaving.all(|&at| self.nodes[at].is_empty())
        };
        let empty = judged.taken.iter().filter(is_empty);
        let others = judged.taken.iter().filter(|one| !is_empty(one));
        let taken: Vec<&ProposedMove> = empty.chain(others).collect();
        for one in taken {
            if one.leaving.iter().any(|at| gone.contains(at)) {
                continue;
            }
            match (&one.coming, one.leaving.first()) {
                (None, Some(&at)) => match removals.remove(&self.nodes[at]) {
                    Ok(unneeded) => {
                        gone.insert(at);
                        self.plan.unneeded.push(unneeded);
                    }
                    Err(stay) => {
                        stays.insert(at, stay);
                    }
                },
                _ => {
                    if self.replace(removals, &judged, one) {
                        gone.extend(&one.leaving);
                    }
                }
            }
        }
        for (at, node) in self.nodes.iter().enumerate() {
            if !gone.contains(&at) {
                let stay = stays.remove(&at).or_else(|| node.stay.clone());
                let stay = stay.unwrap_or_else(|| Arc::new(Stay::of(reasons::NO_PLACE)));
                self.stay(&node.node.name, stay);
            }
        }
    }

    /// Plans a replacement. Returns whether its nodes can leave.
    fn replace(
        &mut self,
        removals: &mut SimulatedRemovals<'_>,
        judged: &Judged,
        one: &ProposedMove,
    ) -> bool {
        let (Some(coming), Some(price_before), Some(price_after)) =
            (&one.coming, one.price_before, one.price_after)
        else {
            return false;
        };
        let target = &judged.targets[coming.target];
        let set = one.leaving.iter().map(|&at| &self.nodes[at]);
        let set: Vec<&JudgedNode> = set.collect();
        let leaving = set.iter().map(|node| node.node.group);
        let mut groups: BTreeSet<usize> = leaving.collect();
        groups.insert(target.row);
        if self.is_being_replaced(&groups) {
            return false;
        }
        let Some(template) = target.templates.first() else {
            return false;
        };
        let replacing = Replacing {
            template: &template.template,
            group: &target.group.name,
            max: coming.count,
        };
        let min_age = min_pod_age_ms(self.context);
        let Ok((unneeded, count)) = removals.remove_together(&set, min_age, Some(replacing)) else {
            return false;
        };
        if count == 0 {
            // Room has come free meanwhile: no new node is needed.
            self.add(unneeded, RemovalKind::Plain);
            return true;
        }
        let start = self.plan.unneeded.len();
        let mut leaving: Vec<Arc<str>> =
            unneeded.iter().map(|node| Arc::clone(&node.name)).collect();
        leaving.sort();
        self.add(unneeded, RemovalKind::Replaceable);
        self.plan.replacements.push(PlannedReplacement {
            key: ReplacementKey {
                leaving,
                group: Arc::clone(&target.group.name),
                count: coming.count,
            },
            nodes: (start..self.plan.unneeded.len()).collect(),
            group: target.row,
            price_before,
            price_after,
            since: self.context.now,
            is_ordered: false,
        });
        true
    }

    /// Whether a replacement that is planned or under way concerns one of these groups: there
    /// is one at a time in a group.
    fn is_being_replaced(&self, groups: &BTreeSet<usize>) -> bool {
        let mut planned = self.plan.replacements.iter();
        let is_planned = planned.any(|one| {
            let mut leaving = one.nodes.iter().map(|&at| self.plan.unneeded[at].group);
            groups.contains(&one.group) || leaving.any(|group| groups.contains(&group))
        });
        let census = &self.context.census.groups;
        is_planned
            || groups.iter().any(|&group| {
                let name = &census[group].group.name;
                self.tracker.replacements.concerns(name)
            })
    }

    fn add(&mut self, unneeded: Vec<UnneededNode>, kind: RemovalKind) {
        let unneeded = unneeded.into_iter();
        let unneeded = unneeded.map(|node| UnneededNode { kind, ..node });
        self.plan.unneeded.extend(unneeded);
    }

    fn stay(&mut self, name: &Arc<str>, stay: Arc<Stay>) {
        self.plan.needed.push(StayingNode {
            name: Arc::clone(name),
            stay,
        });
    }
}
