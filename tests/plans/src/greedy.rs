//! A greedy planner: places pods in random order, each onto the first node that accepts
//! it.

use std::sync::Arc;

use flyball_nodes::census::Census;
use flyball_nodes::options::NodeOptions;
use flyball_nodes::record::Order;
use flyball_nodes::state::ClusterState;
use flyball_nodes::templates::templates_of;
use flyball_placement::pack::{Template, add_template};
use flyball_placement::{ClassId, Cluster, NodeId, Resources};

use crate::random::Random;

/// Result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greedy {
    /// Number of nodes that were added, each for a pod.
    pub nodes: u32,
    /// Number of pods that were not placed.
    pub left: u32,
}

/// Input of the runs.
pub struct Field<'a> {
    state: &'a mut ClusterState,
    groups: Vec<Group>,
    /// Class of each pod.
    pods: Vec<ClassId>,
    /// Nodes with room for the smallest of the pods.
    nodes: Vec<NodeId>,
    least: Least,
}

#[derive(Clone)]
struct Group {
    name: Arc<str>,
    template: Template,
    size: u32,
    max: u32,
}

/// Smallest requests of the pods.
#[derive(Clone, Copy)]
struct Least {
    cpu: i64,
    memory: i64,
}

impl Least {
    fn is_free(self, cluster: &Cluster, node: NodeId) -> bool {
        let free = cluster.free(node);
        free.cpu >= self.cpu && free.memory >= self.memory && free.pods > 0
    }
}

impl<'a> Field<'a> {
    /// Returns all waiting pods of a cluster, its nodes, and all groups that may grow.
    pub fn new(state: &'a mut ClusterState, census: &Census, options: &NodeOptions) -> Self {
        let mut groups = Vec::new();
        for census in &census.groups {
            let template = templates_of(state, census, options).into_iter().next();
            groups.extend(template.map(|template| Group {
                name: Arc::clone(&census.group.name),
                template: template.template,
                size: census.group.target_size,
                max: census.group.max_size,
            }));
        }
        let waiting = state.unschedulable();
        let pods: Vec<ClassId> = waiting
            .flat_map(|(class, pods)| pods.map(move |_| class))
            .collect();
        let cluster = state.cluster();
        let requests = pods.iter().map(|class| cluster.requests(*class));
        let none = Least {
            cpu: i64::MAX,
            memory: i64::MAX,
        };
        let least = requests.fold(none, |least, requests| Least {
            cpu: least.cpu.min(requests.cpu),
            memory: least.memory.min(requests.memory),
        });
        let nodes = cluster.node_ids();
        let nodes = nodes.filter(|node| least.is_free(cluster, *node)).collect();
        Self {
            state,
            groups,
            pods,
            nodes,
            least,
        }
    }

    /// Leaves out groups whose nodes have other sizes than those that were ordered: the
    /// choice of a size is not a matter of packing.
    #[must_use]
    pub fn of_sizes_in(mut self, orders: &[Order]) -> Self {
        let ordered = self.groups.iter();
        let ordered = ordered.filter(|group| orders.iter().any(|order| order.group == group.name));
        let sizes: Vec<Resources> = ordered
            .map(|group| group.template.node.allocatable.clone())
            .collect();
        self.groups
            .retain(|group| sizes.contains(&group.template.node.allocatable));
        self
    }

    /// Performs this number of runs.
    pub fn runs(&mut self, count: usize, seed: u64) -> Vec<Greedy> {
        let seeds = (0..count as u64).map(|run| seed.wrapping_add(run));
        seeds.map(|seed| self.run(&mut Random::new(seed))).collect()
    }

    /// Returns the run with the fewest nodes, of those that leave the fewest pods.
    pub fn best(&mut self, runs: usize, seed: u64) -> Option<Greedy> {
        let runs = self.runs(runs, seed).into_iter();
        runs.min_by_key(|greedy| (greedy.left, greedy.nodes))
    }

    /// Places all pods in a random order: each on the first node that accepts it,
    /// existing nodes first; else on a new node of the group that accepts it and has the
    /// fewest. Pods that fit nowhere are tried again as long as others are placed. The
    /// cluster is restored afterwards.
    pub fn run(&mut self, random: &mut Random) -> Greedy {
        let mut pods = self.pods.clone();
        random.shuffle(&mut pods);
        let mark = self.state.cluster_mut().mark();
        let mut run = Run {
            cluster: self.state.cluster_mut(),
            groups: self.groups.clone(),
            nodes: self.nodes.clone(),
            least: self.least,
            added: 0,
        };
        loop {
            let before = pods.len();
            pods.retain(|class| !run.place(*class));
            if pods.is_empty() || pods.len() == before {
                break;
            }
        }
        let nodes = run.added;
        self.state.cluster_mut().rollback(mark);
        Greedy {
            nodes,
            left: u32::try_from(pods.len()).unwrap_or(u32::MAX),
        }
    }
}

struct Run<'a> {
    cluster: &'a mut Cluster,
    groups: Vec<Group>,
    /// Nodes that may have room, in the order in which they are tried.
    nodes: Vec<NodeId>,
    least: Least,
    added: u32,
}

impl Run<'_> {
    fn place(&mut self, class: ClassId) -> bool {
        let mut nodes = self.nodes.iter().enumerate();
        if let Some((at, &node)) = nodes.find(|(_, node)| self.cluster.fits(class, **node)) {
            self.cluster.place(class, node, false);
            if !self.least.is_free(self.cluster, node) {
                self.nodes.remove(at);
            }
            return true;
        }
        self.place_on_new(class)
    }

    fn place_on_new(&mut self, class: ClassId) -> bool {
        let mut rows: Vec<usize> = (0..self.groups.len()).collect();
        rows.retain(|&row| self.groups[row].size < self.groups[row].max);
        rows.sort_by_key(|&row| self.groups[row].size);
        for row in rows {
            let node = add_template(self.cluster, &self.groups[row].template);
            if self.cluster.fits(class, node) {
                self.cluster.place(class, node, false);
                self.nodes.push(node);
                self.groups[row].size += 1;
                self.added += 1;
                return true;
            }
            self.cluster.remove_node(node);
        }
        false
    }
}
