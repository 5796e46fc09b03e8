//! The built-in policy `consolidate`: a move is taken if the share of its groups' price that
//! it saves is worth the share of their cost that it causes.
//!
//! With `k` of 2, a move that saves a tenth of the price may cause a fifth of the cost. The
//! move that saves most is made first: it may take the place of several others.

use flyball_policy::{JudgedMove, MoveVerdict, MoveVerdicts, ScaleDownMoves};
use schemars::JsonSchema;
use serde::Deserialize;

/// When a move is worth its cost.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// How many times the share of the price that it saves a move may cost.
    #[schemars(range(min = 0.001, max = 1000.0))]
    pub k: f64,
    /// Least saving, as a share of the price of the nodes that leave.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub minimum: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            k: 2.0,
            minimum: 0.05,
        }
    }
}

flyball_policy::scale_down_policy! {
    summary: "Moves that save enough for what they cost",
    config: Config,
    judge_moves: judge,
}

/// Takes moves that are worth their cost: first those that cost nothing, then the one that
/// saves most.
pub fn judge(input: &ScaleDownMoves<Config>) -> MoveVerdicts {
    MoveVerdicts::each(input, |one| {
        let (Some(before), Some(after)) = (one.price_before(), one.price_after()) else {
            return unpriced(one);
        };
        let saving = before - after;
        if saving <= 0.0 || saving < input.config().minimum * before {
            let sentence = "it saves too little of the price of the nodes that leave";
            return MoveVerdict::leave().because("SavesTooLittle", sentence);
        }
        let worth = worth(one, saving);
        // A lower score is tried first.
        let verdict = if worth >= 1.0 / input.config().k {
            MoveVerdict::take().because("WorthItsCost", "it saves enough for what it costs")
        } else {
            MoveVerdict::leave().because("NotWorthItsCost", "it saves too little for what it costs")
        };
        let is_free = one.cost() <= 0.0;
        verdict.score(if is_free { -f64::MAX } else { -saving })
    })
}

/// Judges a move without a price. Where nothing comes, nothing can cost more than before.
fn unpriced(one: JudgedMove<'_>) -> MoveVerdict {
    if one.coming().len() == 0 {
        return MoveVerdict::take().because("Removal", "its nodes leave and none comes");
    }
    MoveVerdict::leave().because("PriceUnknown", "a price of its nodes is not known")
}

/// Returns the share of the price that a move saves, divided by the share of the cost that
/// it causes. Both are of the groups whose nodes leave, taken together.
fn worth(one: JudgedMove<'_>, saving: f64) -> f64 {
    if one.cost() <= 0.0 {
        return f64::MAX;
    }
    let mut groups = Vec::new();
    let (mut price, mut cost) = (0.0, 0.0);
    for group in one.leaving().filter_map(|node| node.group()) {
        if groups.contains(&group.row()) {
            continue;
        }
        groups.push(group.row());
        price += group.price().unwrap_or(0.0);
        cost += group.cost().unwrap_or(0.0);
    }
    // What a move saves and costs is part of what its groups do, whatever the columns say.
    let price = price.max(saving);
    let cost = cost.max(one.cost());
    (saving / price) / (one.cost() / cost)
}

#[cfg(test)]
mod tests {
    use flyball_policy::{GroupSpec, MoveSpec, ScaleDownMoves, ScaleDownNodeSpec, Time};

    use super::{Config, judge};

    #[test]
    fn a_move_is_taken_that_saves_enough_for_what_it_costs() {
        let old = Time::from_ms(0);
        let priced = |before, after, cost| {
            MoveSpec::removal(&[0])
                .coming(&[(1, 1)])
                .pods(10, cost, old, 0)
                .prices(Some(before), Some(after))
        };
        let input = ScaleDownMoves::<Config>::build()
            .group(GroupSpec::named("large").prices(1.0, 10.0).cost(100.0))
            .group(GroupSpec::named("small"))
            .node(ScaleDownNodeSpec::of("large"))
            // A twentieth of the price for a tenth of the cost.
            .r#move(priced(1.0, 0.5, 10.0))
            .r#move(priced(1.0, 0.5, 11.0))
            .r#move(priced(1.0, 0.96, 0.1))
            .r#move(priced(1.0, 1.5, 0.1))
            .r#move(priced(1.0, 0.5, 0.0))
            .r#move(MoveSpec::removal(&[0]).pods(10, 10.0, old, 0))
            .r#move(MoveSpec::removal(&[0]).coming(&[(1, 1)]));
        let verdicts = judge(&input.done());
        let codes: Vec<_> = (0..7).filter_map(|row| verdicts.code(row)).collect();
        assert_eq!(
            codes,
            [
                "WorthItsCost",
                "NotWorthItsCost",
                "SavesTooLittle",
                "SavesTooLittle",
                "WorthItsCost",
                "Removal",
                "PriceUnknown"
            ]
        );
        assert_eq!(verdicts.score(0), Some(-0.5), "what it saves");
        assert!(
            verdicts.score(4) < verdicts.score(0),
            "free moves come first"
        );
        assert!(verdicts.takes(5) && !verdicts.takes(6));
    }
}
