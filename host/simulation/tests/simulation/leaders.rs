//! Changes of leader, and of policies, in each state of a drain: a new process knows
//! nothing but what the cluster has.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flyball_decision::memory::InMemoryStore;
use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;
use flyball_nodes::ports::NodesReader as _;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_simulation::{
    Cluster, Journal, LoopSetup, Loops, Options, PolicySwapper, Run, Scenario, simulate,
};
use flyball_test_policies::TestEngine;

use crate::support::{engine, judges, scenario};

/// Two nodes, each with a pod that takes half a minute to end, under a budget of one at a
/// time. One node is enough.
const CLUSTER: &str = "
duration: 2h
workloads:
- name: web
  replicas: 2
  pod: {requests: {cpu: 500m}, termination: 25s}
  load: {formula: 2}
podDisruptionBudgets:
- {name: web, maxUnavailable: 1, selector: {matchLabels: {app: web}}}
nodeGroups:
- name: nodes
  min: 1
  max: 3
  initial: 2
  capacity: {cpu: 4, memory: 16Gi}
nodeAutoscaler: {scaleDown: {mode: on}}
";

/// A clock in virtual time that ends with its process.
struct Life<'a> {
    cluster: &'a Cluster,
    now: Mutex<Timestamp>,
    end: Timestamp,
}

impl Clock for Life<'_> {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sleep_until(&self, at: Timestamp) -> bool {
        let until = at.min(self.end);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = until;
        self.cluster.advance_to(until).is_ok() && at <= self.end
    }
}

/// Runs a process from one time to another.
fn live(scenario: &Scenario, cluster: &Cluster, from: Timestamp, end: Timestamp) -> Arc<Journal> {
    cluster.advance_to(from).unwrap();
    let journal = Arc::new(Journal::new(Vec::new()));
    let clock = Life {
        cluster,
        now: Mutex::new(from),
        end,
    };
    let setup = LoopSetup {
        replica: None,
        nodes: Some(scenario.node_autoscaler.options(&Default::default())),
        engine: engine(&[]),
        recorder: Arc::clone(&journal) as _,
        store: Arc::new(InMemoryStore::default()),
    };
    pollster::block_on(Loops::new(cluster, &clock, setup).run());
    journal
}

fn steps(records: impl IntoIterator<Item = Arc<NodeDecisionRecord>>) -> Vec<String> {
    let records: Vec<_> = records.into_iter().collect();
    let parts = records
        .iter()
        .filter_map(|record| record.scale_down.as_ref());
    let steps = parts.flat_map(|part| &part.steps);
    steps
        .map(|step| format!("{} {}", step.node, step.step))
        .collect()
}

#[test]
fn a_new_leader_ends_what_another_began() {
    let scenario = scenario(CLUSTER).unwrap();
    let at = |seconds: i64| scenario.start.plus(seconds * 1000);
    let mut states = std::collections::BTreeSet::new();
    // The drain begins after ten minutes: the soft taint, the hard one, the eviction, the
    // pod that ends, the instance, the Node.
    for change in (590..=720).step_by(5) {
        for pause in [0, 600] {
            let cluster = Cluster::new(&scenario).unwrap();
            let first = live(&scenario, &cluster, scenario.start, at(change));
            let mut done = steps(first.node_entries().decisions);
            states.insert(
                done.last()
                    .map(|step| step.rsplit(' ').next().unwrap_or("").to_owned()),
            );
            let second = live(&scenario, &cluster, at(change + pause), scenario.end());
            done.push("— another leader —".to_owned());
            done.extend(steps(second.node_entries().decisions));
            let case = format!("change at {change} s, pause of {pause} s: {done:#?}");
            let run = Run::collect("", &scenario, "".into(), &cluster, &first);
            let removals = &run.nodes.as_ref().unwrap().fleet.removals;
            assert_eq!((removals.nodes.len(), removals.lost), (1, 0), "{case}");
            // Each pod moves once, or again if the first drain was given back.
            assert!(removals.evictions <= 1 + removals.taken_back, "{case}");
            cluster.with_state(|state| {
                let mut nodes = state.nodes();
                let left = nodes.next().unwrap();
                assert!(nodes.next().is_none(), "{case}");
                assert!(left.facts.node.taints.is_empty(), "{case}");
                assert!(!left.facts.node.unschedulable, "{case}");
            });
            assert_eq!(cluster.totals().ready, 2, "{case}");
        }
    }
    assert!(states.len() >= 4, "{states:?}");
}

/// Replaces the policy `utilization` by one that keeps all nodes.
struct Keep<'a>(&'a TestEngine);

impl PolicySwapper for Keep<'_> {
    fn swap(&self, _: &str, _: &Path) -> Result<(), String> {
        self.0.scale_downs.insert(judges::keeps_all().resolve());
        Ok(())
    }
}

#[test]
fn a_policy_is_swapped_in_the_middle_of_a_drain_and_the_drain_goes_on() {
    let three = CLUSTER
        .replace("initial: 2", "initial: 3")
        .replace("replicas: 2", "replicas: 3");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("new.wasm"), "").unwrap();
    // The first node's pod has been evicted, and takes its time.
    let event = "events: [{swapPolicy: {at: 10m15s, name: utilization, file: new.wasm}}]\n";
    let text = three + event;
    let scenario = Scenario::parse(&text, Path::new("test.yaml"), folder.path()).unwrap();
    let engine = engine(&[]);
    let swapper = Keep(&engine);
    let options = Options {
        swapper: Some(&swapper),
        ..Options::default()
    };
    let run = simulate("", &scenario, Arc::clone(&engine) as _, &options).unwrap();
    let nodes = run.nodes.as_ref().unwrap();
    let removals = &nodes.fleet.removals;
    let counts = (removals.nodes.len(), removals.taken_back, removals.lost);
    let steps = steps(nodes.journal.decisions.clone());
    assert_eq!(counts, (1, 0, 0), "{steps:?}");
    assert!(removals.nodes[0].at_ms > 615_000, "{removals:?}");
    assert_eq!(nodes.fleet.groups[0].last, 2);
    let changed = &nodes.journal.uses.changes;
    assert!(
        changed
            .iter()
            .any(|change| &*change.to.name == "utilization")
    );
}
