//! Estimates of new nodes, compared with Cluster Autoscaler's: every case of
//! `tests/vectors/nodes/estimate.jsonl.gz`. Ours may be better, with no more nodes and
//! no fewer pods.

use std::sync::Arc;

use flyball_kubernetes::slim::{NodeObject, PodObject};
use flyball_placement::Cluster;
use flyball_placement::pack::{Demand, Growth, Packed, Template, pack};
use flyball_test_support::vectors;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    features: Vec<String>,
    template_node: NodeObject,
    template_pods: Vec<PodObject>,
    existing_nodes: Vec<NodeObject>,
    existing_pods: Vec<PodObject>,
    groups: Vec<Group>,
    limits: Limits,
    expected: Expected,
}

#[derive(Deserialize)]
struct Group {
    count: u32,
    pod: PodObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    max_nodes_per_estimate: u32,
    cluster_max_nodes: u32,
    current_nodes: u32,
    group_max: i64,
    group_target: i64,
    similar_groups: Vec<Similar>,
}

#[derive(Deserialize)]
struct Similar {
    max: i64,
    target: i64,
}

#[derive(Deserialize)]
struct Expected {
    results: Vec<Outcome>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    node_count: u32,
    scheduled_pods: u32,
}

impl Limits {
    fn nodes(&self) -> u32 {
        let room = |max: i64, target: i64| u32::try_from(max - target).unwrap_or(0);
        let similar = self.similar_groups.iter();
        let groups = similar.map(|group| room(group.max, group.target));
        let groups = groups.sum::<u32>() + room(self.group_max, self.group_target);
        let limit = |limit: u32| if limit == 0 { u32::MAX } else { limit };
        let cluster = match self.cluster_max_nodes {
            0 => u32::MAX,
            max => max.saturating_sub(self.current_nodes),
        };
        groups.min(limit(self.max_nodes_per_estimate)).min(cluster)
    }
}

impl Case {
    fn packed(&self) -> Packed {
        let mut cluster = Cluster::default();
        for node in &self.existing_nodes {
            cluster.add_node(node.clone().into_node());
        }
        for pod in &self.existing_pods {
            let node = pod.node_name().and_then(|node| cluster.find_node(node));
            let class = cluster.class(&pod.clone().into_pod());
            assert!(cluster.place(class, node.unwrap(), pod.metadata.is_terminating()));
        }
        let carried = self.template_pods.iter();
        let template = Template {
            node: Arc::new(self.template_node.clone().into_node()),
            carried: carried
                .map(|pod| cluster.class(&pod.clone().into_pod()))
                .collect(),
        };
        let demands = self.groups.iter().map(|group| Demand {
            class: cluster.class(&group.pod.clone().into_pod()),
            count: group.count,
        });
        let demands: Vec<_> = demands.collect();
        let known: Vec<_> = cluster.node_ids().collect();
        let growth = Growth::of(&template, self.limits.nodes());
        pack(&mut cluster, &known, &growth, &demands)
    }
}

/// Whether our result is as good as one of upstream's, or better.
fn agrees(ours: &Packed, theirs: &[Outcome]) -> bool {
    theirs.iter().any(|theirs| {
        ours.node_count() <= theirs.node_count && ours.pods() >= theirs.scheduled_pods
    })
}

#[test]
fn as_many_nodes_as_upstream_or_fewer_and_as_many_pods_or_more() {
    let cases: Vec<Case> = vectors::read("nodes/estimate").unwrap();
    assert_eq!(cases.len(), 240);
    let mut wrong = Vec::new();
    for case in &cases {
        let ours = case.packed();
        let theirs = &case.expected.results;
        if !agrees(&ours, theirs) {
            let features = case.features.join(" ");
            wrong.push(format!(
                "{} ({features}): {ours:?}, not {theirs:?}",
                case.id
            ));
        }
    }
    let listed = wrong.join("\n");
    assert!(wrong.is_empty(), "{} differ:\n{listed}", wrong.len());
}
