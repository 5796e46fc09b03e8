//! Extended resources: what pods request and no node has takes no memory for each node, and
//! is judged once a node has it.

use std::sync::Arc;

use flyball_placement::pack::{Demand, Growth, Template, Work, fill, pack, pack_each};
use flyball_placement::{ClassId, Cluster, Node, NodeId, Pod};

use crate::node;

fn node_with(row: usize, resources: &[(&str, i64)]) -> Node {
    let mut node = node(row, "zone-0");
    for (name, amount) in resources {
        node.allocatable.set(name, *amount);
    }
    node
}

fn pod_with(resources: &[(&str, i64)]) -> Pod {
    let mut pod = Pod::default();
    for (name, amount) in resources {
        pod.requests.set(name, *amount);
    }
    pod
}

/// Why a class does not fit on a node, in the scheduler's words.
fn reasons(cluster: &Cluster, class: ClassId, node: NodeId) -> Vec<String> {
    let misfit = cluster.check(class, node).err();
    assert_eq!(misfit.is_none(), cluster.fits(class, node));
    misfit.map(|misfit| misfit.reasons()).unwrap_or_default()
}

#[test]
fn resources_that_only_pods_request_take_no_columns() {
    let mut cluster = Cluster::default();
    let nodes: Vec<NodeId> = (0..1000)
        .map(|row| cluster.add_node(node_with(row, &[("a/gpu", 8)])))
        .collect();
    let classes: Vec<ClassId> = (0..2000)
        .map(|row| {
            let names: Vec<String> = (0..5).map(|at| format!("a/x{row}-{at}")).collect();
            let amounts: Vec<(&str, i64)> = names.iter().map(|name| (&**name, 1)).collect();
            cluster.class(&pod_with(&amounts))
        })
        .collect();
    // cpu, memory, ephemeral storage, pods and the nodes' own resource.
    assert_eq!(cluster.resource_count(), 5);
    let missing = [0, 1, 2, 3, 4].map(|at| format!("Insufficient a/x7-{at}"));
    assert_eq!(reasons(&cluster, classes[7], nodes[0]), missing);
    let texts = cluster.text_count();
    assert!(texts >= 10_000, "{texts}");
    assert!(cluster.place(classes[7], nodes[0], false));
    assert_eq!(cluster.resource_count(), 5);

    // The pod that runs counts on a node that gets the resources later.
    let own = [0, 1, 2, 3, 4].map(|at| format!("a/x7-{at}"));
    let own = own.each_ref().map(|name| (name.as_str(), 1));
    cluster.add_node(node_with(0, &own));
    let new = cluster.add_node(node_with(1000, &own));
    assert_eq!(cluster.resource_count(), 10);
    assert_eq!(reasons(&cluster, classes[7], nodes[0]), missing);
    assert_eq!(reasons(&cluster, classes[7], nodes[1]), missing);
    assert_eq!(reasons(&cluster, classes[7], new), Vec::<String>::new());
    assert!(cluster.unplace(classes[7], nodes[0], false));
    assert_eq!(
        reasons(&cluster, classes[7], nodes[0]),
        Vec::<String>::new()
    );
    assert_eq!(
        reasons(&cluster, classes[8], new),
        [0, 1, 2, 3, 4].map(|at| format!("Insufficient a/x8-{at}"))
    );
}

#[test]
fn what_a_node_uses_is_exact_after_a_rollback_in_which_its_resource_came() {
    let mut cluster = Cluster::default();
    let id = cluster.add_node(node_with(0, &[]));
    let class = cluster.class(&pod_with(&[("a/x", 2)]));
    assert!(cluster.place(class, id, false));
    let mark = cluster.mark();
    assert!(cluster.place(class, id, true));
    cluster.add_node(node_with(0, &[("a/x", 5)]));
    assert_eq!(cluster.free(id).get("a/x"), 1);
    cluster.rollback(mark);
    assert_eq!(reasons(&cluster, class, id), ["Insufficient a/x"]);
    cluster.add_node(node_with(0, &[("a/x", 5)]));
    assert_eq!(cluster.free(id).get("a/x"), 3);
}

#[test]
fn pods_are_packed_on_new_nodes_with_a_resource_that_no_node_has() {
    let mut cluster = Cluster::default();
    let old = cluster.add_node(node_with(0, &[]));
    let template = Template {
        node: Arc::new(node_with(1, &[("a/x", 1)])),
        carried: Vec::new(),
    };
    let mut demand = |resources: &[(&str, i64)], count| Demand {
        class: cluster.class(&pod_with(resources)),
        count,
    };
    let demands = [
        demand(&[("a/x", 1)], 3),
        demand(&[("a/y", 1), ("a/z", 1)], 2),
        demand(&[("a/x", 1), ("a/y", 1)], 2),
    ];
    let work = Work::unlimited();
    assert_eq!(fill(&mut cluster, &[old], &demands, &work), [0, 0, 0]);
    let plain = [Demand {
        class: cluster.class(&Pod::default()),
        count: 1,
    }];
    let all = [demands.as_slice(), &plain].concat();
    let mark = cluster.mark();
    assert_eq!(fill(&mut cluster, &[old], &all, &work), [0, 0, 0, 1]);
    cluster.rollback(mark);
    let growth = Growth::of(&template, 10);
    let each = pack_each(
        &mut cluster,
        &[old],
        std::slice::from_ref(&growth),
        &demands,
        &work,
    );
    assert_eq!(each[0].placed, [3, 0, 0]);
    assert_eq!(each[0].nodes, [3]);
    let packed = pack(&mut cluster, &[old], &growth, &demands);
    assert_eq!(packed, *each[0]);
    assert_eq!(cluster.resource_count(), 5);
}
