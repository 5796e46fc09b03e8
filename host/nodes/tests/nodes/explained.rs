//! `--explain-on-nodes`: events say why nodes stay.

use flyball_nodes::scale_down::ScaleDownMode;

use crate::expanders::first;
use crate::removals::{evicts, half, run};
use crate::world::World;
use crate::{MINUTE, pod};

/// The events that say why nodes stay, since the last time.
fn explanations(world: &World) -> Vec<String> {
    let events = world.events().into_iter();
    events
        .filter(|event| event.contains("NoScaleDown"))
        .collect()
}

#[test]
fn a_node_that_stays_says_so_once_for_each_reason_and_few_do_at_a_time() {
    let mut world = World::new(vec![first()], None, |options| {
        options.scale_down.mode = ScaleDownMode::On;
        options.scale_down.explain_on_nodes = true;
    });
    world.judge(vec![evicts(), half()]);
    world.group("a", 1000, (1, 13, 20));
    for node in 0..12 {
        let name = format!("a-{node}");
        world.running(&format!("web-{node}"), 1, &name, &pod(600));
    }
    let mut now = 0;
    run(&mut world, &mut now, MINUTE - 1);
    let first = explanations(&world);
    assert_eq!(first.len(), 10, "{first:#?}");
    assert_eq!(
        first[0],
        "a-0: NoScaleDown: the node stays: NotUnderutilized: node a-0 or another by half"
    );
    // The plan is the same as before, and the rest is explained all the same.
    run(&mut world, &mut now, 2 * MINUTE);
    let nodes = |events: Vec<String>| {
        let nodes = events.into_iter();
        nodes
            .map(|event| event.split(':').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // a-12 has no pod, and stays for its time only.
    assert_eq!(nodes(explanations(&world)), ["a-8", "a-9"]);
    let disable = |world: &mut World, value: &str| {
        world.change_node("a-3", |facts| {
            let key = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
            let annotations = [(key.into(), value.into())];
            facts.annotations = std::sync::Arc::new(annotations.into());
        });
    };
    disable(&mut world, "true");
    run(&mut world, &mut now, 4 * MINUTE);
    assert_eq!(
        explanations(&world),
        [
            "a-3: NoScaleDown: the node stays: ScaleDownDisabledAnnotation: it has the annotation \
             cluster-autoscaler.kubernetes.io/scale-down-disabled=true"
        ]
    );
    disable(&mut world, "false");
    run(&mut world, &mut now, 6 * MINUTE);
    assert_eq!(explanations(&world), Vec::<String>::new());
}
