//! Plans of removals, compared with a running kube-scheduler: a small cluster is generated
//! from a seed and built, and grows by a plan, as in `plans`. Then half of its pods go. Node
//! after node that the plan of removals names is tainted and drained, and its pods are
//! created again, as their owners would. Before each node a new plan is made, as a daemon
//! does. All pods must run again without a new node.
//!
//! The scheduler scores nodes in its own way, and takes the pods in the order in which they
//! come. A pod that finds no room is therefore listed with the filters that the scheduler
//! named, and is no fault if another moved pod is elsewhere than in the plan. Over all
//! clusters, few pods may be left over.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::memory::PolicyMemories;
use flyball_kubernetes::Dump;
use flyball_nodes::backoff::Backoffs;
use flyball_nodes::census::Census;
use flyball_nodes::cloud::NodeGroup;
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_nodes::scale_down::{
    ScaleDownContext, ScaleDownMode, ScaleDownTracker, plan_scale_down,
};
use flyball_nodes::state::ClusterState;
use flyball_test_plans::{Draft, EVERYTHING_MAY_GO, NOW, Random, everything_may_go};
use serde_json::Value;

use crate::arena::{Arena, created_again};
use crate::clusters;
use crate::plans::Stage;

const SEED: u64 = 0xF1BA;

#[test]
fn pods_of_drained_nodes_run_again_without_a_new_node() {
    let arena = Arena::start();
    let mut tally = Tally::default();
    // Clusters in which a node with pods is drained.
    let clusters = clusters(20);
    for round in 0.. {
        if tally.clusters == clusters {
            break;
        }
        let seed = SEED + round as u64;
        let draft = Draft::of_seed(seed);
        let drained = Emptying::build(&arena, &draft, seed, round).run();
        if drained.occupied > 0 {
            tally.count(&format!("seed {seed}"), &draft, drained);
        }
        arena.clear();
    }
    tally.finish(clusters);
}

/// Result for a cluster.
#[derive(Default)]
struct Drained {
    empty: usize,
    occupied: usize,
    moved: usize,
    /// Pods that found no room, with the scheduler's reasons.
    left: Vec<String>,
    fault: Option<String>,
}

/// Sums over all clusters.
#[derive(Default)]
struct Tally {
    clusters: usize,
    empty: usize,
    occupied: usize,
    moved: usize,
    left: Vec<String>,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, place: &str, draft: &Draft, drained: Drained) {
        self.clusters += 1;
        self.empty += drained.empty;
        self.occupied += drained.occupied;
        self.moved += drained.moved;
        let left = drained.left.iter();
        self.left
            .extend(left.map(|line| format!("{place}: {line}")));
        if let Some(fault) = drained.fault {
            self.wrong.push(format!("{place}: {fault}\n{draft}"));
        }
    }

    fn finish(&self, clusters: usize) {
        let Self {
            empty,
            occupied,
            moved,
            left,
            wrong,
            ..
        } = self;
        println!(
            "{empty} empty nodes and {occupied} with {moved} pods removed; {} pods found no room:",
            left.len()
        );
        println!("{}", left.join("\n"));
        let shown = wrong.iter().take(3).cloned().collect::<Vec<_>>();
        let count = wrong.len();
        assert!(
            shown.is_empty(),
            "{count} plans are wrong:\n{}",
            shown.join("\n\n")
        );
        assert!(
            left.len() * 50 <= *moved,
            "{} of {moved} pods left over",
            left.len()
        );
        let few = *occupied < clusters || *moved < 3 * clusters;
        assert!(!few, "{occupied} nodes with {moved} pods: too few");
    }
}

/// A node to drain, and where its pods go in the plan.
struct Removal {
    node: Arc<str>,
    group: usize,
    /// Name and node of each pod.
    pods: Vec<(String, Option<Arc<str>>)>,
}

/// Returns the first node that a plan removes, with all times over.
fn first_removal(state: &mut ClusterState, groups: &[Arc<NodeGroup>]) -> Option<Removal> {
    let mut options = NodeOptions::default();
    options.scale_down.mode = ScaleDownMode::On;
    options.scale_down.unneeded_time_ms = 0;
    options.scale_down.policies = vec![ExpanderChoice::named(EVERYTHING_MAY_GO)];
    let census = Census::without_history(NOW, state, groups, &options);
    let context = ScaleDownContext {
        now: NOW,
        options: &options,
        engine: &everything_may_go(),
        memories: &PolicyMemories::default(),
        census: &census,
        backoffs: &Backoffs::default(),
        order: None,
        hold: None,
        seed: 0,
    };
    let plan = plan_scale_down(&context, state, &mut ScaleDownTracker::default());
    let node = plan.unneeded.get(*plan.removed.first()?)?;
    let pods = node.pods.iter().filter_map(|pod| {
        let name = state.pod_at(pod.slot)?.key.name.to_string();
        Some((name, pod.to.clone()))
    });
    Some(Removal {
        node: Arc::clone(&node.name),
        group: node.group,
        pods: pods.collect(),
    })
}

/// Removes a node from its group.
fn shrink(group: &mut Arc<NodeGroup>, node: &str) {
    let group = Arc::make_mut(group);
    let id = format!("test:///{node}");
    group
        .instances
        .retain(|instance| *instance.provider_id != *id);
    group.target_size -= 1;
}

/// A generated cluster from which pods and nodes go.
struct Emptying<'a> {
    arena: &'a Arena,
    groups: Vec<Arc<NodeGroup>>,
    /// Manifest of each pod, by name.
    pods: BTreeMap<String, Value>,
    moves: usize,
}

impl<'a> Emptying<'a> {
    /// Builds a cluster in which the scheduler has placed all pods, and deletes half of them.
    fn build(arena: &'a Arena, draft: &Draft, seed: u64, round: usize) -> Self {
        let mut stage = Stage::build(arena, draft, round);
        let waiting = arena.as_waiting(&stage.waiting);
        stage.plan_and_grow(&waiting);
        let uids = arena.submit_all(&stage.waiting);
        let left = arena.settle(&uids);
        let left: Vec<String> = left.into_iter().map(|(name, _)| name).collect();
        let mut random = Random::new(seed);
        let pods = stage.running.into_iter().chain(stage.waiting);
        let (gone, stay): (Vec<Value>, Vec<Value>) =
            pods.partition(|pod| left.contains(&name(pod)) || random.percent(50));
        arena.delete_all(&gone);
        Self {
            arena,
            groups: stage.groups,
            pods: stay.into_iter().map(|pod| (name(&pod), pod)).collect(),
            moves: 0,
        }
    }

    /// Removes nodes until the plan removes none, or a pod is left over.
    fn run(mut self) -> Drained {
        let mut drained = Drained::default();
        while drained.left.is_empty() {
            let dump = self.arena.dump_with(&[]);
            let mut dump = Dump::read(dump.as_bytes()).unwrap();
            let Some(removal) = first_removal(&mut dump.state, &self.groups) else {
                break;
            };
            match removal.pods.is_empty() {
                true => drained.empty += 1,
                false => drained.occupied += 1,
            }
            drained.moved += removal.pods.len();
            self.drain(&removal, &mut drained);
            self.arena.remove_node(&removal.node);
            shrink(&mut self.groups[removal.group], &removal.node);
        }
        drained
    }

    /// Drains a node: each pod is evicted and created again.
    fn drain(&mut self, removal: &Removal, drained: &mut Drained) {
        self.arena.mark(&removal.node);
        let on_node = self.arena.pods_on(&removal.node);
        let mut planned: Vec<&str> = removal.pods.iter().map(|(name, _)| &**name).collect();
        planned.sort_unstable();
        let there: Vec<&str> = on_node.iter().map(|(_, name)| &**name).collect();
        assert_eq!(planned, there, "pods of {}", removal.node);
        let mut uids = Vec::new();
        for (name, _) in &removal.pods {
            let pod = self.pods.remove(name).unwrap();
            let namespace = pod["metadata"]["namespace"].as_str().unwrap();
            self.arena.evict(&removal.node, namespace, name);
            self.moves += 1;
            let again = created_again(&pod, self.moves);
            uids.extend(self.arena.submit_all(std::slice::from_ref(&again)));
            self.pods.insert(self::name(&again), again);
        }
        let left = self.arena.settle(&uids);
        if left.is_empty() {
            return;
        }
        let others = removal.pods.iter().zip(&uids).filter(|((_, to), uid)| {
            let node = self.arena.node_of(uid);
            node.is_some() && node.as_deref() != to.as_deref()
        });
        let elsewhere = others.count();
        let lines = left.iter().map(|(name, message)| {
            format!("{name}: {message}; {elsewhere} other pods are elsewhere than in the plan")
        });
        drained.left.extend(lines);
        if elsewhere == 0 {
            let fault = "the other pods are where the plan has them";
            drained.fault = Some(format!("{}: {fault}", drained.left.join("\n")));
        }
    }
}

fn name(pod: &Value) -> String {
    pod["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
