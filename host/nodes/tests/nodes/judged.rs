//! Which pods and nodes scale-down policies are asked about, and with which labels and
//! annotations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flyball_decision::context::Context;
use flyball_decision::replay::{AskedPolicy, Replay, replay};
use flyball_decision::scale_down::{
    NodeVerdicts, PodVerdicts, ScaleDownPodsInput, node_verdict, pod_verdict,
};
use flyball_nodes::record::NodeDecisionRecord;
use flyball_nodes::scale_down::ScaleDownMode;
use flyball_nodes::standing::{Finding, NodeStandings};
use flyball_nodes::state::{AnnotationKeys, BudgetFacts, DrainFacts, WantedAnnotations};
use flyball_placement::{LabelSelector, Labels, Pod};
use flyball_test_policies::{TestPolicy, scale_down};
use proptest::prelude::*;

use crate::removals::{evicts, world};
use crate::world::World;
use crate::{MINUTE, pod};

/// A question about pods: the context, and the number of rows.
type Asked = Arc<Mutex<Vec<(Context, usize)>>>;

/// A policy that notes what it is asked, and answers.
fn noting(
    name: &str,
    asked: &Asked,
    answer: impl Fn(&Context, &ScaleDownPodsInput) -> PodVerdicts + Send + Sync + 'static,
) -> TestPolicy {
    let asked = Arc::clone(asked);
    scale_down(name).judging_pods(move |context, input| {
        let mut asked = asked.lock().unwrap();
        asked.push((context.clone(), input.pods.len()));
        Ok(answer(context, input))
    })
}

fn evict_all(_: &Context, input: &ScaleDownPodsInput) -> PodVerdicts {
    PodVerdicts {
        verdict: vec![pod_verdict::EVICT; input.pods.len()],
        ..PodVerdicts::default()
    }
}

/// A policy that lets all nodes go.
fn lets_go() -> TestPolicy {
    scale_down("lets-go").judging_nodes(|_, input| {
        Ok(NodeVerdicts {
            verdict: vec![node_verdict::MAY_GO; input.nodes.len()],
            ..NodeVerdicts::default()
        })
    })
}

/// Numbers of rows that were asked about since the last call.
fn rows(asked: &Asked) -> Vec<usize> {
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    asked.into_iter().map(|(_, rows)| rows).collect()
}

/// Changes all pods of an owner.
fn change_pods(world: &mut World, owner: &str, change: impl Fn(&mut Pod, &mut DrainFacts)) {
    world.change_state(|state| {
        let pods = state.pod_uids().filter(|uid| uid.starts_with(owner));
        let pods: Vec<Arc<str>> = pods.cloned().collect();
        for uid in pods {
            let view = state.pod(&uid).unwrap();
            let (mut facts, class) = (view.facts.clone(), view.class);
            let mut pod = state.cluster().pod(class);
            change(&mut pod, Arc::make_mut(&mut facts.drain));
            state.apply_pod(facts, &pod);
        }
    });
}

fn annotate(annotations: &mut BTreeMap<Arc<str>, Arc<str>>, key: &str, value: &str) {
    annotations.insert(key.into(), value.into());
}

fn budget(world: &mut World, app: &str, allowed: i32) {
    world.change_state(|state| {
        let app = flyball_placement::Requirement::equals("app", app);
        state.apply_budget(BudgetFacts {
            uid: "budget".into(),
            key: flyball_decision::key::ObjectKey {
                namespace: "default".into(),
                name: "budget".into(),
            },
            selector: Some(LabelSelector(vec![app])),
            disruptions_allowed: allowed,
            is_current: true,
            always_evict_unhealthy: false,
            min_healthy: 1,
            current_healthy: 1,
        });
    });
}

#[test]
fn only_rows_that_changed_are_asked_about() {
    let asked = Asked::default();
    let mut world = world(|_| ());
    change_pods(&mut world, "web-0", |pod, _| {
        pod.labels = [("app", "web")].into_iter().collect();
    });
    world.judge(vec![noting("notes", &asked, evict_all), lets_go()]);
    world.tick(0);
    assert_eq!(rows(&asked), [3]);
    world.tick(10_000);
    assert_eq!(rows(&asked), [0; 0]);

    // One pod comes to a node with two others.
    world.running("late", 1, "a-0", &pod(100));
    world.tick(20_000);
    assert_eq!(rows(&asked), [1]);
    // It goes. Another one with its slot is another pod.
    world.delete_pods(&["late-0"]);
    world.tick(30_000);
    assert_eq!(rows(&asked), [0; 0]);
    world.running("other", 1, "a-1", &pod(200));
    world.tick(40_000);
    assert_eq!(rows(&asked), [1]);

    // A budget concerns one pod. That it is counted anew changes nothing.
    budget(&mut world, "web", 1);
    world.tick(50_000);
    assert_eq!(rows(&asked), [1]);
    change_pods(&mut world, "other", |_, drain| drain.deletion_cost = 7);
    budget(&mut world, "web", 1);
    world.tick(60_000);
    assert_eq!(rows(&asked), [1]);

    // A node is another one for its pods if what is known of it there changes.
    world.change_node("a-0", |facts| facts.ready_since = None);
    world.tick(70_000);
    assert_eq!(rows(&asked), [0; 0]);
    world.change_node("a-0", |facts| {
        let node = Arc::make_mut(&mut facts.node);
        let labels = node.labels.iter();
        let labels = labels.map(|(key, value)| (Arc::clone(key), Arc::clone(value)));
        let zone = ("topology.kubernetes.io/zone".into(), "b".into());
        node.labels = labels.chain([zone]).collect();
    });
    world.tick(80_000);
    assert_eq!(rows(&asked), [2]);
    // So is a group, for the pods of its nodes.
    world.change("a", |group| group.price = Some(2.0));
    world.tick(90_000);
    assert_eq!(rows(&asked), [4]);
    // All verdicts are those of the chain.
    world.judge(vec![noting("again", &asked, evict_all), lets_go()]);
    world.tick(100_000);
    assert_eq!(rows(&asked), [4]);
}

#[test]
fn a_verdict_that_has_run_out_is_asked_for_again_alone() {
    let asked = Asked::default();
    let mut world = world(|_| ());
    let policy = noting("notes", &asked, |_, input| {
        let costly = |cost: &i32| if *cost == 7 { MINUTE } else { -1 };
        PodVerdicts {
            verdict: vec![pod_verdict::BLOCK; input.pods.len()],
            until_ms: input.pods.deletion_cost.iter().map(costly).collect(),
            ..PodVerdicts::default()
        }
    });
    change_pods(&mut world, "web-1", |_, drain| drain.deletion_cost = 7);
    world.judge(vec![policy, lets_go()]);
    world.tick(0);
    assert_eq!(rows(&asked), [3]);
    world.tick(MINUTE - 10_000);
    assert_eq!(rows(&asked), [0; 0]);
    // It runs out, and is given again with the same end: it holds for one pass.
    for tick in 0..2 {
        world.tick(MINUTE + tick * 10_000);
        assert_eq!(rows(&asked), [1]);
    }
}

const WISHES: [(&str, &str); 5] = [
    ("pod-label", "team"),
    ("pod-annotation", "example.com/note"),
    ("namespace-label", "tier"),
    ("node-label", "pool"),
    ("node-annotation", "example.com/rack"),
];

/// Adds the wishes to a policy.
fn wishing(policy: TestPolicy) -> TestPolicy {
    let wishes = WISHES.iter();
    wishes.fold(policy, |policy, (kind, key)| {
        policy.wants(kind, &[("key", key)])
    })
}

/// Texts and rows of each granted input.
fn granted(context: &Context) -> Vec<(Vec<&str>, &[i32])> {
    let inputs = context.inputs.iter();
    inputs
        .map(|input| {
            assert_eq!(input.error, "");
            let texts = input.texts.iter().map(String::as_str);
            (texts.collect(), &*input.rows)
        })
        .collect()
}

/// A world whose pods and nodes have what is wished for.
fn labelled() -> World {
    let mut world = world(|_| ());
    change_pods(&mut world, "web", |pod, drain| {
        pod.labels = [("team", "red")].into_iter().collect();
        annotate(&mut drain.annotations, "example.com/note", "web");
    });
    change_pods(&mut world, "cart", |_, drain| {
        annotate(
            &mut drain.annotations,
            "example.com/note",
            &"x".repeat(1025),
        );
    });
    tier(&mut world, "gold");
    world.change_node("a-1", |facts| {
        annotate(
            Arc::make_mut(&mut facts.annotations),
            "example.com/rack",
            "7",
        );
    });
    world
}

fn tier(world: &mut World, tier: &str) {
    let labels: Labels = [("tier", tier)].into_iter().collect();
    world.change_state(|state| state.apply_namespace(&"default".into(), &labels));
}

#[test]
fn labels_and_annotations_are_granted_by_row_and_replayed() {
    let asked = Asked::default();
    let mut world = labelled();
    let of_nodes = Asked::default();
    let seen = Arc::clone(&of_nodes);
    let nodes = scale_down("nodes").judging_nodes(move |context, input| {
        seen.lock()
            .unwrap()
            .push((context.clone(), input.nodes.len()));
        Ok(NodeVerdicts {
            verdict: vec![node_verdict::MAY_GO; input.nodes.len()],
            ..NodeVerdicts::default()
        })
    });
    world.judge(vec![
        wishing(noting("notes", &asked, evict_all)),
        wishing(nodes),
    ]);
    world.tick(0);
    {
        let asked = asked.lock().unwrap();
        // web-0 and web-1 on a-0, cart-0 on a-1. The node without pods has no row.
        assert_eq!(
            granted(&asked[0].0),
            [
                (vec!["red"], &[0, 0, -1][..]),
                (vec!["web"], &[0, 0, -2]),
                (vec!["gold"], &[0, 0, 0]),
                (vec!["a"], &[0, 0]),
                (vec!["7"], &[-1, 0]),
            ]
        );
        let of_nodes = of_nodes.lock().unwrap();
        let none: (Vec<&str>, &[i32]) = (Vec::new(), &[]);
        assert_eq!(
            granted(&of_nodes[0].0),
            [
                none.clone(),
                none.clone(),
                none,
                (vec!["a"], &[0, 0, 0]),
                (vec!["7"], &[-1, 0, -1]),
            ]
        );
    }
    let record = world.records().pop().unwrap();
    let text = serde_json::to_string(&*record).unwrap();
    let read: NodeDecisionRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(read, *record);
    let resolve = |policy: AskedPolicy<'_>| world.judging(policy.name);
    assert_eq!(replay(&read, resolve), Replay::Same);
}

#[test]
fn a_row_whose_text_changed_is_asked_about_again() {
    let asked = Asked::default();
    let mut world = labelled();
    world.judge(vec![wishing(noting("notes", &asked, evict_all)), lets_go()]);
    world.tick(0);
    assert_eq!(rows(&asked), [3]);
    let mut now = 0;
    let mut next = |world: &mut World| {
        now += 10_000;
        world.tick(now);
        rows(&asked)
    };
    change_pods(&mut world, "web-1", |pod, _| {
        pod.labels = [("team", "blue")].into_iter().collect();
    });
    assert_eq!(next(&mut world), [1]);
    change_pods(&mut world, "cart", |_, drain| {
        annotate(&mut drain.annotations, "example.com/note", "cart");
    });
    assert_eq!(next(&mut world), [1]);
    // Nobody wants this one.
    change_pods(&mut world, "cart", |_, drain| {
        annotate(&mut drain.annotations, "example.com/other", "cart");
    });
    assert_eq!(next(&mut world), [0; 0]);
    tier(&mut world, "gold");
    assert_eq!(next(&mut world), [0; 0]);
    tier(&mut world, "silver");
    assert_eq!(next(&mut world), [3]);
    world.change_node("a-0", |facts| {
        annotate(
            Arc::make_mut(&mut facts.annotations),
            "example.com/rack",
            "8",
        );
    });
    assert_eq!(next(&mut world), [2]);
}

#[test]
fn more_texts_than_one_question_has_are_asked_about_in_parts() {
    let asked = Asked::default();
    let mut world = world(|_| ());
    world.group("b", 1000, (0, 1, 1));
    world.running("many", 1100, "b-0", &pod(0));
    world.change_state(|state| {
        for number in 0..1100 {
            let view = state.pod(&format!("many-{number}")).unwrap();
            let (mut facts, class) = (view.facts.clone(), view.class);
            let note = format!("{number:01024}");
            let annotations = &mut Arc::make_mut(&mut facts.drain).annotations;
            annotate(annotations, "example.com/note", &note);
            let pod = state.cluster().pod(class);
            state.apply_pod(facts, &pod);
        }
    });
    world.judge(vec![wishing(noting("notes", &asked, evict_all)), lets_go()]);
    world.tick(0);
    {
        let asked = asked.lock().unwrap();
        for (context, rows) in &*asked {
            assert_eq!(context.inputs[1].error, "");
            assert_eq!(context.inputs[1].rows.len(), *rows);
            assert!(context.inputs[1].text_bytes() <= 1 << 20);
        }
    }
    let rows = rows(&asked);
    assert_eq!((rows.len(), rows.iter().sum::<usize>()), (2, 1103));
}

/// Rows of many pods are made in a second thread, and a node's pods may be part of two
/// questions.
#[test]
fn more_pods_than_one_question_has_are_asked_about_in_order() {
    const BLOCKS: i64 = 7;
    let asked = Asked::default();
    let mut world = world(|_| ());
    let policy = noting("notes", &asked, |_, input| {
        let verdict = input.pods.cpu.iter().map(|&cpu| match cpu {
            BLOCKS => pod_verdict::BLOCK,
            _ => pod_verdict::EVICT,
        });
        PodVerdicts {
            verdict: verdict.collect(),
            ..PodVerdicts::default()
        }
    });
    world.judge(vec![policy, lets_go()]);
    for (node, count) in [("a-0", 4_000), ("a-1", 4_000), ("a-2", 1_000)] {
        world.running(&format!("{node}-web"), count, node, &pod(1));
    }
    // The last pod of the second node by name, which the second question is about.
    world.running("zz-keeps", 1, "a-1", &pod(BLOCKS));
    world.tick(0);
    let all = 3 + 4_000 + 4_000 + 1_000 + 1;
    assert_eq!(rows(&asked), [4_096, 4_096, all - 2 * 4_096]);

    let record = world.records().pop().unwrap();
    let removals = record.scale_down.as_ref().unwrap();
    let blocking = removals.questions.pods.iter().flat_map(|question| {
        let cpu = question.input.pods.cpu.iter();
        let named = cpu.zip(question.names.iter());
        named.filter(|(cpu, _)| **cpu == BLOCKS)
    });
    let blocking: Vec<String> = blocking.map(|(_, name)| name.to_string()).collect();
    assert_eq!(blocking, ["default/zz-keeps-0"]);
    let mut standings = NodeStandings::default();
    standings.add(&record);
    let blocked = blocked(&standings);
    let blocked: Vec<_> = blocked.iter().collect();
    assert_eq!(blocked.len(), 1, "{blocked:?}");
    assert!(
        blocked[0].0 == "a-1" && blocked[0].1.contains("zz-keeps-0"),
        "{blocked:?}"
    );

    // One pod changes, and the verdicts about all others are known.
    change_pods(&mut world, "zz-keeps", |_, drain| drain.deletion_cost = 7);
    world.tick(20_000);
    assert_eq!(rows(&asked), [1]);
}

#[test]
fn a_version_that_wants_another_annotation_is_asked_once_all_objects_are_listed() {
    let asked = Asked::default();
    let mut world = labelled();
    let listed = |world: &mut World, keys: &[&str]| {
        let keys = keys.iter().map(|key| Arc::from(*key)).collect();
        let keys = AnnotationKeys::Only(keys);
        world.change_state(|state| state.set_pod_annotations_listed(keys));
    };
    listed(&mut world, &[]);
    let wants = |policy: TestPolicy| policy.wants("pod-annotation", &[("key", "example.com/note")]);
    let new = || wants(noting("notes", &asked, evict_all)).digest("new");

    // Without a version before it, nobody judges.
    world.judge(vec![new(), lets_go()]);
    world.tick(0);
    assert_eq!(rows(&asked), [0; 0]);
    let waits = "autoscaler: PolicyMissing: scale-down policy notes: policy `notes` is asked \
                 once all objects are listed with pod-annotation example.com/note; the nodes of \
                 these pods stay";
    let events = world.events();
    assert!(events.iter().any(|event| event == waits), "{events:?}");
    let wanted = world.wanted().unwrap();
    assert!(wanted.pods.contains("example.com/note"));
    assert!(!wanted.pods.contains("example.com/rack") && wanted.nodes == AnnotationKeys::none());

    listed(&mut world, &["example.com/note"]);
    world.tick(10_000);
    assert_eq!(rows(&asked), [3]);
    assert_eq!(
        world.records().pop().map(|record| digests(&record)),
        Some(vec!["sha256:new".into()])
    );

    // Else that version judges meanwhile.
    listed(&mut world, &[]);
    let before = evicts().digest("before");
    let before = TestPolicy::clone(&before);
    world.judge(vec![new().after([before]), lets_go()]);
    world.tick(20_000);
    assert_eq!(rows(&asked), [0; 0]);
    let record = world.records().pop().unwrap();
    assert_eq!(digests(&record), ["sha256:before".into()]);
    listed(&mut world, &["example.com/note"]);
    world.tick(30_000);
    assert_eq!(rows(&asked), [3]);

    // Nobody wants it any more.
    world.judge(vec![evicts(), lets_go()]);
    world.tick(40_000);
    assert_eq!(world.wanted(), Some(WantedAnnotations::none()));
}

/// Digests of the policies that judged pods.
fn digests(record: &NodeDecisionRecord) -> Vec<Arc<str>> {
    let questions = &record.scale_down.as_ref().unwrap().questions;
    let parts = questions.pods.iter().flat_map(|asked| &asked.policies);
    let versions = parts.filter_map(|part| part.version.as_ref());
    versions
        .map(|version| Arc::clone(&version.digest))
        .collect()
}

/// A change of a cluster of three nodes.
#[derive(Clone, Debug)]
enum Change {
    /// Adds the pod, or moves it to another node.
    Pod {
        pod: u8,
        node: u8,
        team: u8,
    },
    Cost {
        pod: u8,
        cost: u8,
    },
    Delete {
        pod: u8,
    },
    Tier {
        tier: u8,
    },
    Rack {
        node: u8,
        rack: u8,
    },
    Price {
        price: u8,
    },
    Time,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0..8_u8, 0..3_u8, 0..3_u8).prop_map(|(pod, node, team)| Change::Pod { pod, node, team }),
        3 => (0..8_u8, 0..3_u8).prop_map(|(pod, cost)| Change::Cost { pod, cost }),
        1 => (0..8_u8).prop_map(|pod| Change::Delete { pod }),
        1 => (0..3_u8).prop_map(|tier| Change::Tier { tier }),
        1 => (0..3_u8, 0..3_u8).prop_map(|(node, rack)| Change::Rack { node, rack }),
        1 => (0..3_u8).prop_map(|price| Change::Price { price }),
        2 => Just(Change::Time),
    ]
}

impl Change {
    fn apply(&self, world: &mut World, now: &mut i64) {
        let name = |pod: u8| format!("pod{pod}-0");
        match *self {
            Self::Pod { pod, node, team } => {
                world.delete_pods(&[&name(pod)]);
                let mut object = crate::pod(10);
                let team = ["red", "green", "blue"][usize::from(team)];
                object.labels = [("team", team)].into_iter().collect();
                world.running(&format!("pod{pod}"), 1, &format!("a-{node}"), &object);
            }
            Self::Cost { pod, cost } => {
                change_pods(world, &name(pod), |_, drain| {
                    drain.deletion_cost = i32::from(cost)
                });
            }
            Self::Delete { pod } => world.delete_pods(&[&name(pod)]),
            Self::Tier { tier: number } => tier(world, &format!("tier-{number}")),
            Self::Rack { node, rack } => world.change_node(&format!("a-{node}"), |facts| {
                let annotations = Arc::make_mut(&mut facts.annotations);
                annotate(annotations, "example.com/rack", &rack.to_string());
            }),
            Self::Price { price } => {
                world.change("a", |group| group.price = Some(f64::from(price)));
            }
            Self::Time => *now += 40_000,
        }
        *now += 10_000;
    }
}

/// A verdict that depends on the row, on what the policy wants of it, and on the time as it
/// says.
fn by_row(context: &Context, input: &ScaleDownPodsInput) -> PodVerdicts {
    let text = |want: usize, row: usize| {
        let input = &context.inputs[want];
        let text = usize::try_from(input.rows[row]).ok();
        text.map_or("", |text| &*input.texts[text])
    };
    let now = context.now.0;
    let mut verdicts = PodVerdicts::default();
    for row in 0..input.pods.len() {
        let node = input.pods.node[row] as usize;
        let cost = input.pods.deletion_cost[row];
        let price = input.nodes.price[node].unwrap_or(0.0);
        let seed = format!(
            "{} {} {} {cost} {price}",
            text(0, row),
            text(2, row),
            text(4, node)
        );
        let odd = seed.bytes().map(u32::from).sum::<u32>() % 2 == 1;
        // Some rows change at a time that is a function of the row.
        let turns = (cost == 2).then_some((now / 60_000 + 1) * 60_000);
        let blocks = odd != (cost == 2 && (now / 60_000) % 2 == 0);
        verdicts.verdict.push(if blocks {
            pod_verdict::BLOCK
        } else {
            pod_verdict::EVICT
        });
        verdicts.cost.push(f64::from(cost));
        verdicts.until_ms.push(turns.unwrap_or(-1));
    }
    verdicts
}

/// The pod that keeps each node, by the policy's word.
fn blocked(standings: &NodeStandings) -> BTreeMap<String, String> {
    let nodes = standings.iter();
    let blocked = nodes.filter_map(|node| match &node.finding {
        Finding::Needed { stay, .. } if stay.policy.is_some() => {
            Some((node.node.to_string(), stay.to_string()))
        }
        _ => None,
    });
    blocked.collect()
}

/// Ticks, and adds the records.
fn tick(world: &mut World, now: i64, standings: &mut NodeStandings) {
    world.tick(now);
    for record in world.records() {
        standings.add(&record);
    }
}

proptest! {
    /// Whatever changes, kept verdicts are those of a process that asks about all rows: no
    /// row that changed is left out. Both ask about rows in other parts and orders.
    #[test]
    fn kept_verdicts_are_those_of_asking_about_all(
        changes in prop::collection::vec(change(), 1..24),
    ) {
        let mut world = world(|options| options.scale_down.mode = ScaleDownMode::Observe);
        world.delete_pods(&["web-0", "web-1", "cart-0"]);
        let rows = scale_down("rows").judging_pods(|context, input| Ok(by_row(context, input)));
        world.judge(vec![wishing(rows), lets_go()]);
        let (mut now, mut kept) = (0, NodeStandings::default());
        tick(&mut world, now, &mut kept);
        for change in changes {
            change.apply(&mut world, &mut now);
            tick(&mut world, now, &mut kept);
        }
        world.restart();
        let mut fresh = NodeStandings::default();
        tick(&mut world, now, &mut fresh);
        prop_assert_eq!(blocked(&kept), blocked(&fresh));
    }
}
