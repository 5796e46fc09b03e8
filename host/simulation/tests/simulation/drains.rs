//! Drains in virtual time, with writes and evictions made by the test: taints, budgets,
//! the kinds of workloads, and instances that go.

use std::sync::Arc;

use flyball_nodes::cloud::InstanceState;
use flyball_nodes::ports::{
    EvictError, NodeChange, NodesReader as _, NodesWriter as _, StatusDocument, WriteError,
};
use flyball_nodes::state::{LocalVolumes, OwnerKind, PodPhase, SafeToEvict};

use crate::support::stage::{Stage, now};

/// Three nodes of four cores in one group.
fn stage(workloads: &str, rest: &str) -> Stage {
    Stage::new(&format!(
        "
duration: 4h
workloads:
{workloads}
nodeGroups:
- name: nodes
  min: 1
  max: 6
  initial: 3
  capacity: {{cpu: 4, memory: 16Gi}}
  boot: {{mean: 60s, readinessDelay: 10s}}
{rest}"
    ))
}

fn workload(name: &str, replicas: u32, rest: &str) -> String {
    format!(
        "- name: {name}
  replicas: {replicas}
  pod: {{requests: {{cpu: 500m}}, startup: {{mean: 10s, readinessDelay: 5s}}{rest}}}
  load: {{formula: 1}}
"
    )
}

fn budget(name: &str, app: &str, rest: &str) -> String {
    format!("- {{name: {name}, selector: {{matchLabels: {{app: {app}}}}}, {rest}}}\n")
}

#[test]
fn taints_and_cordons_keep_pods_away_and_soft_taints_make_them_go_elsewhere() {
    let scale = "events: [{scale: {at: 1m, workload: web, replicas: 12}}]";
    let spread = |change: &dyn Fn(&Stage, &Arc<str>)| {
        let stage = stage(&workload("web", 3, ""), scale);
        stage.figures(30);
        assert_eq!(stage.spread("web"), [1, 1, 1]);
        change(&stage, &stage.nodes()[0]);
        stage.figures(120);
        stage.spread("web")
    };
    assert_eq!(spread(&|_, _| ()), [4, 4, 4]);
    assert_eq!(
        spread(&|stage, node| stage.taint(30, node, "a", "NoSchedule")),
        [1, 6, 5]
    );
    assert_eq!(
        spread(&|stage, node| {
            let change = NodeChange {
                name: Arc::clone(node),
                unschedulable: Some(true),
                ..NodeChange::default()
            };
            stage.update(30, change).unwrap();
        }),
        [1, 6, 5]
    );
    assert_eq!(
        spread(&|stage, node| stage.taint(30, node, "a", "PreferNoSchedule")),
        [1, 6, 5],
        "there is room elsewhere"
    );
    // Where there is no room elsewhere, a soft taint keeps nothing away.
    let full = scale.replace("12", "20");
    let stage = stage(&workload("web", 3, ""), &full);
    stage.taint(30, &stage.nodes()[0], "a", "PreferNoSchedule");
    stage.figures(120);
    assert_eq!(stage.spread("web"), [4, 8, 8]);
}

#[test]
fn a_node_is_changed_as_a_whole_if_it_is_the_one_meant() {
    let stage = stage(&workload("web", 1, ""), "");
    let name = Arc::clone(&stage.nodes()[0]);
    let before = stage.node(&name).unwrap();
    assert!(before.ready && before.condition_ready && before.ready_since.is_some());
    let annotation = |value: Option<&str>| NodeChange {
        name: Arc::clone(&name),
        uid: Some(Arc::clone(&before.uid)),
        annotations: vec![("flyball.dev/scale-down".into(), value.map(Arc::from))],
        ..NodeChange::default()
    };
    stage.update(30, annotation(Some("tainted"))).unwrap();
    let node = stage.node(&name).unwrap();
    assert_eq!(&*node.annotations["flyball.dev/scale-down"], "tainted");
    stage.taint(30, &name, "a", "PreferNoSchedule");
    stage.taint(30, &name, "a", "NoSchedule");
    assert_eq!(stage.node(&name).unwrap().node.taints.len(), 2);
    let change = NodeChange {
        remove_taints: vec!["a".into()],
        ..annotation(None)
    };
    stage.update(30, change).unwrap();
    assert_eq!(stage.node(&name).unwrap(), before);

    let other = NodeChange {
        uid: Some("another".into()),
        ..annotation(None)
    };
    assert_eq!(stage.update(30, other), Err(WriteError::Gone));
    let gone = NodeChange {
        name: "none".into(),
        ..NodeChange::default()
    };
    assert_eq!(stage.update(30, gone), Err(WriteError::Gone));
    // A Node that is deleted takes its pods with it: they come again elsewhere.
    let delete = |uid: &str| now(stage.cluster.delete_node(stage.at(60), &name, uid));
    assert_eq!(delete("another"), Err(WriteError::Gone));
    let uid = &stage.node(&name).unwrap().uid;
    delete(uid).unwrap();
    assert!(stage.node(&name).is_none());
    assert_eq!(stage.figures(90).1, 1);
}

#[test]
fn evictions_are_counted_against_budgets() {
    let budgets = format!(
        "podDisruptionBudgets:\n{}{}{}",
        budget("web", "web", "minAvailable: 2"),
        budget("twin", "twin", "maxUnavailable: 1"),
        budget("twin-too", "twin", "maxUnavailable: 50%"),
    );
    let workloads = workload("web", 3, "") + &workload("twin", 2, "") + &workload("free", 2, "");
    let stage = stage(&workloads, &budgets);
    stage.figures(30);
    let pods = stage.pods("web");
    assert!(
        pods.iter()
            .all(|pod| pod.ready && pod.phase == PodPhase::Running)
    );
    stage.evict(30, &pods[0]).unwrap();
    let now = stage.pods("web");
    let evicted = now.iter().find(|pod| pod.uid == pods[0].uid).unwrap();
    assert_eq!(evicted.deletion, Some(stage.at(60)), "30 s of grace");
    // Its own deletion again is no disruption.
    stage.evict(30, &pods[0]).unwrap();
    // Others are refused at once, and when the controller has counted.
    assert!(stage.evict(30, &pods[1]).is_err());
    let refused = stage.evict(40, &pods[1]).unwrap_err();
    let EvictError::Blocked { message, budget } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(budget.as_deref(), Some("web"));
    let end = "needs 2 healthy pods and has 2 currently";
    assert!(
        message.starts_with("eviction of pod default/web-"),
        "{message}"
    );
    assert!(message.ends_with(end), "{message}");
    // Until the pod in its place is Ready.
    stage.evict(60, &pods[1]).unwrap();
    assert_eq!(stage.evict(60, &pods[0]), Err(EvictError::Gone));

    let twins = stage.pods("twin");
    let several = stage.evict(60, &twins[0]).unwrap_err();
    assert!(
        matches!(several, EvictError::SeveralBudgets { .. }),
        "{several:?}"
    );
    // Another pod of the same name is not evicted.
    let free = &stage.pods("free")[0];
    let other = stage.evict_as(60, &free.key, &"another".into(), None);
    assert_eq!(other, Err(EvictError::Gone));
    assert!(stage.pods("free").iter().all(|pod| pod.deletion.is_none()));
}

#[test]
fn a_pod_ends_within_its_grace_unless_it_never_does() {
    let workloads = workload("slow", 1, ", termination: 20s")
        + &workload(
            "stuck",
            1,
            ", termination: never, terminationGracePeriodSeconds: 10",
        )
        + &workload("guarded", 1, "");
    let events = "events: [{refuseEvictions: {at: 0s, workload: guarded, for: 10m}}]";
    let stage = stage(&workloads, events);
    stage.figures(30);
    let slow = &stage.pods("slow")[0];
    stage.evict_as(30, &slow.key, &slow.uid, Some(10)).unwrap();
    assert_eq!(stage.pods("slow").len(), 1, "it keeps its place");
    stage.figures(35);
    assert_eq!(stage.pods("slow").len(), 2, "and has a successor");
    stage.figures(50);
    assert_eq!(stage.pods("slow").len(), 1);

    let stuck = &stage.pods("stuck")[0];
    assert_eq!(stuck.drain.grace_seconds, Some(10));
    stage.evict(60, stuck).unwrap();
    stage.figures(3600);
    assert_eq!(stage.pods("stuck").len(), 2);

    let guarded = &stage.pods("guarded")[0];
    let stage = self::stage(&workloads, events);
    let refused = stage.evict(30, guarded).unwrap_err();
    assert!(
        matches!(refused, EvictError::Blocked { budget: None, .. }),
        "{refused:?}"
    );
    stage.evict(600, guarded).unwrap();
}

#[test]
fn each_kind_of_owner_creates_evicted_pods_again_or_does_not() {
    let of_kind = |name: &str, kind: &str, rest: &str| {
        workload(name, 2, rest).replace("  load", &format!("  kind: {kind}\n  load"))
    };
    let workloads = of_kind("web", "Deployment", "")
        + &of_kind("old", "ReplicationController", "")
        + &of_kind("db", "StatefulSet", ", termination: 20s")
        + &of_kind("sum", "Job", ", duration: 10m")
        + &of_kind("lone", "Pod", "");
    let stage = stage(&workloads, "daemonSets: [{name: logs}]");
    stage.figures(30);
    let owners = stage.cluster.with_state(|state| {
        let owners = state.owners().map(|owner| {
            let kind = owner.kind;
            (kind, owner.key.name.to_string(), owner.desired, owner.ready)
        });
        owners.collect::<Vec<_>>()
    });
    assert_eq!(owners.len(), 4, "{owners:?}");
    let db = (OwnerKind::StatefulSet, "db".to_owned(), Some(2), 2);
    assert!(owners.contains(&db), "{owners:?}");
    for name in ["web", "old", "db", "sum", "lone"] {
        let pod = &stage.pods(name)[0];
        let owner = pod.owner.as_ref().map(|owner| &*owner.kind);
        let expected = match name {
            "web" => Some("ReplicaSet"),
            "old" => Some("ReplicationController"),
            "db" => Some("StatefulSet"),
            "sum" => Some("Job"),
            _ => None,
        };
        assert_eq!(owner, expected, "{name}");
        stage.evict(30, pod).unwrap();
    }
    // A StatefulSet waits until the name is free.
    stage.figures(45);
    let db = stage.pods("db");
    assert_eq!(db.len(), 2);
    assert!(db[0].deletion.is_some() && &*db[0].key.name == "db-0");
    stage.figures(90);
    let again = stage.pods("db");
    assert_eq!(again[0].key, db[0].key);
    assert!(again[0].uid != db[0].uid && again[0].ready);
    assert_eq!(
        stage.evict(90, &db[0]),
        Err(EvictError::Gone),
        "its successor stays"
    );
    let left = ["web", "old", "db", "sum", "lone"].map(|name| stage.pods(name).len());
    assert_eq!(left, [2, 2, 2, 2, 1]);
    // A pod of a Job that has ended is not created again.
    stage.figures(1500);
    let ended = stage.pods("sum");
    assert!(
        ended.iter().all(|pod| pod.phase == PodPhase::Succeeded),
        "{ended:?}"
    );
    stage.evict(1500, &ended[0]).unwrap();
    stage.figures(1600);
    assert_eq!(stage.pods("sum").len(), 1);

    // The pod of a DaemonSet comes again where it fits: on a cordoned node, not on one with
    // a taint.
    let name = Arc::clone(&stage.nodes()[0]);
    let on_node = || {
        let daemons = stage.pods("logs").into_iter();
        daemons
            .filter(|pod| pod.node.as_ref() == Some(&name))
            .collect::<Vec<_>>()
    };
    let first = on_node();
    stage.evict(1600, &first[0]).unwrap();
    assert!(on_node()[0].deletion.is_some());
    stage.figures(1700);
    assert_eq!(on_node().len(), 1);
    assert!(on_node()[0].uid != first[0].uid);
    stage.taint(1700, &name, "a", "NoSchedule");
    stage.evict(1700, &on_node()[0]).unwrap();
    stage.figures(1800);
    assert_eq!(on_node().len(), 0);
}

#[test]
fn pods_say_what_keeps_their_node() {
    let annotations = "cluster-autoscaler.kubernetes.io/safe-to-evict: 'false', \
         cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes: 'tmp', \
         controller.kubernetes.io/pod-deletion-cost: '-7'";
    let volumes = "[{name: tmp, emptyDir: {}}, {name: shm, emptyDir: {medium: Memory}}, \
         {name: host, hostPath: {path: /var}}]";
    let rest = format!(", priority: 5, annotations: {{{annotations}}}, volumes: {volumes}");
    let stage = stage(&workload("web", 1, &rest), "");
    let pod = &stage.pods("web")[0];
    let drain = &pod.drain;
    assert_eq!(drain.safe_to_evict, SafeToEvict::False);
    assert_eq!(drain.deletion_cost, -7);
    assert_eq!(
        (drain.empty_dir, drain.host_path),
        (LocalVolumes::Excepted, LocalVolumes::Kept)
    );
    let priority = stage
        .cluster
        .with_state(|state| state.pod(&pod.uid).map(|pod| pod.priority));
    assert_eq!(priority, Some(5));
}

#[test]
fn instances_take_time_to_go_and_clouds_refuse() {
    let rest = "  shutdown: {instance: 20s, node: 10m}\n  scaleDown: {unneededTime: 5m}\n";
    let events = "events:
- refuseTermination: {at: 5m, nodeGroup: nodes, for: 1m}
- refuseTermination: {at: 10m, nodeGroup: nodes, for: 1m, answer: throttled}
- refuseTermination: {at: 15m, nodeGroup: nodes, for: 1m, answer: lost}
- changeNodeGroup: {at: 20m, nodeGroup: nodes, min: 2, price: 2}
";
    let stage = stage(&workload("web", 3, ""), &format!("{rest}{events}"));
    let group = stage.group(30);
    assert_eq!(group.scale_down.unneeded_time_ms, Some(300_000));
    let ids: Vec<Arc<str>> = { group.instances.iter() }
        .map(|instance| Arc::clone(&instance.provider_id))
        .collect();
    let name_of = |at: usize| {
        stage.cluster.with_state(|state| {
            let node = state.node_of(&ids[at]);
            node.map(|node| Arc::clone(&node.facts.node.name))
        })
    };
    let names = [0, 1, 2].map(|at| name_of(at).unwrap());
    stage.delete(30, &ids[..1]).unwrap();
    assert_eq!(stage.group(45).instances[0].state, InstanceState::Deleting);
    assert!(stage.node(&names[0]).unwrap().ready, "until it is gone");
    // The instance goes first, with its pods, and later its Node.
    assert_eq!(stage.group(55).instances.len(), 2);
    let node = stage.node(&names[0]).unwrap();
    assert!(!node.ready && !node.condition_ready);
    assert_eq!(stage.figures(120).1, 3);
    let error = stage.delete(605, &ids[1..2]).unwrap_err();
    assert!(
        error.starts_with("Throttled: node group nodes: "),
        "{error}"
    );
    assert_eq!(stage.group(605).target_size, 2);
    stage.figures(700);
    assert!(stage.node(&names[0]).is_none());

    let id = &ids[1..2];
    let error = stage.delete(915, id).unwrap_err();
    assert!(error.starts_with("Unreachable: "), "{error}");
    assert_eq!(stage.group(915).target_size, 1, "the deed was done");
    stage.delete(990, id).unwrap();
    let error = stage.delete(1000, &ids[2..]).unwrap_err();
    assert!(error.starts_with("MinSize: "), "{error}");
    // The cloud keeps to a minimum that is raised.
    let group = stage.group(1300);
    assert_eq!(
        (group.min_size, group.target_size, group.price),
        (2, 2, Some(2.0))
    );

    let stage = self::stage(&workload("web", 3, ""), &format!("{rest}{events}"));
    let error = stage.delete(330, id).unwrap_err();
    assert!(error.starts_with("Other: "), "{error}");
    assert_eq!(stage.group(330).target_size, 3);
}

#[test]
fn the_status_is_kept_with_the_annotations_of_others() {
    let stage = stage(&workload("web", 1, ""), "");
    assert_eq!(now(stage.cluster.read_status()), Ok(None));
    let write = |text: &str, key: &str| {
        let status = StatusDocument {
            text: text.into(),
            annotations: [(key.into(), "1".into())].into(),
        };
        now(stage.cluster.write_status(stage.at(30), status)).unwrap();
    };
    write("a", "a");
    write("b", "b");
    let status = now(stage.cluster.read_status()).unwrap().unwrap();
    assert_eq!((&*status.text, status.annotations.len()), ("b", 2));
}
