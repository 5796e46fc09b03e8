//! Recommendations and changes count as long as their window or period says, however
//! often an object is decided about.

use serde_json::{Value, json};

use crate::to;
use crate::world::{Policy, World, policy};

/// An object about which something is decided every second.
fn every_second(policy: Policy, fields: Value) -> World {
    let mut world = World::new([policy]);
    world.options(|options| {
        options.sync_period_ms = 1000;
        options.max_decision_age_ms = 0;
    });
    world.add("a", fields);
    world
}

fn run(world: &mut World, seconds: std::ops::Range<i64>) {
    for second in seconds {
        assert_eq!(world.tick(second * 1000), (second + 1) * 1000);
    }
}

#[test]
fn a_high_recommendation_counts_through_the_longest_window() {
    let falls = policy("hpa", |context, _| {
        Ok(to(if context.now.0 < 2000 { 9 } else { 2 }))
    });
    let window = json!({ "stabilizationWindowSeconds": 3600 });
    let mut world = every_second(falls, json!({ "behavior": { "scaleDown": window } }));
    world.set_replicas("a", 9);
    run(&mut world, 0..3601);
    assert_eq!(world.replicas("a"), 9);
    let last = world.records().pop().unwrap();
    // Recommendations that can't be an extreme are not remembered, except for the policy.
    let guard = last.guard.as_ref().unwrap();
    assert_eq!(guard.recommendations.at_ms, [1000, 3_599_000]);
    assert_eq!(guard.recommendations.replicas, [9, 2]);
    assert_eq!(last.policies[0].own.at_ms.len(), 900);
    run(&mut world, 3601..3602);
    assert_eq!(world.replicas("a"), 2);
}

#[test]
fn a_rate_counts_all_changes_of_the_longest_period() {
    let grows = policy("hpa", |_, input| {
        Ok(to(i64::from(input.current_replicas) + 1))
    });
    let rate = json!({ "type": "Pods", "value": 1000, "periodSeconds": 1800 });
    let behavior = json!({ "scaleUp": { "policies": [rate] } });
    let fields = json!({ "maxReplicas": 5000, "behavior": behavior });
    let mut world = every_second(grows, fields);
    run(&mut world, 0..1800);
    assert_eq!(world.replicas("a"), 3 + 1000);
    // The first change is half an hour ago.
    run(&mut world, 1800..1801);
    assert_eq!(world.replicas("a"), 3 + 1001);
}
