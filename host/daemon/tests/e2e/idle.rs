//! A cluster in which nothing happens: the daemon, which runs alone and needs no lease, writes
//! the status every five minutes. `cargo xtask campaign idle` counts for an hour, and writes
//! the figures to `docs/campaigns/idle.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::{CLOUD, Journal};
use crate::nodes_world::{World, web};
use crate::proxy::Proxy;
use crate::support::{Daemon, WAIT_TIMEOUT, wait_for};

/// For how many minutes, if set. Otherwise it takes some seconds.
const MINUTES: &str = "FLYBALL_IDLE_MINUTES";

/// If set, the figures are written to this file.
const RESULTS: &str = "FLYBALL_IDLE_RESULTS";

/// Most writes in an hour: the status, every five minutes and once more.
const TARGET: usize = 13;

/// How long nothing must have been written before the time begins.
const QUIET: Duration = Duration::from_secs(10);

/// A pod that fits on no node.
const TOO_LARGE: &str = "
apiVersion: v1
kind: Pod
metadata: {name: too-large}
spec:
  containers: [{name: web, image: x, resources: {requests: {cpu: 64}}}]
";

#[test]
fn nothing_but_the_status_is_written_while_nothing_happens() {
    let minutes = std::env::var(MINUTES).ok();
    let minutes: Option<u32> = minutes.map(|minutes| minutes.parse().unwrap());
    let world = World::new();
    let journal = Arc::<Journal>::default();
    let proxy = Proxy::with_journal(&world.cluster, Some(Arc::clone(&journal)));
    world.group("nodes", (3, 3, 5), &[]);
    // Pods that their budget keeps on their nodes.
    let pods = format!("{}---{TOO_LARGE}", web(6, 0));
    world.cluster.apply(&pods).unwrap();
    world.with_boots(|| {
        world.wait_for_pods(6);
        let args = [
            "--nodes=3:5:nodes",
            "--scale-down-unneeded-time=0s",
            "--scale-down-delay-after-add=0s",
        ];
        let mut daemon = Daemon::spawn(world.command(&proxy.kubeconfig(&world.workshop), &args));
        daemon.wait_until_ready();
        wait_for("events about the pod", WAIT_TIMEOUT, || {
            !world.events("NotTriggerScaleUp").is_empty()
        });
        let (mut last, mut count) = (Instant::now(), 0);
        wait_for("a quiet cluster", WAIT_TIMEOUT, || {
            let writes = journal.entries().len();
            if std::mem::replace(&mut count, writes) != writes {
                last = Instant::now();
            }
            last.elapsed() > QUIET
        });
        let length = minutes.map_or(QUIET, |minutes| Duration::from_secs(60) * minutes);
        std::thread::sleep(length);
        assert!(daemon.runs(), "the daemon has ended");
        let writes = journal.entries().split_off(count);
        let writes = writes.iter().map(|entry| &*entry.text);
        let writes: Vec<&str> = writes.filter(|text| !text.starts_with(CLOUD)).collect();
        let kinds = kinds(&writes);
        println!("{} writes in {length:?}: {kinds:?}", writes.len());
        if let (Some(file), Some(minutes)) = (std::env::var_os(RESULTS), minutes) {
            std::fs::write(file, document(minutes, &kinds)).unwrap();
        }
        // A part of an hour may have one more than its part.
        let seconds = usize::try_from(length.as_secs()).unwrap();
        let most = (TARGET - 1) * seconds / 3600 + 1;
        assert!(
            writes.len() <= most,
            "{} of {most}: {writes:#?}",
            writes.len()
        );
    });
}

/// Counts writes by method and path.
fn kinds(writes: &[&str]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for write in writes {
        let kind = write.split(['?', '{']).next().unwrap_or_default();
        *kinds.entry(kind.trim().to_owned()).or_default() += 1;
    }
    kinds
}

fn document(minutes: u32, kinds: &BTreeMap<String, usize>) -> String {
    let mut text = format!(
        "# Writes in an idle cluster\n\n\
         `cargo xtask campaign idle` writes this page. Nodes that a PodDisruptionBudget of zero \
         or the minimum of their group keeps, and a pod that fits on no node. A pass every \
         second.\n\n\
         {} writes to the API server in {minutes} minutes, without a lease; the target is \
         {TARGET} in 60 minutes.\n\n\
         | writes | request |\n|---|---|\n",
        kinds.values().sum::<usize>()
    );
    for (kind, count) in kinds {
        let _ = writeln!(text, "| {count} | `{kind}` |");
    }
    text
}
