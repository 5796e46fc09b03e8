//! Node groups and nodes, as scale-down policies see them.

use std::time::Duration;

use crate::bindings::scale_down_types as wire;
use crate::expander::{Purchase, Resources};
use crate::rows::{cell, figure, text};
use crate::time::{Time, duration};

/// Bits of the column `state` of groups.
pub(crate) mod group_bits {
    pub(crate) const SPOT: u32 = 1;
    pub(crate) const ON_DEMAND: u32 = 2;
    pub(crate) const ALL_OR_NONE: u32 = 4;
}

/// Bits of the column `state` of nodes.
pub(crate) mod node_bits {
    pub(crate) const READY: u32 = 1;
    pub(crate) const EMPTY: u32 = 2;
    pub(crate) const DISABLED: u32 = 4;
    pub(crate) const GPU: u32 = 8;
    pub(crate) const SPOT: u32 = 16;
    pub(crate) const ON_DEMAND: u32 = 32;
}

/// A node group.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    pub(crate) columns: &'a wire::Groups,
    pub(crate) row: usize,
}

impl<'a> Group<'a> {
    /// Its row: what `{group:N}` in a sentence names.
    #[must_use]
    pub const fn row(self) -> usize {
        self.row
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'a str {
        let name = self.columns.name.get(self.row);
        name.map_or("", String::as_str)
    }

    /// How its nodes are bought. `None` if that is not known, or mixed.
    #[must_use]
    pub fn purchase(self) -> Option<Purchase> {
        let state = cell(&self.columns.state, self.row);
        Purchase::of(
            state & group_bits::SPOT != 0,
            state & group_bits::ON_DEMAND != 0,
        )
    }

    /// Whether it has all its nodes or none.
    #[must_use]
    pub fn is_all_or_none(self) -> bool {
        cell(&self.columns.state, self.row) & group_bits::ALL_OR_NONE != 0
    }

    /// Fewest nodes. The host enforces this bound.
    #[must_use]
    pub fn min_size(self) -> u32 {
        cell(&self.columns.min_size, self.row)
    }

    /// Most nodes. The host enforces this bound.
    #[must_use]
    pub fn max_size(self) -> u32 {
        cell(&self.columns.max_size, self.row)
    }

    /// Nodes that the cloud is asked for.
    #[must_use]
    pub fn target_size(self) -> u32 {
        cell(&self.columns.target_size, self.row)
    }

    /// Nodes that are ready.
    #[must_use]
    pub fn ready_nodes(self) -> u32 {
        cell(&self.columns.ready_nodes, self.row)
    }

    /// Price of one node for an hour, if the host knows it.
    #[must_use]
    pub fn node_price(self) -> Option<f64> {
        figure(&self.columns.node_price, self.row)
    }

    /// Price of all its nodes for an hour, if the host knows it.
    #[must_use]
    pub fn price(self) -> Option<f64> {
        figure(&self.columns.price, self.row)
    }

    /// Cost of moving all pods of its nodes. It is known while moves are judged.
    #[must_use]
    pub fn cost(self) -> Option<f64> {
        figure(&self.columns.cost, self.row)
    }

    /// Its own threshold of utilization, from 0 to 1.
    #[must_use]
    pub fn utilization_threshold(self) -> Option<f64> {
        figure(&self.columns.utilization_threshold, self.row)
    }

    /// Its own threshold for nodes with GPUs.
    #[must_use]
    pub fn gpu_utilization_threshold(self) -> Option<f64> {
        figure(&self.columns.gpu_utilization_threshold, self.row)
    }

    /// How long its nodes must have been unneeded, if the group says so.
    #[must_use]
    pub fn unneeded_time(self) -> Option<Duration> {
        self.time(&self.columns.unneeded_time_ms)
    }

    /// The same for nodes that are not ready.
    #[must_use]
    pub fn unready_time(self) -> Option<Duration> {
        self.time(&self.columns.unready_time_ms)
    }

    /// Whether pods of DaemonSets are left out of the utilization, if the group says so.
    #[must_use]
    pub fn ignore_daemon_sets(self) -> Option<bool> {
        let column = &self.columns.ignore_daemon_sets;
        match column.get(self.row).copied() {
            Some(0) => Some(false),
            Some(mark) if mark > 0 => Some(true),
            _ => None,
        }
    }

    fn time(self, column: &[i64]) -> Option<Duration> {
        let ms = column.get(self.row).copied();
        ms.filter(|ms| *ms >= 0).map(duration)
    }
}

/// A node that may leave.
#[derive(Clone, Copy, Debug)]
pub struct JudgedNode<'a> {
    pub(crate) groups: &'a wire::Groups,
    pub(crate) columns: &'a wire::Nodes,
    pub(crate) row: usize,
}

impl<'a> JudgedNode<'a> {
    /// Its row: what `{node:N}` in a sentence names.
    #[must_use]
    pub const fn row(self) -> usize {
        self.row
    }

    /// Its group, if it has one.
    #[must_use]
    pub fn group(self) -> Option<Group<'a>> {
        let row = usize::try_from(*self.columns.group.get(self.row)?).ok()?;
        (row < self.groups.name.len()).then_some(Group {
            columns: self.groups,
            row,
        })
    }

    /// Its zone, if that is known.
    #[must_use]
    pub fn zone(self) -> Option<&'a str> {
        text(&self.columns.texts, &self.columns.zone, self.row)
    }

    /// Its instance type, if that is known.
    #[must_use]
    pub fn instance_type(self) -> Option<&'a str> {
        text(&self.columns.texts, &self.columns.instance_type, self.row)
    }

    /// Whether it is ready.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self.has(node_bits::READY)
    }

    /// Whether it has no pod that would be evicted or waited for.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.has(node_bits::EMPTY)
    }

    /// Whether it is annotated `scale-down-disabled`. The host keeps such a node.
    #[must_use]
    pub fn is_disabled(self) -> bool {
        self.has(node_bits::DISABLED)
    }

    /// Whether it is a node for GPUs, even if none is allocatable.
    #[must_use]
    pub fn is_for_gpus(self) -> bool {
        self.has(node_bits::GPU)
    }

    /// How it was bought, if that is known.
    #[must_use]
    pub fn purchase(self) -> Option<Purchase> {
        Purchase::of(self.has(node_bits::SPOT), self.has(node_bits::ON_DEMAND))
    }

    /// When it was created.
    #[must_use]
    pub fn created(self) -> Option<Time> {
        Time::from_mark(cell(&self.columns.created_ms, self.row))
    }

    /// Since when it has not been ready. `None` if it is ready, or that is not known.
    #[must_use]
    pub fn unready_since(self) -> Option<Time> {
        Time::from_mark(cell(&self.columns.unready_since_ms, self.row))
    }

    /// When a pod came to it or left it last.
    #[must_use]
    pub fn pods_changed(self) -> Option<Time> {
        Time::from_mark(cell(&self.columns.pods_changed_ms, self.row))
    }

    /// Since when it has been unneeded. `None` if it is needed.
    #[must_use]
    pub fn unneeded_since(self) -> Option<Time> {
        Time::from_mark(cell(&self.columns.unneeded_since_ms, self.row))
    }

    /// What pods may request of it. A resource that the node has none of is -1.
    #[must_use]
    pub fn allocatable(self) -> Resources {
        Resources {
            cpu_milli: cell(&self.columns.allocatable_cpu, self.row),
            memory_bytes: cell(&self.columns.allocatable_memory, self.row),
            gpu_milli: cell(&self.columns.allocatable_gpu, self.row),
        }
    }

    /// What its pods request, without those that are terminating beyond their grace.
    #[must_use]
    pub fn requested(self) -> Resources {
        Resources {
            cpu_milli: cell(&self.columns.requested_cpu, self.row),
            memory_bytes: cell(&self.columns.requested_memory, self.row),
            gpu_milli: cell(&self.columns.requested_gpu, self.row),
        }
    }

    /// The part of it that pods of DaemonSets request, mirror pods left out.
    #[must_use]
    pub fn requested_by_daemon_sets(self) -> Resources {
        Resources {
            cpu_milli: cell(&self.columns.daemon_set_cpu, self.row),
            memory_bytes: cell(&self.columns.daemon_set_memory, self.row),
            gpu_milli: cell(&self.columns.daemon_set_gpu, self.row),
        }
    }

    /// The part of it that mirror pods request.
    #[must_use]
    pub fn requested_by_mirror_pods(self) -> Resources {
        Resources {
            cpu_milli: cell(&self.columns.mirror_cpu, self.row),
            memory_bytes: cell(&self.columns.mirror_memory, self.row),
            gpu_milli: cell(&self.columns.mirror_gpu, self.row),
        }
    }

    /// Its price for an hour, if the host knows it.
    #[must_use]
    pub fn price(self) -> Option<f64> {
        figure(&self.columns.price, self.row)
    }

    /// Pods that would be evicted or waited for.
    #[must_use]
    pub fn pods(self) -> u32 {
        cell(&self.columns.pod_count, self.row)
    }

    /// What it costs to move these pods.
    #[must_use]
    pub fn cost(self) -> f64 {
        cell(&self.columns.cost, self.row)
    }

    fn has(self, bit: u32) -> bool {
        cell(&self.columns.state, self.row) & bit != 0
    }
}
