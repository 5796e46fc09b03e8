//! Hostile scale-down policies, driven through the real sandbox and the real questions: no
//! lie is an answer, who is to blame is said, and a built-in policy stands in.

use std::collections::BTreeSet;
use std::sync::Arc;

use flyball_decision::ask::{Asker, Named, Panel};
use flyball_decision::context::GrantedInput;
use flyball_decision::memory::PolicyMemories;
use flyball_decision::part::Part;
use flyball_decision::policy::PolicyFailure;
use flyball_decision::question::{
    Question, ScaleDownMovesQuestion, ScaleDownNodesQuestion, ScaleDownPodsQuestion,
};
use flyball_decision::scale_down::{
    MoveColumns, NodeColumns, PodColumns, PodNodeColumns, ScaleDownMovesInput, ScaleDownNodesInput,
    ScaleDownPodsInput,
};
use flyball_decision::time::Timestamp;
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, EngineOptions};
use flyball_test_policies::TestEngine;
use flyball_tests::guests;

const ROWS: usize = 8;

/// What the host finds wrong, about pods, nodes and moves; empty: nothing.
const ENDS: [(&str, [&str; 3]); 9] = [
    ("cost_negative", ["the cost of pod 0 is -1", "", ""]),
    ("endless", ["used up its fuel"; 3]),
    (
        "reason_not_there",
        [
            "pod 0 has reason 1, but there are 1 reasons",
            "node 0 has reason 1, but there are 1 reasons",
            "move 0 has reason 1, but there are 1 reasons",
        ],
    ),
    (
        "reasons_too_many",
        ["there are 10000 reasons, at most 256 are allowed"; 3],
    ),
    (
        "score_nan",
        [
            "the cost of pod 0 is NaN",
            "the score of node 0 is not a number",
            "the score of move 0 is not a number",
        ],
    ),
    ("sentence_endless", ["100000 bytes"; 3]),
    ("skips_all", [""; 3]),
    (
        "too_few",
        [
            "7 verdicts for 8 pods",
            "7 verdicts for 8 nodes",
            "7 verdicts for 8 moves",
        ],
    ),
    ("verdict_unknown", [""; 3]),
];

#[test]
fn no_lie_is_an_answer_and_the_built_in_policy_stands_in() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let components = guests::components("scale-down").unwrap();
    let there: BTreeSet<&str> = components.keys().map(String::as_str).collect();
    assert_eq!(there, ENDS.map(|(guest, _)| guest).into());
    let load = |name: &str, component: &[u8]| {
        Arc::new(CompiledPolicy::load(&engine, name, component, DEFAULT_BUDGET).unwrap())
    };
    let policies = TestEngine::default();
    for (name, component) in flyball_policies::BUILTIN {
        if matches!(*name, "drain-rules" | "utilization") {
            policies.scale_downs.insert(load(name, component));
        }
    }
    for (guest, ends) in ENDS {
        policies.scale_downs.insert(load(guest, &components[guest]));
        let pods = ask::<ScaleDownPodsQuestion>(&policies, guest, &mut pods());
        ended(guest, &pods, ends[0], "drain-rules");
        let nodes = ask::<ScaleDownNodesQuestion>(&policies, guest, &mut nodes());
        ended(guest, &nodes, ends[1], "utilization");
        let moves = ask::<ScaleDownMovesQuestion>(&policies, guest, &mut moves());
        // No built-in policy judges moves here.
        ended(guest, &moves, ends[2], guest);
    }
}

/// Checks how asking a guest ended, and who answered.
fn ended<Q: Question>(guest: &str, part: &Part<Q>, words: &str, instead: &str) {
    let failure: Option<&PolicyFailure> = part.failure();
    let by = &part.version.as_ref().unwrap().name;
    if words.is_empty() {
        assert_eq!(failure, None, "{guest}");
        assert_eq!(&**by, guest);
        return;
    }
    let said = failure.map_or_else(String::new, ToString::to_string);
    assert!(said.contains(words), "{guest}, {}: {said}", Q::INTERFACE);
    assert_eq!(&**by, instead, "{guest}, {}", Q::INTERFACE);
}

fn ask<Q: Question<Own = ()>>(engine: &TestEngine, guest: &str, input: &mut Q::Input) -> Part<Q> {
    let memories = PolicyMemories::default();
    let asker = Asker {
        now: Timestamp(1_800_000_000_000),
        seed: 1,
        engine,
        fallback: true,
        memories: &memories,
        grant: &|_| GrantedInput::default(),
    };
    let (name, configuration) = (guest.into(), "{}".into());
    let named = Named {
        name: &name,
        configuration: &configuration,
    };
    let mut panel = Panel::<Q>::new(asker, std::iter::once(named));
    assert!(panel.answers(0));
    panel.ask(0, input, |_| ()).unwrap()
}

fn pods() -> ScaleDownPodsInput {
    let nodes = PodNodeColumns {
        group: vec![-1],
        ..PodNodeColumns::default()
    };
    let pods = PodColumns {
        node: vec![0; ROWS],
        namespace: vec![0; ROWS],
        texts: vec!["default".into()],
        ..PodColumns::default()
    };
    let mut input = ScaleDownPodsInput {
        nodes: Arc::new(nodes),
        pods: Arc::new(pods),
        ..ScaleDownPodsInput::default()
    };
    input.complete().unwrap();
    input
}

fn nodes() -> ScaleDownNodesInput {
    let nodes = NodeColumns {
        group: vec![-1; ROWS],
        ..NodeColumns::default()
    };
    let mut input = ScaleDownNodesInput {
        nodes: Arc::new(nodes),
        ..ScaleDownNodesInput::default()
    };
    input.complete().unwrap();
    input
}

fn moves() -> ScaleDownMovesInput {
    let rows = u32::try_from(ROWS).unwrap();
    let moves = MoveColumns {
        leaving_end: (1..=rows).collect(),
        leaving_node: (0..rows).collect(),
        ..MoveColumns::default()
    };
    let mut input = ScaleDownMovesInput {
        nodes: nodes().nodes,
        moves: Arc::new(moves),
        ..ScaleDownMovesInput::default()
    };
    input.complete().unwrap();
    input
}
