//! An expander for Flyball: which node group should grow?

use std::collections::BTreeMap;

use flyball_policy::{Expander, Ranking};
use schemars::JsonSchema;
use serde::Deserialize;

/// What the operator may set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Price of one node for an hour, by node group.
    pub prices: BTreeMap<String, f64>,
}

/// Ranks the options: the cheapest one for each pod remains. The same input always
/// gives the same answer: there is no clock, no network and nothing to remember but
/// the state.
pub fn rank(input: &Expander<Config>) -> Ranking {
    let ranking = Ranking::lowest(input, |option| {
        let mut price = 0.0;
        for (group, nodes) in option.parts() {
            // Groups that are not in the table have the cloud's price, if it tells one.
            let node = input.config().prices.get(group).copied();
            price += node.or_else(|| option.node_price())? * f64::from(nodes);
        }
        Some(price / f64::from(option.pods()))
    });
    let Some(price) = ranking.best().first().and_then(|&row| ranking.score(row)) else {
        return Ranking::none("no option has a price");
    };
    let sentence = format!("{} for {price:.3} a pod", input.names(ranking.best()));
    ranking.because("Cheapest", sentence)
}

flyball_policy::expander_policy! {
    summary: "The lowest price for each pod, by a table of prices",
    config: Config,
    rank: rank,
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyball_policy::{OptionSpec, Resources};

    #[test]
    fn the_cheapest_pods_win() {
        let prices = [("small".to_owned(), 0.1), ("large".to_owned(), 0.3)];
        let option = |group, nodes| OptionSpec::group(group).nodes(nodes).pods(6, Resources::of(6, 6));
        let input = Expander::build()
            .config(Config {
                prices: prices.into(),
            })
            .option(option("large", 1))
            .option(option("small", 4))
            .option(option("unknown", 1));
        let ranking = rank(&input.done());
        assert_eq!(ranking.best(), [0]);
        assert_eq!(ranking.score(2), None);
    }

    #[test]
    fn without_prices_nothing_will_do() {
        let input = Expander::build().option(OptionSpec::group("unknown"));
        assert!(rank(&input.done()).best().is_empty());
    }
}
