//! Splits new nodes over similar groups, and compares with Cluster Autoscaler's own
//! results: every case of `tests/vectors/nodes/balance.jsonl.gz`.

use flyball_nodes::balance::{GroupSize, balance};
use flyball_test_support::vectors;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    groups: Vec<GroupCase>,
    new_nodes: u32,
    expected: Expected,
}

#[derive(Deserialize)]
struct GroupCase {
    current: u32,
    max: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    error: bool,
    final_sizes: Vec<u32>,
    order_dependent: bool,
    sorted_final_sizes: Vec<u32>,
}

#[test]
fn new_nodes_are_split_as_upstream_splits_them() {
    let mut cases = 0;
    for case in vectors::read::<Case>("nodes/balance").unwrap() {
        let groups = case.groups.iter().map(|group| GroupSize {
            current: group.current,
            max: group.max,
        });
        let groups: Vec<_> = groups.collect();
        let sizes = balance(&groups, case.new_nodes);
        cases += 1;
        if case.expected.error {
            // Upstream's only error is that there is no group. Then nothing is split.
            assert!(sizes.is_empty(), "{}", case.id);
            continue;
        }
        let mut sorted = sizes.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, case.expected.sorted_final_sizes, "{}", case.id);
        // Up to twelve groups, upstream's sort keeps the order of groups of equal size.
        let open = groups.iter().filter(|g| g.current != g.max).count();
        if open <= 12 || !case.expected.order_dependent {
            assert_eq!(sizes, case.expected.final_sizes, "{}", case.id);
        }
    }
    assert_eq!(cases, 100);
}
