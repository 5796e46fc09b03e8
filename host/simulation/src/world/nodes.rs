//! Nodes in virtual time: the cloud's node groups, the nodes that join from them, and the
//! scheduler.

mod daemons;
mod group;
mod instance;
mod outages;
mod scheduler;
mod template;

use std::collections::BTreeSet;
use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{CloudError, NodeGroup};
use flyball_nodes::state::{ClusterState, NodeFacts};
use flyball_placement::{Effect, Taint};

use daemons::Daemons;
use group::{Change, Group};
use instance::NodeIdentity;
use outages::Outages;
use scheduler::Scheduler;
pub use scheduler::{PodKey, Shape};

use super::pods;
use crate::scenario::Scenario;
use crate::timeline::{Fleet, GroupSample};

/// Taint of a node that has joined and is not Ready.
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// The nodes of a cluster, and their cloud.
pub struct Nodes {
    groups: Vec<Group>,
    outages: Outages,
    scheduler: Scheduler,
    fleet: Fleet,
}

impl Nodes {
    /// Creates the nodes at the start. Returns `None` if the scenario has no node groups.
    /// `began` is when time begins, `shapes` are the pods of each workload.
    pub fn new(scenario: &Scenario, began: Timestamp, shapes: Vec<Shape>) -> Option<Self> {
        if scenario.node_groups.is_empty() {
            return None;
        }
        let groups = scenario.node_groups.iter();
        let groups = groups.map(|spec| Group::new(spec, scenario, began));
        let daemons = Daemons::new(&scenario.daemon_sets, scenario.seed);
        let mut nodes = Self {
            groups: groups.collect(),
            outages: Outages::default(),
            scheduler: Scheduler::new(shapes, daemons),
            fleet: Fleet::new(scenario),
        };
        for group in 0..nodes.groups.len() {
            for instance in nodes.groups[group].instances().to_vec() {
                nodes.set_node(group, began, &instance.identity(), true);
            }
        }
        Some(nodes)
    }

    /// Advances to `now`: instances are created and removed. Returns the pods that were
    /// lost with them.
    pub fn pass(&mut self, now: Timestamp) -> BTreeSet<PodKey> {
        let mut lost = BTreeSet::new();
        for index in 0..self.groups.len() {
            for change in self.groups[index].pass(now, &self.outages) {
                match change {
                    Change::Joined(node) => self.set_node(index, now, &node, false),
                    Change::Ready(node) => self.set_node(index, now, &node, true),
                    Change::Gone(node) => lost.append(&mut self.scheduler.remove_node(&node)),
                }
            }
        }
        lost
    }

    /// Adds a node that has joined, or updates it.
    fn set_node(&mut self, group: usize, now: Timestamp, identity: &NodeIdentity, ready: bool) {
        let spec = self.groups[group].spec();
        let mut node = template::node(spec, &identity.node, identity.zone.as_ref());
        if !ready {
            node.taints.push(Taint {
                key: NOT_READY.into(),
                value: "".into(),
                effect: Effect::NoSchedule,
            });
        }
        let created = self.scheduler.node_created(&identity.node).unwrap_or(now);
        let facts = NodeFacts {
            node: Arc::new(node),
            provider_id: Some(Arc::clone(&identity.provider_id)),
            created,
            ready,
            deleting: false,
            capacity: template::capacity(spec),
            condition_ready: ready,
            ..NodeFacts::default()
        };
        self.scheduler.set_node(now, facts);
    }

    /// Applies the changes of a workload's pods.
    pub fn take(&mut self, workload: usize, changes: &[pods::Change]) {
        for change in changes {
            let key = |id| PodKey { workload, id };
            match change {
                pods::Change::Created(id, name, created) => {
                    self.scheduler.add_pod(key(*id), Arc::clone(name), *created);
                }
                pods::Change::Deleted(id, at) => self.scheduler.delete_pod(key(*id), *at),
                pods::Change::Gone(id) => self.scheduler.remove_pod(key(*id)),
            }
        }
    }

    /// Binds the pods that fit on a node. Returns the bindings.
    pub fn schedule(&mut self) -> Vec<(PodKey, Arc<str>)> {
        self.scheduler.schedule()
    }

    /// Adds a step of `seconds` that begins at `at_ms` to the history.
    pub fn count(&mut self, at_ms: i64, seconds: f64) {
        let samples = self.groups.iter().map(|group| {
            let counts = group.counts();
            GroupSample {
                ready: counts.ready,
                target: counts.target,
                paid: counts.paid,
            }
        });
        let samples: Vec<GroupSample> = samples.collect();
        self.fleet
            .add(at_ms, seconds, &samples, self.scheduler.waiting());
    }

    /// Returns the history of the nodes.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Returns the number of pods that wait for a node.
    pub fn waiting(&self) -> u32 {
        self.scheduler.waiting()
    }

    /// Returns nodes and pods as input of the loop that orders nodes.
    pub fn state(&mut self) -> &mut ClusterState {
        self.scheduler.state()
    }

    /// Returns the number of Ready nodes.
    pub fn ready(&self) -> u32 {
        self.groups.iter().map(|group| group.counts().ready).sum()
    }

    /// Returns the target size of all groups.
    pub fn ordered(&self) -> u32 {
        self.groups.iter().map(|group| group.counts().target).sum()
    }

    /// Removes all instances in a zone, and prevents new ones there until then.
    pub fn zone_outage(&mut self, now: Timestamp, zone: &str, until: Timestamp) {
        self.outages.begin(zone, until);
        for group in &mut self.groups {
            group.lose_zone(now, zone);
        }
    }

    /// Kills nodes of a group.
    pub fn kill(&mut self, now: Timestamp, group: &str, count: u32) {
        if let Ok(group) = self.group(group) {
            group.kill(now, count);
        }
    }

    /// Returns the node groups as the cloud reports them, ordered by name.
    pub fn node_groups(&self) -> Vec<Arc<NodeGroup>> {
        let view = |group: &Group| Arc::new(group.view());
        let mut groups: Vec<_> = self.groups.iter().map(view).collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        groups
    }

    /// Increases the size of a group.
    pub fn increase(&mut self, now: Timestamp, name: &str, delta: u32) -> Result<(), CloudError> {
        let mut groups = self.groups.iter_mut();
        let group = groups.find(|group| **group.name() == *name);
        group
            .ok_or_else(|| unknown(name))?
            .increase(now, delta, &self.outages)
    }

    /// Deletes instances. Returns the outcome of each.
    pub fn delete(
        &mut self,
        now: Timestamp,
        name: &str,
        ids: &[Arc<str>],
    ) -> Vec<Result<(), CloudError>> {
        match self.group(name) {
            Ok(group) => group.delete(now, ids),
            Err(error) => vec![Err(error); ids.len()],
        }
    }

    /// Lowers the target size by instances that do not exist yet.
    pub fn decrease(&mut self, name: &str, delta: u32) -> Result<(), CloudError> {
        self.group(name)?.decrease(delta)
    }

    fn group(&mut self, name: &str) -> Result<&mut Group, CloudError> {
        let mut groups = self.groups.iter_mut();
        let group = groups.find(|group| **group.name() == *name);
        group.ok_or_else(|| unknown(name))
    }
}

/// Returns the error of a request for a node group that does not exist.
pub fn unknown(name: &str) -> CloudError {
    CloudError {
        class: "NotFound",
        message: format!("there is no node group {name}"),
    }
}
