//! DaemonSets: a pod on every Ready node that can run it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_nodes::state::{ClusterState, DaemonSetFacts, Owner, PodFacts, PodPhase};

use crate::random;
use crate::scenario::{DaemonSetSpec, daemon_pod};

/// All DaemonSets, and their pods by node.
#[derive(Debug)]
pub struct Daemons {
    sets: Vec<DaemonSetFacts>,
    /// Unique ids of the pods on each node.
    pods: BTreeMap<Arc<str>, Vec<Arc<str>>>,
}

impl Daemons {
    /// Creates the DaemonSets, without pods.
    pub fn new(specs: &[DaemonSetSpec], seed: u64) -> Self {
        let facts = |spec: &DaemonSetSpec| {
            let uid = random::draw(&[seed, random::name(&spec.name), 8]);
            DaemonSetFacts {
                uid: format!("{uid:016x}").into(),
                key: ObjectKey {
                    namespace: spec.namespace.as_str().into(),
                    name: spec.name.as_str().into(),
                },
                pod: Arc::new(daemon_pod(spec)),
            }
        };
        Self {
            sets: specs.iter().map(facts).collect(),
            pods: BTreeMap::new(),
        }
    }

    /// Adds all DaemonSets to the cluster state.
    pub fn add_to(&self, state: &mut ClusterState) {
        for set in &self.sets {
            state.apply_daemon_set(set.clone());
        }
    }

    /// Adds the pods of a node that has become Ready.
    pub fn join(&mut self, state: &mut ClusterState, node: &Arc<str>, now: Timestamp) {
        if self.pods.contains_key(node) {
            return;
        }
        let mut uids = Vec::new();
        for set in &self.sets {
            let class = state.cluster_mut().class(&set.pod);
            let cluster = state.cluster();
            let id = cluster.find_node(node);
            if !id.is_some_and(|id| cluster.fits(class, id)) {
                continue;
            }
            let uid: Arc<str> = format!("{}-{node}", set.uid).into();
            let facts = PodFacts {
                uid: Arc::clone(&uid),
                key: ObjectKey {
                    namespace: Arc::clone(&set.key.namespace),
                    name: format!("{}-{node}", set.key.name).into(),
                },
                node: Some(Arc::clone(node)),
                phase: PodPhase::Running,
                created: now,
                owner: Some(Arc::new(Owner {
                    uid: Arc::clone(&set.uid),
                    kind: "DaemonSet".into(),
                    name: Arc::clone(&set.key.name),
                })),
                ..PodFacts::default()
            };
            state.apply_pod(facts, &set.pod);
            uids.push(uid);
        }
        self.pods.insert(Arc::clone(node), uids);
    }

    /// Removes the pods of a node that is gone.
    pub fn leave(&mut self, state: &mut ClusterState, node: &str) {
        for uid in self.pods.remove(node).into_iter().flatten() {
            state.delete_pod(&uid);
        }
    }
}
