//! Expanders in native code: the least waste, and the highest priority by name.

use std::sync::Arc;

use flyball_decision::context::{Context, Reason};
use flyball_decision::expander::{ExpanderInput, ExpanderRanking, OptionColumns};
use flyball_decision::policy::{
    Budget, Description, ExpanderPolicy, Policy, PolicyOutcome, PolicyVersion, Usage,
};
use serde_json::Value;

/// Computes the score of an option.
type Score = fn(&OptionColumns, usize, &Value) -> f64;

/// Keeps the options with the lowest score.
pub struct Lowest {
    version: Arc<PolicyVersion>,
    description: Description,
    score: Score,
}

impl Lowest {
    /// Returns `least-waste` or `priority`. Returns `None` for any other name.
    pub fn policy(name: &str) -> Option<Arc<dyn ExpanderPolicy>> {
        let score: Score = match name {
            "least-waste" => waste,
            "priority" => priority,
            _ => return None,
        };
        Some(Arc::new(Self {
            version: Arc::new(PolicyVersion {
                name: name.into(),
                digest: format!("sha256:{:064}", name.len()).into(),
                contract: "0.1.0-draft".into(),
                version: "1.0.0".into(),
                state_version: 0,
            }),
            description: Description {
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                kinds: vec!["expander".to_owned()],
                ..Description::default()
            },
            score,
        }))
    }
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

impl Policy for Lowest {
    fn version(&self) -> &Arc<PolicyVersion> {
        &self.version
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn budget(&self) -> Budget {
        Budget {
            fuel_base: 0,
            fuel_per_row: 0,
            memory_bytes: 0,
            time_ms: 0,
        }
    }
}

impl ExpanderPolicy for Lowest {
    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        let config = serde_json::from_str(&context.configuration).unwrap();
        let options = &input.options;
        let score = |row| (self.score)(options, row, &config);
        let scores: Vec<f64> = (0..options.len()).map(score).collect();
        let lowest = scores.iter().copied().fold(f64::INFINITY, f64::min);
        let best = (0..).zip(&scores).filter(|(_, score)| **score == lowest);
        PolicyOutcome {
            usage: Usage::default(),
            answer: Ok(ExpanderRanking {
                best: best.map(|(row, _)| row).collect(),
                scores: scores.iter().copied().map(Some).collect(),
                reason: Reason {
                    code: "Lowest".to_owned(),
                    sentence: "<b>the lowest</b>".to_owned(),
                    ..Reason::default()
                },
                state: None,
            }),
            log: Vec::new(),
        }
    }
}
