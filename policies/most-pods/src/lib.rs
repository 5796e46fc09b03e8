//! The built-in policy `most-pods`: the option on whose nodes the most pods would
//! run, as Cluster Autoscaler's expander of that name.

use flyball_policy::{Expander, Ranking};

flyball_policy::expander_policy! {
    summary: "The most pods that would run",
    rank: rank,
}

/// Keeps the options that help the most pods.
pub fn rank(input: &Expander) -> Ranking {
    let ranking = Ranking::highest(input, |option| f64::from(option.pods()));
    let best = ranking.best().first().and_then(|&row| input.option(row));
    let Some(best) = best else {
        return Ranking::none("there is no option");
    };
    let sentence = format!(
        "{}: {} pods would run",
        input.names(ranking.best()),
        best.pods()
    );
    ranking.because("MostPods", sentence)
}

#[cfg(test)]
mod tests {
    use flyball_policy::{OptionSpec, Resources};

    use super::*;

    #[test]
    fn the_most_pods_win() {
        let option = |group, pods| OptionSpec::group(group).pods(pods, Resources::default());
        let input = Expander::build()
            .option(option("a", 2))
            .option(option("b", 5))
            .option(option("c", 5))
            .done();
        assert_eq!(rank(&input).best(), [1, 2]);
        assert_eq!(rank(&input).reason().sentence, "b and c: 5 pods would run");
        assert!(rank(&Expander::build().done()).best().is_empty());
    }
}
