//! Any bytes as a policy's file: a verdict, and the version before decides meanwhile.

use flyball_sandbox::{PolicyState, digest};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::{Home, ask, status, wait_for_answer, wait_until};

/// Number of files.
const FILES: usize = 24;

/// What is done to a component. A place is a number of which the rest by its length counts.
#[derive(Clone, Debug)]
enum Damage {
    /// Other bytes in some places.
    Bytes(Vec<(usize, u8)>),
    /// A part that is missing, or comes twice.
    Part(usize, usize, bool),
    /// Other bytes altogether.
    Anything(Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<usize>;
    prop_oneof![
        4 => vec((place(), any::<u8>()), 1..4).prop_map(Damage::Bytes),
        2 => (place(), 1..64_usize, any::<bool>()).prop_map(|(at, bytes, twice)| {
            Damage::Part(at, bytes, twice)
        }),
        1 => vec(any::<u8>(), 0..4096).prop_map(Damage::Anything),
    ]
}

fn damaged(component: &[u8], damage: Damage) -> Vec<u8> {
    let mut bytes = component.to_vec();
    match damage {
        Damage::Bytes(changes) => {
            for (at, byte) in changes {
                bytes[at % component.len()] = byte;
            }
        }
        Damage::Part(at, length, twice) => {
            let start = at % component.len();
            let end = component.len().min(start + length);
            let part = if twice {
                component[start..end].repeat(2)
            } else {
                Vec::new()
            };
            bytes.splice(start..end, part);
        }
        Damage::Anything(other) => bytes = other,
    }
    bytes
}

#[test]
fn any_bytes_get_a_verdict_and_the_version_before_decides_meanwhile() {
    let home = Home::new();
    let good = &home.plain["two"];
    home.put("web.wasm", good);
    let registry = home.start();
    wait_for_answer(&registry, "web", 2);
    let mut runner = TestRunner::deterministic();
    for _ in 0..FILES {
        let damage = damage().new_tree(&mut runner).unwrap().current();
        let bytes = damaged(good, damage.clone());
        if bytes == **good {
            continue;
        }
        home.put("web.wasm", &bytes);
        let is_active = || {
            let version = status(&registry, "web").unwrap().version.unwrap();
            *version.digest == *digest(&bytes)
        };
        wait_until(&format!("a verdict on {damage:?}"), || {
            let state = status(&registry, "web").unwrap().state;
            let is_refused = matches!(state, PolicyState::Failed { .. });
            let answer = ask(&registry, "web");
            let is_active = is_active();
            assert!(is_active || answer == Ok(2), "{damage:?}: {answer:?}");
            is_refused || is_active
        });
        home.put("web.wasm", good);
        wait_for_answer(&registry, "web", 2);
        wait_until("the good one to be back", || {
            let version = status(&registry, "web").unwrap().version.unwrap();
            *version.digest == *digest(good)
        });
    }
}
