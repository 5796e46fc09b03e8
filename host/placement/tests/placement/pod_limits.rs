//! Pods beyond a limit on one of their lists: they fit on no node, and are named.

use std::sync::Arc;

use flyball_placement::{
    AffinityTerm, Cluster, Disk, HostPort, LabelSelector, Misfit, Name, NodeSelectorTerm, Operator,
    Pod, PodClaim, PodVolumes, Protocol, Requirement, SpreadConstraint, Toleration, Unjudged,
};

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
    assert_eq!(verdict, rebuilt.unjudged(classes[0]));
    verdict
}

/// The verdicts on pods with one part, with as many as the limit, and with one more.
fn verdicts(pod: impl Fn(usize) -> Pod, limit: usize) -> [Option<Unjudged>; 3] {
    [1, limit, limit + 1].map(|count| verdict(&pod(count)))
}

fn with_volumes(claims: usize, disks: Vec<Disk>) -> Pod {
    let claims = (0..claims).map(|row| PodClaim {
        name: format!("claim-{row}").into(),
        owner: None,
    });
    Pod {
        volumes: Some(Arc::new(PodVolumes {
            claims: claims.collect(),
            disks,
        })),
        ..Pod::default()
    }
}

fn port(port: usize, ip: &str, protocol: Protocol) -> HostPort {
    HostPort {
        ip: ip.into(),
        protocol,
        port: u16::try_from(port).unwrap(),
    }
}

fn with_ports(host_ports: Vec<HostPort>) -> Pod {
    Pod {
        host_ports,
        ..Pod::default()
    }
}

/// A term of node affinity that excludes a node by name.
fn not_named(row: usize) -> NodeSelectorTerm {
    NodeSelectorTerm {
        expressions: Vec::new(),
        fields: vec![Requirement {
            key: "metadata.name".into(),
            operator: Operator::NotIn,
            values: vec![format!("other-{row}").into()],
        }],
    }
}

/// A term of node affinity that excludes values of a label.
fn not_in(values: usize) -> NodeSelectorTerm {
    let values = (0..values).map(|row| format!("none-{row}").into());
    NodeSelectorTerm {
        expressions: vec![Requirement {
            key: "zone".into(),
            operator: Operator::NotIn,
            values: values.collect(),
        }],
        fields: Vec::new(),
    }
}

fn with_affinity(terms: Vec<NodeSelectorTerm>) -> Pod {
    Pod {
        node_affinity: Some(terms),
        ..Pod::default()
    }
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
    let beyond = Unjudged::TooManyResources;
    assert_eq!(verdicts(asks, 64), [None, None, Some(beyond)]);
    let mut with_none = asks(64);
    with_none.requests.set("a/none", 0);
    let mut cluster = Cluster::default();
    let class = cluster.class(&with_none);
    assert_eq!(cluster.unjudged(class), None, "nothing of it is requested");
    assert_eq!(
        beyond.to_string(),
        "the pod requests more than 64 extended resources: it can't be judged"
    );
}

#[test]
fn a_pod_with_more_than_128_claims_and_disks_is_not_judged() {
    let beyond = Unjudged::TooManyVolumes;
    let claims = |count| with_volumes(count, Vec::new());
    assert_eq!(verdicts(claims, 128), [None, None, Some(beyond)]);
    let disk = |row: usize| Disk::Ebs(format!("vol-{row}").into());
    let disks = |count| with_volumes(100, (0..count).map(disk).collect());
    assert_eq!(verdicts(disks, 28), [None, None, Some(beyond)]);
    let rbd = |count: usize| {
        let monitors = (0..count).map(|row| format!("monitor-{row}").into());
        let disk = Disk::Rbd {
            monitors: monitors.collect(),
            image: ("pool".into(), "image".into()),
            read_only: false,
        };
        with_volumes(0, vec![disk])
    };
    assert_eq!(verdicts(rbd, 128), [None, None, Some(beyond)]);
    assert_eq!(
        beyond.to_string(),
        "the pod has more than 128 claims, disks and monitors of rbd disks: it can't be judged"
    );
}

#[test]
fn a_pod_with_more_than_128_host_ports_is_not_judged() {
    let beyond = Unjudged::TooManyPorts;
    let ports = |count| with_ports((1..=count).map(|at| port(at, "", Protocol::Tcp)).collect());
    assert_eq!(verdicts(ports, 128), [None, None, Some(beyond)]);
    assert_eq!(
        beyond.to_string(),
        "the pod has more than 128 host ports: it can't be judged"
    );
}

#[test]
fn a_pod_that_selects_nodes_by_more_than_1000_names_and_conditions_is_not_judged() {
    let beyond = Unjudged::TooManyNodeNames;
    let names = |count| with_affinity((0..count).map(not_named).collect());
    assert_eq!(verdicts(names, 1000), [None, None, Some(beyond)]);
    let values = |count| with_affinity(vec![not_in(count), not_named(0)]);
    assert_eq!(verdicts(values, 999), [None, None, Some(beyond)]);
    let tolerations = |count| Pod {
        tolerations: vec![Toleration::default(); count],
        ..with_affinity(vec![not_named(0)])
    };
    assert_eq!(verdicts(tolerations, 999), [None, None, Some(beyond)]);
    // What does not depend on the name is compared with one node of each kind.
    assert_eq!(verdict(&with_affinity(vec![not_in(2000)])), None);
    assert_eq!(
        beyond.to_string(),
        "the pod selects nodes by name, with more than 1000 names, conditions and tolerations: \
         it can't be judged"
    );
}

/// A term of anti-affinity that selects no pod.
fn term(selector: LabelSelector, namespaces: Vec<Name>) -> AffinityTerm {
    AffinityTerm {
        topology_key: "zone".into(),
        selector: Some(selector),
        namespaces,
        namespace_selector: None,
    }
}

/// A selector of this many conditions: one, and the values of it.
fn selector(operator: Operator, conditions: usize) -> LabelSelector {
    let values = (1..conditions).map(|row| format!("none-{row}").into());
    LabelSelector(vec![Requirement {
        key: "app".into(),
        operator,
        values: values.collect(),
    }])
}

/// Each pod that a term may select is compared with all of its conditions.
#[test]
fn a_pod_whose_terms_have_more_than_1000_conditions_is_not_judged() {
    let beyond = Unjudged::TooManyConditions;
    let anti_affinity = |terms: Vec<AffinityTerm>| Pod {
        anti_affinity: terms,
        ..Pod::default()
    };
    let values = |count| anti_affinity(vec![term(selector(Operator::In, count), Vec::new())]);
    assert_eq!(verdicts(values, 1000), [None, None, Some(beyond)]);
    let namespaces = |count: usize| {
        let names = (0..count).map(|row| format!("none-{row}").into());
        anti_affinity(vec![term(LabelSelector::default(), names.collect())])
    };
    assert_eq!(verdicts(namespaces, 1000), [None, None, Some(beyond)]);
    let of_two = |count| {
        let fixed = term(selector(Operator::In, 400), Vec::new());
        anti_affinity(vec![
            fixed,
            term(selector(Operator::Exists, 1), vec!["b".into(); count]),
        ])
    };
    assert_eq!(verdicts(of_two, 599), [None, None, Some(beyond)]);
    let spread = |count| Pod {
        spread: vec![SpreadConstraint {
            max_skew: 1,
            topology_key: "zone".into(),
            selector: Some(selector(Operator::NotIn, count)),
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        }],
        ..Pod::default()
    };
    assert_eq!(verdicts(spread, 1000), [None, None, Some(beyond)]);
    assert_eq!(
        beyond.to_string(),
        "the pod's terms of pod affinity or spread have more than 1000 conditions, values and \
         namespaces: it can't be judged"
    );
}

/// A running pod may have more ports than are judged. They are taken nevertheless.
#[test]
fn ports_conflict_by_address_and_protocol_and_are_free_once_the_last_pod_is_gone() {
    use Protocol::{Tcp, Udp};
    let mut cluster = Cluster::default();
    let id = cluster.add_node(node(0, "zone-0"));
    let ports = [
        port(80, "", Tcp),
        port(80, "0.0.0.0", Tcp),
        port(80, "10.0.0.1", Tcp),
        port(80, "10.0.0.2", Tcp),
        port(80, "", Udp),
        port(81, "", Tcp),
    ];
    let classes = ports
        .clone()
        .map(|port| cluster.class(&with_ports(vec![port])));
    let is_all = |port: &HostPort| matches!(&*port.ip, "" | "0.0.0.0");
    for (running, taken) in classes.iter().zip(&ports) {
        assert!(cluster.place(*running, id, false));
        assert!(cluster.place(*running, id, true));
        assert!(cluster.unplace(*running, id, false));
        for (class, port) in classes.iter().zip(&ports) {
            let same_number = (port.port, port.protocol) == (taken.port, taken.protocol);
            let same_address = port.ip == taken.ip || is_all(port) || is_all(taken);
            let conflict = same_number && same_address;
            assert_eq!(cluster.fits(*class, id), !conflict, "{port:?} {taken:?}");
        }
        assert!(cluster.unplace(*running, id, true));
    }
    assert!(classes.iter().all(|class| cluster.fits(*class, id)));

    let many: Vec<HostPort> = (1..=20_000).map(|at| port(at, "10.0.0.1", Tcp)).collect();
    let many = cluster.class(&with_ports(many));
    assert!(cluster.place(many, id, false));
    let fits = |cluster: &Cluster| [0, 2, 3, 4].map(|at| cluster.fits(classes[at], id));
    assert_eq!(fits(&cluster), [false, false, true, true]);
    assert!(cluster.unplace(many, id, false));
    assert_eq!(fits(&cluster), [true; 4]);
}
