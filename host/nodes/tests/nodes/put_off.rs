//! Namespaces for all of whose pods planning would take too long.

use flyball_placement::{AffinityTerm, LabelSelector, Requirement};

use crate::expanders::first;
use crate::pod;
use crate::world::World;

const MESSAGE: &str = "planning for all pods of these namespaces would take too long, so each \
                       pass plans for a part of them";

fn world(packing_steps: u64) -> World {
    World::new(vec![first()], None, |options| {
        options.packing_steps = packing_steps;
    })
}

/// Adds nodes with room, a group for larger pods, and two of these.
fn add_shop(world: &mut World) {
    world.group("old", 1000, (0, 40, 40));
    world.group("new", 2000, (0, 0, 10));
    world.pods("web", 2, 0, &pod(1500));
}

/// Adds different pods of another namespace, which want to be beside a pod that is not there.
fn add_noisy(world: &mut World) {
    for row in 0..300 {
        let mut pod = pod(1 + row);
        pod.namespace = "noisy".into();
        pod.affinity.push(AffinityTerm {
            topology_key: "kubernetes.io/hostname".into(),
            selector: Some(LabelSelector(vec![Requirement::equals("app", "nobody")])),
            namespaces: Vec::new(),
            namespace_selector: None,
        });
        world.pods_as(&format!("noisy-{row}"), 1, 0, &pod, |facts| {
            facts.key.namespace = "noisy".into();
        });
    }
}

#[test]
fn pods_get_their_nodes_although_those_of_another_namespace_are_too_much_work() {
    let mut quiet = world(10_000);
    add_shop(&mut quiet);
    quiet.tick(10_000);
    assert_eq!(quiet.calls(), ["increase new by 2"]);
    assert!(quiet.records().pop().unwrap().incidents.is_empty());

    let mut world = world(10_000);
    add_shop(&mut world);
    add_noisy(&mut world);
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase new by 2"]);
    let record = world.records().pop().unwrap();
    assert_eq!(record.rounds[0].helped.count, 2);
    assert_eq!(record.pending.sought, 302);
    let incidents = record.incidents.iter();
    let incidents: Vec<_> = incidents
        .map(|incident| (&*incident.code, incident.message.clone()))
        .collect();
    let message = format!("{MESSAGE}: noisy");
    assert_eq!(incidents, [("PodsPutOff", message.clone())]);
    let event = format!("autoscaler: PodsPutOff: {message}");
    assert!(world.events().contains(&event));
    // It still holds, and is not said again.
    world.tick(20_000);
    assert_eq!(world.calls(), Vec::<String>::new());
    assert!(!world.events().contains(&event));
}

#[test]
fn a_namespace_whose_pods_are_too_much_work_gets_nodes_for_a_part_of_them() {
    let mut world = world(200);
    world.group("new", 1000, (0, 0, 100));
    for row in 0..64 {
        world.pods(&format!("web-{row}"), 1, 0, &pod(900 + row));
    }
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase new by 4"]);
    let record = world.records().pop().unwrap();
    assert_eq!(record.incidents[0].message, format!("{MESSAGE}: default"));
    let put_off = "put off, since planning for all pods of the namespace takes too long";
    assert!(!record.remaining.is_empty());
    for remaining in &record.remaining {
        assert_eq!(remaining.reasons[0].reason, put_off);
    }
}

#[test]
fn a_namespace_with_few_classes_gets_nodes_for_one_of_them() {
    let mut world = world(20);
    world.group("new", 1000, (0, 0, 100));
    for row in 0..5 {
        world.pods(&format!("web-{row}"), 1, 0, &pod(900 + row));
    }
    world.tick(30_000);
    assert_eq!(world.calls(), ["increase new by 1"]);
}
