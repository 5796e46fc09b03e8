//! Groups and nodes.

use std::time::Duration;

use crate::bindings::scale_down_types as wire;
use crate::bindings::types;
use crate::builder::nothing;
use crate::expander::{Purchase, Resources};
use crate::rows::{LONG_TEXT, MAX_TEXT, NO_ROW, text_row};
use crate::scale_down_group::{group_bits, node_bits};
use crate::time::{Time, milliseconds};

/// A group for a builder: two nodes of one to ten, and no setting of its own.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct GroupSpec {
    pub(super) name: String,
    purchase: Option<Purchase>,
    all_or_none: bool,
    sizes: (u32, u32, u32),
    ready_nodes: u32,
    prices: Option<(f64, f64)>,
    cost: Option<f64>,
    threshold: Option<f64>,
    gpu_threshold: Option<f64>,
    unneeded: Option<Duration>,
    unready: Option<Duration>,
    ignore_daemon_sets: Option<bool>,
}

impl GroupSpec {
    /// A group of that name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            purchase: None,
            all_or_none: false,
            sizes: (2, 1, 10),
            ready_nodes: 2,
            prices: None,
            cost: None,
            threshold: None,
            gpu_threshold: None,
            unneeded: None,
            unready: None,
            ignore_daemon_sets: None,
        }
    }

    /// How its nodes are bought.
    pub const fn bought(mut self, purchase: Purchase) -> Self {
        self.purchase = Some(purchase);
        self
    }

    /// It has all its nodes or none.
    pub const fn all_or_none(mut self) -> Self {
        self.all_or_none = true;
        self
    }

    /// Nodes that the cloud is asked for, and their bounds. As many are ready.
    pub const fn sizes(mut self, target: u32, min: u32, max: u32) -> Self {
        self.sizes = (target, min, max);
        self.ready_nodes = target;
        self
    }

    /// Nodes that are ready.
    pub const fn ready_nodes(mut self, count: u32) -> Self {
        self.ready_nodes = count;
        self
    }

    /// Prices for an hour, of one node and of all.
    pub const fn prices(mut self, node: f64, all: f64) -> Self {
        self.prices = Some((node, all));
        self
    }

    /// Cost of moving all its pods.
    pub const fn cost(mut self, cost: f64) -> Self {
        self.cost = Some(cost);
        self
    }

    /// Its own threshold of utilization.
    pub const fn utilization_threshold(mut self, threshold: f64) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// Its own threshold for nodes with GPUs.
    pub const fn gpu_utilization_threshold(mut self, threshold: f64) -> Self {
        self.gpu_threshold = Some(threshold);
        self
    }

    /// How long its nodes must have been unneeded: those that are ready, and others.
    pub const fn unneeded_times(mut self, ready: Duration, unready: Duration) -> Self {
        (self.unneeded, self.unready) = (Some(ready), Some(unready));
        self
    }

    /// Whether pods of DaemonSets are left out of the utilization.
    pub const fn ignore_daemon_sets(mut self, ignore: bool) -> Self {
        self.ignore_daemon_sets = Some(ignore);
        self
    }
}

pub(super) fn groups(specs: &[GroupSpec]) -> wire::Groups {
    let time = |time: Option<Duration>| time.map_or(i64::from(NO_ROW), milliseconds);
    let mut columns = wire::Groups {
        name: Vec::new(),
        state: Vec::new(),
        min_size: Vec::new(),
        max_size: Vec::new(),
        target_size: Vec::new(),
        ready_nodes: Vec::new(),
        node_price: Vec::new(),
        price: Vec::new(),
        cost: Vec::new(),
        utilization_threshold: Vec::new(),
        gpu_utilization_threshold: Vec::new(),
        unneeded_time_ms: Vec::new(),
        unready_time_ms: Vec::new(),
        ignore_daemon_sets: Vec::new(),
    };
    for spec in specs {
        let purchase = match spec.purchase {
            Some(Purchase::Spot) => group_bits::SPOT,
            Some(Purchase::OnDemand) => group_bits::ON_DEMAND,
            None => 0,
        };
        let (target, min, max) = spec.sizes;
        let (node_price, price) = spec.prices.unwrap_or((f64::NAN, f64::NAN));
        columns.name.push(spec.name.clone());
        let whole = if spec.all_or_none {
            group_bits::ALL_OR_NONE
        } else {
            0
        };
        columns.state.push(purchase | whole);
        columns.min_size.push(min);
        columns.max_size.push(max);
        columns.target_size.push(target);
        columns.ready_nodes.push(spec.ready_nodes);
        columns.node_price.push(node_price);
        columns.price.push(price);
        columns.cost.push(spec.cost.unwrap_or(f64::NAN));
        let threshold = spec.threshold.unwrap_or(f64::NAN);
        columns.utilization_threshold.push(threshold);
        let threshold = spec.gpu_threshold.unwrap_or(f64::NAN);
        columns.gpu_utilization_threshold.push(threshold);
        columns.unneeded_time_ms.push(time(spec.unneeded));
        columns.unready_time_ms.push(time(spec.unready));
        let ignore = spec.ignore_daemon_sets.map_or(NO_ROW, i32::from);
        columns.ignore_daemon_sets.push(ignore);
    }
    columns
}

/// A node for a builder: ready, created long ago, unneeded since then, of 4 cores and
/// 16 GiB, and without a pod. While pods are judged only its group, zone, instance type,
/// age and price are known.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct ScaleDownNodeSpec {
    pub(super) group: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) instance_type: Option<String>,
    pub(super) created: Option<Time>,
    pub(super) price: Option<f64>,
    pub(super) granted: Vec<(usize, String)>,
    unready_since: Option<Time>,
    ready: bool,
    disabled: bool,
    gpu: bool,
    purchase: Option<Purchase>,
    pods_changed: Option<Time>,
    unneeded_since: Option<Time>,
    allocatable: Resources,
    requested: Resources,
    daemon_sets: Resources,
    mirrors: Resources,
    pods: u32,
    cost: f64,
}

impl Default for ScaleDownNodeSpec {
    fn default() -> Self {
        Self {
            group: None,
            zone: None,
            instance_type: None,
            created: Some(Time::from_ms(0)),
            price: None,
            granted: Vec::new(),
            unready_since: None,
            ready: true,
            disabled: false,
            gpu: false,
            purchase: None,
            pods_changed: Some(Time::from_ms(0)),
            unneeded_since: Some(Time::from_ms(0)),
            allocatable: Resources {
                gpu_milli: -1,
                ..Resources::of(4, 16)
            },
            requested: Resources::default(),
            daemon_sets: Resources::default(),
            mirrors: Resources::default(),
            pods: 0,
            cost: 0.0,
        }
    }
}

impl ScaleDownNodeSpec {
    /// A node of the group of that name, which the builder must know.
    pub fn of(group: impl Into<String>) -> Self {
        Self {
            group: Some(group.into()),
            ..Self::default()
        }
    }

    /// Its zone.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Its instance type.
    pub fn instance_type(mut self, instance_type: impl Into<String>) -> Self {
        self.instance_type = Some(instance_type.into());
        self
    }

    /// When it was created.
    pub const fn created(mut self, at: Option<Time>) -> Self {
        self.created = at;
        self
    }

    /// It has not been ready since then.
    pub const fn unready_since(mut self, at: Option<Time>) -> Self {
        (self.ready, self.unready_since) = (false, at);
        self
    }

    /// It is annotated `scale-down-disabled`.
    pub const fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// It is a node for GPUs, even if none is allocatable.
    pub const fn for_gpus(mut self) -> Self {
        self.gpu = true;
        self
    }

    /// How it was bought.
    pub const fn bought(mut self, purchase: Purchase) -> Self {
        self.purchase = Some(purchase);
        self
    }

    /// When a pod came or went last.
    pub const fn pods_changed(mut self, at: Option<Time>) -> Self {
        self.pods_changed = at;
        self
    }

    /// Since when it has been unneeded. `None` if it is needed.
    pub const fn unneeded_since(mut self, at: Option<Time>) -> Self {
        self.unneeded_since = at;
        self
    }

    /// What pods may request of it. A resource that it has none of is -1.
    pub const fn allocatable(mut self, allocatable: Resources) -> Self {
        self.allocatable = allocatable;
        self
    }

    /// What its pods request, and of that what pods of DaemonSets and what mirror pods
    /// do.
    pub const fn requested(
        mut self,
        all: Resources,
        daemon_sets: Resources,
        mirrors: Resources,
    ) -> Self {
        (self.requested, self.daemon_sets, self.mirrors) = (all, daemon_sets, mirrors);
        self
    }

    /// Pods that would be evicted or waited for, and what it costs to move them.
    pub const fn pods(mut self, count: u32, cost: f64) -> Self {
        (self.pods, self.cost) = (count, cost);
        self
    }

    /// Its price for an hour.
    pub const fn price(mut self, price: f64) -> Self {
        self.price = Some(price);
        self
    }

    /// Its value for the policy's wish number `want`, counted from 0, which must be for a
    /// label or an annotation of nodes.
    pub fn granted(mut self, want: usize, value: impl Into<String>) -> Self {
        self.granted.push((want, value.into()));
        self
    }
}

/// Returns the row of a node's group. A group that the builder does not know is none.
pub(super) fn group_row(groups: &[GroupSpec], node: &ScaleDownNodeSpec) -> i32 {
    let named = |group: &GroupSpec| Some(&group.name) == node.group.as_ref();
    let row = groups.iter().position(named);
    row.and_then(|row| i32::try_from(row).ok())
        .unwrap_or(NO_ROW)
}

pub(super) fn nodes(groups: &[GroupSpec], specs: &[ScaleDownNodeSpec]) -> wire::Nodes {
    let mut columns = wire::Nodes {
        group: Vec::new(),
        zone: Vec::new(),
        instance_type: Vec::new(),
        state: Vec::new(),
        created_ms: Vec::new(),
        unready_since_ms: Vec::new(),
        pods_changed_ms: Vec::new(),
        unneeded_since_ms: Vec::new(),
        allocatable_cpu: Vec::new(),
        allocatable_memory: Vec::new(),
        allocatable_gpu: Vec::new(),
        requested_cpu: Vec::new(),
        requested_memory: Vec::new(),
        requested_gpu: Vec::new(),
        daemon_set_cpu: Vec::new(),
        daemon_set_memory: Vec::new(),
        daemon_set_gpu: Vec::new(),
        mirror_cpu: Vec::new(),
        mirror_memory: Vec::new(),
        mirror_gpu: Vec::new(),
        price: Vec::new(),
        pod_count: Vec::new(),
        cost: Vec::new(),
        texts: Vec::new(),
    };
    for spec in specs {
        push(&mut columns, groups, spec);
    }
    columns
}

fn push(columns: &mut wire::Nodes, groups: &[GroupSpec], spec: &ScaleDownNodeSpec) {
    let purchase = match spec.purchase {
        Some(Purchase::Spot) => node_bits::SPOT,
        Some(Purchase::OnDemand) => node_bits::ON_DEMAND,
        None => 0,
    };
    let state = [
        (spec.ready, node_bits::READY),
        (spec.pods == 0, node_bits::EMPTY),
        (spec.disabled, node_bits::DISABLED),
        (spec.gpu, node_bits::GPU),
    ];
    let state = state.iter().filter(|(is, _)| *is).map(|(_, bit)| bit);
    columns.group.push(group_row(groups, spec));
    let zone = text_row(&mut columns.texts, spec.zone.as_deref());
    columns.zone.push(zone);
    let instance_type = text_row(&mut columns.texts, spec.instance_type.as_deref());
    columns.instance_type.push(instance_type);
    columns.state.push(state.sum::<u32>() | purchase);
    columns.created_ms.push(Time::mark(spec.created));
    columns
        .unready_since_ms
        .push(Time::mark(spec.unready_since));
    columns.pods_changed_ms.push(Time::mark(spec.pods_changed));
    let unneeded_since = Time::mark(spec.unneeded_since);
    columns.unneeded_since_ms.push(unneeded_since);
    columns.allocatable_cpu.push(spec.allocatable.cpu_milli);
    columns
        .allocatable_memory
        .push(spec.allocatable.memory_bytes);
    columns.allocatable_gpu.push(spec.allocatable.gpu_milli);
    columns.requested_cpu.push(spec.requested.cpu_milli);
    columns.requested_memory.push(spec.requested.memory_bytes);
    columns.requested_gpu.push(spec.requested.gpu_milli);
    columns.daemon_set_cpu.push(spec.daemon_sets.cpu_milli);
    columns
        .daemon_set_memory
        .push(spec.daemon_sets.memory_bytes);
    columns.daemon_set_gpu.push(spec.daemon_sets.gpu_milli);
    columns.mirror_cpu.push(spec.mirrors.cpu_milli);
    columns.mirror_memory.push(spec.mirrors.memory_bytes);
    columns.mirror_gpu.push(spec.mirrors.gpu_milli);
    columns.price.push(spec.price.unwrap_or(f64::NAN));
    columns.pod_count.push(spec.pods);
    columns.cost.push(spec.cost);
}

/// Returns the granted inputs of rows: `wants` of them, of which the rows in `pods` and in
/// `nodes` have values. A wish that no row has a value for is granted without rows.
pub(super) fn granted(tables: &[Vec<&[(usize, String)]>]) -> Vec<types::GrantedInput> {
    let all = tables.iter().flatten().flat_map(|row| row.iter());
    let wants = all.map(|(want, _)| want + 1).max().unwrap_or(0);
    let of_want = |want: usize| {
        let mut input = nothing();
        let has = |row: &&[(usize, String)]| row.iter().any(|(of, _)| *of == want);
        let Some(table) = tables.iter().find(|table| table.iter().any(has)) else {
            return input;
        };
        for row in table {
            let value = row.iter().find(|(of, _)| *of == want);
            let value = value.map(|(_, value)| value.as_str());
            let is_long = value.is_some_and(|value| value.len() > MAX_TEXT);
            let row = match is_long {
                true => LONG_TEXT,
                false => text_row(&mut input.texts, value),
            };
            input.rows.push(row);
        }
        input
    };
    (0..wants).map(of_want).collect()
}
