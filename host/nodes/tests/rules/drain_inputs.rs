//! What the state keeps for scale-down, compared with a plain restatement after random
//! changes: budgets of pods, pods of owners, and which nodes have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_nodes::state::{
    BudgetFacts, ClusterState, DaemonSetFacts, DrainFacts, NodeFacts, Owner, OwnerFacts, OwnerKind,
    PodFacts, PodPhase,
};
use flyball_placement::{LabelSelector, Node, Operator, Pod, Requirement};
use proptest::prelude::*;

/// A change of the cluster.
#[derive(Clone, Debug)]
enum Change {
    Pod(PodChange),
    DeletePod(u8),
    /// Node, whether its condition Ready is True, and the value of an annotation.
    Node(u8, bool, u8),
    DeleteNode(u8),
    /// Owner, its replicas, and its ready replicas.
    Owner(u8, u8, u8),
    DeleteOwner(u8),
    /// Budget, selector, and disruptions allowed.
    Budget(u8, Option<Vec<(u8, u8)>>, u8),
    DeleteBudget(u8),
    /// Thousands of pods come and go, so that classes are numbered anew.
    Churn,
}

#[derive(Clone, Debug)]
struct PodChange {
    pod: u8,
    /// 3 is no node.
    node: u8,
    is_nominated: bool,
    labels: u8,
    owner: u8,
    phase: u8,
    is_terminating: bool,
    is_ready: bool,
    cost: u8,
}

fn change() -> impl Strategy<Value = Change> {
    let pod = (
        (0..8u8, 0..4u8, any::<bool>(), 0..6u8),
        (0..3u8, 0..3u8, any::<bool>(), any::<bool>(), 0..2u8),
    );
    let pod = pod.prop_map(|((pod, node, is_nominated, labels), rest)| {
        let (owner, phase, is_terminating, is_ready, cost) = rest;
        Change::Pod(PodChange {
            pod,
            node,
            is_nominated,
            labels,
            owner,
            phase,
            is_terminating,
            is_ready,
            cost,
        })
    });
    let requirements = prop::collection::vec((0..2u8, 0..4u8), 0..3);
    let selector = prop::option::weighted(0.9, requirements);
    prop_oneof![
        12 => pod,
        3 => (0..8u8).prop_map(Change::DeletePod),
        4 => (0..3u8, any::<bool>(), 0..2u8).prop_map(|(n, ready, a)| Change::Node(n, ready, a)),
        1 => (0..3u8).prop_map(Change::DeleteNode),
        4 => (0..2u8, 0..3u8, 0..3u8).prop_map(|(o, d, r)| Change::Owner(o, d, r)),
        1 => (0..2u8).prop_map(Change::DeleteOwner),
        6 => (0..4u8, selector, 0..2u8).prop_map(|(b, s, a)| Change::Budget(b, s, a)),
        2 => (0..4u8).prop_map(Change::DeleteBudget),
        1 => Just(Change::Churn),
    ]
}

fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey {
        namespace: namespace.into(),
        name: name.into(),
    }
}

/// The namespace of the pod or budget with this number.
fn namespace(number: u8) -> &'static str {
    if number.is_multiple_of(2) { "a" } else { "b" }
}

impl PodChange {
    fn pod(&self) -> (PodFacts, Pod) {
        let name = format!("pod-{}", self.pod);
        let node = (self.node < 3).then(|| Arc::from(format!("node-{}", self.node)));
        let bound = node.clone().filter(|_| !self.is_nominated);
        let owner = (self.owner < 2).then(|| {
            Arc::new(Owner {
                uid: format!("owner-{}", self.owner).into(),
                kind: "ReplicaSet".into(),
                name: format!("owner-{}", self.owner).into(),
            })
        });
        let facts = PodFacts {
            uid: name.as_str().into(),
            key: key(namespace(self.pod), &name),
            nominated: node.filter(|_| self.is_nominated),
            phase: match (self.phase, &bound) {
                (_, None) => PodPhase::Pending,
                (0, _) => PodPhase::Succeeded,
                _ => PodPhase::Running,
            },
            node: bound,
            deletion: self.is_terminating.then_some(Timestamp(7)),
            owner,
            ready: self.is_ready,
            drain: Arc::new(DrainFacts {
                deletion_cost: i32::from(self.cost),
                ..DrainFacts::default()
            }),
            ..PodFacts::default()
        };
        let labels = [
            (self.labels > 0).then(|| ("app", format!("{}", self.labels % 2))),
            (self.labels > 2).then(|| ("tier", format!("{}", self.labels % 3))),
        ];
        let pod = Pod {
            namespace: namespace(self.pod).into(),
            labels: labels.into_iter().flatten().collect(),
            ..Pod::default()
        };
        (facts, pod)
    }
}

fn selector(requirements: &[(u8, u8)]) -> LabelSelector {
    let requirements = requirements.iter().map(|(key, operator)| Requirement {
        key: ["app", "tier"][usize::from(*key)].into(),
        operator: match operator {
            0 => Operator::In,
            1 => Operator::NotIn,
            2 => Operator::Exists,
            _ => Operator::DoesNotExist,
        },
        values: if *operator < 2 {
            vec!["1".into()]
        } else {
            Vec::new()
        },
    });
    LabelSelector(requirements.collect())
}

/// The cluster in plain maps.
#[derive(Clone, Default)]
struct Model {
    pods: BTreeMap<Arc<str>, (PodFacts, Pod)>,
    nodes: BTreeMap<Arc<str>, NodeFacts>,
    owners: BTreeMap<Arc<str>, OwnerFacts>,
    budgets: BTreeMap<Arc<str>, BudgetFacts>,
}

impl Model {
    /// Applies a change to both. Returns whether scale-up may read it.
    fn apply(&mut self, state: &mut ClusterState, change: &Change) -> bool {
        match change {
            Change::Pod(change) => {
                let (facts, pod) = change.pod();
                state.apply_pod(facts.clone(), &pod);
                let before = self.pods.insert(facts.uid.clone(), (facts.clone(), pod));
                let now = &self.pods[&facts.uid];
                !before.is_some_and(|(mut before, pod)| {
                    before.ready = facts.ready;
                    before.drain = facts.drain;
                    (before, pod) == *now
                })
            }
            Change::DeletePod(pod) => {
                let uid = format!("pod-{pod}");
                state.delete_pod(&uid);
                self.pods.remove(&*uid).is_some()
            }
            Change::Node(node, ready, annotation) => {
                let name: Arc<str> = format!("node-{node}").into();
                let facts = NodeFacts {
                    node: Arc::new(Node {
                        name: name.clone(),
                        ..Node::default()
                    }),
                    condition_ready: *ready,
                    annotations: Arc::new(BTreeMap::from([(
                        "flyball.dev/a".into(),
                        format!("{annotation}").into(),
                    )])),
                    ..NodeFacts::default()
                };
                state.apply_node(facts.clone());
                self.nodes.insert(name, facts).is_none()
            }
            Change::DeleteNode(node) => {
                let name = format!("node-{node}");
                state.delete_node(&name);
                self.nodes.remove(&*name).is_some()
            }
            Change::Churn => {
                churn(state);
                true
            }
            other => {
                self.apply_guard(state, other);
                false
            }
        }
    }

    fn apply_guard(&mut self, state: &mut ClusterState, change: &Change) {
        match change {
            Change::Owner(owner, desired, ready) => {
                let name: Arc<str> = format!("owner-{owner}").into();
                let facts = OwnerFacts {
                    uid: name.clone(),
                    kind: OwnerKind::ReplicaSet,
                    key: key("a", &name),
                    desired: desired.checked_sub(1).map(i32::from),
                    ready: i32::from(*ready),
                    deleting: false,
                };
                state.apply_owner(facts.clone());
                self.owners.insert(name, facts);
            }
            Change::DeleteOwner(owner) => {
                let uid = format!("owner-{owner}");
                state.delete_owner(&uid);
                self.owners.remove(&*uid);
            }
            Change::Budget(budget, requirements, allowed) => {
                let name: Arc<str> = format!("budget-{budget}").into();
                let facts = BudgetFacts {
                    uid: name.clone(),
                    key: key(namespace(*budget), &name),
                    selector: requirements.as_deref().map(selector),
                    disruptions_allowed: i32::from(*allowed),
                    is_current: true,
                    always_evict_unhealthy: false,
                    min_healthy: 0,
                    current_healthy: 0,
                };
                state.apply_budget(facts.clone());
                self.budgets.insert(name, facts);
            }
            Change::DeleteBudget(budget) => {
                let uid = format!("budget-{budget}");
                state.delete_budget(&uid);
                self.budgets.remove(&*uid);
            }
            _ => {}
        }
    }

    fn budgets_of(&self, uid: &str) -> Vec<&BudgetFacts> {
        let (facts, pod) = &self.pods[uid];
        let of_namespace = self
            .budgets
            .values()
            .filter(|budget| budget.key.namespace == facts.key.namespace);
        of_namespace
            .filter(|budget| budget.selector.as_ref().is_some_and(|s| matches(s, pod)))
            .collect()
    }

    /// For each node, a text that changes if something on which its going hangs does.
    fn digests(&self) -> BTreeMap<Arc<str>, String> {
        let digest = |(name, node): (&Arc<str>, &NodeFacts)| {
            let all = self.pods.values();
            let pods = all.filter_map(|(facts, pod)| {
                let is_bound = facts.node.as_ref() == Some(name);
                let is_nominated = facts.node.is_none()
                    && facts.nominated.as_ref() == Some(name)
                    && facts.deletion.is_none();
                if is_nominated {
                    return Some(format!("{:?}", (facts, &pod.labels)));
                }
                is_bound.then(|| {
                    let owner = facts.owner.as_ref();
                    let owner = owner.and_then(|owner| self.owners.get(&owner.uid));
                    let owner = owner.map(|owner| (owner.desired, owner.deleting));
                    let budgets = self.budgets_of(&facts.uid);
                    format!("{:?}", (facts, &pod.labels, owner, budgets))
                })
            });
            let pods: Vec<String> = pods.collect();
            (name.clone(), format!("{node:?} {pods:?}"))
        };
        self.nodes.iter().map(digest).collect()
    }
}

fn matches(selector: &LabelSelector, pod: &Pod) -> bool {
    selector.0.iter().all(|requirement| {
        let mut labels = pod.labels.iter();
        let value = labels.find(|(key, _)| **key == requirement.key);
        let value = value.map(|(_, value)| &**value);
        match requirement.operator {
            Operator::In => value == Some("1"),
            Operator::NotIn => value != Some("1"),
            Operator::Exists => value.is_some(),
            _ => value.is_none(),
        }
    })
}

/// More classes than a compaction keeps.
const CHURNED: u32 = 4200;

fn churn(state: &mut ClusterState) {
    let generation = state.class_generation();
    for number in 0..CHURNED {
        let name = format!("job-{number}");
        let facts = PodFacts {
            uid: name.as_str().into(),
            key: key("a", &name),
            ..PodFacts::default()
        };
        let pod = Pod {
            namespace: "a".into(),
            labels: [("app", "1"), ("job", &*name)].into_iter().collect(),
            ..Pod::default()
        };
        state.apply_pod(facts, &pod);
        state.delete_pod(&name);
    }
    assert!(state.class_generation() > generation);
}

fn compare(state: &ClusterState, model: &Model) {
    let names = |budgets: Vec<&BudgetFacts>| -> Vec<String> {
        budgets.iter().map(|b| b.key.name.to_string()).collect()
    };
    for uid in model.pods.keys() {
        let view = state.pod(uid).unwrap();
        let found = state.budgets_of(&view).named.iter();
        let found = found.map(|id| state.budget(*id).unwrap()).collect();
        assert_eq!(names(found), names(model.budgets_of(uid)), "{uid}");
    }
    let mut budgets: Vec<&BudgetFacts> = model.budgets.values().collect();
    budgets.sort_by(|a, b| a.key.cmp(&b.key));
    let found: Vec<&BudgetFacts> = state.budgets().map(|(_, budget)| budget).collect();
    assert_eq!(found, budgets);
    for owner in ["owner-0", "owner-1"] {
        let of_owner = |facts: &PodFacts| facts.owner.as_ref().is_some_and(|o| *o.uid == *owner);
        let pods = model.pods.values();
        let expected = pods.filter(|(facts, _)| of_owner(facts) && facts.exists());
        assert_eq!(
            state.pods_of_owner(owner) as usize,
            expected.count(),
            "{owner}"
        );
        assert_eq!(state.owner(owner), model.owners.get(owner));
    }
}

/// The nodes that are new or have another digest.
fn changed(before: &Model, now: &Model) -> BTreeSet<Arc<str>> {
    let (before, now) = (before.digests(), now.digests());
    let changed = now
        .into_iter()
        .filter(|(name, digest)| before.get(name) != Some(digest));
    changed.map(|(name, _)| name).collect()
}

fn names_changed_since(state: &ClusterState, revision: u64) -> BTreeSet<Arc<str>> {
    let nodes = state.changed_since(revision);
    nodes.map(|node| node.facts.node.name.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_state_follows_each_change(changes in prop::collection::vec(change(), 1..60)) {
        let (mut state, mut model) = (ClusterState::new(), Model::default());
        for change in &changes {
            let before = model.clone();
            let (revision, drain_revision) = (state.revision(), state.drain_revision());
            let is_read = model.apply(&mut state, change);
            compare(&state, &model);
            assert_eq!(state.revision() > revision, is_read, "{change:?}");
            assert_eq!(
                names_changed_since(&state, drain_revision),
                changed(&before, &model),
                "{change:?}"
            );
        }
        let all = model.nodes.keys().cloned().collect();
        assert_eq!(names_changed_since(&state, 0), all);
        assert!(names_changed_since(&state, state.drain_revision()).is_empty());
    }
}

#[test]
fn what_cannot_be_watched_is_not_known() {
    let mut state = ClusterState::new();
    state.apply_node(NodeFacts {
        node: Arc::new(Node {
            name: "node-0".into(),
            ..Node::default()
        }),
        ..NodeFacts::default()
    });
    assert!(state.knows_owners_of("Job") && state.budgets_known());
    assert!(!state.knows_owners_of("Thing"));
    let mut seen = state.drain_revision();
    let mut expect_change = |state: &ClusterState| {
        assert_eq!(names_changed_since(state, seen).len(), 1);
        seen = state.drain_revision();
    };
    state.set_owner_kind_unavailable(OwnerKind::Job);
    expect_change(&state);
    assert!(!state.knows_owners_of("Job") && state.knows_owners_of("ReplicaSet"));
    state.set_budgets_unavailable();
    expect_change(&state);
    assert!(!state.budgets_known());
    state.set_budgets_available();
    state.set_owner_kind_available(OwnerKind::Job);
    expect_change(&state);
    assert!(state.knows_owners_of("Job") && state.budgets_known());
    assert_eq!(state.revision(), 1, "scale-up reads none of it");
}

#[test]
fn an_owner_exists_does_not_or_is_not_known() {
    let mut state = ClusterState::new();
    state.apply_node(NodeFacts {
        node: Arc::new(Node {
            name: "node".into(),
            ..Node::default()
        }),
        ..NodeFacts::default()
    });
    let owner = |kind: &str| Owner {
        uid: format!("uid-{kind}").into(),
        kind: kind.into(),
        name: "a".into(),
    };
    for kind in ["DaemonSet", "Job", "Thing"] {
        let facts = PodFacts {
            uid: kind.into(),
            key: key("a", kind),
            node: Some("node".into()),
            owner: Some(Arc::new(owner(kind))),
            ..PodFacts::default()
        };
        state.apply_pod(facts, &Pod::default());
    }
    let exist = |state: &ClusterState| {
        ["DaemonSet", "Job", "Thing"].map(|kind| state.owner_exists(&owner(kind)))
    };
    assert_eq!(exist(&state), [Some(false), Some(false), None]);
    let mut seen = state.drain_revision();
    let mut expect_change = |state: &ClusterState| {
        assert_eq!(names_changed_since(state, seen).len(), 1);
        seen = state.drain_revision();
    };
    state.apply_daemon_set(DaemonSetFacts {
        uid: owner("DaemonSet").uid,
        key: key("a", "a"),
        pod: Arc::default(),
    });
    expect_change(&state);
    state.apply_owner(OwnerFacts {
        uid: owner("Job").uid,
        kind: OwnerKind::Job,
        key: key("a", "a"),
        desired: Some(1),
        ready: 0,
        deleting: false,
    });
    expect_change(&state);
    assert_eq!(exist(&state), [Some(true), Some(true), None]);
    state.delete_daemon_set("uid-DaemonSet");
    expect_change(&state);
    state.delete_owner("uid-Job");
    expect_change(&state);
    assert_eq!(exist(&state), [Some(false), Some(false), None]);
    state.set_daemon_sets_unavailable();
    expect_change(&state);
    state.set_owner_kind_unavailable(OwnerKind::Job);
    expect_change(&state);
    assert_eq!(exist(&state), [None, None, None]);
}

#[test]
fn a_node_knows_when_a_pod_came_or_went_last() {
    let mut state = ClusterState::new();
    state.apply_node(NodeFacts {
        node: Arc::new(Node {
            name: "node".into(),
            ..Node::default()
        }),
        ..NodeFacts::default()
    });
    let last = |state: &ClusterState| state.nodes().next().unwrap().last_pod_change;
    let pod = |uid: &str, created| PodFacts {
        uid: uid.into(),
        key: key("a", uid),
        node: Some("node".into()),
        created: Timestamp(created),
        ..PodFacts::default()
    };
    let daemon = PodFacts {
        mirror: true,
        ..pod("static", 900)
    };
    state.apply_pod(daemon, &Pod::default());
    assert_eq!(last(&state), None);
    state.apply_pod(pod("b", 200), &Pod::default());
    state.apply_pod(pod("a", 100), &Pod::default());
    assert_eq!(last(&state), Some(Timestamp(200)));
    let leaving = PodFacts {
        deletion: Some(Timestamp(500)),
        ..pod("a", 100)
    };
    state.apply_pod(leaving, &Pod::default());
    assert_eq!(last(&state), Some(Timestamp(200)), "it is there still");
    state.delete_pod("a");
    assert_eq!(last(&state), Some(Timestamp(500)));
}
