//! New nodes split over similar node groups: each goes to the smallest group that
//! has room.

use serde::{Deserialize, Serialize};

/// Sizes of a group that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupSize {
    /// Target now.
    pub current: u32,
    /// Largest target that may be ordered.
    pub max: u32,
}

/// The new size of each group, at its index, when `new_nodes` are added one by one
/// to the smallest group below its maximum; of two equally small ones, to the one
/// that started smaller, then to the first. What no group has room for is left out.
/// A group above its maximum stays as it is.
#[must_use]
pub fn balance(groups: &[GroupSize], new_nodes: u32) -> Vec<u32> {
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|&row| groups[row].current);
    let mut sizes: Vec<u32> = groups.iter().map(|group| group.current).collect();
    let mut left = new_nodes;
    while left > 0 {
        let open = |&&row: &&usize| sizes[row] < groups[row].max;
        let Some(level) = order.iter().filter(open).map(|&row| sizes[row]).min() else {
            break;
        };
        // Whole steps for all at this level at once: as far as the next group's
        // size, the nearest maximum, or the nodes that are left.
        let lowest: Vec<usize> = order
            .iter()
            .copied()
            .filter(|&row| sizes[row] == level && level < groups[row].max)
            .collect();
        let step = whole_steps(groups, &sizes, &lowest, level, left);
        if step == 0 {
            for &row in lowest.iter().take(left as usize) {
                sizes[row] += 1;
            }
            break;
        }
        for &row in &lowest {
            sizes[row] += step;
        }
        left -= step * u32::try_from(lowest.len()).unwrap_or(u32::MAX);
    }
    sizes
}

fn whole_steps(
    groups: &[GroupSize],
    sizes: &[u32],
    lowest: &[usize],
    level: u32,
    left: u32,
) -> u32 {
    let share = left / u32::try_from(lowest.len()).unwrap_or(u32::MAX);
    let next = groups.iter().zip(sizes);
    let next = next.filter(|(group, size)| **size > level && **size < group.max);
    let next = next.map(|(_, size)| size - level).min();
    let room = lowest.iter().map(|&row| groups[row].max - level).min();
    share
        .min(next.unwrap_or(u32::MAX))
        .min(room.unwrap_or(u32::MAX))
}
