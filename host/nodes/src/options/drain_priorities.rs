//! `--drain-priority-config`: the order in which pods of a drained node are evicted.

use std::str::FromStr;

/// Ranges of pod priorities, each with its longest grace: pods of lower ranges are evicted
/// first, as with Cluster Autoscaler. Empty if all pods are evicted together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainPriorities(Vec<DrainPriority>);

/// The pods of this priority and above, up to the next range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DrainPriority {
    priority: i32,
    max_grace_ms: i64,
}

/// Why a text is no [`DrainPriorities`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrainPrioritiesError {
    /// A part does not have this form.
    #[error("{0:?} is no range of priorities: write PRIORITY:SECONDS, such as 1000:60")]
    Form(String),
    /// Two ranges begin with the same priority.
    #[error("two ranges begin with priority {0}")]
    Twice(i32),
}

impl DrainPriorities {
    /// Returns the number of a priority's range, and the longest grace of its pods in
    /// milliseconds; 0 limits it not. Priorities below the first range belong to it. `None`
    /// if there are no ranges.
    #[must_use]
    pub fn range_of(&self, priority: i32) -> Option<(usize, i64)> {
        let above = self.0.partition_point(|range| range.priority <= priority);
        let at = above.saturating_sub(1);
        Some((at, self.0.get(at)?.max_grace_ms))
    }
}

impl FromStr for DrainPriorities {
    type Err = DrainPrioritiesError;

    fn from_str(text: &str) -> Result<Self, DrainPrioritiesError> {
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let range = parse(part).ok_or_else(|| DrainPrioritiesError::Form(part.to_owned()))?;
            ranges.push(range);
        }
        ranges.sort_by_key(|range| range.priority);
        for pair in ranges.windows(2) {
            if pair[0].priority == pair[1].priority {
                return Err(DrainPrioritiesError::Twice(pair[0].priority));
            }
        }
        Ok(Self(ranges))
    }
}

fn parse(text: &str) -> Option<DrainPriority> {
    let (priority, seconds) = text.trim().split_once(':')?;
    let seconds: u32 = seconds.trim().parse().ok()?;
    Some(DrainPriority {
        priority: priority.trim().parse().ok()?,
        max_grace_ms: i64::from(seconds) * 1000,
    })
}

#[cfg(test)]
mod tests {
    use super::{DrainPriorities, DrainPrioritiesError};

    #[test]
    fn a_priority_belongs_to_the_range_that_begins_at_or_below_it() {
        let ranges = "10000:20,0:60,1000:100".parse::<DrainPriorities>();
        let of = |priority| {
            let ranges = ranges.as_ref().ok();
            ranges.and_then(|ranges| ranges.range_of(priority))
        };
        for (priority, expected) in [
            (i32::MIN, (0, 60_000)),
            (-1, (0, 60_000)),
            (0, (0, 60_000)),
            (999, (0, 60_000)),
            (1000, (1, 100_000)),
            (10_000, (2, 20_000)),
            (i32::MAX, (2, 20_000)),
        ] {
            assert_eq!(of(priority), Some(expected), "{priority}");
        }
        assert_eq!(DrainPriorities::default().range_of(0), None);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "1",
            "1:",
            ":1",
            "1:-1",
            "a:1",
            "1:1,",
            "1:1:1",
            "3000000000:1",
        ] {
            let parsed = text.parse::<DrainPriorities>();
            assert!(
                matches!(parsed, Err(DrainPrioritiesError::Form(_))),
                "{text}"
            );
        }
        let twice = "5:1,5:2".parse::<DrainPriorities>();
        assert_eq!(twice, Err(DrainPrioritiesError::Twice(5)));
    }
}
