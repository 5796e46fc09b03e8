//! Placement, compared with plain restatements of the rules, and with the results of
//! kube-scheduler and Cluster Autoscaler.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod choosing;
mod destinations;
mod extended;
mod not_in;
mod packing;
mod packing_each;
mod pod_limits;
mod rebuild;
mod shapes;
mod steps;
mod unjudged;
mod vectors;
mod work;

use flyball_placement::{Node, Resources};

const HOST: &str = "kubernetes.io/hostname";

/// A node with room for 110 pods that request nothing.
fn node(row: usize, zone: &str) -> Node {
    let name = format!("node-{row}");
    Node {
        labels: [(HOST, name.as_str()), ("zone", zone)]
            .into_iter()
            .collect(),
        name: name.into(),
        allocatable: Resources {
            pods: 110,
            ..Resources::default()
        },
        ..Node::default()
    }
}
