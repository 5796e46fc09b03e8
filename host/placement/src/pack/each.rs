//! Estimates for many growths, with results shared between equivalent ones: a cloud has
//! hundreds of node groups, most of which differ only in size or zone.

use std::collections::HashMap;
use std::sync::Arc;

use super::bound::LowerBounds;
use super::context::{PackContext, PartDomain};
use super::{Demand, Growth, Packed, Part, add_template, context_of, pack_on};
use crate::cluster::{Dependencies, HOSTNAME};
use crate::{ClassId, Cluster, Labels, NodeId};

/// Runs [`super::pack`] for each growth separately.
///
/// The result for a growth is also used for growths whose nodes no pod can distinguish
/// from its nodes and, if all pods were placed on the minimum number of nodes, for
/// growths with larger nodes.
pub fn pack_each(
    cluster: &mut Cluster,
    known: &[NodeId],
    growths: &[Growth<'_>],
    demands: &[Demand],
) -> Vec<Arc<Packed>> {
    let context = context_of(cluster, known, growths, demands);
    let pods = Pods::new(cluster, &context, demands);
    let keys: Vec<GrowthKey> = growths
        .iter()
        .map(|growth| GrowthKey::new(cluster, growth, &context, &pods))
        .collect();
    // Larger nodes come after smaller ones, whose results they may use.
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|&a, &b| keys[a].free.cmp(&keys[b].free));
    let mut found: HashMap<&[PartKey], Vec<(usize, Arc<Packed>)>> = HashMap::new();
    let mut packed = vec![Arc::default(); keys.len()];
    for row in order {
        let growth_key = &keys[row];
        let alike = found.entry(&growth_key.part_keys).or_default();
        let answer = alike
            .iter()
            .find(|(other, answer)| pods.is_valid_for(&keys[*other], answer, growth_key));
        packed[row] = if let Some((_, answer)) = answer {
            Arc::clone(answer)
        } else {
            let answer = Arc::new(pack_on(cluster, &context, &growths[row], demands));
            alike.push((row, Arc::clone(&answer)));
            answer
        };
    }
    packed
}

/// Properties by which pods can distinguish new nodes of a part from those of others,
/// besides free resources.
#[derive(PartialEq, Eq, Hash)]
struct PartKey {
    signature: Vec<u32>,
    /// The domains of the part, if there are several parts: whether two of them share one,
    /// and the room on existing nodes of a domain, decide which pods make room for which.
    domains: Vec<Option<PartDomain>>,
    carried: Vec<ClassId>,
    /// Decides which part grows first: whether it is a stand-in, and how much larger it
    /// is than the smallest part.
    rank: (bool, u32),
    /// All labels, if pods have volumes, whose topology may use any label.
    labels: Option<Vec<(String, String)>>,
}

/// Everything that distinguishes a growth from others.
struct GrowthKey {
    /// Properties of a new node of each part.
    part_keys: Vec<PartKey>,
    /// Free amounts on a new node of each part, by column.
    free: Vec<Vec<i64>>,
    /// Maximum number of nodes of each part, and of all parts.
    limits: (Vec<u32>, u32),
}

impl GrowthKey {
    fn new(cluster: &mut Cluster, growth: &Growth<'_>, context: &PackContext, pods: &Pods) -> Self {
        let several = growth.parts.len() > 1;
        // Only differences between sizes matter.
        let smallest = growth.parts.iter().map(|part| part.size).min();
        let smallest = smallest.unwrap_or_default();
        let domains = if several {
            context.part_domains(cluster, growth)
        } else {
            vec![Vec::new(); growth.parts.len()]
        };
        let (mut part_keys, mut free) = (Vec::new(), Vec::new());
        for (part, domains) in growth.parts.iter().zip(domains) {
            let mark = cluster.mark();
            let node = add_template(cluster, part.template);
            let labels = pods.volumes.then(|| sorted(&part.template.node.labels));
            part_keys.push(PartKey {
                signature: cluster.node_signature(node, &pods.dependencies),
                domains,
                carried: part.template.carried.clone(),
                rank: if several {
                    (part.stand_in, part.size - smallest)
                } else {
                    (false, 0)
                },
                labels,
            });
            free.push(context.columns.row(cluster, node));
            cluster.rollback(mark);
        }
        let limits = |part: &Part<'_>| part.max_nodes.min(growth.max_nodes);
        Self {
            part_keys,
            free,
            limits: (growth.parts.iter().map(limits).collect(), growth.max_nodes),
        }
    }

    fn is_as_large_as(&self, other: &Self) -> bool {
        let mut parts = self.free.iter().zip(&other.free);
        parts.all(|(own, other)| own.iter().zip(other).all(|(own, other)| own >= other))
    }

    /// Whether the limits allow the nodes of a result.
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

/// The pods to place.
struct Pods {
    bounds: LowerBounds,
    count: u64,
    volumes: bool,
    /// What their placement depends on in the cluster.
    dependencies: Dependencies,
}

impl Pods {
    fn new(cluster: &Cluster, context: &PackContext, demands: &[Demand]) -> Self {
        let counts = demands.iter().map(|demand| u64::from(demand.count));
        Self {
            bounds: LowerBounds::new(cluster, context, demands, 0..demands.len()),
            count: counts.sum(),
            volumes: context
                .requirements
                .iter()
                .any(|requirements| requirements.bonds.volumes),
            dependencies: cluster.dependencies(demands.iter().map(|demand| demand.class)),
        }
    }

    /// Whether the result for one growth is valid for another with equal node
    /// properties.
    fn is_valid_for(&self, known: &GrowthKey, found: &Packed, growth_key: &GrowthKey) -> bool {
        if known.free == growth_key.free && known.limits == growth_key.limits {
            return true;
        }
        let placed = found.placed.iter().map(|&count| u64::from(count));
        let free = growth_key.free.iter().map(Vec::as_slice);
        // Pods that fit on a node also fit on a larger one.
        growth_key.is_as_large_as(known)
            && growth_key.has_room_for(found)
            && u64::from(found.node_count()) <= self.bounds.least_nodes(free)
            && placed.sum::<u64>() == self.count
    }
}
