//! Pods beyond the limits of terms and connections: they fit on no node, and pods that
//! their terms may select fit on no node of their domains.

use std::sync::Arc;

use flyball_placement::pack::{Demand, Growth, Template, Work, pack_each};
use flyball_placement::{
    AffinityTerm, ClassId, Cluster, LabelSelector, Misfit, NodeId, NodeSelectorTerm, Operator, Pod,
    Requirement, SpreadConstraint, Unjudged,
};

use crate::{HOST, node};

fn cluster(nodes: usize) -> (Cluster, Vec<NodeId>) {
    let mut cluster = Cluster::default();
    let nodes = (0..nodes).map(|row| {
        let zone = format!("zone-{}", row % 2);
        cluster.add_node(node(row, &zone))
    });
    let nodes = nodes.collect();
    (cluster, nodes)
}

/// A term that selects the pods of an app, except one of its pods.
fn term(key: &str, app: &str, except: &str) -> AffinityTerm {
    let except = Requirement {
        key: "id".into(),
        operator: Operator::NotIn,
        values: vec![except.into()],
    };
    AffinityTerm {
        topology_key: key.into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", app), except])),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

fn pod(namespace: &str, app: &str, id: &str, anti_affinity: Vec<AffinityTerm>) -> Pod {
    Pod {
        namespace: namespace.into(),
        labels: [("app", app), ("id", id)].into_iter().collect(),
        anti_affinity,
        ..Pod::default()
    }
}

/// Terms that select no pod.
fn terms(count: usize) -> Vec<AffinityTerm> {
    let terms = (0..count).map(|row| term("zone", "none", &row.to_string()));
    terms.collect()
}

fn verdicts(cluster: &Cluster, class: ClassId, nodes: &[NodeId]) -> Vec<Option<Unjudged>> {
    let verdict = |node: &NodeId| match cluster.check(class, *node) {
        Ok(()) => None,
        Err(Misfit::Unjudged(what)) => Some(what),
        Err(other) => panic!("{other}"),
    };
    nodes.iter().map(verdict).collect()
}

#[test]
fn a_pod_with_more_than_32_terms_fits_nowhere_and_keeps_its_namespace_off_its_domains() {
    let (mut cluster, nodes) = cluster(3);
    let fine = cluster.class(&pod("a", "web", "1", terms(32)));
    assert_eq!(verdicts(&cluster, fine, &nodes), [None; 3]);
    let many = cluster.class(&pod("a", "web", "2", terms(33)));
    assert_eq!(
        verdicts(&cluster, many, &nodes),
        [Some(Unjudged::TooManyTerms); 3]
    );
    let plain = cluster.class(&pod("a", "plain", "3", Vec::new()));
    let other = cluster.class(&pod("b", "plain", "3", Vec::new()));
    // A plain pod is kept off the zone of the first and the third node.
    assert!(cluster.place(many, nodes[0], false));
    let beside = Some(Unjudged::OtherPods);
    assert_eq!(verdicts(&cluster, plain, &nodes), [beside, None, beside]);
    assert_eq!(verdicts(&cluster, fine, &nodes), [beside, None, beside]);
    assert_eq!(verdicts(&cluster, other, &nodes), [None; 3]);
    assert!(cluster.unplace(many, nodes[0], false));
    assert_eq!(verdicts(&cluster, plain, &nodes), [None; 3]);

    // Terms that might select pods of any namespace keep all off. The domains of a pod's
    // many topology keys are the whole cluster.
    let mut wide = terms(40);
    for (row, term) in wide.iter_mut().enumerate() {
        term.topology_key = format!("example.com/{row}").into();
        term.namespaces = vec!["a".into(), "b".into()];
    }
    let wide = cluster.class(&pod("a", "web", "4", wide));
    assert!(cluster.place(wide, nodes[0], false));
    assert_eq!(verdicts(&cluster, other, &nodes), [beside; 3]);
    assert!(cluster.unplace(wide, nodes[0], false));

    let mut constraints = pod("a", "web", "5", Vec::new());
    constraints.spread = (0..33)
        .map(|row| SpreadConstraint {
            max_skew: 1,
            topology_key: "zone".into(),
            selector: Some(LabelSelector(vec![Requirement::equals(
                "app",
                row.to_string(),
            )])),
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        })
        .collect();
    let constraints = cluster.class(&constraints);
    assert_eq!(
        verdicts(&cluster, constraints, &nodes),
        [Some(Unjudged::TooManyTerms); 3]
    );
}

/// A pod of a crowd, with two terms that select all pods of the crowd.
fn of_crowd(namespace: &str, crowd: usize, row: usize) -> Pod {
    let app = format!("crowd-{crowd}");
    let terms = (0..2).map(|at| term(HOST, &app, &format!("{row}-{at}")));
    pod(namespace, &app, &row.to_string(), terms.collect())
}

/// Adds two crowds of 500 pods, each of which 1,000 terms select: a million connections.
fn two_crowds(cluster: &mut Cluster, namespace: &str) -> Vec<ClassId> {
    let rows = (0..1000).map(|row| cluster.class(&of_crowd(namespace, row / 500, row)));
    rows.collect()
}

#[test]
fn pods_are_judged_exactly_up_to_a_million_connections_and_by_namespace_beyond() {
    let (mut cluster, nodes) = cluster(4);
    let classes = two_crowds(&mut cluster, "a");
    assert!(!cluster.has_too_many_connections());
    assert!(cluster.place(classes[0], nodes[0], false));
    for (row, class) in classes.iter().enumerate().skip(1) {
        assert_eq!(cluster.unjudged(*class), None);
        let fits: Vec<bool> = nodes
            .iter()
            .map(|node| cluster.fits(*class, *node))
            .collect();
        assert_eq!(fits, [row >= 500, true, true, true]);
    }
    let last = cluster.class(&of_crowd("a", 2, 0));
    assert!(cluster.has_too_many_connections());
    let too_many = Some(Unjudged::TooManyConnections);
    assert_eq!(cluster.unjudged(last), too_many);
    // Their terms may select it, and its terms may select them.
    assert!(cluster.place(last, nodes[1], false));
    let fits = |cluster: &Cluster, class| {
        let fits = nodes.iter().map(|node| cluster.fits(class, *node));
        fits.collect::<Vec<bool>>()
    };
    assert_eq!(fits(&cluster, classes[1]), [false, false, true, true]);
    // Another namespace is judged as before.
    let near = cluster.class(&pod("b", "web", "1", vec![term(HOST, "web", "none")]));
    assert_eq!(fits(&cluster, near), [true; 4]);
    assert!(cluster.place(near, nodes[2], false));
    let apart = cluster.class(&pod("b", "web", "2", vec![term(HOST, "web", "none")]));
    assert_eq!(fits(&cluster, apart), [true, true, false, true]);

    // Without the pods that are gone, all are judged.
    let (rebuilt, renumbered) = cluster.rebuilt([classes[1], last, near]);
    assert!(!rebuilt.has_too_many_connections());
    assert_eq!(rebuilt.unjudged(renumbered[1]), None);
}

/// New nodes of two zones that differ only in whose pods there are not judged.
#[test]
fn a_pod_is_kept_off_the_zone_where_pods_of_its_namespace_are_not_judged() {
    let (mut cluster, nodes) = cluster(2);
    let waiting = cluster.class(&pod("a", "waiting", "1", vec![term("zone", "none", "1")]));
    two_crowds(&mut cluster, "full");
    // A namespace has 10,000 connections in any case: those of 17 pods with 32 terms each.
    let last = ["a", "b"].map(|namespace| {
        let classes = (0..20).map(|row| {
            let terms = (0..32).map(|at| term(HOST, "web", &format!("{row}-{at}")));
            cluster.class(&pod(namespace, "web", &row.to_string(), terms.collect()))
        });
        classes.last().unwrap()
    });
    for (row, class) in last.into_iter().enumerate() {
        assert_eq!(cluster.unjudged(class), Some(Unjudged::TooManyConnections));
        assert!(cluster.place(class, nodes[row], false));
    }
    let beside = Some(Unjudged::OtherPods);
    assert_eq!(verdicts(&cluster, waiting, &nodes), [beside, None]);

    let templates = ["zone-0", "zone-1"].map(|zone| Template {
        node: Arc::new(node(9, zone)),
        carried: Vec::new(),
    });
    let growths = templates.each_ref().map(|template| Growth::of(template, 1));
    let demand = Demand {
        class: waiting,
        count: 1,
    };
    let packed = pack_each(&mut cluster, &[], &growths, &[demand], &Work::unlimited());
    let pods: Vec<u32> = packed.iter().map(|packed| packed.pods()).collect();
    assert_eq!(pods, [0, 1]);
}

/// A spread constraint counts over the nodes that the pod may run on, so each node affinity
/// is a view of the nodes of its own.
#[test]
fn pods_beyond_the_limit_of_views_are_not_judged_and_others_are() {
    let (mut cluster, nodes) = cluster(3);
    let mut spread = |namespace: &str, row: usize| {
        let mut pod = pod(namespace, "web", "1", Vec::new());
        pod.spread = vec![SpreadConstraint {
            max_skew: 1,
            topology_key: "zone".into(),
            selector: None,
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        }];
        let apart = Requirement {
            key: "row".into(),
            operator: Operator::NotIn,
            values: vec![row.to_string().into()],
        };
        pod.node_affinity = Some(vec![NodeSelectorTerm {
            expressions: vec![apart],
            fields: Vec::new(),
        }]);
        let class = cluster.class(&pod);
        (cluster.unjudged(class), cluster.fits(class, nodes[0]))
    };
    let judged = (0..2100).map(|row| spread("a", row).0.is_none());
    assert_eq!(judged.filter(|is_judged| *is_judged).count(), 2000);
    assert_eq!(
        spread("a", 5000),
        (Some(Unjudged::TooManyConnections), false)
    );
    assert_eq!(spread("a", 7), (None, true));
    assert_eq!(spread("b", 5000), (None, true));
}

/// Terms of a namespace select the same pods up to 1,000 times. It is the pod with one more
/// term that is not judged, or one that the terms before would select.
#[test]
fn terms_that_select_pods_that_1000_terms_select_are_not_judged() {
    let (mut cluster, nodes) = cluster(2);
    let crowd = |row: usize| {
        let terms = (0..25).map(|at| term(HOST, "web", &format!("{row}-{at}")));
        pod("a", "crowd", &row.to_string(), terms.collect())
    };
    let web = cluster.class(&pod("a", "web", "web", Vec::new()));
    let judged: Vec<ClassId> = (0..40).map(|row| cluster.class(&crowd(row))).collect();
    assert!(!cluster.has_too_many_connections());
    let beyond = cluster.class(&crowd(40));
    let too_many = Some(Unjudged::TooManySelectors);
    assert_eq!(cluster.unjudged(beyond), too_many);
    assert_eq!(
        verdicts(&cluster, beyond, &nodes),
        [Some(Unjudged::TooManySelectors); 2]
    );
    assert_eq!(
        Unjudged::TooManySelectors.to_string(),
        "more than 1000 terms of pod affinity and spread of the namespace select the same pods: \
         the pod can't be judged"
    );
    assert!(cluster.has_too_many_connections());
    // The pods that are selected are judged, also those that come, and so are known terms.
    let second = cluster.class(&pod("a", "web", "web-2", Vec::new()));
    let known = cluster.class(&pod("a", "crowd", "known", crowd(7).anti_affinity));
    for class in judged.iter().chain([&web, &second, &known]) {
        assert_eq!(verdicts(&cluster, *class, &nodes), [None; 2]);
    }
    // The pod that is not judged keeps others off its node.
    assert!(cluster.place(beyond, nodes[0], false));
    let beside = Some(Unjudged::OtherPods);
    assert_eq!(verdicts(&cluster, web, &nodes), [beside, None]);
    assert!(cluster.unplace(beyond, nodes[0], false));

    // Terms of pods that came before the pods that they select.
    let mut cluster = Cluster::default();
    for row in 0..41 {
        let class = cluster.class(&crowd(row));
        assert_eq!(cluster.unjudged(class), None);
    }
    let web = cluster.class(&pod("a", "web", "web", Vec::new()));
    assert_eq!(cluster.unjudged(web), too_many);
    let other = cluster.class(&pod("b", "web", "web", Vec::new()));
    assert_eq!(cluster.unjudged(other), None);
}

/// A term that may select pods of other namespaces counts as 500 connections, whatever it
/// selects. The pods that it selects are judged.
#[test]
fn terms_of_other_namespaces_do_not_use_up_what_a_namespace_has() {
    let (mut cluster, nodes) = cluster(2);
    let mut wide = |namespace: &str, row: usize, count: usize| {
        let terms = (0..count).map(|at| AffinityTerm {
            namespaces: vec!["shop".into()],
            ..term(HOST, "web", &format!("{namespace}-{row}-{at}"))
        });
        let class = cluster.class(&pod(namespace, "wide", &row.to_string(), terms.collect()));
        cluster.unjudged(class)
    };
    let too_many = Some(Unjudged::TooManyConnections);
    // 2,000 of these terms are a million connections.
    let refused: Vec<usize> = (0..70)
        .filter(|row| wide("b", *row, 32).is_some())
        .collect();
    assert_eq!(refused, (62..70).collect::<Vec<usize>>());
    assert_eq!(wide("b", 1000, 16), None);
    assert_eq!(wide("b", 1001, 1), too_many);
    // Each namespace has 20 of them in any case.
    assert_eq!(wide("c", 0, 20), None);
    assert_eq!(wide("c", 1, 1), too_many);

    // 2,020 terms select these, and 500 of their own: 10,000 connections of a namespace.
    let own = |row: usize| {
        let terms = (0..25).map(|at| term(HOST, "web", &format!("{row}-{at}")));
        pod("shop", "web", &row.to_string(), terms.collect())
    };
    let classes: Vec<ClassId> = (0..20).map(|row| cluster.class(&own(row))).collect();
    for class in &classes {
        assert_eq!(verdicts(&cluster, *class, &nodes), [None; 2]);
    }
    let owner = pod("b", "wide", "1", {
        let terms = (0..32).map(|at| AffinityTerm {
            namespaces: vec!["shop".into()],
            ..term(HOST, "web", &format!("b-1-{at}"))
        });
        terms.collect()
    });
    let owner = cluster.class(&owner);
    assert!(cluster.place(owner, nodes[0], false));
    let fits = nodes.iter().map(|node| cluster.fits(classes[0], *node));
    assert_eq!(fits.collect::<Vec<bool>>(), [false, true]);
}

/// Pods whose labels are read for the first time are known anew, and what was known of them
/// before is forgotten: 270,000 connections, six times in turn.
#[test]
fn connections_of_pods_as_they_were_known_before_do_not_count() {
    let (mut cluster, nodes) = cluster(2);
    let classes: Vec<ClassId> = (0..300)
        .map(|row| {
            let terms = (0..3).map(|at| term(HOST, "web", &format!("{row}-{at}")));
            let mut pod = pod("a", "web", &row.to_string(), terms.collect());
            for key in 0..5 {
                pod.labels.set(format!("x-{key}").into(), "yes".into());
            }
            cluster.class(&pod)
        })
        .collect();
    assert!(cluster.place(classes[0], nodes[0], false));
    for key in 0..5 {
        let mut reader = term(HOST, "web", "none");
        reader.selector = Some(LabelSelector(vec![Requirement::equals(
            format!("x-{key}"),
            "no",
        )]));
        cluster.class(&pod("a", "reader", "1", vec![reader]));
        assert_eq!(cluster.reshaped_count(), 300 * (key + 1));
    }
    assert!(!cluster.has_too_many_connections());
    for class in &classes[1..] {
        let fits = [0, 1].map(|at: usize| cluster.fits(*class, nodes[at]));
        assert_eq!(fits, [false, true]);
    }
}

/// While pods are known anew, one that was not judged may be, with a constraint whose counter is
/// new then.
#[test]
fn a_placed_pod_that_is_judged_once_it_is_known_anew_counts_once() {
    let (mut cluster, nodes) = cluster(2);
    two_crowds(&mut cluster, "full");
    for (app, terms) in [("web", 1000), ("pair", 450), ("fill", 540), ("late", 20)] {
        for row in 0..terms / 10 {
            let terms = (0..10).map(|at| term(HOST, app, &format!("{row}-{at}")));
            let id = format!("{app}-{row}");
            let class = cluster.class(&pod("a", "crowd", &id, terms.collect()));
            assert_eq!(cluster.unjudged(class), None);
        }
    }
    let labelled = |app: &str, id: &str, x: &str| {
        let mut pod = pod("a", app, id, Vec::new());
        pod.labels.set("x".into(), x.into());
        pod
    };
    // 9,990 connections. The pair counts once until its label is read.
    let mut pods: Vec<Pod> = (0..8)
        .map(|row| pod("a", "web", &row.to_string(), Vec::new()))
        .collect();
    pods.extend([
        pod("a", "fill", "1", Vec::new()),
        labelled("pair", "1", "first"),
        labelled("pair", "1", "second"),
        labelled("web", "8", "third"),
    ]);
    for pod in &pods {
        let class = cluster.class(pod);
        assert_eq!(cluster.unjudged(class), None);
    }
    let mut late = labelled("late", "1", "fourth");
    late.spread = vec![SpreadConstraint {
        max_skew: 1,
        topology_key: HOST.into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", "late")])),
        min_domains: 1,
        honor_affinity: true,
        honor_taints: false,
    }];
    let late = cluster.class(&late);
    let too_many = Some(Unjudged::TooManyConnections);
    assert_eq!(cluster.unjudged(late), too_many);
    assert!(cluster.place(late, nodes[0], false));

    // The second of the pair leaves no room for the last web pod, but some for the late one.
    let mut reader = term(HOST, "web", "none");
    reader.selector = Some(LabelSelector(vec![Requirement::equals("x", "none")]));
    cluster.class(&pod("a", "reader", "1", vec![reader]));
    assert_eq!(cluster.reshaped_count(), 4);
    let web = cluster.class(&pods[11]);
    assert_eq!(cluster.unjudged(web), too_many);
    assert_eq!(cluster.unjudged(late), None);
    assert!(cluster.place(late, nodes[1], false));
    let fits = nodes.iter().map(|node| cluster.fits(late, *node));
    assert_eq!(fits.collect::<Vec<bool>>(), [true; 2]);
}
