//! Packing onto many templates at once is as good as onto each by itself.

use std::sync::Arc;

use flyball_placement::pack::{
    Demand, Growth, Packed, Part, Template, Work, fill, pack, pack_each,
};
use flyball_placement::{
    AffinityTerm, Cluster, LabelSelector, Node, NodeSelectorTerm, Operator, Pod, Requirement,
    Resources, SpreadConstraint,
};
use proptest::collection::vec;
use proptest::prelude::*;

const ZONE: &str = "topology.kubernetes.io/zone";
const HOSTNAME: &str = "kubernetes.io/hostname";
/// A label that no node has.
const RACK: &str = "rack";
/// Requests of a pod that is too large for any node.
const HUGE: (i64, i64) = (100_000, 1);

/// Requirements of pods besides resources.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Nothing,
    Zone(u8),
    Spread(&'static str),
    Near(&'static str),
    Apart(&'static str),
    /// The first existing node, by its label.
    Host,
    /// Any other node.
    OtherHost,
}

/// Wishes, some of which no node meets: the last zone has no group.
fn wish() -> impl Strategy<Value = Wish> {
    let key = || prop_oneof![4 => Just(ZONE), 4 => Just(HOSTNAME), 1 => Just(RACK)];
    prop_oneof![
        3 => Just(Wish::Nothing),
        1 => (0..4u8).prop_map(Wish::Zone),
        2 => key().prop_map(Wish::Spread),
        1 => key().prop_map(Wish::Near),
        2 => key().prop_map(Wish::Apart),
        1 => Just(Wish::Host),
        1 => Just(Wish::OtherHost),
    ]
}

/// Requests of a pod: some are too large for the smaller nodes, and some for all.
fn size() -> impl Strategy<Value = (i64, i64)> {
    prop_oneof![
        10 => (1..15i64, 1..30i64),
        1 => (15..90i64, 1..30i64),
        1 => Just(HUGE),
    ]
}

fn resources(cpu: i64, memory: i64, pods: i64) -> Resources {
    Resources {
        cpu,
        memory,
        pods,
        ..Resources::default()
    }
}

fn node(name: &str, cores: i64, zone: u8) -> Node {
    let mut node = Node {
        name: name.into(),
        allocatable: resources(cores * 1000, cores * 2000, 20),
        ..Node::default()
    };
    node.labels.set(ZONE.into(), format!("z{zone}").into());
    node.labels.set(HOSTNAME.into(), name.into());
    node
}

fn pod((cpu, memory): (i64, i64), app: u8, wish: Wish) -> Pod {
    let mut pod = Pod {
        namespace: "default".into(),
        requests: resources(cpu * 100, memory * 100, 0),
        ..Pod::default()
    };
    let app = format!("app-{app}");
    pod.labels.set("app".into(), app.as_str().into());
    let like = LabelSelector(vec![Requirement::equals("app", app)]);
    let term = |key: &str| AffinityTerm {
        topology_key: key.into(),
        selector: Some(like.clone()),
        namespaces: Vec::new(),
        namespace_selector: None,
    };
    match wish {
        Wish::Nothing => {}
        Wish::Zone(zone) => pod
            .node_selector
            .set(ZONE.into(), format!("z{zone}").into()),
        Wish::Spread(key) => pod.spread.push(SpreadConstraint {
            max_skew: 1,
            topology_key: key.into(),
            selector: Some(like),
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        }),
        Wish::Near(key) => pod.affinity.push(term(key)),
        Wish::Apart(key) => pod.anti_affinity.push(term(key)),
        Wish::Host => pod.node_selector.set(HOSTNAME.into(), "old-0".into()),
        Wish::OtherHost => {
            let other = Requirement {
                key: HOSTNAME.into(),
                operator: Operator::NotIn,
                values: vec!["old-0".into()],
            };
            pod.node_affinity = Some(vec![NodeSelectorTerm {
                expressions: vec![other],
                fields: Vec::new(),
            }]);
        }
    }
    pod
}

/// New nodes in two zones. In the first one runs a pod of app 1 with anti-affinity to
/// its own app by zone.
fn two_zones(cluster: &mut Cluster) -> [(Template, u32); 2] {
    let old = cluster.add_node(node("old-0", 1, 0));
    let apart = cluster.class(&pod((1, 1), 1, Wish::Apart(ZONE)));
    cluster.place(apart, old, false);
    [0, 1].map(|zone| {
        let node = Arc::new(node("new", 4, zone));
        let carried = Vec::new();
        (Template { node, carried }, 9)
    })
}

#[test]
fn groups_are_told_apart_by_what_the_pods_in_question_go_by_and_nothing_else() {
    let mut cluster = Cluster::default();
    let zones = two_zones(&mut cluster);
    // A pod that can run on one host only.
    cluster.class(&pod((1, 1), 2, Wish::Host));
    let growths: Vec<_> = zones
        .iter()
        .map(|(template, most)| Growth::of(template, *most))
        .collect();
    let mut packed = |app, wish| {
        let class = cluster.class(&pod((5, 5), app, wish));
        let demands = [Demand { class, count: 3 }];
        pack_each(&mut cluster, &[], &growths, &demands, &Work::unlimited())
    };
    for wish in [Wish::Nothing, Wish::Apart(HOSTNAME), Wish::OtherHost] {
        let both = packed(0, wish);
        assert!(Arc::ptr_eq(&both[0], &both[1]), "{wish:?}");
        assert_eq!(both[0].pods(), 3, "{wish:?}");
    }
    let unwanted: Vec<u32> = packed(1, Wish::Nothing)
        .iter()
        .map(|one| one.pods())
        .collect();
    assert_eq!(unwanted, [0, 3]);
}

/// Growths of two groups each, whose nodes are of one size, by the zones of the groups.
fn in_zones(cores: [i64; 2], zones: &[[u8; 2]]) -> Vec<[Template; 2]> {
    let template = |cores, zone| Template {
        node: Arc::new(node("new", cores, zone)),
        carried: Vec::new(),
    };
    let pair = |[a, b]: &[u8; 2]| [template(cores[0], *a), template(cores[1], *b)];
    zones.iter().map(pair).collect()
}

fn growths_of(pairs: &[[Template; 2]]) -> Vec<Growth<'_>> {
    let part = |template| Part {
        template,
        size: 0,
        max_nodes: 9,
        stand_in: false,
    };
    pairs
        .iter()
        .map(|pair| Growth {
            parts: pair.iter().map(part).collect(),
            max_nodes: 9,
        })
        .collect()
}

#[test]
fn growths_are_told_apart_by_which_of_their_groups_share_a_zone() {
    let mut cluster = Cluster::default();
    let class = cluster.class(&pod((5, 5), 0, Wish::Apart(ZONE)));
    let demands = [Demand { class, count: 3 }];
    // No zone has a node yet.
    let pairs = in_zones([3, 5], &[[0, 1], [1, 1], [2, 3]]);
    let growths = growths_of(&pairs);
    let each = pack_each(&mut cluster, &[], &growths, &demands, &Work::unlimited());
    let pods: Vec<u32> = each.iter().map(|packed| packed.pods()).collect();
    assert_eq!(pods, [2, 1, 2]);
    assert!(Arc::ptr_eq(&each[0], &each[2]));
    for (growth, packed) in growths.iter().zip(each) {
        assert_eq!(*packed, pack(&mut cluster, &[], growth, &demands));
    }
}

#[test]
fn growths_are_told_apart_by_the_room_in_the_zones_of_their_groups() {
    let mut cluster = Cluster::default();
    let [with_room, full, empty] = [0, 1, 2];
    let known = [with_room, full, empty]
        .map(|zone| cluster.add_node(node(&format!("old-{zone}"), 2, zone)));
    let spread = cluster.class(&pod((5, 5), 0, Wish::Spread(ZONE)));
    let filler = cluster.class(&pod((15, 15), 9, Wish::Nothing));
    for (class, zone) in [(spread, with_room), (spread, full), (filler, full)] {
        cluster.place(class, known[usize::from(zone)], false);
    }
    let large = cluster.class(&pod((20, 20), 9, Wish::Nothing));
    cluster.place(large, known[usize::from(empty)], false);
    let demands = [Demand {
        class: spread,
        count: 9,
    }];
    let placed = fill(&mut cluster, &known, &demands, &Work::unlimited());
    assert_eq!(placed, [0]);
    let pairs = in_zones([4, 4], &[[with_room, empty], [full, empty]]);
    let growths = growths_of(&pairs);
    let each = pack_each(&mut cluster, &known, &growths, &demands, &Work::unlimited());
    assert!(each[0].pods() < each[1].pods());
    for (growth, packed) in growths.iter().zip(each) {
        assert_eq!(*packed, pack(&mut cluster, &known, growth, &demands));
    }
}

/// New nodes of each of these numbers of cores, in one zone.
fn of_sizes<const N: usize>(cores: [i64; N]) -> [Template; N] {
    cores.map(|cores| Template {
        node: Arc::new(node("new", cores, 0)),
        carried: Vec::new(),
    })
}

#[test]
fn pods_that_fit_nowhere_do_not_keep_sizes_of_nodes_from_sharing_an_estimate() {
    let mut cluster = Cluster::default();
    let known = [cluster.add_node(node("old-0", 2, 0))];
    let sizes = of_sizes([4, 8]);
    let growths = sizes.each_ref().map(|size| Growth::of(size, 9));
    let demand = |class, count| Demand { class, count };
    // One a node, so that both sizes need as many nodes.
    let apart = cluster.class(&pod((5, 5), 0, Wish::Apart(HOSTNAME)));
    let hopeless = [
        (HUGE, Wish::Nothing),
        // Such pods are tried on the existing node too.
        (HUGE, Wish::Spread(ZONE)),
        (HUGE, Wish::Near(HOSTNAME)),
        ((1, 1), Wish::Spread(RACK)),
        ((1, 1), Wish::Zone(7)),
    ];
    for (size, wish) in hopeless {
        let class = cluster.class(&pod(size, 1, wish));
        let demands = [demand(apart, 3), demand(class, 2)];
        let both = pack_each(&mut cluster, &known, &growths, &demands, &Work::unlimited());
        assert!(Arc::ptr_eq(&both[0], &both[1]), "{size:?} {wish:?}");
        assert_eq!(both[0].node_count(), 3, "{size:?} {wish:?}");
        assert_eq!(both[0].placed, [3, 0], "{size:?} {wish:?}");
    }
}

#[test]
fn a_pod_that_fits_on_larger_nodes_only_keeps_smaller_ones_from_sharing_their_estimate() {
    let mut cluster = Cluster::default();
    let sizes = of_sizes([4, 8, 16]);
    let growths = sizes.each_ref().map(|size| Growth::of(size, 9));
    let pods = [
        (pod((5, 5), 0, Wish::Apart(HOSTNAME)), 3),
        (pod((60, 60), 1, Wish::Nothing), 1),
        (pod(HUGE, 1, Wish::Nothing), 2),
    ];
    let demands = pods.map(|(pod, count)| {
        let class = cluster.class(&pod);
        Demand { class, count }
    });
    let each = pack_each(&mut cluster, &[], &growths, &demands, &Work::unlimited());
    let placed = [[3, 0, 0], [3, 1, 0], [3, 1, 0]];
    for ((growth, packed), placed) in growths.iter().zip(&each).zip(placed) {
        assert_eq!((packed.node_count(), &*packed.placed), (3, &placed[..]));
        assert_eq!(**packed, pack(&mut cluster, &[], growth, &demands));
    }
    assert!(!Arc::ptr_eq(&each[0], &each[1]));
    assert!(Arc::ptr_eq(&each[1], &each[2]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_once_for_many_is_as_good_as_packed_for_each(
        pods in vec((size(), 0..3u8, wish(), 1..8u32), 1..8),
        there in vec((0..3u8, 0..3u8), 0..4),
        groups in vec((1..9i64, 0..3u8, 0..40u32), 1..12),
    ) {
        let mut cluster = Cluster::default();
        for (row, (zone, app)) in there.into_iter().enumerate() {
            let node = cluster.add_node(node(&format!("old-{row}"), 1, zone));
            let class = cluster.class(&pod((1, 1), app, Wish::Nothing));
            cluster.place(class, node, false);
        }
        let demands: Vec<Demand> = pods
            .into_iter()
            .map(|(size, app, wish, count)| {
                let class = cluster.class(&pod(size, app, wish));
                Demand { class, count }
            })
            .collect();
        let templates: Vec<(Template, u32)> = groups
            .into_iter()
            .map(|(cores, zone, most)| {
                let node = Arc::new(node("new", cores, zone));
                (Template { node, carried: Vec::new() }, most)
            })
            .collect();
        let known: Vec<_> = cluster.node_ids().collect();
        fill(&mut cluster, &known, &demands, &Work::unlimited());
        let one = templates.iter().map(|(template, most)| Growth::of(template, *most));
        let pairs = templates.chunks(2).map(|pair| Growth {
            parts: pair
                .iter()
                .map(|(template, most)| Part { template, size: *most % 3, max_nodes: *most, stand_in: *most % 5 == 0 })
                .collect(),
            max_nodes: 30,
        });
        let growths: Vec<Growth> = one.chain(pairs).collect();
        let nodes = cluster.node_count();
        let each = pack_each(&mut cluster, &known, &growths, &demands, &Work::unlimited());
        prop_assert_eq!(cluster.node_count(), nodes);
        for (growth, packed) in growths.iter().zip(each) {
            let alone = pack(&mut cluster, &known, growth, &demands);
            if *packed == alone {
                continue;
            }
            // Larger nodes are not needed in larger numbers than smaller ones.
            prop_assert!(packed.node_count() <= alone.node_count() || packed.pods() > alone.pods());
            prop_assert!(packed.pods() >= alone.pods());
            let mut parts = packed.nodes.iter().zip(&growth.parts);
            prop_assert!(parts.all(|(nodes, part)| *nodes <= part.max_nodes));
            prop_assert!(packed.node_count() <= growth.max_nodes);
            for (row, demand) in demands.iter().enumerate() {
                let placed = |packed: &Packed| packed.placed.get(row).copied().unwrap_or(0);
                if placed(&packed) == demand.count {
                    continue;
                }
                // It is left out only if no pod of it fits, also by itself.
                let by_itself = pack(&mut cluster, &known, growth, &[*demand]);
                prop_assert_eq!((placed(&packed), placed(&alone), by_itself.pods()), (0, 0, 0));
            }
        }
    }
}
