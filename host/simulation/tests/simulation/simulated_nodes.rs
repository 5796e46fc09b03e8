//! Nodes in virtual time, with orders made by the test: the cloud's answers, the nodes'
//! times, and the effects on pods.

use flyball_nodes::cloud::{InstanceState, NodeGroup};
use flyball_nodes::ports::NodesReader as _;

use crate::support::stage::Stage;

/// Six pods of one core each, on nodes of two cores that boot for a minute.
const CLUSTER: &str = "
duration: 4h
workloads:
- name: web
  replicas: 6
  pod: {requests: {cpu: 1}, startup: {mean: 10s, readinessDelay: 5s}}
  load: {formula: 10}
nodeGroups:
- name: nodes
  min: 1
  max: 6
  initial: 2
  price: 0.5
  zones: [a, b]
  capacity: {cpu: 2, memory: 8Gi}
  boot: {mean: 60s, readinessDelay: 10s}
";

fn states(group: &NodeGroup) -> Vec<&InstanceState> {
    group
        .instances
        .iter()
        .map(|instance| &instance.state)
        .collect()
}

#[test]
fn pods_wait_until_ordered_nodes_have_booted() {
    let stage = Stage::new(CLUSTER);
    assert_eq!(stage.figures(0), (2, 4, 2));
    let waiting = stage
        .cluster
        .with_state(|state| state.unschedulable_count());
    assert_eq!(waiting, 2, "the loop that orders nodes sees what waits");
    assert_eq!(stage.zones(), ["a", "b"]);

    stage.increase(0, 1).unwrap();
    let group = stage.group(0);
    assert_eq!(group.target_size, 3);
    assert_eq!(*states(&group)[2], InstanceState::Creating);
    assert_eq!(*states(&stage.group(30))[2], InstanceState::Running);
    // Joined after 60s, and not Ready: pods still wait.
    assert_eq!(stage.figures(65), (2, 4, 2));
    // Ready after 70s, bound at once, Ready 15s later.
    assert_eq!(stage.figures(75), (3, 4, 0));
    assert_eq!(stage.figures(90), (3, 6, 0));

    let error = stage.increase(90, 9).unwrap_err();
    assert_eq!(error, "InvalidSize: node group nodes: 12 is more than 6");
    let error = stage.decrease(90, 1).unwrap_err();
    assert!(
        error.contains("would take away instances that are there"),
        "{error}"
    );

    // An instance is deleted: its pods wait again.
    let last = stage.group(90).instances[2].provider_id.clone();
    stage.delete(90, std::slice::from_ref(&last)).unwrap();
    let group = stage.group(90);
    assert_eq!(
        (group.target_size, states(&group)[2]),
        (2, &InstanceState::Deleting)
    );
    assert_eq!(stage.figures(130), (2, 4, 2));
    stage.delete(130, &[last]).unwrap();
    assert_eq!(stage.group(130).target_size, 2, "it is gone already");
    let error = stage.delete(130, &["sim:///others/a".into()]).unwrap_err();
    assert!(error.starts_with("NotFound: node group nodes: there is no instance sim:///"));
}

#[test]
fn a_cloud_out_of_capacity_says_so_in_each_of_its_ways() {
    let with = |failures: &str| Stage::new(&format!("{CLUSTER}  failures: {failures}\n"));
    let window = "windows: [{at: 0s, for: 10m}]";

    let stage = with(&format!("{{outOfCapacity: {{{window}}}}}"));
    stage.increase(0, 1).unwrap();
    let group = stage.group(30);
    let InstanceState::Failed(error) = states(&group)[2] else {
        panic!("{group:?}");
    };
    assert!(error.out_of_resources && error.code == "InsufficientInstanceCapacity");
    // An instance without capacity is cancelled, or is created when there is capacity
    // again.
    stage.decrease(30, 1).unwrap();
    assert_eq!(
        (stage.group(30).target_size, stage.group(30).instances.len()),
        (2, 2)
    );
    stage.increase(60, 1).unwrap();
    assert_eq!(stage.figures(700), (3, 6, 0));

    let stage = with(&format!("{{outOfCapacity: {{{window}, answer: error}}}}"));
    let error = stage.increase(0, 1).unwrap_err();
    assert_eq!(error, "OutOfResources: node group nodes: out of capacity");
    assert_eq!(stage.group(0).target_size, 2);

    let stage = with(&format!("{{outOfCapacity: {{{window}, answer: silence}}}}"));
    stage.increase(0, 1).unwrap();
    assert_eq!(*states(&stage.group(300))[2], InstanceState::Creating);

    let stage = with("{neverJoins: 1}");
    stage.increase(0, 1).unwrap();
    assert_eq!(*states(&stage.group(3600))[2], InstanceState::Running);
    assert_eq!(stage.figures(3600), (2, 4, 2));

    let stage = with("{joinsLate: {probability: 1, delay: 20m}}");
    stage.increase(0, 1).unwrap();
    assert_eq!(stage.figures(1200), (2, 4, 2));
    assert_eq!(stage.figures(1300), (3, 6, 0));
}

#[test]
fn what_a_zone_or_a_node_takes_with_it_comes_again_elsewhere() {
    let events = "events:
- zoneOutage: {at: 10m, zone: a, for: 1h}
- killNodes: {at: 30m, nodeGroup: nodes, count: 1}
";
    let stage = Stage::new(&format!("{CLUSTER}{events}"));
    stage.increase(0, 1).unwrap();
    assert_eq!(stage.figures(595), (3, 6, 0));
    assert_eq!(stage.zones(), ["a", "a", "b"]);
    // Two of the three nodes were in the zone; the group creates new ones in the other
    // zone.
    assert_eq!(stage.figures(605), (1, 2, 4));
    assert_eq!(stage.figures(700), (3, 6, 0));
    assert_eq!(stage.zones(), ["b", "b", "b"]);
    assert_eq!(stage.figures(1805), (2, 4, 2));
    assert_eq!(stage.figures(1900), (3, 6, 0));

    // Nodes last for ten minutes on average: the group keeps creating new ones.
    let stage = Stage::new(&format!(
        "{CLUSTER}  failures: {{meanTimeBetweenFailures: 10m}}\n"
    ));
    let deaths = (0..120).filter(|minute| stage.figures(minute * 60).0 < 2);
    assert!(deaths.count() > 10);
}

#[test]
fn pods_go_where_their_template_lets_them() {
    let spread = "{app: web}";
    let pod = format!(
        "topologySpreadConstraints: [{{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, \
         labelSelector: {{matchLabels: {spread}}}}}], tolerations: [{{key: special, operator: \
         Exists}}], nodeSelector: {{disk: ssd}}, "
    );
    let text = CLUSTER
        .replace("pod: {", &format!("pod: {{{pod}"))
        .replace("initial: 2", "initial: 3");
    let group = "  labels: {disk: ssd}\n  taints: [{key: special, effect: NoSchedule}]\n";
    let stage = Stage::new(&format!("{text}{group}"));
    // Two nodes in zone a and one in b: of the four places in a only three are
    // within the skew of one.
    assert_eq!(stage.figures(0), (3, 5, 1));

    // Nodes without the label, and pods that don't tolerate the taint.
    for without in ["  taints: [{key: special, effect: NoSchedule}]\n", ""] {
        assert_eq!(
            Stage::new(&format!("{text}{without}")).figures(0),
            (3, 0, 6)
        );
    }
    let stranger = CLUSTER.to_owned() + group;
    assert_eq!(Stage::new(&stranger).figures(0), (2, 0, 6));
}
