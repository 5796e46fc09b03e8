//! Panics: reads an option that is not there. Logs the panic's message, as the SDK does.

use expanders::{Input, Ranking, ranking};

#[inline(never)]
fn nodes_of(input: &Input, row: usize) -> u32 {
    input.options.node_count[row]
}

fn rank(input: &Input) -> Ranking {
    std::panic::set_hook(Box::new(|panic| {
        expanders::flyball::policy::log::log(1, &panic.to_string());
    }));
    ranking(vec![nodes_of(input, 1_000)], Vec::new())
}

expanders::expander!(rank);
