//! Nodes in virtual time: the cloud's node groups, the nodes that join from them, the
//! scheduler, and what drains ask of the API server.

mod api;
mod budgets;
mod daemons;
mod group;
mod instance;
mod outages;
mod scheduler;
mod template;

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{CloudError, NodeGroup};
use flyball_nodes::state::{ClusterState, NodeFacts, PodFacts, PodPhase};
use flyball_placement::{Effect, Taint};

use budgets::Budgets;
use daemons::Daemons;
use group::{Change, Deletion, Group};
use instance::NodeIdentity;
use outages::Outages;
use scheduler::Scheduler;
pub use scheduler::{PodKey, Shape, WorkloadCounts};

use super::pods;
use crate::scenario::{EventSpec, Scenario};
use crate::timeline::{Fleet, GroupSample, RemovedNode};

/// Taint of a node that has joined and is not Ready.
const NOT_READY: &str = "node.kubernetes.io/not-ready";

/// The nodes of a cluster, and their cloud.
pub struct Nodes {
    start: Timestamp,
    groups: Vec<Group>,
    outages: Outages,
    scheduler: Scheduler,
    budgets: Budgets,
    /// What controllers last counted, by workload.
    counts: Vec<WorkloadCounts>,
    /// Nodes that outlive their instances, until then.
    lingering: Vec<(Timestamp, Arc<str>)>,
    /// Pods that were evicted from nodes that still exist.
    evicted: BTreeMap<Arc<str>, Vec<ObjectKey>>,
    fleet: Fleet,
}

/// A pod that was lost with its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The pod.
    pub pod: PodKey,
    /// Whether the node was removed on purpose.
    pub drained: bool,
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
        let budgets = &scenario.pod_disruption_budgets;
        let mut nodes = Self {
            start: scenario.start,
            budgets: Budgets::new(budgets, &shapes, scenario.seed),
            counts: Vec::new(),
            lingering: Vec::new(),
            evicted: BTreeMap::new(),
            groups: groups.collect(),
            outages: Outages::default(),
            scheduler: Scheduler::new(shapes, daemons),
            fleet: Fleet::new(scenario),
        };
        for group in 0..nodes.groups.len() {
            for instance in nodes.groups[group].instances().to_vec() {
                nodes.join(group, began, &instance.identity());
                nodes.make_ready(began, &instance.node);
            }
        }
        Some(nodes)
    }

    /// Advances to `now`: instances are created and removed. Returns the pods that were
    /// lost with them.
    pub fn pass(&mut self, now: Timestamp) -> Vec<Lost> {
        let mut lost = Vec::new();
        for index in 0..self.groups.len() {
            for change in self.groups[index].pass(now, &self.outages) {
                match change {
                    Change::Joined(node) => self.join(index, now, &node),
                    Change::Ready(node) => self.make_ready(now, &node.node),
                    Change::Gone(node) => lost.append(&mut self.drop_node(&node, false)),
                    Change::Terminated(node) => {
                        lost.append(&mut self.lose_instance(index, now, node));
                    }
                }
            }
        }
        let due = |(until, _): &mut (Timestamp, Arc<str>)| *until <= now;
        let due: Vec<_> = self.lingering.extract_if(.., due).collect();
        for (_, node) in due {
            lost.append(&mut self.drop_node(&node, true));
        }
        let (daemons, state) = self.scheduler.daemons();
        daemons.pass(state, now);
        lost
    }

    /// Adds a node that has joined and is not Ready.
    fn join(&mut self, group: usize, now: Timestamp, identity: &NodeIdentity) {
        let spec = self.groups[group].spec();
        let mut node = template::node(spec, &identity.node, identity.zone.as_ref());
        node.taints.push(not_ready());
        let facts = NodeFacts {
            uid: Arc::clone(&identity.uid),
            node: Arc::new(node),
            provider_id: Some(Arc::clone(&identity.provider_id)),
            created: now,
            ready: false,
            deleting: false,
            capacity: template::capacity(spec),
            condition_ready: false,
            ready_since: Some(now),
            annotations: Arc::default(),
        };
        self.scheduler.set_node(now, facts);
    }

    /// Makes a node Ready, if it still exists.
    fn make_ready(&mut self, now: Timestamp, name: &str) {
        if let Some(mut facts) = self.scheduler.node(name).cloned() {
            let node = Arc::make_mut(&mut facts.node);
            node.taints.retain(|taint| &*taint.key != NOT_READY);
            self.set_ready(now, facts, true);
        }
    }

    fn set_ready(&mut self, now: Timestamp, facts: NodeFacts, ready: bool) {
        let facts = NodeFacts {
            ready,
            condition_ready: ready,
            ready_since: Some(now),
            ..facts
        };
        self.scheduler.set_node(now, facts);
    }

    /// Makes a node unready whose instance was deleted and is gone. The Node is deleted
    /// later. Returns the pods that were lost.
    fn lose_instance(&mut self, group: usize, now: Timestamp, name: Arc<str>) -> Vec<Lost> {
        let delay = self.groups[group].spec().shutdown.node;
        let lost = self.scheduler.remove_pods(&name);
        self.evicted.remove(&name);
        let facts = self.scheduler.node(&name).cloned();
        if let Some(mut facts) = facts {
            Arc::make_mut(&mut facts.node).taints.push(not_ready());
            self.set_ready(now, facts, false);
            self.lingering.push((delay.from(now), name));
        }
        self.note_lost(lost, true)
    }

    /// Removes a node. Returns the pods that were lost.
    fn drop_node(&mut self, name: &str, drained: bool) -> Vec<Lost> {
        self.evicted.remove(name);
        let lost = self.scheduler.remove_node(name);
        self.note_lost(lost, drained)
    }

    fn note_lost(&mut self, lost: BTreeMap<PodKey, PodFacts>, drained: bool) -> Vec<Lost> {
        if drained {
            let existed = lost.values().filter(|pod| pod.exists()).count();
            self.fleet.removals.lost += existed as u64;
        }
        lost.into_keys().map(|pod| Lost { pod, drained }).collect()
    }

    /// Applies the changes of a workload's pods.
    pub fn take(&mut self, workload: usize, changes: &[pods::Change]) {
        for change in changes {
            let key = |id| PodKey { workload, id };
            match change {
                pods::Change::Created {
                    id,
                    name,
                    at,
                    replaces,
                } => {
                    let name = Arc::clone(name);
                    self.scheduler.add_pod(key(*id), name, *at, *replaces);
                }
                pods::Change::Running(id) => {
                    let run = |pod: &mut PodFacts| pod.phase = PodPhase::Running;
                    self.scheduler.change_pod(key(*id), run);
                }
                pods::Change::Ready(id) => {
                    self.scheduler.change_pod(key(*id), |pod| pod.ready = true);
                }
                pods::Change::Ended(id) => self.scheduler.change_pod(key(*id), |pod| {
                    pod.phase = PodPhase::Succeeded;
                    pod.ready = false;
                }),
                pods::Change::Deleted(id, at) => self.scheduler.delete_pod(key(*id), *at),
                pods::Change::Gone(id) => self.scheduler.remove_pod(key(*id)),
            }
        }
    }

    /// Binds the pods that fit on a node. Returns the bindings.
    pub fn schedule(&mut self, now: Timestamp) -> Vec<(PodKey, Arc<str>)> {
        let bindings = self.scheduler.schedule();
        for (pod, _) in &bindings {
            let created = self.scheduler.pod(*pod).map(|pod| pod.created);
            let waited = created.map_or(0, |created| now.since(created.max(self.start)));
            let longest = &mut self.fleet.longest_wait_ms;
            *longest = waited.max(*longest);
        }
        bindings
    }

    /// Lets the controllers count the pods: owners and budgets are updated.
    pub fn count_pods(&mut self, counts: impl Iterator<Item = WorkloadCounts>) {
        let mut changed = false;
        for (workload, count) in counts.enumerate() {
            if self.counts.len() <= workload {
                self.counts.resize(workload + 1, WorkloadCounts::default());
            } else if self.counts[workload] == count {
                continue;
            }
            self.counts[workload] = count;
            self.scheduler.set_owner(workload, &count);
            changed = true;
        }
        if changed {
            self.budgets.count(self.scheduler.state(), &self.counts);
        }
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
        self.fleet.removals.pending = self.scheduler.unplaced();
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
    fn zone_outage(&mut self, now: Timestamp, zone: &str, until: Timestamp) {
        self.outages.begin(zone, until);
        for group in &mut self.groups {
            group.lose_zone(now, zone);
        }
    }

    /// Applies an event of a node group or a zone.
    pub fn apply(&mut self, now: Timestamp, at: Timestamp, event: &EventSpec) {
        if let EventSpec::ZoneOutage { zone, length, .. } = event {
            return self.zone_outage(now, zone, now.plus(length.0));
        }
        let name = event.node_group();
        let mut groups = self.groups.iter_mut().enumerate();
        let group = groups.find(|(_, group)| name == Some(&**group.name()));
        let Some((index, group)) = group else {
            return;
        };
        match event {
            EventSpec::KillNodes { count, .. } => group.kill(now, *count),
            EventSpec::RefuseTermination { length, answer, .. } => {
                group.refuse(at.plus(length.0), *answer);
            }
            EventSpec::ChangeNodeGroup {
                min, max, price, ..
            } => {
                group.change(*min, *max, *price);
                if let Some(price) = price {
                    self.fleet.groups[index].change_price(*price);
                }
            }
            _ => {}
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
        let deletions = match self.group(name) {
            Ok(group) => group.delete(now, ids),
            Err(error) => return vec![Err(error); ids.len()],
        };
        let group: Arc<str> = name.into();
        let answer = |Deletion { answer, node }| {
            if let Some(node) = node {
                self.note_removed(now, &group, node);
            }
            answer
        };
        deletions.into_iter().map(answer).collect()
    }

    fn note_removed(&mut self, now: Timestamp, group: &Arc<str>, name: Arc<str>) {
        let node = self.scheduler.node(&name);
        let joined = node.map_or(now, |node| node.created);
        let zone = node.and_then(|node| node.node.labels.get(template::ZONE));
        self.fleet.removals.nodes.push(RemovedNode {
            at_ms: now.since(self.start),
            joined_ms: joined.since(self.start),
            group: Arc::clone(group),
            zone: zone.cloned(),
            evicted: self.evicted.get(&name).cloned().unwrap_or_default(),
            name,
        });
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

fn not_ready() -> Taint {
    Taint {
        key: NOT_READY.into(),
        value: "".into(),
        effect: Effect::NoSchedule,
    }
}

/// Returns the error of a request for a node group that does not exist.
pub fn unknown(name: &str) -> CloudError {
    CloudError {
        class: "NotFound",
        message: format!("there is no node group {name}"),
    }
}
