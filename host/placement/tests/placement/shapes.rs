//! Shapes of classes: pods that no filter can distinguish.

use flyball_placement::{AffinityTerm, Cluster, LabelSelector, Name, Pod, Requirement};

use crate::{HOST, node};

/// A pod with a label has another shape than one without it as soon as a selector reads the
/// label. Before, both have one shape, whose first class is that of the pod with the label.
#[test]
fn pods_that_a_new_selector_tells_apart_have_representatives_of_their_own() {
    let mut cluster = Cluster::default();
    let of = |labels: &[(&str, &str)]| Pod {
        namespace: "shop".into(),
        labels: labels.iter().copied().collect(),
        ..Pod::default()
    };
    let labelled = cluster.class(&of(&[("app", "web")]));
    let plain = cluster.class(&of(&[]));
    assert_eq!(cluster.representative(plain), labelled);
    let mut reader = of(&[]);
    reader.anti_affinity.push(AffinityTerm {
        topology_key: HOST.into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", "web")])),
        namespaces: Vec::new(),
        namespace_selector: None,
    });
    cluster.class(&reader);
    assert_eq!(cluster.representative(labelled), labelled);
    assert_eq!(cluster.representative(plain), plain);

    // A shape that had no class any more.
    let mut cluster = Cluster::default();
    let labelled = cluster.class(&of(&[("app", "web")]));
    cluster.class(&reader);
    let plain = cluster.class(&of(&[]));
    assert_eq!(cluster.representative(labelled), labelled);
    assert_eq!(cluster.representative(plain), plain);
}

/// What the selectors of one namespace read does not divide the pods of another, unless they
/// may select them.
#[test]
fn a_selector_tells_only_pods_apart_that_it_may_select() {
    let of = |namespace: &str, labels: &[(&str, &str)]| Pod {
        namespace: namespace.into(),
        labels: labels.iter().copied().collect(),
        ..Pod::default()
    };
    let reader = |namespace: &str, namespaces: &[&str], key: &str| {
        let mut reader = of(namespace, &[]);
        let names = namespaces.iter().map(|name| Name::from(*name));
        reader.anti_affinity.push(AffinityTerm {
            topology_key: HOST.into(),
            selector: Some(LabelSelector(vec![Requirement::equals(key, "web")])),
            namespaces: names.collect(),
            namespace_selector: None,
        });
        reader
    };
    let mut cluster = Cluster::default();
    let labels = [("app", "web"), ("tier", "web")];
    let labelled = cluster.class(&of("shop", &labels));
    let plain = cluster.class(&of("shop", &[]));
    cluster.class(&reader("other", &[], "app"));
    cluster.class(&reader("other", &["other"], "app"));
    assert_eq!(cluster.representative(plain), labelled);
    let second = cluster.class(&of("shop", &[("app", "web")]));
    assert_eq!(cluster.representative(second), labelled);
    cluster.class(&reader("other", &["shop"], "app"));
    assert_eq!(cluster.representative(plain), plain);
    assert_eq!(cluster.representative(second), labelled);

    // A term that may select pods of any namespace.
    let mut wide = reader("other", &[], "tier");
    wide.anti_affinity[0].namespace_selector = Some(LabelSelector::default());
    cluster.class(&wide);
    assert_eq!(cluster.representative(second), second);
    assert_eq!(cluster.representative(labelled), labelled);
}

/// A pod that has what no pod had for a while is judged by all terms, also by those that came
/// meanwhile.
#[test]
fn a_shape_that_was_left_is_judged_again() {
    let of = |labels: &[(&str, &str)], read: Option<(&str, &str, &str)>| {
        let terms = read.map(|(topology_key, key, value)| AffinityTerm {
            topology_key: topology_key.into(),
            selector: Some(LabelSelector(vec![Requirement::equals(key, value)])),
            namespaces: Vec::new(),
            namespace_selector: None,
        });
        Pod {
            namespace: "shop".into(),
            labels: labels.iter().copied().collect(),
            anti_affinity: terms.into_iter().collect(),
            ..Pod::default()
        }
    };
    let mut cluster = Cluster::default();
    let nodes = [0, 1, 2].map(|row| cluster.add_node(node(row, &format!("zone-{}", row % 2))));
    let fits = |cluster: &Cluster, class| nodes.map(|node| cluster.fits(class, node));

    let by_host = cluster.class(&of(&[], Some((HOST, "app", "web"))));
    let labelled = cluster.class(&of(&[("app", "web"), ("track", "new")], None));
    assert!(cluster.place(by_host, nodes[1], false));
    assert_eq!(fits(&cluster, labelled), [true, false, true]);
    // The pod has another shape from now on, and no pod has the one before.
    cluster.class(&of(&[], Some((HOST, "track", "none"))));
    let by_zone = cluster.class(&of(&[], Some(("zone", "app", "web"))));
    assert!(cluster.place(by_zone, nodes[0], false));
    assert_eq!(fits(&cluster, labelled), [false; 3]);

    let plain = cluster.class(&of(&[("app", "web")], None));
    assert_eq!(fits(&cluster, plain), [false; 3]);
    assert!(cluster.unplace(by_zone, nodes[0], false));
    assert_eq!(fits(&cluster, plain), [true, false, true]);
    // Pods of both are counted.
    for class in [plain, labelled] {
        assert!(cluster.place(class, nodes[2], false));
        assert_eq!(fits(&cluster, by_zone), [false, true, false]);
        assert!(cluster.unplace(class, nodes[2], false));
        assert_eq!(fits(&cluster, by_zone), [true; 3]);
    }
}
