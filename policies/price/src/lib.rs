//! The built-in policy `price`: the option that is cheapest for what it runs, with a
//! liking for nodes of a size that suits the cluster, as Cluster Autoscaler's
//! expander of that name:
//!
//! `((u − 1)·(1 − tanh((n − 1)/15)) + 1) · (n·node + s)/(pods + s)`
//!
//! `n` nodes are added, each at the price `node`, for pods worth `pods`; `u` tells how
//! far a node's cpu is from the preferred node's; `s`, the price of a small pod, keeps
//! the ratio from jumping about where prices are small. In place of the first factor
//! nodes with GPUs have 1000, so that no other pod brings them about. Groups that would
//! have to be created count twice.

use std::collections::BTreeMap;

use flyball_policy::{Expander, Ranking, ScaleOption};
use schemars::JsonSchema;
use serde::Deserialize;

mod fitness;

/// Factor of nodes with GPUs in place of the fitness.
const GPU_FACTOR: f64 = 1000.0;
/// Factor of groups that would have to be created.
const NOT_THERE_FACTOR: f64 = 2.0;
/// The small pod: half a core and 500 MiB.
const SMALL_POD_CORES: f64 = 0.5;
const SMALL_POD_GIB: f64 = 500.0 / 1024.0;

/// Prices for an hour, in any one unit. What is not set comes from the cloud.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Of one node, by node group.
    pub node_prices: BTreeMap<String, Price>,
    /// Of one node of any other group whose price the cloud does not tell.
    #[schemars(range(min = 0.0))]
    pub default_node_price: Option<f64>,
    /// Of a core that pods request. As soon as one of the three is set, pods are
    /// priced by these, and what is not set is free.
    #[schemars(range(min = 0.0))]
    pub per_core_hour: Option<f64>,
    /// Of a GiB of memory that pods request.
    #[serde(rename = "perGiBHour")]
    #[schemars(range(min = 0.0))]
    pub per_gib_hour: Option<f64>,
    /// Of a GPU that pods request.
    #[serde(rename = "perGPUHour")]
    #[schemars(range(min = 0.0))]
    pub per_gpu_hour: Option<f64>,
    /// Of a pod with half a core and 500 MiB, added to both sides of the ratio; by
    /// itself what the prices above make of it, else 0.
    #[schemars(range(min = 0.0))]
    pub stabilization_price: Option<f64>,
}

/// A price.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Price(#[schemars(range(min = 0.0))] f64);

flyball_policy::expander_policy! {
    summary: "The lowest price for what runs, on nodes of a suitable size",
    config: Config,
    rank: rank,
}

/// Keeps the options with the lowest score; those without prices are dropped.
pub fn rank(input: &Expander<Config>) -> Ranking {
    let ranking = Ranking::lowest(input, |option| Some(score(input, option)?.total()));
    let best = ranking.best().first().and_then(|&row| input.option(row));
    let Some(best) = best.and_then(|option| score(input, option)) else {
        return Ranking::none(
            "no option has prices of its nodes and its pods: set nodePrices, perCoreHour and \
             perGiBHour in the configuration",
        );
    };
    let sentence = format!(
        "{}: nodes for {:.4} an hour run pods worth {:.4}, score {:.3}",
        input.names(ranking.best()),
        best.nodes,
        best.pods,
        best.total()
    );
    ranking.because("LowestPrice", sentence)
}

/// What a score is made of.
#[derive(Clone, Copy, Debug)]
struct Score {
    /// Price of all new nodes.
    nodes: f64,
    /// Price of the pods.
    pods: f64,
    stabilization: f64,
    fitness: f64,
    factor: f64,
}

impl Score {
    fn total(self) -> f64 {
        let ratio = (self.nodes + self.stabilization) / (self.pods + self.stabilization);
        self.fitness * ratio * self.factor
    }
}

fn score(input: &Expander<Config>, option: ScaleOption<'_>) -> Option<Score> {
    let (config, capacity) = (input.config(), option.capacity()?);
    let fitness = if option.has_gpu() {
        GPU_FACTOR
    } else {
        let preferred = fitness::preferred_cores(input.cluster_node_count());
        fitness::suppressed(
            fitness::unfitness(preferred, capacity.cores()),
            option.node_count(),
        )
    };
    Some(Score {
        nodes: config.nodes_price(option)?,
        pods: config.pod_price(option)?,
        stabilization: config.stabilization(),
        fitness,
        factor: if option.exists() {
            1.0
        } else {
            NOT_THERE_FACTOR
        },
    })
}

impl Config {
    /// Price of all nodes of an option.
    fn nodes_price(&self, option: ScaleOption<'_>) -> Option<f64> {
        let parts = option.parts().into_iter();
        let prices = parts.map(|(group, nodes)| {
            let price = self.node_prices.get(group).map(|&Price(price)| price);
            let price = price
                .or_else(|| option.node_price())
                .or(self.default_node_price)?;
            Some(price * f64::from(nodes))
        });
        prices.sum()
    }

    fn pod_price(&self, option: ScaleOption<'_>) -> Option<f64> {
        let Some([core, gib, gpu]) = self.units() else {
            return option.pod_price();
        };
        let requested = option.requested();
        Some(requested.cores() * core + requested.gib() * gib + requested.gpus() * gpu)
    }

    fn stabilization(&self) -> f64 {
        let of_units = || {
            let [core, gib, _] = self.units()?;
            Some(SMALL_POD_CORES * core + SMALL_POD_GIB * gib)
        };
        self.stabilization_price.or_else(of_units).unwrap_or(0.0)
    }

    /// Prices of a core, a GiB and a GPU, if any is set.
    fn units(&self) -> Option<[f64; 3]> {
        let units = [self.per_core_hour, self.per_gib_hour, self.per_gpu_hour];
        let set = units.iter().any(Option::is_some);
        set.then(|| units.map(Option::unwrap_or_default))
    }
}

#[cfg(test)]
mod tests {
    use flyball_policy::{OptionSpec, Resources};

    use super::*;

    fn option(group: &str, nodes: u32, cores: i64) -> OptionSpec {
        OptionSpec::group(group)
            .nodes(nodes)
            .pods(4, Resources::of(4, 8))
            .node(Resources::of(cores, 4 * cores))
    }

    fn best(config: Config, options: [OptionSpec; 2]) -> Vec<usize> {
        let build = Expander::build().config(config);
        let input = options
            .into_iter()
            .fold(build, |build, option| build.option(option));
        rank(&input.done()).best().to_vec()
    }

    #[test]
    fn the_configurations_prices_go_before_the_clouds() {
        let options = || {
            [
                option("spot", 2, 4).prices(0.3, 0.2),
                option("on-demand", 2, 4).prices(0.2, 0.2),
            ]
        };
        assert_eq!(best(Config::default(), options()), [1]);
        let table = Config {
            node_prices: BTreeMap::from([("spot".to_owned(), Price(0.05))]),
            ..Config::default()
        };
        assert_eq!(best(table, options()), [0]);
        let by_units = Config {
            default_node_price: Some(0.1),
            per_core_hour: Some(0.03),
            ..Config::default()
        };
        let unpriced = [option("a", 2, 4), option("b", 2, 4)];
        assert_eq!(best(Config::default(), unpriced.clone()), [0; 0]);
        assert_eq!(best(by_units, unpriced), [0, 1]);
    }

    #[test]
    fn the_groups_of_an_option_have_prices_of_their_own() {
        let table = Config {
            node_prices: [("cheap", 0.1), ("dear", 0.4)]
                .map(|(group, price)| (group.to_owned(), Price(price)))
                .into(),
            ..Config::default()
        };
        let several = |parts: &[(&str, u32)]| {
            let option = OptionSpec::groups(parts).pods(4, Resources::of(4, 8));
            option.node(Resources::of(4, 16)).prices(0.2, 0.2)
        };
        let dear = several(&[("cheap", 1), ("dear", 3)]);
        let cheap = several(&[("dear", 1), ("cheap", 3)]);
        assert_eq!(best(table, [dear, cheap]), [1]);
    }

    #[test]
    fn gpus_and_groups_that_are_not_there_yet_cost_more() {
        let priced = |option: OptionSpec| option.prices(0.2, 0.2);
        let node = Resources::of(4, 16);
        let plain = || priced(option("plain", 2, 4));
        let gpu = priced(option("gpu", 2, 4).node(node.with_gpus(1)));
        assert_eq!(best(Config::default(), [gpu, plain()]), [1]);
        let new = priced(option("new", 2, 4).not_there_yet());
        assert_eq!(best(Config::default(), [new, plain()]), [1]);
    }
}
