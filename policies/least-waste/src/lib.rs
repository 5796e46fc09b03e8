//! The built-in policy `least-waste`: the option whose nodes would have the smallest
//! part of their cpu and memory unrequested, as Cluster Autoscaler's expander of that
//! name: `(n·capacity − requested) / (n·capacity)`, cpu and memory added.
//!
//! Two things upstream leaves to the rules of floating point: a resource that a node
//! has nothing of is not wasted, and an option without nodes is dropped.

use flyball_policy::{Expander, Ranking, ScaleOption};

flyball_policy::expander_policy! {
    summary: "The least cpu and memory that no pod requests",
    rank: rank,
}

/// Keeps the options that waste least.
pub fn rank(input: &Expander) -> Ranking {
    let ranking = Ranking::lowest(input, |option| Some(waste(option)?.sum()));
    let best = ranking.best().first().and_then(|&row| input.option(row));
    let Some(waste) = best.and_then(waste) else {
        return Ranking::none("what a new node would be like is known of no option");
    };
    let sentence = format!(
        "{}: {:.0}% of cpu and {:.0}% of memory would stay unrequested",
        input.names(ranking.best()),
        waste.cpu * 100.0,
        waste.memory * 100.0
    );
    ranking.because("LeastWaste", sentence)
}

/// Parts of the new nodes' capacity that no pod requests.
#[derive(Clone, Copy, Debug)]
struct Waste {
    cpu: f64,
    memory: f64,
}

impl Waste {
    fn sum(self) -> f64 {
        self.cpu + self.memory
    }
}

fn waste(option: ScaleOption<'_>) -> Option<Waste> {
    let (capacity, requested) = (option.capacity()?, option.requested());
    let nodes = i64::from(option.node_count());
    if nodes == 0 {
        return None;
    }
    Some(Waste {
        cpu: wasted(
            capacity.cpu_milli.saturating_mul(nodes),
            requested.cpu_milli,
        ),
        memory: wasted(
            capacity.memory_bytes.saturating_mul(nodes),
            requested.memory_bytes,
        ),
    })
}

fn wasted(available: i64, requested: i64) -> f64 {
    if available <= 0 {
        return 0.0;
    }
    available.saturating_sub(requested) as f64 / available as f64
}

#[cfg(test)]
mod tests {
    use flyball_policy::{OptionSpec, Resources};

    use super::*;

    fn option(group: &str, nodes: u32, node: Resources) -> OptionSpec {
        let requested = Resources::of(3, 6);
        OptionSpec::group(group)
            .nodes(nodes)
            .pods(3, requested)
            .node(node)
    }

    #[test]
    fn nodes_that_fit_win_and_equals_stay_together() {
        let input = Expander::build()
            .option(option("large", 1, Resources::of(16, 64)))
            .option(option("fitting", 2, Resources::of(2, 4)))
            .option(OptionSpec::group("unknown"))
            .option(option("alike", 2, Resources::of(2, 4)))
            .done();
        let ranking = rank(&input);
        assert_eq!(ranking.best(), [1, 3]);
        assert_eq!(ranking.score(1), Some(0.5));
        assert_eq!(ranking.score(2), None);
        assert_eq!(
            ranking.reason().sentence,
            "fitting and alike: 25% of cpu and 25% of memory would stay unrequested"
        );
    }

    #[test]
    fn what_cannot_be_divided_is_dropped_or_not_wasted() {
        let input = Expander::build()
            .option(option("none", 0, Resources::of(2, 4)))
            .option(option("no-memory", 2, Resources::of(2, 0)))
            .done();
        let ranking = rank(&input);
        assert_eq!(ranking.best(), [1]);
        assert_eq!(ranking.score(1), Some(0.25));
        assert_eq!(rank(&Expander::build().done()).reason().code, "NoOption");
    }
}
