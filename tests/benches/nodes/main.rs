//! `nodes/…`: time of a pass of the node half, with up to 150,000 pods, through the
//! production loop with its expander in the sandbox; events, orders and records are
//! discarded. Cluster Autoscaler and Karpenter take for these shapes, on a machine of two
//! cores: `binpack` 3.6 s, `scale-up` 9.2 s, `unique` 9.6 s, `mixed` 47.8 s and 4,000
//! nodes.
//!
//! An argument (`cargo bench -p flyball-tests --bench nodes -- production`) selects one
//! part.

mod blocked;
mod consolidate;
mod large;
mod memory;
mod mixed;
mod not_in_terms;
mod production;
mod scale_down;
mod shapes;
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use flyball_decision::policy::PolicyEngine;
use flyball_kubernetes::slim::PodObject;
use flyball_nodes::census::Census;
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_nodes::record::NodeDecisionRecord;
use flyball_nodes::state::ClusterState;
use flyball_placement::pack::{Demand, Growth, Template, pack};
use flyball_placement::{Cluster, Node, Pod, Resources};
use flyball_test_plans::{Answer, Outcome, carry_out};
use flyball_test_support::bench::report;
use serde_json::{Value, json};

use self::shapes::{group, node, node_facts, pod, pods, running, size, template};
use self::world::{NOW, World, engine};

/// The daemon's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const GIB: i64 = 1 << 30;

/// Cost per hour of the nodes that Karpenter 1.15.0 chooses for the same pods: the
/// cheapest type that each of its 4,000 claims allows, with its scheduler on one thread.
/// (With its default of five it is 6,923, and differs between runs.)
const KARPENTER_PRICE: f64 = 6919.11;

/// Maximum cost of the nodes per hour: 2% more than without spread over zones.
const PRICE: f64 = 5_036.0 * 1.02;

fn main() -> anyhow::Result<()> {
    if memory::is_child() {
        return memory::hold();
    }
    if not_in_terms::is_child() {
        return not_in_terms::measure();
    }
    let engine = engine()?;
    let part = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let parts: [(&str, &dyn Fn() -> anyhow::Result<()>); 12] = [
        ("binpack", &binpack),
        ("scale-up", &|| scale_up(&engine)),
        ("unique", &|| unique(&engine)),
        ("mixed", &|| mixed(&engine)),
        ("production", &|| production::run(&engine)),
        ("large", &|| large::run(&engine)),
        ("blocked", &|| blocked::run(&engine)),
        ("scale-down", &|| scale_down::run(&engine)),
        ("judge", &|| scale_down::judge(&*engine)),
        ("consolidate", &|| consolidate::run(&engine)),
        ("not-in-terms", &not_in_terms::run),
        ("memory", &memory::run),
    ];
    for (name, run) in parts {
        if part.as_ref().is_none_or(|part| part == name) {
            run()?;
        }
    }
    Ok(())
}

/// Returns the median of some times, in milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Cluster Autoscaler's BenchmarkBinpackingEstimate, from class counts.
fn binpack() -> anyhow::Result<()> {
    let mut cluster = Cluster::default();
    let mut demand = |cpu, memory, count| {
        let requests = Resources {
            cpu,
            memory,
            ..Resources::default()
        };
        let pod = Pod {
            namespace: "default".into(),
            requests,
            ..Pod::default()
        };
        Demand {
            class: cluster.class(&pod),
            count,
        }
    };
    let demands = [demand(50, 100, 50_000), demand(95, 190, 1_000)];
    let node = Node {
        name: "template".into(),
        allocatable: Resources {
            cpu: 1000,
            memory: 5000,
            pods: 100,
            ..Resources::default()
        },
        ..Node::default()
    };
    let template = Template {
        node: Arc::new(node),
        carried: Vec::new(),
    };
    let mut times = Vec::new();
    for _ in 0..25 {
        let start = Instant::now();
        let growth = Growth::of(&template, u32::MAX);
        let packed = pack(&mut cluster, &[], &growth, &demands);
        times.push(start.elapsed());
        ensure!((packed.node_count(), packed.pods()) == (2_595, 51_000));
    }
    report("nodes/binpack-51000", median(times), "ms", Some(3.6))
}

/// Returns a cluster of one full node, of a group whose nodes have room for 50 pods of a
/// fiftieth each.
fn one_full_node(each: &Value, cpu: i64) -> anyhow::Result<World> {
    let whole = json!({ "cpu": format!("{cpu}m"), "memory": "50Gi", "pods": "110" });
    let mut state = ClusterState::new();
    state.apply_node(node_facts(node("node-0", &json!({}), &whole))?);
    let there = (0..50).map(|row| running(pod(&format!("old-{row}"), None, each), "node-0"));
    apply(&mut state, pods(there)?);
    let template = template(&size(cpu, 50 * GIB, 110));
    let group = group("ng", template, 1.0, &["node-0".to_owned()]);
    Ok(World::new(state, vec![group]))
}

fn apply(state: &mut ClusterState, pods: Vec<PodObject>) {
    for object in pods {
        let (facts, pod) = object.into_facts();
        state.apply_pod(facts, &pod);
    }
}

/// Cluster Autoscaler's BenchmarkRunOnceScaleUp: cold from deserialized pods to the plan,
/// warm one tick.
fn scale_up(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    let fiftieth = json!({ "cpu": "100m", "memory": "1Gi" });
    let waiting: Vec<Value> = (0..50_000)
        .map(|row| pod(&format!("new-{row}"), None, &fiftieth))
        .collect();
    let options = NodeOptions::default();
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let world = one_full_node(&fiftieth, 5_000)?;
        let waiting = pods(waiting.iter().cloned())?;
        let mut control = world.control(&options, engine);
        let start = Instant::now();
        apply(&mut world.state(), waiting);
        control.tick(NOW);
        cold.push(start.elapsed());
        ordered(&*control.decided()?, 1_000..=1_000, 50_000)?;
        for _ in 0..5 {
            let mut control = world.control(&options, engine);
            warm.push(control.tick(NOW));
            ordered(&*control.decided()?, 1_000..=1_000, 50_000)?;
        }
    }
    report("nodes/scale-up-cold", median(cold), "ms", Some(180.0))?;
    report("nodes/scale-up-warm", median(warm), "ms", Some(9.0))
}

/// Measures pods that all have different shapes.
fn unique(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    const BOTH_MEAN: i64 = 200;
    let waiting = (0..50_000_i64).map(|row| {
        // 250 amounts of cpu around the mean by 200 amounts of memory.
        let cpu = BOTH_MEAN - 125 + row % 250;
        let memory = BOTH_MEAN - 100 + row / 250;
        let requests = json!({ "cpu": format!("{cpu}m"), "memory": format!("{memory}Mi") });
        pod(&format!("new-{row}"), None, &requests)
    });
    let fiftieth = json!({ "cpu": "200m", "memory": "1Gi" });
    let world = one_full_node(&fiftieth, 10_000)?;
    apply(&mut world.state(), pods(waiting)?);
    let options = NodeOptions {
        max_nodes_per_scale_up: 0,
        ..NodeOptions::default()
    };
    let mut times = Vec::new();
    let mut nodes = 0;
    for _ in 0..9 {
        let mut control = world.control(&options, engine);
        times.push(control.tick(NOW));
        nodes = ordered(&*control.decided()?, 990..=1_050, 50_000)?;
    }
    report("nodes/scale-up-unique", median(times), "ms", Some(90.0))?;
    report("nodes/scale-up-unique-nodes", nodes.into(), "nodes", None)
}

/// Expander that prefers the most pods, then the fewest nodes, then the least waste, with
/// any number of nodes in a pass.
fn fewest_nodes() -> NodeOptions {
    let expanders = ["most-pods", "least-nodes", "least-waste"];
    NodeOptions {
        expanders: expanders.map(ExpanderChoice::named).into(),
        max_nodes_per_scale_up: 0,
        ..NodeOptions::default()
    }
}

/// Karpenter's mix, in a cluster without nodes: pods that spread over zones are in each
/// zone in which groups can create nodes.
fn mixed(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    let mix = mixed::mix()?;
    let mut state = ClusterState::new();
    let start = Instant::now();
    apply(&mut state, mix.pods);
    let read = start.elapsed();
    let world = World::new(state, mixed::groups());
    let options = fewest_nodes();
    let mut times = Vec::new();
    let (mut nodes, mut hourly, mut apart) = (0, 0.0, 0.0);
    for _ in 0..5 {
        let mut control = world.control(&options, engine);
        times.push(control.tick(NOW));
        let decided = control.decided()?;
        nodes = ordered(&decided, 4_000..=4_200, 20_000)?;
        let orders = decided.verdict.orders.iter();
        let prices = orders.filter_map(|order| {
            let group = world
                .groups
                .iter()
                .find(|group| group.name == order.group)?;
            Some(group.price? * f64::from(order.to - order.from))
        });
        hourly = prices.sum();
        apart = mixed::difference_of_zones(&decided.verdict.orders);
        let placed = carried_out(&world, &options, &decided).placed;
        ensure!(
            placed == 20_000,
            "only {placed} pods fit when the nodes are there"
        );
    }
    report("nodes/mixed-20000", median(times), "ms", Some(125.0))?;
    report("nodes/mixed-20000-read", median(vec![read]), "ms", None)?;
    report(
        "nodes/mixed-20000-nodes",
        nodes.into(),
        "nodes",
        Some(4_000.0),
    )?;
    report("nodes/mixed-20000-price", hourly, "1/h", Some(PRICE))?;
    report(
        "nodes/mixed-20000-price-karpenter",
        KARPENTER_PRICE,
        "1/h",
        None,
    )?;
    report("nodes/mixed-20000-zones", apart, "%", Some(10.0))?;
    let least = mixed::price(mix.cpu, mix.memory);
    report("nodes/mixed-20000-price-bound", least, "1/h", None)?;

    apply(&mut world.state(), mixed::pinned()?);
    let mut times = Vec::new();
    for _ in 0..5 {
        let mut control = world.control(&options, engine);
        times.push(control.tick(NOW));
        ordered(&*control.decided()?, 4_000..=4_200, 20_000)?;
    }
    report("nodes/mixed-20000-pinned", median(times), "ms", Some(480.0))
}

/// Places the pods on the ordered nodes once they have joined.
fn carried_out(world: &World, options: &NodeOptions, decided: &NodeDecisionRecord) -> Outcome {
    let mut state = world.state();
    let census = Census::without_history(decided.at, &state, &world.groups, options);
    carry_out(&mut state, &census, options, &Answer::from(decided))
}

/// Returns the number of nodes ordered. Returns an error unless they help all pods.
fn ordered(
    decided: &NodeDecisionRecord,
    nodes: std::ops::RangeInclusive<u32>,
    pods: u32,
) -> anyhow::Result<u32> {
    let orders = decided.verdict.orders.iter();
    let ordered = orders.map(|order| order.to - order.from).sum();
    let helped: u32 = decided.rounds.iter().map(|round| round.helped.count).sum();
    let verdict = &decided.verdict.message;
    ensure!(nodes.contains(&ordered) && helped == pods, "{verdict}");
    Ok(ordered)
}
