//! Packing takes a limited number of steps for the pods of a namespace.

use std::sync::Arc;

use flyball_placement::pack::{Demand, Growth, Template, Work, fill, pack_each};
use flyball_placement::{AffinityTerm, Cluster, LabelSelector, Name, NodeId, Pod, Requirement};

use crate::{HOST, node};

const NODES: usize = 300;
const LINKS: usize = 300;
const BASE: u64 = 1_000_000;

/// Name of a resource that only the first node has.
const RARE: &str = "a/rare";

/// A pod of an app that wants to be on a node with a pod of another app.
fn pod(namespace: &str, app: &str, near: Option<&str>) -> Pod {
    let term = near.map(|app| AffinityTerm {
        topology_key: HOST.into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", app)])),
        namespaces: Vec::new(),
        namespace_selector: None,
    });
    Pod {
        namespace: namespace.into(),
        labels: [("app", app)].into_iter().collect(),
        affinity: term.into_iter().collect(),
        ..Pod::default()
    }
}

/// Pods that each want to be near the next one, so that one more finds a place each time
/// that all are tried.
fn chain(cluster: &mut Cluster, links: usize, change: impl Fn(&mut Pod)) -> Vec<Demand> {
    let link = |row: usize| {
        let next = (row + 1 < links).then(|| format!("link-{}", row + 1));
        let mut pod = pod("noisy", &format!("link-{row}"), next.as_deref());
        change(&mut pod);
        demand(cluster, &pod, 1)
    };
    (0..links).map(link).collect()
}

/// A pod of another namespace that no pod helps.
fn lonely(cluster: &mut Cluster, app: &str) -> Demand {
    demand(cluster, &pod("shop", app, Some("nobody")), 1)
}

/// A template of nodes with this much cpu.
fn template(cpu: i64) -> Template {
    let mut new = node(NODES, "zone");
    new.allocatable.cpu = cpu;
    Template {
        node: Arc::new(new),
        carried: Vec::new(),
    }
}

/// Pods of another namespace: a small chain, one that no pod helps, and large ones.
fn shop(cluster: &mut Cluster) -> Vec<Demand> {
    let mut large = pod("shop", "large", None);
    large.requests.cpu = 600;
    let pods = [
        (pod("shop", "web", Some("cart")), 4),
        (pod("shop", "cart", Some("stock")), 1),
        (pod("shop", "stock", None), 1),
        (pod("shop", "lonely", Some("nobody")), 2),
        (large, 3),
    ];
    let pods = pods.iter();
    pods.map(|(pod, count)| demand(cluster, pod, *count))
        .collect()
}

fn demand(cluster: &mut Cluster, pod: &Pod, count: u32) -> Demand {
    let class = cluster.class(pod);
    Demand { class, count }
}

fn nodes(cluster: &mut Cluster) -> Vec<NodeId> {
    let nodes = (0..NODES).map(|row| {
        let mut node = node(row, "zone");
        if row == 0 {
            node.allocatable.set(RARE, 1000);
        }
        cluster.add_node(node)
    });
    nodes.collect()
}

#[test]
fn a_namespace_whose_pods_are_much_work_is_named_and_others_are_packed_as_without_it() {
    let mut cluster = Cluster::default();
    let known = nodes(&mut cluster);
    let noisy = chain(&mut cluster, LINKS, |_| ());
    let shop = shop(&mut cluster);
    let all = [noisy.as_slice(), &shop].concat();
    let work_for = |cluster: &Cluster| Work::new(cluster, all.iter().copied(), BASE);
    let check = |work: &Work| {
        assert_eq!(work.used_up(), [Name::from("noisy")]);
        assert_eq!(work.heaviest(), work.used_up());
        // Without a limit, it would be more than 50 times the base.
        let steps = work.steps_of("noisy");
        assert!((BASE..6 * BASE).contains(&steps), "{steps}");
        assert!(work.steps_of("shop") < BASE, "{}", work.steps_of("shop"));
    };

    let mark = cluster.mark();
    let alone = fill(&mut cluster, &known, &shop, &Work::unlimited());
    cluster.rollback(mark);
    assert_eq!(alone, [4, 1, 1, 0, 0]);
    let mark = cluster.mark();
    let work = work_for(&cluster);
    let placed = fill(&mut cluster, &known, &all, &work);
    cluster.rollback(mark);
    assert_eq!(placed[LINKS..], alone);
    check(&work);

    let sizes = [1000, 2000].map(template);
    let growths = sizes.each_ref().map(|template| Growth::of(template, 9));
    let alone = pack_each(&mut cluster, &known, &growths, &shop, &Work::unlimited());
    let work = work_for(&cluster);
    let both = pack_each(&mut cluster, &known, &growths, &all, &work);
    for (both, alone) in both.iter().zip(&alone) {
        assert_eq!(both.placed[LINKS..], alone.placed);
        assert_eq!(both.nodes, alone.nodes);
    }
    check(&work);
}

#[test]
fn pods_are_not_tried_again_at_the_cost_of_their_namespace_for_what_those_of_others_do() {
    const FEW: usize = 100;
    let mut cluster = Cluster::default();
    let known = nodes(&mut cluster);
    // Only one node is searched for them, so they are tried often in few steps.
    let noisy = chain(&mut cluster, FEW, |pod| pod.requests.set(RARE, 1));
    let all = [noisy, vec![lonely(&mut cluster, "lonely")]].concat();
    let work = Work::new(&cluster, all.iter().copied(), BASE);
    let placed = fill(&mut cluster, &known, &all, &work);
    assert_eq!(placed[..FEW], [1; FEW]);
    assert_eq!(placed[FEW..], [0]);
    assert!(work.used_up().is_empty());
    // A search of all nodes, and not one for each pod that was placed.
    let steps = work.steps_of("shop");
    assert!(steps < 40 * NODES as u64, "{steps}");
}

#[test]
fn pods_are_not_tried_again_at_the_cost_of_their_namespace_for_nodes_of_others() {
    const FEW: usize = 100;
    let mut cluster = Cluster::default();
    let known = nodes(&mut cluster);
    // Each takes a new node.
    let noisy = chain(&mut cluster, FEW, |pod| {
        pod.requests.cpu = 1000;
        for term in &mut pod.affinity {
            term.topology_key = "zone".into();
        }
    });
    let all = [noisy, vec![lonely(&mut cluster, "lonely")]].concat();
    let work = Work::new(&cluster, all.iter().copied(), BASE);
    let template = template(1000);
    let growth = Growth::of(&template, 2 * FEW as u32);
    let packed = pack_each(&mut cluster, &known, &[growth], &all, &work);
    assert_eq!(packed[0].placed[..FEW], [1; FEW]);
    assert_eq!(packed[0].placed[FEW..], [0]);
    assert!(work.used_up().is_empty());
    // A search of all nodes in each order of packing.
    let steps = work.steps_of("shop");
    assert!(steps < 60 * NODES as u64, "{steps}");
}

#[test]
fn namespaces_that_stop_because_of_others_are_not_among_the_heaviest() {
    const BASE: u64 = 100_000;
    let mut cluster = Cluster::default();
    let known = nodes(&mut cluster);
    let shop: Vec<Demand> = (0..55)
        .map(|row| lonely(&mut cluster, &format!("lonely-{row}")))
        .collect();
    let noisy = chain(&mut cluster, LINKS, |_| ());
    let all = [shop, noisy].concat();
    let work = Work::new(&cluster, all.iter().copied(), BASE);
    fill(&mut cluster, &known, &all, &work);
    assert_eq!(work.used_up(), ["noisy", "shop"].map(Name::from));
    assert_eq!(work.heaviest(), [Name::from("noisy")]);
}

#[test]
fn a_namespace_that_is_alone_may_take_what_its_pods_allow() {
    let mut cluster = Cluster::default();
    let known = nodes(&mut cluster);
    let noisy = chain(&mut cluster, LINKS, |_| ());
    let work = Work::new(&cluster, noisy.iter().copied(), BASE);
    fill(&mut cluster, &known, &noisy, &work);
    assert_eq!(work.used_up(), [Name::from("noisy")]);
    // More than five times the base, which all would have together.
    let steps = work.steps_of("noisy");
    assert!((8 * BASE..9 * BASE).contains(&steps), "{steps}");
}

/// A pod that wants to be near stars, by as many topology keys, which no node has.
fn fan(app: &str, keys: std::ops::Range<usize>) -> Pod {
    let term = pod("shop", app, Some("star")).affinity.remove(0);
    let terms = keys.map(|key| AffinityTerm {
        topology_key: format!("key-{key}").into(),
        ..term.clone()
    });
    Pod {
        affinity: terms.collect(),
        ..pod("shop", app, None)
    }
}

#[test]
fn counting_a_pod_for_each_term_that_selects_it_takes_steps() {
    const TERMS: usize = 100;
    let steps = |terms: usize| {
        let mut cluster = Cluster::default();
        let known = nodes(&mut cluster);
        for row in 0..terms {
            cluster.class(&fan(&format!("fan-{row}"), row..row + 1));
        }
        let star = demand(&mut cluster, &pod("shop", "star", None), 10);
        let work = Work::unlimited();
        assert_eq!(fill(&mut cluster, &known, &[star], &work), [10]);
        work.steps_of("shop")
    };
    assert!(steps(TERMS) >= steps(0) + 10 * TERMS as u64);
}

#[test]
fn reading_what_pods_depend_on_takes_steps_for_each_group() {
    const TERMS: usize = 30;
    const GROUPS: usize = 50;
    let template = template(1000);
    let steps = |groups: usize| {
        let mut cluster = Cluster::default();
        let fan = demand(&mut cluster, &fan("fan", 0..TERMS), 1);
        let work = Work::unlimited();
        let growths = vec![Growth::of(&template, 1); groups];
        pack_each(&mut cluster, &[], &growths, &[fan], &work);
        work.steps_of("shop")
    };
    assert!(steps(GROUPS) >= steps(1) + (TERMS * (GROUPS - 1)) as u64);
}
