//! Trials of new versions on inputs of earlier decisions, before their activation.

use std::fs;
use std::sync::{Arc, Mutex};

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, OptionColumns};
use flyball_decision::policy::NODE_GROUPS;
use flyball_decision::policy::PolicyUser;
use flyball_decision::question::RecordedQuestion;
use flyball_decision::recorded::{RecordedInput, RecordedInputs};
use flyball_decision::replica::{MetricInput, ReplicaInput, Target};
use flyball_decision::scale_down::{NO_ROW, NodeColumns, ScaleDownNodesInput};
use flyball_sandbox::{PolicyState, Registry, RegistryOptions, digest};
use flyball_tests::guests;

use super::rollbacks::used_in;
use super::{Home, ask, published, status, wait_for_answer, wait_for_failure, wait_until};

/// The records of a daemon.
#[derive(Debug, Default)]
pub struct Recorded(pub Mutex<Vec<RecordedInput>>);

impl RecordedInputs for Recorded {
    fn latest(&self, policy: &str) -> Vec<RecordedInput> {
        assert_eq!(policy, "web");
        self.0.lock().unwrap().clone()
    }
}

/// Returns an input about a Deployment with this number of replicas, whose external
/// metric is known.
fn about(namespace: &str, name: &str, current_replicas: i32) -> RecordedInput {
    let target = Target {
        kind: "Deployment".into(),
        namespace: namespace.into(),
        name: name.into(),
        ..Target::default()
    };
    let metric = MetricInput {
        source: "External".into(),
        name: "queue".into(),
        value: vec![7000],
        ..MetricInput::default()
    };
    RecordedInput {
        object: target.to_string(),
        namespace: namespace.into(),
        asked: None,
        context: Context::default(),
        question: RecordedQuestion::Replica(ReplicaInput {
            target: Arc::new(target),
            current_replicas,
            metrics: vec![Arc::new(metric)],
            ..ReplicaInput::default()
        }),
    }
}

/// Returns an input about two node groups.
fn about_nodes() -> RecordedInput {
    let options = OptionColumns {
        node_group: vec!["a".into(), "b".into()],
        state: vec![3; 2],
        node_count: vec![1; 2],
        pod_count: vec![1; 2],
        requested_cpu: vec![1000; 2],
        requested_memory: vec![1 << 30; 2],
        requested_gpu: vec![0; 2],
        capacity_cpu: vec![2000; 2],
        capacity_memory: vec![4 << 30; 2],
        capacity_gpu: vec![0; 2],
        allocatable_cpu: vec![2000; 2],
        allocatable_memory: vec![4 << 30; 2],
        allocatable_gpu: vec![0; 2],
        node_price: vec![None; 2],
        pod_price: vec![None; 2],
        current_size: vec![0; 2],
        min_size: vec![0; 2],
        max_size: vec![9; 2],
        ..OptionColumns::default()
    };
    RecordedInput {
        object: NODE_GROUPS.to_owned(),
        namespace: "".into(),
        question: RecordedQuestion::Expander(ExpanderInput {
            options: Arc::new(options),
            cluster_node_count: None,
        }),
        ..about("", "", 0)
    }
}

/// Creates a registry on recorded inputs, in which the plain `two` decides as `web`.
fn start(home: &Home, inputs: Vec<RecordedInput>) -> Registry {
    home.put("web.wasm", &home.plain["two"]);
    home.start_with(|options| recording(options, inputs))
}

fn recording(options: &mut RegistryOptions, inputs: Vec<RecordedInput>) {
    options.recorded = Some(Arc::new(Recorded(Mutex::new(inputs))));
}

#[test]
fn a_version_that_fails_on_inputs_of_every_namespace_is_refused_until_its_file_changes() {
    let home = Home::new();
    let inputs = || {
        vec![
            about("team-a", "web", 3),
            about("team-b", "web", 3),
            about("team-b", "api", 3),
        ]
    };
    let registry = start(&home, inputs());
    used_in(&registry, &["team-a", "team-b"]);
    home.put("web.wasm", &home.hostile["trap_at_metric"]);
    let words = "fails on recorded inputs of every namespace that it was tried on \
                 (team-a, team-b; 3 of 3 inputs), such as for Deployment team-a/web: PolicyTrapped";
    wait_for_failure(&registry, "web", words);
    assert_eq!(ask(&registry, "web"), Ok(2));

    // After a restart there is no record, but the same content is still refused.
    drop(registry);
    let registry = home.start();
    wait_for_failure(&registry, "web", words);
    assert_eq!(ask(&registry, "web"), Ok(2));
    home.put("web.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "web", 3);
    home.put("web.wasm", &home.hostile["trap_at_metric"]);
    wait_for_answer(&registry, "web", 3);
}

#[test]
fn a_version_that_fails_in_one_namespace_takes_over_and_says_for_whom_it_fails() {
    let home = Home::new();
    let inputs = vec![about("team-a", "web", 3), about("team-b", "web", 3)];
    let registry = start(&home, inputs);
    let events = registry.subscribe();
    home.put("web.wasm", &home.hostile["trap_in_team_a"]);
    wait_for_answer(&registry, "web", 3);
    let listed = status(&registry, "web").unwrap();
    let trial = listed.trial.unwrap();
    assert_eq!((trial.inputs, trial.differing, trial.failed), (2, 1, 1));
    assert_eq!(trial.failing, ["Deployment team-a/web"]);
    let before = listed.previous.unwrap();
    assert_eq!(*before.digest, *digest(&home.plain["two"]));
    let published = published(&events, 1).into_iter();
    let published: Vec<_> = published.map(|event| event.to_string()).collect();
    let words = "answers differ on 1 of 2 recorded inputs, it fails on 1 (Deployment team-a/web)";
    assert!(
        published.iter().any(|line| line.contains(words)),
        "{published:?}"
    );
}

#[test]
fn no_single_object_keeps_a_version_from_the_others() {
    let home = Home::new();
    let inputs = vec![about("team-a", "odd", 13), about("team-a", "web", 3)];
    let registry = start(&home, inputs);
    home.put("web.wasm", &home.hostile["trap_at_thirteen"]);
    wait_for_answer(&registry, "web", 3);
    let trial = status(&registry, "web").unwrap().trial.unwrap();
    assert_eq!(trial.failing, ["Deployment team-a/odd"]);
}

/// A single object with a record does not stand for others that name the policy.
#[test]
fn one_object_out_of_several_keeps_no_version_from_the_others() {
    let home = Home::new();
    let registry = start(&home, vec![about("team-a", "web", 3)]);
    let users = ["web", "idle"].map(|name| PolicyUser {
        object: format!("Deployment team-a/{name}"),
        namespace: "team-a".into(),
        is_asked: true,
    });
    registry.set_policy_users([("web".to_owned(), users[..1].to_vec())].into());
    home.put("web.wasm", &home.hostile["trap_in_team_a"]);
    wait_for_failure(&registry, "web", "1 of 1 inputs");
    registry.set_policy_users([("web".to_owned(), users.to_vec())].into());
    let other = [&home.hostile["trap_in_team_a"][..], &[0, 2, 1, b'x']].concat();
    home.put("web.wasm", &other);
    wait_for_answer(&registry, "web", 3);
    let trial = status(&registry, "web").unwrap().trial.unwrap();
    assert_eq!(trial.failing, ["Deployment team-a/web"]);
}

/// As if the records of one tenant had taken the place of all others.
#[test]
fn a_version_that_fails_in_the_only_namespace_with_records_is_kept_from_no_other() {
    let home = Home::new();
    let inputs = (0..12).map(|number| about("team-a", &format!("web-{number}"), 3));
    let registry = start(&home, inputs.collect());
    used_in(&registry, &["team-a", "team-b", "team-c"]);
    let events = registry.subscribe();
    home.put("web.wasm", &home.hostile["trap_in_team_a"]);
    wait_for_answer(&registry, "web", 3);
    let listed = status(&registry, "web").unwrap();
    let trial = listed.trial.unwrap();
    assert_eq!((trial.inputs, trial.failed), (12, 12));
    assert_eq!(trial.untried, ["team-b", "team-c"]);
    let before = listed.previous.unwrap();
    assert_eq!(*before.digest, *digest(&home.plain["two"]));
    let published = published(&events, 1).into_iter();
    let published: Vec<_> = published.map(|event| event.to_string()).collect();
    let words = " and was not tried in team-b, team-c";
    assert!(
        published.iter().any(|line| line.contains(words)),
        "{published:?}"
    );

    // Nothing is stored that would refuse it after a restart.
    registry.rescan();
    drop(registry);
    wait_for_answer(&home.start(), "web", 3);
}

#[test]
fn an_operator_lets_a_version_take_over_that_fails_on_all_recorded_inputs() {
    let home = Home::new();
    let inputs = || vec![about("team-a", "web", 3), about("team-b", "web", 3)];
    let registry = start(&home, inputs());
    home.put("web.wasm", &home.hostile["trap_at_metric"]);
    wait_for_failure(&registry, "web", "2 of 2 inputs");
    registry.rescan();
    drop(registry);

    // The refusal that was stored before does not count either.
    let registry = home.start_with(|options| {
        recording(options, inputs());
        options.accept_any_configuration.insert("web".to_owned());
    });
    wait_for_answer(&registry, "web", 3);
    let listed = status(&registry, "web").unwrap();
    assert_eq!(listed.trial.unwrap().failed, 2);
    let before = listed.previous.unwrap();
    assert_eq!(*before.digest, *digest(&home.plain["two"]));

    // It is the last good version now, also for a daemon without that option.
    registry.rescan();
    drop(registry);
    wait_for_answer(&home.start(), "web", 3);
}

#[test]
fn what_the_version_before_fails_on_as_well_proves_nothing() {
    let home = Home::new();
    home.put("web.wasm", &home.hostile["trap_at_thirteen"]);
    let inputs = vec![about("team-a", "odd", 13)];
    let registry = home.start_with(|options| recording(options, inputs));
    home.put("web.wasm", &home.hostile["trap_at_metric"]);
    wait_until("the swap", || {
        status(&registry, "web").unwrap().generation == 2
    });
    assert_eq!(status(&registry, "web").unwrap().trial, None);
}

#[test]
fn other_answers_are_counted_and_keep_nothing_out() {
    let home = Home::new();
    let inputs = (0..12).map(|number| about("team-a", &format!("web-{number}"), 3));
    let registry = start(&home, inputs.collect());
    home.put("web.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "web", 3);
    let trial = status(&registry, "web").unwrap().trial.unwrap();
    assert_eq!(
        trial.to_string(),
        "answers differ on 12 of 12 recorded inputs"
    );
    home.put("web.wasm", &home.hostile["trap_in_team_a"]);
    wait_for_failure(&registry, "web", "12 of 12 inputs");
}

#[test]
fn an_expander_is_tried_on_recorded_options() {
    let home = Home::new();
    let expanders = guests::components("expanders").unwrap();
    home.put("web.wasm", &expanders["both"]);
    let registry = home.start_with(|options| recording(options, vec![about_nodes()]));
    // A policy of the other kind has no answer to the question.
    home.put("web.wasm", &home.plain["two"]);
    wait_for_failure(&registry, "web", "(node groups; 1 of 1 inputs)");
    assert!(matches!(
        status(&registry, "web").unwrap().state,
        PolicyState::Failed { .. }
    ));
    let least = &flyball_policies::BUILTIN
        .iter()
        .find(|(name, _)| *name == "least-nodes");
    home.put("web.wasm", least.unwrap().1);
    wait_until("the swap", || {
        status(&registry, "web").unwrap().state == PolicyState::Active
    });
    let trial = status(&registry, "web").unwrap().trial.unwrap();
    assert_eq!((trial.inputs, trial.failed), (1, 0));
}

/// Returns an input about a node of no group that nothing is known of.
fn about_a_node() -> RecordedInput {
    let nodes = NodeColumns {
        group: vec![NO_ROW],
        ..NodeColumns::default()
    };
    let mut input = ScaleDownNodesInput {
        nodes: Arc::new(nodes),
        ..ScaleDownNodesInput::default()
    };
    input.complete().unwrap();
    RecordedInput {
        // Of a policy that has one: an empty text is no JSON.
        context: Context {
            configuration: "{}".into(),
            ..Context::default()
        },
        question: RecordedQuestion::ScaleDownNodes(input),
        ..about_nodes()
    }
}

#[test]
fn a_scale_down_policy_is_tried_on_the_recorded_questions_that_it_answers() {
    let built_in = |name: &str| {
        let mut built_in = flyball_policies::BUILTIN.iter();
        built_in.find(|(known, _)| *known == name).unwrap().1
    };
    let home = Home::new();
    home.put("web.wasm", built_in("utilization"));
    let registry = home.start_with(|options| recording(options, vec![about_a_node()]));
    // It judges pods alone, and would no longer be asked about nodes.
    let judges_pods = built_in("drain-rules");
    home.put("web.wasm", judges_pods);
    wait_until("the swap", || {
        let version = status(&registry, "web").unwrap().version;
        version.is_some_and(|version| *version.digest == *digest(judges_pods))
    });
    let trial = status(&registry, "web").unwrap().trial.unwrap();
    assert_eq!((trial.inputs, trial.differing, trial.failed), (1, 1, 0));
}

#[test]
fn what_one_daemon_refuses_no_other_that_shares_its_directory_keeps() {
    let home = Home::new();
    let inputs = vec![about("team-a", "web", 3)];
    let leader = start(&home, inputs);
    // It is on standby, and records nothing.
    let other = home.start();
    home.put("web.wasm", &home.hostile["trap_at_metric"]);
    let good = digest(&home.plain["two"]);
    for registry in [&leader, &other] {
        wait_until("the good version", || {
            let listed = status(registry, "web").unwrap();
            let version = listed.version.unwrap();
            // Rolled back, if it had activated the file before.
            let is_pending = listed.state == PolicyState::Pending;
            listed.state != PolicyState::Active && !is_pending && *version.digest == *good
        });
    }
    drop((leader, other));
    let registry = home.start();
    assert_eq!(ask(&registry, "web"), Ok(2));
}

#[test]
fn what_another_daemon_took_up_is_tried_all_the_same() {
    let home = Home::new();
    let leader = start(&home, vec![about("team-a", "web", 3)]);
    // It shares the last good copies, and reads the file first.
    let first = home.root.path().join("first");
    fs::create_dir(&first).unwrap();
    let bad = &home.hostile["trap_at_metric"];
    fs::write(first.join("web.wasm"), bad).unwrap();
    let other = home.start_with(|options| options.directory = Some(first));
    wait_until("the other daemon to take it up", || {
        let version = status(&other, "web").and_then(|listed| listed.version);
        version.is_some_and(|version| *version.digest == *digest(bad))
    });
    home.put("web.wasm", bad);
    wait_for_failure(&leader, "web", "PolicyTrapped");
    assert_eq!(ask(&leader, "web"), Ok(2));
}
