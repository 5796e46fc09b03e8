//! Balancing of new nodes over similar node groups: each goes to the smallest group that
//! has room.

use std::cmp::min;

use serde::{Deserialize, Serialize};

/// Sizes of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupSize {
    /// Target now.
    pub current: u32,
    /// Largest target that may be ordered.
    pub max: u32,
}

/// A group that is not at its maximum from the start.
struct Open {
    /// Index in the caller's list.
    row: usize,
    size: u32,
    max: u32,
}

/// Returns the new size of each group, at its index, when `new_nodes` are added one
/// by one to the smallest group below its maximum. Nodes that no group has room for
/// are left out; a group above its maximum keeps its size.
///
/// Which of equally small groups is next is decided as in Cluster Autoscaler's
/// `BalanceScaleUpBetweenGroups`: groups are sorted by their current size, equal ones
/// in the order given, and served in rounds; a group found full leaves the list, and
/// the first group of the list takes its place in the order. Upstream sorts with Go's
/// `sort.Slice`, which keeps the order of equal elements up to a length of twelve;
/// beyond that the order depends on the inner workings of Go's sort, and is not
/// imitated here.
#[must_use]
pub fn balance(groups: &[GroupSize], new_nodes: u32) -> Vec<u32> {
    let mut open = open_groups(groups);
    let mut left = min(new_nodes, room(groups));
    // Groups before it are full. As `left` is no more than the room, there is a group
    // at `start` as long as nodes are left.
    let mut start = 0;
    while left > 0 {
        let end = start + equally_small(&open[start..]);
        let rounds = whole_rounds(&open[start..end], open.get(end), left);
        if rounds > 0 {
            for group in &mut open[start..end] {
                group.size += rounds;
                left -= rounds;
            }
            continue;
        }
        let mut next = start;
        while next < end && left > 0 {
            if open[next].size < open[next].max {
                open[next].size += 1;
                left -= 1;
            } else {
                open.swap(start, next);
                start += 1;
            }
            next += 1;
        }
    }
    let mut sizes: Vec<u32> = groups.iter().map(|group| group.current).collect();
    for group in open {
        sizes[group.row] = group.size;
    }
    sizes
}

fn open_groups(groups: &[GroupSize]) -> Vec<Open> {
    let mut open: Vec<Open> = groups
        .iter()
        .enumerate()
        .filter(|(_, group)| group.current != group.max)
        .map(|(row, group)| Open {
            row,
            size: group.current,
            max: group.max,
        })
        .collect();
    open.sort_by_key(|group| group.size);
    open
}

/// Number of nodes that all groups together have room for.
fn room(groups: &[GroupSize]) -> u32 {
    let rooms = groups.iter().map(|g| g.max.saturating_sub(g.current));
    rooms.fold(0, u32::saturating_add)
}

/// Number of groups at the front of the sorted list that have the size of the first.
fn equally_small(open: &[Open]) -> usize {
    let level = open.first().map(|group| group.size);
    open.iter()
        .take_while(|group| Some(group.size) == level)
        .count()
}

/// Number of rounds, with one node for each of these equally small groups, until a group
/// is full, the next larger one takes part, or fewer nodes than groups are left.
fn whole_rounds(equal: &[Open], next: Option<&Open>, left: u32) -> u32 {
    let share = left / u32::try_from(equal.len()).unwrap_or(u32::MAX);
    equal.iter().fold(share, |rounds, group| {
        let room = group.max.saturating_sub(group.size);
        let gap = next.map_or(u32::MAX, |next| next.size - group.size);
        rounds.min(room).min(gap)
    })
}
