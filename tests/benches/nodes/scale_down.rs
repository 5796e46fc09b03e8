//! `nodes/scale-down-…`: passes that look for nodes to remove, with the built-in policies in
//! their sandboxes; events and writes are discarded. `scale-down/judge-100000`: one question
//! about many pods. Cluster Autoscaler takes 12.5 s and
//! 10.1 GB for the shape of `scale-down-2000`, on a machine of two cores.

use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use flyball_decision::memory::PolicyMemories;
use flyball_decision::policy::PolicyEngine;
use flyball_nodes::backoff::Backoffs;
use flyball_nodes::census::Census;
use flyball_nodes::cloud::NodeGroup;
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_nodes::scale_down::{
    ScaleDownContext, ScaleDownMode, ScaleDownTracker, plan_scale_down,
};
use flyball_nodes::state::{ClusterState, OwnerFacts, OwnerKind};
use flyball_test_support::bench::report;
use serde_json::json;

use crate::large::{self, PODS, Replaced};
use crate::shapes::{group, node, node_facts, pod, pods, running, size, template};
use crate::world::{NOW, World};
use crate::{GIB, apply, median};

const TICK_MS: i64 = 10_000;

/// Options of all rows: scale-down decides, with its built-in policies.
fn options() -> NodeOptions {
    let mut options = NodeOptions::default();
    options.scale_down.mode = ScaleDownMode::Observe;
    options
}

pub fn run(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    removable(engine)?;
    blocked(engine)
}

/// 2,000 nodes with 40 pods of a hundredth of a node each: 1,200 can go.
fn removable(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    const NODES: usize = 2_000;
    const PER_NODE: usize = 40;
    let mut times = Vec::new();
    for _ in 0..3 {
        let (state, group) = alike(NODES, PER_NODE)?;
        let world = World::new(state, vec![group]);
        let mut control = world.control(&options(), engine);
        times.push(control.tick(NOW));
        let record = control.decided()?;
        let found = record.scale_down.as_ref();
        let found = found.map_or(0, |record| record.unneeded.len());
        ensure!(found == 1_200, "{found} nodes can go");
    }
    report("nodes/scale-down-2000", median(times), "ms", Some(125.0))
}

/// `drain-rules` about 100,000 pods on 2,500 nodes: rows, columns, the answer and its checks,
/// which is a plan less the same plan when all verdicts are known. No policy judges nodes, so
/// no pod is moved in a simulation.
pub fn judge(engine: &dyn PolicyEngine) -> anyhow::Result<()> {
    const NODES: usize = 2_500;
    const PER_NODE: usize = 40;
    let (mut state, group) = alike(NODES, PER_NODE)?;
    let groups = [group];
    let mut options = options();
    options.scale_down.policies = vec![ExpanderChoice::named("drain-rules")];
    let census = Census::without_history(NOW, &state, &groups, &options);
    let context = ScaleDownContext {
        now: NOW,
        options: &options,
        engine,
        memories: &PolicyMemories::default(),
        census: &census,
        backoffs: &Backoffs::default(),
        order: None,
        hold: None,
        seed: 0,
    };
    let mut times = Vec::new();
    for _ in 0..25 {
        let mut tracker = ScaleDownTracker::default();
        let start = Instant::now();
        let plan = plan_scale_down(&context, &mut state, &mut tracker);
        let asking = start.elapsed();
        let start = Instant::now();
        let known = plan_scale_down(&context, &mut state, &mut tracker);
        times.push(asking.saturating_sub(start.elapsed()));
        ensure!(known.questions.pods.is_empty(), "pods were judged twice");
        let asked = plan.questions.pods.iter().map(|asked| asked.names.len());
        let asked: usize = asked.sum();
        ensure!(asked == NODES * PER_NODE, "{asked} pods were judged");
        let unjudged = plan.needed.iter();
        let unjudged = unjudged.filter(|node| &*node.stay.code == "NobodyJudged");
        let unjudged = unjudged.count();
        ensure!(unjudged == NODES, "pods of {unjudged} nodes may be moved");
    }
    report("scale-down/judge-100000", median(times), "ms", Some(25.0))
}

/// A group of nodes, each with so many pods of a hundredth of a node.
fn alike(nodes: usize, per_node: usize) -> anyhow::Result<(ClusterState, Arc<NodeGroup>)> {
    let mut state = ClusterState::new();
    let whole = json!({ "cpu": "10", "memory": "50Gi", "pods": "110" });
    let name = |row: usize| format!("node-{row}");
    for row in 0..nodes {
        state.apply_node(node_facts(node(&name(row), &json!({}), &whole))?);
    }
    for row in 0..nodes * per_node {
        let owner = format!("web-{}", row / 100);
        let requests = json!({ "cpu": "100m", "memory": "256Mi" });
        let pod = pod(&format!("web-{row}"), Some(&owner), &requests);
        let pod = running(pod, &name(row % nodes));
        apply(&mut state, pods(std::iter::once(pod))?);
    }
    owners(&mut state, nodes * per_node / 100);
    let names: Vec<String> = (0..nodes).map(name).collect();
    let template = template(&size(10_000, 50 * GIB, 110));
    Ok((state, group("group", template, 1.0, &names)))
}

/// Adds the ReplicaSets of the pods.
pub fn owners(state: &mut ClusterState, count: usize) {
    for row in 0..count {
        state.apply_owner(OwnerFacts {
            uid: format!("uid-web-{row}").into(),
            kind: OwnerKind::ReplicaSet,
            key: flyball_decision::key::ObjectKey {
                namespace: "default".into(),
                name: format!("web-{row}").into(),
            },
            desired: Some(100),
            ready: 100,
            deleting: false,
        });
    }
}

/// 5,000 nodes and 150,000 pods of which no node can go: the first pass, passes in which
/// nothing has changed, and passes after a tenth of the pods was replaced.
fn blocked(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    let mut first = Vec::new();
    let world = large::world()?;
    owners(&mut world.state(), PODS / large::PER_OWNER);
    let mut control = None;
    for _ in 0..3 {
        let mut fresh = world.control(&options(), engine);
        first.push(fresh.tick(NOW));
        let record = fresh.decided()?;
        let kept = record.scale_down.as_ref();
        let kept = kept.map_or(0, |record| record.needed.len());
        ensure!(kept == large::NODES, "{kept} nodes have a reason");
        control = Some(fresh);
    }
    report(
        "nodes/scale-down-blocked-5000",
        median(first),
        "ms",
        Some(300.0),
    )?;
    let Some(mut control) = control else {
        return Ok(());
    };
    let mut now = NOW;
    let mut idle = Vec::new();
    for _ in 0..25 {
        now = now.plus(TICK_MS);
        idle.push(control.tick(now));
    }
    report("nodes/scale-down-idle-5000", median(idle), "ms", Some(5.0))?;
    let mut churn = Vec::new();
    for round in 1..=9 {
        let replaced = Replaced::read(round)?;
        now = now.plus(TICK_MS);
        let start = Instant::now();
        replaced.apply(&mut world.state())?;
        control.tick(now);
        churn.push(start.elapsed());
        control.decided()?;
    }
    report(
        "nodes/scale-down-churn-5000",
        median(churn),
        "ms",
        Some(110.0),
    )
}
