//! Shapes of classes: pods that no filter can distinguish.

use flyball_placement::{AffinityTerm, Cluster, LabelSelector, Pod, Requirement};

use crate::HOST;

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
