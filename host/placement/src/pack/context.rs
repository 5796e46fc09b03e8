//! Data that all estimates for the same pods share: the pods' requests and the existing
//! nodes.

use std::collections::HashMap;

use super::columns::{RequestAmounts, ResourceColumns};
use super::node_set::NodeSet;
use super::work::{CHECK, CHECKS_TO_PLACE, CLASS, COUNT, Work};
use super::{Demand, Growth, add_template, order};
use crate::cluster::{Area, Bonds};
use crate::{ClassId, Cluster, NodeId};

/// Requests and constraints of the pods of a demand.
pub(super) struct PodRequirements {
    /// Requests of a pod, by column.
    pub(super) amounts: RequestAmounts,
    pub(super) bonds: Bonds,
    /// Whether the pods of the demand before have the same rules about other pods and nodes.
    /// Those that differ only in their requests mostly follow each other.
    pub(super) is_alike: bool,
    /// Whether such pods keep apart from each other by host.
    pub(super) keeps_apart: bool,
    /// Whether the anti-affinity of some pods selects such pods.
    is_excluded: bool,
    /// Whether only pods of their own namespace can make room for such pods, by a rule of
    /// affinity or spread.
    pub(super) helped_by_own: bool,
    /// Share of the work for the pods of their namespace.
    pub(super) share: usize,
    /// Steps of a check whether such a pod fits on a node.
    pub(super) check: u64,
    /// Steps to place such a pod, and to remove it again.
    pub(super) place: u64,
}

impl PodRequirements {
    fn new(
        cluster: &Cluster,
        class: ClassId,
        (amounts, bonds): (RequestAmounts, Bonds),
        work: &Work,
    ) -> Self {
        let check = CHECK + cluster.counters_read(class) as u64;
        let counted = cluster.counters_changed(class) as u64;
        Self {
            amounts,
            bonds,
            is_alike: false,
            keeps_apart: cluster.keeps_apart(class, bonds),
            is_excluded: cluster.is_unwanted(class),
            helped_by_own: cluster.selects_only_own(class),
            share: work.share_of(cluster.namespace(class)),
            check,
            place: CHECKS_TO_PLACE * check + COUNT * counted,
        }
    }

    /// Whether pods on other nodes can make room for such a pod, by a rule of affinity
    /// or spread.
    pub(super) fn is_coupled(&self) -> bool {
        self.bonds.affinity || self.bonds.spread
    }

    /// Whether pods on a host can make room for such a pod on the same or another host.
    pub(super) fn is_coupled_over_hosts(&self) -> bool {
        self.bonds.affinity_over_hosts || self.bonds.spread_over_hosts
    }

    /// Whether a rule may reject such a pod on all nodes of an area.
    pub(super) fn area_may_reject(&self) -> bool {
        self.is_coupled() || self.bonds.anti_affinity || self.is_excluded
    }
}

/// A topology domain of a part's nodes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PartDomain {
    /// A domain that has a node.
    Known(u32),
    /// A domain without nodes: the index of the growth's first part with nodes in it.
    New(usize),
}

/// The pods and the existing nodes.
pub(super) struct PackContext<'a> {
    /// Steps of packing so far.
    pub(super) work: &'a Work,
    pub(super) columns: ResourceColumns,
    /// Requests and constraints, at the index of the demand.
    pub(super) requirements: Vec<PodRequirements>,
    /// Topology keys, other than that of hosts, on which the placement of the pods
    /// depends.
    keys: Vec<u32>,
    /// The domains of each key that have a node, ordered.
    domains: Vec<Vec<u32>>,
    /// The existing nodes, by area.
    pub(super) areas: Vec<(Area, NodeSet)>,
    /// Whether all pods are tried on these nodes, not only those that pods elsewhere
    /// can make room for.
    pub(super) for_all: bool,
}

impl<'a> PackContext<'a> {
    pub(super) fn new(
        cluster: &Cluster,
        known: &[NodeId],
        demands: &[Demand],
        for_all: bool,
        work: &'a Work,
    ) -> Self {
        let mut columns = ResourceColumns::default();
        let mut requirements: Vec<PodRequirements> = Vec::with_capacity(demands.len());
        let mut latest_rules = None;
        for Demand { class, .. } in demands {
            let amounts = columns.amounts(cluster, *class);
            let bonds = cluster.bonds(*class);
            let rules = cluster.rules(*class);
            let latest = requirements.last();
            let latest =
                latest.filter(|latest| latest.bonds == bonds && latest_rules == Some(rules));
            let next = match latest {
                Some(latest) => PodRequirements {
                    amounts,
                    bonds,
                    is_alike: true,
                    ..*latest
                },
                None => PodRequirements::new(cluster, *class, (amounts, bonds), work),
            };
            latest_rules = Some(rules);
            requirements.push(next);
        }
        let bound = demands.iter().zip(&requirements);
        let bound = bound.filter(|(_, requirements)| requirements.area_may_reject());
        let keys = cluster.domain_keys(bound.map(|(demand, _)| demand.class));
        let domains = keys.iter().map(|key| cluster.domains_with_nodes(*key));
        let mut context = Self {
            work,
            columns,
            domains: domains.collect(),
            keys,
            requirements,
            areas: Vec::new(),
            for_all,
        };
        context.add_known(cluster, known, demands);
        context
    }

    /// Whether such a pod is tried on the existing nodes.
    pub(super) fn may_take(&self, requirements: &PodRequirements) -> bool {
        !self.areas.is_empty() && (self.for_all || requirements.is_coupled())
    }

    /// Whether an estimate may take the pods into account: their namespace may take further
    /// steps. Counts those for a class.
    pub(super) fn may_estimate(&self, requirements: &PodRequirements) -> bool {
        self.work.take(requirements.share, CLASS);
        !self.work.is_used_up(requirements.share)
    }

    /// Whether the pods may be checked with a node: their namespace may take further steps.
    /// Counts those of the check.
    pub(super) fn may_check(&self, requirements: &PodRequirements) -> bool {
        self.work.take(requirements.share, requirements.check);
        !self.work.is_used_up(requirements.share)
    }

    /// Whether pods of a class may fit on an existing node once others are placed. If not,
    /// no estimate places them there. Room on existing nodes only shrinks.
    pub(super) fn may_fit_on_known(
        &self,
        cluster: &Cluster,
        class: ClassId,
        requirements: &PodRequirements,
    ) -> bool {
        let may_fit =
            |node| self.may_check(requirements) && order::may_fit_existing(cluster, class, node);
        let visit = || self.work.take(requirements.share, 1);
        let mut areas = self.areas.iter();
        self.may_take(requirements)
            && areas.any(|(_, nodes)| {
                let found = nodes.first(&requirements.amounts, &mut 0, may_fit, visit);
                found.is_some()
            })
    }

    /// Returns the topology domains of the new nodes of each part, in the order of the keys.
    pub(super) fn part_domains(
        &self,
        cluster: &mut Cluster,
        growth: &Growth<'_>,
    ) -> Vec<Vec<Option<PartDomain>>> {
        if self.keys.is_empty() {
            return vec![Vec::new(); growth.parts.len()];
        }
        let mark = cluster.mark();
        let areas = growth.parts.iter().map(|part| {
            let node = add_template(cluster, part.template);
            cluster.domains_of(node, &self.keys)
        });
        let areas: Vec<Area> = areas.collect();
        cluster.rollback(mark);
        let domain_of = |area: &Area, column: usize| {
            let domain = area[column]?;
            if self.domains[column].binary_search(&domain).is_ok() {
                return Some(PartDomain::Known(domain));
            }
            let first = areas.iter().position(|area| area[column] == Some(domain));
            first.map(PartDomain::New)
        };
        let columns = 0..self.keys.len();
        let of_part = |area| {
            let domains = columns.clone().map(|column| domain_of(area, column));
            domains.collect()
        };
        areas.iter().map(of_part).collect()
    }

    /// Adds the nodes with room for the smallest request of each resource among the
    /// pods in question. (The first node of an area is added even if it is full.)
    fn add_known(&mut self, cluster: &Cluster, known: &[NodeId], demands: &[Demand]) {
        let requirements = self.requirements.iter().zip(demands);
        let in_question = requirements
            .filter(|(requirements, demand)| {
                demand.count > 0 && (self.for_all || requirements.is_coupled())
            })
            .map(|(requirements, _)| &requirements.amounts);
        let Some(least) = least(in_question, self.columns.len()) else {
            return;
        };
        let mut rows: Vec<(Area, Vec<NodeId>, Vec<i64>)> = Vec::new();
        let mut row_of: HashMap<Area, usize> = HashMap::new();
        for &node in known {
            let area = cluster.domains_of(node, &self.keys);
            let at = row_of.get(&area).copied().unwrap_or_else(|| {
                row_of.insert(area.clone(), rows.len());
                rows.push((area, Vec::new(), Vec::new()));
                rows.len() - 1
            });
            let (_, nodes, free) = &mut rows[at];
            let from = free.len();
            self.columns.extend_row(cluster, node, free);
            let room = free[from..]
                .iter()
                .zip(&least)
                .all(|(free, least)| free >= least);
            if room || nodes.is_empty() {
                nodes.push(node);
            } else {
                free.truncate(from);
            }
        }
        let width = self.columns.len();
        let areas = rows.into_iter();
        self.areas = areas
            .map(|(area, nodes, free)| (area, NodeSet::new(nodes, width, &free)))
            .collect();
    }
}

/// Returns the smallest request of any of the pods, by column.
fn least<'a>(pods: impl Iterator<Item = &'a RequestAmounts>, columns: usize) -> Option<Vec<i64>> {
    let mut least = vec![i64::MAX; columns];
    let mut row = vec![0; columns];
    let mut any = false;
    for amounts in pods {
        row.fill(0);
        for &(column, amount) in amounts {
            row[column] = amount;
        }
        for (least, amount) in least.iter_mut().zip(&row) {
            *least = (*least).min(*amount);
        }
        any = true;
    }
    any.then_some(least)
}

/// Area and free resources of the new nodes of a part.
pub(super) struct PartNode {
    pub(super) area: Area,
    /// Whether a topology domain of the area has no node yet.
    pub(super) area_is_new: bool,
    /// Free amounts on each node, by column.
    pub(super) free: Vec<i64>,
    /// Share of the work of each pod that a node carries.
    pub(super) carried: Vec<usize>,
}

/// The new nodes of all parts.
#[derive(Default)]
pub(super) struct PartNodes {
    pub(super) parts: Vec<PartNode>,
}

impl PartNodes {
    /// Examines a new node of each part. Also returns the demands that may fit, ordered
    /// by size. The cluster is unchanged afterwards.
    pub(super) fn new(
        cluster: &mut Cluster,
        context: &PackContext<'_>,
        growth: &Growth<'_>,
        demands: &[Demand],
    ) -> (Self, Vec<usize>) {
        let mark = cluster.mark();
        let mut parts = Vec::with_capacity(growth.parts.len());
        let mut first = Vec::with_capacity(growth.parts.len());
        for part in &growth.parts {
            let node = add_template(cluster, part.template);
            let carried = part.template.carried.iter();
            let share_of = |class: &ClassId| context.work.share_of(cluster.namespace(*class));
            parts.push(PartNode {
                area: cluster.domains_of(node, &context.keys),
                area_is_new: false,
                free: context.columns.row(cluster, node),
                carried: carried.map(share_of).collect(),
            });
            first.push(node);
        }
        if parts.len() > 1 {
            for (column, there) in context.domains.iter().enumerate() {
                for part in &mut parts {
                    let domain = part.area[column];
                    part.area_is_new |=
                        domain.is_some_and(|domain| there.binary_search(&domain).is_err());
                }
            }
        }
        let by_size = order::by_size(cluster, context, growth, &first, demands);
        cluster.rollback(mark);
        (Self { parts }, by_size)
    }
}
