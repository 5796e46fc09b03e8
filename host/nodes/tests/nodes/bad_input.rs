//! Bad input while nodes are drained: what others do meanwhile, what annotations say, and
//! what the API server answers. Each is named, held and recovered from.

use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_nodes::state::{BudgetFacts, NodeFacts};
use flyball_placement::{LabelSelector, Taint};

use crate::MINUTE;
use crate::limits::Findings;
use crate::removals::{EVICTED, budget, drained, evictions, run, world};
use crate::world::World;

const SECOND: i64 = 1000;
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
const CANDIDATE: &str = "DeletionCandidateOfClusterAutoscaler";

/// Time at which the node of [`drained`] has its taint, before its last look.
const MARKED: i64 = 10 * MINUTE + 1;

fn failures(world: &World) -> Vec<String> {
    let events = world.events().into_iter();
    events
        .filter(|event| event.contains("ScaleDownFailed"))
        .collect()
}

fn change_taint(world: &mut World, node: &str, change: impl FnOnce(&mut Vec<Taint>)) {
    world.change_node(node, |facts| {
        change(&mut Arc::make_mut(&mut facts.node).taints)
    });
}

#[test]
fn a_timer_that_cannot_be_is_not_taken_over() {
    let created =
        |minutes| move |facts: &mut NodeFacts| facts.created = Timestamp(minutes * MINUTE);
    for (value, created) in [
        ("9999999999", created(0)),
        ("9223372036854775807", created(0)),
        ("-60", created(0)),
        ("soon", created(0)),
        ("", created(0)),
        ("60", created(5)),
    ] {
        let mut world = drained();
        let mut now = 0;
        run(&mut world, &mut now, 9 * MINUTE);
        change_taint(&mut world, "a-1", |taints| taints[0].value = value.into());
        world.change_node("a-1", created);
        world.restart();
        let (begin, mut now) = (now, now);
        run(&mut world, &mut now, begin + 10 * MINUTE);
        assert!(!world.marks("a-1").contains(TO_BE_DELETED), "{value:?}");
        run(&mut world, &mut now, begin + 10 * MINUTE + 1);
        assert!(world.marks("a-1").contains(TO_BE_DELETED), "{value:?}");
    }
}

#[test]
fn a_time_without_a_leader_that_cannot_be_restores_no_timer() {
    for value in ["99999999999999", "-9223372036854775808", "lately", ""] {
        let mut world = drained();
        let mut now = 0;
        run(&mut world, &mut now, 9 * MINUTE);
        world.annotate_status("flyball.dev/last-led", value);
        world.annotate_status("flyball.dev/removals", value);
        world.restart();
        run(&mut world, &mut now, 18 * MINUTE);
        assert!(!world.marks("a-1").contains(TO_BE_DELETED), "{value:?}");
        run(&mut world, &mut now, 20 * MINUTE);
        assert!(world.marks("a-1").contains(TO_BE_DELETED), "{value:?}");
    }
}

#[test]
fn evictions_that_never_succeed_give_the_node_back() {
    for class in ["Blocked", "SeveralBudgets", "Failed"] {
        let mut world = drained();
        for pod in ["cart-0", "cart-1"] {
            world.fail(&format!("evict {pod}"), class, false);
        }
        let mut now = 0;
        run(&mut world, &mut now, EVICTED + 3 * MINUTE);
        assert!(!world.marks("a-1").contains(TO_BE_DELETED), "{class}");
        let failed = failures(&world);
        assert!(
            failed[0].contains("pod default/cart-0 could not be"),
            "{failed:?}"
        );
    }
    // The eviction is accepted, and the pod does not end.
    let mut world = drained();
    let mut now = 0;
    let calls = run(&mut world, &mut now, EVICTED + 59 * SECOND);
    assert_eq!(evictions(&calls), ["evict cart-0", "evict cart-1"]);
    assert_eq!(failures(&world), Vec::<String>::new());
    run(&mut world, &mut now, EVICTED + 61 * SECOND);
    let failed = failures(&world);
    assert!(
        failed[0].contains("cart-0 was evicted and has not ended"),
        "{failed:?}"
    );
    assert!(!world.marks("a-1").contains(TO_BE_DELETED));
}

#[test]
fn a_node_that_comes_back_under_its_name_is_another_one() {
    for at in [MARKED, EVICTED] {
        let mut world = drained();
        let mut now = 0;
        run(&mut world, &mut now, at);
        let back = now;
        world.change_node("a-1", |facts| {
            facts.uid = "another".into();
            facts.created = Timestamp(back);
            facts.annotations = Arc::default();
            let node = Arc::make_mut(&mut facts.node);
            node.taints.clear();
            node.unschedulable = false;
        });
        world.calls();
        let calls = run(&mut world, &mut now, back + 10 * MINUTE);
        // It is not needed as well: the soft taint alone.
        assert_eq!(calls, ["update a-1"], "{at}");
        assert_eq!(world.marks("a-1"), CANDIDATE);
        assert_eq!(failures(&world), Vec::<String>::new());
        run(&mut world, &mut now, back + 11 * MINUTE);
        assert!(world.marks("a-1").contains(TO_BE_DELETED), "{at}");
    }
}

#[test]
fn a_node_whose_taint_somebody_removes_is_given_back() {
    for at in [MARKED, EVICTED] {
        let mut world = drained();
        let mut now = 0;
        run(&mut world, &mut now, at);
        change_taint(&mut world, "a-1", Vec::clear);
        world.delete_pods(&["cart-0", "cart-1"]);
        let calls = run(&mut world, &mut now, at + 2 * MINUTE);
        assert!(
            !calls.iter().any(|call| call.starts_with("delete")),
            "{calls:?}"
        );
        let marks = world.marks("a-1");
        assert!(
            !marks.contains("scale-down") && !marks.contains("cordoned"),
            "{marks}"
        );
        let failed = failures(&world);
        assert!(failed[0].contains("taint"), "{failed:?}");
    }
}

#[test]
fn a_node_that_is_relabelled_or_uncordoned_leaves_all_the_same() {
    let mut world = drained();
    let mut now = 0;
    run(&mut world, &mut now, EVICTED);
    world.change_node("a-1", |facts| {
        let node = Arc::make_mut(&mut facts.node);
        node.unschedulable = false;
        node.labels = [("pool", "other")].into_iter().collect();
    });
    world.delete_pods(&["cart-0", "cart-1"]);
    let calls = run(&mut world, &mut now, EVICTED + MINUTE);
    assert_eq!(calls.last().map(String::as_str), Some("delete a: a-1"));
}

#[test]
fn an_instance_that_somebody_else_terminates_is_not_terminated_again() {
    for at in [MARKED, EVICTED] {
        let mut world = drained();
        let mut now = 0;
        run(&mut world, &mut now, at);
        world.lose("a", "a-1");
        let calls = run(&mut world, &mut now, at + 10 * MINUTE);
        assert!(
            !calls.iter().any(|call| call.starts_with("delete")),
            "{calls:?}"
        );
        assert_eq!(world.group_sizes("a"), (1, 1));
        assert_eq!(failures(&world), Vec::<String>::new());
        let records = world.records();
        let removals = records.iter().filter_map(|one| one.scale_down.as_ref());
        let mut steps = removals.flat_map(|removals| &removals.steps);
        assert!(steps.any(|step| &*step.step == "Gone"));
    }
}

#[test]
fn a_group_whose_smallest_size_is_raised_keeps_its_nodes() {
    for at in [MARKED, EVICTED] {
        let mut world = drained();
        let mut now = 0;
        run(&mut world, &mut now, at);
        world.change("a", |group| group.min_size = 2);
        // The cloud refuses as well.
        world.fail("delete a-1", "MinSize", false);
        world.delete_pods(&["cart-0", "cart-1"]);
        run(&mut world, &mut now, at + 2 * MINUTE);
        assert_eq!(world.group_sizes("a"), (2, 2));
        let marks = world.marks("a-1");
        assert!(
            !marks.contains(TO_BE_DELETED) && !marks.contains("cordoned"),
            "{marks}"
        );
        assert_eq!(failures(&world).len(), 1);
    }
}

#[test]
fn what_another_autoscaler_marks_is_left_alone() {
    let mut world = world(|options| options.scale_down.max_drain_parallelism = 0);
    world.group("theirs", 1000, (0, 2, 5));
    // The nodes of their groups are no instances of ours.
    world.change("theirs", |group| {
        group.instances.clear();
        group.target_size = 0;
    });
    for (node, taint) in [
        ("theirs-0", CANDIDATE),
        ("theirs-1", TO_BE_DELETED),
        ("a-2", TO_BE_DELETED),
    ] {
        world.taint(node, taint);
    }
    let mut now = 0;
    let calls = run(&mut world, &mut now, 30 * MINUTE);
    let theirs = |call: &String| call.contains("theirs") || call.ends_with("a-2");
    assert!(!calls.iter().any(theirs), "{calls:?}");
    assert_eq!(world.marks("theirs-0"), CANDIDATE);
    assert_eq!(world.marks("a-2"), TO_BE_DELETED);
}

#[test]
fn budgets_that_overlap_or_select_nothing_or_have_no_status_are_named() {
    let named = |name: &str, change: fn(&mut BudgetFacts)| {
        let mut facts = budget(1);
        facts.uid = name.into();
        facts.key.name = name.into();
        change(&mut facts);
        facts
    };
    let none = |_: &mut BudgetFacts| ();
    let selecting_nothing = |facts: &mut BudgetFacts| {
        facts.selector = None;
        facts.disruptions_allowed = 0;
    };
    let selecting_all = |facts: &mut BudgetFacts| facts.selector = Some(LabelSelector::default());
    let without_status = |facts: &mut BudgetFacts| {
        facts.is_current = false;
        facts.disruptions_allowed = 0;
    };
    for (budgets, expected) in [
        (
            vec![named("one", none), named("two", selecting_all)],
            "SeveralBudgets",
        ),
        (vec![named("one", selecting_nothing)], "unneeded"),
        (
            vec![named("one", selecting_nothing), named("two", none)],
            "unneeded",
        ),
        (vec![named("one", without_status)], "NotEnoughPdb"),
    ] {
        let mut world = drained();
        let names: Vec<_> = budgets.iter().map(|one| one.key.name.clone()).collect();
        world.change_state(|state| budgets.into_iter().for_each(|one| state.apply_budget(one)));
        world.tick(0);
        let found = Findings::default().of(&world, "a-1");
        assert!(found.contains(expected), "{names:?}: {found}");
        if expected != "unneeded" {
            for name in names {
                let text = format!("PodDisruptionBudget default/{name}");
                assert!(found.contains(&text), "{found}");
            }
        }
    }
}
