//! A lower bound of zero, with and without the feature gate for it.

use serde_json::{Value, json};

use crate::to;
use crate::world::{Policy, World, policy};

const KIND: &str = "ScaleToZeroEnabled";

fn asks_for(replicas: i64) -> Policy {
    policy("hpa", move |_, _| Ok(to(replicas)))
}

/// A spec that is measured outside the pods and lets the object scale at once.
fn idle() -> Value {
    let target = json!({ "type": "AverageValue", "averageValue": "10" });
    let queue = json!({ "metric": { "name": "queue" }, "target": target });
    json!({
        "minReplicas": 0,
        "metrics": [{ "type": "External", "external": queue }],
        "behavior": { "scaleDown": { "stabilizationWindowSeconds": 0 } },
    })
}

fn gate(world: &mut World, on: bool) {
    world.options(|options| options.scale_to_zero = on);
}

fn told(world: &World) -> Vec<String> {
    let events = world.events("a").into_iter();
    events
        .filter(|event| event.starts_with("ScaleToZeroDisabled"))
        .collect()
}

#[test]
fn without_the_gate_a_lower_bound_of_zero_counts_as_one_and_is_named_once() {
    let mut world = World::new([asks_for(0)]);
    world.add("a", idle());
    for seconds in [0, 15, 30, 120] {
        world.tick(seconds * 1000);
        assert_eq!(world.replicas("a"), 1);
    }
    let condition = world.condition("a", KIND);
    assert_eq!(
        (&*condition.status, &*condition.reason),
        ("False", "FeatureGateDisabled")
    );
    assert!(
        condition.message.contains("decided as with minReplicas: 1")
            && condition
                .message
                .contains("--feature-gates=HPAScaleToZero=true"),
        "{}",
        condition.message
    );
    assert_eq!(told(&world).len(), 1, "{:?}", told(&world));
    let record = &world.records()[0];
    assert_eq!(record.input.as_ref().unwrap().min_replicas, 1);
    // It is still scaled up.
    world.swap(asks_for(4));
    world.tick(135_000);
    assert_eq!(world.replicas("a"), 4);
    // There is no condition on others, nor on this one once it has another bound.
    world.add("b", json!({ "minReplicas": 1 }));
    let mut raised = idle();
    raised["minReplicas"] = json!(1);
    world.add("a", raised);
    world.tick(150_000);
    assert!(!world.has_condition("a", KIND) && !world.has_condition("b", KIND));
}

#[test]
fn what_stands_at_zero_without_the_gate_stays_and_is_named_until_the_gate_is_back() {
    let mut world = World::new([asks_for(0)]);
    world.add("a", idle());
    gate(&mut world, true);
    world.tick(0);
    assert_eq!(world.replicas("a"), 0);
    assert!(!world.has_condition("a", KIND) && told(&world).is_empty());

    gate(&mut world, false);
    world.swap(asks_for(3));
    for seconds in [15, 30, 120] {
        world.tick(seconds * 1000);
        assert_eq!(world.replicas("a"), 0);
    }
    let condition = world.condition("a", KIND);
    assert_eq!(
        (&*condition.status, &*condition.reason),
        ("False", "StandsAtZero")
    );
    assert_eq!(
        *world.condition("a", "ScalingActive").reason,
        *"ScalingDisabled"
    );
    let events = told(&world);
    assert!(
        events.len() == 1 && events[0].contains("stays there until somebody scales it up"),
        "{events:?}"
    );
    // Scaled up by hand, it is decided about again, with another event.
    let mut by_hand = world;
    by_hand.set_replicas("a", 1);
    by_hand.tick(135_000);
    assert_eq!(by_hand.replicas("a"), 3);
    assert_eq!(*by_hand.condition("a", KIND).reason, *"FeatureGateDisabled");
    assert_eq!(told(&by_hand).len(), 2);
}

#[test]
fn what_was_scaled_to_zero_is_led_out_once_the_gate_is_on_again() {
    let mut world = World::new([asks_for(0)]);
    world.add("a", idle());
    gate(&mut world, true);
    world.tick(0);
    gate(&mut world, false);
    world.tick(15_000);
    gate(&mut world, true);
    world.swap(asks_for(3));
    world.tick(30_000);
    assert_eq!(world.replicas("a"), 3);
    assert!(!world.has_condition("a", KIND));
}
