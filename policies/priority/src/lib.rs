//! The built-in policy `priority`: node groups by the operator's list, as Cluster
//! Autoscaler's expander of that name. The configuration has lists of regular
//! expressions by priority; the highest priority that has a match among the options
//! wins. A configuration that is missing or cannot be used keeps every option, and so
//! does one that matches none.
//!
//! Priorities below -1 never win, as upstream has it. Regular expressions are those
//! of `regex-lite`, which takes time linear in pattern and name; sizes are limited in
//! `patterns`, and fuel bounds the whole.

use std::collections::BTreeMap;

use flyball_policy::{Expander, Ranking, ScaleOption};
use schemars::JsonSchema;
use serde::Deserialize;

mod glob;
mod patterns;

use patterns::Patterns;

/// Lower priorities never win.
const LEAST_PRIORITY: i64 = -1;
/// Groups without a match that are named to the host, which tells of each.
const NAMED: usize = 30;

/// What the operator's ConfigMap has, read by the host.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Regular expressions of node groups' names, by priority. They match anywhere in
    /// a name.
    pub priorities: Option<BTreeMap<i64, Vec<String>>>,
    /// Why the ConfigMap could not be read: every option is kept then.
    pub error: Option<String>,
}

flyball_policy::expander_policy! {
    summary: "The highest of the operator's priorities that matches",
    config: Config,
    rank: rank,
}

/// Keeps the options with the highest priority.
pub fn rank(input: &Expander<Config>) -> Ranking {
    if input.options().len() == 0 {
        return Ranking::none("there is no option");
    }
    let (config, all) = (input.config(), || Ranking::keep_all(input));
    if let Some(error) = &config.error {
        return all().because("PriorityConfigMapInvalid", error);
    }
    let Some(priorities) = &config.priorities else {
        return all().because("PriorityConfigMapMissing", "no priorities are configured");
    };
    match Patterns::compile(priorities) {
        Ok(patterns) => by_priority(input, &patterns),
        Err(error) => all().because("PriorityConfigMapInvalid", error),
    }
}

fn by_priority(input: &Expander<Config>, patterns: &Patterns) -> Ranking {
    let priorities: Vec<Option<i64>> = input
        .options()
        .map(|option| lowest(patterns, option))
        .collect();
    let highest = priorities.iter().copied().flatten().max();
    let highest = highest.filter(|&priority| priority >= LEAST_PRIORITY);
    let ranking = match highest {
        None => Ranking::keep_all(input).because(
            "PriorityConfigMapNoGroupMatched",
            "no priority matches any of the node groups",
        ),
        Some(priority) => {
            let rows = priorities.iter().enumerate();
            let best = rows.filter(|&(_, &one)| one == Some(priority));
            let best: Vec<usize> = best.map(|(row, _)| row).collect();
            let sentence = format!("{}: priority {priority}", input.names(&best));
            let figures = priorities
                .iter()
                .map(|one| one.map(|priority| priority as f64));
            Ranking::keep(best)
                .with_scores(figures)
                .because("HighestPriority", sentence)
        }
    };
    let rows = priorities.iter().enumerate();
    let unmatched = rows.filter(|(_, priority)| priority.is_none());
    unmatched.take(NAMED).fold(ranking, |ranking, (row, _)| {
        ranking.argument("unmatched", row)
    })
}

/// The lowest priority of an option's groups, none if one of them has none.
fn lowest(patterns: &Patterns, option: ScaleOption<'_>) -> Option<i64> {
    let parts = option.parts().into_iter();
    let priorities: Option<Vec<i64>> = parts.map(|(group, _)| patterns.priority(group)).collect();
    priorities?.into_iter().min()
}

#[cfg(test)]
mod tests {
    use flyball_policy::OptionSpec;

    use super::*;

    fn ask(priorities: &[(i64, &[&str])]) -> Ranking {
        let lists = priorities.iter().map(|(priority, patterns)| {
            let patterns = patterns.iter().map(|&pattern| pattern.to_owned());
            (*priority, patterns.collect())
        });
        let config = Config {
            priorities: Some(lists.collect()),
            error: None,
        };
        let groups = ["eks-spot-a", "eks-on-demand-a", "gpu"].map(OptionSpec::group);
        let build = Expander::build().config(config);
        rank(
            &groups
                .into_iter()
                .fold(build, |build, group| build.option(group))
                .done(),
        )
    }

    #[test]
    fn the_highest_match_wins_and_is_unanchored() {
        let ranking = ask(&[(10, &["eks"]), (50, &["^spot", "nd-a$", "t-a"])]);
        assert_eq!(ranking.best(), [0, 1]);
        assert_eq!(
            ranking.reason().sentence,
            "eks-spot-a and eks-on-demand-a: priority 50"
        );
        assert_eq!((ranking.score(0), ranking.score(2)), (Some(50.0), None));
        assert_eq!(ranking.reason().get("unmatched"), Some("2"));
    }

    #[test]
    fn an_option_of_several_groups_has_the_lowest_priority_of_them() {
        let lists = [(10, "spot"), (50, "demand")];
        let lists = lists.map(|(priority, pattern)| (priority, vec![pattern.to_owned()]));
        let config = Config {
            priorities: Some(lists.into()),
            error: None,
        };
        let build = Expander::build().config(config);
        let build = build.option(OptionSpec::groups(&[("demand-a", 1), ("spot-b", 1)]));
        let build = build.option(OptionSpec::groups(&[("demand-a", 1), ("other", 1)]));
        let ranking = rank(&build.option(OptionSpec::group("demand-c")).done());
        assert_eq!(ranking.best(), [2]);
        assert_eq!((ranking.score(0), ranking.score(1)), (Some(10.0), None));
    }

    #[test]
    fn what_is_of_no_use_keeps_every_option() {
        for (priorities, code) in [
            (
                &[(10, &["nothing"][..])][..],
                "PriorityConfigMapNoGroupMatched",
            ),
            (&[(-10, &[".*"])], "PriorityConfigMapNoGroupMatched"),
            (&[], "PriorityConfigMapNoGroupMatched"),
            (&[(10, &["["]), (5, &[".*"])], "PriorityConfigMapInvalid"),
            (&[(10, &["(a)\\1"])], "PriorityConfigMapInvalid"),
            (&[(10, &["(x{1000}){1000}"])], "PriorityConfigMapInvalid"),
        ] {
            let ranking = ask(priorities);
            assert_eq!(ranking.reason().code, code, "{priorities:?}");
            assert_eq!(ranking.best(), [0, 1, 2], "{priorities:?}");
        }
        let one = |config| {
            let build = Expander::build().config(config);
            rank(&build.option(OptionSpec::group("a")).done())
        };
        let missing = one(Config::default());
        assert_eq!(missing.reason().code, "PriorityConfigMapMissing");
        let unreadable = one(Config {
            error: Some("not YAML".into()),
            ..Config::default()
        });
        assert_eq!(unreadable.reason().sentence, "not YAML");
        assert_eq!(unreadable.best(), [0]);
    }
}
