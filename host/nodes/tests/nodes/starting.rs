//! Nodes that have joined and don't take pods yet, and the templates of new ones.

use std::sync::Arc;

use flyball_decision::expander::option_state;
use flyball_nodes::cloud::{NodeTemplate, TemplateTaint};
use flyball_placement::{Node, Pod};

use crate::expanders::first;
use crate::world::World;
use crate::{MINUTE, defaults, pod};

const NONE: [&str; 0] = [];

/// A pod with requests for a device and for cpu.
fn with_device(cpu: i64, device: &str) -> Pod {
    let mut pod = pod(cpu);
    pod.requests.set(device, 1);
    pod
}

/// Changes the template of a group.
fn retemplate(world: &mut World, group: &str, change: impl FnOnce(&mut NodeTemplate)) {
    world.change(group, |group| {
        let template = group.template.take().unwrap();
        let mut template = NodeTemplate::clone(&template);
        change(&mut template);
        group.template = Some(Arc::new(template));
    });
}

#[test]
fn a_node_with_a_startup_taint_is_on_its_way_until_it_should_have_started() {
    let prefixed = "startup-taint.cluster-autoscaler.kubernetes.io/network";
    for taint in ["example.com/agent-not-ready", prefixed] {
        let mut world = World::new(vec![first()], None, |options| {
            options.startup_taints = vec!["example.com/agent-not-ready".into()];
        });
        world.group("a", 1000, (0, 0, 5));
        world.pods("web", 1, 0, &pod(600));
        world.tick(10_000);
        assert_eq!(world.calls(), ["increase a by 1"]);
        world.join("a", 0, MINUTE);
        world.taint("a-0", taint);
        world.tick(MINUTE);
        world.tick(15 * MINUTE);
        assert_eq!(world.calls(), NONE, "{taint}");
        // A pod that fits beside it, once the taint is gone.
        world.pods("small", 1, 15 * MINUTE, &pod(300));
        world.tick(15 * MINUTE + 10_000);
        assert_eq!(world.calls(), NONE, "{taint}");
        // Its start has timed out: its group backs off, and it counts as unready.
        world.tick(17 * MINUTE);
        let expected =
            "autoscaler: ScaleUpTimedOut: Nodes added to group a failed to register within 15m0s";
        assert!(world.events().contains(&expected.to_owned()), "{taint}");
        let incidents = &world.records().pop().unwrap().incidents.clone();
        assert!(incidents[0].message.ends_with("not ready: a-0"));
        world.tick(21 * MINUTE);
        assert_eq!(world.calls(), NONE, "{taint}");
        world.tick(23 * MINUTE);
        assert_eq!(world.calls(), ["increase a by 1"], "{taint}");
        assert_eq!(
            world
                .events()
                .iter()
                .filter(|event| *event == expected)
                .count(),
            0
        );
    }
}

#[test]
fn a_group_whose_provider_names_taints_of_starting_nodes_grows_from_zero() {
    let taints = [
        ("example.com/agent-not-ready", true),
        (
            "startup-taint.cluster-autoscaler.kubernetes.io/network",
            true,
        ),
        ("node.cloudprovider.kubernetes.io/uninitialized", true),
        ("example.com/dedicated", false),
    ];
    for (taint, passes) in taints {
        let mut world = World::new(vec![first()], None, |options| {
            options.startup_taints = vec!["example.com/agent-not-ready".into()];
        });
        world.group("a", 1000, (0, 0, 5));
        retemplate(&mut world, "a", |template| {
            template.taints.push(TemplateTaint {
                key: taint.into(),
                value: "true".into(),
                effect: "NoSchedule".into(),
            });
        });
        world.pods("web", 1, 0, &pod(600));
        world.tick(10_000);
        assert_eq!(world.calls().len(), usize::from(passes), "{taint}");
    }
}

#[test]
fn a_node_without_the_gpus_that_its_label_promises_is_on_its_way() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    retemplate(&mut world, "a", |template| {
        template.labels.insert("accelerator".into(), "v100".into());
        for amounts in [&mut template.capacity, &mut template.allocatable] {
            amounts.insert("habana.ai/gaudi".into(), 1000);
        }
    });
    world.pods("train", 1, 0, &with_device(600, "habana.ai/gaudi"));
    // Nodes with GPUs are expensive: the loop waits half a minute for further pods.
    world.tick(29_000);
    assert_eq!(world.calls(), NONE);
    world.tick(30_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    // The driver is still being installed.
    world.join("a", 0, MINUTE);
    world.tick(2 * MINUTE);
    assert_eq!(world.calls(), NONE);
    world.change_node("a-0", |facts| {
        let node = Arc::make_mut(&mut facts.node);
        node.allocatable.set("habana.ai/gaudi", 1);
    });
    world.tick(3 * MINUTE);
    assert_eq!(world.calls(), NONE);
}

#[test]
fn a_group_has_gpus_by_its_label_or_by_any_vendor() {
    let mut world = World::new(vec![first()], None, defaults);
    for group in ["label", "none", "vendor"] {
        world.group(group, 1000, (0, 0, 5));
    }
    retemplate(&mut world, "label", |template| {
        template.labels.insert("accelerator".into(), "v100".into());
    });
    retemplate(&mut world, "vendor", |template| {
        template.allocatable.insert("gpu.intel.com/xe".into(), 1000);
    });
    world.pods("web", 1, 0, &pod(600));
    world.tick(10_000);
    let record = world.records().pop().unwrap();
    let options = &record.rounds[0].input.options;
    let has_gpus = options
        .state
        .iter()
        .map(|bits| bits & option_state::HAS_GPU > 0);
    assert_eq!(has_gpus.collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn a_node_that_has_joined_counts_once_and_keeps_its_pods() {
    let mut world = World::new(vec![first()], None, |options| options.max_nodes_total = 4);
    world.group("a", 1000, (0, 3, 10));
    for node in ["a-0", "a-1", "a-2"] {
        world.pods_as(&format!("on-{node}"), 1, 0, &pod(600), |facts| {
            facts.node = Some(node.into());
            facts.unschedulable = false;
        });
    }
    // One of three nodes is being restarted: its pod still counts.
    world.break_node("a-2");
    world.pods("web", 1, 60_000, &pod(600));
    world.tick(70_000);
    assert_eq!(world.calls(), ["increase a by 1"], "a fourth one may be");
    // Another pod would need a fifth node.
    world.pods("more", 1, 70_000, &pod(600));
    world.tick(80_000);
    assert_eq!(world.calls(), NONE);
    let reached = "autoscaler: MaxNodesTotalReached: Max total nodes in cluster reached: 4";
    assert!(world.events().contains(&reached.to_owned()));
    // A small pod fits.
    world.delete_pods(&["more-0"]);
    world.pods("small", 1, 80_000, &pod(350));
    world.tick(90_000);
    assert_eq!(world.records().pop().unwrap().pending.fit, 2);
}

#[test]
fn a_group_without_a_ready_node_is_known_by_what_its_nodes_were_like() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 1, 5));
    world.daemon_set("agent", &pod(100));
    // Only the group's nodes show what new ones are like.
    world.change("a", |group| group.template = None);
    world.pods_as("proxy", 1, 0, &pod(300), |facts| {
        facts.node = Some("a-0".into());
        facts.mirror = true;
        facts.unschedulable = false;
    });
    world.tick(0);
    world.lose("a", "a-0");
    world.delete_pods(&["proxy-0"]);
    // Beside the static pod and the DaemonSet's pod there is room for one pod, not two.
    world.pods("web", 2, 20 * MINUTE, &pod(500));
    world.tick(21 * MINUTE);
    assert_eq!(world.calls(), ["increase a by 2"]);
    world.tick(22 * MINUTE);
    assert_eq!(world.calls(), NONE, "they are on their way");

    // A loop that sees the group for the first time uses the node that exists.
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 1, 5));
    world.change("a", |group| group.template = None);
    world.change_node("a-0", |facts| {
        facts.node = Arc::new(Node {
            unschedulable: true,
            ..Node::clone(&facts.node)
        });
    });
    world.taint("a-0", "node.kubernetes.io/unschedulable");
    world.pods("web", 1, 0, &pod(500));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);

    // Nodes without a known template can't help, and the record says so.
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.change("a", |group| {
        group.template = None;
        group.target_size = 1;
    });
    world.pods("web", 1, 0, &pod(500));
    world.tick(10_000);
    let record = world.records().pop().unwrap();
    let message = &record.skipped[0].message;
    assert!(
        message.ends_with("; 1 that are on their way help no pod yet"),
        "{message}"
    );
    assert_eq!(record.upcoming[0].nodes, 1);
}

#[test]
fn daemon_sets_take_room_on_new_nodes() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.daemon_set("agent", &pod(300));
    let elsewhere = Pod {
        node_selector: [("pool", "b")].into_iter().collect(),
        ..pod(500)
    };
    world.daemon_set("not-here", &elsewhere);
    world.pods("large", 1, 0, &pod(800));
    world.pods("web", 2, 0, &pod(350));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    let cpu = "large-0: NotTriggerScaleUp: pod didn't trigger scale-up: 1 Insufficient cpu";
    assert!(world.events().contains(&cpu.to_owned()));
}
