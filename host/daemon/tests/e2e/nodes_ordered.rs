//! From a pod that fits nowhere to a node that runs it: a real control plane, and an AWS
//! simulated by moto.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::nodes_world::World;
use crate::support::{Daemon, WAIT_TIMEOUT, wait_for};

const GROUP: &str = "nodes";
/// Number of pods of the walkthrough's Deployment that fit on a node.
const PODS_A_NODE: u32 = 10;

/// The Deployment of the walkthrough.
const PHP_APACHE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: php-apache}
spec:
  replicas: 2
  selector: {matchLabels: {run: php-apache}}
  template:
    metadata:
      labels: {run: php-apache}
    spec:
      containers:
      - name: php-apache
        image: registry.k8s.io/hpa-example
        resources: {requests: {cpu: 200m}}
";

/// Creates a cluster with the Deployment, and a cloud with the group.
fn world(sizes: (u32, u32, u32), tags: &[&str]) -> World {
    let world = World::new();
    world.group(GROUP, sizes, tags);
    world.cluster.apply(PHP_APACHE).unwrap();
    world
}

/// Returns the lines of the walkthrough, each of which must be logged.
fn expect_the_walkthroughs_lines(daemon: &Daemon, max: u32) {
    for line in [
        format!("Best option to resize: {GROUP}"),
        format!("Estimated 1 nodes needed in {GROUP}"),
        format!("Final scale-up plan: [{{{GROUP} 2->3 (max: {max})}}]"),
        format!("Scale-up: setting group {GROUP} size to 3"),
    ] {
        daemon.wait_for(&line, |daemon| daemon.logged(&[("message", &line)]));
    }
}

#[test]
fn a_pod_that_fits_nowhere_gets_a_node_and_runs() {
    let world = world((2, 2, 10), &[]);
    world.with_boots(|| {
        world.wait_for_pods(2);
        let prices = "- {instanceType: t3.small, price: 0.0208}";
        world.workshop.write("prices.yaml", prices);
        let daemon = world.daemon(&[
            "--nodes=2:4:nodes",
            "--expander=least-waste",
            "--node-prices=prices.yaml",
        ]);
        let full = 2 * PODS_A_NODE;
        world.scale("php-apache", full);
        world.wait_for_pods(full as usize);
        assert_eq!(world.desired(GROUP), 2, "nodes that have room are enough");

        world.scale("php-apache", full + 2);
        world.wait_for_pods(full as usize + 2);
        assert_eq!(world.desired(GROUP), 3);
        expect_the_walkthroughs_lines(&daemon, 4);
        let events = world.events("TriggeredScaleUp");
        let expected = "Pod pod triggered scale-up: [{nodes 2->3 (max: 4)}]";
        // There may have been a pass between the two pods.
        assert!(
            !events.is_empty() && events.iter().all(|event| event == expected),
            "{events:?}"
        );

        // The flag's bound applies, whatever the group's own bound is.
        world.scale("php-apache", 6 * PODS_A_NODE);
        world.wait_for_pods(4 * PODS_A_NODE as usize);
        wait_for("events of what has no room", WAIT_TIMEOUT, || {
            let events = world.events("NotTriggerScaleUp");
            events
                .iter()
                .any(|event| event.contains("max node group size reached"))
        });
        assert_eq!(world.desired(GROUP), 4);

        // The number of passes since depends on the speed of the pods.
        let why = world
            .workshop
            .succeed(&["why", "nodes", "-n", "100", "--server", &daemon.url]);
        assert!(
            why.contains("nodes 2->3") && why.contains("least-waste"),
            "{why}"
        );
        let why = world
            .workshop
            .succeed(&["why", "nodes", "--records", "records.jsonl"]);
        assert!(why.contains("max node group size reached"), "{why}");
        let records = std::fs::read_to_string(world.workshop.path("records.jsonl")).unwrap();
        assert!(records.contains(r#""nodePrice":[0.0208]"#), "{records}");
        world.workshop.succeed(&["replay", "records.jsonl"]);
    });
}

#[test]
fn a_daemon_does_not_start_with_prices_that_it_cannot_read() {
    let world = World::new();
    let prices = "- {instanceType: a, price: 1}\n- {instanceType: b, price: 0}\n";
    world.workshop.write("prices.yaml", prices);
    let kubeconfig = world.cluster.kubeconfig();
    let ran = world.workshop.run(&[
        "run",
        "--http=127.0.0.1:0",
        "--controllers=nodes",
        "--nodes=0:1:a",
        "--node-prices=prices.yaml",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let problem = "row 2 (b): 0 is no price: it must be above 0";
    assert!(ran.stderr.contains(problem), "{ran:#?}");
}

/// Flags that manifests of Cluster Autoscaler have besides those that name node groups.
const FLAGS_OF_A_MANIFEST: [&str; 10] = [
    "--v=4",
    "--stderrthreshold=info",
    "--alsologtostderr",
    "--cloud-provider=aws",
    "--skip-nodes-with-local-storage=false",
    "--expander=least-waste",
    "--skip-nodes-with-system-pods=false",
    "--leader-elect=true",
    "--estimator=binpacking",
    "--scale-down-delay-after-delete=0",
];

#[test]
fn a_group_found_by_its_tags_grows_once_also_across_a_restart() {
    let tags = [
        "k8s.io/cluster-autoscaler/enabled=true",
        "k8s.io/cluster-autoscaler/test=owned",
    ];
    let world = world((2, 2, 6), &tags);
    let discovery = "--node-group-auto-discovery=asg:tag=\
        k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/test=owned";
    world.with_boots(|| {
        world.wait_for_pods(2);
        world.boots.store(false, Ordering::Relaxed);
        let mut daemon = world.daemon(&[&FLAGS_OF_A_MANIFEST[..], &[discovery]].concat());
        let ignored = "--v has no effect: the log goes to standard error, and -v or RUST_LOG \
            set its level";
        daemon.wait_for("a flag without effect", |daemon| {
            daemon.logged(&[("message", ignored)])
        });
        let pods = 2 * PODS_A_NODE + 1;
        world.scale("php-apache", pods);
        wait_for("the order", WAIT_TIMEOUT, || world.desired(GROUP) == 3);
        expect_the_walkthroughs_lines(&daemon, 6);
        assert_eq!(daemon.terminate(), Some(0));

        // The instance has not joined, the pod still waits: a new daemon knows that only
        // from the cloud.
        let daemon = world.daemon(&[discovery]);
        let coming = "on their way";
        daemon.wait_for("a decision", |daemon| {
            let server = ["why", "nodes", "--server", &daemon.url];
            world.workshop.run(&server).stdout.contains(coming)
        });
        std::thread::sleep(Duration::from_secs(5));
        assert_eq!(world.desired(GROUP), 3, "ordered twice");
        world.boots.store(true, Ordering::Relaxed);
        world.wait_for_pods(pods as usize);
        assert_eq!(world.desired(GROUP), 3);
    });
}
