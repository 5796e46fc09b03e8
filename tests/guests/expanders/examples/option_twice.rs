//! Names an option twice.

use expanders::{Input, Ranking, ranking};

fn rank(_: &Input) -> Ranking {
    ranking(vec![1, 0, 1], Vec::new())
}

expanders::expander!(rank);
