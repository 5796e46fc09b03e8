//! `placement/not-in-terms`: 2,000 pods of one tenant, each with ten terms of anti-affinity
//! that select every pod but a few (`NotIn`), judged exactly: time to intern them, to check
//! each on 100 nodes where every second one has a pod of them, and to pack them onto new
//! nodes. `-memory`: peak memory of a process that does only this, once: what the allocator
//! keeps for later use depends on when it is freed.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use flyball_placement::pack::{Demand, Growth, Template, pack};
use flyball_placement::{
    AffinityTerm, ClassId, Cluster, LabelSelector, Labels, Node, NodeId, Operator, Pod,
    Requirement, Resources,
};
use flyball_test_support::bench::report;
use serde::{Deserialize, Serialize};

use crate::median;
use crate::memory::peak;

const PODS: usize = 2_000;
const NODES: usize = 100;

/// Number of nodes that new pods may get.
const MORE_NODES: u32 = 50;

/// Set in the child that is measured.
const CHILD: &str = "FLYBALL_BENCH_NOT_IN_TERMS";

/// Output of the child.
#[derive(Serialize, Deserialize)]
struct Figures {
    /// In milliseconds.
    time: f64,
    /// In MiB.
    peak: f64,
}

pub fn run() -> anyhow::Result<()> {
    let mut child = Command::new(std::env::current_exe()?);
    let child = child.env(CHILD, "").output()?;
    ensure!(
        child.status.success(),
        "the child failed: {}",
        String::from_utf8_lossy(&child.stderr)
    );
    let printed: Figures = serde_json::from_slice(&child.stdout)?;
    report("placement/not-in-terms", printed.time, "ms", Some(200.0))?;
    report(
        "placement/not-in-terms-memory",
        printed.peak,
        "MiB",
        Some(64.0),
    )
}

/// Whether this process is the child.
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Measures, and prints the figures.
pub fn measure() -> anyhow::Result<()> {
    let pods: Vec<Pod> = (0..PODS).map(pod).collect();
    let judging = || -> anyhow::Result<Duration> {
        let start = Instant::now();
        judge(&pods)?;
        Ok(start.elapsed())
    };
    let mut times = vec![judging()?];
    let peak = peak()? / (1024.0 * 1024.0);
    for _ in 1..5 {
        times.push(judging()?);
    }
    let figures = Figures {
        time: median(times),
        peak,
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

fn judge(pods: &[Pod]) -> anyhow::Result<()> {
    let mut cluster = Cluster::default();
    let nodes: Vec<NodeId> = (0..NODES).map(|row| cluster.add_node(node(row))).collect();
    let classes: Vec<ClassId> = pods.iter().map(|pod| cluster.class(pod)).collect();
    for (class, node) in classes.iter().zip(nodes.iter().step_by(2)) {
        ensure!(cluster.fits(*class, *node), "the node has no pod");
        cluster.place(*class, *node, false);
    }
    let waiting = &classes[NODES / 2..];
    for class in waiting {
        let fitting = nodes.iter().filter(|node| cluster.fits(*class, **node));
        ensure!(
            fitting.count() == NODES / 2,
            "each pod keeps all others off its node"
        );
    }
    let demands = waiting.iter().map(|&class| Demand { class, count: 1 });
    let demands: Vec<Demand> = demands.collect();
    let template = Template {
        node: Arc::new(node(NODES)),
        carried: Vec::new(),
    };
    let packed = pack(
        &mut cluster,
        &nodes,
        &Growth::of(&template, MORE_NODES),
        &demands,
    );
    ensure!(packed.node_count() == MORE_NODES, "a node for each pod");
    Ok(())
}

fn node(row: usize) -> Node {
    let name = format!("node-{row}");
    let labels: Labels = [("kubernetes.io/hostname", name.as_str())]
        .into_iter()
        .collect();
    Node {
        name: name.as_str().into(),
        labels,
        allocatable: Resources {
            pods: 110,
            ..Resources::default()
        },
        ..Node::default()
    }
}

/// A pod whose terms each exempt two apps, of which one exists.
fn pod(row: usize) -> Pod {
    let terms = (0..10).map(|term| AffinityTerm {
        topology_key: "kubernetes.io/hostname".into(),
        selector: Some(LabelSelector(vec![Requirement {
            key: "app".into(),
            operator: Operator::NotIn,
            values: vec![
                format!("app-{}", row + term).into(),
                format!("none-{row}-{term}").into(),
            ],
        }])),
        namespaces: Vec::new(),
        namespace_selector: None,
    });
    Pod {
        namespace: "tenant".into(),
        labels: [("app", format!("app-{row}"))].into_iter().collect(),
        anti_affinity: terms.collect(),
        ..Pod::default()
    }
}
