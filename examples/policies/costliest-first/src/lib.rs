//! An example of a scale-down policy: the order in which nodes leave, and nothing else. The
//! node that frees the highest price for the cost of moving its pods leaves first.

use flyball_policy::{NodeVerdict, NodeVerdicts, ScaleDownNodes};

flyball_policy::scale_down_policy! {
    summary: "The node that frees most for the cost of moving its pods leaves first",
    judge_nodes: judge,
}

/// Scores nodes by the price that an hour without them frees, for each unit of cost. Nodes
/// without a price come last.
pub fn judge(input: &ScaleDownNodes) -> NodeVerdicts {
    NodeVerdicts::each(input, |node| {
        // An empty node costs nothing to move: it counts as one pod.
        let freed = node.price().map(|price| price / node.cost().max(1.0));
        // A lower score leaves first.
        NodeVerdict::no_opinion().score(freed.map_or(0.0, |freed| -freed))
    })
}

#[cfg(test)]
mod tests {
    use flyball_policy::{ScaleDownNodeSpec, ScaleDownNodes};

    use super::judge;

    #[test]
    fn what_frees_most_for_its_cost_leaves_first() {
        let node = |price, pods| {
            ScaleDownNodeSpec::default()
                .price(price)
                .pods(pods, f64::from(pods))
        };
        let input = ScaleDownNodes::build()
            .node(node(0.4, 8))
            .node(node(0.1, 1))
            .node(ScaleDownNodeSpec::default());
        input.check_rows(judge);
        let verdicts = judge(&input.done());
        let scores: Vec<_> = (0..3).map(|row| verdicts.score(row).unwrap()).collect();
        assert_eq!(scores, [-0.05, -0.1, 0.0]);
    }
}
