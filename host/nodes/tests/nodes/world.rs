//! Test world: a cluster and a cloud of plain data and expanders that are closures,
//! around the nodes loop.

mod shared;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use flyball_decision::key::ObjectKey;
use flyball_decision::memory::InMemoryStore;
use flyball_decision::policy::{DEFAULT_EXPANDER, Policy};
use flyball_decision::ports::DecisionPorts;
use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{CloudError, GroupScaleDown, InstanceState, NodeGroup, NodeTemplate};
use flyball_nodes::control::NodeLoop;
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_nodes::ports::{ExpanderConfiguration, NodeEvent, Subject};
use flyball_nodes::record::NodeDecisionRecord;
use flyball_nodes::state::{
    ClusterState, DaemonSetFacts, NodeFacts, Owner, PodFacts, PodPhase, WantedAnnotations,
};
use flyball_placement::{Effect, Node, Pod, Resources, Taint};
use flyball_test_policies::{TestEngine, TestPolicy};
use futures::FutureExt as _;

use self::shared::{Failure, Inner, Shared};

/// The cluster, the cloud and the loop.
pub struct World {
    shared: Shared,
    options: NodeOptions,
    engine: Arc<TestEngine>,
    store: Arc<InMemoryStore>,
    control: NodeLoop<Shared, Shared, Shared, Shared>,
}

impl World {
    /// Creates an empty world whose loop asks these expanders, in this order.
    pub fn new(
        expanders: Vec<TestPolicy>,
        built_in: Option<TestPolicy>,
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
        let engine = Arc::new(TestEngine::default());
        for expander in expanders {
            engine.expanders.insert(expander.resolve());
        }
        if let Some(built_in) = built_in {
            engine
                .expanders
                .set(DEFAULT_EXPANDER, Ok(built_in.resolve()));
        }
        let store = Arc::new(InMemoryStore::default());
        Self {
            control: looping(&options, &shared, &engine, &store),
            shared,
            options,
            engine,
            store,
        }
    }

    /// Replaces the loop by that of another process, which only knows the saved state of
    /// this one.
    pub fn restart(&mut self) {
        self.control = looping(&self.options, &self.shared, &self.engine, &self.store);
    }

    /// Adds scale-down policies, and asks them in this order.
    pub fn judge(&mut self, policies: Vec<TestPolicy>) {
        self.options.scale_down.policies = policies
            .iter()
            .map(|policy| ExpanderChoice::named(&policy.version().name))
            .collect();
        for policy in policies {
            self.engine.scale_downs.insert(policy.resolve());
        }
        self.restart();
    }

    /// Adds pods that run on a node, each of a ReplicaSet of the same name.
    pub fn running(&mut self, name: &str, count: u32, node: &str, pod: &Pod) {
        let owner = Arc::new(Owner {
            uid: name.into(),
            kind: "ReplicaSet".into(),
            name: name.into(),
        });
        self.pods_as(name, count, 0, pod, |facts| {
            facts.unschedulable = false;
            facts.phase = PodPhase::Running;
            facts.ready = true;
            facts.node = Some(node.into());
            facts.owner = Some(Arc::clone(&owner));
        });
    }

    /// Target and number of instances of a group.
    pub fn group_sizes(&self, name: &str) -> (u32, usize) {
        let inner = self.lock();
        let group = &inner.groups[name];
        (group.target_size, group.instances.len())
    }

    /// Removes a Node object.
    pub fn delete_node(&mut self, name: &str) {
        self.lock().state.delete_node(name);
    }

    /// Keys of a node's taints, its annotations, and whether it is cordoned.
    pub fn marks(&self, name: &str) -> String {
        let inner = self.lock();
        let Some(node) = inner.state.node(name) else {
            return "gone".to_owned();
        };
        let taints = node.facts.node.taints.iter();
        let mut marks: Vec<String> = taints.map(|taint| taint.key.to_string()).collect();
        let annotations = node.facts.annotations.iter();
        marks.extend(annotations.map(|(key, value)| format!("{key}={value}")));
        marks.extend(node.facts.node.unschedulable.then(|| "cordoned".to_owned()));
        marks.join(" ")
    }

    /// Annotations that policies want.
    pub fn wanted(&self) -> Option<WantedAnnotations> {
        self.lock().wanted.clone()
    }

    /// Changes the state.
    pub fn change_state(&mut self, change: impl FnOnce(&mut ClusterState)) {
        change(&mut self.lock().state);
    }

    /// Replaces the expander of the same name.
    pub fn swap(&self, expander: TestPolicy) {
        self.engine.expanders.insert(expander.resolve());
    }

    /// Returns a function that makes another process the leader.
    pub fn deposer(&self) -> impl Fn() + Send + Sync + 'static {
        let follows = Arc::clone(&self.shared.1);
        move || follows.store(true, Ordering::Relaxed)
    }

    /// Makes another process the leader with a call such as `evict web-0`, `update a-0` or
    /// `increase a`.
    pub fn depose_at(&mut self, call: &str) {
        self.lock().deposed_at = Some(call.to_owned());
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
            zones: Vec::new(),
            template: Some(Arc::new(NodeTemplate {
                labels: [("pool".into(), name.into()), ("team".into(), name.into())].into(),
                zone_labels: Vec::new(),
                taints: Vec::new(),
                capacity: amounts.clone(),
                allocatable: amounts,
            })),
            price: None,
            instance_type: None,
            spot: None,
            scale_down: GroupScaleDown::default(),
            suspended: Vec::new(),
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

    /// Joins the node of a group's instance, ready.
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
            uid: Arc::clone(&id),
            provider_id: Some(id),
            created: Timestamp(now),
            ready: true,
            deleting: false,
            capacity: allocatable,
            ..NodeFacts::default()
        });
    }

    /// Makes a node unready.
    pub fn break_node(&mut self, name: &str) {
        self.change_node(name, |facts| facts.ready = false);
    }

    /// Changes a node.
    pub fn change_node(&mut self, name: &str, change: impl FnOnce(&mut NodeFacts)) {
        change_node(&mut self.lock().state, name, change);
    }

    /// Sets an annotation of the status ConfigMap.
    pub fn annotate_status(&mut self, key: &str, value: &str) {
        let mut inner = self.lock();
        let status = inner.status.get_or_insert_default();
        status.annotations.insert(key.into(), value.into());
    }

    /// Sets when another process led last, according to its Lease.
    pub fn was_led_at(&mut self, at: i64) {
        self.lock().led_before = Some(Timestamp(at));
    }

    /// Lets somebody else cordon a node right before the loop writes to it.
    pub fn cordon_at_update(&mut self, name: &str) {
        self.lock().cordoned_at_update.insert(name.to_owned());
    }

    /// Adds a taint to a node.
    pub fn taint(&mut self, name: &str, key: &str) {
        taint(&mut self.lock().state, name, key);
    }

    /// Adds a taint to a node once the loop has read the state `reads` times.
    pub fn taint_later(&mut self, reads: u32, name: &'static str, key: &'static str) {
        let change = move |state: &mut ClusterState| taint(state, name, key);
        self.lock().later = Some((reads, Box::new(change)));
    }

    /// Deletes a pod once the loop has read the state so many times.
    pub fn delete_later(&mut self, reads: u32, uid: &'static str) {
        let change = move |state: &mut ClusterState| state.delete_pod(uid);
        self.lock().later = Some((reads, Box::new(change)));
    }

    /// Removes a node and its instance.
    pub fn lose(&mut self, group: &str, node: &str) {
        self.change(group, |group| {
            group.instances.retain(|one| *one.provider_id != *node);
            group.target_size -= 1;
        });
        self.lock().state.delete_node(node);
    }

    /// Adds a DaemonSet.
    pub fn daemon_set(&mut self, name: &str, pod: &Pod) {
        self.lock().state.apply_daemon_set(DaemonSetFacts {
            uid: name.into(),
            key: ObjectKey {
                namespace: "default".into(),
                name: name.into(),
            },
            pod: Arc::new(pod.clone()),
        });
    }

    /// Adds pending pods, created at `now`.
    pub fn pods(&mut self, name: &str, count: u32, now: i64, pod: &Pod) {
        self.pods_as(name, count, now, pod, |_| ());
    }

    /// Adds pending pods, with changes to the facts of each.
    pub fn pods_as(
        &mut self,
        name: &str,
        count: u32,
        now: i64,
        pod: &Pod,
        change: impl Fn(&mut PodFacts),
    ) {
        for number in 0..count {
            let uid: Arc<str> = format!("{name}-{number}").into();
            let mut facts = PodFacts {
                uid: Arc::clone(&uid),
                key: ObjectKey {
                    namespace: "default".into(),
                    name: uid,
                },
                created: Timestamp(now),
                unschedulable: true,
                ..PodFacts::default()
            };
            change(&mut facts);
            self.lock().state.apply_pod(facts, pod);
        }
    }

    /// Deletes pods.
    pub fn delete_pods(&mut self, uids: &[&str]) {
        for uid in uids {
            self.lock().state.delete_pod(uid);
        }
    }

    /// Runs a tick, and returns when the next one is due.
    pub fn tick(&mut self, now: i64) -> i64 {
        self.control.tick(Timestamp(now)).now_or_never().unwrap().0
    }

    /// Makes the cloud refuse orders for a group from now on.
    pub fn refuse(&mut self, group: &str) {
        self.fail(&format!("increase {group}"), "OutOfResources", false);
    }

    /// Makes calls such as `decrease a` or `groups` fail from now on. If `done`, they
    /// take effect nevertheless.
    pub fn fail(&mut self, call: &str, class: &'static str, done: bool) {
        let message = match call.split_once(' ') {
            Some((_, group)) => format!("{group}: there is nothing left"),
            None => "the cloud is away".to_owned(),
        };
        let error = CloudError { class, message };
        let failure = Failure { error, done };
        self.lock().failures.insert(call.to_owned(), failure);
    }

    /// Makes a call such as `decrease a` or `evict web-0` fail from now on, with a message.
    pub fn fail_saying(&mut self, call: &str, message: &str) {
        let error = CloudError {
            class: "Other",
            message: message.to_owned(),
        };
        let failure = Failure { error, done: false };
        self.lock().failures.insert(call.to_owned(), failure);
    }

    /// The text of the status ConfigMap.
    pub fn status_text(&self) -> String {
        let inner = self.lock();
        inner
            .status
            .as_ref()
            .map_or_else(String::new, |status| status.text.to_string())
    }

    /// Makes calls succeed again.
    pub fn mend(&mut self, call: &str) {
        self.lock().failures.remove(call);
    }

    /// Makes a group get no instances for later orders.
    pub fn stall(&mut self, group: &str) {
        self.lock().stalled.insert(group.to_owned());
    }

    /// Gives a group the instances that it lacks.
    pub fn deliver(&mut self, group: &str) {
        let mut inner = self.lock();
        inner.stalled.remove(group);
        inner.fill(group);
    }

    /// Sets the text of the ConfigMap `priorities`, for every expander.
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

    /// Returns the calls of the cloud since the last time.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().calls)
    }

    /// Returns the events since the last time, as `subject: reason: message`.
    pub fn events(&self) -> Vec<String> {
        let events = std::mem::take(&mut self.lock().events);
        let text = |event: NodeEvent| {
            let about = match &event.about {
                Subject::Pod { key, .. } => key.name.to_string(),
                Subject::Node { name, .. } => name.to_string(),
                Subject::Autoscaler => "autoscaler".to_owned(),
                Subject::ConfigMap { key, .. } => key.name.to_string(),
            };
            format!("{about}: {}: {}", event.event.reason, event.event.message)
        };
        events.into_iter().map(text).collect()
    }

    /// Returns the records since the last time.
    pub fn records(&self) -> Vec<Arc<NodeDecisionRecord>> {
        std::mem::take(&mut self.lock().records)
    }

    /// Returns an expander by its name.
    pub fn expander(&self, name: &str) -> Option<Arc<dyn Policy>> {
        self.engine.expanders.find(name).ok()
    }

    /// Returns a scale-down policy by its name.
    pub fn judging(&self, name: &str) -> Option<Arc<dyn Policy>> {
        self.engine.scale_downs.find(name).ok()
    }
}

fn change_node(state: &mut ClusterState, name: &str, change: impl FnOnce(&mut NodeFacts)) {
    let node = state.nodes().find(|node| *node.facts.node.name == *name);
    let mut facts = node.unwrap().facts.clone();
    change(&mut facts);
    state.apply_node(facts);
}

fn taint(state: &mut ClusterState, name: &str, key: &str) {
    let taint = Taint {
        key: key.into(),
        value: "".into(),
        effect: Effect::NoSchedule,
    };
    change_node(state, name, |facts| {
        Arc::make_mut(&mut facts.node).taints.push(taint);
    });
}

fn looping(
    options: &NodeOptions,
    shared: &Shared,
    engine: &Arc<TestEngine>,
    store: &Arc<InMemoryStore>,
) -> NodeLoop<Shared, Shared, Shared, Shared> {
    NodeLoop::new(
        options.clone(),
        shared.clone(),
        shared.clone(),
        shared.clone(),
        shared.clone(),
        DecisionPorts {
            engine: Arc::clone(engine) as _,
            recorder: Arc::new(shared.clone()),
            store: Arc::clone(store) as _,
        },
    )
}
