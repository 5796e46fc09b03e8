//! A cluster and a cloud of plain data, with expanders that are closures, around the
//! nodes loop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use flyball_core::nodes::cloud::{
    CloudError, CloudProvider, Instance, InstanceState, NodeGroup, NodeTemplate,
};
use flyball_core::nodes::control::NodeLoop;
use flyball_core::nodes::options::{ExpanderChoice, NodeOptions};
use flyball_core::nodes::ports::{
    ExpanderConfiguration, NodeEvent, NodesReader, NodesRecorder, NodesWriter, Subject,
};
use flyball_core::nodes::record::NodeDecisionRecord;
use flyball_core::nodes::state::{ClusterState, NodeFacts, PodFacts};
use flyball_core::policy::{ExpanderPolicy, Policy as _};
use flyball_core::ports::{Clock, ObjectKey};
use flyball_core::time::Timestamp;
use flyball_placement::{Node, Pod, Resources};
use futures::FutureExt as _;

use crate::expanders::{Engine, Expander};

#[derive(Default)]
struct Inner {
    state: ClusterState,
    groups: BTreeMap<String, NodeGroup>,
    refusals: BTreeMap<String, CloudError>,
    calls: Vec<String>,
    events: Vec<NodeEvent>,
    records: Vec<Arc<NodeDecisionRecord>>,
    configuration: Option<ExpanderConfiguration>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Inner>>);

/// The cluster, the cloud and the loop.
pub struct World {
    shared: Shared,
    expanders: Vec<Arc<Expander>>,
    control: NodeLoop<Shared, Shared, Shared, Shared>,
}

impl World {
    /// An empty world whose loop asks these expanders, in this order.
    pub fn new(
        expanders: Vec<Arc<Expander>>,
        built_in: Option<Arc<Expander>>,
        change: impl FnOnce(&mut NodeOptions),
    ) -> Self {
        let shared = Shared::default();
        let mut options = NodeOptions {
            expanders: expanders
                .iter()
                .map(|expander| ExpanderChoice::named(&expander.version().name))
                .collect(),
            ..NodeOptions::default()
        };
        change(&mut options);
        let engine = Engine {
            expanders: expanders.clone(),
            built_in,
        };
        let control = NodeLoop::new(
            options,
            shared.clone(),
            shared.clone(),
            shared.clone(),
            shared.clone(),
            Arc::new(engine),
            Arc::new(shared.clone()),
        );
        Self {
            shared,
            expanders,
            control,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.0.lock().unwrap()
    }

    /// Adds a group of nodes with `cpu` milli of cpu, and sizes min, target, max.
    pub fn group(&mut self, name: &str, cpu: i64, (min, target, max): (u32, u32, u32)) {
        let amounts: BTreeMap<Arc<str>, i64> = [
            ("cpu".into(), cpu),
            ("memory".into(), (16 << 30) * 1000),
            ("pods".into(), 110_000),
        ]
        .into();
        let group = NodeGroup {
            name: name.into(),
            min_size: min,
            max_size: max,
            target_size: 0,
            instances: Vec::new(),
            template: Some(Arc::new(NodeTemplate {
                labels: [("pool".into(), name.into()), ("team".into(), name.into())].into(),
                taints: Vec::new(),
                capacity: amounts.clone(),
                allocatable: amounts,
            })),
            price: None,
        };
        self.lock().groups.insert(name.to_owned(), group);
        self.lock().grow(name, target);
        for at in 0..target {
            self.join(name, at as usize, 0);
        }
    }

    /// Changes a group.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut NodeGroup)) {
        change(self.lock().groups.get_mut(name).unwrap());
    }

    /// The node of a group's instance joins, ready.
    pub fn join(&mut self, name: &str, at: usize, now: i64) {
        let mut inner = self.lock();
        let group = &mut inner.groups.get_mut(name).unwrap();
        let template = group.template.clone().unwrap();
        let instance = &mut group.instances[at];
        instance.state = InstanceState::Running;
        let id = Arc::clone(&instance.provider_id);
        let allocatable = Resources {
            cpu: template.capacity["cpu"],
            memory: template.capacity["memory"] / 1000,
            pods: template.capacity["pods"] / 1000,
            ..Resources::default()
        };
        inner.state.apply_node(NodeFacts {
            node: Arc::new(Node {
                name: Arc::clone(&id),
                labels: template
                    .labels
                    .iter()
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect(),
                allocatable: allocatable.clone(),
                ..Node::default()
            }),
            provider_id: Some(id),
            created: Timestamp(now),
            ready: true,
            deleting: false,
            capacity: allocatable,
        });
    }

    /// A node becomes unready.
    pub fn break_node(&mut self, name: &str) {
        let mut inner = self.lock();
        let node = inner
            .state
            .nodes()
            .find(|node| &*node.facts.node.name == name);
        let mut facts = node.unwrap().facts.clone();
        facts.ready = false;
        inner.state.apply_node(facts);
    }

    /// Adds pods that wait, created at `now`.
    pub fn pods(&mut self, name: &str, count: u32, now: i64, pod: &Pod) {
        for number in 0..count {
            let uid: Arc<str> = format!("{name}-{number}").into();
            let facts = PodFacts {
                uid: Arc::clone(&uid),
                key: ObjectKey {
                    namespace: "default".into(),
                    name: uid,
                },
                created: Timestamp(now),
                unschedulable: true,
                ..PodFacts::default()
            };
            self.lock().state.apply_pod(facts, pod);
        }
    }

    /// Does what is due, and tells when the loop wants to be called again.
    pub fn tick(&mut self, now: i64) -> i64 {
        self.control.tick(Timestamp(now)).now_or_never().unwrap().0
    }

    /// The cloud refuses orders for a group from now on.
    pub fn refuse(&mut self, group: &str) {
        let error = CloudError {
            class: "OutOfResources",
            message: format!("{group}: there is nothing left"),
        };
        self.lock().refusals.insert(group.to_owned(), error);
    }

    /// The ConfigMap `priorities` now holds that, for every expander.
    pub fn configure(&mut self, text: &str) {
        let key = ObjectKey {
            namespace: "kube-system".into(),
            name: "priorities".into(),
        };
        self.lock().configuration = Some(ExpanderConfiguration {
            text: text.into(),
            source: Subject::ConfigMap { key, uid: None },
        });
    }

    /// Calls of the cloud since the last time.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().calls)
    }

    /// Events since the last time, as `subject: reason: message`.
    pub fn events(&self) -> Vec<String> {
        let events = std::mem::take(&mut self.lock().events);
        let text = |event: NodeEvent| {
            let about = match &event.about {
                Subject::Pod { key, .. } => key.name.to_string(),
                Subject::Autoscaler => "autoscaler".to_owned(),
                Subject::ConfigMap { key, .. } => key.name.to_string(),
            };
            format!("{about}: {}: {}", event.event.reason, event.event.message)
        };
        events.into_iter().map(text).collect()
    }

    /// Records since the last time.
    pub fn records(&self) -> Vec<Arc<NodeDecisionRecord>> {
        std::mem::take(&mut self.lock().records)
    }

    /// An expander by its name.
    pub fn expander(&self, name: &str) -> Option<Arc<dyn ExpanderPolicy>> {
        let found = self
            .expanders
            .iter()
            .find(|known| &*known.version().name == name);
        found.map(|found| Arc::clone(found) as _)
    }
}

impl Inner {
    fn grow(&mut self, name: &str, delta: u32) {
        let group = self.groups.get_mut(name).unwrap();
        group.target_size += delta;
        for _ in 0..delta {
            let number = group.instances.len();
            group.instances.push(Instance {
                provider_id: format!("{name}-{number}").into(),
                state: InstanceState::Creating,
            });
        }
    }
}

impl NodesReader for Shared {
    fn synced(&self) -> bool {
        true
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        work(&mut self.0.lock().unwrap().state)
    }

    fn expander_configuration(&self, _: &str) -> Option<ExpanderConfiguration> {
        self.0.lock().unwrap().configuration.clone()
    }
}

impl NodesWriter for Shared {
    fn leads(&self) -> bool {
        true
    }

    async fn publish(&self, _: Timestamp, events: Vec<NodeEvent>) {
        self.0.lock().unwrap().events.extend(events);
    }
}

impl NodesRecorder for Shared {
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
    fn ignored_labels(&self) -> &'static [&'static str] {
        &["pool"]
    }

    async fn node_groups(&self, _: Timestamp) -> Result<Vec<Arc<NodeGroup>>, CloudError> {
        let inner = self.0.lock().unwrap();
        Ok(inner.groups.values().cloned().map(Arc::new).collect())
    }

    async fn increase_size(&self, _: Timestamp, group: &str, by: u32) -> Result<(), CloudError> {
        let mut inner = self.0.lock().unwrap();
        inner.calls.push(format!("increase {group} by {by}"));
        if let Some(error) = inner.refusals.get(group) {
            return Err(error.clone());
        }
        inner.grow(group, by);
        Ok(())
    }

    async fn delete_instances(
        &self,
        _: Timestamp,
        group: &str,
        ids: &[Arc<str>],
    ) -> Result<(), CloudError> {
        let mut inner = self.0.lock().unwrap();
        inner.calls.push(format!("delete {}", ids.join(" ")));
        let group = inner.groups.get_mut(group).unwrap();
        group
            .instances
            .retain(|instance| !ids.contains(&instance.provider_id));
        group.target_size -= u32::try_from(ids.len()).unwrap();
        Ok(())
    }

    async fn decrease_target_size(
        &self,
        _: Timestamp,
        group: &str,
        by: u32,
    ) -> Result<(), CloudError> {
        let mut inner = self.0.lock().unwrap();
        inner.calls.push(format!("decrease {group} by {by}"));
        inner.groups.get_mut(group).unwrap().target_size -= by;
        Ok(())
    }
}
