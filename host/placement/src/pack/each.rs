//! Estimates for many growths, with results shared between equivalent ones: a cloud has
//! hundreds of node groups, most of which differ only in size or zone.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::bound::LowerBounds;
use super::context::{PackContext, PartDomain};
use super::order::may_fit;
use super::tree::is_free;
use super::{Demand, Growth, Packed, Part, Work, add_template, context_of, pack_on};
use crate::cluster::{Dependencies, HOSTNAME};
use crate::{ClassId, Cluster, Labels, NodeId};

/// Runs [`super::pack`] for each growth separately.
///
/// The result for a growth is also used for growths whose nodes no pod can distinguish
/// from its nodes and, if all pods that may fit on larger nodes were placed on the minimum
/// number of nodes, for growths with such nodes.
pub fn pack_each(
    cluster: &mut Cluster,
    known: &[NodeId],
    growths: &[Growth<'_>],
    demands: &[Demand],
    work: &Work,
) -> Vec<Arc<Packed>> {
    let context = context_of(cluster, known, growths, demands, work);
    let parts = growths.iter().map(|growth| growth.parts.len()).sum();
    let mut pods = Pods::new(cluster, &context, demands, parts);
    let keys: Vec<GrowthKey> = growths
        .iter()
        .map(|growth| GrowthKey::new(cluster, growth, &pods))
        .collect();
    // Larger nodes come after smaller ones, whose results they may use.
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|&a, &b| keys[a].free.cmp(&keys[b].free));
    let mut found: HashMap<&[PartKey], Vec<KnownResult>> = HashMap::new();
    let mut packed = vec![Arc::default(); keys.len()];
    for row in order {
        let (growth, growth_key) = (&growths[row], &keys[row]);
        let alike = found.entry(&growth_key.part_keys).or_default();
        // Pods that fit nowhere here fit on no smaller node, so they are among the unplaced
        // ones of each result that may be valid, and are counted once.
        let mut unfit = None;
        let answer = alike.iter().find(|result| {
            let own = &keys[result.row];
            if own.free == growth_key.free && own.limits == growth_key.limits {
                return true;
            }
            // Pods that fit on a node also fit on a larger one.
            if !growth_key.is_as_large_as(own) || !growth_key.has_room_for(&result.packed) {
                return false;
            }
            let summary = result.summary(cluster, &pods);
            summary.has_least_nodes(&result.packed, growth_key) && {
                let count = || pods.count_unfit(cluster, growth, growth_key, &summary.unplaced);
                summary.placed + *unfit.get_or_insert_with(count) == pods.count
            }
        });
        packed[row] = if let Some(result) = answer {
            Arc::clone(&result.packed)
        } else {
            let answer = Arc::new(pack_on(cluster, &context, growth, demands));
            alike.push(KnownResult::new(row, &answer));
            answer
        };
    }
    packed
}

/// The result for a growth.
struct KnownResult {
    /// Index of the growth.
    row: usize,
    packed: Arc<Packed>,
    /// Made when it is asked for: many results are compared with no other growth.
    summary: OnceCell<Summary>,
}

impl KnownResult {
    fn new(row: usize, packed: &Arc<Packed>) -> Self {
        Self {
            row,
            packed: Arc::clone(packed),
            summary: OnceCell::new(),
        }
    }

    fn summary(&self, cluster: &Cluster, pods: &Pods<'_>) -> &Summary {
        let summary = || Summary::new(cluster, pods, &self.packed);
        self.summary.get_or_init(summary)
    }
}

/// What decides for which growths with larger nodes of equal properties a result is valid.
///
/// If it is valid, an estimate for the other growth alone places no pods but these, and all
/// of them on no fewer nodes.
struct Summary {
    /// Number of pods that were placed.
    placed: u64,
    /// Needs of the demands whose pods were all placed.
    bounds: LowerBounds,
    /// Demands of which no pod was placed.
    unplaced: Vec<usize>,
}

impl Summary {
    fn new(cluster: &Cluster, pods: &Pods<'_>, packed: &Packed) -> Self {
        let demands = pods.demands;
        // An estimate that places nothing may have no counts.
        let placed = |demand: usize| packed.placed.get(demand).copied().unwrap_or_default();
        let whole = (0..demands.len()).filter(|&at| placed(at) == demands[at].count);
        let bounds = LowerBounds::new(cluster, pods.context, demands, whole);
        let none = (0..demands.len()).filter(|&at| placed(at) == 0 && demands[at].count > 0);
        Self {
            placed: packed.placed.iter().map(|&count| u64::from(count)).sum(),
            bounds,
            unplaced: none.collect(),
        }
    }

    /// Whether the pods need no fewer nodes of another growth than in the result.
    fn has_least_nodes(&self, packed: &Packed, other: &GrowthKey) -> bool {
        let free = other.free.iter().map(Vec::as_slice);
        u64::from(packed.node_count()) <= self.bounds.least_nodes(free)
    }
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
    fn new(cluster: &mut Cluster, growth: &Growth<'_>, pods: &Pods<'_>) -> Self {
        let context = pods.context;
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
struct Pods<'a> {
    context: &'a PackContext<'a>,
    demands: &'a [Demand],
    count: u64,
    volumes: bool,
    /// What their placement depends on in the cluster.
    dependencies: Dependencies,
    /// Whether the pods of a demand may fit on existing nodes, at its index, once this was
    /// asked.
    on_known: Vec<Option<bool>>,
}

impl<'a> Pods<'a> {
    /// `parts` is the number of parts of all growths.
    fn new(
        cluster: &Cluster,
        context: &'a PackContext<'a>,
        demands: &'a [Demand],
        parts: usize,
    ) -> Self {
        let counts = demands.iter().map(|demand| u64::from(demand.count));
        Self {
            context,
            demands,
            count: counts.sum(),
            volumes: context
                .requirements
                .iter()
                .any(|requirements| requirements.bonds.volumes),
            dependencies: dependencies(cluster, context, demands, parts),
            on_known: vec![None; demands.len()],
        }
    }

    /// Whether the pods of a demand may fit on existing nodes once others are placed.
    fn may_fit_on_known(&mut self, cluster: &Cluster, row: usize) -> bool {
        let (context, class) = (self.context, self.demands[row].class);
        *self.on_known[row].get_or_insert_with(|| {
            context.may_fit_on_known(cluster, class, &context.requirements[row])
        })
    }

    /// Counts the pods of some demands that fit neither on new nodes of a growth nor on
    /// existing ones, whatever other pods are placed. The cluster is unchanged afterwards.
    fn count_unfit(
        &mut self,
        cluster: &mut Cluster,
        growth: &Growth<'_>,
        growth_key: &GrowthKey,
        rows: &[usize],
    ) -> u64 {
        let mut unfit = rows.to_vec();
        for (part, free) in growth.parts.iter().zip(&growth_key.free) {
            if unfit.is_empty() {
                break;
            }
            // Alone: the pods that nodes of other parts carry may exclude some.
            let mark = cluster.mark();
            let node = add_template(cluster, part.template);
            unfit.retain(|&row| {
                let requirements = &self.context.requirements[row];
                !is_free(free, &requirements.amounts)
                    || !self.context.may_check(requirements)
                    || !may_fit(cluster, self.demands[row].class, node)
            });
            cluster.rollback(mark);
        }
        unfit.retain(|&row| !self.may_fit_on_known(cluster, row));
        let counts = unfit.iter().map(|&row| u64::from(self.demands[row].count));
        counts.sum()
    }
}

/// Returns what the placement of the pods depends on in the cluster. Pods whose namespace may
/// take no further steps are left out: no estimate places them. Counts the steps to read the
/// counters for each part.
fn dependencies(
    cluster: &Cluster,
    context: &PackContext<'_>,
    demands: &[Demand],
    parts: usize,
) -> Dependencies {
    let mut found = Dependencies::default();
    for (demand, requirements) in demands.iter().zip(&context.requirements) {
        if context.may_estimate(requirements) && !requirements.is_alike {
            let known = found.counter_count();
            cluster.add_dependencies(demand.class, &mut found);
            let read = (found.counter_count() - known) * parts;
            context.work.take(requirements.share, read as u64);
        }
    }
    found
}
