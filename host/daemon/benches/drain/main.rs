//! Drains on a real control plane, and an AWS simulated by moto: how soon each step follows
//! what it waits for, and how many requests the API server gets.

mod aws_proxy;
mod observer;
mod progress;
mod requests;
#[path = "../../tests/e2e"]
mod parts {
    //! What the tests of the binary run it with.
    #![allow(
        dead_code,
        clippy::unwrap_used,
        reason = "the modules of the tests, of which these benchmarks need a part"
    )]
    pub mod journal;
    pub mod proxy;
    pub mod support;
}
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flyball_test_support::bench::report;
use serde_json::Value;

use self::parts::proxy::Proxy;
use self::parts::support;
use self::requests::Requests;
use self::world::{FEW, MANY, World};

const UNNEEDED_TIME: Duration = Duration::from_secs(3);
/// Time between two nodes that are let go: a fraction of the scan interval of 10 s, so that
/// timers end at any time between two scans.
const BETWEEN: Duration = Duration::from_millis(700);

fn main() -> anyhow::Result<()> {
    let world = World::new()?;
    delays(&world)?;
    requests(&world)
}

/// One node after the other is let go. Reports the delays of its taint and its termination.
fn delays(world: &World) -> anyhow::Result<()> {
    let kubeconfig = world.cluster.kubeconfig();
    let mut daemon = world.daemon(&FEW, &kubeconfig, FEW.nodes)?;
    for node in world.nodes_of(&FEW)? {
        world.let_go(&node)?;
        std::thread::sleep(BETWEEN);
        world.delete_terminated()?;
    }
    world.wait_for_terminations(&FEW)?;
    daemon.terminate();
    let records = fs::read_to_string(world.workshop.path(world::RECORDS))?;
    let unneeded = unneeded_since(&records)?;
    let tainted = world.observer.seen().tainted.clone();
    let taints = tainted.iter().filter_map(|(node, tainted)| {
        let over = *unneeded.get(node)? + UNNEEDED_TIME;
        Some(delay(over, *tainted))
    });
    let taints = percentile_95(taints.collect()).context("no node was tainted")?;
    report("drain/timer-to-taint", taints, "s", Some(1.0))?;
    let terminations = terminations(world)?;
    report("drain/last-pod-to-terminate", terminations, "s", Some(1.0))
}

/// Many nodes are drained, twenty at a time. Reports the requests for each evicted pod.
fn requests(world: &World) -> anyhow::Result<()> {
    world.forget();
    let proxy = Proxy::start(&world.cluster);
    let kubeconfig = proxy.kubeconfig(&world.workshop);
    let begin = SystemTime::now();
    let mut daemon = world.daemon(&MANY, &kubeconfig, 20)?;
    let waited = world.wait_for_terminations(&MANY);
    // It publishes the last events.
    daemon.terminate();
    let time = delay(begin, SystemTime::now());
    let requests = Requests::count(&proxy.seen());
    println!("{requests}");
    waited?;
    let pods = (MANY.nodes * MANY.pods_a_node) as usize;
    anyhow::ensure!(
        requests.evicted == pods,
        "{} of {pods} pods were evicted",
        requests.evicted
    );
    let for_each = requests.total() as f64 / pods as f64;
    report("drain/100-nodes", for_each, "req", Some(2.5))?;
    let repeated = requests.repeated as f64;
    report("drain/100-nodes-repeated", repeated, "req", Some(0.0))?;
    report(
        "drain/100-nodes-last-pod-to-terminate",
        terminations(world)?,
        "s",
        None,
    )?;
    report("drain/100-nodes-time", time, "s", None)
}

/// Returns the delay from the end of the last pod of a node to its termination.
fn terminations(world: &World) -> anyhow::Result<f64> {
    let seen = world.observer.seen();
    let terminated = world.aws.terminated();
    let delays = terminated.iter().filter_map(|(node, terminated)| {
        let gone = seen.last_pod_gone.get(node)?;
        Some(delay(*gone, *terminated))
    });
    percentile_95(delays.collect()).context("no node was terminated")
}

/// Returns since when each node was unneeded when it went, from the daemon's records.
fn unneeded_since(records: &str) -> anyhow::Result<BTreeMap<String, SystemTime>> {
    let mut since = BTreeMap::new();
    for line in records.lines() {
        let record: Value = serde_json::from_str(line).context("a record that is no JSON")?;
        let nodes = record["scaleDown"]["unneeded"].as_array();
        for node in nodes.into_iter().flatten() {
            let name = node["node"].as_str().context("a node without a name")?;
            let at = node["since"].as_u64().context("a node without a time")?;
            since.insert(name.to_owned(), UNIX_EPOCH + Duration::from_millis(at));
        }
    }
    Ok(since)
}

/// Returns the seconds between two times: negative if the second is the earlier one.
fn delay(from: SystemTime, to: SystemTime) -> f64 {
    match to.duration_since(from) {
        Ok(delay) => delay.as_secs_f64(),
        Err(error) => -error.duration().as_secs_f64(),
    }
}

/// Returns the 95th percentile, by the nearest rank. `None` if there is no value.
fn percentile_95(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    println!("{} values: {values:.3?}", values.len());
    let rank = (values.len() * 95).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}
