//! Groups whose nodes may come in several zones; the cloud chooses the zone.

mod orders;

use std::sync::Arc;

use flyball_placement::{Effect, LabelSelector, Pod, Requirement, SpreadConstraint, Taint};

use crate::expanders::{expander, first};
use crate::world::World;
use crate::{MINUTE, defaults, pod};

pub const ZONE: &str = "topology.kubernetes.io/zone";
const NONE: [&str; 0] = [];

/// A cluster with a full node in each of some zones, and the empty group `multi`, whose
/// nodes may come in zones a, b and c.
fn multi(full: &[&str]) -> World {
    let mut world = World::new(vec![first()], None, defaults);
    for zone in full {
        let name = format!("full-{zone}");
        world.group(&name, 100, (1, 1, 1));
        join_in(&mut world, &name, 0, zone, 0);
    }
    world.group("multi", 1000, (0, 0, 9));
    zones(&mut world, "multi", &["a", "b", "c"]);
    world
}

fn zones(world: &mut World, group: &str, zones: &[&str]) {
    let zones = zones.iter().map(|zone| Arc::from(*zone)).collect();
    world.change(group, |group| group.zones = zones);
}

/// Joins the node of a group's instance in a zone, ready.
pub fn join_in(world: &mut World, group: &str, at: usize, zone: &str, now: i64) {
    world.join(group, at, now);
    world.change_node(&format!("{group}-{at}"), |facts| {
        let node = Arc::make_mut(&mut facts.node);
        node.labels.set(ZONE.into(), zone.into());
    });
}

/// Sets the zone of an instance whose node has not joined.
fn launch_in(world: &mut World, group: &str, at: usize, zone: &str) {
    let zone = Some(zone.into());
    world.change(group, |group| group.instances[at].zone = zone);
}

/// A pod with this cpu request, in a zone.
pub fn in_zone(zone: &str, cpu: i64) -> Pod {
    let mut pod = pod(cpu);
    pod.node_selector.set(ZONE.into(), zone.into());
    pod
}

/// A pod that keeps apart from others by zone.
pub fn apart(cpu: i64) -> Pod {
    let spread = SpreadConstraint {
        max_skew: 1,
        topology_key: ZONE.into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", "web")])),
        min_domains: 1,
        honor_affinity: true,
        honor_taints: false,
    };
    Pod {
        labels: [("app", "web")].into_iter().collect(),
        spread: vec![spread],
        ..pod(cpu)
    }
}

#[test]
fn labels_that_all_nodes_have_are_those_of_new_ones() {
    let mut world = multi(&[]);
    let label = |world: &mut World, node: &str, value: &str| {
        world.change_node(node, |facts| {
            let node = Arc::make_mut(&mut facts.node);
            node.labels.set("kubernetes.io/arch".into(), value.into());
            node.labels.set("ebs/zone".into(), "a".into());
        });
    };
    world.group("here", 100, (2, 2, 2));
    for at in 0..2 {
        join_in(&mut world, "here", at, "a", 0);
        label(&mut world, &format!("here-{at}"), "arm64");
    }
    zones(&mut world, "multi", &[]);
    let mut choosy = in_zone("a", 600);
    choosy
        .node_selector
        .set("kubernetes.io/arch".into(), "arm64".into());
    choosy.node_selector.set("ebs/zone".into(), "a".into());
    world.pods("choosy", 2, 0, &choosy);
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 2"]);
    // If nodes are of several kinds, the kind of a new one is unknown.
    label(&mut world, "here-1", "amd64");
    world.pods("more", 1, 10_000, &choosy);
    world.tick(20_000);
    assert_eq!(world.calls(), NONE);
}

#[test]
fn a_group_in_the_right_zone_alone_comes_first() {
    let mut world = multi(&["a", "b", "c"]);
    world.group("only-b", 1000, (0, 0, 1));
    zones(&mut world, "only-b", &["b"]);
    world.pods("pinned", 1, 0, &in_zone("b", 600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase only-b by 1"]);
    // The group has its maximum size.
    world.pods("more", 1, 10_000, &in_zone("b", 600));
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
}

#[test]
fn a_live_node_of_the_group_settles_the_zone_of_no_other() {
    let mut world = multi(&["a", "b", "c"]);
    world.change("multi", |group| group.target_size = 1);
    world.deliver("multi");
    join_in(&mut world, "multi", 0, "a", 0);
    world.pods("here", 1, 0, &in_zone("a", 900));
    world.pods("pinned", 1, 0, &in_zone("b", 600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    // The same if the provider names no zones and the group has nodes in two.
    join_in(&mut world, "multi", 1, "b", MINUTE);
    zones(&mut world, "multi", &[]);
    world.pods("more", 3, MINUTE, &in_zone("b", 600));
    world.tick(2 * MINUTE);
    assert_eq!(world.calls(), ["increase multi by 1"]);
}

#[test]
fn a_node_without_labels_hides_nothing_that_all_others_have() {
    let mut choosy = in_zone("a", 600);
    let arch = "kubernetes.io/arch";
    choosy.node_selector.set(arch.into(), "arm64".into());
    let here = |labels: [Option<&str>; 3]| {
        let mut world = multi(&[]);
        world.group("here", 100, (3, 3, 3));
        for (at, label) in labels.into_iter().enumerate() {
            join_in(&mut world, "here", at, "a", 0);
            world.change_node(&format!("here-{at}"), |facts| {
                let node = Arc::make_mut(&mut facts.node);
                match label {
                    Some(label) => node.labels.set(arch.into(), label.into()),
                    None => node.labels = [("pool", "here")].into_iter().collect(),
                }
            });
        }
        zones(&mut world, "multi", &[]);
        world.pods("choosy", 2, 0, &choosy);
        world
    };
    // The kubelet has just registered the node, or its labels were removed.
    let mut world = here([Some("arm64"), Some("arm64"), None]);
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 2"]);
    // The cloud's controller has not labelled most nodes yet.
    let mut world = here([Some("arm64"), None, None]);
    for node in ["here-1", "here-2"] {
        world.change_node(node, |facts| {
            Arc::make_mut(&mut facts.node).taints.push(Taint {
                key: "node.cloudprovider.kubernetes.io/uninitialized".into(),
                value: "true".into(),
                effect: Effect::NoSchedule,
            });
        });
    }
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 2"]);
    for labels in [
        [Some("arm64"), Some("arm64"), Some("amd64")],
        [Some("arm64"), None, None],
    ] {
        let mut world = here(labels);
        world.tick(10_000);
        assert_eq!(world.calls(), NONE, "{labels:?}");
    }
}

#[test]
fn the_cloud_says_where_a_node_is_that_has_joined_without_its_zone() {
    let mut world = multi(&["a", "b", "c"]);
    world.pods("pinned", 1, 0, &in_zone("b", 600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    launch_in(&mut world, "multi", 0, "b");
    world.join("multi", 0, 20_000);
    world.change_node("multi-0", |facts| facts.ready = false);
    // The node has no room for these pods, and must not help them as if its zone were
    // unknown.
    world.pods("more", 1, 20_000, &in_zone("c", 600));
    world.tick(30_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
}

#[test]
fn what_has_a_zone_as_its_value_by_chance_stays_as_it_is_in_other_zones() {
    let mut world = multi(&["west"]);
    zones(&mut world, "multi", &["nova", "west"]);
    world.change("multi", |group| group.target_size = 1);
    world.deliver("multi");
    join_in(&mut world, "multi", 0, "nova", 0);
    let chance = ["topology.kubernetes.io/region", "tier"];
    world.change_node("multi-0", |facts| {
        let node = Arc::make_mut(&mut facts.node);
        for key in chance {
            node.labels.set(key.into(), "nova".into());
        }
    });
    let mut choosy = in_zone("west", 600);
    for key in chance {
        choosy.node_selector.set(key.into(), "nova".into());
    }
    world.pods("choosy", 1, 0, &choosy);
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
}

#[test]
fn a_group_over_several_zones_is_asked_for_what_certain_groups_do_not_help() {
    let last = expander("last", |input| {
        Ok(vec![u32::try_from(input.options.len() - 1).unwrap()])
    });
    let mut world = World::new(vec![last], None, defaults);
    for zone in ["a", "b", "c"] {
        let name = format!("full-{zone}");
        world.group(&name, 100, (1, 1, 1));
        join_in(&mut world, &name, 0, zone, 0);
    }
    world.group("multi", 1000, (0, 0, 9));
    zones(&mut world, "multi", &["a", "b", "c"]);
    world.group("only-b", 1000, (0, 0, 1));
    zones(&mut world, "only-b", &["b"]);
    let mut picky = in_zone("b", 300);
    picky.node_selector.set("pool".into(), "multi".into());
    world.pods("covered", 1, 0, &in_zone("b", 300));
    world.pods("picky", 1, 0, &picky);
    world.tick(10_000);
    assert_eq!(
        world.calls(),
        ["increase multi by 1", "increase only-b by 1"]
    );
    let record = world.records().pop().unwrap();
    let helped = record.rounds[0].helped.names.iter().map(|key| &*key.name);
    assert_eq!(helped.collect::<Vec<_>>(), ["picky-0"]);
}
