//! Two kinds in one component, written with the SDK: three replicas, and the first option.

use flyball_policy::{Decision, Expander, Ranking, Replica};

fn decide(_: &Replica) -> Decision {
    Decision::to(3)
}

fn rank(_: &Expander) -> Ranking {
    Ranking::keep([0]).because("First", "the first")
}

flyball_policy::policy! {
    summary: "Two kinds at once",
    decide: decide,
    rank: rank,
}
