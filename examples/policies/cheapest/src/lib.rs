//! Expander that chooses the nodes with the lowest price for each pod that would run on
//! them. The prices are those that the host reports for the node groups.

use flyball_policy::{Expander, Ranking, ScaleOption};

flyball_policy::expander_policy! {
    summary: "The lowest price for each pod that would run",
    rank: rank,
}

/// Keeps the options with the lowest price for each pod. Options without a price are
/// dropped.
pub fn rank(input: &Expander) -> Ranking {
    let ranking = Ranking::lowest(input, price_of_a_pod);
    let Some(price) = ranking.best().first().and_then(|&row| ranking.score(row)) else {
        return Ranking::none("no option has a price");
    };
    let names = input.names(ranking.best());
    ranking
        .because("Cheapest", format!("{names}: {price:.3} an hour for a pod"))
        .argument("price", price)
}

/// Returns the price of the option's nodes for an hour, divided by its pods. `None` if
/// the price is not known or no pod would run.
fn price_of_a_pod(option: ScaleOption<'_>) -> Option<f64> {
    let nodes = option.node_price()? * f64::from(option.node_count());
    let pods = option.pods();
    (pods > 0).then(|| nodes / f64::from(pods))
}

#[cfg(test)]
mod tests {
    use flyball_policy::{OptionSpec, Resources};

    use super::*;

    fn option(group: &str, nodes: u32, pods: u32) -> OptionSpec {
        OptionSpec::group(group)
            .nodes(nodes)
            .pods(pods, Resources::of(4, 8))
    }

    #[test]
    fn the_lowest_price_for_a_pod_wins() {
        let input = Expander::build()
            .option(option("on-demand", 1, 7).prices(0.17, 0.0))
            .option(option("spot", 2, 7).prices(0.06, 0.0))
            .option(option("without-a-price", 1, 7))
            .option(option("no-pods", 1, 0).prices(0.01, 0.0));
        let ranking = rank(&input.done());
        assert_eq!(ranking.best(), [1]);
        assert_eq!(ranking.reason().sentence, "spot: 0.017 an hour for a pod");
    }

    #[test]
    fn without_prices_nothing_is_chosen() {
        let input = Expander::build().option(option("on-demand", 1, 7));
        assert!(rank(&input.done()).best().is_empty());
    }
}
