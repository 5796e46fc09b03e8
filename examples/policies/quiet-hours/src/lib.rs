//! An example of a scale-down policy: no node is drained on weekdays from 8 to 18. Nodes
//! without pods may leave at any time.

use std::time::Duration;

use flyball_policy::{NodeVerdict, NodeVerdicts, ScaleDownNodes, Time};
use schemars::JsonSchema;
use serde::Deserialize;

const HOUR: Duration = Duration::from_secs(3600);

/// The quiet hours.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// First hour of a weekday in which nothing is drained.
    #[schemars(range(max = 24))]
    pub from: u32,
    /// First hour in which nodes are drained again.
    #[schemars(range(max = 24))]
    pub until: u32,
    /// Hours that the time zone is ahead of UTC.
    #[schemars(range(min = -12, max = 14))]
    pub hours_ahead: i32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            from: 8,
            until: 18,
            hours_ahead: 0,
        }
    }
}

flyball_policy::scale_down_policy! {
    summary: "Drains no node on weekdays from 8 to 18",
    config: Config,
    judge_nodes: judge,
}

/// Keeps nodes with pods in the quiet hours, and says when a verdict changes.
pub fn judge(input: &ScaleDownNodes<Config>) -> NodeVerdicts {
    let (quiet, changes) = quiet(input.config(), input.now());
    NodeVerdicts::each(input, |node| {
        let verdict = if node.is_empty() {
            return NodeVerdict::no_opinion();
        } else if quiet {
            NodeVerdict::must_stay().because("QuietHours", "nothing is drained at this hour")
        } else {
            NodeVerdict::no_opinion()
        };
        match changes {
            Some(at) => verdict.until(at),
            None => verdict,
        }
    })
}

/// Returns whether `now` is in the quiet hours, and when that changes. It never does if
/// the hours are empty.
fn quiet(config: &Config, now: Time) -> (bool, Option<Time>) {
    let ahead = i64::from(config.hours_ahead) * 3_600_000;
    let local = now.ms() + ahead;
    let midnight = Time::from_ms(local - local.rem_euclid(86_400_000));
    let mut quiet = false;
    // From a Friday evening the next change is on Monday.
    for day in 0..=3 {
        let day = midnight + HOUR * (24 * day);
        if day.weekday() > 4 || config.from >= config.until {
            continue;
        }
        for (hour, begins) in [(config.from, true), (config.until, false)] {
            let change = day + HOUR * hour;
            if change.ms() > local {
                return (quiet, Some(Time::from_ms(change.ms() - ahead)));
            }
            quiet = begins;
        }
    }
    (false, None)
}

#[cfg(test)]
mod tests {
    use flyball_policy::{ScaleDownNodeSpec, ScaleDownNodes, Time};

    use super::{Config, judge, quiet};

    /// Thursday, 1 January 2026.
    const DAY: i64 = 1_767_225_600_000;
    const HOUR: i64 = 3_600_000;

    #[test]
    fn hours_begin_and_end_on_weekdays() {
        for (hours, expected, change) in [
            (0, false, 8),
            (8, true, 18),
            (17, true, 18),
            (18, false, 24 + 8),
            (24 + 18, false, 4 * 24 + 8),
            (3 * 24, false, 4 * 24 + 8),
        ] {
            let now = Time::from_ms(DAY + hours * HOUR);
            let change = Time::from_ms(DAY + change * HOUR);
            assert_eq!(quiet(&Config::default(), now), (expected, Some(change)));
        }
        let ahead = Config {
            hours_ahead: 2,
            ..Config::default()
        };
        let at = |hours: i64| Time::from_ms(DAY + hours * HOUR);
        assert_eq!(quiet(&ahead, at(6)), (true, Some(at(16))));
    }

    #[test]
    fn nodes_with_pods_stay_until_the_evening() {
        let input = ScaleDownNodes::build()
            .at(Time::from_ms(DAY + 9 * HOUR))
            .node(ScaleDownNodeSpec::default().pods(3, 3.0))
            .node(ScaleDownNodeSpec::default());
        input.check_rows(judge);
        let verdicts = judge(&input.done());
        assert!(verdicts.must_stay(0));
        assert!(!verdicts.must_stay(1));
        assert_eq!(verdicts.code(0), Some("QuietHours"));
    }
}
