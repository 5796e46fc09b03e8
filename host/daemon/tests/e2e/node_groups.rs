//! The choice among several node groups: by the priorities of a ConfigMap and changes of
//! it, and balanced over groups that differ only in AWS' own labels.

use crate::nodes_world::World;
use crate::support::{WAIT_TIMEOUT, wait_for};

const GROUPS: [&str; 2] = ["spot", "on-demand"];
const FLAGS: [&str; 2] = ["--nodes=0:5:spot", "--nodes=0:5:on-demand"];
const CONFIG_MAP: &str = "cluster-autoscaler-priority-expander";

/// Request of a pod that fills a node.
const LARGE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: large}
spec:
  replicas: 0
  selector: {matchLabels: {run: large}}
  template:
    metadata:
      labels: {run: large}
    spec:
      containers:
      - name: large
        image: registry.k8s.io/pause
        resources: {requests: {cpu: 1500m}}
";

/// Creates two groups without nodes, whose tags describe a node.
fn world() -> World {
    let world = World::new();
    for group in GROUPS {
        let template = "k8s.io/cluster-autoscaler/node-template";
        let tags = [
            format!("{template}/resources/cpu=2"),
            format!("{template}/resources/memory=4Gi"),
            format!("{template}/label/eks.amazonaws.com/nodegroup={group}"),
        ];
        let tags = tags.each_ref().map(String::as_str);
        world.group(group, (0, 0, 5), &tags);
    }
    world.cluster.apply(LARGE).unwrap();
    world
}

fn sizes(world: &World) -> [u64; 2] {
    GROUPS.map(|group| world.desired(group))
}

/// Writes these priorities to the ConfigMap.
fn prioritize(world: &World, priorities: &str) {
    let config_map = serde_json::json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": CONFIG_MAP, "namespace": "kube-system" },
        "data": { "priorities": priorities },
    });
    world.cluster.apply(&config_map.to_string()).unwrap();
}

#[test]
fn priorities_of_a_config_map_decide_as_it_is_and_bad_ones_are_told_and_keep_all() {
    let world = world();
    world.with_boots(|| {
        let daemon = world.daemon(&[&FLAGS[..], &["--expander=priority"]].concat());
        // Without the ConfigMap the choice is random.
        world.scale("large", 1);
        world.wait_for_pods(1);
        let expected = "ConfigMap no priorities are configured; every option is kept";
        assert_eq!(world.events("PriorityConfigMapMissing"), [expected]);

        let [spot, on_demand] = sizes(&world);
        prioritize(&world, "10:\n- .*\n50:\n- ^on-.*\n");
        world.scale("large", 2);
        world.wait_for_pods(2);
        assert_eq!(sizes(&world), [spot, on_demand + 1]);

        prioritize(&world, "10:\n- nothing\n50:\n- ^spot$\n");
        world.scale("large", 3);
        world.wait_for_pods(3);
        assert_eq!(sizes(&world), [spot + 1, on_demand + 1]);
        let events = world.events("PriorityConfigMapNotMatchedGroup");
        assert!(events[0].contains("node group on-demand"), "{events:?}");

        prioritize(&world, "10: [spot");
        world.scale("large", 4);
        world.wait_for_pods(4);
        assert_eq!(sizes(&world).iter().sum::<u64>(), 4);
        let config_map = format!("configmap/{CONFIG_MAP}");
        wait_for("the event to be described", WAIT_TIMEOUT, || {
            let described = ["describe", "-n", "kube-system", &config_map];
            let described = world.cluster.kubectl(&described).unwrap();
            described.contains("PriorityConfigMapInvalid")
        });
        let warning = [
            ("message", "PriorityConfigMapInvalid: "),
            ("message", "is no map of integers to lists"),
            (
                "message",
                "ConfigMap kube-system/cluster-autoscaler-priority-expander",
            ),
        ];
        assert!(daemon.logged(&warning));

        // The decisions of both can be replayed.
        world.workshop.succeed(&["replay", "records.jsonl"]);
    });
}

#[test]
fn labels_that_aws_gives_do_not_keep_groups_from_being_alike() {
    let world = world();
    let _daemon = world.daemon(&[&FLAGS[..], &["--balance-similar-node-groups"]].concat());
    world.scale("large", 4);
    wait_for("the orders", WAIT_TIMEOUT, || {
        sizes(&world).iter().sum::<u64>() == 4
    });
    assert_eq!(sizes(&world), [2, 2]);
}
