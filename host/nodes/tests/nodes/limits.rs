//! Guardrails that keep nodes which are not needed: `--max-disruption`, and load that is on
//! its way.

use flyball_decision::key::ObjectKey;
use flyball_nodes::options::{MaxDisruption, NodeOptions};
use flyball_nodes::scale_down::ScaleDownMode;
use flyball_nodes::standing::{Finding, NodeStandings};
use flyball_nodes::state::{Owner, OwnerFacts, OwnerKind};
use flyball_placement::{AffinityTerm, LabelSelector, Operator, Pod, Requirement};

use crate::expanders::first;
use crate::removals::{evicts, half, run};
use crate::world::World;
use crate::{MINUTE, pod};

const SECOND: i64 = 1000;

/// A world that removes nodes of whose cpu at most half is requested.
fn world(change: impl FnOnce(&mut NodeOptions)) -> World {
    let mut world = World::new(vec![first()], None, |options| {
        options.scale_down.mode = ScaleDownMode::On;
        change(options);
    });
    world.judge(vec![evicts(), half()]);
    world
}

fn limit(text: &str) -> Option<MaxDisruption> {
    Some(text.parse().unwrap())
}

/// What the records say of nodes.
#[derive(Default)]
pub struct Findings(NodeStandings);

impl Findings {
    /// Why a node stays, after the records so far.
    pub fn of(&mut self, world: &World, node: &str) -> String {
        for record in world.records() {
            self.0.add(&record);
        }
        let standing = self.0.get(node);
        match standing.map(|standing| &standing.finding) {
            Some(Finding::Needed { stay, .. }) => format!("needed: {stay}"),
            Some(Finding::Unneeded(unneeded)) => match &unneeded.stay {
                Some(stay) => format!("unneeded: {stay}"),
                None => "goes".to_owned(),
            },
            other => format!("{other:?}"),
        }
    }
}

/// The nodes that were marked, in this order.
fn marked(calls: &[String]) -> Vec<&str> {
    let calls = calls.iter();
    calls
        .filter_map(|call| call.strip_prefix("update "))
        .collect()
}

#[test]
fn no_more_nodes_leave_at_a_time_than_may_be_disrupted() {
    let mut world = world(|options| {
        options.scale_down.max_disruption = limit("25%");
        options.scale_down.max_bulk_soft_taint_count = 0;
    });
    world.group("a", 1000, (0, 4, 5));
    let (mut now, mut findings) = (0, Findings::default());
    let calls = run(&mut world, &mut now, 16 * MINUTE);
    assert_eq!(calls, ["update a-0", "delete a: a-0"]);
    // Its Node is there: it is leaving still.
    assert_eq!(
        findings.of(&world, "a-1"),
        "unneeded: MaxDisruptionReached: the limit 25% of all groups allows 1 of 4 nodes: 1 are \
         leaving, 0 are not ready"
    );
    world.delete_node("a-0");
    // A quarter of three is one as well, and a node that is not ready counts.
    world.break_node("a-3");
    let calls = run(&mut world, &mut now, 19 * MINUTE);
    assert_eq!(calls, Vec::<String>::new());
    let reason = findings.of(&world, "a-1");
    assert!(
        reason.ends_with("0 are leaving, 1 are not ready"),
        "{reason}"
    );
    // It does not keep itself.
    let calls = run(&mut world, &mut now, 22 * MINUTE);
    assert_eq!(calls, ["update a-3", "delete a: a-3"]);
    world.delete_node("a-3");
    let calls = run(&mut world, &mut now, 23 * MINUTE);
    assert_eq!(marked(&calls), ["a-1"]);
}

#[test]
fn the_removals_of_the_last_hour_outlive_the_process() {
    let mut world = world(|options| {
        options.scale_down.max_disruption = limit("2/1h");
        options.scale_down.max_bulk_soft_taint_count = 4;
    });
    world.group("a", 1000, (0, 4, 5));
    let (mut now, mut findings) = (0, Findings::default());
    run(&mut world, &mut now, 11 * MINUTE);
    for node in ["a-0", "a-1"] {
        world.delete_node(node);
    }
    // The other two stay, whoever leads: the removals were about 10 min after the start.
    for minute in [20, 40, 60] {
        let calls = run(&mut world, &mut now, minute * MINUTE);
        assert_eq!(calls, Vec::<String>::new());
        world.restart();
    }
    let calls = run(&mut world, &mut now, 70 * MINUTE);
    assert_eq!(calls, Vec::<String>::new());
    assert_eq!(
        findings.of(&world, "a-2"),
        "unneeded: MaxDisruptionReached: the limit 2/1h of all groups allows 2 of 4 nodes: 0 are \
         leaving, 0 are not ready, 2 were removed within the time"
    );
    let calls = run(&mut world, &mut now, 71 * MINUTE + SECOND);
    assert_eq!(marked(&calls), ["a-2", "a-3"]);
}

#[test]
fn a_group_has_a_limit_of_its_own() {
    let mut world = world(|options| {
        options.scale_down.max_bulk_soft_taint_count = 0;
        options.scale_down.max_disruption = limit("3");
    });
    for group in ["a", "b", "c"] {
        world.group(group, 1000, (0, 2, 5));
    }
    world.change("a", |group| group.scale_down.max_disruption = limit("0"));
    // It goes as a whole, or not at all.
    world.change("b", |group| {
        group.scale_down.max_disruption = limit("50%");
        group.scale_down.zero_or_max = true;
    });
    let (mut now, mut findings) = (0, Findings::default());
    let calls = run(&mut world, &mut now, 10 * MINUTE + SECOND);
    assert_eq!(marked(&calls), ["c-0", "c-1"]);
    for (node, reason) in [
        ("a-0", "the limit 0 of group a allows 0 of 2 nodes"),
        ("b-1", "the limit 50% of group b allows 1 of 2 nodes"),
    ] {
        let found = findings.of(&world, node);
        assert!(found.contains(reason), "{node}: {found}");
    }
}

/// Two nodes with a pod of 600m each of the ReplicaSet web, and an empty one.
fn with_room(change: impl FnOnce(&mut NodeOptions)) -> World {
    let mut world = world(change);
    world.group("a", 1000, (1, 3, 5));
    world.running("web", 1, "a-0", &pod(600));
    world.running("web2", 1, "a-1", &pod(600));
    world
}

fn replicas(world: &mut World, kind: OwnerKind, desired: i32) {
    world.change_state(|state| {
        state.apply_owner(OwnerFacts {
            uid: "web".into(),
            kind,
            key: ObjectKey {
                namespace: "default".into(),
                name: "web".into(),
            },
            desired: Some(desired),
            ready: 1,
            deleting: false,
        });
    });
}

#[test]
fn missing_replicas_keep_the_room_that_they_need() {
    for keeps in [false, true] {
        let mut world = with_room(|options| {
            options.scale_down.keep_room_for_missing_replicas = keeps;
        });
        replicas(&mut world, OwnerKind::ReplicaSet, 2);
        let (mut now, mut findings) = (0, Findings::default());
        run(&mut world, &mut now, MINUTE);
        let found = findings.of(&world, "a-2");
        if !keeps {
            assert!(
                found.starts_with("unneeded: NotUnneededLongEnough"),
                "{found}"
            );
            continue;
        }
        assert_eq!(
            found,
            "needed: NoPlaceToMovePods: a pod of ReplicaSet default/web is missing, and finds \
             room on this node alone"
        );
        // The pod is there, and the scheduler has not tried it yet.
        world.pods_as("late", 1, now, &pod(600), |facts| {
            facts.unschedulable = false;
            facts.owner = Some(
                Owner {
                    uid: "web".into(),
                    kind: "ReplicaSet".into(),
                    name: "web".into(),
                }
                .into(),
            );
        });
        run(&mut world, &mut now, 2 * MINUTE);
        let found = findings.of(&world, "a-2");
        assert_eq!(
            found,
            "needed: NoPlaceToMovePods: pod default/late-0: it is of ReplicaSet web, is pending, \
             and finds room on this node alone"
        );
        world.delete_pods(&["late-0"]);
        // What a Job wants falls as its pods succeed, and here nothing is wanted any more.
        for (kind, desired) in [(OwnerKind::Job, 2), (OwnerKind::ReplicaSet, 1)] {
            replicas(&mut world, kind, desired);
            now += MINUTE;
            world.tick(now);
            let found = findings.of(&world, "a-2");
            assert!(found.starts_with("unneeded"), "{kind:?}: {found}");
        }
    }
}

#[test]
fn a_node_whose_room_is_needed_names_whom_it_is_kept_for() {
    let mut world = with_room(|_| ());
    world.pods("new", 1, 0, &pod(600));
    let mut findings = Findings::default();
    world.tick(0);
    assert_eq!(
        findings.of(&world, "a-2"),
        "needed: NoPlaceToMovePods: pod default/new-0: it is pending, and finds room on this node \
         alone"
    );
}

/// A term that is about the pods on the same node.
fn on_host(requirements: Vec<Requirement>) -> AffinityTerm {
    AffinityTerm {
        topology_key: "kubernetes.io/hostname".into(),
        selector: Some(LabelSelector(requirements)),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

/// A pod with more terms of anti-affinity than are judged. None selects a pod.
fn many_terms() -> Pod {
    let term = |row: i32| on_host(vec![Requirement::equals("app", row.to_string())]);
    Pod {
        anti_affinity: (0..33).map(term).collect(),
        ..pod(100)
    }
}

#[test]
fn pods_with_too_many_terms_get_no_node_and_keep_theirs_and_are_named() {
    let mut world = world(|_| ());
    world.group("a", 1000, (1, 3, 5));
    world.running("web", 1, "a-0", &pod(600));
    world.running("many", 1, "a-1", &many_terms());
    world.running("small", 1, "a-2", &pod(100));
    world.pods("more", 1, 0, &many_terms());
    let mut findings = Findings::default();
    world.tick(10_000);
    let calls = world.calls();
    let is_order = |call: &String| call.starts_with("increase");
    assert!(!calls.iter().any(is_order), "{calls:?}");
    let events = world.events();
    let event = "more-0: NotTriggerScaleUp: pod didn't trigger scale-up: 1 the pod has more than \
                 32 terms of pod affinity or spread: it can't be judged";
    assert!(events.iter().any(|known| known == event), "{events:#?}");
    assert_eq!(
        findings.of(&world, "a-1"),
        "needed: NoPlaceToMovePods: pod default/many-0: it finds no other place: the pod has more \
         than 32 terms of pod affinity or spread: it can't be judged"
    );
    let found = findings.of(&world, "a-2");
    assert!(found.starts_with("unneeded"), "{found}");
}

/// A pod with two terms of anti-affinity of its own, each of which selects all pods of its
/// crowd: the 500 pods before or after it.
fn of_crowd(row: u32) -> Pod {
    let crowd = format!("crowd-{}", row / 500);
    let term = |at: u32| {
        let except = Requirement {
            key: "id".into(),
            operator: Operator::NotIn,
            values: vec![format!("{row}-{at}").into()],
        };
        on_host(vec![Requirement::equals("app", crowd.as_str()), except])
    };
    let id = row.to_string();
    Pod {
        labels: [("app", crowd.as_str()), ("id", &id)].into_iter().collect(),
        anti_affinity: (0..2).map(term).collect(),
        ..pod(1)
    }
}

#[test]
fn a_pod_that_is_not_judged_because_of_others_gets_a_node_once_they_are_gone() {
    let mut world = world(|_| ());
    world.group("a", 1000, (1, 1, 5));
    world.running("web", 1, "a-0", &pod(1000));
    for row in 0..1000 {
        world.running(&format!("crowd-{row}"), 1, "a-0", &of_crowd(row));
    }
    world.pods("new", 1, 0, &of_crowd(1000));
    world.tick(10_000);
    assert_eq!(world.calls(), Vec::<String>::new());
    let events = world.events();
    assert!(events[0].contains("terms of pod affinity and spread select too many pods"));
    let gone: Vec<String> = (0..130).map(|row| format!("crowd-{row}-0")).collect();
    let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    world.delete_pods(&gone);
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
}
