//! DaemonSets: a pod on every Ready node that can run it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_nodes::state::{ClusterState, DaemonSetFacts, DrainFacts, Owner, PodFacts, PodPhase};

use crate::random;
use crate::scenario::{DaemonSetSpec, daemon_drain_facts, daemon_pod};

/// Time that a pod takes to terminate.
const TERMINATION_MS: i64 = 5_000;

/// All DaemonSets, and their pods by node.
#[derive(Debug)]
pub struct Daemons {
    sets: Vec<DaemonSet>,
    pods: BTreeMap<Arc<str>, Vec<DaemonPod>>,
    /// Number of pods created in place of others.
    recreated: u64,
    /// Number of pods that terminate.
    terminating: u32,
}

#[derive(Debug)]
struct DaemonSet {
    facts: DaemonSetFacts,
    owner: Arc<Owner>,
    drain: Arc<DrainFacts>,
}

/// A pod of a DaemonSet.
#[derive(Debug)]
struct DaemonPod {
    /// Index of its DaemonSet.
    set: usize,
    facts: PodFacts,
    /// When it will be removed, if it was deleted.
    gone_at: Option<Timestamp>,
}

impl Daemons {
    /// Creates the DaemonSets, without pods.
    pub fn new(specs: &[DaemonSetSpec], seed: u64) -> Self {
        let set = |spec: &DaemonSetSpec| {
            let uid = random::draw(&[seed, random::name(&spec.name), 8]);
            let uid: Arc<str> = format!("{uid:016x}").into();
            let name: Arc<str> = spec.name.as_str().into();
            DaemonSet {
                facts: DaemonSetFacts {
                    uid: Arc::clone(&uid),
                    key: ObjectKey {
                        namespace: spec.namespace.as_str().into(),
                        name: Arc::clone(&name),
                    },
                    pod: Arc::new(daemon_pod(spec)),
                },
                owner: Arc::new(Owner {
                    uid,
                    kind: "DaemonSet".into(),
                    name,
                }),
                drain: daemon_drain_facts(&spec.annotations),
            }
        };
        Self {
            sets: specs.iter().map(set).collect(),
            pods: BTreeMap::new(),
            recreated: 0,
            terminating: 0,
        }
    }

    /// Adds all DaemonSets to the cluster state.
    pub fn add_to(&self, state: &mut ClusterState) {
        for set in &self.sets {
            state.apply_daemon_set(set.facts.clone());
        }
    }

    /// Adds the pods that a Ready node lacks.
    pub fn join(&mut self, state: &mut ClusterState, node: &Arc<str>, now: Timestamp) {
        let is_new = !self.pods.contains_key(node);
        let pods = self.pods.entry(Arc::clone(node)).or_default();
        for (index, set) in self.sets.iter().enumerate() {
            if pods.iter().any(|pod| pod.set == index) {
                continue;
            }
            let class = state.cluster_mut().class(&set.facts.pod);
            let cluster = state.cluster();
            let id = cluster.find_node(node);
            if !id.is_some_and(|id| cluster.fits(class, id)) {
                continue;
            }
            self.recreated += u64::from(!is_new);
            let suffix = match is_new {
                true => String::new(),
                false => format!("-{}", self.recreated),
            };
            let facts = PodFacts {
                uid: format!("{}-{node}{suffix}", set.facts.uid).into(),
                key: ObjectKey {
                    namespace: Arc::clone(&set.facts.key.namespace),
                    name: format!("{}-{node}{suffix}", set.facts.key.name).into(),
                },
                node: Some(Arc::clone(node)),
                phase: PodPhase::Running,
                created: now,
                owner: Some(Arc::clone(&set.owner)),
                ready: true,
                drain: Arc::clone(&set.drain),
                ..PodFacts::default()
            };
            state.apply_pod(facts.clone(), &set.facts.pod);
            pods.push(DaemonPod {
                set: index,
                facts,
                gone_at: None,
            });
        }
    }

    /// Returns a pod by its name.
    pub fn find(&self, name: &ObjectKey) -> Option<&PodFacts> {
        let mut pods = self.pods.values().flatten();
        pods.find(|pod| pod.facts.key == *name)
            .map(|pod| &pod.facts)
    }

    /// Deletes a pod, with a grace period in milliseconds.
    pub fn evict(
        &mut self,
        state: &mut ClusterState,
        name: &ObjectKey,
        now: Timestamp,
        grace_ms: i64,
    ) {
        let mut pods = self.pods.values_mut().flatten();
        let pod = pods.find(|pod| pod.facts.key == *name);
        if let Some(pod) = pod.filter(|pod| pod.gone_at.is_none()) {
            pod.gone_at = Some(now.plus(TERMINATION_MS.min(grace_ms)));
            pod.facts.deletion = Some(now.plus(grace_ms));
            self.terminating += 1;
            state.apply_pod(pod.facts.clone(), &self.sets[pod.set].facts.pod);
        }
    }

    /// Removes the pods that have terminated. Others take their place where they fit.
    pub fn pass(&mut self, state: &mut ClusterState, now: Timestamp) {
        if self.terminating == 0 {
            return;
        }
        let mut lacking = Vec::new();
        for (node, pods) in &mut self.pods {
            let gone = |pod: &mut DaemonPod| pod.gone_at.is_some_and(|at| at <= now);
            let gone: Vec<DaemonPod> = pods.extract_if(.., gone).collect();
            for pod in &gone {
                self.terminating -= 1;
                state.delete_pod(&pod.facts.uid);
            }
            if !gone.is_empty() {
                lacking.push(Arc::clone(node));
            }
        }
        for node in lacking {
            self.join(state, &node, now);
        }
    }

    /// Removes the pods of a node that is gone.
    pub fn leave(&mut self, state: &mut ClusterState, node: &str) {
        for pod in self.pods.remove(node).into_iter().flatten() {
            self.terminating -= u32::from(pod.gone_at.is_some());
            state.delete_pod(&pod.facts.uid);
        }
    }
}
