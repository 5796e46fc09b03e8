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

/// A policy that takes moves that save, the largest saving first, or only replacements.
fn saves(takes_removals: bool) -> TestPolicy {
    scale_down("saves").judging_moves(move |_, input| {
        let moves = &input.moves;
        let saving = moves.price_before.iter().zip(&moves.price_after);
        let saving = saving.map(|(before, after)| Some((*before)? - (*after)?));
        let saving: Vec<f64> = saving.map(|saving| saving.unwrap_or(-1.0)).collect();
        let rows = saving.iter().enumerate();
        let verdict = rows.map(|(row, saving)| {
            let is_removal = moves.coming(row).next().is_none();
            match *saving > 0.0 && (takes_removals || !is_removal) {
                true => move_verdict::TAKE,
                false => move_verdict::LEAVE,
            }
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
pub fn world(change: impl FnOnce(&mut NodeOptions)) -> World {
    let mut world = World::new(vec![first()], None, |options| {
        options.scale_down.mode = ScaleDownMode::On;
        change(options);
    });
    world.judge(vec![evicts(), may_go(), saves(true)]);
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

/// A world in which nodes are replaced, and none is removed otherwise.
fn replacing() -> World {
    let mut world = world(|_| ());
    world.judge(vec![evicts(), may_go(), saves(false)]);
    world
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

/// Calls of the cloud alone.
fn of_cloud(calls: &[String]) -> Vec<&str> {
    let calls = calls.iter().map(String::as_str);
    calls.filter(|call| !call.starts_with("update")).collect()
}

#[test]
fn another_process_neither_orders_twice_nor_forgets() {
    let mut world = world(|_| ());
    let mut now = 0;
    // The mark is written, and the process dies before it orders.
    world.fail("increase small", "Unreachable", false);
    let calls = run(&mut world, &mut now, ORDERED);
    assert_eq!(of_cloud(&calls), ["increase small by 1"]);
    assert_eq!(world.group_sizes("small"), (0, 0));
    world.mend("increase small");
    world.restart();
    let calls = run(&mut world, &mut now, ORDERED + MINUTE);
    assert_eq!(of_cloud(&calls), Vec::<&str>::new());
    assert!(!world.marks("large-0").contains("replaced-by"));
    // It is proposed anew, for as long as at first.
    let calls = run_for(&mut world, &mut now, 11 * MINUTE);
    assert_eq!(of_cloud(&calls), ["increase small by 1"]);
    // The order was sent.
    world.restart();
    let calls = run_for(&mut world, &mut now, MINUTE);
    assert_eq!(of_cloud(&calls), Vec::<&str>::new());
    assert!(world.marks("large-0").contains("replaced-by"));
    world.join("small", 0, now);
    // The node is ready.
    world.restart();
    let calls = run_for(&mut world, &mut now, 10 * SECOND);
    assert_eq!(of_cloud(&calls), ["evict a-0"]);
    move_pod(&mut world, "a", "small-0");
    world.restart();
    let calls = run_for(&mut world, &mut now, 30 * SECOND);
    assert_eq!(of_cloud(&calls)[..1], ["delete large: large-0"]);
    let steps = step_names(&world);
    for step in [
        "large-0 ReplacementDropped",
        "large-0 ReplacementOrdered",
        "large-0 ReplacementResumed",
        "large-0 ReplacementReady",
    ] {
        assert!(
            steps.iter().any(|known| known == step),
            "{step}: {steps:#?}"
        );
    }
}

#[test]
fn nodes_that_were_marked_are_not_replaced_once_another_process_leads() {
    let mut world = world(|_| ());
    let mut now = 0;
    run(&mut world, &mut now, ORDERED - 1);
    world.depose_at("update large-2");
    let calls = run(&mut world, &mut now, ORDERED);
    assert_eq!(
        calls,
        ["update large-0", "update large-1", "update large-2"]
    );
    assert_eq!(world.group_sizes("small"), (0, 0));
    let steps = step_names(&world);
    let dropped = "large-2 ReplacementDropped".to_owned();
    assert!(steps.contains(&dropped), "{steps:#?}");
}

#[test]
fn nodes_stay_if_what_should_replace_them_does_not_come() {
    // Out of capacity: the group is backed off, and not proposed again until that is over.
    let mut refused = replacing();
    refused.refuse("small");
    let mut now = 0;
    let calls = run(&mut refused, &mut now, ORDERED + 4 * MINUTE);
    assert_eq!(of_cloud(&calls), ["increase small by 1"]);
    for node in ["large-0", "large-1", "large-2"] {
        let marks = refused.marks(node);
        assert!(!marks.contains("replaced-by"), "{marks}");
        assert!(!marks.contains("ToBeDeleted"), "{marks}");
    }

    // Ordered, and never there.
    let mut stalled = replacing();
    stalled.stall("small");
    let mut now = 0;
    let calls = run(&mut stalled, &mut now, ORDERED + 17 * MINUTE);
    let calls = of_cloud(&calls);
    assert_eq!(calls, ["increase small by 1", "decrease small by 1"]);
    assert!(!stalled.marks("large-0").contains("replaced-by"));

    // Dearer by then.
    let mut dear = replacing();
    let mut now = 0;
    run(&mut dear, &mut now, ORDERED);
    dear.change("small", |group| group.price = Some(2.0));
    let calls = run_for(&mut dear, &mut now, MINUTE);
    assert_eq!(of_cloud(&calls), Vec::<&str>::new());
    assert!(!dear.marks("large-0").contains("replaced-by"));

    // There, and full by then: it stays, and so do the others.
    let mut full = replacing();
    let mut now = 0;
    run(&mut full, &mut now, ORDERED);
    full.join("small", 0, now);
    full.running("late", 1, "small-0", &pod(800));
    let calls = run_for(&mut full, &mut now, 7 * MINUTE);
    assert_eq!(of_cloud(&calls), Vec::<&str>::new());
    assert!(!full.marks("large-0").contains("replaced-by"));
    let steps = step_names(&full);
    let dropped = "large-0 ReplacementDropped";
    assert!(steps.iter().any(|step| step == dropped), "{steps:#?}");
}

/// Replacements that are proposed after so long.
fn proposed(world: &mut World, until: i64) -> Vec<(usize, String)> {
    let mut now = 0;
    run(world, &mut now, until);
    let records = world.records();
    let mut records = records.iter().rev();
    let record = records.find_map(|record| record.scale_down.as_ref());
    let replacements = record.iter().flat_map(|record| &record.replacements);
    let replacements = replacements.map(|one| (one.leaving.len(), one.group.to_string()));
    replacements.collect()
}

#[test]
fn a_replacement_is_cheaper_and_keeps_the_bounds_and_rules() {
    let small = || vec![(3, "small".to_owned())];
    let at = 15 * MINUTE;
    assert_eq!(proposed(&mut world(|_| ()), at), small());
    assert_eq!(
        proposed(&mut world(|_| ()), 9 * MINUTE),
        [],
        "pods are young"
    );
    let with = |change: &dyn Fn(&mut World)| {
        let mut world = world(|_| ());
        change(&mut world);
        proposed(&mut world, at)
    };
    let empty = |world: &mut World| {
        world.change("large", |group| group.target_size = 4);
        world.deliver("large");
        world.join("large", 3, 0);
    };
    assert_eq!(with(&empty), small(), "nothing moves to a node that goes");
    let spot = |world: &mut World| {
        for group in ["large", "small"] {
            world.change(group, |group| group.spot = Some(true));
        }
    };
    assert_eq!(with(&spot), [], "spot by spot");
    let mut by_spot = world(|options| options.scale_down.replace_spot_by_spot = true);
    spot(&mut by_spot);
    assert_eq!(proposed(&mut by_spot, at), small());
    let price = |price| move |world: &mut World| world.change("small", |group| group.price = price);
    assert_eq!(with(&price(None)), [], "a price is not known");
    assert_eq!(with(&price(Some(2.0))), [], "dearer");
    assert_eq!(with(&price(Some(f64::NAN))), [], "no price");
    assert_eq!(with(&price(Some(-1.0))), [], "no price");
    let mut limited = world(|options| options.max_nodes_total = 3);
    assert_eq!(proposed(&mut limited, at), [], "more nodes than may be");
    let full = |world: &mut World| world.change("small", |group| group.max_size = 0);
    assert_eq!(with(&full), [], "at its largest size");
    let at_least = |world: &mut World| world.change("large", |group| group.min_size = 2);
    assert_eq!(
        with(&at_least),
        [],
        "a removal saves more than the one replacement that may be"
    );
}

#[test]
fn a_policy_that_leaves_a_removal_keeps_the_node() {
    let mut world = world(|_| ());
    for group in ["large", "small"] {
        world.change(group, |group| group.price = None);
    }
    let mut now = 0;
    let calls = run(&mut world, &mut now, 30 * MINUTE);
    assert_eq!(of_cloud(&calls), Vec::<&str>::new());
    let records = world.records();
    let needed = records
        .iter()
        .filter_map(|record| record.scale_down.as_ref());
    let needed = needed.flat_map(|record| &record.needed);
    let stays: Vec<String> = needed.map(|needed| needed.stay.to_string()).collect();
    assert!(
        stays.contains(&"Saves: of large by saves".to_owned()),
        "{stays:#?}"
    );
}
