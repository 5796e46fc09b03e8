//! Splitting new nodes over similar groups, compared with a plain restatement of Cluster
//! Autoscaler's loop.

use flyball_nodes::balance::{GroupSize, balance};
use proptest::prelude::*;

fn groups(sizes: &[u32], maxima: &[u32]) -> Vec<GroupSize> {
    sizes
        .iter()
        .zip(maxima)
        .map(|(&current, &max)| GroupSize { current, max })
        .collect()
}

/// The loop of `BalanceScaleUpBetweenGroups`, node by node, with its variables and its
/// order.
fn upstream(groups: &[GroupSize], new_nodes: u32) -> Vec<u32> {
    let mut sizes: Vec<u32> = groups.iter().map(|group| group.current).collect();
    let mut rows: Vec<usize> = (0..groups.len())
        .filter(|&row| groups[row].current != groups[row].max)
        .collect();
    rows.sort_by_key(|&row| sizes[row]);
    let room = |group: &GroupSize| group.max.saturating_sub(group.current);
    let mut new_nodes = new_nodes.min(groups.iter().map(room).sum());
    let (mut start, mut current) = (0, 0);
    while new_nodes > 0 {
        if sizes[rows[current]] < groups[rows[current]].max {
            sizes[rows[current]] += 1;
            new_nodes -= 1;
        } else {
            rows.swap(start, current);
            start += 1;
        }
        // After a removal, this refers to the group that took the place of the full one.
        let larger_than_next = |next: &usize| sizes[rows[current]] > sizes[*next];
        if rows.get(current + 1).is_some_and(larger_than_next) {
            current += 1;
        } else {
            current = start;
        }
    }
    sizes
}

/// Sizes, maximum sizes, nodes to add, and the resulting sizes.
type Case<'a> = (&'a [u32], &'a [u32], u32, &'a [u32]);

#[test]
fn a_group_that_is_full_from_the_start_or_fills_up_decides_who_is_next() {
    // Each line is an answer of Cluster Autoscaler's own code.
    let cases: [Case<'_>; 6] = [
        (
            &[0, 2, 24, 8, 1, 0, 2, 5],
            &[0, 12, 34, 18, 101, 0, 102, 7],
            200,
            &[0, 12, 34, 18, 85, 0, 86, 7],
        ),
        // The first group leaves once it is full: of the others, the last comes first.
        (&[0, 0, 0], &[1, 9, 9], 4, &[1, 2, 1]),
        (&[0, 0, 0], &[9, 1, 9], 4, &[2, 1, 1]),
        (&[0, 0, 0], &[9, 9, 1], 4, &[2, 1, 1]),
        // A group above its maximum takes no room from the others.
        (&[7, 0, 36], &[5, 3, 28], 1, &[7, 1, 36]),
        (&[1, 1, 1], &[1, 1, 1], 3, &[1, 1, 1]),
    ];
    for (sizes, maxima, new_nodes, expected) in cases {
        let groups = groups(sizes, maxima);
        assert_eq!(balance(&groups, new_nodes), expected, "{groups:?}");
        assert_eq!(upstream(&groups, new_nodes), expected, "{groups:?}");
    }
}

#[test]
fn numbers_at_their_limits_take_no_time_and_do_not_wrap() {
    let most = u32::MAX;
    let sizes = balance(&groups(&[0, most, 5], &[most, most, most]), most);
    assert_eq!(sizes, [2_147_483_650, most, 2_147_483_650]);
    assert_eq!(balance(&groups(&[most], &[0]), most), [most]);
    assert!(balance(&[], most).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn nodes_are_split_as_upstreams_loop_splits_them(
        // Few distinct numbers, so that groups are often equal, full or above maximum.
        sizes in prop::collection::vec((0..6u32, 0..14u32), 1..16),
        wide in any::<bool>(),
        new_nodes in 0..90u32,
    ) {
        let scale = if wide { 9 } else { 1 };
        let groups: Vec<GroupSize> = sizes
            .iter()
            .map(|&(current, max)| GroupSize { current, max: max * scale })
            .collect();
        prop_assert_eq!(balance(&groups, new_nodes), upstream(&groups, new_nodes));
    }
}
