//! The cluster and the cloud that the loop reads and orders from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use flyball_decision::ports::Clock;
use flyball_decision::recorder::Recorder;
use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{
    CloudError, CloudProvider, Conventions, Instance, InstanceState, NodeGroup,
};
use flyball_nodes::ports::{
    DrainMark, EvictError, Eviction, ExpanderConfiguration, NodeChange, NodeEvent, NodesReader,
    NodesWriter, StatusDocument, WriteError,
};
use flyball_nodes::record::NodeDecisionRecord;
use flyball_nodes::state::{ClusterState, WantedAnnotations};
use flyball_placement::{Effect, Taint};

/// The cluster and the cloud, and the events and records of the loop.
#[derive(Default)]
pub struct Inner {
    pub state: ClusterState,
    pub groups: BTreeMap<String, NodeGroup>,
    /// How calls such as `increase a` or `groups` fail.
    pub failures: BTreeMap<String, Failure>,
    /// Groups that get no instances for orders.
    pub stalled: BTreeSet<String>,
    /// Number of instances that each group has had so far.
    made: BTreeMap<String, usize>,
    pub calls: Vec<String>,
    pub events: Vec<NodeEvent>,
    pub records: Vec<Arc<NodeDecisionRecord>>,
    pub configuration: Option<ExpanderConfiguration>,
    /// Annotations that policies want.
    pub wanted: Option<WantedAnnotations>,
    /// The status ConfigMap.
    pub status: Option<StatusDocument>,
    /// When another process led last, according to its Lease.
    pub led_before: Option<Timestamp>,
    /// A change to make once the state was read so many times.
    pub later: Option<(u32, Change)>,
    /// The write or the order with which another process becomes the leader.
    pub deposed_at: Option<String>,
    /// Nodes that somebody else cordons right before the next write.
    pub cordoned_at_update: BTreeSet<String>,
    /// Whether changes wait.
    held: bool,
}

/// A change of the state.
pub type Change = Box<dyn FnOnce(&mut ClusterState) + Send>;

/// How a call of the cloud fails.
#[derive(Clone)]
pub struct Failure {
    pub error: CloudError,
    /// Whether the call takes effect nevertheless: only the answer is lost.
    pub done: bool,
}

/// The shared world, and whether another process leads.
#[derive(Clone, Default)]
pub struct Shared(pub Arc<Mutex<Inner>>, pub Arc<AtomicBool>);

impl Inner {
    pub fn grow(&mut self, name: &str, delta: u32) {
        self.groups.get_mut(name).unwrap().target_size += delta;
        if !self.stalled.contains(name) {
            self.fill(name);
        }
    }

    pub fn fill(&mut self, name: &str) {
        let group = self.groups.get_mut(name).unwrap();
        let made = self.made.entry(name.to_owned()).or_default();
        while group.instances.len() < group.target_size as usize {
            let number = *made;
            *made += 1;
            group.instances.push(Instance {
                provider_id: format!("{name}-{number}").into(),
                zone: None,
                state: InstanceState::Creating,
                instance_type: None,
                spot: None,
            });
        }
    }

    fn was_read(&mut self) {
        if let Some((reads, _)) = &mut self.later {
            *reads = reads.saturating_sub(1);
        }
        self.let_change_in();
    }

    fn let_change_in(&mut self) {
        let due = self.later.as_ref().is_some_and(|(reads, _)| *reads == 0);
        if due
            && !self.held
            && let Some((_, change)) = self.later.take()
        {
            change(&mut self.state);
        }
    }

    /// Logs a call and carries it out, unless it fails.
    fn call(
        &mut self,
        call: &str,
        with: &str,
        work: impl FnOnce(&mut Self),
    ) -> Result<(), CloudError> {
        self.calls.push(format!("{call}{with}"));
        self.carry_out(call, work)
    }

    /// Deletes an instance, unless the calls `delete ID` or this call fail.
    fn delete_instance(&mut self, group: &str, id: &str, call: &str) -> Result<(), CloudError> {
        let own = format!("delete {id}");
        let fails = self.failures.contains_key(&own);
        self.carry_out(if fails { &own } else { call }, |inner| {
            let group = inner.groups.get_mut(group).unwrap();
            group.instances.retain(|known| *known.provider_id != *id);
            group.target_size -= 1;
        })
    }

    fn carry_out(&mut self, call: &str, work: impl FnOnce(&mut Self)) -> Result<(), CloudError> {
        let failure = self.failures.get(call).cloned();
        if failure.as_ref().is_none_or(|failure| failure.done) {
            work(self);
        }
        failure.map_or(Ok(()), |failure| Err(failure.error))
    }
}

impl Shared {
    /// Makes another process the leader if this is the call to do so.
    fn depose_at(&self, inner: &Inner, call: &str) {
        if inner.deposed_at.as_deref() == Some(call) {
            self.1.store(true, Ordering::Relaxed);
        }
    }
}

impl NodesReader for Shared {
    fn synced(&self) -> bool {
        true
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        let mut inner = self.0.lock().unwrap();
        let worked = work(&mut inner.state);
        inner.was_read();
        worked
    }

    fn hold(&self) {
        self.0.lock().unwrap().held = true;
    }

    fn release(&self) {
        let mut inner = self.0.lock().unwrap();
        inner.held = false;
        inner.let_change_in();
    }

    fn want_annotations(&self, wanted: &WantedAnnotations) {
        self.0.lock().unwrap().wanted = Some(wanted.clone());
    }

    fn expander_configuration(&self, _: &str) -> Option<ExpanderConfiguration> {
        self.0.lock().unwrap().configuration.clone()
    }
}

impl NodesWriter for Shared {
    fn leads(&self) -> bool {
        !self.1.load(Ordering::Relaxed)
    }

    fn led_before(&self) -> Option<Timestamp> {
        self.0.lock().unwrap().led_before
    }

    async fn publish(&self, _: Timestamp, events: Vec<NodeEvent>) {
        self.0.lock().unwrap().events.extend(events);
    }

    async fn update_node(&self, _: Timestamp, change: NodeChange) -> Result<(), WriteError> {
        if !self.leads() {
            return Err(WriteError::NotLeader);
        }
        let mut inner = self.0.lock().unwrap();
        let name = &change.name;
        let call = format!("update {name}");
        inner.calls.push(call.clone());
        self.depose_at(&inner, &call);
        if let Some(failure) = inner.failures.get(&call) {
            let message = failure.error.message.clone();
            return Err(WriteError::Failed { message });
        }
        let Some(node) = inner.state.node(name) else {
            return Err(WriteError::Gone);
        };
        let mut facts = node.facts.clone();
        if inner.cordoned_at_update.remove(&**name) {
            Arc::make_mut(&mut facts.node).unschedulable = true;
        }
        let mark = facts.annotations.get(DrainMark::ANNOTATION);
        let change = change.resolve(facts.node.unschedulable, mark.map(|mark| &**mark));
        let change = change.into_owned();
        let object = Arc::make_mut(&mut facts.node);
        let is_replaced = |taint: &Taint| {
            let mut keys = change.add_taints.iter().map(|added| &added.key);
            keys.any(|key| *key == taint.key)
        };
        object
            .taints
            .retain(|taint| !change.remove_taints.contains(&taint.key) && !is_replaced(taint));
        object
            .taints
            .extend(change.add_taints.iter().map(|taint| Taint {
                key: Arc::clone(&taint.key),
                value: Arc::clone(&taint.value),
                effect: match &*taint.effect {
                    "NoSchedule" => Effect::NoSchedule,
                    _ => Effect::PreferNoSchedule,
                },
            }));
        object.unschedulable = change.unschedulable.unwrap_or(object.unschedulable);
        let annotations = Arc::make_mut(&mut facts.annotations);
        for (key, value) in change.annotations {
            match value {
                Some(value) => annotations.insert(key, value),
                None => annotations.remove(&key),
            };
        }
        inner.state.apply_node(facts);
        Ok(())
    }

    async fn write_status(&self, _: Timestamp, status: StatusDocument) -> Result<(), WriteError> {
        self.0.lock().unwrap().status = Some(status);
        Ok(())
    }

    async fn read_status(&self) -> Result<Option<StatusDocument>, WriteError> {
        Ok(self.0.lock().unwrap().status.clone())
    }

    async fn evict(&self, now: Timestamp, eviction: Eviction) -> Result<(), EvictError> {
        let mut inner = self.0.lock().unwrap();
        let uid = &eviction.uid;
        let call = format!("evict {uid}");
        inner.calls.push(call.clone());
        self.depose_at(&inner, &call);
        if let Some(failure) = inner.failures.get(&call) {
            let message = failure.error.message.clone();
            return Err(match failure.error.class {
                "Blocked" => EvictError::Blocked {
                    message,
                    budget: None,
                },
                "SeveralBudgets" => EvictError::SeveralBudgets { message },
                _ => EvictError::Failed { message },
            });
        }
        let Some(pod) = inner.state.pod(uid) else {
            return Err(EvictError::Gone);
        };
        let (mut facts, class) = (pod.facts.clone(), pod.class);
        facts.deletion = Some(now.plus(eviction.grace_seconds.unwrap_or(30) * 1000));
        let pod = inner.state.cluster().pod(class);
        inner.state.apply_pod(facts, &pod);
        Ok(())
    }
}

impl Recorder<NodeDecisionRecord> for Shared {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        self.0.lock().unwrap().records.push(Arc::clone(record));
    }
}

impl Clock for Shared {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    async fn sleep_until(&self, _: Timestamp) -> bool {
        false
    }
}

impl CloudProvider for Shared {
    fn conventions(&self) -> Conventions {
        Conventions {
            ignored_labels: &["pool"],
            gpu_label: Some("accelerator"),
        }
    }

    async fn node_groups(&self, _: Timestamp) -> Result<Vec<Arc<NodeGroup>>, CloudError> {
        let inner = self.0.lock().unwrap();
        if let Some(failure) = inner.failures.get("groups") {
            return Err(failure.error.clone());
        }
        Ok(inner.groups.values().cloned().map(Arc::new).collect())
    }

    async fn increase_size(&self, _: Timestamp, group: &str, by: u32) -> Result<(), CloudError> {
        let (call, with) = (format!("increase {group}"), format!(" by {by}"));
        let mut inner = self.0.lock().unwrap();
        self.depose_at(&inner, &call);
        inner.call(&call, &with, |inner| inner.grow(group, by))
    }

    async fn delete_instances(
        &self,
        _: Timestamp,
        group: &str,
        ids: &[Arc<str>],
    ) -> Vec<Result<(), CloudError>> {
        let (call, with) = (format!("delete {group}"), format!(": {}", ids.join(" ")));
        let mut inner = self.0.lock().unwrap();
        inner.calls.push(format!("{call}{with}"));
        ids.iter()
            .map(|id| inner.delete_instance(group, id, &call))
            .collect()
    }

    async fn decrease_target_size(
        &self,
        _: Timestamp,
        group: &str,
        by: u32,
    ) -> Result<(), CloudError> {
        let (call, with) = (format!("decrease {group}"), format!(" by {by}"));
        let mut inner = self.0.lock().unwrap();
        inner.call(&call, &with, |inner| {
            inner.groups.get_mut(group).unwrap().target_size -= by;
        })
    }
}
