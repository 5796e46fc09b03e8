//! Similarity of node groups, compared with Cluster Autoscaler's own results: every case
//! of `tests/vectors/nodes/similar.jsonl.gz`.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_cloud::aws;
use flyball_decision::quantity::Milli;
use flyball_nodes::options::DifferenceRatios;
use flyball_nodes::similar::{NodeShape, ignored_labels, similar};
use flyball_test_support::vectors;
use serde::Deserialize;
use serde_json::Value;

type Amounts = BTreeMap<Arc<str>, i64>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    nodes: Vec<NodeCase>,
    extra_ignored_labels: Vec<Arc<str>>,
    max_allocatable_difference_ratio: f64,
    max_free_difference_ratio: f64,
    max_capacity_memory_difference_ratio: f64,
    expected: Expected,
}

#[derive(Deserialize)]
struct NodeCase {
    node: Value,
    pods: Vec<Value>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Expected {
    generic: bool,
    aws: bool,
}

struct Shape {
    labels: BTreeMap<Arc<str>, Arc<str>>,
    capacity: Amounts,
    allocatable: Amounts,
    requested: Amounts,
}

fn amounts(value: &Value) -> Amounts {
    let amounts: BTreeMap<Arc<str>, Milli> =
        serde_json::from_value(value.clone()).unwrap_or_default();
    amounts
        .into_iter()
        .map(|(name, Milli(amount))| (name, amount))
        .collect()
}

impl Shape {
    fn new(case: &NodeCase) -> Self {
        let mut requested = Amounts::new();
        for pod in &case.pods {
            for container in pod["spec"]["containers"].as_array().unwrap() {
                for (name, amount) in amounts(&container["resources"]["requests"]) {
                    *requested.entry(name).or_default() += amount;
                }
            }
        }
        let node = &case.node;
        Self {
            labels: serde_json::from_value(node["metadata"]["labels"].clone()).unwrap_or_default(),
            capacity: amounts(&node["status"]["capacity"]),
            allocatable: amounts(&node["status"]["allocatable"]),
            requested,
        }
    }

    fn borrowed(&self) -> NodeShape<'_> {
        NodeShape {
            labels: &self.labels,
            capacity: &self.capacity,
            allocatable: &self.allocatable,
            requested: &self.requested,
        }
    }
}

#[test]
fn groups_are_similar_where_upstream_finds_them_so() {
    let (mut cases, mut alike) = (0, 0);
    for case in vectors::read::<Case>("nodes/similar").unwrap() {
        let shapes: Vec<_> = case.nodes.iter().map(Shape::new).collect();
        let ratios = DifferenceRatios {
            capacity_memory: case.max_capacity_memory_difference_ratio,
            allocatable: case.max_allocatable_difference_ratio,
            free: case.max_free_difference_ratio,
        };
        let verdict = |cloud: &[&str]| {
            let cloud = cloud.iter().map(|&label| Arc::from(label));
            let others: Vec<_> = cloud.chain(case.extra_ignored_labels.clone()).collect();
            let ignored = ignored_labels(&others);
            similar(shapes[0].borrowed(), shapes[1].borrowed(), &ignored, ratios)
        };
        let found = Expected {
            generic: verdict(&[]),
            aws: verdict(aws::CONVENTIONS.ignored_labels),
        };
        assert_eq!(found, case.expected, "{}", case.id);
        cases += 1;
        alike += usize::from(found.generic);
    }
    assert_eq!(cases, 200);
    assert!(alike > 10, "only {alike} alike");
}
