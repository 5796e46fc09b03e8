//! Names an option that is not there.

use expanders::{Input, Ranking, ranking};

fn rank(input: &Input) -> Ranking {
    ranking(vec![input.options.node_group.len() as u32], Vec::new())
}

expanders::expander!(rank);
