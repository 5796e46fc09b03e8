//! Plans over generated clusters, held against what becomes of the pods once the ordered
//! nodes are there, and against a planner without foresight.

use flyball_core::nodes::options::NodeOptions;
use flyball_test_plans::production::{Sizes, production};
use flyball_test_plans::{
    Answer, Draft, FewestNodes, Field, Greedy, Outcome, World, carry_out, draft,
};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

/// The first of the clusters has this seed, each further one the next.
const SEED: u64 = 0xF1BA;

/// How many clusters, unless this variable of the environment says otherwise.
const CASES: u64 = 250;
const CASES_VARIABLE: &str = "FLYBALL_PLAN_CASES";

/// The seed of the first, if set.
const SEED_VARIABLE: &str = "FLYBALL_PLAN_SEED";

/// Runs of the greedy planner.
const RUNS: usize = 20;

/// So many failures are shown, each with the smallest cluster of its kind.
const SHOWN: usize = 3;

#[test]
fn what_a_plan_says_comes_true_on_about_as_few_nodes_as_pods_take_one_by_one() {
    let first = variable(SEED_VARIABLE).unwrap_or(SEED);
    let cases = variable(CASES_VARIABLE).unwrap_or(CASES);
    let mut wrong = Vec::new();
    for seed in (0..cases).map(|case| first.wrapping_add(case)) {
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: if wrong.len() < SHOWN { 2000 } else { 0 },
            rng_seed: RngSeed::Fixed(seed),
            ..Config::default()
        };
        let ran = TestRunner::new(config).run(&draft(), |draft: Draft| {
            let faults = faults(&draft.world("node"));
            if faults.is_empty() {
                return Ok(());
            }
            Err(TestCaseError::fail(faults.join("; ")))
        });
        match ran {
            Ok(()) => {}
            Err(TestError::Fail(why, draft)) => wrong.push(format!("seed {seed}: {why}\n{draft}")),
            Err(TestError::Abort(why)) => wrong.push(format!("seed {seed}: {why}")),
        }
    }
    let shown = wrong[..wrong.len().min(SHOWN)].join("\n");
    assert!(
        wrong.is_empty(),
        "{} of {cases} are wrong:\n{shown}",
        wrong.len()
    );
}

#[test]
fn one_pass_is_enough_for_all_pods_of_a_production_cluster() {
    for sizes in [Sizes::Different, Sizes::Alike] {
        let world = production(sizes);
        let (outcome, runs) = measured(&world);
        assert_eq!(outcome.left, 0, "{sizes:?}: {:?}", outcome.lacking);
        let faults = compared(&outcome, &runs);
        assert!(faults.is_empty(), "{sizes:?}: {faults:?}");
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap())
}

/// What is wrong with the plan for a cluster.
fn faults(world: &World) -> Vec<String> {
    let (outcome, runs) = measured(world);
    compared(&outcome, &runs)
}

/// What becomes of the pods by the plan, and by greedy ones.
fn measured(world: &World) -> (Outcome, Vec<Greedy>) {
    let options = NodeOptions {
        // Enough for every group by itself.
        max_options_per_pass: 32,
        ..NodeOptions::default()
    };
    let mut state = world.state();
    let plan = world.plan(&mut state, &options, &FewestNodes::default());
    let census = world.census(&state, &options);
    let outcome = carry_out(&mut state, &census, &options, &Answer::from(&plan));
    let runs = Field::new(&mut state, &census, &options).runs(RUNS, 0);
    (outcome, runs)
}

fn compared(outcome: &Outcome, runs: &[Greedy]) -> Vec<String> {
    let Outcome { nodes, left, .. } = *outcome;
    let mut faults = outcome.lacking.clone();
    if !outcome.empty.is_empty() {
        faults.push(format!("empty nodes of {}", outcome.empty.join(" ")));
    }
    let most_left = runs.iter().map(|run| run.left).max().unwrap();
    if left > most_left {
        faults.push(format!(
            "{left} pods are left over, greedily {most_left} at most"
        ));
    }
    let as_good = runs.iter().filter(|run| run.left <= left);
    if let Some(fewest) = as_good.map(|run| run.nodes).min() {
        let enough = (fewest + 1).max(fewest * 105 / 100);
        if nodes > enough {
            faults.push(format!("{nodes} nodes, greedily {fewest}"));
        }
    }
    faults
}
