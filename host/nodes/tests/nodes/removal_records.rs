//! What records say about removals: they are replayed, new versions are tried on them, and
//! they tell where each node stands.

use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::policy::{PolicyFailure, interface};
use flyball_decision::question::RecordedQuestion;
use flyball_decision::recorded::RecordedInputs;
use flyball_decision::recorder::Recorder as _;
use flyball_decision::replay::{AskedPolicy, Replay, replay};
use flyball_decision::ring::Ring;
use flyball_decision::scale_down::{MoveVerdicts, NodeVerdicts, move_verdict, node_verdict};
use flyball_decision::time::Timestamp;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_nodes::standing::{Finding, NodeStandings};
use flyball_nodes::state::BudgetFacts;
use flyball_placement::LabelSelector;
use flyball_test_policies::{TestPolicy, scale_down};

use crate::MINUTE;
use crate::removals::{run, world};

/// A version of `half` that lets all nodes go.
fn lavish() -> TestPolicy {
    scale_down("half")
        .digest("lavish")
        .judging_nodes(|_, input| {
            Ok(NodeVerdicts {
                verdict: vec![node_verdict::MAY_GO; input.nodes.len()],
                ..NodeVerdicts::default()
            })
        })
}

/// The record of the first pass, read again from its JSON.
fn first_record() -> (crate::world::World, NodeDecisionRecord) {
    let mut world = world(|_| ());
    world.tick(0);
    let record = world.records().pop().unwrap();
    let text = serde_json::to_string(&*record).unwrap();
    let mut read: NodeDecisionRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(read, *record);
    read.scale_down
        .as_mut()
        .unwrap()
        .questions
        .complete()
        .unwrap();
    assert_eq!(read, *record);
    (world, read)
}

#[test]
fn both_questions_are_asked_again_to_the_byte_and_what_differs_is_named() {
    let (world, record) = first_record();
    let questions = &record.scale_down.as_ref().unwrap().questions;
    assert_eq!((questions.pods.len(), questions.nodes.len()), (1, 1));
    let resolve = |asked: AskedPolicy<'_>| world.judging(asked.name);
    assert_eq!(replay(&record, resolve), Replay::Same);

    let tried = |asked: AskedPolicy<'_>| match asked.interface {
        interface::SCALE_DOWN_NODES => Some(lavish().resolve()),
        _ => world.judging(asked.name),
    };
    let Replay::Differs { now, .. } = replay(&record, tried) else {
        panic!("another policy is not asked");
    };
    assert_eq!(now.verdict, record.verdict);
    let otherwise = now.judged_otherwise(&record);
    let about: Vec<_> = otherwise
        .iter()
        .filter_map(|one| one.about.as_deref())
        .collect();
    // All rows lose their reason.
    assert_eq!(about, ["a-0", "a-1", "a-2"]);
    let busy = &otherwise[0];
    assert_eq!(
        (&*busy.policy, busy.question),
        ("half", interface::SCALE_DOWN_NODES)
    );
    assert_eq!(
        busy.was,
        "must stay (NotUnderutilized: node {node:0} or another)"
    );
    assert_eq!(busy.now, "may go");

    // Without its policy, nothing can be said.
    let missing = |asked: AskedPolicy<'_>| {
        world
            .judging(asked.name)
            .filter(|_| asked.interface != interface::SCALE_DOWN_PODS)
    };
    let gone = replay(&record, missing);
    assert!(
        matches!(&gone, Replay::PolicyUnavailable { name, .. } if &**name == "evicts"),
        "{gone:?}"
    );

    // A failure differs as a whole.
    let broken = scale_down("half")
        .judging_nodes(|_, _| Err(PolicyFailure::Trapped("unreachable".to_owned())));
    let failing = |asked: AskedPolicy<'_>| match asked.interface {
        interface::SCALE_DOWN_NODES => Some(broken.resolve()),
        _ => world.judging(asked.name),
    };
    let Replay::Differs { now, .. } = replay(&record, failing) else {
        panic!("the failure is not compared");
    };
    let otherwise = now.judged_otherwise(&record);
    assert_eq!(otherwise.len(), 1);
    assert_eq!(otherwise[0].about, None);
    assert!(otherwise[0].now.contains("unreachable"), "{otherwise:?}");
}

#[test]
fn moves_are_asked_again_with_the_state_that_their_policy_had() {
    let mut world = crate::replacements::world(|_| ());
    let mut now = 0;
    run(&mut world, &mut now, 10 * MINUTE);
    let record = world.records().pop().unwrap();
    let text = serde_json::to_string(&*record).unwrap();
    let record: NodeDecisionRecord = serde_json::from_str(&text).unwrap();
    let questions = &record.scale_down.as_ref().unwrap().questions;
    assert_eq!(questions.moves.len(), 1);
    let resolve = |asked: AskedPolicy<'_>| world.judging(asked.name);
    assert_eq!(replay(&record, resolve), Replay::Same);

    let leaves = scale_down("saves")
        .digest("leaves")
        .judging_moves(|_, input| {
            Ok(MoveVerdicts {
                verdict: vec![move_verdict::LEAVE; input.moves.len()],
                ..MoveVerdicts::default()
            })
        });
    let tried = |asked: AskedPolicy<'_>| match asked.interface {
        interface::SCALE_DOWN_MOVES => Some(leaves.resolve()),
        _ => world.judging(asked.name),
    };
    let Replay::Differs { now, .. } = replay(&record, tried) else {
        panic!("another policy is not asked");
    };
    let otherwise = now.judged_otherwise(&record);
    let set = otherwise.iter().find(|one| {
        let about = one.about.as_deref();
        about == Some("large-0, large-1, large-2")
    });
    let set = set.unwrap();
    assert_eq!(set.question, interface::SCALE_DOWN_MOVES);
    assert!(set.was.starts_with("take (Saves: "), "{}", set.was);
    assert_eq!(set.now, "leave");
}

#[test]
fn what_kept_a_policy_from_judging_is_taken_as_given() {
    let mut world = world(|_| ());
    let missing = PolicyFailure::Missing("it is not there".to_owned());
    let failure = missing.clone();
    let failing = scale_down("half").judging_nodes(move |_, _| Err(failure.clone()));
    world.judge(vec![crate::removals::evicts(), failing]);
    world.tick(0);
    let record = world.records().pop().unwrap();
    let resolve = |asked: AskedPolicy<'_>| match &**asked.name {
        "half" => None,
        name => world.judging(name),
    };
    let again = replay(&*record, resolve);
    assert!(
        matches!(&again, Replay::TakenAsGiven { name, failure, differs: None }
            if &**name == "half" && *failure == missing),
        "{again:?}"
    );
}

#[test]
fn new_versions_are_tried_on_the_recorded_questions() {
    let (_, record) = first_record();
    let ring = Ring::new(1 << 20);
    ring.record(&Arc::new(record));
    let kinds = |policy: &str| -> Vec<&'static str> {
        let inputs = RecordedInputs::latest(&ring, policy);
        let questions = inputs.iter().map(|input| &input.question);
        questions.map(RecordedQuestion::interface).collect()
    };
    assert_eq!(kinds("evicts"), [interface::SCALE_DOWN_PODS]);
    assert_eq!(kinds("half"), [interface::SCALE_DOWN_NODES]);
    assert!(kinds("other").is_empty());
}

#[test]
fn records_tell_where_each_node_stands() {
    let mut world = world(|options| options.scale_down.max_drain_parallelism = 0);
    let mut now = 0;
    run(&mut world, &mut now, 0);
    let mut standings = NodeStandings::default();
    let add = |standings: &mut NodeStandings, world: &crate::world::World| {
        for record in world.records() {
            standings.add(&record);
        }
    };
    add(&mut standings, &world);
    let finding =
        |standings: &NodeStandings, node: &str| standings.get(node).unwrap().finding.clone();
    let Finding::Unneeded(unneeded) = finding(&standings, "a-1") else {
        panic!("{:?}", finding(&standings, "a-1"));
    };
    assert_eq!(unneeded.since, Timestamp(0));
    assert_eq!(unneeded.until, Some(Timestamp(10 * MINUTE)));
    assert_eq!(unneeded.pods[0].to.as_deref(), Some("a-0"));
    assert_eq!(
        unneeded.stay.unwrap().code.as_ref(),
        "NotUnneededLongEnough"
    );
    let Finding::Needed { since, stay } = finding(&standings, "a-0") else {
        panic!("{:?}", finding(&standings, "a-0"));
    };
    assert_eq!(since, Timestamp(0));
    assert_eq!(stay.policy.as_deref(), Some("half"));
    assert!(stay.again().contains("the node"), "{}", stay.again());

    // The reason of a-0 stays, however much time passes; a-2 leaves.
    run(&mut world, &mut now, 10 * MINUTE + 6_000);
    world.delete_node("a-2");
    run(&mut world, &mut now, 12 * MINUTE);
    add(&mut standings, &world);
    assert!(
        matches!(finding(&standings, "a-0"), Finding::Needed { since, .. } if since == Timestamp(0))
    );
    assert_eq!(finding(&standings, "a-2"), Finding::Gone);
    let steps = standings.get("a-2").unwrap().steps.iter();
    let steps: Vec<&str> = steps.map(|step| &*step.step).collect();
    assert_eq!(steps, ["Started", "Marked", "Terminating", "Gone"]);

    // A node that somebody else deletes is gone too.
    world.lose("a", "a-1");
    run(&mut world, &mut now, 13 * MINUTE);
    add(&mut standings, &world);
    assert_eq!(finding(&standings, "a-1"), Finding::Gone);
}

/// Adds budgets that select all pods and allow no disruption.
fn budgets(world: &mut crate::world::World, names: &[String]) {
    world.change_state(|state| {
        for name in names {
            state.apply_budget(BudgetFacts {
                uid: name.as_str().into(),
                key: ObjectKey {
                    namespace: "default".into(),
                    name: name.as_str().into(),
                },
                selector: Some(LabelSelector::default()),
                disruptions_allowed: 0,
                is_current: true,
                always_evict_unhealthy: false,
                min_healthy: 3,
                current_healthy: 3,
            });
        }
    });
}

#[test]
fn a_pod_that_keeps_its_node_is_named_with_owner_and_budget() {
    let mut world = world(|_| ());
    budgets(&mut world, &["all".to_owned()]);
    world.tick(0);
    let record = world.records().pop().unwrap();
    let needed = &record.scale_down.as_ref().unwrap().needed;
    let needed = needed.iter().find(|node| &*node.node == "a-1").unwrap();
    let stay = &needed.stay;
    assert_eq!(&**stay.cause(), "NotEnoughPdb");
    assert_eq!(stay.owner.as_deref(), Some("ReplicaSet cart"));
    assert_eq!(&*stay.budgets[0].name, "all");
    assert_eq!(
        stay.because(),
        "PodDisruptionBudget default/all allows no disruption: 3 pods are healthy, and 3 must be"
    );
    assert_eq!(stay.again(), "the budget, the pod or its owner changes");
}

#[test]
fn of_many_budgets_of_a_pod_that_keeps_its_node_a_few_are_named() {
    for (count, more) in [(8, ""), (10, " and 2 more")] {
        let mut world = world(|_| ());
        let names: Vec<String> = (0..count).map(|number| format!("all-{number}")).collect();
        budgets(&mut world, &names);
        world.tick(0);
        let record = world.records().pop().unwrap();
        let needed = &record.scale_down.as_ref().unwrap().needed;
        let needed = needed.iter().find(|node| &*node.node == "a-1").unwrap();
        let stay = &needed.stay;
        assert_eq!(&**stay.cause(), "SeveralBudgets");
        let named = stay.budgets.iter().map(|budget| &*budget.name);
        assert!(named.eq(names.iter().take(8).map(String::as_str)));
        let text = |name: &String| {
            format!(
                "PodDisruptionBudget default/{name} allows no disruption: 3 pods are healthy, \
                 and 3 must be"
            )
        };
        let texts: Vec<String> = names.iter().take(8).map(text).collect();
        assert_eq!(stay.because(), texts.join(" and ") + more);
    }
}
