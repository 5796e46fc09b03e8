//! Strategies that generate a cluster.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::{CPU, Draft, KindDraft, MEMORY, NodeDraft, ROOMS, SIZES, Wish, Workload, ZoneSpread};

/// Generates a cluster of up to four zones, with groups, partly full nodes, and workloads
/// with all constraints that make a pod's place depend on other pods.
pub fn draft() -> impl Strategy<Value = Draft> {
    let kinds = vec(kind(), 1..=3);
    let nodes = vec(node(), 0..=8);
    let workloads = vec(workload(), 1..=5);
    (1..=4u8, kinds, nodes, workloads).prop_map(|(zones, kinds, nodes, workloads)| Draft {
        zones,
        kinds,
        nodes,
        workloads,
    })
}

fn kind() -> impl Strategy<Value = KindDraft> {
    let zones = prop_oneof![3 => Just(0b1111u8), 2 => 1..=0b1111u8];
    let tainted = prop::bool::weighted(0.15);
    (0..SIZES.len(), zones, 0..ROOMS.len(), tainted).prop_map(|(size, zones, room, tainted)| {
        KindDraft {
            size,
            zones,
            room,
            tainted,
        }
    })
}

fn node() -> impl Strategy<Value = NodeDraft> {
    let full = prop_oneof![1 => Just(10i64), 1 => 0..=10i64];
    (0..3usize, 0..4u8, full).prop_map(|(kind, zone, full)| NodeDraft { kind, zone, full })
}

fn workload() -> impl Strategy<Value = Workload> {
    let requests = (0..CPU.len(), 0..MEMORY.len());
    let zone = prop::option::weighted(0.1, 0..4u8);
    let (tolerates, first) = (prop::bool::weighted(0.3), prop::bool::weighted(0.1));
    let running = vec(0..8usize, 0..=5);
    (requests, 1..=14u32, running, wish(), zone, tolerates, first).prop_map(
        |((cpu, memory), waiting, running, wish, zone, tolerates, first)| Workload {
            cpu,
            memory,
            waiting,
            running,
            wish,
            zone,
            tolerates,
            first,
        },
    )
}

fn wish() -> impl Strategy<Value = Wish> {
    let skew = || prop_oneof![3 => Just(1), 1 => Just(2), 1 => Just(3)];
    let min_domains = prop_oneof![4 => Just(1), 1 => 1..=4i32];
    let over_zones = (skew(), min_domains, prop::bool::weighted(0.1));
    let over_zones = over_zones
        .prop_map(|(max_skew, min_domains, by_revision)| ZoneSpread {
            max_skew,
            min_domains,
            by_revision,
        })
        .boxed();
    prop_oneof![
        3 => Just(Wish::Nothing),
        4 => over_zones.clone().prop_map(|zones| Wish::Spread(Some(zones), None)),
        2 => skew().prop_map(|hosts| Wish::Spread(None, Some(hosts))),
        3 => (over_zones, skew()).prop_map(|(zones, hosts)| Wish::Spread(Some(zones), Some(hosts))),
        1 => (0..5usize).prop_map(Wish::Near),
        1 => (0..5usize).prop_map(Wish::Apart),
        1 => Just(Wish::Alone),
    ]
}

impl Draft {
    /// Returns the cluster of a seed.
    ///
    /// # Panics
    /// Never: every draw is a valid cluster.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let config = Config {
            rng_seed: RngSeed::Fixed(seed),
            ..Config::default()
        };
        let tree = draft().new_tree(&mut TestRunner::new(config));
        tree.expect("nothing that is drawn is filtered out")
            .current()
    }
}
