//! Every version of the contract has a guest, built from source on its directory
//! alone, and that guest loads and decides, in each kind that the host runs.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, OptionColumns};
use flyball_decision::policy::{Policy as _, kind};
use flyball_decision::replica::ReplicaInput;
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
        assert_eq!(policy.description().kinds, [kind::REPLICA, kind::EXPANDER]);

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
    }
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
