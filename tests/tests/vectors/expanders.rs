//! The built-in expanders in the real sandbox, alone and in chains, against what
//! Cluster Autoscaler itself decided: every case of `vectors/nodes/expander.jsonl.gz`.
//!
//! Every answer is upstream's, but for those that `accepted.tsv` lists, each with the
//! reason why ours is another one. Only cases that the vectors themselves mark may be
//! there: `degenerate` ones, where upstream divides by zero and so leaves the choice to
//! the order of options and the rules of floating point, and `fragile` ones, whose best
//! two scores are all but equal.

mod case;

use std::collections::BTreeMap;
use std::sync::Arc;

use case::{Case, Chain};
use flyball_decision::context::Context;
use flyball_decision::context::GrantedInput;
use flyball_decision::expander::{ExpanderInput, ExpanderRanking};
use flyball_decision::memory::PolicyMemories;
use flyball_decision::part::ExpanderRecord;
use flyball_decision::policy::{PolicyEngine as _, kind};
use flyball_decision::time::Timestamp;
use flyball_nodes::chain;
use flyball_nodes::choose::{Chooser, choose};
use flyball_nodes::cluster_configuration::warnings;
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_sandbox::{Engine, EngineOptions, Registry};

/// Lines of: the mark of the case, the case, what was asked, why the answer differs.
const ACCEPTED: &str = include_str!("expanders/accepted.tsv");

#[test]
fn every_case_is_decided_as_upstream_decides_it() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let registry = Registry::fixed(&engine, flyball_policies::BUILTIN, &[]).unwrap();
    let mut tally = Tally::new();
    for case in case::all() {
        one_by_one(&registry, &case, &mut tally);
        chains(&registry, &case, &mut tally);
    }
    println!("{:#?}", tally.right);
    let never = tally.accepted.iter().filter(|(_, one)| !one.met);
    let never = never.map(|(answer, _)| format!("{answer}: as upstream, yet listed"));
    tally.wrong.extend(never);
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
}

/// What came of all cases.
struct Tally {
    /// Answers as expected, by what was asked.
    right: BTreeMap<String, usize>,
    /// Differences that are accepted, by case and what was asked.
    accepted: BTreeMap<String, Accepted>,
    /// Answers other than expected, elsewhere.
    wrong: Vec<String>,
}

/// A difference that is accepted.
struct Accepted {
    mark: &'static str,
    met: bool,
}

impl Tally {
    fn new() -> Self {
        let lines = ACCEPTED.lines().filter(|line| !line.starts_with('#'));
        let accepted = lines.map(|line| {
            let [mark, id, what, reason] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line:?} does not have four fields");
            };
            assert!(!reason.is_empty(), "{line:?} has no reason");
            (format!("{id}: {what}"), Accepted { mark, met: false })
        });
        Self {
            right: BTreeMap::new(),
            accepted: accepted.collect(),
            wrong: Vec::new(),
        }
    }

    fn compare<T: PartialEq + std::fmt::Debug>(
        &mut self,
        case: &Case,
        what: &str,
        expected: &T,
        got: &T,
    ) {
        if expected == got {
            *self.right.entry(what.to_owned()).or_default() += 1;
            return;
        }
        let answer = format!("{}: {what}", case.id);
        match self.accepted.get_mut(&answer) {
            Some(accepted) if case.is_marked(accepted.mark, what) => accepted.met = true,
            _ => {
                let told = format!("{answer}: expected {expected:?}, got {got:?}");
                self.wrong.push(told);
            }
        }
    }
}

fn rank(
    registry: &Registry,
    case: &Case,
    expander: &str,
    input: &ExpanderInput,
) -> ExpanderRanking {
    let context = Context {
        configuration: case.configuration(expander).into(),
        ..Context::default()
    };
    let policy = registry.policy(kind::EXPANDER, expander).unwrap();
    policy.rank(&context, input).answer.unwrap()
}

fn one_by_one(registry: &Registry, case: &Case, tally: &mut Tally) {
    let (input, expected) = (case.input(), &case.expected);
    for (expander, rows) in [
        ("least-waste", &expected.least_waste),
        ("most-pods", &expected.most_pods),
        ("least-nodes", &expected.least_nodes),
        ("priority", &expected.priority),
        ("price", &expected.price),
    ] {
        let ranking = rank(registry, case, expander, &input);
        tally.compare(case, expander, &sorted(rows), &sorted(&ranking.best));
        if expander == "priority" {
            let warnings = warnings(expander, &input.options, &ranking);
            let reasons = warnings.into_iter().map(|one| one.reason);
            let reasons: Vec<String> = reasons
                .filter(|one| one != "PriorityConfigMapMissing")
                .collect();
            tally.compare(case, "priority events", &expected.priority_events, &reasons);
        }
        if expander == "price" {
            // A policy that drops every option need not score.
            let score = |row: usize| ranking.scores.get(row).copied().flatten().map(figure);
            let scores: Vec<_> = (0..input.options.len()).map(score).collect();
            let expected = expected.price_scores.iter().cloned();
            // Zero divided by zero: such an option is dropped.
            let expected: Vec<_> = expected
                .map(|score| score.filter(|it| it != "NaN"))
                .collect();
            tally.compare(case, "price scores", &expected, &scores);
        }
    }
    let one = rank(registry, case, "random", &input).best.len();
    tally.compare(case, "random", &input.options.len().min(1), &one);
}

/// A score as the file has it; the largest that a record can hold is upstream's
/// infinity.
fn figure(score: f64) -> String {
    if score == f64::MAX {
        return "+Inf".to_owned();
    }
    format!("{score:.6}")
}

fn sorted(rows: &[u32]) -> Vec<u32> {
    let mut rows = rows.to_vec();
    rows.sort_unstable();
    rows
}

fn chains(registry: &Registry, case: &Case, tally: &mut Tally) {
    for chain in &case.expected.chains {
        let list = chain.expanders.join(",");
        let parsed = chain::parse(&list, |name| registry.policy(kind::EXPANDER, name).is_ok());
        tally.compare(
            case,
            "chain refused",
            &chain.error.is_some(),
            &parsed.is_err(),
        );
        if let (
            Ok(names),
            Chain {
                best: Some(best), ..
            },
        ) = (parsed, chain)
        {
            let left = left_by(registry, case, &names);
            let what = format!("chain {list}");
            tally.compare(case, &what, &sorted(best), &left);
        }
    }
}

/// The options that a chain leaves to chance.
fn left_by(registry: &Registry, case: &Case, names: &[Arc<str>]) -> Vec<u32> {
    let choice = |name: &Arc<str>| ExpanderChoice {
        name: Arc::clone(name),
        configuration: case.configuration(name).into(),
    };
    let options = NodeOptions {
        expanders: names.iter().map(choice).collect(),
        ..NodeOptions::default()
    };
    let chooser = Chooser {
        now: Timestamp(0),
        options: &options,
        engine: registry,
        memories: &PolicyMemories::default(),
        grant: &|_| GrantedInput::default(),
    };
    let mut input = case.input();
    let chosen = choose(&chooser, &mut input, 7);
    assert_eq!(chosen.events, [], "{}", case.id);
    let left = match chosen.expanders.last() {
        Some(record) => rows_left(record),
        None => (0..u32::try_from(input.options.len()).unwrap()).collect(),
    };
    let row = chosen.choice.row;
    assert_eq!(row.is_some(), !left.is_empty());
    assert!(row.is_none_or(|row| left.contains(&row)));
    left
}

fn rows_left(record: &ExpanderRecord) -> Vec<u32> {
    if &*record.name == "random" {
        return record.own.clone();
    }
    let Ok(ranking) = &record.answer else {
        panic!("{:?}", record.answer);
    };
    let rows = ranking.best.iter().map(|&row| record.own[row as usize]);
    let mut rows: Vec<u32> = rows.collect();
    rows.sort_unstable();
    rows
}
