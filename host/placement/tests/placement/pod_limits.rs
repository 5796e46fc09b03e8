//! Pods beyond a limit on one of their lists: they fit on no node, and are named.

use flyball_placement::{Cluster, Misfit, Pod, Unjudged};

use crate::node;

/// Returns why a pod is not judged on a node of its own cluster. The pod is the same after a
/// rebuild.
fn verdict(pod: &Pod) -> Option<Unjudged> {
    let mut cluster = Cluster::default();
    let id = cluster.add_node(node(0, "zone-0"));
    let class = cluster.class(pod);
    let (rebuilt, classes) = cluster.rebuilt([class]);
    assert_eq!(rebuilt.pod(classes[0]), *pod);
    let verdict = match cluster.check(class, id) {
        Err(Misfit::Unjudged(what)) => Some(what),
        _ => None,
    };
    assert_eq!(verdict, cluster.unjudged(class));
    verdict
}

#[test]
fn a_pod_that_requests_more_than_64_extended_resources_is_not_judged() {
    let asks = |count: usize| {
        let mut pod = Pod::default();
        for row in 0..count {
            pod.requests.set(&format!("a/x{row}"), 1);
        }
        pod
    };
    assert_eq!(verdict(&asks(64)), None);
    assert_eq!(verdict(&asks(65)), Some(Unjudged::TooManyResources));
    let said = Unjudged::TooManyResources.to_string();
    let text = "the pod requests more than 64 extended resources: it can't be judged";
    assert_eq!(said, text);
}
