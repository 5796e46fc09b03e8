//! The deployment manifest, and the permissions of its service account.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_kubernetes::{
    ClusterWatch, ClusterWatchOptions, Election, KubernetesNodesWriter, KubernetesWriter,
    LeaderOptions, Leadership, PeerFinding, PeerLeases, elect_leader,
};
use flyball_nodes::cluster_configuration::ClusterConfiguration;
use flyball_nodes::ports::{
    EvictError, Eviction, NodeChange, NodesReader as _, NodesWriter as _, StatusDocument,
    WriteError,
};
use flyball_nodes::state::OwnerKind;
use flyball_replicas::ports::Writer;
use flyball_test_support::{Cluster, empty_folder, wait_for};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::fixture::{DEPLOYMENT, Flyball, MINUTE, WEB, autoscaler, cluster};
use crate::write::{intent, report};

pub const MANIFEST: &str = include_str!("../../deploy/flyball.yaml");

#[test]
fn the_deployed_service_account_can_read_write_and_lead_but_no_more() {
    let cluster = cluster();
    cluster.apply(MANIFEST).unwrap();
    cluster.apply(DEPLOYMENT).unwrap();
    cluster.apply(&autoscaler("web", WEB)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(service_account(&cluster));
    let flyball = Flyball::with_client(runtime, client);

    let web = wait_for("the autoscaler", MINUTE, || Ok(flyball.autoscaler("web"))).unwrap();
    let ([_, observation], log) = logged(|| [(); 2].map(|()| flyball.observe("web").unwrap()));
    // Labels of targets need a right that the manifest has as a comment alone.
    let missing = "cannot get resource \"deployments\" in API group \"apps\"";
    let error = &observation.labels.error;
    assert!(error.contains(missing), "{error}");
    let named = |line: &&str| line.contains("a right to get them is missing");
    let named: Vec<&str> = log.lines().filter(named).collect();
    assert!(named.len() == 1 && named[0].contains(missing), "{log}");
    let election = leader(&flyball, "first");
    let leader = election.leadership();
    let client = flyball.client.clone();
    let writer = KubernetesWriter::new(client.clone(), client, flyball.caches.clone(), leader);
    let intent = intent(&web, &observation.scale.unwrap(), 3);
    let written = flyball
        .runtime
        .block_on(writer.scale(Timestamp(0), vec![intent]));
    assert_eq!(written, [Ok(())]);
    flyball
        .runtime
        .block_on(writer.report(Timestamp(0), vec![report(&web)]));
    let described = cluster.kubectl(&["describe", "ra", "web"]).unwrap();
    assert!(described.contains("SucceededRescale"), "{described}");
    assert!(described.contains("New size: 4"), "{described}");

    let (client, namespace) = (flyball.client.clone(), "flyball-system");
    let priority = flyball.runtime.block_on(async {
        let configuration = ClusterConfiguration::of_expander("priority", namespace);
        let options = ClusterWatchOptions {
            configurations: configuration.as_slice(),
            scale_down: true,
        };
        let watch = ClusterWatch::start(client, options).await;
        watch.synced().await;
        watch.with_state(|state| {
            assert!(state.budgets_known());
            for kind in OwnerKind::ALL {
                assert!(state.knows_owners_of(kind.as_str()), "{kind:?}");
            }
        });
        watch.expander_configuration("priority")
    });
    assert_eq!(&*priority.unwrap().text, "{}");

    flyball.runtime.block_on(name_peers(&flyball, &cluster));

    let client = flyball.client.clone();
    let writer =
        KubernetesNodesWriter::new(client.clone(), client, namespace.into(), Leadership::sole());
    flyball.runtime.block_on(write_nodes(&writer, &cluster));

    let account = "--as=system:serviceaccount:flyball-system:flyball";
    for what in [
        ["delete", "pods"],
        ["delete", "nodes"],
        ["get", "secrets"],
        ["patch", "deployments"],
        ["watch", "configmaps"],
    ] {
        let can = cluster.kubectl(&["auth", "can-i", what[0], what[1], account]);
        assert!(can.is_err(), "{what:?}");
    }
    let mut peers = PeerLeases::new(flyball.client.clone(), "kube-system", None);
    let mut look = || flyball.runtime.block_on(peers.look());
    let role = ["delete", "clusterrolebinding", "flyball"];
    cluster.kubectl(&role).unwrap();
    wait_for("the right to be gone", MINUTE, || {
        let findings = look();
        let refused = |finding: &PeerFinding| {
            matches!(finding, PeerFinding::Forbidden { lease, message }
                if lease == "kube-system/cluster-autoscaler" && message.contains("forbidden"))
        };
        Ok(findings.iter().any(refused).then_some(()))
    })
    .unwrap();
    assert_eq!(look(), [], "a line says so, once");
}

/// Returns what a function returns, and what it logs in this thread.
fn logged<T>(function: impl FnOnce() -> T) -> (T, String) {
    let folder = empty_folder(Path::new(env!("CARGO_TARGET_TMPDIR")), "deploy").unwrap();
    let path = folder.path().join("log");
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(Arc::new(File::create(&path).unwrap()))
        .finish();
    let returned = tracing::subscriber::with_default(subscriber, function);
    (returned, fs::read_to_string(&path).unwrap())
}

/// Writes all that the service account may, and a deletion that it may not.
async fn write_nodes(writer: &KubernetesNodesWriter, cluster: &Cluster) {
    cluster.create_node("node-0").unwrap();
    let now = Timestamp(0);
    let change = NodeChange {
        name: "node-0".into(),
        unschedulable: Some(true),
        ..NodeChange::default()
    };
    assert_eq!(writer.update_node(now, change).await, Ok(()));
    let status = StatusDocument {
        text: "autoscalerStatus: Running\n".into(),
        ..StatusDocument::default()
    };
    assert_eq!(writer.write_status(now, status.clone()).await, Ok(()));
    assert_eq!(writer.read_status().await, Ok(Some(status.clone())));
    let later = StatusDocument {
        text: "autoscalerStatus: Initializing\n".into(),
        ..status
    };
    assert_eq!(writer.write_status(now, later).await, Ok(()));
    let eviction = Eviction {
        key: ObjectKey {
            namespace: "default".into(),
            name: "missing".into(),
        },
        uid: "u".into(),
        grace_seconds: None,
    };
    assert_eq!(writer.evict(now, eviction).await, Err(EvictError::Gone));
    let refused = writer.delete_node(now, "node-0", "u").await;
    let Err(WriteError::Forbidden { verb, message }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(verb, "delete nodes");
    assert!(
        message.contains("nodes \"node-0\" is forbidden"),
        "{message}"
    );
}

/// Finds the holders of Cluster Autoscaler's lease, each once.
async fn name_peers(flyball: &Flyball, cluster: &Cluster) {
    let mut leases = PeerLeases::new(flyball.client.clone(), "flyball-system", None);
    assert_eq!(leases.look().await, []);
    let held = |namespace: &str, holder: &str, renewed: String| {
        let lease = format!(
            "apiVersion: coordination.k8s.io/v1\nkind: Lease\n\
             metadata: {{ name: cluster-autoscaler, namespace: {namespace} }}\n\
             spec: {{ holderIdentity: {holder}, leaseDurationSeconds: 15, renewTime: {renewed} }}\n"
        );
        cluster.apply(&lease).unwrap();
    };
    let now = || format!("{:.6}", k8s_openapi::jiff::Timestamp::now());
    // One is at work, and one has gone without releasing its lease.
    held("kube-system", "ca-5c9", now());
    held(
        "flyball-system",
        "old",
        "2020-01-01T00:00:00.000000Z".to_owned(),
    );
    let by = |namespace: &str, holder: &str| PeerFinding::Held {
        lease: format!("{namespace}/cluster-autoscaler"),
        holder: holder.to_owned(),
    };
    assert_eq!(leases.look().await, [by("kube-system", "ca-5c9")]);
    held("kube-system", "ca-5c9", now());
    assert_eq!(leases.look().await, [], "it is named once");
    held("kube-system", "ca-7f1", now());
    held("flyball-system", "old", now());
    let expected = [by("kube-system", "ca-7f1"), by("flyball-system", "old")];
    assert_eq!(leases.look().await, expected);
    held("flyball-system", "\"\"", now());
    held("kube-system", "ca-7f1", now());
    let lease = "flyball-system/cluster-autoscaler".to_owned();
    assert_eq!(leases.look().await, [PeerFinding::Released { lease }]);
    // The lease of one's own election is nobody else's.
    let own = LeaderOptions {
        namespace: "kube-system".into(),
        name: "cluster-autoscaler".into(),
        identity: "flyball".into(),
    };
    let mut others = PeerLeases::new(flyball.client.clone(), "kube-system", Some(&own));
    assert_eq!(others.look().await, []);
}

#[test]
fn a_second_process_leads_once_the_first_is_gone() {
    let cluster = cluster();
    cluster.apply(MANIFEST).unwrap();
    let flyball = Flyball::connect(&cluster);
    let first = leader(&flyball, "first");

    let second = elect(&flyball, "second");
    let in_lease = |field: &str| {
        let path = format!("jsonpath={{.spec.{field}}}");
        let lease = ["get", "lease", "flyball", "-n", "flyball-system", "-o"];
        cluster.kubectl(&[&lease[..], &[&path]].concat())
    };
    let holder = || in_lease("holderIdentity");
    assert_eq!(holder().unwrap(), "first");
    let leads = |election: &Election| election.leadership().leads();
    assert!(leads(&first) && !leads(&second));
    let led_before = |election: &Election| *election.led_before().borrow();
    assert_eq!(led_before(&first), None);

    drop(first);
    let renewed = || -> jiff::Timestamp { in_lease("renewTime").unwrap().parse().unwrap() };
    let by_first = renewed();
    wait_for("the second to lead", MINUTE, || {
        Ok(leads(&second).then_some(()))
    })
    .unwrap();
    assert_eq!(holder().unwrap(), "second");
    let last = led_before(&second).unwrap();
    assert!(by_first <= last && last < renewed(), "{by_first}, {last}");
    let writer = KubernetesNodesWriter::new(
        flyball.client.clone(),
        flyball.client.clone(),
        "flyball-system".to_owned(),
        second.leadership(),
    );
    let known = writer.elected(&second).led_before();
    assert_eq!(known, Some(Timestamp(last.as_millisecond())));

    // Another process takes the lease: it is not overwritten.
    let taken = r#"{"spec":{"holderIdentity":"third"}}"#;
    let lease = [
        "patch",
        "lease",
        "flyball",
        "-n",
        "flyball-system",
        "--type=merge",
        "-p",
        taken,
    ];
    cluster.kubectl(&lease).unwrap();
    wait_for("the second to yield", MINUTE, || {
        Ok((!leads(&second)).then_some(()))
    })
    .unwrap();
    assert_eq!(holder().unwrap(), "third");
}

fn elect(flyball: &Flyball, identity: &str) -> Election {
    let _entered = flyball.runtime.enter();
    let options = LeaderOptions {
        namespace: "flyball-system".into(),
        name: "flyball".into(),
        identity: identity.into(),
    };
    elect_leader(flyball.client.clone(), options)
}

fn leader(flyball: &Flyball, identity: &str) -> Election {
    let election = elect(flyball, identity);
    let leader = election.leadership();
    wait_for("leadership", MINUTE, || Ok(leader.leads().then_some(()))).unwrap();
    election
}

/// Returns a client with the permissions of the deployed service account.
pub async fn service_account(cluster: &Cluster) -> Client {
    let file = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    let token = cluster
        .kubectl(&["create", "token", "flyball", "-n", "flyball-system"])
        .unwrap();
    config.auth_info =
        serde_json::from_value(serde_json::json!({ "token": token.trim() })).unwrap();
    Client::try_from(config).unwrap()
}
