//! How well a node's size suits the cluster: small nodes for small clusters.

/// Cores of the preferred node where the number of nodes is not known.
const USUAL_CORES: f64 = 4.0;

/// Cores of the node that is preferred in a cluster of so many nodes.
pub(crate) fn preferred_cores(cluster_nodes: Option<u32>) -> f64 {
    match cluster_nodes {
        None => USUAL_CORES,
        Some(0..=2) => 1.0,
        Some(3..=6) => 2.0,
        Some(7..=20) => 4.0,
        Some(21..=60) => 8.0,
        Some(61..=200) => 16.0,
        Some(_) => 32.0,
    }
}

/// How far the cpu of a node is from the preferred one's, as a ratio of 1 or more.
pub(crate) fn unfitness(preferred_cores: f64, cores: f64) -> f64 {
    (preferred_cores / cores).max(cores / preferred_cores)
}

/// The unfitness as it counts: the more nodes are added at once, the less.
#[expect(
    clippy::disallowed_methods,
    reason = "what decides is Wasm, which has no platform's functions but its own"
)]
pub(crate) fn suppressed(unfitness: f64, nodes: u32) -> f64 {
    let further = (f64::from(nodes) - 1.0) / 15.0;
    (unfitness - 1.0) * (1.0 - further.tanh()) + 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_is_that_of_the_peer() {
        // Worked out by hand: 2 cores where 1 is preferred, 4 nodes.
        let counted = suppressed(unfitness(preferred_cores(Some(0)), 2.0), 4);
        assert!((counted - 1.802_624_7).abs() < 1e-7, "{counted}");
        assert_eq!(suppressed(unfitness(4.0, 4.0), 1), 1.0);
    }
}
