//! Destinations: where the pods of nodes that may be removed find room.
//!
//! One node after the other is vacated in the simulation. What fits stays placed, so the
//! next node sees it, and a vacated node is no destination any more.
//!
//! A pod is tried first on the node that took the last pod of its class, then on the nodes
//! behind it. A tree over the free amounts skips nodes without room. A class that depends
//! on nothing but its own requirements and finds no room is not tried again: the room on
//! all destinations together only shrinks. Pods like one that found no place are not tried
//! again either, except those with affinity, spread or volumes, which a pod that was placed
//! since may help.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::tree::Tree;
use crate::cluster::{Bonds, CPU, MEMORY, PODS};
use crate::{ClassId, Cluster, Node, NodeId};

/// Columns of the tree: cpu, memory and number of pods.
const COLUMNS: [usize; 3] = [CPU, MEMORY, PODS];

/// Amounts of a pod by column of the tree, without zeros.
type PodAmounts = SmallVec<[(usize, i64); 3]>;

/// Nodes that may take pods of vacated nodes.
pub struct Destinations {
    nodes: Vec<NodeId>,
    /// Index in `nodes` by node.
    index: HashMap<NodeId, usize>,
    tree: Tree,
    /// Index of the node that took the last pod of a class.
    last: HashMap<ClassId, usize>,
    /// Classes that no destination has room for.
    nowhere: HashSet<ClassId>,
    /// Shapes of pods that [`Self::place`] found no place for, each with the number of
    /// pods that it had placed by then. Apart from `nowhere`, which decides which pod of a node
    /// is the one without a place.
    unplaced: HashMap<u32, u64>,
    /// Number of pods that [`Self::place`] has placed.
    placed: u64,
}

/// A pod of a node that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeavingPod {
    /// Its class.
    pub class: ClassId,
    /// The node that it leaves.
    pub node: NodeId,
    /// Whether it is terminating.
    pub terminating: bool,
}

/// A pod that found no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPlace {
    /// Index of the pod.
    pub pod: usize,
}

impl Destinations {
    /// Creates a set of destinations. The room on them must not grow later, other than by
    /// rolling back what [`Self::vacate`] did.
    #[must_use]
    pub fn new(cluster: &Cluster, nodes: Vec<NodeId>) -> Self {
        let free: Vec<i64> = nodes.iter().flat_map(|&node| free(cluster, node)).collect();
        let index = nodes.iter().enumerate();
        Self {
            index: index.map(|(at, &node)| (node, at)).collect(),
            tree: Tree::of(nodes.len(), COLUMNS.len(), &free),
            nodes,
            last: HashMap::new(),
            nowhere: HashSet::new(),
            unplaced: HashMap::new(),
            placed: 0,
        }
    }

    /// Places a pod on the first destination that fits, and returns that node. `None` if
    /// none does. Many pods may be alike and fit nowhere, so the destinations are searched
    /// for the first of them, and for others only where a pod that was placed since may help.
    pub fn place(&mut self, cluster: &mut Cluster, class: ClassId) -> Option<NodeId> {
        if self.is_unplaced(cluster, class) {
            return None;
        }
        let at = self.place_elsewhere(cluster, class, None);
        match at {
            Some(_) => self.placed += 1,
            None => {
                self.unplaced.insert(cluster.shape(class), self.placed);
            }
        }
        at.map(|at| self.nodes[at])
    }

    /// Whether a pod like those of a class found no place, and would find none now. Pods that
    /// were placed since only take room, except from pods that want to be near them, that
    /// spread, or whose volumes they attach to a node.
    fn is_unplaced(&self, cluster: &Cluster, class: ClassId) -> bool {
        let bonds = cluster.bonds(class);
        let may_be_helped = bonds.affinity || bonds.spread || bonds.volumes;
        let placed = self.unplaced.get(&cluster.shape(class));
        placed.is_some_and(|placed| *placed == self.placed || !may_be_helped)
    }

    /// Removes a node's pods, given by class and whether each is terminating, and places
    /// them on other destinations. If all find a place,
    /// they stay there, the node is removed from the cluster, and their new nodes are
    /// returned at their index. Otherwise nothing changes.
    ///
    /// As during a real drain, the node stays in the cluster while its pods move, as
    /// `tainted`, which keeps them away: its zone still counts for topology spread.
    ///
    /// # Errors
    /// The first pod that found no place.
    pub fn vacate(
        &mut self,
        cluster: &mut Cluster,
        node: NodeId,
        tainted: impl FnOnce() -> Arc<Node>,
        pods: &[(ClassId, bool)],
    ) -> Result<Vec<NodeId>, NoPlace> {
        if let Some(pod) = pods
            .iter()
            .position(|(class, _)| self.nowhere.contains(class))
        {
            return Err(NoPlace { pod });
        }
        let mark = cluster.mark();
        if pods
            .iter()
            .any(|&(class, _)| cluster.bonds(class).has_rules())
        {
            cluster.set_node(node, tainted());
        }
        for &(class, terminating) in pods {
            cluster.unplace(class, node, terminating);
        }
        let own = self.index.get(&node).copied();
        let mut places = Vec::with_capacity(pods.len());
        for &(class, _) in pods {
            match self.place_elsewhere(cluster, class, own) {
                Some(at) => places.push(at),
                None => break,
            }
        }
        if places.len() == pods.len() {
            cluster.remove_node(node);
            cluster.keep(mark);
            self.unplaced.clear();
            if let Some(own) = own {
                self.tree.set(own, &[i64::MIN; COLUMNS.len()]);
            }
            return Ok(places.into_iter().map(|at| self.nodes[at]).collect());
        }
        cluster.rollback(mark);
        let pod = places.len();
        self.reread(cluster, places);
        self.note_nowhere(cluster, pods[pod].0);
        Err(NoPlace { pod })
    }

    /// Removes the pods of several nodes that leave together, and places them on other
    /// destinations, or where `place_new` has placed them: it is asked about the pods that
    /// find no room there. If all find a place, they stay there, the nodes are removed from
    /// the cluster, and the node of each pod is returned at its index. Otherwise nothing
    /// changes.
    ///
    /// `leaving` has each node, and the node as it is while its pods move.
    ///
    /// # Errors
    /// The first pod that found no place.
    pub fn vacate_together(
        &mut self,
        cluster: &mut Cluster,
        leaving: &[(NodeId, Arc<Node>)],
        pods: &[LeavingPod],
        place_new: impl FnMut(&mut Cluster, ClassId) -> Option<NodeId>,
    ) -> Result<Vec<NodeId>, NoPlace> {
        let mark = cluster.mark();
        let (places, touched) = self.move_together(cluster, leaving, pods, place_new);
        if places.len() == pods.len() {
            for (node, _) in leaving {
                cluster.remove_node(*node);
            }
            cluster.keep(mark);
            self.unplaced.clear();
            return Ok(places);
        }
        cluster.rollback(mark);
        self.reread(cluster, touched);
        Err(NoPlace { pod: places.len() })
    }

    /// Like [`Self::vacate_together`], but changes nothing. Returns whether all pods find a
    /// place.
    pub fn fits_together(
        &mut self,
        cluster: &mut Cluster,
        leaving: &[(NodeId, Arc<Node>)],
        pods: &[LeavingPod],
        place_new: impl FnMut(&mut Cluster, ClassId) -> Option<NodeId>,
    ) -> bool {
        let mark = cluster.mark();
        let (places, touched) = self.move_together(cluster, leaving, pods, place_new);
        cluster.rollback(mark);
        self.reread(cluster, touched);
        places.len() == pods.len()
    }

    /// Moves the pods of nodes that leave, until one finds no place. Returns the places, and
    /// the indices of the destinations that have changed.
    fn move_together(
        &mut self,
        cluster: &mut Cluster,
        leaving: &[(NodeId, Arc<Node>)],
        pods: &[LeavingPod],
        mut place_new: impl FnMut(&mut Cluster, ClassId) -> Option<NodeId>,
    ) -> (Vec<NodeId>, Vec<usize>) {
        let own = leaving.iter();
        let mut touched: Vec<usize> = own
            .filter_map(|(node, _)| self.index.get(node).copied())
            .collect();
        for (node, tainted) in leaving {
            cluster.set_node(*node, Arc::clone(tainted));
        }
        for pod in pods {
            cluster.unplace(pod.class, pod.node, pod.terminating);
        }
        // Nothing moves to a node that leaves.
        for &at in &touched {
            self.tree.set(at, &[i64::MIN; COLUMNS.len()]);
        }
        let mut places = Vec::with_capacity(pods.len());
        // Classes that found no room, and will find none as long as room only shrinks.
        let mut nowhere = HashSet::new();
        for &LeavingPod { class, .. } in pods {
            let is_known = self.nowhere.contains(&class) || nowhere.contains(&class);
            let at = match is_known {
                true => None,
                false => self.place_elsewhere(cluster, class, None),
            };
            if at.is_none() && cluster.bonds(class) == Bonds::default() {
                nowhere.insert(class);
            }
            touched.extend(at);
            let place = at.map(|at| self.nodes[at]);
            match place.or_else(|| place_new(cluster, class)) {
                Some(node) => places.push(node),
                None => break,
            }
        }
        (places, touched)
    }

    /// Reads the free amounts of destinations again whose pods were taken back.
    fn reread(&mut self, cluster: &Cluster, mut places: Vec<usize>) {
        places.sort_unstable();
        places.dedup();
        for at in places {
            self.tree.set(at, &free(cluster, self.nodes[at]));
        }
    }

    /// Notes that no destination has room for a class, if that will not change.
    fn note_nowhere(&mut self, cluster: &Cluster, class: ClassId) {
        let is_plain = cluster.bonds(class) == Bonds::default();
        if is_plain && self.find(cluster, class, 0, None).is_none() {
            self.nowhere.insert(class);
        }
    }

    /// Places a pod on a destination other than `own`. Returns the destination's index.
    fn place_elsewhere(
        &mut self,
        cluster: &mut Cluster,
        class: ClassId,
        own: Option<usize>,
    ) -> Option<usize> {
        let from = self.last.get(&class).copied().unwrap_or_default();
        let at = self.find(cluster, class, from, own).or_else(|| {
            let from_start = from > 0;
            from_start.then(|| self.find(cluster, class, 0, own))?
        })?;
        cluster.place(class, self.nodes[at], false);
        self.tree.take(at, &amounts(cluster, class), 1);
        self.last.insert(class, at);
        Some(at)
    }

    fn find(
        &self,
        cluster: &Cluster,
        class: ClassId,
        from: usize,
        own: Option<usize>,
    ) -> Option<usize> {
        if cluster.fits_nowhere(class) {
            return None;
        }
        let fits = |at: usize| Some(at) != own && cluster.fits(class, self.nodes[at]);
        self.tree.first(from, &amounts(cluster, class), fits)
    }
}

fn amounts(cluster: &Cluster, class: ClassId) -> PodAmounts {
    let (cpu, memory) = cluster.cpu_and_memory(class);
    let amounts = [cpu, memory, 1].into_iter().enumerate();
    // The scheduler does not look at a resource that a pod does not request.
    amounts.filter(|(_, amount)| *amount != 0).collect()
}

fn free(cluster: &Cluster, node: NodeId) -> [i64; COLUMNS.len()] {
    COLUMNS.map(|column| cluster.free_of(column, node))
}
