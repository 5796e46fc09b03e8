//! Scores of nodes, and the messages for pods that fit on none.

use flyball_placement::{
    AffinityTerm, Cluster, Effect, LabelSelector, Node, Operator, Pod, Requirement, Resources,
    Taint,
};

fn node(name: &str, cpu: i64, memory: i64) -> Node {
    Node {
        name: name.into(),
        allocatable: Resources {
            cpu,
            memory,
            pods: 110,
            ..Resources::default()
        },
        ..Node::default()
    }
}

fn pod(cpu: i64, memory: i64) -> Pod {
    Pod {
        requests: Resources {
            cpu,
            memory,
            ..Resources::default()
        },
        ..Pod::default()
    }
}

#[test]
fn the_emptier_and_the_better_balanced_node_score_more() {
    let mut cluster = Cluster::default();
    let small = cluster.add_node(node("small", 2000, 2000));
    let large = cluster.add_node(node("large", 4000, 4000));
    let lopsided = cluster.add_node(node("lopsided", 2000, 8000));
    let class = cluster.class(&pod(1000, 1000));
    // Half is free, and half of both is in use.
    assert_eq!(cluster.score(class, small), 50 + 100);
    assert_eq!(cluster.score(class, large), 75 + 100);
    // Of cpu 50% is in use, of memory 12%.
    assert_eq!(cluster.score(class, lopsided), (50 + 88) / 2 + 100 - 38 / 2);
    cluster.place(class, small, false);
    assert_eq!(cluster.score(class, small), 100);
}

#[test]
fn a_diagnosis_speaks_as_the_scheduler() {
    let mut cluster = Cluster::default();
    let mut tainted = node("tainted", 8000, 8000);
    tainted.taints = vec![Taint {
        key: "dedicated".into(),
        value: "db".into(),
        effect: Effect::NoSchedule,
    }];
    cluster.add_node(tainted);
    for name in ["a", "b"] {
        cluster.add_node(node(name, 1000, 1000));
    }
    let ids: Vec<_> = cluster.node_ids().collect();
    let mut said = |pod: &Pod| {
        let class = cluster.class(pod);
        cluster.diagnose(class, ids.iter().copied()).to_string()
    };
    assert_eq!(
        said(&pod(2000, 2000)),
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu, \
         2 Insufficient memory."
    );
    let gated = Pod {
        gated: true,
        ..pod(1, 1)
    };
    assert_eq!(
        said(&gated),
        "0/3 nodes are available: Scheduling is blocked due to non-empty scheduling gates."
    );
    let fitting = said(&pod(1, 1));
    assert_eq!(
        fitting,
        "2/3 nodes are available: 1 node(s) had untolerated taint(s)."
    );
}

/// Anti-affinity on one host against pods of an app, in the namespaces of a selector.
fn keeps_off(app: &str, namespaces: LabelSelector) -> AffinityTerm {
    AffinityTerm {
        topology_key: "kubernetes.io/hostname".into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", app)])),
        namespaces: Vec::new(),
        namespace_selector: Some(namespaces),
    }
}

#[test]
fn where_both_sides_keep_off_the_pods_own_rules_are_named() {
    let not_blue = |operator| {
        LabelSelector(vec![Requirement {
            key: "team".into(),
            operator,
            values: Vec::new(),
        }])
    };
    let everywhere = LabelSelector::default;
    let own = "node(s) didn't match pod anti-affinity rules";
    let theirs = "node(s) didn't satisfy existing pods anti-affinity rules";
    // Namespaces of the pod's term, whether the running pod's anti-affinity matches it,
    // and the expected reason.
    let cases = [
        (Some(everywhere()), true, Some(own)),
        (Some(everywhere()), false, Some(own)),
        (None, true, Some(theirs)),
        (Some(not_blue(Operator::Exists)), true, Some(own)),
        // A term of other namespaces, which the scheduler of 1.36 applies to all.
        (Some(not_blue(Operator::DoesNotExist)), true, Some(own)),
        (Some(not_blue(Operator::DoesNotExist)), false, None),
    ];
    for (at, (own_namespaces, is_minded, expected)) in cases.into_iter().enumerate() {
        let mut cluster = Cluster::default();
        let labels = [("team", "blue")].into_iter().collect();
        cluster.set_namespace(&"blue".into(), &labels);
        let mut host = node("a", 1000, 1000);
        host.labels.set("kubernetes.io/hostname".into(), "a".into());
        let host = cluster.add_node(host);
        let there = Pod {
            namespace: "blue".into(),
            labels: [("app", "there")].into_iter().collect(),
            anti_affinity: is_minded
                .then(|| keeps_off("web", everywhere()))
                .into_iter()
                .collect(),
            ..pod(1, 1)
        };
        let web = Pod {
            namespace: "green".into(),
            labels: [("app", "web")].into_iter().collect(),
            anti_affinity: own_namespaces
                .map(|namespaces| keeps_off("there", namespaces))
                .into_iter()
                .collect(),
            ..pod(1, 1)
        };
        let there = cluster.class(&there);
        cluster.place(there, host, false);
        let web = cluster.class(&web);
        let said = cluster.check(web, host).err();
        let said = said.map(|misfit| misfit.reasons().concat());
        assert_eq!(said.as_deref(), expected, "case {at}");
    }
}
