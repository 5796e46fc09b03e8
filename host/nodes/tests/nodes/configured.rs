//! Expanders that the cluster configures.

use flyball_decision::context::Reason;
use flyball_decision::expander::ExpanderRanking;
use flyball_decision::replay::{Replay, replay};

use crate::expanders::ranker;
use crate::pod;
use crate::world::World;

#[test]
fn a_configuration_of_the_cluster_is_what_the_next_pass_goes_by() {
    // It chooses the group that it is configured with, if that is an option.
    let named = ranker("priority", |context, input| {
        let groups = &input.options.node_group;
        let row = groups
            .iter()
            .position(|name| **name == *context.configuration);
        let mut reason = Reason {
            code: "PriorityConfigMapInvalid".to_owned(),
            sentence: format!("{} is no group", context.configuration),
            arguments: Vec::new(),
        };
        if let Some(row) = row {
            reason.code = "HighestPriority".to_owned();
            reason.arguments = vec![("unmatched".to_owned(), (1 - row).to_string())];
        }
        Ok(ExpanderRanking {
            best: row
                .and_then(|row| u32::try_from(row).ok())
                .into_iter()
                .collect(),
            reason,
            ..ExpanderRanking::default()
        })
    });
    let mut world = World::new(vec![named], None, |_| {});
    world.group("a", 1000, (0, 0, 5));
    world.group("b", 1000, (0, 0, 5));
    world.configure("c");
    world.pods("web", 1, 0, &pod(900));
    world.tick(10_000);
    let warned = "priorities: PriorityConfigMapInvalid: c is no group; every option is kept";
    assert!(world.events().contains(&warned.to_owned()));
    let incidents = world.records().pop().unwrap().incidents.clone();
    assert_eq!(&*incidents[0].code, "PriorityConfigMapInvalid");
    assert_eq!(
        incidents[0].message,
        "ConfigMap kube-system/priorities: c is no group; every option is kept"
    );
    // Another pod makes another pass, which does not report the configuration again.
    world.pods("other", 1, 11_000, &pod(900));
    world.tick(20_000);
    assert_eq!(world.calls(), Vec::<String>::new());
    assert!(
        !world
            .events()
            .iter()
            .any(|event| event.contains("is no group"))
    );

    // Nothing has changed but the configuration.
    world.configure("b");
    world.tick(30_000);
    assert_eq!(world.calls(), ["increase b by 2"]);
    let unmatched = "priorities: PriorityConfigMapNotMatchedGroup: \
                     node group a matches no priority: it is for when none does";
    assert!(world.events().contains(&unmatched.to_owned()));
    let record = world.records().pop().unwrap();
    let same = replay(&*record, |part| world.expander(part.name));
    assert_eq!(same, Replay::Same);
}
