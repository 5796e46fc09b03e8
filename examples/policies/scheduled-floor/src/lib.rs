//! A floor under the replicas at set hours, such as office hours. Meant to stand
//! beside another policy, of which the host takes the maximum:
//!
//! ```yaml
//! policies:
//!   - name: hpa
//!   - name: scheduled-floor
//!     config: { floors: [{ days: [0, 1, 2, 3, 4], from: 28800, until: 64800, replicas: 6 }] }
//! combine: Max
//! ```

use std::time::Duration;

use flyball_policy::{Decision, Replica};
use schemars::JsonSchema;
use serde::Deserialize;

/// What the operator may set.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The floors: the highest that is in force holds.
    pub floors: Vec<Floor>,
}

/// A floor that is in force on some days, at some hours (UTC).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Floor {
    /// Days of the week, 0 is Monday.
    #[schemars(inner(range(max = 6)))]
    pub days: Vec<u32>,
    /// First second of the day.
    #[schemars(range(max = 86_399))]
    pub from: u32,
    /// Second of the day with which it ends.
    #[schemars(range(max = 86_400))]
    pub until: u32,
    /// Fewest replicas.
    #[schemars(range(min = 0))]
    pub replicas: i32,
}

flyball_policy::replica_policy! {
    summary: "A floor under the replicas at set hours",
    config: Config,
    decide: decide,
}

/// The highest floor in force, or else the object's own minimum.
pub fn decide(input: &Replica<Config>) -> Decision {
    let (day, second) = (input.now().weekday(), input.now().second_of_day());
    let in_force =
        |floor: &&Floor| floor.days.contains(&day) && floor.from <= second && second < floor.until;
    let floors = input.config().floors.iter().filter(in_force);
    let decision = match floors.map(|floor| floor.replicas).max() {
        Some(replicas) => {
            Decision::to(replicas).because("Scheduled", format!("{replicas} at this hour"))
        }
        None => Decision::to(input.min()).because("Unscheduled", "no floor at this hour"),
    };
    decision.ask_again_after(until_next_change(input.config(), second))
}

/// The time until another floor may be in force: the policy goes by the clock, and
/// would else be asked late where nothing but time changes.
fn until_next_change(config: &Config, second: u32) -> Duration {
    let changes = config
        .floors
        .iter()
        .flat_map(|floor| [floor.from, floor.until]);
    let next = changes.filter(|&change| change > second).min();
    Duration::from_secs(u64::from(next.unwrap_or(86_400) - second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyball_policy::Time;

    #[test]
    fn holds_at_its_hours_only() {
        let floor = Floor {
            days: vec![3],
            from: 3600,
            until: 7200,
            replicas: 6,
        };
        let decide_at = |second: i64| {
            let config = Config {
                floors: vec![floor.clone()],
            };
            // The Unix epoch was a Thursday: day 3.
            let input = Replica::<Config>::build()
                .config(config)
                .at(Time::from_ms(second * 1000));
            decide(&input.done()).replicas()
        };
        assert_eq!(decide_at(3599), Some(1));
        assert_eq!(decide_at(3600), Some(6));
        assert_eq!(decide_at(7200), Some(1));
        assert_eq!(decide_at(3600 + 86_400), Some(1));
        let config = Config {
            floors: vec![floor.clone()],
        };
        let waits = |second| until_next_change(&config, second).as_secs();
        assert_eq!([waits(3599), waits(3600), waits(7200)], [1, 3600, 79_200]);
    }
}
