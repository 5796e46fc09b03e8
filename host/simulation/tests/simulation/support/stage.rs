//! A simulated cluster with nodes whose orders, writes and evictions a test makes.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{CloudProvider as _, NodeGroup};
use flyball_nodes::ports::{
    EvictError, Eviction, NodeChange, NodesReader as _, NodesWriter as _, TaintChange, WriteError,
};
use flyball_nodes::state::{NodeFacts, PodFacts};
use flyball_simulation::{Cluster, Scenario};

/// Returns the output of a future that never waits.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

pub struct Stage {
    pub cluster: Cluster,
    scenario: Scenario,
}

impl Stage {
    pub fn new(text: &str) -> Self {
        let scenario = Scenario::parse(text, Path::new("test.yaml"), Path::new("")).unwrap();
        let cluster = Cluster::new(&scenario).unwrap();
        Self { cluster, scenario }
    }

    pub fn at(&self, seconds: i64) -> Timestamp {
        self.scenario.start.plus(seconds * 1000)
    }

    pub fn group(&self, seconds: i64) -> Arc<NodeGroup> {
        let groups = now(self.cluster.node_groups(self.at(seconds))).unwrap();
        Arc::clone(&groups[0])
    }

    pub fn increase(&self, seconds: i64, delta: u32) -> Result<(), String> {
        let order = self.cluster.increase_size(self.at(seconds), "nodes", delta);
        now(order).map_err(|error| format!("{}: {error}", error.class))
    }

    pub fn decrease(&self, seconds: i64, delta: u32) -> Result<(), String> {
        let at = self.at(seconds);
        let order = self.cluster.decrease_target_size(at, "nodes", delta);
        now(order).map_err(|error| format!("{}: {error}", error.class))
    }

    pub fn delete(&self, seconds: i64, ids: &[Arc<str>]) -> Result<(), String> {
        let at = self.at(seconds);
        let order = self.cluster.delete_instances(at, "nodes", ids);
        let outcomes: Result<(), _> = now(order).into_iter().collect();
        outcomes.map_err(|error| format!("{}: {error}", error.class))
    }

    /// Returns the numbers of Ready nodes, Ready pods, and pods that wait for a node.
    pub fn figures(&self, seconds: i64) -> (u32, i64, u32) {
        self.cluster.advance_to(self.at(seconds)).unwrap();
        let totals = self.cluster.totals();
        let nodes = totals.nodes.unwrap();
        (nodes.ready, totals.ready, nodes.pending)
    }

    /// Returns the zones of the nodes, sorted.
    pub fn zones(&self) -> Vec<String> {
        self.cluster.with_state(|state| {
            let zone = "topology.kubernetes.io/zone";
            let zones = state
                .nodes()
                .filter_map(|node| node.facts.node.labels.get(zone));
            let mut zones: Vec<String> = zones.map(ToString::to_string).collect();
            zones.sort();
            zones
        })
    }

    /// Returns the node of this name.
    pub fn node(&self, name: &str) -> Option<NodeFacts> {
        let find =
            |state: &mut flyball_nodes::state::ClusterState| Some(state.node(name)?.facts.clone());
        self.cluster.with_state(find)
    }

    /// Returns the names of the nodes, sorted.
    pub fn nodes(&self) -> Vec<Arc<str>> {
        self.cluster.with_state(|state| {
            let names = state.nodes().map(|node| Arc::clone(&node.facts.node.name));
            names.collect()
        })
    }

    /// Returns the pods of a workload or DaemonSet in order of their names.
    pub fn pods(&self, workload: &str) -> Vec<PodFacts> {
        self.cluster.with_state(|state| {
            let pods = state.pod_uids().filter_map(|uid| state.pod(uid));
            let own = pods.filter(|pod| {
                let rest = pod.key.name.strip_prefix(workload);
                rest.is_some_and(|rest| rest.starts_with('-'))
            });
            let mut pods: Vec<PodFacts> = own.map(|pod| pod.facts.clone()).collect();
            pods.sort_by(|a, b| a.key.cmp(&b.key));
            pods
        })
    }

    /// Returns how many pods of a workload each node has, in order of the nodes' names.
    pub fn spread(&self, workload: &str) -> Vec<usize> {
        let pods = self.pods(workload);
        let on = |node: &Arc<str>| {
            let on_node = pods.iter().filter(|pod| pod.node.as_ref() == Some(node));
            on_node.count()
        };
        self.nodes().iter().map(on).collect()
    }

    /// Changes a node.
    pub fn update(&self, seconds: i64, change: NodeChange) -> Result<(), WriteError> {
        now(self.cluster.update_node(self.at(seconds), change))
    }

    /// Adds a taint to a node.
    pub fn taint(&self, seconds: i64, node: &Arc<str>, key: &str, effect: &str) {
        let taint = TaintChange {
            key: key.into(),
            value: "".into(),
            effect: effect.into(),
        };
        let change = NodeChange {
            name: Arc::clone(node),
            add_taints: vec![taint],
            ..NodeChange::default()
        };
        self.update(seconds, change).unwrap();
    }

    /// Evicts a pod, with its own grace.
    pub fn evict(&self, seconds: i64, pod: &PodFacts) -> Result<(), EvictError> {
        self.evict_as(seconds, &pod.key, &pod.uid, None)
    }

    /// Evicts a pod by its name and uid.
    pub fn evict_as(
        &self,
        seconds: i64,
        key: &ObjectKey,
        uid: &Arc<str>,
        grace_seconds: Option<i64>,
    ) -> Result<(), EvictError> {
        let eviction = Eviction {
            key: key.clone(),
            uid: Arc::clone(uid),
            grace_seconds,
        };
        now(self.cluster.evict(self.at(seconds), eviction))
    }
}
