//! Expanders in native code: the least waste, and the highest priority by name.

use flyball_decision::context::Reason;
use flyball_decision::expander::{ExpanderRanking, OptionColumns};
use flyball_test_policies::{TestPolicy, ranker};
use serde_json::Value;

/// Computes the score of an option.
type Score = fn(&OptionColumns, usize, &Value) -> f64;

/// Returns `least-waste` and `priority`.
pub fn all() -> [TestPolicy; 2] {
    [lowest("least-waste", waste), lowest("priority", priority)]
}

/// Returns an expander that keeps the options with the lowest score.
fn lowest(name: &str, score: Score) -> TestPolicy {
    ranker(name, move |context, input| {
        let config = serde_json::from_str(&context.configuration).unwrap();
        let options = &input.options;
        let score = |row| score(options, row, &config);
        let scores: Vec<f64> = (0..options.len()).map(score).collect();
        let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
        let best = (0..).zip(&scores).filter(|(_, score)| **score == lowest);
        Ok(ExpanderRanking {
            best: best.map(|(row, _)| row).collect(),
            scores: scores.iter().copied().map(Some).collect(),
            reason: Reason {
                code: "Lowest".to_owned(),
                sentence: "<b>the lowest</b>".to_owned(),
                ..Reason::default()
            },
            state: None,
        })
    })
}

fn waste(options: &OptionColumns, row: usize, _: &Value) -> f64 {
    let nodes = f64::from(options.node_count[row]);
    let wasted = |requested: i64, capacity: i64| {
        let all = nodes * capacity as f64;
        (all - requested as f64) / all
    };
    wasted(options.requested_cpu[row], options.capacity_cpu[row])
        + wasted(options.requested_memory[row], options.capacity_memory[row])
}

/// Returns the negative priority of the first list that names the group, since lower
/// scores are better here.
fn priority(options: &OptionColumns, row: usize, config: &Value) -> f64 {
    let group = Value::from(&*options.node_group[row]);
    let lists = config["priorities"].as_object().into_iter().flatten();
    let mut named = lists.filter(|(_, names)| names.as_array().unwrap().contains(&group));
    named
        .next()
        .map_or(0.0, |(priority, _)| -priority.parse::<f64>().unwrap())
}
