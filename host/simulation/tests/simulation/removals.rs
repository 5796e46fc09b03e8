//! Whole runs in which nodes are removed: the scenarios of the examples, through both
//! loops, each with what it promises.

use flyball_nodes::record::NodeDecisionRecord;
use flyball_report::page;
use flyball_simulation::{RemovalSummary, RemovedNode};

use crate::with_nodes::Played;

const MINUTE_MS: i64 = 60_000;

impl Played {
    fn removed(&self) -> &[RemovedNode] {
        &self.nodes().fleet.removals.nodes
    }

    fn removals(&self) -> RemovalSummary {
        self.run.node_summary().unwrap().removals.unwrap()
    }

    fn removed_of(&self, group: &str) -> Vec<&RemovedNode> {
        let removed = self.removed().iter();
        removed.filter(|node| *node.group == *group).collect()
    }

    /// Returns the steps of drains: seconds since the start, node, step, message.
    fn steps(&self) -> Vec<(i64, String, String, String)> {
        let start = self.run.scenario.start;
        let steps = self.records.iter().flat_map(|record| {
            let at = record.at.since(start) / 1000;
            let steps = record.scale_down.iter().flat_map(|part| &part.steps);
            steps.map(move |step| {
                let (node, name) = (step.node.to_string(), step.step.to_string());
                (at, node, name, step.message.clone())
            })
        });
        steps.collect()
    }

    /// Returns the reasons why nodes stayed, as text.
    fn stays(&self) -> Vec<String> {
        let parts = self
            .records
            .iter()
            .filter_map(|record| record.scale_down.as_ref());
        let needed = parts.flat_map(|part| &part.needed);
        needed
            .map(|node| format!("{}: {}", node.node, node.stay))
            .collect()
    }
}

fn orders_at(records: &[std::sync::Arc<NodeDecisionRecord>]) -> Vec<i64> {
    let ordering = records
        .iter()
        .filter(|record| !record.verdict.orders.is_empty());
    ordering.map(|record| record.at.0).collect()
}

#[test]
fn nodes_go_at_night_and_come_back_in_the_morning() {
    let played = Played::example("nodes/night.yaml");
    let replicas = |seconds| played.run.workloads[0].timeline.replicas[played.row(seconds)];
    assert!(played.ready("workers", 3 * 3600) >= 6.0);
    // An hour after the load has fallen: the bound by cpu, and one node. Pods of half a
    // core, on nodes of four of which a DaemonSet takes a tenth.
    let bound = (replicas(5 * 3600) * 0.5 / 3.9).ceil();
    let ready = played.ready("workers", 5 * 3600);
    assert!(ready <= bound + 1.0, "{ready} nodes, at least {bound}");
    assert_eq!(played.ready("workers", 10 * 3600 - 60), ready);
    // In the morning they come back, and no pod waits longer than a node takes to boot: at
    // most 80 s, and a scan and two steps.
    assert!(played.ready("workers", 13 * 3600) >= 5.0);
    let longest = played.nodes().fleet.longest_wait_ms;
    assert!((1..=100_000).contains(&longest), "{longest} ms");
    let removals = played.removals();
    assert!(removals.nodes >= 4, "{removals:?}");
    let clean = (removals.taken_back, removals.pending, removals.lost);
    assert_eq!(clean, (0, 0, 0), "{:?}", played.steps());
    assert!(removals.moved_per_node.is_some_and(|moved| moved > 0.0));
    let served = played.run.summary();
    assert!(served.unserved < served.offered / 100.0, "{served:?}");
    let page = page::html(std::slice::from_ref(&played.run));
    for text in [
        "nodes removed",
        "evictions per hour",
        "pending after a drain",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn load_that_flaps_moves_no_node_within_its_delays() {
    let played = Played::example("nodes/flapping.yaml");
    let orders = orders_at(&played.records);
    assert!(!orders.is_empty());
    let start = played.run.scenario.start;
    for node in played.removed() {
        let at = start.plus(node.at_ms).0;
        assert!(node.at_ms - node.joined_ms >= 10 * MINUTE_MS, "{node:?}");
        let after_add = orders.iter().filter(|order| **order <= at).max();
        assert!(
            after_add.is_none_or(|order| at - order >= 10 * MINUTE_MS),
            "{node:?}"
        );
    }
    let removals = played.removals();
    assert_eq!(
        (removals.pending, removals.lost),
        (0, 0),
        "{:?}",
        played.steps()
    );
}

#[test]
fn pods_spread_over_zones_and_hosts_move_once() {
    let played = Played::example("nodes/spread.yaml");
    let fleet = &played.nodes().fleet;
    // Four and a half cores of one workload, in three zones and on nodes of four cores,
    // and three hosts of the other: a node in each zone is enough.
    for zone in ["zone-a", "zone-b", "zone-c"] {
        assert_eq!(played.group(zone).last, 1, "{:?}", played.stays());
    }
    assert_eq!(played.removed().len(), 6);
    let last = played
        .removed()
        .iter()
        .map(|node| node.at_ms)
        .max()
        .unwrap();
    assert!(last < 6 * 60 * MINUTE_MS, "{last}");
    assert!(
        played.orders().is_empty(),
        "nothing comes back: {:?}",
        played.orders()
    );
    assert_eq!((fleet.removals.pending, fleet.removals.lost), (0, 0));
    // The StatefulSet never had more than one pod away.
    let quorum = &played.run.workloads[1].timeline.ready;
    assert!(quorum.iter().skip(1).all(|ready| *ready >= 2.0));
}

#[test]
fn budgets_hold_nodes_and_pace_drains() {
    let played = Played::example("nodes/budgets.yaml");
    // The empty node of each of these groups goes, and the one with the pod stays.
    for (group, code) in [("ledger", "NotEnoughPdb"), ("search", "SeveralBudgets")] {
        assert_eq!(played.group(group).last, 1);
        let removed = played.removed_of(group);
        assert!(
            removed.iter().all(|node| node.evicted.is_empty()),
            "{removed:?}"
        );
        let stays = played.stays();
        let says = |stay: &String| stay.starts_with(group) && stay.contains(code);
        assert!(stays.iter().any(says), "{stays:?}");
    }
    // The budget of one at a time lets the others go one after the other.
    let carts = played.removed_of("cart");
    assert_eq!(carts.len(), 2, "{:?}", played.steps());
    let cart = &played.run.workloads[1].timeline.ready;
    assert!(cart.iter().skip(1).all(|ready| *ready >= 2.0));
    let removals = played.removals();
    assert_eq!((removals.pending, removals.lost), (0, 0));
}

#[test]
fn drains_that_fail_are_taken_back_and_others_go_on() {
    let played = Played::example("nodes/stuck-pods.yaml");
    let steps = played.steps();
    let taken_back = |text: &str| {
        let mut found = steps.iter().filter(|step| step.2 == "TakenBack");
        found.find(|step| step.3.contains(text)).cloned()
    };
    let (at, node, ..) = taken_back("has not ended within its grace of 20 s").unwrap();
    let accepted = steps.iter().rev();
    let mut accepted = accepted.filter(|step| step.0 <= at && step.1 == node);
    let evicted = accepted.find(|step| step.2 == "Evicted").unwrap();
    // The grace, half a minute more, and a scan.
    assert!(at - evicted.0 <= 20 + 30 + 10, "{steps:?}");
    let (at, node, ..) = taken_back("could not be evicted").unwrap();
    let refused = steps
        .iter()
        .find(|step| step.1 == node && step.2 == "EvictionRefused");
    let refused = refused.unwrap();
    assert!(at - refused.0 <= 120 + 10, "{steps:?}");
    assert!(played.removals().taken_back >= 2);
    // The third workload's nodes go, and the second's as soon as evictions pass.
    assert_eq!(played.group("web").last, 1, "{:?}", played.stays());
    assert_eq!(played.group("guarded").last, 1, "{:?}", played.stays());
    assert!(played.removed_of("guarded")[0].at_ms > 120 * MINUTE_MS);
    assert_eq!(played.removals().lost, 0);
}

#[test]
fn a_pod_that_lands_on_a_node_that_is_going_keeps_it() {
    let played = Played::example("nodes/latecomer.yaml");
    let steps = played.steps();
    let marked = steps.iter().position(|step| step.2 == "Marked").unwrap();
    let back = steps.iter().position(|step| step.2 == "TakenBack").unwrap();
    assert!(
        marked < back && steps[marked].1 == steps[back].1,
        "{steps:?}"
    );
    let removals = played.removals();
    assert_eq!(
        (removals.taken_back, removals.lost, removals.nodes),
        (1, 0, 0)
    );
    let late = &played.run.workloads[1].timeline;
    assert_eq!(late.ready.last(), Some(&1.0));
}

#[test]
fn a_cloud_that_does_not_terminate_loses_nothing() {
    let played = Played::example("nodes/no-termination.yaml");
    let steps = played.steps();
    assert!(
        steps.iter().any(|step| step.2 == "TerminationFailed"),
        "{steps:?}"
    );
    assert_eq!(played.group("workers").last, 1, "{steps:?}");
    let removals = played.removals();
    assert_eq!(
        (removals.nodes, removals.lost, removals.pending),
        (3, 0, 0),
        "{steps:?}"
    );
    assert!(
        played.run.workloads[0]
            .timeline
            .ready
            .iter()
            .skip(1)
            .all(|ready| *ready >= 3.0)
    );
}

#[test]
fn nothing_is_drained_in_quiet_hours() {
    let played = Played::example("nodes/quiet-hours.yaml");
    let hour = |node: &RemovedNode| node.at_ms as f64 / (60 * MINUTE_MS) as f64;
    let batch: Vec<f64> = played.removed_of("batch").into_iter().map(hour).collect();
    assert!(
        matches!(batch[..], [at] if (9.0..9.5).contains(&at)),
        "{batch:?}"
    );
    let workers: Vec<f64> = played.removed_of("workers").into_iter().map(hour).collect();
    assert_eq!(workers.len(), 3, "{:?}", played.stays());
    // Until then they count as needed: their time begins at six.
    assert!(
        workers.iter().all(|at| (18.0..18.5).contains(at)),
        "{workers:?}"
    );
    assert_eq!(played.group("workers").last, 1);
}

#[test]
fn three_large_nodes_become_a_small_one_which_comes_first() {
    let played = Played::example("nodes/consolidate.yaml");
    assert_eq!(played.ready("large", 60), 3.0);
    let removed = played.removed_of("large");
    assert_eq!(removed.len(), 3, "{:?}", played.steps());
    let last = played.row(2 * 3600 - 1);
    assert_eq!(
        (played.ready("large", 7199), played.ready("small", 7199)),
        (0.0, 1.0)
    );
    let ready = |group: &str, seconds| played.ready(group, seconds);
    for node in &removed {
        let seconds = node.at_ms / 1000;
        assert_eq!(
            ready("small", seconds),
            1.0,
            "the new one is there before {node:?} goes"
        );
    }
    assert_eq!(played.run.workloads[0].timeline.replicas[last], 6.0);
    let removals = played.removals();
    assert_eq!(
        (removals.taken_back, removals.pending, removals.lost),
        (0, 0, 0)
    );
    // Each pod moves once.
    let moved = removals.moved_per_node.unwrap() * 3.0;
    assert!((moved - 6.0).abs() < 0.01, "{moved}");
}

#[test]
fn a_replacement_that_is_out_of_capacity_drains_nothing() {
    let played = Played::example("nodes/consolidate-out-of-capacity.yaml");
    let steps = played.steps();
    let at = |step: &str| {
        let mut found = steps.iter().filter(|(_, _, known, _)| known == step);
        found.next().map(|(at, ..)| *at)
    };
    let (ordered, dropped) = (at("ReplacementOrdered"), at("ReplacementDropped"));
    assert!(ordered.is_some() && dropped.is_some(), "{steps:?}");
    let begun = at("Started").unwrap();
    assert!(begun >= dropped.unwrap(), "{steps:?}");
    let removals = played.removals();
    assert_eq!((removals.pending, removals.lost), (0, 0));
    assert!(played.ready("large", 7199) + played.ready("small", 7199) >= 1.0);
}

#[test]
fn prices_that_change_too_often_move_no_node() {
    let played = Played::example("nodes/prices.yaml");
    let removed = played.removed();
    let early = removed.iter().filter(|node| node.at_ms <= 3600 * 1000);
    assert_eq!(early.count(), 0, "{:?}", played.steps());
    let groups: Vec<&str> = removed.iter().map(|node| &*node.group).collect();
    assert_eq!(groups, ["dear"]);
    assert_eq!(
        (played.ready("spot-a", 10799), played.ready("dear", 10799)),
        (1.0, 0.0)
    );
}
