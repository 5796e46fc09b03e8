//! A cluster in memory: nodes, node groups, and waiting pods.

use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::memory::PolicyMemories;
use flyball_decision::policy::PolicyEngine;
use flyball_decision::time::Timestamp;
use flyball_nodes::backoff::Backoffs;
use flyball_nodes::census::Census;
use flyball_nodes::cloud::{GroupScaleDown, Instance, InstanceState, NodeGroup};
use flyball_nodes::options::NodeOptions;
use flyball_nodes::scale_up::{Plan, PlanContext, plan};
use flyball_nodes::state::{ClusterState, DaemonSetFacts, NodeFacts, Owner, PodFacts, PodPhase};
use flyball_placement::Pod;

use crate::shapes::{Kind, provider_id};

/// Time of the plans: long after every object was created.
pub const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A cluster, its node groups, and waiting pods.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Nodes, all of them ready.
    pub nodes: Vec<NodeFacts>,
    /// DaemonSets.
    pub daemon_sets: Vec<DaemonSetFacts>,
    /// Running pods.
    pub bound: Vec<(PodFacts, Pod)>,
    /// Pods that the scheduler could not place.
    pub pending: Vec<(PodFacts, Pod)>,
    /// The node groups, ordered by name.
    pub groups: Vec<Arc<NodeGroup>>,
}

impl World {
    /// Returns the cluster as input of the planner.
    #[must_use]
    pub fn state(&self) -> ClusterState {
        let mut state = ClusterState::new();
        for node in &self.nodes {
            state.apply_node(node.clone());
        }
        for set in &self.daemon_sets {
            state.apply_daemon_set(set.clone());
        }
        for (facts, pod) in self.bound.iter().chain(&self.pending) {
            state.apply_pod(facts.clone(), pod);
        }
        state
    }

    /// Returns the census of a dry run.
    #[must_use]
    pub fn census(&self, state: &ClusterState, options: &NodeOptions) -> Census {
        Census::without_history(NOW, state, &self.groups, options)
    }

    /// Plans like `flyball plan`.
    pub fn plan(
        &self,
        state: &mut ClusterState,
        options: &NodeOptions,
        engine: &dyn PolicyEngine,
    ) -> Plan {
        let census = self.census(state, options);
        let context = PlanContext {
            now: NOW,
            options,
            engine,
            memories: &PolicyMemories::default(),
            census: &census,
            backoffs: &Backoffs::default(),
            seed: 0,
        };
        plan(&context, state)
    }

    /// Adds a group of the nodes with these names, which may grow by this number.
    pub(crate) fn group(
        &mut self,
        name: &str,
        (kind, zone): (&Kind, &str),
        nodes: &[String],
        room: u32,
        price: Option<f64>,
    ) {
        let instance = |node: &String| Instance {
            provider_id: provider_id(node),
            zone: None,
            state: InstanceState::Running,
            instance_type: None,
            spot: None,
        };
        let size = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        self.groups.push(Arc::new(NodeGroup {
            name: name.into(),
            min_size: 0,
            max_size: size.saturating_add(room),
            target_size: size,
            instances: nodes.iter().map(instance).collect(),
            zones: Vec::new(),
            template: Some(Arc::new(kind.template(zone))),
            price,
            instance_type: None,
            spot: None,
            scale_down: GroupScaleDown::default(),
            suspended: Vec::new(),
        }));
        self.groups.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Adds a waiting pod.
    pub(crate) fn wait(&mut self, name: &str, owner: Owner, pod: Pod) {
        let facts = PodFacts {
            unschedulable: true,
            owner: Some(Arc::new(owner)),
            ..facts(name)
        };
        self.pending.push((facts, pod));
    }

    /// Adds a running pod.
    pub(crate) fn run(&mut self, name: &str, node: &str, owner: Owner, pod: Pod) {
        let facts = PodFacts {
            node: Some(node.into()),
            phase: PodPhase::Running,
            owner: Some(Arc::new(owner)),
            ..facts(name)
        };
        self.bound.push((facts, pod));
    }
}

fn facts(name: &str) -> PodFacts {
    PodFacts {
        uid: format!("uid-{name}").into(),
        key: ObjectKey {
            namespace: "default".into(),
            name: name.into(),
        },
        ..PodFacts::default()
    }
}

/// Returns a controller of pods.
pub(crate) fn owner(kind: &str, name: &str) -> Owner {
    Owner {
        uid: format!("uid-{name}").into(),
        kind: kind.into(),
        name: name.into(),
    }
}
