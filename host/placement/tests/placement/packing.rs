//! Packing pods onto new nodes of a template.

use std::sync::Arc;

use flyball_placement::pack::{Demand, Growth, Order, Packed, Template, Work, pack, pack_and_keep};
use flyball_placement::{AffinityTerm, Cluster, LabelSelector, Node, Pod, Requirement, Resources};

fn template(cpu: i64, memory: i64, pods: i64) -> Template {
    let allocatable = Resources {
        cpu,
        memory,
        pods,
        ..Resources::default()
    };
    Template {
        node: Arc::new(Node {
            name: "new".into(),
            allocatable,
            ..Node::default()
        }),
        carried: Vec::new(),
    }
}

fn pod(cpu: i64, memory: i64) -> Pod {
    Pod {
        namespace: "default".into(),
        requests: Resources {
            cpu,
            memory,
            ..Resources::default()
        },
        ..Pod::default()
    }
}

fn demand(cluster: &mut Cluster, pod: &Pod, count: u32) -> Demand {
    let class = cluster.class(pod);
    Demand { class, count }
}

#[test]
fn holes_that_large_pods_leave_are_filled_by_small_ones() {
    let mut cluster = Cluster::default();
    let demands = [
        demand(&mut cluster, &pod(50, 100), 50_000),
        demand(&mut cluster, &pod(95, 190), 1000),
    ];
    let template = template(1000, 5000, 100);
    let packed = pack(
        &mut cluster,
        &[],
        &Growth::of(&template, u32::MAX),
        &demands,
    );
    let all = vec![50_000, 1000];
    assert_eq!(
        packed,
        Packed {
            nodes: vec![2595],
            placed_on_new: all.clone(),
            placed: all,
            order: Order::BySize,
        }
    );
    let limited = pack(&mut cluster, &[], &Growth::of(&template, 10), &demands);
    assert_eq!((limited.node_count(), limited.placed), (10, vec![10, 100]));
    assert_eq!(cluster.node_count(), 0, "all is as before");
}

#[test]
fn many_shapes_take_hardly_more_nodes_than_their_sum() {
    let mut cluster = Cluster::default();
    let shapes: Vec<Pod> = (0..5000).map(|n| pod(10 + n % 21, 1000 + n)).collect();
    let demands: Vec<Demand> = shapes
        .iter()
        .map(|shape| demand(&mut cluster, shape, 1))
        .collect();
    let cpu: i64 = shapes.iter().map(|shape| shape.requests.cpu).sum();
    let template = template(1000, 1 << 20, 110);
    let packed = pack(
        &mut cluster,
        &[],
        &Growth::of(&template, u32::MAX),
        &demands,
    );
    assert_eq!(packed.pods(), 5000);
    let least = u32::try_from((cpu + 999) / 1000).unwrap_or(u32::MAX);
    assert!(
        packed.node_count() <= least + 1,
        "{}, not {least}",
        packed.node_count()
    );
}

#[test]
fn pods_that_keep_apart_take_a_node_each_and_stay_where_they_are_kept() {
    let mut cluster = Cluster::default();
    let mut apart = pod(10, 10);
    apart.labels.set("app".into(), "web".into());
    apart.anti_affinity = vec![AffinityTerm {
        topology_key: "kubernetes.io/hostname".into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", "web")])),
        namespaces: Vec::new(),
        namespace_selector: None,
    }];
    let demands = [
        demand(&mut cluster, &apart, 5),
        demand(&mut cluster, &pod(400, 10), 4),
    ];
    let template = template(1000, 5000, 100);
    let packed = pack(&mut cluster, &[], &Growth::of(&template, 7), &demands);
    assert_eq!((packed.node_count(), &packed.placed), (5, &vec![5, 4]));
    let growth = Growth::of(&template, 7);
    let (order, work) = (packed.order, Work::unlimited());
    let (again, kept) = pack_and_keep(&mut cluster, &[], &growth, &demands, order, &work);
    assert_eq!(again, packed);
    assert_eq!(cluster.node_ids().collect::<Vec<_>>(), kept);
    assert_eq!(kept.len(), 5);
}

#[test]
fn simulated_nodes_leave_no_names_and_no_kinds_behind_however_the_cluster_grows() {
    let mut cluster = Cluster::default();
    let mut pinned = pod(10, 10);
    let host = "kubernetes.io/hostname";
    pinned.node_selector.set(host.into(), "node-0".into());
    let demands = [
        demand(&mut cluster, &pinned, 1),
        demand(&mut cluster, &pod(600, 10), 20),
    ];
    let template = template(1000, 5000, 100);
    let mut grown = |number: usize| {
        let name = format!("node-{number}");
        let mut node = Node::clone(&template.node);
        node.labels.set(host.into(), name.as_str().into());
        node.name = name.into();
        cluster.add_node(node);
        let packed = pack(&mut cluster, &[], &Growth::of(&template, 30), &demands);
        assert_eq!(packed.node_count(), 20);
        (cluster.text_count(), cluster.kind_count())
    };
    let (texts, kinds) = grown(0);
    // Each existing node has its own name, and so its own kind.
    assert_eq!(grown(1), (texts + 1, kinds + 1));
    assert_eq!(grown(2), (texts + 2, kinds + 2));
}
