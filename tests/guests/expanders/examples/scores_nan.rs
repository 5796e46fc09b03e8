//! Takes an option that its own score drops.

use expanders::{Input, Ranking, ranking};

fn rank(input: &Input) -> Ranking {
    let none = 0.0 * input.options.node_count.len() as f64;
    ranking(vec![0], vec![none / none; input.options.node_group.len()])
}

expanders::expander!(rank);
