//! Nodes are replaced by fewer or cheaper ones, which come first.

use std::sync::Arc;

use flyball_decision::context::Reason;
use flyball_decision::key::ObjectKey;
use flyball_decision::scale_down::{MoveVerdicts, NodeVerdicts, move_verdict, node_verdict};
use flyball_nodes::options::NodeOptions;
use flyball_nodes::scale_down::ScaleDownMode;
use flyball_nodes::state::{Owner, OwnerFacts, OwnerKind, PodPhase};
use flyball_test_policies::{TestPolicy, scale_down};

use crate::expanders::first;
use crate::removals::{evicts, run};
use crate::world::World;
use crate::{MINUTE, pod};

const SECOND: i64 = 1000;

/// When the nodes of a replacement are ordered: its pods are old enough after ten minutes,
/// and it has to be proposed for ten more.
const ORDERED: i64 = 20 * MINUTE + 1;

fn may_go() -> TestPolicy {
    scale_down("may-go").judging_nodes(|_, input| {
        Ok(NodeVerdicts {
            verdict: vec![node_verdict::MAY_GO; input.nodes.len()],
            ..NodeVerdicts::default()
        })
    })
}

/// A policy that takes moves that save, the largest saving first.
fn saves() -> TestPolicy {
    scale_down("saves").judging_moves(|_, input| {
        let moves = &input.moves;
        let saving = moves.price_before.iter().zip(&moves.price_after);
        let saving = saving.map(|(before, after)| Some((*before)? - (*after)?));
        let saving: Vec<f64> = saving.map(|saving| saving.unwrap_or(-1.0)).collect();
        let verdict = saving.iter().map(|saving| match *saving > 0.0 {
            true => move_verdict::TAKE,
            false => move_verdict::LEAVE,
        });
        Ok(MoveVerdicts {
            verdict: verdict.collect(),
            score: saving.iter().map(|saving| -saving).collect(),
            reason: vec![0; moves.len()],
            reasons: vec![Reason {
                code: "Saves".to_owned(),
                sentence: "of {group:0}".to_owned(),
                ..Reason::default()
            }],
            ..MoveVerdicts::default()
        })
    })
}

/// Three large nodes with a pod each, and no small one, which would be enough for all.
fn world(change: impl FnOnce(&mut NodeOptions)) -> World {
    let mut world = World::new(vec![first()], None, |options| {
        options.scale_down.mode = ScaleDownMode::On;
        change(options);
    });
    world.judge(vec![evicts(), may_go(), saves()]);
    world.group("large", 4000, (0, 3, 5));
    world.group("small", 1000, (0, 0, 5));
    for (group, price) in [("large", 0.4), ("small", 0.1)] {
        world.change(group, |group| group.price = Some(price));
    }
    for (name, node) in [("a", "large-0"), ("b", "large-1"), ("c", "large-2")] {
        world.running(name, 1, node, &pod(300));
        let facts = OwnerFacts {
            uid: name.into(),
            kind: OwnerKind::ReplicaSet,
            key: ObjectKey {
                namespace: "default".into(),
                name: name.into(),
            },
            desired: Some(1),
            ready: 1,
            deleting: false,
        };
        world.change_state(|state| state.apply_owner(facts));
    }
    world
}

/// Runs ticks for a time.
fn run_for(world: &mut World, now: &mut i64, time: i64) -> Vec<String> {
    let until = *now + time;
    run(world, now, until)
}

fn step_names(world: &World) -> Vec<String> {
    let records = world.records();
    let steps = records
        .iter()
        .filter_map(|record| record.scale_down.as_ref());
    let steps = steps.flat_map(|record| &record.steps);
    steps
        .map(|step| format!("{} {}", step.node, step.step))
        .collect()
}

/// Lets the pod of an owner run elsewhere.
fn move_pod(world: &mut World, name: &str, to: &str) {
    world.delete_pods(&[&format!("{name}-0")]);
    let owner = Arc::new(Owner {
        uid: name.into(),
        kind: "ReplicaSet".into(),
        name: name.into(),
    });
    world.pods_as(&format!("{name}-again"), 1, 0, &pod(300), |facts| {
        facts.unschedulable = false;
        facts.phase = PodPhase::Running;
        facts.ready = true;
        facts.node = Some(to.into());
        facts.owner = Some(Arc::clone(&owner));
    });
}

#[test]
fn three_large_nodes_become_one_small_one_which_comes_first() {
    let mut world = world(|_| ());
    let mut now = 0;
    // Until the pods are old enough, nodes are unneeded one by one; then the replacement
    // saves more.
    run(&mut world, &mut now, 10 * MINUTE - SECOND);
    let calls = run(&mut world, &mut now, ORDERED - 1);
    let soft_taints: Vec<&String> = calls
        .iter()
        .filter(|call| !call.starts_with("update"))
        .collect();
    assert!(soft_taints.is_empty(), "{calls:?}");
    let records = world.records();
    let record = records
        .iter()
        .rev()
        .find_map(|record| record.scale_down.as_ref());
    let proposed = &record.unwrap().replacements;
    assert_eq!(proposed.len(), 1);
    assert_eq!(
        (
            proposed[0].leaving.len(),
            &*proposed[0].group,
            proposed[0].count
        ),
        (3, "small", 1)
    );
    assert_eq!(proposed[0].since.0, 10 * MINUTE);
    let calls = run(&mut world, &mut now, ORDERED);
    assert_eq!(
        calls,
        [
            "update large-0",
            "update large-1",
            "update large-2",
            "increase small by 1"
        ]
    );
    // Nothing goes before it has come.
    let calls = run(&mut world, &mut now, ORDERED + 2 * MINUTE);
    assert_eq!(calls, Vec::<String>::new());
    world.join("small", 0, now);
    let mut calls = Vec::new();
    for (name, node) in [("a", "large-0"), ("b", "large-1"), ("c", "large-2")] {
        calls.extend(run_for(&mut world, &mut now, 30 * SECOND));
        move_pod(&mut world, name, "small-0");
        calls.extend(run_for(&mut world, &mut now, 10 * SECOND));
        world.delete_node(node);
    }
    calls.extend(run_for(&mut world, &mut now, 10 * MINUTE));
    let calls: Vec<&String> = calls
        .iter()
        .filter(|call| !call.starts_with("update"))
        .collect();
    assert_eq!(
        calls,
        [
            "evict a-0",
            "delete large: large-0",
            "evict b-0",
            "delete large: large-1",
            "evict c-0",
            "delete large: large-2"
        ]
    );
    assert_eq!(world.group_sizes("large"), (0, 0));
    assert_eq!(world.group_sizes("small"), (1, 1));
    assert_eq!(world.marks("small-0"), "");
}
