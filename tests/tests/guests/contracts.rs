//! Every version of the contract has a guest, built from source on its directory
//! alone, and that guest loads and decides, in each kind that the host runs.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, OptionColumns};
use flyball_decision::policy::{Policy as _, kind};
use flyball_decision::question::{
    Question as _, ScaleDownMovesQuestion, ScaleDownNodesQuestion, ScaleDownPodsQuestion,
};
use flyball_decision::replica::ReplicaInput;
use flyball_decision::scale_down::{
    GroupColumns, MoveColumns, NodeColumns, PodColumns, PodNodeColumns, ScaleDownMovesInput,
    ScaleDownNodesInput, ScaleDownPodsInput, move_verdict, pod_verdict,
};
use flyball_decision::time::Timestamp;
use flyball_sandbox::{CompiledPolicy, Contract, DEFAULT_BUDGET, Engine, EngineOptions};
use flyball_tests::guests;

#[test]
fn every_version_of_the_contract_has_a_guest_and_an_adapter() {
    let directories: BTreeSet<String> = fs::read_dir(guests::repository().join("wit"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    let guests: BTreeSet<String> = guests::components("contract")
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let adapters: BTreeSet<String> = Contract::ALL
        .iter()
        .map(|contract| contract.directory().to_owned())
        .collect();
    assert!(!directories.is_empty());
    assert_eq!(
        guests, directories,
        "guests on the left, directories of wit/ on the right"
    );
    assert_eq!(
        adapters, directories,
        "adapters on the left, directories of wit/ on the right"
    );
}

#[test]
fn what_was_built_on_the_contract_alone_loads_and_decides() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let components = guests::components("contract").unwrap();
    for contract in Contract::ALL {
        let component = &components[contract.directory()];
        let policy = CompiledPolicy::load(&engine, "one-more", component, DEFAULT_BUDGET).unwrap();
        assert_eq!(&*policy.version().contract, contract.version());
        assert_eq!(policy.description().kinds, kind::ALL);

        let context = Context {
            state: "seen".into(),
            ..Context::default()
        };
        let input = ReplicaInput {
            ready_replicas: 4,
            ..ReplicaInput::default()
        };
        let outcome = policy.decide(&context, &input);
        let decision = outcome.answer.unwrap();
        assert_eq!(decision.replicas, Some(5));
        assert_eq!(decision.reason.code, "OneMore");
        assert_eq!(decision.reason.arguments, [("ready".into(), "4".into())]);
        assert_eq!(decision.state.as_deref(), Some("4"));
        assert_eq!(outcome.log, [(3, "state was \"seen\"".into())]);

        let rank = |groups: &[&str]| policy.rank(&Context::default(), &options(groups)).answer;
        let ranking = rank(&["first", "second"]).unwrap();
        assert_eq!(ranking.best, [1]);
        assert_eq!(ranking.scores, [Some(0.0), Some(1.0)]);
        assert_eq!(ranking.reason.sentence, "second comes last");
        assert_eq!(rank(&[]).unwrap_err().code(), "PolicyRefused");
        judges(&policy);
    }
}

/// The three questions of the kind `scale-down`, with columns of every table.
fn judges(policy: &CompiledPolicy) {
    let context = Context {
        now: Timestamp(1_000),
        state: "1".into(),
        ..Context::default()
    };
    let groups = Arc::new(GroupColumns {
        name: vec!["small".into(), "spot".into()],
        ..GroupColumns::default()
    });
    let mut input = ScaleDownPodsInput {
        groups: Arc::clone(&groups),
        nodes: Arc::new(PodNodeColumns {
            group: vec![0, -1],
            price: vec![Some(0.5), None],
            ..PodNodeColumns::default()
        }),
        pods: Arc::new(PodColumns {
            node: vec![1, 0],
            namespace: vec![0; 2],
            texts: vec!["default".into()],
            ..PodColumns::default()
        }),
    };
    input.complete().unwrap();
    let outcome = ScaleDownPodsQuestion::ask(policy, &context, &mut input, &mut ());
    let pods = outcome.answer.unwrap();
    assert_eq!(pods.verdict, [pod_verdict::NO_OPINION, pod_verdict::EVICT]);
    assert_eq!((pods.reason, pods.cost), (vec![-1, 0], vec![0.0, 0.5]));
    assert_eq!(pods.until_ms, [2_000; 2]);
    assert_eq!(
        pods.reasons[0].sentence,
        "pod {pod:0} on {node:0} has a price"
    );

    let mut input = ScaleDownNodesInput {
        groups,
        nodes: Arc::new(NodeColumns {
            group: vec![0, 1, -1],
            created_ms: vec![5, 7, -1],
            ..NodeColumns::default()
        }),
    };
    input.complete().unwrap();
    let outcome = ScaleDownNodesQuestion::ask(policy, &context, &mut input, &mut ());
    let nodes = outcome.answer.unwrap();
    assert_eq!(nodes.verdict, [2, 1, 2]);
    assert_eq!(nodes.score, [-5.0, -7.0, 1.0]);
    assert_eq!(nodes.unneeded_ms, [60_000; 3]);

    let mut input = ScaleDownMovesInput {
        groups: input.groups,
        nodes: input.nodes,
        moves: Arc::new(MoveColumns {
            leaving_end: vec![1, 3],
            leaving_node: vec![0, 1, 2],
            cost: vec![3.0, 4.0],
            price_before: vec![Some(1.0), None],
            price_after: vec![Some(0.0), Some(0.0)],
            ..MoveColumns::default()
        }),
    };
    input.complete().unwrap();
    let outcome = ScaleDownMovesQuestion::ask(policy, &context, &mut input, &mut ());
    let moves = outcome.answer.unwrap();
    assert_eq!(moves.verdict, [move_verdict::TAKE, move_verdict::LEAVE]);
    assert_eq!(moves.score, [3.0, 4.0]);
    assert_eq!(moves.state.as_deref(), Some("11"));
    assert_eq!(moves.again_after_ms, Some(30_000));
}

/// One option for each of these groups.
fn options(groups: &[&str]) -> ExpanderInput {
    let columns = OptionColumns {
        node_group: groups.iter().map(|&group| group.into()).collect(),
        ..OptionColumns::default()
    };
    ExpanderInput {
        options: Arc::new(columns),
        cluster_node_count: None,
    }
}
