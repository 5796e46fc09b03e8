//! Packing on simulated nodes, with all filters for every pod.

use std::cell::Cell;

use super::context::{PackContext, PartNodes, PodRequirements};
use super::node_set::NodeSet;
use super::work::{AREA, COUNT, NODE};
use super::{Demand, Growth, Order, Packed, add_template};
use crate::cluster::{Area, HostKey};
use crate::{ClassId, Cluster, NodeId};

/// A simulation on the existing nodes of a cluster and new nodes added to it.
pub(super) struct Simulation<'a> {
    cluster: &'a mut Cluster,
    context: &'a PackContext<'a>,
    new: &'a PartNodes,
    growth: &'a Growth<'a>,
    /// Maximum number of new nodes, by part.
    limits: &'a [u32],
    /// New nodes so far, by part.
    opened: Vec<u32>,
    areas: Vec<AreaNodes>,
    /// The area of each part.
    area_of: Vec<usize>,
    /// The parts in each area.
    parts_in: Vec<Vec<usize>>,
    /// Pods placed so far.
    placements: u64,
    /// Pods placed so far, and those that new nodes carry, by share of the work.
    arrivals_of: Vec<u64>,
    host: Option<HostKey>,
}

/// The nodes that are in the same domains of all topology keys that the pods use, other
/// than that of hosts. A rule over one of these keys rejects a pod on all of them or on
/// none.
struct AreaNodes {
    area: Area,
    known: NodeSet,
    new: NodeSet,
    /// The part of each new node, and whether it has a pod.
    of_new: Vec<(usize, bool)>,
}

/// Identical pods that are being placed.
struct Batch<'a> {
    class: ClassId,
    requirements: &'a PodRequirements,
    /// Where the search continues, by area.
    searched: Vec<Searched>,
    /// Parts on whose new nodes the pods don't fit.
    refused: Vec<bool>,
    /// While it is unchanged, a node that rejected a pod still does.
    floor: u64,
    /// Steps taken that are not counted yet.
    steps: Cell<u64>,
}

impl Batch<'_> {
    fn add_steps(&self, more: u64) {
        self.steps.update(|steps| steps + more);
    }
}

/// The first nodes of an area on which a pod may still fit.
#[derive(Clone, Copy, Default)]
struct Searched {
    known: usize,
    new: usize,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(
        cluster: &'a mut Cluster,
        context: &'a PackContext<'a>,
        new: &'a PartNodes,
        growth: &'a Growth<'a>,
        limits: &'a [u32],
    ) -> Self {
        let width = context.columns.len();
        let empty = || NodeSet::new(Vec::new(), width, &[]);
        let known = context.areas.iter();
        let known = known.map(|(area, nodes)| (area.clone(), nodes.clone()));
        let mut areas: Vec<AreaNodes> = known
            .map(|(area, known)| AreaNodes {
                area,
                known,
                new: empty(),
                of_new: Vec::new(),
            })
            .collect();
        let mut area_of = Vec::with_capacity(new.parts.len());
        for part in &new.parts {
            let at = areas.iter().position(|known| known.area == part.area);
            area_of.push(at.unwrap_or(areas.len()));
            if at.is_none() {
                areas.push(AreaNodes {
                    area: part.area.clone(),
                    known: empty(),
                    new: empty(),
                    of_new: Vec::new(),
                });
            }
        }
        let mut parts_in = vec![Vec::new(); areas.len()];
        for (part, &area) in area_of.iter().enumerate() {
            parts_in[area].push(part);
        }
        Self {
            parts_in,
            host: cluster.host_key(),
            cluster,
            context,
            new,
            growth,
            limits,
            opened: vec![0; new.parts.len()],
            areas,
            area_of,
            placements: 0,
            arrivals_of: vec![0; context.work.share_count()],
        }
    }

    /// Adds a node in each area with a domain that has none, so that pods spread over
    /// it.
    pub(super) fn open_new_areas(&mut self) {
        for part in 0..self.new.parts.len() {
            let area = self.area_of[part];
            let is_open = !self.areas[area].of_new.is_empty();
            if self.new.parts[part].area_is_new && !is_open && self.has_room(part) {
                self.open(part);
            }
        }
    }

    /// Adds so many nodes of each part.
    pub(super) fn open_all(&mut self, nodes: &[u32]) {
        for (part, nodes) in nodes.iter().enumerate() {
            for _ in 0..*nodes {
                self.open(part);
            }
        }
    }

    pub(super) fn pack(&mut self, demands: &[Demand], order: &[usize]) -> Packed {
        let mut left: Vec<u32> = demands.iter().map(|demand| demand.count).collect();
        let mut on_new = vec![0; demands.len()];
        // By demand: the chances of its pods when they were tried last.
        let mut tried: Vec<Option<u64>> = vec![None; demands.len()];
        loop {
            let before = self.placements;
            for &row in order {
                let requirements = &self.context.requirements[row];
                let chances = Some(self.chances(requirements));
                let is_open = tried[row].is_none() || requirements.is_coupled();
                if left[row] > 0 && is_open && tried[row] != chances {
                    tried[row] = chances;
                    let placed = self.place_batch(demands[row].class, requirements, left[row]);
                    left[row] -= placed.known + placed.new;
                    on_new[row] += placed.new;
                }
            }
            if self.placements == before {
                break;
            }
        }
        let mut nodes = vec![0; self.new.parts.len()];
        let new = self.areas.iter().flat_map(|area| &area.of_new);
        for (part, _) in new.filter(|(_, used)| *used) {
            nodes[*part] += 1;
        }
        let placed = demands.iter().zip(&left);
        Packed {
            nodes,
            placed: placed.map(|(demand, left)| demand.count - left).collect(),
            placed_on_new: on_new,
            order: Order::default(),
        }
    }

    /// Removes new nodes without pods. Returns the others.
    pub(super) fn keep_used(&mut self) -> Vec<NodeId> {
        let mut kept = Vec::new();
        for area in &self.areas {
            for (node, (_, used)) in area.new.nodes.iter().zip(&area.of_new) {
                if *used {
                    kept.push(*node);
                } else {
                    self.cluster.remove_node(*node);
                }
            }
        }
        kept
    }

    /// Returns a number that grows when pods come that may make room for such a pod by a rule
    /// of affinity or spread. It does not grow with a new node without such pods, since the pod
    /// was tried on one like it.
    fn chances(&self, requirements: &PodRequirements) -> u64 {
        if requirements.helped_by_own {
            return self.arrivals_of[requirements.share];
        }
        let opened = self.opened.iter().map(|nodes| u64::from(*nodes));
        self.placements + opened.sum::<u64>()
    }

    /// Places as many identical pods as fit, and as the steps of their namespace allow.
    fn place_batch(
        &mut self,
        class: ClassId,
        requirements: &PodRequirements,
        count: u32,
    ) -> Placed {
        let (work, share) = (self.context.work, requirements.share);
        work.take(share, AREA * self.areas.len() as u64);
        if work.is_used_up(share) {
            return Placed::default();
        }
        let is_full = |area: &AreaNodes| area.known.times(&requirements.amounts) == 0;
        if self.new.parts.is_empty() && self.areas.iter().all(is_full) {
            return Placed::default();
        }
        let mut batch = Batch {
            class,
            requirements,
            searched: vec![Searched::default(); self.areas.len()],
            refused: vec![false; self.new.parts.len()],
            floor: 0,
            steps: Cell::new(0),
        };
        let order = self.areas_in_order(&batch, count);
        let mut turn = 0;
        let mut placed = Placed::default();
        while placed.known + placed.new < count && !work.is_used_up(share) {
            self.restart_search_if_relaxed(&mut batch);
            let mut found = self.on_open_nodes(&mut batch, &order, &mut turn);
            if found.is_none() && self.on_new_node(&mut batch) {
                found = Some(false);
            }
            work.take(share, batch.steps.take());
            let Some(known) = found else {
                break;
            };
            placed.known += u32::from(known);
            placed.new += u32::from(!known);
        }
        placed
    }

    /// Returns areas in the order in which they are tried: those with room for most of
    /// the pods first. Pods with affinity to each other are placed in the first area
    /// where one fits, and other pods leave room for pods that fit in few areas.
    fn areas_in_order(&self, batch: &Batch<'_>, count: u32) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.areas.len()).collect();
        if order.len() > 1 {
            let amounts = &batch.requirements.amounts;
            let rank = |area: &usize| {
                let nodes = &self.areas[*area];
                let open = nodes.known.times(amounts) + nodes.new.times(amounts);
                let more = self.parts_in[*area].iter().map(|&part| {
                    let each = super::tree::times(&self.new.parts[part].free, amounts);
                    let nodes = self.limits[part].saturating_sub(self.opened[part]);
                    u64::from(each) * u64::from(nodes)
                });
                let all = open.saturating_add(more.sum());
                std::cmp::Reverse((all.min(count.into()), open))
            };
            order.sort_by_cached_key(rank);
        }
        order
    }

    /// Starts the search anew if pods may have made room on nodes that rejected one
    /// before.
    fn restart_search_if_relaxed(&self, batch: &mut Batch<'_>) {
        if !batch.requirements.is_coupled_over_hosts() {
            return;
        }
        let mut floor = self.cluster.host_floor(batch.class, self.host);
        if batch.requirements.bonds.affinity_over_hosts {
            floor += self.placements;
        }
        if floor != batch.floor {
            batch.floor = floor;
            batch.searched.fill(Searched::default());
        }
    }

    /// Places a pod on an existing node or on one added before. Returns whether the
    /// node existed, or `None` if the pod fits on none.
    fn on_open_nodes(
        &mut self,
        batch: &mut Batch<'_>,
        order: &[usize],
        turn: &mut usize,
    ) -> Option<bool> {
        let coupled = batch.requirements.is_coupled();
        for step in 0..order.len() {
            let position = (*turn + step) % order.len();
            let at = order[position];
            if self.area_rejects(batch, at) {
                continue;
            }
            if let Some(known) = self.in_area(batch, at, coupled) {
                // Areas take turns, so that pods that must spread don't fill up one of
                // them.
                *turn = position + 1;
                return Some(known);
            }
        }
        None
    }

    /// Places a pod on a node of an area. Returns whether the node existed, or `None`
    /// if the pod fits on none.
    fn in_area(&mut self, batch: &mut Batch<'_>, at: usize, coupled: bool) -> Option<bool> {
        let (class, amounts) = (batch.class, &batch.requirements.amounts);
        let in_turns = batch.requirements.is_coupled_over_hosts();
        let (area, searched) = (&mut self.areas[at], &mut batch.searched[at]);
        let (check, steps) = (batch.requirements.check, &batch.steps);
        let cluster = &*self.cluster;
        let fits = |node| {
            steps.update(|steps| steps + check);
            cluster.fits(class, node)
        };
        let visit = || steps.update(|steps| steps + 1);
        let find = |set: &mut NodeSet, from: &mut usize| {
            if in_turns {
                set.next(amounts, from, fits, visit)
            } else {
                set.first(amounts, from, fits, visit)
            }
        };
        if (coupled || self.context.for_all)
            && let Some(found) = find(&mut area.known, &mut searched.known)
        {
            self.cluster.place(class, area.known.nodes[found], false);
            area.known.take(found, amounts);
            self.note_placed(batch);
            return Some(true);
        }
        let found = find(&mut area.new, &mut searched.new)?;
        self.place_on_new(batch, at, found);
        Some(false)
    }

    /// Whether a rule over a topology key other than that of hosts rejects the pods on
    /// all nodes of an area.
    fn area_rejects(&self, batch: &Batch<'_>, at: usize) -> bool {
        let area = &self.areas[at];
        let node = area.new.nodes.last().or_else(|| area.known.nodes.last());
        batch.add_steps(batch.requirements.check);
        batch.requirements.area_may_reject()
            && node.is_some_and(|node| self.cluster.domain_rejects(batch.class, *node, self.host))
    }

    fn has_room(&self, part: usize) -> bool {
        let all: u32 = self.opened.iter().sum();
        all < self.growth.max_nodes && self.opened[part] < self.limits[part]
    }

    /// Adds a node for a pod, of the smallest group on whose nodes it fits, and places
    /// it there. Returns false if there is no such group.
    fn on_new_node(&mut self, batch: &mut Batch<'_>) -> bool {
        loop {
            let parts = 0..self.new.parts.len();
            let parts = parts.filter(|&part| {
                !batch.refused[part]
                    && self.has_room(part)
                    && !self.area_rejects(batch, self.area_of[part])
            });
            let rank = |part: &usize| {
                let (opened, part) = (self.opened[*part], &self.growth.parts[*part]);
                (part.stand_in, part.size.saturating_add(opened))
            };
            let Some(part) = parts.min_by_key(rank) else {
                return false;
            };
            let (area, node) = self.open(part);
            let views = self.cluster.view_count() as u64;
            batch.add_steps(batch.requirements.check + NODE + COUNT * views);
            let at = self.areas[area].new.nodes.len() - 1;
            if self.cluster.fits(batch.class, node) {
                self.place_on_new(batch, area, at);
                return true;
            }
            self.close_last(part);
            batch.refused[part] = true;
        }
    }

    /// Adds a node of a part. Returns its area and the node.
    fn open(&mut self, part: usize) -> (usize, NodeId) {
        let node = add_template(self.cluster, self.growth.parts[part].template);
        let area = self.area_of[part];
        let nodes = &mut self.areas[area];
        nodes.new.push(node, &self.new.parts[part].free);
        nodes.of_new.push((part, false));
        self.opened[part] += 1;
        for share in &self.new.parts[part].carried {
            self.arrivals_of[*share] += 1;
        }
        (area, node)
    }

    /// Removes the node that was added last.
    fn close_last(&mut self, part: usize) {
        let area = &mut self.areas[self.area_of[part]];
        area.of_new.pop();
        if let Some(node) = area.new.pop(&self.new.parts[part].free) {
            self.cluster.remove_node(node);
        }
        self.opened[part] -= 1;
        for share in &self.new.parts[part].carried {
            self.arrivals_of[*share] -= 1;
        }
    }

    fn place_on_new(&mut self, batch: &Batch<'_>, area: usize, at: usize) {
        let area = &mut self.areas[area];
        self.cluster.place(batch.class, area.new.nodes[at], false);
        area.new.take(at, &batch.requirements.amounts);
        area.of_new[at].1 = true;
        self.note_placed(batch);
    }

    fn note_placed(&mut self, batch: &Batch<'_>) {
        let requirements = batch.requirements;
        self.placements += 1;
        self.arrivals_of[requirements.share] += 1;
        batch.add_steps(requirements.place);
    }
}

/// Numbers of pods that were placed.
#[derive(Default)]
struct Placed {
    /// On existing nodes.
    known: u32,
    new: u32,
}
