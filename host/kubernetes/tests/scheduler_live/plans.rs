//! Plans, compared with a running kube-scheduler: a small cluster is generated from a
//! seed and built, the nodes that the plan for its pending pods orders are made ready
//! at once, then the pods are created. All pods that the plan helps must run after at
//! most one further pass.
//!
//! The scheduler scores nodes and breaks ties in its own way: small pods on the nodes
//! with most free resources can leave no node with room for a large one. Each pod that
//! therefore needed a further pass is listed, and over all clusters such passes may
//! order few nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::memory::PolicyMemories;
use flyball_kubernetes::Dump;
use flyball_nodes::backoff::Backoffs;
use flyball_nodes::census::Census;
use flyball_nodes::cloud::{Instance, InstanceState, NodeGroup};
use flyball_nodes::options::NodeOptions;
use flyball_nodes::scale_up::{Plan, PlanContext, plan};
use flyball_nodes::state::NodeFacts;
use flyball_nodes::templates::templates_of;
use flyball_placement::Node;
use flyball_test_plans::{Answer, Draft, HOSTNAME, NOW, World, fewest_nodes};
use serde_json::Value;

use crate::arena::{Arena, ROUND};
use crate::clusters;
use crate::generate::{Fate, Scenario};
use crate::manifests;

const SEED: u64 = 0xF1BA;

#[test]
fn pods_run_on_the_nodes_of_a_plan_after_at_most_one_further_pass() {
    let arena = Arena::start();
    let mut tally = Tally::default();
    let clusters = clusters(20);
    for round in 0..clusters {
        let seed = SEED + round as u64;
        let draft = Draft::of_seed(seed);
        let ran = Stage::build(&arena, &draft, round).run();
        tally.count(&format!("cluster {round}, seed {seed}"), &draft, ran);
        arena.clear();
    }
    tally.finish(clusters);
}

/// Result for a cluster.
#[derive(Default)]
struct Ran {
    nodes: usize,
    /// Nodes that the further pass ordered.
    more: usize,
    helped: usize,
    /// Pods that the first plan helps but that did not fit on its nodes, with the
    /// scheduler's reasons.
    different: Vec<String>,
    fault: Option<String>,
}

/// Sums over all clusters.
#[derive(Default)]
struct Tally {
    nodes: usize,
    more: usize,
    helped: usize,
    different: Vec<String>,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, place: &str, draft: &Draft, ran: Ran) {
        self.nodes += ran.nodes;
        self.more += ran.more;
        self.helped += ran.helped;
        if let Some(fault) = ran.fault {
            let different = ran.different.join("\n");
            let wrong = format!("{place}: {fault}\n{different}\n{draft}");
            self.wrong.push(wrong);
        }
        let different = ran.different.iter();
        let different = different.map(|line| format!("{place}: {line}"));
        self.different.extend(different);
    }

    fn finish(&self, clusters: usize) {
        let Self {
            nodes,
            more,
            helped,
            ..
        } = self;
        let (different, wrong) = (self.different.len(), self.wrong.len());
        println!(
            "{nodes} nodes for {helped} pods; {different} pods needed a further pass, of {more} \
             nodes:"
        );
        println!("{}", self.different.join("\n"));
        let shown = self.wrong.iter().take(3).cloned().collect::<Vec<_>>();
        let shown = shown.join("\n\n");
        assert!(wrong == 0, "{wrong} plans are wrong:\n{shown}");
        assert!(
            more * 20 <= *nodes,
            "{more} more nodes in further passes, of {nodes}"
        );
        let few = *nodes < 2 * clusters || *helped < 10 * clusters;
        assert!(!few, "{nodes} nodes for {helped} pods: too few");
    }
}

/// A generated cluster on the control plane.
pub struct Stage<'a> {
    arena: &'a Arena,
    round: usize,
    options: NodeOptions,
    pub groups: Vec<Arc<NodeGroup>>,
    /// Manifests of the pods that run from the beginning.
    pub running: Vec<Value>,
    /// Manifests of the other pods.
    pub waiting: Vec<Value>,
}

impl<'a> Stage<'a> {
    pub fn build(arena: &'a Arena, draft: &Draft, round: usize) -> Self {
        let World {
            nodes,
            bound,
            pending,
            mut groups,
            ..
        } = draft.world(&format!("node-{round}"));
        let written = |(facts, pod): &(_, _)| manifests::pod(facts, pod);
        let running: Vec<Value> = bound.iter().map(written).collect();
        let scenario = Scenario {
            nodes: nodes.iter().map(manifests::node).collect(),
            bound: running
                .iter()
                .map(|pod| (pod.clone(), Fate::Stays))
                .collect(),
            pending: Vec::new(),
        };
        arena.build(&scenario, round);
        for group in &mut groups {
            let group = Arc::make_mut(group);
            // New nodes have the label of every node of the cluster.
            if let Some(template) = &mut group.template {
                let round = round.to_string().into();
                Arc::make_mut(template).labels.insert(ROUND.into(), round);
            }
        }
        Self {
            arena,
            round,
            options: NodeOptions {
                max_options_per_pass: 32,
                ..NodeOptions::default()
            },
            groups,
            running,
            waiting: pending.iter().map(written).collect(),
        }
    }

    fn run(mut self) -> Ran {
        let waiting = self.arena.as_waiting(&self.waiting);
        let plan = self.plan_and_grow(&waiting);
        let (nodes, helped) = (Answer::from(&plan).nodes(), Answer::from(&plan).helped());
        let uids = self.arena.submit_all(&self.waiting);
        let left = self.arena.settle(&uids);
        let all = self.waiting.len();
        let may_be_left = all - helped as usize;
        let mut ran = Ran {
            nodes: nodes as usize,
            helped: helped as usize,
            ..Ran::default()
        };
        if left.len() <= may_be_left {
            return ran;
        }
        let different = left.iter();
        let different = different.map(|(name, message)| format!("{name}: {message}"));
        ran.different = different.collect();
        let further = self.plan_and_grow(&[]);
        let more = Answer::from(&further).nodes();
        let left = self.arena.settle(&uids).len();
        ran.more = more as usize;
        if left > may_be_left {
            ran.fault = Some(format!(
                "{left} of {all} pods are left over after two passes, not {may_be_left}"
            ));
        }
        ran
    }

    /// Plans from a dump, with pods that the API server doesn't have yet, and creates
    /// all ordered nodes.
    pub fn plan_and_grow(&mut self, waiting: &[Value]) -> Plan {
        let mut dump = Dump::read(self.arena.dump_with(waiting).as_bytes()).unwrap();
        let state = &mut dump.state;
        let census = Census::without_history(NOW, state, &self.groups, &self.options);
        let context = PlanContext {
            now: NOW,
            options: &self.options,
            engine: &fewest_nodes(),
            memories: &PolicyMemories::default(),
            census: &census,
            backoffs: &Backoffs::default(),
            seed: 0,
        };
        let plan = plan(&context, state);
        let mut come: BTreeMap<Arc<str>, Vec<NodeFacts>> = BTreeMap::new();
        for order in &plan.verdict.orders {
            let mut groups = census.groups.iter();
            let group = groups
                .find(|known| known.group.name == order.group)
                .unwrap();
            let templates = templates_of(state, group, &self.options);
            let template = templates.first().unwrap();
            let nodes = (order.from..order.to).map(|number| {
                let name = format!("{}-{}-{number}", order.group, self.round);
                NodeFacts {
                    node: Arc::new(named(&template.template.node, &name)),
                    provider_id: Some(format!("test:///{name}").into()),
                    ready: true,
                    capacity: template.capacity.clone(),
                    ..NodeFacts::default()
                }
            });
            come.entry(Arc::clone(&order.group))
                .or_default()
                .extend(nodes);
        }
        for (group, nodes) in &come {
            self.grow(group, nodes);
        }
        let nodes = come.values().flatten();
        let nodes: Vec<Value> = nodes.map(manifests::node).collect();
        self.arena.add_nodes(&nodes, self.round);
        plan
    }

    /// Adds nodes to a group.
    fn grow(&mut self, group: &str, nodes: &[NodeFacts]) {
        let mut groups = self.groups.iter_mut();
        let group = groups.find(|known| *known.name == *group).unwrap();
        let group = Arc::make_mut(group);
        for node in nodes {
            group.target_size += 1;
            group.instances.push(Instance {
                provider_id: node.provider_id.clone().unwrap(),
                state: InstanceState::Running,
                zone: None,
                instance_type: None,
                spot: None,
            });
        }
    }
}

fn named(template: &Arc<Node>, name: &str) -> Node {
    let mut node = Node::clone(template);
    node.name = name.into();
    node.labels.set(HOSTNAME.into(), name.into());
    node
}
