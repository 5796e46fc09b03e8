//! Estimates for each of many growths, without doing twice what comes to the same: a
//! cloud has hundreds of node groups, and most differ in size or zone alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::bound::Needs;
use super::ground::Ground;
use super::{Demand, Growth, Packed, Part, add_template, pack_on};
use crate::cluster::{HOSTNAME, Reads};
use crate::{ClassId, Cluster, Labels, NodeId};

/// As [`super::pack`], for each growth by itself.
///
/// The result for one growth stands for others too: for those whose nodes no pod can tell
/// apart from its nodes, and, if all pods found a place on as few nodes as they can do
/// with, for those whose nodes are larger.
pub fn pack_each(
    cluster: &mut Cluster,
    known: &[NodeId],
    growths: &[Growth<'_>],
    demands: &[Demand],
) -> Vec<Arc<Packed>> {
    let ground = Ground::new(cluster, known, demands, false);
    let pods = Pods::new(cluster, &ground, demands);
    let shapes: Vec<Shape> = growths
        .iter()
        .map(|growth| Shape::new(cluster, growth, &ground, &pods))
        .collect();
    // Larger nodes come after smaller ones, which may answer for them.
    let mut order: Vec<usize> = (0..shapes.len()).collect();
    order.sort_by(|&a, &b| shapes[a].free.cmp(&shapes[b].free));
    let mut found: HashMap<&[Situation], Vec<(usize, Arc<Packed>)>> = HashMap::new();
    let mut packed = vec![Arc::default(); shapes.len()];
    for row in order {
        let shape = &shapes[row];
        let alike = found.entry(&shape.situations).or_default();
        let answer = alike
            .iter()
            .find(|(other, answer)| pods.stands(&shapes[*other], answer, shape));
        packed[row] = if let Some((_, answer)) = answer {
            Arc::clone(answer)
        } else {
            let answer = Arc::new(pack_on(cluster, &ground, &growths[row], demands));
            alike.push((row, Arc::clone(&answer)));
            answer
        };
    }
    packed
}

/// What can tell a new node of a part from those of others, beside what is free.
#[derive(PartialEq, Eq, Hash)]
struct Situation {
    cluster: Vec<u32>,
    carried: Vec<ClassId>,
    /// What decides which part grows first: whether it is a stand-in, and by how much it
    /// is larger than the smallest part.
    rank: (bool, u32),
    /// All labels, if pods have volumes: these may go by any.
    labels: Option<Vec<(String, String)>>,
}

/// All that distinguishes a growth from others.
struct Shape {
    /// Situation of a new node of each part.
    situations: Vec<Situation>,
    /// Free amounts on a new node of each part, by column.
    free: Vec<Vec<i64>>,
    /// The most nodes of each part, and of all.
    limits: (Vec<u32>, u32),
}

impl Shape {
    fn new(cluster: &mut Cluster, growth: &Growth<'_>, ground: &Ground, pods: &Pods) -> Self {
        let several = growth.parts.len() > 1;
        // What counts is by how much sizes differ.
        let smallest = growth.parts.iter().map(|part| part.size).min();
        let smallest = smallest.unwrap_or_default();
        let (mut situations, mut free) = (Vec::new(), Vec::new());
        for part in &growth.parts {
            let mark = cluster.mark();
            let node = add_template(cluster, part.template);
            let labels = pods.volumes.then(|| sorted(&part.template.node.labels));
            situations.push(Situation {
                cluster: cluster.situation(node, &pods.reads),
                carried: part.template.carried.clone(),
                rank: if several {
                    (part.stand_in, part.size - smallest)
                } else {
                    (false, 0)
                },
                labels,
            });
            free.push(ground.names.row(cluster, node));
            cluster.rollback(mark);
        }
        let limits = |part: &Part<'_>| part.max_nodes.min(growth.max_nodes);
        Self {
            situations,
            free,
            limits: (growth.parts.iter().map(limits).collect(), growth.max_nodes),
        }
    }

    fn is_as_large_as(&self, other: &Self) -> bool {
        let mut parts = self.free.iter().zip(&other.free);
        parts.all(|(own, other)| own.iter().zip(other).all(|(own, other)| own >= other))
    }

    /// Whether so many nodes of each part may be added.
    fn has_room_for(&self, found: &Packed) -> bool {
        let mut parts = found.nodes.iter().zip(&self.limits.0);
        parts.all(|(nodes, limit)| nodes <= limit) && found.node_count() <= self.limits.1
    }
}

fn sorted(labels: &Labels) -> Vec<(String, String)> {
    let labels = labels.iter().filter(|(key, _)| ***key != *HOSTNAME);
    let mut labels: Vec<_> = labels
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    labels.sort();
    labels
}

/// All pods.
struct Pods {
    needs: Needs,
    count: u64,
    volumes: bool,
    /// What of the cluster decides where they may go.
    reads: Reads,
}

impl Pods {
    fn new(cluster: &Cluster, ground: &Ground, demands: &[Demand]) -> Self {
        let counts = demands.iter().map(|demand| u64::from(demand.count));
        Self {
            needs: Needs::new(cluster, ground, demands, 0..demands.len()),
            count: counts.sum(),
            volumes: ground.asking.iter().any(|asking| asking.bonds.volumes),
            reads: cluster.reads(demands.iter().map(|demand| demand.class)),
        }
    }

    /// Whether what was found for one growth stands for another in the same situation.
    fn stands(&self, known: &Shape, found: &Packed, shape: &Shape) -> bool {
        if known.free == shape.free && known.limits == shape.limits {
            return true;
        }
        let placed = found.placed.iter().map(|&count| u64::from(count));
        let free = shape.free.iter().map(Vec::as_slice);
        // Where pods fit they fit as well on larger nodes.
        shape.is_as_large_as(known)
            && shape.has_room_for(found)
            && u64::from(found.node_count()) <= self.needs.least_nodes(free)
            && placed.sum::<u64>() == self.count
    }
}
