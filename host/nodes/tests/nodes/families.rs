//! Options of several groups, one in each zone that pods spread over.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::replay::{Replay, replay};
use flyball_nodes::record::{NodeDecisionRecord, OrderOutcome};
use flyball_placement::{AffinityTerm, LabelSelector, Pod, Requirement};
use flyball_test_policies::TestPolicy;

use crate::expanders::{expander, first};
use crate::world::World;
use crate::zones::{ZONE, apart, in_zone, join_in};
use crate::{MINUTE, pod};

/// Empty groups of one zone each, otherwise alike. Zones in `full` have a node without
/// room.
fn zonal(zones: &[&str], full: &[&str]) -> World {
    zonal_with(first(), zones, full)
}

fn zonal_with(expander: TestPolicy, zones: &[&str], full: &[&str]) -> World {
    let mut world = World::new(vec![expander], None, |options| {
        options.balancing_ignored_labels = vec!["team".into()];
    });
    for zone in full {
        let name = format!("full-{zone}");
        world.group(&name, 100, (1, 1, 1));
        join_in(&mut world, &name, 0, zone, 0);
    }
    for zone in zones {
        add(&mut world, zone, 1000, &[(ZONE, zone)]);
    }
    world
}

/// An empty group whose nodes have these labels.
fn add(world: &mut World, name: &str, cpu: i64, labels: &[(&str, &str)]) {
    world.group(name, cpu, (0, 0, 9));
    label(world, name, labels);
}

fn label(world: &mut World, group: &str, labels: &[(&str, &str)]) {
    world.change(group, |group| {
        let template = Arc::make_mut(group.template.as_mut().unwrap());
        for (key, value) in labels {
            template.labels.insert((*key).into(), (*value).into());
        }
    });
}

/// Returns the ordered nodes by group.
fn orders(record: &NodeDecisionRecord) -> BTreeMap<String, u32> {
    let orders = record.verdict.orders.iter();
    let orders = orders.map(|order| (order.group.to_string(), order.to - order.from));
    orders.collect()
}

/// Returns the label of the first option of a round.
fn label_of(record: &NodeDecisionRecord, round: usize) -> String {
    record.rounds[round].input.options.label(0)
}

#[test]
fn a_part_that_the_cloud_refuses_leaves_the_family_and_the_rest_is_packed_anew() {
    let mut world = zonal(&["a", "b", "c"], &["a", "c"]);
    world.refuse("b");
    world.pods("web", 3, 0, &apart(600));
    world.tick(10_000);
    let each = ["increase a by 1", "increase b by 1", "increase c by 1"];
    let calls = world.calls();
    assert_eq!(calls[..3], each);
    assert_eq!(calls[3..], ["increase a by 1"], "two zones are left");
    let [record, again] = <[_; 2]>::try_from(world.records()).unwrap();
    assert_eq!(label_of(&record, 0), "a + b + c");
    assert_eq!(record.verdict.orders.len(), 3);
    let failed = record
        .outcomes
        .iter()
        .map(|outcome| matches!(outcome, OrderOutcome::Failed { .. }));
    assert_eq!(failed.collect::<Vec<_>>(), [false, true, false]);
    let skipped = again.skipped.iter().find(|one| &*one.group == "b");
    assert_eq!(&*skipped.unwrap().code, "Backoff");
    assert_eq!(orders(&again), BTreeMap::from([("a".to_owned(), 1)]));
}

#[test]
fn a_part_that_is_full_or_backed_off_is_none() {
    let mut world = zonal(&["a", "b", "c"], &["a", "c"]);
    world.change("b", |group| group.max_size = 0);
    world.pods("web", 3, 0, &apart(600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 2", "increase c by 1"]);
    let record = world.records().pop().unwrap();
    assert_eq!(label_of(&record, 0), "a + c");

    let mut world = zonal(&["a", "b", "c"], &["a", "c"]);
    world.refuse("b");
    world.pods("pinned", 1, 0, &in_zone("b", 600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase b by 1"]);
    world.delete_pods(&["pinned-0"]);
    world.pods("web", 3, 20_000, &apart(600));
    world.tick(30_000);
    assert_eq!(world.calls(), ["increase a by 2", "increase c by 1"]);
    assert_eq!(orders(&world.records().pop().unwrap())["a"], 2);
    // The group may grow again.
    world.mend("increase b");
    world.pods("more", 3, 10 * MINUTE, &apart(600));
    world.tick(10 * MINUTE + 10_000);
    let ordered = orders(&world.records().pop().unwrap());
    assert!(ordered.contains_key("b"), "{ordered:?}");
}

/// Returns an expander that chooses `b-small` if it is an option by itself, else the
/// first option.
fn prefers_small() -> TestPolicy {
    expander("small", |input| {
        let mut groups = input.options.node_group.iter();
        let small = groups.position(|group| &**group == "b-small");
        Ok(vec![u32::try_from(small.unwrap_or_default()).unwrap()])
    })
}

#[test]
fn the_chain_chooses_the_group_that_stands_for_a_zone_without_one_alike() {
    let all = ["a", "b", "c"];
    let mut world = zonal_with(prefers_small(), &["a", "c"], &all);
    add(&mut world, "b-large", 4000, &[(ZONE, "b")]);
    add(&mut world, "b-small", 1500, &[(ZONE, "b")]);
    world.pods("web", 3, 0, &apart(900));
    world.pods("plain", 2, 0, &pod(900));
    world.tick(10_000);
    let record = world.records().pop().unwrap();
    let settled = &record.rounds[0];
    assert_eq!(
        settled.domain.as_deref(),
        Some("topology.kubernetes.io/zone=b")
    );
    assert!(settled.orders.is_empty());
    let row = settled.choice.row.unwrap() as usize;
    assert_eq!(settled.input.options.label(row), "b-small");
    assert_eq!(label_of(&record, 1), "a + b-small + c");
    // The group in b serves the pods that no other part takes.
    let expected = [("a", 2), ("b-small", 1), ("c", 2)];
    let expected = expected.map(|(group, nodes)| (group.to_owned(), nodes));
    assert_eq!(orders(&record), BTreeMap::from(expected));
    let again = replay(&*record, |part| world.expander(part.name));
    assert_eq!(again, Replay::Same);
    let differs = replay(&*record, |_| Some(first().resolve()));
    assert!(matches!(differs, Replay::Differs { .. }), "{differs:?}");
}

#[test]
fn groups_without_the_label_stand_for_no_domain() {
    let mut world = zonal(&[], &[]);
    for (rack, cpu) in [("one", 1000), ("two", 2000)] {
        add(&mut world, rack, cpu, &[("rack", rack)]);
    }
    for (name, cpu) in [("small", 1000), ("large", 4000)] {
        add(&mut world, name, cpu, &[]);
    }
    let mut web = apart(600);
    web.spread[0].topology_key = "rack".into();
    world.pods("web", 2, 0, &web);
    world.pods("plain", 1, 0, &pod(600));
    world.tick(10_000);
    let record = world.records().pop().unwrap();
    let domains = record.rounds.iter().map(|round| round.domain.as_deref());
    assert!(domains.flatten().next().is_none(), "{:?}", record.rounds);
}

#[test]
fn a_family_has_a_group_in_each_zone_however_many_kinds_of_nodes_there_are() {
    let kind_key = "node.kubernetes.io/instance-type";
    let all = ["a", "b", "c"];
    let mut world = zonal(&[], &all);
    let kinds: Vec<String> = (0..70).map(|at| format!("kind-{at:02}")).collect();
    for zone in all {
        for (at, kind) in (0..).zip(&kinds) {
            let name = format!("{zone}-{kind}");
            add(
                &mut world,
                &name,
                1000 + 10 * at,
                &[(ZONE, zone), (kind_key, kind)],
            );
        }
    }
    world.pods("web", 3, 0, &apart(1650));
    // A pod with a rule that makes the kind of node a topology key.
    let lone = AffinityTerm {
        topology_key: kind_key.into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", "lone")])),
        namespaces: Vec::new(),
        namespace_selector: None,
    };
    let lone = Pod {
        labels: [("app", "lone")].into_iter().collect(),
        anti_affinity: vec![lone],
        ..pod(900)
    };
    world.pods("lone", 1, 0, &lone);
    world.tick(10_000);
    let record = world.records().pop().unwrap();
    let ordered = orders(&record);
    let expected = ["a-kind-00", "a-kind-65", "b-kind-65", "c-kind-65"];
    assert!(ordered.keys().eq(&expected), "{ordered:?}");
    // The first option in the list is for the lone pod, the next for all the others.
    assert_eq!(record.rounds.len(), 2);
}

#[test]
fn names_that_only_repeat_where_a_group_is_keep_none_from_a_family() {
    let all = ["a", "b", "c"];
    let mut world = zonal(&all, &all);
    // The groups differ in size, so that none counts as similar to another.
    add(&mut world, "other", 3000, &[(ZONE, "b")]);
    for (at, zone) in all.iter().enumerate() {
        let site = format!("site-{at}");
        let labels = [
            ("topology.gke.io/zone", *zone),
            ("topology.cinder.csi.openstack.org/zone", zone),
            ("example.com/rack", zone),
            ("topology.kubernetes.io/region", &site),
            ("example.com/site", &site),
        ];
        label(&mut world, zone, &labels);
    }
    world.pods("web", 3, 0, &apart(600));
    world.tick(10_000);
    let record = world.records().pop().unwrap();
    assert_eq!(record.rounds[0].domain, None, "no group needs a stand-in");
    assert_eq!(label_of(&record, 0), "a + b + c");
    assert_eq!(
        world.calls(),
        all.map(|zone| format!("increase {zone} by 1"))
    );
}
