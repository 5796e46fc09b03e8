//! Pods to judge.

use std::time::Duration;

use super::check::check_rows;
use super::tables::{GroupSpec, ScaleDownNodeSpec, granted, group_row, groups};
use crate::bindings::scale_down_pods::exports::flyball::policy::scale_down_pods as wire;
use crate::expander::Resources;
use crate::given::Given;
use crate::rows::{NO_ROW, text_row};
use crate::scale_down_pods::{
    OwnerKind, PodVerdicts, SafeToEvict, ScaleDownPods, bits as pod_bits,
};
use crate::time::{Time, milliseconds};

/// Puts a [`ScaleDownPods`] together. Groups come first, then nodes: pods name them by row.
#[derive(Clone, Debug)]
#[must_use]
pub struct ScaleDownPodsBuilder<C, S> {
    given: Given<C, S>,
    groups: Vec<GroupSpec>,
    nodes: Vec<ScaleDownNodeSpec>,
    pods: Vec<ScaleDownPodSpec>,
}

impl<C: Default, S: Default> ScaleDownPods<C, S> {
    /// Starts an input for a native test: no pod.
    pub fn build() -> ScaleDownPodsBuilder<C, S> {
        ScaleDownPodsBuilder {
            given: Given::default(),
            groups: Vec::new(),
            nodes: Vec::new(),
            pods: Vec::new(),
        }
    }
}

/// A pod for a builder: ready, of a ReplicaSet of three replicas that exists, in the
/// namespace `default`, created long ago, without a budget, on the first node.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct ScaleDownPodSpec {
    node: usize,
    namespace: String,
    state: u32,
    owner: Option<OwnerKind>,
    owner_replicas: Option<u32>,
    priority: i32,
    deletion_cost: i32,
    requested: Resources,
    created: Option<Time>,
    deleted: Option<Time>,
    grace: Option<Duration>,
    budgets: u32,
    disruptions_allowed: Option<u32>,
    granted: Vec<(usize, String)>,
}

impl Default for ScaleDownPodSpec {
    fn default() -> Self {
        Self {
            node: 0,
            namespace: "default".to_owned(),
            state: pod_bits::READY | pod_bits::OWNER_LOOKED_UP | pod_bits::OWNER_EXISTS,
            owner: Some(OwnerKind::ReplicaSet),
            owner_replicas: Some(3),
            priority: 0,
            deletion_cost: 0,
            requested: Resources::default(),
            created: Some(Time::from_ms(0)),
            deleted: None,
            grace: Some(Duration::from_secs(30)),
            budgets: 0,
            disruptions_allowed: None,
            granted: Vec::new(),
        }
    }
}

impl ScaleDownPodSpec {
    /// It runs on the node in that row.
    pub const fn on(mut self, node: usize) -> Self {
        self.node = node;
        self
    }

    /// Its namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Its controller, which exists, and how many replicas that wants.
    pub const fn owner(mut self, kind: OwnerKind, replicas: Option<u32>) -> Self {
        (self.owner, self.owner_replicas) = (Some(kind), replicas);
        self
    }

    /// It has no controller.
    pub const fn without_owner(mut self) -> Self {
        (self.owner, self.owner_replicas) = (None, None);
        self.state &= !(pod_bits::OWNER_LOOKED_UP | pod_bits::OWNER_EXISTS);
        self
    }

    /// Its controller does not exist.
    pub const fn owner_gone(mut self) -> Self {
        self.owner_replicas = None;
        self.state &= !pod_bits::OWNER_EXISTS;
        self
    }

    /// It is the mirror of a static pod.
    pub const fn mirror(mut self) -> Self {
        self.state |= pod_bits::MIRROR;
        self
    }

    /// It runs on every node.
    pub const fn of_daemon_set(mut self) -> Self {
        self.state |= pod_bits::DAEMON_SET;
        self.owner(OwnerKind::DaemonSet, None)
    }

    /// It has ended for good.
    pub const fn terminal(mut self) -> Self {
        self.state |= pod_bits::TERMINAL;
        self
    }

    /// It is not ready.
    pub const fn not_ready(mut self) -> Self {
        self.state &= !pod_bits::READY;
        self
    }

    /// It is deleted, and should have been gone 30 s ago.
    pub const fn long_terminating(mut self) -> Self {
        self.state |= pod_bits::LONG_TERMINATING;
        self
    }

    /// It has an emptyDir volume. `excepted`: annotation `safe-to-evict-local-volumes`
    /// names it.
    pub const fn empty_dir(mut self, excepted: bool) -> Self {
        self.state |= pod_bits::EMPTY_DIR;
        if excepted {
            self.state |= pod_bits::EMPTY_DIR_EXCEPTED;
        }
        self
    }

    /// It has a hostPath volume, as [`ScaleDownPodSpec::empty_dir`].
    pub const fn host_path(mut self, excepted: bool) -> Self {
        self.state |= pod_bits::HOST_PATH;
        if excepted {
            self.state |= pod_bits::HOST_PATH_EXCEPTED;
        }
        self
    }

    /// Annotation `safe-to-evict`.
    pub const fn safe_to_evict(mut self, value: SafeToEvict) -> Self {
        self.state |= match value {
            SafeToEvict::Yes => pod_bits::SAFE_TO_EVICT,
            SafeToEvict::No => pod_bits::NOT_SAFE_TO_EVICT,
            SafeToEvict::OnCompletion => pod_bits::EVICT_ON_COMPLETION,
        };
        self
    }

    /// Annotation `enable-ds-eviction`.
    pub const fn ds_eviction(mut self, value: bool) -> Self {
        self.state |= if value {
            pod_bits::DS_EVICTION
        } else {
            pod_bits::NO_DS_EVICTION
        };
        self
    }

    /// Its priority.
    pub const fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// Annotation `pod-deletion-cost`.
    pub const fn deletion_cost(mut self, cost: i32) -> Self {
        self.deletion_cost = cost;
        self
    }

    /// What it requests.
    pub const fn requests(mut self, requested: Resources) -> Self {
        self.requested = requested;
        self
    }

    /// When it was created.
    pub const fn created(mut self, at: Option<Time>) -> Self {
        self.created = at;
        self
    }

    /// It is being deleted: by when it is to be gone.
    pub const fn deleted(mut self, at: Time) -> Self {
        self.deleted = Some(at);
        self
    }

    /// Its termination grace.
    pub const fn grace(mut self, grace: Option<Duration>) -> Self {
        self.grace = grace;
        self
    }

    /// Budgets that select it, and the least of the disruptions that they allow.
    pub const fn budgets(mut self, count: u32, allowed: u32) -> Self {
        (self.budgets, self.disruptions_allowed) = (count, Some(allowed));
        self
    }

    /// Its value for the policy's wish number `want`, counted from 0, which must be for a
    /// label or an annotation of pods, or a label of namespaces.
    pub fn granted(mut self, want: usize, value: impl Into<String>) -> Self {
        self.granted.push((want, value.into()));
        self
    }
}

impl<C, S> ScaleDownPodsBuilder<C, S> {
    /// The configuration.
    pub fn config(mut self, config: C) -> Self {
        self.given.config = config;
        self
    }

    /// When the decision is made.
    pub fn at(mut self, now: Time) -> Self {
        self.given.now = now;
        self
    }

    /// A group, in the next row.
    pub fn group(mut self, group: GroupSpec) -> Self {
        self.groups.push(group);
        self
    }

    /// A node, in the next row.
    pub fn node(mut self, node: ScaleDownNodeSpec) -> Self {
        self.nodes.push(node);
        self
    }

    /// A pod, in the next row.
    pub fn pod(mut self, pod: ScaleDownPodSpec) -> Self {
        self.pods.push(pod);
        self
    }

    /// The input.
    #[must_use]
    pub fn done(self) -> ScaleDownPods<C, S> {
        let Self {
            mut given,
            groups: group_specs,
            nodes,
            pods,
        } = self;
        given.granted = granted(&[
            pods.iter().map(|pod| pod.granted.as_slice()).collect(),
            nodes.iter().map(|node| node.granted.as_slice()).collect(),
        ]);
        let input = wire::Input {
            groups: groups(&group_specs),
            nodes: pod_nodes(&group_specs, &nodes),
            pods: columns(&pods),
        };
        ScaleDownPods { input, given }
    }
}

impl<C: Clone, S: Clone> ScaleDownPodsBuilder<C, S> {
    /// Checks that rows are independent: each pod has the same verdict alone, in parts and
    /// in another order.
    ///
    /// # Panics
    /// With the row and its two verdicts, if they differ.
    pub fn check_rows(&self, judge: impl Fn(&ScaleDownPods<C, S>) -> PodVerdicts) {
        check_rows(self.pods.len(), |rows| {
            let pods = rows.iter().map(|&row| self.pods[row].clone());
            let part = Self {
                pods: pods.collect(),
                ..self.clone()
            };
            let verdicts = judge(&part.done());
            (0..rows.len()).map(|row| verdicts.row(row)).collect()
        });
    }
}

fn pod_nodes(groups: &[GroupSpec], specs: &[ScaleDownNodeSpec]) -> wire::PodNodes {
    let mut columns = wire::PodNodes {
        group: Vec::new(),
        zone: Vec::new(),
        instance_type: Vec::new(),
        created_ms: Vec::new(),
        price: Vec::new(),
        texts: Vec::new(),
    };
    for spec in specs {
        columns.group.push(group_row(groups, spec));
        let zone = text_row(&mut columns.texts, spec.zone.as_deref());
        columns.zone.push(zone);
        let instance_type = text_row(&mut columns.texts, spec.instance_type.as_deref());
        columns.instance_type.push(instance_type);
        columns.created_ms.push(Time::mark(spec.created));
        columns.price.push(spec.price.unwrap_or(f64::NAN));
    }
    columns
}

fn columns(specs: &[ScaleDownPodSpec]) -> wire::Pods {
    let mut columns = wire::Pods {
        node: Vec::new(),
        namespace: Vec::new(),
        state: Vec::new(),
        owner_kind: Vec::new(),
        owner_replicas: Vec::new(),
        priority: Vec::new(),
        deletion_cost: Vec::new(),
        cpu: Vec::new(),
        memory: Vec::new(),
        gpu: Vec::new(),
        created_ms: Vec::new(),
        deletion_ms: Vec::new(),
        grace_ms: Vec::new(),
        budgets: Vec::new(),
        disruptions_allowed: Vec::new(),
        texts: Vec::new(),
    };
    let mark = |count: Option<u32>| {
        let count = count.and_then(|count| i32::try_from(count).ok());
        count.unwrap_or(NO_ROW)
    };
    for spec in specs {
        columns
            .node
            .push(u32::try_from(spec.node).unwrap_or(u32::MAX));
        let namespace = text_row(&mut columns.texts, Some(&spec.namespace));
        columns
            .namespace
            .push(u32::try_from(namespace).unwrap_or(u32::MAX));
        columns.state.push(spec.state);
        columns.owner_kind.push(match spec.owner {
            None => 0,
            Some(OwnerKind::DaemonSet) => 1,
            Some(OwnerKind::ReplicaSet) => 2,
            Some(OwnerKind::ReplicationController) => 3,
            Some(OwnerKind::StatefulSet) => 4,
            Some(OwnerKind::Job) => 5,
            Some(OwnerKind::Other) => 6,
        });
        columns.owner_replicas.push(mark(spec.owner_replicas));
        columns.priority.push(spec.priority);
        columns.deletion_cost.push(spec.deletion_cost);
        columns.cpu.push(spec.requested.cpu_milli);
        columns.memory.push(spec.requested.memory_bytes);
        columns.gpu.push(spec.requested.gpu_milli);
        columns.created_ms.push(Time::mark(spec.created));
        columns.deletion_ms.push(Time::mark(spec.deleted));
        let grace = spec.grace.map_or(i64::from(NO_ROW), milliseconds);
        columns.grace_ms.push(grace);
        columns.budgets.push(spec.budgets);
        columns
            .disruptions_allowed
            .push(mark(spec.disruptions_allowed));
    }
    columns
}
