//! Plans for generated clusters, compared with where the pods go once the ordered nodes
//! exist, and with a planner without foresight.

use flyball_decision::replay::{Replay, replay};
use flyball_nodes::guard::guarded;
use flyball_nodes::options::NodeOptions;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_nodes::scale_up::Plan;
use flyball_test_plans::production::{Sizes, production};
use flyball_test_plans::{Answer, Draft, Field, Greedy, Outcome, World, carry_out, fewest_nodes};

/// Seed of the first cluster; each further cluster has the next one.
const SEED: u64 = 0xF1BA;

/// Number of clusters, unless this environment variable says otherwise.
const CASES: u64 = 250;
const CASES_VARIABLE: &str = "FLYBALL_PLAN_CASES";

/// The seed of the first, if set.
const SEED_VARIABLE: &str = "FLYBALL_PLAN_SEED";

/// Runs of the greedy planner.
const RUNS: usize = 20;

/// Number of clusters shown of those whose plans differ.
const SHOWN: usize = 3;

/// Pods with affinity, anti-affinity and spread constraints, in any order, on nodes of
/// any size. For some orders in which the scheduler may take the pods, no plan with as
/// few nodes fits. So the test bounds the totals over all clusters.
#[test]
fn what_a_plan_says_comes_true_on_about_as_few_nodes_as_pods_take_one_by_one() {
    let first = variable(SEED_VARIABLE).unwrap_or(SEED);
    let cases = variable(CASES_VARIABLE).unwrap_or(CASES);
    let mut sums = Sums::default();
    let mut wrong = Vec::new();
    for seed in (0..cases).map(|case| first.wrapping_add(case)) {
        let draft = Draft::of_seed(seed);
        let (plan, outcome, runs) = measured(&draft.world("node"));
        let faults = compared(&outcome, &runs);
        sums.add(&outcome, &runs[1]);
        sums.rehearsed += u64::from(is_changed_by_rehearsal(&plan));
        if !faults.is_empty() {
            wrong.push(format!("seed {seed}: {}\n{draft}", faults.join("; ")));
        }
    }
    let shown = wrong[..wrong.len().min(SHOWN)].join("\n");
    let count = wrong.len();
    let context = format!("{sums:?}, {count} of {cases} differ:\n{shown}");
    assert!(sums.nodes * 100 <= sums.greedy_nodes * 103, "{context}");
    assert!(sums.without_node * 1000 <= sums.placed, "{context}");
    assert!(sums.empty * 500 <= sums.nodes, "{context}");
    assert!(sums.rehearsed > 0, "{context}");
    // 6 of the 250 differ, and 38 of 2,000. For nearly all of them, no other numbers of
    // nodes of the ordered groups would do in the orders in which pods are placed here.
    assert!(count as u64 * 30 <= cases, "{context}");
}

/// Totals over all plans.
#[derive(Debug, Default)]
struct Sums {
    nodes: u64,
    greedy_nodes: u64,
    placed: u64,
    /// Pods without a node although a plan has one for them.
    without_node: u64,
    empty: u64,
    /// Plans that a rehearsal changed.
    rehearsed: u64,
}

impl Sums {
    fn add(&mut self, outcome: &Outcome, alike: &[Greedy]) {
        self.placed += u64::from(outcome.placed);
        self.without_node += u64::from(outcome.promised.saturating_sub(outcome.placed));
        self.empty += outcome.empty.len() as u64;
        let as_good = alike.iter().filter(|run| run.left <= outcome.left);
        if let Some(fewest) = as_good.map(|run| run.nodes).min() {
            self.nodes += u64::from(outcome.nodes);
            self.greedy_nodes += u64::from(fewest);
        }
    }
}

#[test]
fn one_pass_is_enough_for_all_pods_of_a_production_cluster() {
    for sizes in [Sizes::Different, Sizes::Alike] {
        let world = production(sizes);
        let (_, outcome, runs) = measured(&world);
        assert_eq!(outcome.left, 0, "{sizes:?}: {:?}", outcome.lacking);
        let faults = compared(&outcome, &runs);
        assert!(faults.is_empty(), "{sizes:?}: {faults:?}");
    }
}

fn variable(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap())
}

/// Returns the plan, the outcome for the pods, and those of greedy planners: with all
/// groups, and with those of the sizes that were ordered.
fn measured(world: &World) -> (Plan, Outcome, [Vec<Greedy>; 2]) {
    let options = NodeOptions {
        // Enough for every group by itself.
        max_options_per_pass: 32,
        ..NodeOptions::default()
    };
    let mut state = world.state();
    let plan = world.plan(&mut state, &options, &fewest_nodes());
    let census = world.census(&state, &options);
    let outcome = carry_out(&mut state, &census, &options, &Answer::from(&plan));
    let alike = Field::new(&mut state, &census, &options);
    let alike = alike.of_sizes_in(&plan.verdict.orders).runs(RUNS, 0);
    let runs = Field::new(&mut state, &census, &options).runs(RUNS, 0);
    (plan, outcome, [runs, alike])
}

/// A plan that a rehearsal changed passes the guardrails again, reports on each pod once,
/// and replays.
#[test]
fn whatever_a_rehearsal_changes_keeps_to_the_limits_and_replays() {
    const MORE_NODES: u32 = 5;
    let (mut changed, mut limited) = (0, 0);
    for seed in (0..CASES).map(|case| SEED.wrapping_add(case)) {
        let draft = Draft::of_seed(seed);
        let world = draft.world("node");
        let there = u32::try_from(world.nodes.len()).unwrap();
        let options = NodeOptions {
            max_nodes_total: there + MORE_NODES,
            max_nodes_per_scale_up: MORE_NODES - (seed % 2) as u32,
            ..NodeOptions::default()
        };
        let mut state = world.state();
        let plan = world.plan(&mut state, &options, &fewest_nodes());
        let orders = &plan.verdict.orders;
        let nodes: u32 = orders.iter().map(|order| order.to - order.from).sum();
        assert!(
            nodes <= options.max_nodes_per_scale_up,
            "{orders:?}\n{draft}"
        );
        for group in &world.groups {
            let of_group = orders.iter().filter(|order| order.group == group.name);
            let targets = of_group.clone().map(|order| (order.from, order.to));
            let end = targets.fold(group.target_size, |target, (from, to)| {
                assert_eq!(from, target, "{orders:?}\n{draft}");
                to
            });
            assert!(end <= group.max_size, "{orders:?}\n{draft}");
        }
        for round in &plan.rounds {
            let allowed = round.guard.as_ref().map(|guard| guarded(guard).1);
            assert_eq!(allowed.unwrap_or_default(), round.orders, "{draft}");
        }
        let helped = plan.rounds.iter().map(|round| round.helped.count);
        let remaining = plan.remaining.iter().map(|remaining| remaining.pods.count);
        let counted: u32 = plan.pending.fit + helped.sum::<u32>() + remaining.sum::<u32>();
        assert_eq!(counted, plan.pending.unschedulable, "{draft}");
        changed += u32::from(is_changed_by_rehearsal(&plan));
        limited += u32::from(nodes == options.max_nodes_per_scale_up);
        let record = NodeDecisionRecord {
            rounds: plan.rounds,
            verdict: plan.verdict,
            ..NodeDecisionRecord::default()
        };
        let again = replay(&record, |part| {
            fewest_nodes().expanders.find(part.name).ok()
        });
        let same = [Replay::Same, Replay::NothingAsked];
        assert!(same.contains(&again), "{again:?}\n{draft}");
    }
    assert!(changed > 0 && limited > 0, "{changed} {limited}");
}

fn is_changed_by_rehearsal(plan: &Plan) -> bool {
    let mut steps = plan.rounds.iter().flat_map(|round| &round.steps);
    steps.any(|step| &*step.guardrail == "Rehearsal")
}

fn compared(outcome: &Outcome, [runs, alike]: &[Vec<Greedy>; 2]) -> Vec<String> {
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
    let as_good = alike.iter().filter(|run| run.left <= left);
    if let Some(fewest) = as_good.map(|run| run.nodes).min() {
        let enough = (fewest + 1).max(fewest * 105 / 100);
        if nodes > enough {
            faults.push(format!("{nodes} nodes, greedily {fewest}"));
        }
    }
    faults
}
