//! What holds whatever policies answer: they can forbid and delay removals, and never permit
//! what the host or another policy forbids.

use std::collections::BTreeSet;
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::memory::PolicyMemories;
use flyball_decision::scale_down::{NodeVerdicts, PodVerdicts};
use flyball_decision::time::Timestamp;
use flyball_nodes::backoff::Backoffs;
use flyball_nodes::census::Census;
use flyball_nodes::cloud::{GroupScaleDown, Instance, InstanceState, NodeGroup};
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_nodes::scale_down::{
    ScaleDownContext, ScaleDownMode, ScaleDownPlan, ScaleDownTracker, plan_scale_down,
};
use flyball_nodes::state::{BudgetFacts, ClusterState, NodeFacts, Owner, PodFacts, PodPhase};
use flyball_placement::{LabelSelector, Node, Resources};
use flyball_test_policies::{TestEngine, TestPolicy, scale_down};
use proptest::prelude::*;

use crate::pod;

/// A pod of a random cluster.
#[derive(Clone, Debug)]
struct Drawn {
    node: usize,
    cpu: i64,
    mirror: bool,
    of_daemon_set: bool,
    /// Its namespace: that of each has a budget of its own.
    team: usize,
}

/// A random cluster of one group.
#[derive(Clone, Debug)]
struct Drawing {
    nodes: usize,
    min_size: u32,
    disabled: Vec<bool>,
    pods: Vec<Drawn>,
    /// Disruptions that the budget of each team allows. `None` without a budget.
    budgets: Vec<Option<i32>>,
}

/// Answers of a policy, by row: used from the start for each question.
#[derive(Clone, Debug)]
struct Answers {
    pods: Vec<u32>,
    nodes: Vec<u32>,
    scores: Vec<f64>,
    fails: bool,
}

fn drawing() -> impl Strategy<Value = Drawing> {
    (2_usize..7).prop_flat_map(|nodes| {
        let pod = (0..nodes, 1_i64..5, any::<u8>(), 0_usize..3);
        let pods = prop::collection::vec(pod, 0..16);
        let budgets = prop::collection::vec(prop::option::of(0_i32..3), 3);
        let disabled = prop::collection::vec(prop::bool::weighted(0.2), nodes);
        (0_u32..3, disabled, pods, budgets).prop_map(move |(min_size, disabled, pods, budgets)| {
            let pods = pods.into_iter().map(|(node, cpu, kind, team)| Drawn {
                node,
                cpu: cpu * 100,
                mirror: kind < 20,
                of_daemon_set: (20..60).contains(&kind),
                team,
            });
            Drawing {
                nodes,
                min_size,
                disabled,
                pods: pods.collect(),
                budgets,
            }
        })
    })
}

fn answers() -> impl Strategy<Value = Answers> {
    let pods = prop::collection::vec(0_u32..7, 1..16);
    let nodes = prop::collection::vec(0_u32..5, 1..8);
    let scores = prop::collection::vec(-5.0..5.0, 1..8);
    (pods, nodes, scores, prop::bool::weighted(0.1)).prop_map(|(pods, nodes, scores, fails)| {
        Answers {
            pods,
            nodes,
            scores,
            fails,
        }
    })
}

fn state(drawing: &Drawing) -> ClusterState {
    let mut state = ClusterState::new();
    for at in 0..drawing.nodes {
        let name: Arc<str> = format!("node-{at}").into();
        let allocatable = Resources {
            cpu: 1000,
            memory: 1 << 30,
            pods: 20,
            ..Resources::default()
        };
        let disabled = drawing.disabled[at].then(|| {
            let key = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
            (key.into(), "true".into())
        });
        state.apply_node(NodeFacts {
            uid: Arc::clone(&name),
            node: Arc::new(Node {
                name: Arc::clone(&name),
                allocatable: allocatable.clone(),
                ..Node::default()
            }),
            provider_id: Some(name),
            ready: true,
            capacity: allocatable,
            annotations: Arc::new(disabled.into_iter().collect()),
            ..NodeFacts::default()
        });
    }
    for (at, drawn) in drawing.pods.iter().enumerate() {
        let kind = if drawn.of_daemon_set {
            "DaemonSet"
        } else {
            "ReplicaSet"
        };
        let namespace: Arc<str> = format!("team-{}", drawn.team).into();
        let name: Arc<str> = format!("pod-{at}").into();
        let mut object = pod(drawn.cpu);
        object.namespace = Arc::clone(&namespace);
        let facts = PodFacts {
            uid: Arc::clone(&name),
            key: ObjectKey { namespace, name },
            node: Some(format!("node-{}", drawn.node).into()),
            phase: PodPhase::Running,
            ready: true,
            mirror: drawn.mirror,
            owner: Some(Arc::new(Owner {
                uid: format!("owner-{kind}").into(),
                kind: kind.into(),
                name: "owner".into(),
            })),
            ..PodFacts::default()
        };
        state.apply_pod(facts, &object);
    }
    for (team, allowed) in drawing.budgets.iter().enumerate() {
        let Some(allowed) = *allowed else { continue };
        state.apply_budget(BudgetFacts {
            uid: format!("budget-{team}").into(),
            key: ObjectKey {
                namespace: format!("team-{team}").into(),
                name: "budget".into(),
            },
            selector: Some(LabelSelector::default()),
            disruptions_allowed: allowed,
            is_current: true,
            always_evict_unhealthy: false,
            min_healthy: 1,
            current_healthy: 1,
        });
    }
    state
}

fn policy(name: &str, answers: &Answers) -> TestPolicy {
    let failure = || {
        let message = "it fails in this case".to_owned();
        Err(flyball_decision::policy::PolicyFailure::Trapped(message))
    };
    let (of_pods, of_nodes) = (answers.clone(), answers.clone());
    scale_down(name)
        .judging_pods(move |_, input| {
            if of_pods.fails {
                return failure();
            }
            let rows = of_pods.pods.iter().cycle();
            Ok(PodVerdicts {
                verdict: rows.copied().take(input.pods.len()).collect(),
                ..PodVerdicts::default()
            })
        })
        .judging_nodes(move |_, input| {
            let rows = of_nodes.nodes.iter().cycle();
            let scores = of_nodes.scores.iter().cycle();
            Ok(NodeVerdicts {
                verdict: rows.copied().take(input.nodes.len()).collect(),
                score: scores.copied().take(input.nodes.len()).collect(),
                ..NodeVerdicts::default()
            })
        })
}

/// Plans with a chain of policies that answer so. All times are over.
fn plan(drawing: &Drawing, state: &mut ClusterState, chain: &[Answers]) -> ScaleDownPlan {
    let engine = TestEngine::default();
    let mut options = NodeOptions::default();
    let scale_down = &mut options.scale_down;
    scale_down.mode = ScaleDownMode::On;
    (
        scale_down.unneeded_time_ms,
        scale_down.max_drain_parallelism,
    ) = (0, 10);
    scale_down.policies.clear();
    for (at, answers) in chain.iter().enumerate() {
        let name = format!("policy-{at}");
        scale_down.policies.push(ExpanderChoice::named(&name));
        engine.scale_downs.insert(policy(&name, answers).resolve());
    }
    let instance = |at: usize| Instance {
        provider_id: format!("node-{at}").into(),
        zone: None,
        state: InstanceState::Running,
        instance_type: None,
        spot: None,
    };
    let target_size = u32::try_from(drawing.nodes).unwrap();
    let group = NodeGroup {
        name: "group".into(),
        min_size: drawing.min_size,
        max_size: 10,
        target_size,
        instances: (0..drawing.nodes).map(instance).collect(),
        zones: Vec::new(),
        template: None,
        price: None,
        instance_type: None,
        spot: None,
        scale_down: GroupScaleDown::default(),
        suspended: Vec::new(),
    };
    let now = Timestamp(1_800_000_000_000);
    let census = Census::without_history(now, state, &[Arc::new(group)], &options);
    let context = ScaleDownContext {
        now,
        options: &options,
        engine: &engine,
        memories: &PolicyMemories::default(),
        census: &census,
        backoffs: &Backoffs::default(),
        order: None,
        hold: None,
        seed: 0,
    };
    plan_scale_down(&context, state, &mut ScaleDownTracker::default())
}

/// Free resources and pods of all nodes.
fn picture(state: &ClusterState) -> Vec<String> {
    let cluster = state.cluster();
    let nodes = cluster.node_ids();
    nodes
        .map(|id| {
            let pods: Vec<_> = cluster.placed(id).collect();
            format!("{:?} {:?} {pods:?}", cluster.node(id), cluster.free(id))
        })
        .collect()
}

proptest! {
    #[test]
    fn no_answer_gets_past_a_guardrail(
        drawing in drawing(),
        chain in prop::collection::vec(answers(), 0..4),
    ) {
        let mut state = state(&drawing);
        let before = picture(&state);
        let plan = plan(&drawing, &mut state, &chain);
        prop_assert_eq!(before, picture(&state), "a plan leaves the cluster as it was");
        let removed = plan.removed.iter().map(|&at| &plan.unneeded[at]);
        let removed: Vec<_> = removed.collect();
        prop_assert!(drawing.nodes - removed.len() >= drawing.min_size as usize);
        prop_assert!(removed.is_empty() || !chain.is_empty());
        let mut disruptions = [0; 3];
        let gone: BTreeSet<&str> = removed.iter().map(|node| &*node.name).collect();
        for node in &removed {
            let at: usize = node.name["node-".len()..].parse().unwrap();
            prop_assert!(!drawing.disabled[at], "{} is annotated", node.name);
            for moved in &node.pods {
                let pod = state.pod_at(moved.slot).unwrap();
                prop_assert!(!pod.facts.mirror && !pod.of_daemon_set());
                let to = moved.to.as_ref().unwrap();
                prop_assert!(!gone.contains(&**to) , "{to} goes itself");
                let team: usize = pod.key.namespace["team-".len()..].parse().unwrap();
                disruptions[team] += 1;
            }
            // Each pod that runs there is moved, or may be left alone.
            let pods = state.pods_on(&node.name);
            let left = pods.filter(|pod| !node.pods.iter().any(|moved| moved.slot == pod.slot));
            for pod in left {
                prop_assert!(pod.facts.mirror || pod.of_daemon_set(), "{} is lost", pod.key.name);
            }
        }
        for (team, allowed) in drawing.budgets.iter().enumerate() {
            // A budget that allows some is not exceeded but by the last node, whose pods are
            // evicted one after the other.
            if *allowed == Some(0) {
                prop_assert_eq!(disruptions[team], 0);
            }
        }
    }

    #[test]
    fn no_policy_permits_what_another_forbids(
        drawing in drawing(),
        chain in prop::collection::vec(answers(), 1..3),
        further in answers(),
        first in any::<bool>(),
    ) {
        let few = plan(&drawing, &mut state(&drawing), &chain);
        let mut longer = chain.clone();
        longer.insert(if first { 0 } else { chain.len() }, further);
        let many = plan(&drawing, &mut state(&drawing), &longer);
        // What keeps a node without the further policy, other than that nobody was in favour.
        let is_verdict = |code: &str| ["MustStay", "BlockedByPod", "PolicyFailed", "UnknownVerdict"]
            .contains(&code);
        let forbidden = few.needed.iter().filter(|node| {
            let nobody = node.stay.pod_code.as_deref() == Some("NobodyJudged");
            is_verdict(&node.stay.code) && !nobody && node.stay.policy.is_some()
        });
        let goes: BTreeSet<&str> = many.unneeded.iter().map(|node| &*node.name).collect();
        for node in forbidden {
            prop_assert!(!goes.contains(&*node.name), "{} was kept: {}", node.name, node.stay);
        }
    }
}
