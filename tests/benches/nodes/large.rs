//! `nodes/idle-5000` and `nodes/churn-5000`: 5,000 nodes and 150,000 pods.

use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use flyball_decision::policy::PolicyEngine;
use flyball_kubernetes::slim::PodObject;
use flyball_nodes::options::NodeOptions;
use flyball_nodes::state::ClusterState;
use flyball_test_support::bench::report;
use serde_json::{Value, json};

use crate::shapes::{ZONE, group, node, node_facts, pod, pods, running, size, template};
use crate::world::{NOW, World};
use crate::{GIB, apply, median};

pub const NODES: usize = 5_000;
pub const PODS: usize = 150_000;
const GROUPS: usize = 10;
/// Number of pods of one owner.
pub const PER_OWNER: usize = 100;
const TICK_MS: i64 = 10_000;

pub fn run(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    let world = world()?;
    let mut control = world.control(&NodeOptions::default(), engine);
    control.tick(NOW);
    let mut now = NOW;
    let mut times = Vec::new();
    for _ in 0..25 {
        now = now.plus(TICK_MS);
        times.push(control.tick(now));
    }
    report("nodes/idle-5000", median(times), "ms", Some(10.0))?;

    let mut times = Vec::new();
    for round in 1..=9 {
        let replaced = Replaced::read(round)?;
        now = now.plus(TICK_MS);
        let start = Instant::now();
        replaced.apply(&mut world.state())?;
        control.tick(now);
        times.push(start.elapsed());
    }
    report("nodes/churn-5000", median(times), "ms", Some(50.0))
}

/// Every tenth pod, and its successor on the same node.
pub struct Replaced {
    /// Uids of the pods that go.
    gone: Vec<String>,
    /// Their successors: parsed, but not known yet.
    come: Vec<PodObject>,
}

impl Replaced {
    pub fn read(round: usize) -> anyhow::Result<Self> {
        let rows = || (round..PODS).step_by(10);
        Ok(Self {
            gone: rows().map(|row| uid(row, 0)).collect(),
            come: read(rows().map(|row| running_pod(row, round)))?,
        })
    }

    pub fn apply(self, state: &mut ClusterState) -> anyhow::Result<()> {
        for uid in &self.gone {
            state.delete_pod(uid);
        }
        apply(state, self.come);
        ensure!(state.pod_count() == PODS, "pods were lost");
        Ok(())
    }
}

/// Parses pods in a thread of its own, so that memory left over from parsing is not freed
/// during the measured tick.
pub fn read(all: impl Iterator<Item = Value> + Send) -> anyhow::Result<Vec<PodObject>> {
    let read = std::thread::scope(|scope| scope.spawn(|| pods(all)).join());
    read.map_err(|_| anyhow::anyhow!("the thread that reads pods panicked"))?
}

/// Returns the nodes and pods, without node groups.
pub fn cluster() -> anyhow::Result<ClusterState> {
    let mut state = ClusterState::new();
    for row in 0..NODES {
        state.apply_node(node_facts(node_object(row))?);
    }
    for row in 0..PODS {
        apply(&mut state, pods(std::iter::once(running_pod(row, 0)))?);
    }
    Ok(state)
}

pub fn world() -> anyhow::Result<World> {
    let groups = (0..GROUPS).map(|group_row| {
        let nodes: Vec<String> = (group_row..NODES).step_by(GROUPS).map(node_name).collect();
        let template = template(&size(16_000, 64 * GIB, 110));
        group(&format!("group-{group_row}"), template, 1.0, &nodes)
    });
    Ok(World::new(cluster()?, groups.collect()))
}

fn node_name(row: usize) -> String {
    format!("node-{row}")
}

pub fn node_object(row: usize) -> Value {
    let labels = json!({ ZONE: format!("zone-{}", row % 3), "kubernetes.io/os": "linux" });
    let whole = json!({ "cpu": "16", "memory": "64Gi", "pods": "110" });
    node(&node_name(row), &labels, &whole)
}

fn pod_name(row: usize, round: usize) -> String {
    format!("web-{row}-{round}")
}

fn uid(row: usize, round: usize) -> String {
    format!("uid-{}", pod_name(row, round))
}

pub fn owner_name(row: usize) -> String {
    format!("web-{row}")
}

pub fn running_pod(row: usize, round: usize) -> Value {
    let owner = owner_name(row / PER_OWNER);
    let requests = json!({ "cpu": "500m", "memory": "2Gi" });
    let pod = pod(&pod_name(row, round), Some(&owner), &requests);
    running(pod, &node_name(row % NODES))
}
