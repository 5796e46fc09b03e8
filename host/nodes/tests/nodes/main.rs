//! The nodes loop over a cluster and a cloud of plain data, with expanders that are
//! closures.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod asked;
mod bad_input;
mod configured;
mod expanders;
mod explained;
mod families;
mod filters;
mod judged;
mod limits;
mod lost;
mod messages;
mod nominated;
mod passes;
mod plans;
mod put_off;
mod removal_properties;
mod removal_records;
mod removals;
mod replacements;
mod replays;
mod reported;
mod rounds;
mod starting;
mod world;
mod zones;

use std::sync::Arc;

use flyball_nodes::cloud::NodeTemplate;
use flyball_nodes::options::NodeOptions;
use flyball_placement::{LabelSelector, Pod, Requirement, Resources, SpreadConstraint};

use self::expanders::first;
use self::world::World;

const MINUTE: i64 = 60_000;

fn defaults(_: &mut NodeOptions) {}

/// A pod with this cpu request, in milli.
fn pod(cpu: i64) -> Pod {
    Pod {
        namespace: "default".into(),
        requests: Resources {
            cpu,
            ..Resources::default()
        },
        ..Pod::default()
    }
}

/// Two zones, a and c, whose only nodes are full and stay so, each with an empty group of
/// its name.
fn two_zones() -> World {
    let mut world = World::new(vec![first()], None, defaults);
    for zone in ["a", "c"] {
        let full = format!("full-{zone}");
        world.group(&full, 100, (1, 1, 1));
        world.change(&full, |group| {
            let template = group.template.take().unwrap();
            let labels = [("pool".into(), zone.into())].into();
            group.template = Some(Arc::new(NodeTemplate {
                labels,
                ..NodeTemplate::clone(&template)
            }));
        });
        world.join(&full, 0, 0);
        world.group(zone, 1000, (0, 0, 5));
    }
    world
}

/// A pod with this cpu request that keeps apart from others, by zone.
fn spread_pod(cpu: i64) -> Pod {
    let spread = SpreadConstraint {
        max_skew: 1,
        topology_key: "pool".into(),
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
