//! Hostile expanders, driven through the real sandbox and the real chain: no node
//! group grows because one lies or takes for ever, who is to blame is said, and a
//! policy is asked for no kind that it is not of.

use std::collections::BTreeSet;
use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::context::GrantedInput;
use flyball_decision::expander::{ExpanderInput, OptionColumns, option_state};
use flyball_decision::memory::PolicyMemories;
use flyball_decision::policy::{DEFAULT_EXPANDER, PolicyEngine as _, interface, kind};
use flyball_decision::replica::ReplicaInput;
use flyball_decision::time::Timestamp;
use flyball_nodes::choose::{Chooser, choose};
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_nodes::record::Choice;
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, EngineOptions, Registry};
use flyball_test_policies::TestEngine;
use flyball_tests::guests;

/// Guests, how many options they are asked about, and how that ends.
const ENDS: [(&str, usize, &str, &str); 8] = [
    (
        "option_not_there",
        3,
        "PolicyInvalidAnswer",
        "best has row 3, but there are 3 options",
    ),
    (
        "option_twice",
        3,
        "PolicyInvalidAnswer",
        "best has row 1 twice",
    ),
    (
        "scores_nan",
        3,
        "PolicyInvalidAnswer",
        "best has row 0, whose score is no number",
    ),
    (
        "scores_too_few",
        3,
        "PolicyInvalidAnswer",
        "1 scores for 3 options",
    ),
    (
        "quadratic",
        10_000,
        "PolicyOutOfFuel",
        "it used up its fuel",
    ),
    (
        "endless",
        3,
        "PolicyOutOfFuel",
        "unless it loops without end",
    ),
    // The panic's own message, and the function in the author's words.
    (
        "panics",
        3,
        "PolicyTrapped",
        "the len is 3 but the index is 1000, in panics::nodes_of",
    ),
    ("both", 3, "First", "both: the first"),
];

#[test]
fn no_group_grows_by_a_lie_and_the_built_in_one_stands_in() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let components = guests::components("expanders").unwrap();
    let there: BTreeSet<&str> = components.keys().map(String::as_str).collect();
    assert_eq!(there, ENDS.map(|(guest, ..)| guest).into());
    let load = |name: &str, component: &[u8]| {
        Arc::new(CompiledPolicy::load(&engine, name, component, DEFAULT_BUDGET).unwrap())
    };
    let (_, builtin) = flyball_policies::BUILTIN
        .iter()
        .find(|(name, _)| *name == DEFAULT_EXPANDER)
        .unwrap();
    let builtin = load(DEFAULT_EXPANDER, builtin);
    for (guest, count, code, words) in ENDS {
        // Neither gets a trial as in a registry.
        let without = TestEngine::default();
        without.expanders.insert(Arc::clone(&builtin) as _);
        without.expanders.insert(load(guest, &components[guest]));
        let fails = code.starts_with("Policy");
        let choice = decide(&without, guest, count, false);
        assert_eq!(choice.reason, code, "{guest}: {choice:?}");
        assert!(choice.message.contains(words), "{guest}: {choice:?}");
        assert_eq!(choice.row.is_none(), fails, "{guest}: {choice:?}");
        if fails {
            let instead = decide(&without, guest, count, true);
            assert_eq!(instead.row, Some(1), "{guest}: {instead:?}");
        }
    }
}

fn decide(engine: &TestEngine, guest: &str, count: usize, fallback: bool) -> Choice {
    let options = NodeOptions {
        expanders: vec![ExpanderChoice::named(guest)],
        fallback,
        ..NodeOptions::default()
    };
    let chooser = Chooser {
        now: Timestamp(1_800_000_000_000),
        options: &options,
        engine,
        memories: &PolicyMemories::default(),
        grant: &|_| GrantedInput::default(),
    };
    choose(&chooser, &mut input(count), 1).choice
}

/// So many options for one pod of a core, each with a node of more cores than the one
/// before; only the second one's node is as small as the pod.
fn input(count: usize) -> ExpanderInput {
    let rows = 0..i64::try_from(count).unwrap();
    let cores = |row: i64| if row == 1 { 1_000 } else { 2_000 + row };
    let cpu: Vec<i64> = rows.clone().map(cores).collect();
    let columns = OptionColumns {
        node_group: rows.map(|row| format!("group-{row}").into()).collect(),
        state: vec![option_state::EXISTS | option_state::HAS_TEMPLATE; count],
        node_count: vec![1; count],
        pod_count: vec![1; count],
        requested_cpu: vec![1_000; count],
        requested_memory: vec![1 << 30; count],
        requested_gpu: vec![0; count],
        capacity_cpu: cpu.clone(),
        capacity_memory: vec![4 << 30; count],
        capacity_gpu: vec![0; count],
        allocatable_cpu: cpu,
        allocatable_memory: vec![4 << 30; count],
        allocatable_gpu: vec![0; count],
        node_price: vec![None; count],
        pod_price: vec![None; count],
        current_size: vec![0; count],
        min_size: vec![0; count],
        max_size: vec![10; count],
        ..OptionColumns::default()
    };
    ExpanderInput {
        options: Arc::new(columns),
        cluster_node_count: Some(3),
    }
}

/// A match takes no more than the pattern's length times the name's, however it is
/// nested. What that comes to for a long pattern and long names, fuel bounds.
#[test]
fn regular_expressions_of_priority_that_explode_elsewhere_take_their_fuel_and_no_more() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let registry = Registry::fixed(&engine, flyball_policies::BUILTIN, &[]).unwrap();
    let policy = registry.policy(kind::EXPANDER, "priority").unwrap();
    let ask = |pattern: &str, length: usize| {
        let mut input = input(3);
        let name: Arc<str> = "x".repeat(length).into();
        Arc::make_mut(&mut input.options).node_group = vec![name; 3];
        let lists = serde_json::json!({ "priorities": { "10": [pattern] } });
        let context = Context {
            configuration: lists.to_string().into(),
            ..Context::default()
        };
        policy.rank(&context, &input).answer
    };
    // Tried one after the other, the ways to match would take for ever.
    for pattern in ["(x+x+)+y", "(x|xx)*y", "(x?){15}x{15}y", "^(.*)*y$"] {
        let ranking = ask(pattern, 30).unwrap();
        assert_eq!(ranking.best, [0, 1, 2], "{pattern}");
        assert_eq!(ranking.reason.code, "PriorityConfigMapNoGroupMatched");
    }
    let failure = ask("(x{1,1000})+y", 255).unwrap_err();
    assert_eq!(failure.code(), "PolicyOutOfFuel", "{failure}");
}

#[test]
fn a_policy_is_asked_for_the_kinds_that_it_has() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let registry = Registry::fixed(&engine, flyball_policies::BUILTIN, &[]).unwrap();
    registry
        .install("both", &guests::components("expanders").unwrap()["both"])
        .unwrap();

    let failure = registry.policy(kind::EXPANDER, "hpa").err().unwrap();
    assert_eq!(
        failure.to_string(),
        "PolicyMissing: policy `hpa` is no policy of kind expander: it has replica"
    );
    let failure = registry.policy(kind::REPLICA, "least-waste").err().unwrap();
    assert_eq!(
        failure.to_string(),
        "PolicyMissing: policy `least-waste` is no policy of kind replica: it has expander"
    );
    let stands_in = registry.fallback(interface::EXPANDER, "hpa").unwrap();
    assert_eq!(&*stands_in.version().name, DEFAULT_EXPANDER);
    assert_eq!(
        &*registry
            .fallback(interface::REPLICA, "price")
            .unwrap()
            .version()
            .name,
        "hpa"
    );

    let context = Context::default();
    let decided = registry.policy(kind::REPLICA, "both").unwrap();
    let decided = decided.decide(&context, &ReplicaInput::default());
    let decided = decided.answer.unwrap();
    assert_eq!(decided.replicas, Some(3));
    // It says nothing of why; its SDK says that.
    assert_eq!(decided.reason.code, "Unexplained");
    let ranked = registry.policy(kind::EXPANDER, "both").unwrap();
    assert_eq!(ranked.rank(&context, &input(2)).answer.unwrap().best, [0]);
    assert_eq!(ranked.description().kinds, ["replica", "expander"]);
}
