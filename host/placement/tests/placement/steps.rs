//! The steps of finding the classes of pods: what they grow with, and their limit.

use flyball_placement::{
    AffinityTerm, ClassId, Cluster, LabelSelector, Labels, Misfit, Node, NodeId, Operator, Pod,
    Reason, Requirement, Unjudged,
};

use crate::{HOST, node};

fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
    Requirement {
        key: key.into(),
        operator,
        values: values.iter().map(|value| (*value).into()).collect(),
    }
}

fn term(key: &str, requirements: Vec<Requirement>) -> AffinityTerm {
    AffinityTerm {
        topology_key: key.into(),
        selector: Some(LabelSelector(requirements)),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

fn pod(namespace: &str, labels: &[(&str, &str)], anti_affinity: Vec<AffinityTerm>) -> Pod {
    Pod {
        namespace: namespace.into(),
        labels: labels.iter().copied().collect(),
        anti_affinity,
        ..Pod::default()
    }
}

/// A pod with 32 terms of 28 requirements each. They select no pod, but all require two
/// labels, of which each pod has one.
fn tangled(namespace: &str, row: usize) -> Pod {
    let terms = (0..32).map(|at| {
        let absent = |key| requirement(&format!("none-{key}"), Operator::DoesNotExist, &[]);
        let mut requirements: Vec<Requirement> = (0..25).map(absent).collect();
        requirements.extend([
            Requirement::equals("even", "yes"),
            Requirement::equals("odd", "yes"),
            requirement("id", Operator::NotIn, &[&format!("{row}-{at}")]),
        ]);
        term(HOST, requirements)
    });
    let half = if row.is_multiple_of(2) { "even" } else { "odd" };
    let id = row.to_string();
    pod(namespace, &[(half, "yes"), ("id", &id)], terms.collect())
}

#[test]
fn pods_are_judged_up_to_the_steps_of_all_and_by_namespace_beyond() {
    let mut cluster = Cluster::default();
    let id = cluster.add_node(node(0, "zone-0"));
    let mut rows = 0..1000;
    let mut judged: Vec<ClassId> = Vec::new();
    let refused = loop {
        let class = cluster.class(&tangled("a", rows.next().unwrap()));
        if cluster.unjudged(class).is_some() {
            break class;
        }
        judged.push(class);
    };
    assert!((400..550).contains(&judged.len()), "{}", judged.len());
    assert!(cluster.step_count() >= 100_000_000);
    assert_eq!(
        cluster.unjudged(refused),
        Some(Unjudged::TooManyComparisons)
    );
    assert_eq!(
        cluster.check(refused, id),
        Err(Misfit::Unjudged(Unjudged::TooManyComparisons))
    );
    assert_eq!(
        Unjudged::TooManyComparisons.to_string(),
        "terms of pod affinity and spread of the namespace are compared with too many pods: the \
         pod can't be judged"
    );
    assert!(cluster.has_too_many_connections());

    // No further steps are taken for the namespace, with or without terms.
    let steps = cluster.step_count();
    let plain = cluster.class(&pod("a", &[("even", "yes"), ("id", "plain")], Vec::new()));
    assert_eq!(cluster.unjudged(plain), Some(Unjudged::TooManyComparisons));
    let reader = term(HOST, vec![Requirement::equals("new", "yes")]);
    let reader = cluster.class(&pod("a", &[], vec![reader]));
    assert_eq!(cluster.unjudged(reader), Some(Unjudged::TooManyComparisons));
    assert_eq!(cluster.step_count(), steps);

    // What was judged still is, also with other requests, and other namespaces are.
    let mut larger = tangled("a", 7);
    larger.requests.cpu = 100;
    let larger = cluster.class(&larger);
    for class in judged.iter().chain([&larger]) {
        assert_eq!(cluster.unjudged(*class), None);
    }
    for row in 0..20 {
        let other = cluster.class(&tangled("b", row));
        assert_eq!(cluster.unjudged(other), None, "{row}");
    }

    // Without the pods that are gone, all are judged.
    let (rebuilt, classes) = cluster.rebuilt([refused, plain, reader, judged[0]]);
    assert!(!rebuilt.has_too_many_connections());
    for class in classes {
        assert_eq!(rebuilt.unjudged(class), None);
    }
}

/// A term is compared with the pods that have the rarest of the labels that it requires.
#[test]
fn terms_that_few_pods_may_meet_take_few_steps() {
    let mut cluster = Cluster::default();
    for row in 0..2000 {
        let instance = row.to_string();
        let terms = vec![term(
            HOST,
            vec![
                Requirement::equals("component", "server"),
                Requirement::equals("instance", instance.as_str()),
            ],
        )];
        let labels = [("component", "server"), ("instance", instance.as_str())];
        cluster.class(&pod("a", &labels, terms));
    }
    assert!(cluster.step_count() < 20_000, "{}", cluster.step_count());
}

/// Pods are not compared with terms of other namespaces that can't select them.
#[test]
fn terms_of_one_namespace_take_no_steps_for_pods_of_others() {
    let mut cluster = Cluster::default();
    for row in 0..50 {
        cluster.class(&tangled("a", row));
    }
    let steps = cluster.step_count();
    assert!(steps > 500_000, "{steps}");
    for row in 0..50 {
        let id = row.to_string();
        cluster.class(&pod("b", &[("even", "yes"), ("id", &id)], Vec::new()));
    }
    assert_eq!(cluster.step_count(), steps);
}

/// Anyone may create pods that read keys of labels that no node has.
#[test]
fn keys_of_nodes_that_no_node_has_take_no_steps() {
    let mut cluster = Cluster::default();
    for row in 0..100 {
        cluster.add_node(node(row, "zone-0"));
    }
    let reader = |key: &str| {
        let terms = vec![term(key, vec![Requirement::equals("app", key)])];
        pod("a", &[("app", key)], terms)
    };
    let selecting = |key: &str| {
        let mut pod = pod("b", &[], Vec::new());
        pod.node_selector.set(key.into(), "yes".into());
        pod
    };
    let classes: Vec<(ClassId, ClassId)> = (0..500)
        .map(|row| {
            let key = format!("example.com/{row}");
            (
                cluster.class(&reader(&key)),
                cluster.class(&selecting(&key)),
            )
        })
        .collect();
    // Each term is compared with its own pod.
    assert_eq!(cluster.step_count(), 500 * 2);
    // These two are looked up on all nodes.
    cluster.class(&reader("zone"));
    cluster.class(&selecting("zone"));
    assert_eq!(cluster.step_count(), 501 * 2 + 200);

    // A node may have one later.
    let mut labels: Labels = [("example.com/7", "yes")].into_iter().collect();
    labels.set(HOST.into(), "late".into());
    let late = cluster.add_node(Node {
        name: "late".into(),
        labels,
        ..node(0, "zone-0")
    });
    let (apart, selecting) = classes[7];
    assert!(cluster.fits(apart, late));
    assert!(cluster.fits(selecting, late));
    assert!(!cluster.fits(classes[8].1, late));
    assert!(cluster.place(apart, late, false));
    let misfit = cluster.check(apart, late).unwrap_err();
    assert!(
        matches!(&misfit, Misfit::Rejected { reasons, .. } if *reasons == [Reason::AntiAffinity]),
        "{misfit}"
    );
    assert!(cluster.fits(classes[8].0, late));
}

/// A class that gets another shape costs the namespace whose term reads its label.
#[test]
fn pods_whose_labels_are_read_for_the_first_time_take_steps() {
    let mut cluster = Cluster::default();
    for row in 0..10 {
        let id = row.to_string();
        let labels = [("app", "web"), ("id", id.as_str())];
        cluster.class(&pod("a", &labels, Vec::new()));
    }
    assert_eq!(cluster.step_count(), 0);
    let reader = |namespace| {
        pod(
            namespace,
            &[],
            vec![term(HOST, vec![Requirement::equals("id", "1")])],
        )
    };
    cluster.class(&reader("b"));
    assert_eq!(cluster.step_count(), 0);
    cluster.class(&reader("a"));
    // Ten classes with two labels each, and the one pod that the term selects.
    assert_eq!(cluster.step_count(), 10 * (100 + 2 * 20) + 2);
    assert_eq!(cluster.reshaped_count(), 10);
}

/// A rebuilt cluster knows what is read before it knows pods and nodes.
#[test]
fn a_rebuilt_cluster_changes_no_shapes_and_kinds() {
    let mut cluster = Cluster::default();
    let nodes: Vec<NodeId> = (0..4)
        .map(|row| cluster.add_node(node(row, &format!("zone-{}", row % 2))))
        .collect();
    let mut classes = Vec::new();
    for row in 0..10 {
        let id = row.to_string();
        let class = cluster.class(&pod("a", &[("id", &id)], Vec::new()));
        assert!(cluster.place(class, nodes[row % 4], false));
        classes.push(class);
    }
    let mut reader = pod(
        "a",
        &[],
        vec![term("zone", vec![Requirement::equals("id", "1")])],
    );
    for key in ["zone", HOST] {
        let value = node(0, "zone-0").labels.get(key).cloned().unwrap();
        reader.node_selector.set(key.into(), value);
        classes.push(cluster.class(&reader));
    }
    assert_eq!(cluster.reshaped_count(), 10);
    // All nodes are alike at first, then by zone, then none is.
    assert_eq!(cluster.kind_count(), 1 + 2 + 4);

    let (rebuilt, renumbered) = cluster.rebuilt(classes.iter().copied());
    assert_eq!(rebuilt.reshaped_count(), 0);
    assert_eq!(rebuilt.kind_count(), 4);
    for (class, anew) in classes.iter().zip(&renumbered) {
        for id in &nodes {
            assert_eq!(cluster.check(*class, *id), rebuilt.check(*anew, *id));
        }
    }
}
