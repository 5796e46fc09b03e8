//! `nodes/scale-down-mixed-4000` and `nodes/consolidate-500`: the nodes that the planner
//! orders for a mix of pods of which every second one has gone since.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use flyball_decision::memory::PolicyMemories;
use flyball_decision::policy::PolicyEngine;
use flyball_nodes::backoff::Backoffs;
use flyball_nodes::census::Census;
use flyball_nodes::cloud::NodeGroup;
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_nodes::record::Order;
use flyball_nodes::scale_down::plan::UnneededNode;
use flyball_nodes::scale_down::{
    ScaleDownContext, ScaleDownMode, ScaleDownPlan, ScaleDownTracker, plan_scale_down,
};
use flyball_nodes::state::ClusterState;
use flyball_placement::pack::{Demand, Destinations, placing_order};
use flyball_placement::{ClassId, NodeId};
use flyball_test_support::bench::report;
use serde_json::{Value, json};

use crate::shapes::{group, node, node_facts, pods, running};
use crate::world::{NOW, World};
use crate::{apply, fewest_nodes, median, mixed};

/// Largest number of passes until nothing changes any more.
const MAX_PASSES: usize = 500;

pub fn run(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    removals(engine)?;
    moves(engine)
}

/// One pass without moves over 4,000 nodes.
fn removals(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    let fleet = Fleet::half_used(20_000, engine)?;
    let options = options(&["drain-rules", "utilization"]);
    let mut times = Vec::new();
    let mut left = 0;
    for _ in 0..3 {
        let world = fleet.world()?;
        let mut control = world.control(&options, engine);
        times.push(control.tick(NOW));
        let record = control.decided()?;
        let record = record.scale_down.as_ref().context("nothing was planned")?;
        left = fleet.nodes.len() - record.unneeded.len();
    }
    let target = Some(500.0);
    report("nodes/scale-down-mixed-4000", median(times), "ms", target)?;
    let anew = fleet.packed_anew(engine)?;
    let anew: u32 = anew.iter().map(|order| order.to - order.from).sum();
    let share = left as f64 / f64::from(anew);
    report("nodes/scale-down-mixed-4000-left", share, "x", Some(1.1))
}

/// Passes with moves over 500 nodes, until nothing changes any more.
fn moves(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    let mut fleet = Fleet::half_used(2_500, engine)?;
    let options = options(&["drain-rules", "utilization", "consolidate"]);
    let mut times = Vec::new();
    for _ in 0..3 {
        let mut control = fleet.world()?.control(&options, engine);
        times.push(control.tick(NOW));
    }
    report("nodes/consolidate-500", median(times), "ms", Some(500.0))?;
    let anew = fleet.packed_anew(engine)?;
    let prices = anew.iter().filter_map(|order| {
        let price = fleet.groups.get(&*order.group)?.price?;
        Some(price * f64::from(order.to - order.from))
    });
    let anew: f64 = prices.sum();
    let mut moved = 0;
    let mut passes = 0;
    let mut tracker = ScaleDownTracker::default();
    for _ in 0..MAX_PASSES {
        passes += 1;
        let step = fleet.pass(&options, engine, &mut tracker)?;
        if step == 0 {
            break;
        }
        moved += step;
    }
    let share = fleet.price() / anew;
    report("nodes/consolidate-500-price", share, "x", Some(1.1))?;
    report(
        "nodes/consolidate-500-passes",
        f64::from(passes),
        "passes",
        None,
    )?;
    let moved = u32::try_from(moved)?;
    report(
        "nodes/consolidate-500-moved",
        f64::from(moved),
        "pods",
        None,
    )
}

/// Options with this chain, without times and with a threshold of all of a node.
fn options(chain: &[&str]) -> NodeOptions {
    let mut options = NodeOptions::default();
    let down = &mut options.scale_down;
    down.mode = ScaleDownMode::Observe;
    down.unneeded_time_ms = 0;
    down.replacement_stable_time_ms = 0;
    down.max_parallelism = u32::MAX;
    down.max_drain_parallelism = u32::MAX;
    let choices = chain.iter().map(|name| ExpanderChoice {
        configuration: match *name {
            "utilization" => r#"{"threshold":1.0}"#,
            _ => "{}",
        }
        .into(),
        ..ExpanderChoice::named(name)
    });
    down.policies = choices.collect();
    options
}

/// Nodes and the pods that run on them.
struct Fleet {
    /// The group of each node.
    nodes: BTreeMap<String, String>,
    /// Pods by name, each with its node.
    pods: BTreeMap<String, (Value, String)>,
    groups: BTreeMap<String, Arc<NodeGroup>>,
    /// Nodes that were made so far.
    made: usize,
}

impl Fleet {
    /// Orders nodes for the first pods of the mix, binds them, and drops every second one.
    fn half_used(count: usize, engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<Self> {
        let all = mixed::objects().0;
        let share = all.len() / count;
        let objects = all.into_iter().step_by(share);
        let objects: Vec<Value> = objects.map(owned).collect();
        let groups = mixed::groups();
        let groups = groups.into_iter();
        let mut fleet = Self {
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
            groups: groups
                .map(|group| (group.name.to_string(), group))
                .collect(),
            made: 0,
        };
        for order in orders(&objects, engine)? {
            for _ in order.from..order.to {
                fleet.add_node(&order.group);
            }
        }
        fleet.bind(objects, None)?;
        let second: Vec<String> = fleet.pods.keys().skip(1).step_by(2).cloned().collect();
        for name in second {
            fleet.pods.remove(&name);
        }
        Ok(fleet)
    }

    fn add_node(&mut self, group: &str) -> String {
        let name = format!("{group}-{}", self.made);
        self.made += 1;
        self.nodes.insert(name.clone(), group.to_owned());
        name
    }

    /// Binds pods to nodes as the scheduler's filters allow, in several rounds, since pods
    /// with affinity wait for others. With `only`, to these nodes alone.
    fn bind(&mut self, objects: Vec<Value>, only: Option<&[String]>) -> anyhow::Result<()> {
        let mut state = self.state()?;
        apply(&mut state, pods(objects.iter().cloned())?);
        let mut waiting = in_order(&state);
        let objects: BTreeMap<String, Value> = objects
            .into_iter()
            .filter_map(|pod| Some((pod["metadata"]["name"].as_str()?.to_owned(), pod)))
            .collect();
        let cluster = state.cluster();
        let mut all: Vec<NodeId> = match only {
            Some(names) => names
                .iter()
                .filter_map(|name| cluster.find_node(name))
                .collect(),
            None => cluster.node_ids().collect(),
        };
        all.sort_unstable();
        let (sought, mut rounds) = (waiting.len(), 0);
        while !waiting.is_empty() && rounds < 8 {
            rounds += 1;
            let mut destinations = Destinations::new(state.cluster(), all.clone());
            let mut left = Vec::new();
            for (class, name) in waiting {
                let node = destinations.place(state.cluster_mut(), class);
                let node = node.and_then(|node| state.cluster().node(node).cloned());
                match (node, objects.get(&name)) {
                    (Some(node), Some(pod)) => {
                        let bound = (pod.clone(), node.name.to_string());
                        self.pods.insert(name, bound);
                    }
                    _ => left.push((class, name)),
                }
            }
            waiting = left;
        }
        let bound = self.pods.len();
        ensure!(bound * 10 >= sought * 9, "{bound} of {sought} pods run");
        Ok(())
    }

    /// The cluster: nodes, and pods that run.
    fn state(&self) -> anyhow::Result<ClusterState> {
        let mut state = ClusterState::new();
        for (name, of) in &self.nodes {
            let group = self.groups.get(of).context("no such group")?;
            let template = group.template.as_ref().context("no template")?;
            let amount = |resource: &str| template.allocatable.get(resource).copied();
            let milli = |resource| amount(resource).unwrap_or_default();
            let size = json!({
                "cpu": format!("{}m", milli("cpu")),
                "memory": (milli("memory") / 1000).to_string(),
                "pods": (milli("pods") / 1000).to_string(),
            });
            state.apply_node(node_facts(node(name, &json!(template.labels), &size))?);
        }
        crate::scale_down::owners(&mut state, 1);
        let bound = self.pods.values();
        let bound = bound.map(|(pod, node)| running(pod.clone(), node));
        apply(&mut state, pods(bound)?);
        Ok(state)
    }

    /// The groups with their nodes.
    fn sized_groups(&self) -> Vec<Arc<NodeGroup>> {
        let mut names: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (node, group) in &self.nodes {
            names.entry(group).or_default().push(node.clone());
        }
        let groups = self.groups.values().map(|known| {
            let template = known.template.as_deref().cloned().unwrap_or_default();
            let nodes = names.remove(&*known.name).unwrap_or_default();
            group(
                &known.name,
                template,
                known.price.unwrap_or_default(),
                &nodes,
            )
        });
        groups.collect()
    }

    fn world(&self) -> anyhow::Result<World> {
        Ok(World::new(self.state()?, self.sized_groups()))
    }

    fn price(&self) -> f64 {
        let groups = self.nodes.values().filter_map(|of| self.groups.get(of));
        groups.filter_map(|group| group.price).sum()
    }

    /// Orders for the pods that are left, in a cluster without nodes.
    fn packed_anew(&self, engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<Vec<Order>> {
        let objects: Vec<Value> = self.pods.values().map(|(pod, _)| pod.clone()).collect();
        orders(&objects, engine)
    }

    /// Plans and carries out one pass. Returns the number of pods that moved, or 0 if nothing
    /// changed.
    fn pass(
        &mut self,
        options: &NodeOptions,
        engine: &Arc<dyn PolicyEngine>,
        tracker: &mut ScaleDownTracker,
    ) -> anyhow::Result<usize> {
        let mut state = self.state()?;
        let groups = self.sized_groups();
        let census = Census::without_history(NOW, &state, &groups, options);
        let context = ScaleDownContext {
            now: NOW,
            options,
            engine: &**engine,
            memories: &PolicyMemories::default(),
            census: &census,
            backoffs: &Backoffs::default(),
            order: None,
            hold: None,
            seed: 0,
        };
        // Verdicts are kept by the revisions of a state, and this one is new.
        *tracker = ScaleDownTracker::default();
        let plan = plan_scale_down(&context, &mut state, tracker);
        self.carry_out(&state, &plan)
    }

    fn carry_out(&mut self, state: &ClusterState, plan: &ScaleDownPlan) -> anyhow::Result<usize> {
        let mut moved = 0;
        for &at in &plan.removed {
            let homeless = self.remove_node(state, &plan.unneeded[at], &mut moved)?;
            ensure!(homeless.is_empty(), "a pod moves to no node");
        }
        let ordered = plan.replacements.iter().filter(|one| one.is_ordered);
        for one in ordered.clone() {
            let mut homeless = Vec::new();
            for &at in &one.nodes {
                homeless.extend(self.remove_node(state, &plan.unneeded[at], &mut moved)?);
            }
            let new = (0..one.key.count).map(|_| self.add_node(&one.key.group));
            let new: Vec<String> = new.collect();
            let (before, count) = (self.pods.len(), homeless.len());
            self.bind(homeless, Some(&new))?;
            ensure!(self.pods.len() == before + count, "pods have no room");
        }
        let is_changed = !plan.removed.is_empty() || ordered.count() > 0;
        Ok(moved.max(usize::from(is_changed)))
    }

    /// Removes a node, and moves its pods where the plan says. Returns those that move to new
    /// nodes.
    fn remove_node(
        &mut self,
        state: &ClusterState,
        node: &UnneededNode,
        moved: &mut usize,
    ) -> anyhow::Result<Vec<Value>> {
        let mut homeless = Vec::new();
        for pod in &node.pods {
            let name = &state.pod_at(pod.slot).context("no such pod")?.key.name;
            let (object, _) = self.pods.remove(&**name).context("no such pod")?;
            *moved += 1;
            match pod.to.as_ref().filter(|to| self.nodes.contains_key(&***to)) {
                Some(to) => {
                    self.pods.insert(name.to_string(), (object, to.to_string()));
                }
                None => homeless.push(object),
            }
        }
        self.nodes.remove(&*node.name);
        Ok(homeless)
    }
}

/// Gives a pod an owner, without which it may not move.
fn owned(mut pod: Value) -> Value {
    pod["metadata"]["ownerReferences"] = json!([
        { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-0", "uid": "uid-web-0",
          "controller": true },
    ]);
    pod
}

/// Class and name of the pending pods, in the order in which the planner places them.
fn in_order(state: &ClusterState) -> Vec<(ClassId, String)> {
    let mut classes: BTreeMap<ClassId, Vec<String>> = BTreeMap::new();
    for (class, pods) in state.unschedulable() {
        let names = pods.map(|pod| pod.key.name.to_string());
        classes.entry(class).or_default().extend(names);
    }
    let demand = |(class, names): (&ClassId, &Vec<String>)| Demand {
        class: *class,
        count: u32::try_from(names.len()).unwrap_or(u32::MAX),
    };
    let demands: Vec<(Demand, i32)> = classes.iter().map(|entry| (demand(entry), 0)).collect();
    let order = placing_order(state.cluster(), &demands).into_iter();
    let pods = order.flat_map(|row| {
        let class = demands[row].0.class;
        let names = classes.remove(&class).unwrap_or_default();
        names.into_iter().map(move |name| (class, name))
    });
    pods.collect()
}

/// Orders for pods in a cluster without nodes.
fn orders(objects: &[Value], engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<Vec<Order>> {
    let mut state = ClusterState::new();
    apply(&mut state, pods(objects.iter().cloned())?);
    let world = World::new(state, mixed::groups());
    let mut control = world.control(&fewest_nodes(), engine);
    control.tick(NOW);
    Ok(control.decided()?.verdict.orders.clone())
}
