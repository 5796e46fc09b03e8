//! Bytes of answers: those of a tick are kept until all of its objects are reported.

use flyball_decision::context::Reason;
use flyball_decision::replica::ReplicaDecision;
use serde_json::json;

use crate::rows::decided;
use crate::to;
use crate::world::{World, policy};

#[test]
fn objects_beyond_the_bytes_of_a_namespace_come_first_in_the_next_tick() {
    let long = policy("long", |_, _| {
        Ok(ReplicaDecision {
            reason: Reason {
                sentence: "x".repeat(4 << 20),
                ..Reason::default()
            },
            ..to(3)
        })
    });
    let mut world = World::new([long]);
    let uses_long = json!({ "policies": [{ "name": "long" }] });
    for name in ["n0", "n1", "n2", "n3", "n4", "n5"] {
        world.add_in("noisy", name, uses_long.clone());
    }
    world.add_in("calm", "z", uses_long);

    let first = ["n0", "n1", "n2", "n3", "z"].map(str::to_owned);
    assert_eq!(decided(&mut world, 0), (first.into(), 1_000));
    let rest = ["n4", "n5"].map(str::to_owned);
    assert_eq!(decided(&mut world, 1_000), (rest.into(), 15_000));
    let waited = world.records().into_iter();
    let waited = waited.filter(|record| record.put_off_since.is_some());
    assert_eq!(waited.count(), 2);
}
