//! The guardrails that choose which unneeded nodes are removed now: times, smallest sizes,
//! lower bounds of the cluster, groups that go as a whole, how many nodes may be disrupted,
//! and how many leave at the same time. No policy lifts them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::delays::Delays;
use super::disruption::Disruption;
use super::plan::{RemovalKind, UnneededNode};
use super::timers::{UnneededTimers, has_passed};
use crate::census::Census;
use crate::cloud::NodeGroup;
use crate::limits::{ClusterSize, NodeSize};
use crate::options::NodeOptions;
use crate::reasons::{self, Stay};
use flyball_decision::time::Timestamp;

/// Removals that are under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnderWay {
    /// Nodes by group.
    pub(crate) by_group: BTreeMap<Arc<str>, u32>,
    /// Nodes without pods to evict.
    pub(crate) empty: u32,
    /// Nodes with pods to evict.
    pub(crate) drained: u32,
    /// Nodes that are replaced and whose removal has not begun, by group.
    pub(crate) replaced: BTreeMap<Arc<str>, u32>,
}

impl UnderWay {
    /// Number of nodes of a group that leave, or are being replaced.
    pub(super) fn leaving(&self, group: &str) -> u32 {
        let counts = [&self.by_group, &self.replaced];
        let counts = counts.map(|counts| counts.get(group).copied().unwrap_or_default());
        counts.into_iter().fold(0, u32::saturating_add)
    }
}

/// Inputs of the choice.
pub(super) struct Limits<'a> {
    pub(super) now: Timestamp,
    pub(super) options: &'a NodeOptions,
    pub(super) census: &'a Census,
    pub(super) timers: &'a UnneededTimers,
    pub(super) delays: &'a Delays,
    pub(super) under_way: &'a UnderWay,
    /// Size of the cluster without the nodes that are leaving.
    pub(super) size: ClusterSize,
    /// Number of nodes of each group, at its index in the census.
    pub(super) registered: &'a [u32],
    /// The disrupted nodes. `None` if there is no limit for them.
    pub(super) disruption: Option<Disruption<'a>>,
    /// The same with the limit for nodes that are replaced.
    pub(super) disruption_of_replaced: Option<Disruption<'a>>,
    /// Why no node is removed in this pass, whatever the limits.
    pub(super) hold: Option<reasons::HostReason>,
}

/// The choice.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Indices of the nodes that are removed, in the order in which they are.
    pub(super) removed: Vec<usize>,
    /// Indices of the nodes that stay for now, and why.
    pub(super) stays: Vec<(usize, Arc<Stay>)>,
    /// The next time at which a timer or a delay of one of them ends.
    pub(super) next: Option<Timestamp>,
}

impl Chosen {
    fn stay(&mut self, node: usize, reason: reasons::HostReason) {
        self.stays.push((node, Arc::new(Stay::of(reason))));
    }

    fn wait(&mut self, node: usize, reason: reasons::HostReason, until: Timestamp) {
        self.stay(node, reason);
        // Times are strict: a timer is over a moment after its end.
        let until = until.plus(1);
        self.next = Some(self.next.map_or(until, |next| next.min(until)));
    }
}

/// How long a node must have been unneeded, in milliseconds: the time of its group or of the
/// options, or that of the policies if it is longer.
pub(super) fn unneeded_time_ms(
    group: &NodeGroup,
    options: &NodeOptions,
    node: &UnneededNode,
) -> i64 {
    let options = &options.scale_down;
    let own = match node.ready {
        true => group
            .scale_down
            .unneeded_time_ms
            .unwrap_or(options.unneeded_time_ms),
        false => group
            .scale_down
            .unready_time_ms
            .unwrap_or(options.unready_time_ms),
    };
    own.max(node.unneeded_ms)
}

impl Limits<'_> {
    /// Chooses among unneeded nodes, which are in the order in which they were found.
    pub(super) fn choose(&self, nodes: &[UnneededNode]) -> Chosen {
        let mut chosen = Chosen::default();
        let ready = self.within_bounds(nodes, &mut chosen);
        let ready = self.whole_groups(nodes, ready, &mut chosen);
        let ready = ready
            .into_iter()
            .filter(|&at| {
                let waits = nodes[at].waits_for.as_ref();
                if let Some(pod) = waits {
                    let stay = Stay::of_pod(reasons::ON_COMPLETION, pod);
                    chosen.stays.push((at, Arc::new(stay)));
                }
                waits.is_none()
            })
            .collect();
        let ready = self.after_delays(nodes, ready, &mut chosen);
        let ready = self.within_disruption(nodes, ready, &mut chosen);
        self.at_once(nodes, ready, &mut chosen);
        chosen
    }

    fn group(&self, node: &UnneededNode) -> &NodeGroup {
        &self.census.groups[node.group].group
    }

    /// How long a node must have been unneeded.
    fn time_ms(&self, node: &UnneededNode) -> i64 {
        unneeded_time_ms(self.group(node), self.options, node)
    }

    /// Returns the nodes that have been unneeded for long enough and that sizes and bounds
    /// let go: first those without pods, then those whose budgets hold, then the rest.
    fn within_bounds(&self, nodes: &[UnneededNode], chosen: &mut Chosen) -> Vec<usize> {
        let order = (0..nodes.len()).filter(|&at| nodes[at].kind != RemovalKind::Replaceable);
        let mut order: Vec<usize> = order.collect();
        order.sort_by_key(|&at| !nodes[at].is_empty());
        let mut sizes: BTreeMap<usize, u32> = BTreeMap::new();
        let mut size = self.size;
        let mut ready = Vec::new();
        for at in order {
            let node = &nodes[at];
            let since = self.timers.since(&node.name).unwrap_or(self.now);
            let time_ms = self.time_ms(node);
            // A replacement has been proposed for long enough before its nodes were ordered.
            let is_timed = node.kind == RemovalKind::Plain;
            if is_timed && !has_passed(since, time_ms, self.now) {
                let reason = match node.ready {
                    true => reasons::NOT_UNNEEDED_LONG_ENOUGH,
                    false => reasons::NOT_UNREADY_LONG_ENOUGH,
                };
                chosen.wait(at, reason, since.plus(time_ms));
                continue;
            }
            let group = self.group(node);
            let leaving = match node.kind {
                RemovalKind::Replaced => self.under_way.by_group.get(&group.name).copied(),
                _ => Some(self.under_way.leaving(&group.name)),
            };
            let taken = sizes.entry(node.group).or_default();
            let left = group
                .target_size
                .saturating_sub(*taken)
                .saturating_sub(leaving.unwrap_or_default());
            if left <= group.min_size {
                chosen.stay(at, reasons::MIN_SIZE);
                continue;
            }
            let Some(smaller) = self.without(size, node.size) else {
                chosen.stay(at, reasons::MIN_RESOURCES);
                continue;
            };
            size = smaller;
            *taken += 1;
            ready.push(at);
        }
        ready.sort_by_key(|&at| (!nodes[at].is_empty(), nodes[at].is_risky));
        ready
    }

    /// The size of the cluster without a node. `None` if that is below its lower bounds.
    fn without(&self, size: ClusterSize, node: NodeSize) -> Option<ClusterSize> {
        let cpu_milli = size.cpu_milli.saturating_sub(node.cpu_milli);
        let memory = size.memory.saturating_sub(node.memory);
        let options = self.options;
        let is_enough = cpu_milli >= options.cores_total.min.saturating_mul(1000)
            && memory >= options.memory_total.min;
        is_enough.then_some(ClusterSize {
            nodes: size.nodes.saturating_sub(1),
            cpu_milli,
            memory,
        })
    }

    /// Drops nodes of groups that go to zero as a whole, unless all of them can go.
    fn whole_groups(
        &self,
        nodes: &[UnneededNode],
        ready: Vec<usize>,
        chosen: &mut Chosen,
    ) -> Vec<usize> {
        let mut counts: BTreeMap<usize, u32> = BTreeMap::new();
        for &at in &ready {
            *counts.entry(nodes[at].group).or_default() += 1;
        }
        let is_whole = |at: &usize| {
            let node = &nodes[*at];
            let group = self.group(node);
            let count = counts.get(&node.group).copied().unwrap_or_default();
            !group.scale_down.zero_or_max
                || count == group.target_size
                || self.registered.get(node.group) == Some(&count)
        };
        let (whole, part): (Vec<usize>, Vec<usize>) = ready.into_iter().partition(is_whole);
        for at in part {
            chosen.stay(at, reasons::ATOMIC);
        }
        whole
    }

    fn after_delays(
        &self,
        nodes: &[UnneededNode],
        ready: Vec<usize>,
        chosen: &mut Chosen,
    ) -> Vec<usize> {
        let may_go = |at: &usize| {
            let group = self.group(&nodes[*at]);
            let until = self.delays.until(&group.name, &self.options.scale_down);
            // A replacement does not wait for itself.
            let until = until.filter(|_| nodes[*at].kind == RemovalKind::Plain);
            if let Some(reason) = self.hold {
                chosen.stay(*at, reason);
            } else if let Some(until) = until.filter(|&until| until > self.now) {
                chosen.wait(*at, reasons::COOLDOWN, until);
            } else if group
                .suspended
                .iter()
                .any(|process| &**process == "Terminate")
            {
                chosen.stay(*at, reasons::SUSPENDED);
            } else {
                return true;
            }
            false
        };
        ready.into_iter().filter(may_go).collect()
    }

    /// Separates the nodes of groups that go as a whole, each group together, from the rest.
    fn atomic(&self, nodes: &[UnneededNode], ready: Vec<usize>) -> (Vec<Vec<usize>>, Vec<usize>) {
        let mut whole: Vec<Vec<usize>> = Vec::new();
        let mut single = Vec::new();
        for at in ready {
            if !self.group(&nodes[at]).scale_down.zero_or_max {
                single.push(at);
                continue;
            }
            let of_group = |known: &&mut Vec<usize>| nodes[known[0]].group == nodes[at].group;
            match whole.iter_mut().find(of_group) {
                Some(known) => known.push(at),
                None => whole.push(vec![at]),
            }
        }
        (whole, single)
    }

    /// Drops nodes beyond what `--max-disruption` and the groups' own limits allow. A group
    /// that goes as a whole does so only if they allow all of it.
    fn within_disruption(
        &self,
        nodes: &[UnneededNode],
        ready: Vec<usize>,
        chosen: &mut Chosen,
    ) -> Vec<usize> {
        let mut plain = self.disruption.clone();
        let mut replaced = self.disruption_of_replaced.clone();
        let mut allowed = Vec::new();
        let (whole, single) = self.atomic(nodes, ready);
        let together = whole
            .into_iter()
            .chain(single.into_iter().map(|at| vec![at]));
        for members in together {
            let of_plan: Vec<&UnneededNode> = members.iter().map(|&at| &nodes[at]).collect();
            let is_replaced = |node: &&UnneededNode| node.kind == RemovalKind::Replaced;
            let limits = match of_plan.iter().any(is_replaced) {
                true => &mut replaced,
                false => &mut plain,
            };
            let taken = limits
                .as_mut()
                .map_or(Ok(()), |limits| limits.take(&of_plan));
            let Err(refused) = taken else {
                allowed.extend(members);
                continue;
            };
            let stay = Arc::new(Stay {
                message: refused.message,
                ..Stay::of(reasons::MAX_DISRUPTION)
            });
            let stays = members.into_iter().map(|at| (at, Arc::clone(&stay)));
            chosen.stays.extend(stays);
            let next = [chosen.next, refused.until];
            chosen.next = next.into_iter().flatten().min();
        }
        allowed
    }

    /// Chooses how many nodes leave at the same time. A group that goes as a whole may
    /// exceed the limits once, as in Cluster Autoscaler, or it would never go.
    fn at_once(&self, nodes: &[UnneededNode], ready: Vec<usize>, chosen: &mut Chosen) {
        let options = &self.options.scale_down;
        let UnderWay { empty, drained, .. } = self.under_way;
        let mut all = options.max_parallelism.saturating_sub(empty + drained);
        let mut drains = options.max_drain_parallelism.saturating_sub(*drained);
        let (whole, single) = self.atomic(nodes, ready);
        let mut may_overflow = true;
        let mut blocked = false;
        let mut left: Vec<usize> = Vec::new();
        for of_group in whole {
            let count = u32::try_from(of_group.len()).unwrap_or(u32::MAX);
            let evicting = of_group.iter().filter(|&&at| !nodes[at].is_empty()).count();
            let evicting = u32::try_from(evicting).unwrap_or(u32::MAX);
            let fits = count <= all && evicting <= drains;
            let overflows = may_overflow && all > 0 && (evicting == 0 || drains > 0);
            if blocked || !(fits || overflows) {
                blocked = true;
                left.extend(of_group);
                continue;
            }
            all = all.saturating_sub(count);
            drains = drains.saturating_sub(evicting);
            may_overflow = false;
            chosen.removed.extend(of_group);
        }
        for at in single {
            let drained = u32::from(!nodes[at].is_empty());
            if all >= 1 && drains >= drained {
                all -= 1;
                drains -= drained;
                chosen.removed.push(at);
            } else {
                left.push(at);
            }
        }
        for at in left {
            chosen.stay(at, reasons::PARALLELISM);
        }
    }
}
