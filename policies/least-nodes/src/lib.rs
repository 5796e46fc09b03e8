//! The built-in policy `least-nodes`: the option with the fewest new nodes, as
//! Cluster Autoscaler's expander of that name. Options without nodes are dropped.

use flyball_policy::{Expander, Ranking};

flyball_policy::expander_policy! {
    summary: "The fewest nodes to add",
    rank: rank,
}

/// Keeps the options that add the fewest nodes.
pub fn rank(input: &Expander) -> Ranking {
    let ranking = Ranking::lowest(input, |option| {
        let nodes = option.node_count();
        (nodes > 0).then_some(f64::from(nodes))
    });
    let best = ranking.best().first().and_then(|&row| input.option(row));
    let Some(best) = best else {
        return Ranking::none("no option adds a node");
    };
    let sentence = format!(
        "{}: nodes to add: {}",
        input.names(ranking.best()),
        best.node_count()
    );
    ranking.because("LeastNodes", sentence)
}

#[cfg(test)]
mod tests {
    use flyball_policy::OptionSpec;

    use super::*;

    #[test]
    fn the_fewest_nodes_win_but_none_are_too_few() {
        let option = |group, nodes| OptionSpec::group(group).nodes(nodes);
        let input = Expander::build()
            .option(option("a", 0))
            .option(option("b", 3))
            .option(option("c", 1))
            .option(option("d", 1))
            .done();
        assert_eq!(rank(&input).best(), [2, 3]);
        assert_eq!(rank(&input).reason().sentence, "c and d: nodes to add: 1");
        let none = Expander::build().option(option("a", 0)).done();
        assert!(rank(&none).best().is_empty());
    }
}
