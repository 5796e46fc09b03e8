//! Packing onto each of many templates, without doing twice what comes to the same:
//! a cloud has hundreds of node groups, and most differ in size or zone alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::columns::Names;
use super::order::lonely_pods;
use super::{Demand, Packed, Template, add_template, pack};
use crate::cluster::{HOSTNAME, Reads};
use crate::{ClassId, Cluster, Labels};

/// As [`pack`], for each template by itself, which may become at most so many nodes.
///
/// The result for one template stands for others too: for those whose nodes no pod
/// can tell apart from its nodes, and, if all pods found a place on as few nodes as
/// they can do with, for those whose nodes are larger.
pub fn pack_each(
    cluster: &mut Cluster,
    templates: &[(&Template, u32)],
    demands: &[Demand],
) -> Vec<Arc<Packed>> {
    let needs = Needs::new(cluster, demands);
    let nodes: Vec<NewNode> = templates
        .iter()
        .map(|&(template, max_nodes)| NewNode::new(cluster, template, max_nodes, &needs))
        .collect();
    // Larger nodes come after smaller ones, which may answer for them.
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by(|&a, &b| nodes[a].free.cmp(&nodes[b].free));
    let mut known: HashMap<&Situation, Vec<(usize, Arc<Packed>)>> = HashMap::new();
    let mut packed = vec![Arc::default(); nodes.len()];
    for row in order {
        let node = &nodes[row];
        let alike = known.entry(&node.situation).or_default();
        let answer = alike
            .iter()
            .find(|(other, answer)| needs.stands(&nodes[*other], answer, node));
        packed[row] = if let Some((_, answer)) = answer {
            Arc::clone(answer)
        } else {
            let (template, max_nodes) = templates[row];
            let answer = Arc::new(pack(cluster, template, demands, max_nodes));
            alike.push((row, Arc::clone(&answer)));
            answer
        };
    }
    packed
}

/// What can tell a new node from those of other templates, beside what is free.
#[derive(PartialEq, Eq, Hash)]
struct Situation {
    cluster: Vec<u32>,
    carried: Vec<ClassId>,
    /// All labels, if pods have volumes: these may go by any.
    labels: Option<Vec<(String, String)>>,
}

struct NewNode {
    situation: Situation,
    /// By column of the needs.
    free: Vec<i64>,
    max_nodes: u32,
}

impl NewNode {
    fn new(cluster: &mut Cluster, template: &Template, max_nodes: u32, needs: &Needs) -> Self {
        let mark = cluster.mark();
        let node = add_template(cluster, template);
        let labels = needs.volumes.then(|| sorted(&template.node.labels));
        let new = Self {
            situation: Situation {
                cluster: cluster.situation(node, &needs.reads),
                carried: template.carried.clone(),
                labels,
            },
            free: needs.names.row(cluster, node),
            max_nodes,
        };
        cluster.rollback(mark);
        new
    }

    fn is_as_large_as(&self, other: &Self) -> bool {
        let mut free = self.free.iter().zip(&other.free);
        free.all(|(own, other)| own >= other)
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

/// What all pods need together.
struct Needs {
    names: Names,
    /// By column.
    amounts: Vec<i128>,
    pods: u64,
    /// The most pods of which a node takes one.
    lonely: u64,
    volumes: bool,
    /// What of the cluster decides where they may go.
    reads: Reads,
}

impl Needs {
    fn new(cluster: &Cluster, demands: &[Demand]) -> Self {
        let mut needs = Self {
            names: Names::default(),
            amounts: Vec::new(),
            pods: 0,
            lonely: lonely_pods(cluster, demands.iter().copied()),
            volumes: false,
            reads: cluster.reads(demands.iter().map(|demand| demand.class)),
        };
        for demand in demands {
            let count = u64::from(demand.count);
            for (column, amount) in needs.names.amounts(cluster, demand.class) {
                if needs.amounts.len() <= column {
                    needs.amounts.resize(column + 1, 0);
                }
                needs.amounts[column] += i128::from(amount) * i128::from(count);
            }
            needs.pods += count;
            needs.volumes |= cluster.bonds(demand.class).volumes;
        }
        needs
    }

    /// Fewer nodes can't do for all pods.
    fn least_nodes(&self, node: &NewNode) -> u64 {
        let amounts = self.amounts.iter().zip(&node.free);
        let nodes = amounts.map(|(&amount, &free)| {
            if amount <= 0 {
                return 0;
            }
            let nodes = (free > 0).then(|| (amount - 1) / i128::from(free) + 1);
            nodes.map_or(u64::MAX, |nodes| u64::try_from(nodes).unwrap_or(u64::MAX))
        });
        nodes.max().unwrap_or_default().max(self.lonely)
    }

    /// Whether what was found for one new node stands for another in the same
    /// situation.
    fn stands(&self, known: &NewNode, found: &Packed, node: &NewNode) -> bool {
        if known.free == node.free && known.max_nodes == node.max_nodes {
            return true;
        }
        let pods = found.placed.iter().map(|&count| u64::from(count));
        // Where pods fit they fit as well on larger nodes.
        node.is_as_large_as(known)
            && found.nodes <= node.max_nodes
            && u64::from(found.nodes) == self.least_nodes(node)
            && pods.sum::<u64>() == self.pods
    }
}
