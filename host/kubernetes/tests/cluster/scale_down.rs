//! What scale-down reads arrives in the state, and what may not be read is known to be
//! unknown.

use flyball_kubernetes::{Client, ClusterWatch, ClusterWatchOptions, ConnectOptions, connect};
use flyball_nodes::ports::NodesReader;
use flyball_nodes::state::{
    AnnotationKeys, BudgetFacts, ClusterState, LocalVolumes, OwnerKind, PodView, SafeToEvict,
    WantedAnnotations,
};
use flyball_test_support::{Cluster, ClusterOptions, wait_for};
use tokio::runtime::Runtime;

use crate::deploy::{MANIFEST, service_account};
use crate::fixture::MINUTE;

const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata:
      labels: { app: web }
      annotations:
        cluster-autoscaler.kubernetes.io/safe-to-evict: maybe
        cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes: cache
        controller.kubernetes.io/pod-deletion-cost: "-5"
    spec:
      terminationGracePeriodSeconds: 7
      containers:
      - name: web
        image: web
        volumeMounts:
        - { name: cache, mountPath: /cache }
        - { name: data, mountPath: /data }
      volumes:
      - { name: cache, emptyDir: {} }
      - { name: data, emptyDir: {} }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db }
spec:
  replicas: 0
  serviceName: db
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec: { containers: [{ name: db, image: db }] }
---
apiVersion: v1
kind: ReplicationController
metadata: { name: old }
spec:
  replicas: 0
  selector: { app: old }
  template:
    metadata: { labels: { app: old } }
    spec: { containers: [{ name: old, image: old }] }
---
apiVersion: batch/v1
kind: Job
metadata: { name: nightly }
spec:
  suspend: true
  parallelism: 3
  template:
    spec: { restartPolicy: Never, containers: [{ name: nightly, image: nightly }] }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: web }
spec: { minAvailable: 1, selector: { matchLabels: { app: web } } }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: everything }
spec: { maxUnavailable: 0, selector: {} }
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: { name: nothing }
spec: { maxUnavailable: 0, unhealthyPodEvictionPolicy: AlwaysAllow }
"#;

const ALL: ClusterWatchOptions<'_> = ClusterWatchOptions {
    configurations: &[],
    scale_down: true,
};

fn web_pods(state: &ClusterState) -> Vec<PodView<'_>> {
    let pods = state.pods_on("node-0");
    pods.filter(|pod| pod.key.name.starts_with("web-"))
        .collect()
}

/// The budgets of a pod, with what they allow.
fn budgets(state: &ClusterState, pod: &PodView<'_>) -> Vec<(String, i32)> {
    let budgets = state.budgets_of(pod).named.iter();
    let budgets = budgets.filter_map(|id| state.budget(*id));
    let allowed = |budget: &BudgetFacts| (budget.key.name.to_string(), budget.allowed());
    budgets.map(allowed).collect()
}

fn wait_for_state(watch: &ClusterWatch, what: &str, is_so: impl Fn(&ClusterState) -> bool) {
    let seen = || Ok(watch.with_state(|state| is_so(state)).then_some(()));
    wait_for(what, 2 * MINUTE, seen).unwrap();
}

#[test]
fn owners_budgets_and_annotations_arrive_in_the_state() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    cluster.create_node("node-0").unwrap();
    for annotation in [
        "cluster-autoscaler.kubernetes.io/scale-down-disabled=true",
        "delay-deletion.cluster-autoscaler.kubernetes.io/csi=",
        "flyball.dev/cordoned=yes",
        "example.com/other=x",
    ] {
        let annotate = ["annotate", "node/node-0", annotation];
        cluster.kubectl(&annotate).unwrap();
    }
    cluster.apply(WORKLOADS).unwrap();
    let runtime = Runtime::new().unwrap();
    let watch = start(&runtime, runtime.block_on(admin(&cluster)));

    wait_for_state(&watch, "two ready pods and their budgets", |state| {
        let pods = web_pods(state);
        let budgets = pods.first().map(|pod| budgets(state, pod));
        let expected = vec![("everything".to_owned(), 0), ("web".to_owned(), 1)];
        let ready = pods.iter().filter(|pod| pod.facts.ready).count();
        ready == 2 && budgets == Some(expected)
    });
    wait_for_state(&watch, "the ReplicaSet's status", |state| {
        let mut owners = state.owners();
        owners.any(|owner| owner.kind == OwnerKind::ReplicaSet && owner.ready == 2)
    });
    watch.with_state(|state| check_facts(state));

    let revision = watch.with_state(|state| state.drain_revision());
    let stricter = r#"{"spec":{"minAvailable":2}}"#;
    let patch = ["patch", "pdb", "web", "--type=merge", "-p", stricter];
    cluster.kubectl(&patch).unwrap();
    wait_for_state(&watch, "a budget of zero", |state| {
        let pods = web_pods(state);
        let budgets = pods.first().map(|pod| budgets(state, pod));
        budgets.is_some_and(|budgets| budgets.contains(&("web".to_owned(), 0)))
    });
    watch.with_state(|state| {
        let changed: Vec<_> = state.changed_since(revision).collect();
        assert_eq!(changed.len(), 1);
    });
    let gone = ["delete", "pdb/web", "pdb/everything", "statefulset/db"];
    cluster.kubectl(&gone).unwrap();
    wait_for_state(&watch, "no budget", |state| {
        let pods = web_pods(state);
        let mut owners = state.owners();
        pods.iter().all(|pod| state.budgets_of(pod).count == 0)
            && !owners.any(|owner| owner.kind == OwnerKind::StatefulSet)
    });
}

fn check_facts(state: &ClusterState) {
    let node = state.nodes().next().unwrap();
    let annotations: Vec<(&str, &str)> = node
        .facts
        .annotations
        .iter()
        .map(|(key, value)| (&**key, &**value))
        .collect();
    assert_eq!(
        annotations,
        [
            (
                "cluster-autoscaler.kubernetes.io/scale-down-disabled",
                "true"
            ),
            ("delay-deletion.cluster-autoscaler.kubernetes.io/csi", ""),
            ("flyball.dev/cordoned", "yes"),
        ]
    );
    assert!(node.facts.condition_ready && node.facts.ready_since.is_some());

    let pods = web_pods(state);
    let facts = pods[0].facts;
    assert!(std::sync::Arc::ptr_eq(&facts.drain, &pods[1].facts.drain));
    assert_eq!(facts.drain.grace_seconds, Some(7));
    assert_eq!(facts.drain.safe_to_evict, SafeToEvict::Other);
    assert_eq!(facts.drain.deletion_cost, -5);
    let volumes = (facts.drain.empty_dir, facts.drain.host_path);
    assert_eq!(volumes, (LocalVolumes::Kept, LocalVolumes::None));
    let reference = facts.owner.as_ref().unwrap();
    let owner = state.owner(&reference.uid).unwrap();
    assert_eq!(owner.key.name, reference.name);
    assert_eq!((owner.desired, owner.ready), (Some(2), 2));
    assert_eq!(state.pods_of_owner(&reference.uid), 2);

    let mut owners: Vec<_> = state
        .owners()
        .map(|owner| (owner.kind, &*owner.key.name, owner.desired))
        .filter(|(kind, ..)| *kind != OwnerKind::ReplicaSet)
        .collect();
    owners.sort_unstable();
    assert_eq!(
        owners,
        [
            (OwnerKind::StatefulSet, "db", Some(0)),
            (OwnerKind::ReplicationController, "old", Some(0)),
            (OwnerKind::Job, "nightly", Some(3)),
        ]
    );
    let nothing = state
        .budgets()
        .find(|(_, budget)| &*budget.key.name == "nothing");
    let (_, nothing) = nothing.unwrap();
    assert!(nothing.selector.is_none() && nothing.always_evict_unhealthy);
}

#[test]
fn a_kind_that_may_not_be_read_is_unknown_until_it_may() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    let without = MANIFEST
        .replace("[poddisruptionbudgets]", "[podtemplates]")
        .replace("resources: [jobs]", "resources: [cronjobs]");
    cluster.apply(&without).unwrap();
    cluster.apply(WORKLOADS).unwrap();
    let runtime = Runtime::new().unwrap();
    let client = runtime.block_on(service_account(&cluster));
    // Becomes ready all the same.
    let watch = start(&runtime, client);
    watch.with_state(|state| {
        assert!(!state.budgets_known() && state.budgets().next().is_none());
        assert!(!state.knows_owners_of("Job"));
        for kind in ["ReplicaSet", "StatefulSet", "ReplicationController"] {
            assert!(state.knows_owners_of(kind), "{kind}");
        }
        assert!(state.owners().any(|owner| &*owner.key.name == "db"));
    });

    cluster.apply(MANIFEST).unwrap();
    wait_for_state(&watch, "the missing kinds", |state| {
        state.budgets_known() && state.knows_owners_of("Job")
    });
    watch.with_state(|state| {
        assert_eq!(state.budgets().count(), 3);
        assert!(state.owners().any(|owner| &*owner.key.name == "nightly"));
    });
}

#[test]
fn annotations_are_kept_for_as_long_as_a_policy_wants_them() {
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    cluster.create_node("node-0").unwrap();
    let note = ["annotate", "node/node-0", "example.com/note=rack"];
    cluster.kubectl(&note).unwrap();
    let workload = WORKLOADS.split("---").next().unwrap();
    let annotated = "annotations:\n        example.com/note: web";
    cluster
        .apply(&workload.replace("annotations:", annotated))
        .unwrap();
    let runtime = Runtime::new().unwrap();
    let watch = start(&runtime, runtime.block_on(admin(&cluster)));
    // Annotations by pods and node, and whether all objects were listed with them.
    let seen = |state: &ClusterState| {
        let key = "example.com/note";
        let node = state.node("node-0").unwrap();
        let pods = web_pods(state);
        let of_pods = pods.iter().filter(|pod| {
            let note = pod.facts.drain.annotations.get(key);
            note.is_some_and(|note| &**note == "web")
        });
        let listed = state.listed_annotations();
        (
            of_pods.count(),
            node.facts.annotations.contains_key(key),
            [listed.pods.contains(key), listed.nodes.contains(key)],
        )
    };
    wait_for_state(&watch, "two pods", |state| web_pods(state).len() == 2);
    watch.with_state(|state| assert_eq!(seen(state), (0, false, [false; 2])));

    let keys = AnnotationKeys::Only(["example.com/note".into()].into());
    let mut wanted = WantedAnnotations {
        pods: keys.clone(),
        nodes: AnnotationKeys::none(),
    };
    watch.want_annotations(&wanted);
    wait_for_state(&watch, "the pods' annotations", |state| {
        seen(state) == (2, false, [true, false])
    });
    wanted.nodes = keys;
    watch.want_annotations(&wanted);
    wait_for_state(&watch, "the node's annotation", |state| {
        seen(state) == (2, true, [true; 2])
    });
    // Later changes are read with it, and what scale-down reads itself stays.
    let other = [
        "annotate",
        "--overwrite",
        "pod",
        "-l",
        "app=web",
        "example.com/note=other",
    ];
    cluster.kubectl(&other).unwrap();
    wait_for_state(&watch, "another value", |state| seen(state).0 == 0);
    watch.with_state(|state| {
        let pods = web_pods(state);
        assert_eq!(pods[0].facts.drain.annotations.len(), 1);
        assert_eq!(pods[0].facts.drain.deletion_cost, -5);
    });

    watch.want_annotations(&WantedAnnotations::none());
    watch.with_state(|state| assert_eq!(seen(state).2, [false; 2]));
    wait_for_state(&watch, "no annotation", |state| {
        let pods = web_pods(state);
        let mut pods = pods.iter();
        pods.all(|pod| pod.facts.drain.annotations.is_empty()) && !seen(state).1
    });
    assert!(NodesReader::synced(&watch));
}

fn start(runtime: &Runtime, client: Client) -> ClusterWatch {
    runtime.block_on(async {
        let watch = ClusterWatch::start(client, ALL).await;
        tokio::time::timeout(MINUTE, watch.synced()).await.unwrap();
        watch
    })
}

async fn admin(cluster: &Cluster) -> Client {
    let options = ConnectOptions {
        kubeconfig: Some(cluster.kubeconfig()),
        ..Default::default()
    };
    connect(&options).await.unwrap()
}
