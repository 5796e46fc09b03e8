//! Policies of a few lines in native code: the sandbox has tests of its own.

mod expander;
mod judges;
pub mod stage;

use std::path::Path;
use std::sync::{Arc, Mutex};

use flyball_decision::context::Reason;
use flyball_decision::recorder::Recorder;
use flyball_decision::replica::{ReplicaDecision, ReplicaInput};
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::DecisionRecord;
use flyball_simulation::{PolicySwapper, Scenario, ScenarioError};
use flyball_test_policies::{TestEngine, TestPolicy, policy};

/// Returns a policy that scales by usage as a part of the request, with a target in
/// percent.
fn proportional(name: &str, percent: f64) -> TestPolicy {
    let decides = policy(name, move |_, input| {
        Ok(ReplicaDecision {
            replicas: desired(input, percent),
            reason: Reason {
                code: "Proportional".to_owned(),
                sentence: "<b>usage & request</b>".to_owned(),
                ..Reason::default()
            },
            ..ReplicaDecision::default()
        })
    });
    decides.digest(&percent.to_string())
}

fn desired(input: &ReplicaInput, percent: f64) -> Option<i64> {
    let metric = input.metrics.first()?;
    let used: i64 = metric.value.iter().sum();
    let requested = metric.pod.iter().map(|row| metric.request[*row as usize]);
    let requested: i64 = requested.sum();
    let target = requested as f64 * percent / 100.0;
    (target > 0.0).then(|| {
        let ratio = used as f64 / target;
        if (ratio - 1.0).abs() < 0.1 {
            return i64::from(input.current_replicas);
        }
        (ratio * metric.pod.len() as f64).ceil() as i64
    })
}

/// Returns an engine with the expanders and these policies, each with its target.
pub fn engine(policies: &[(&str, f64)]) -> Arc<TestEngine> {
    let engine = TestEngine::default();
    for (name, percent) in policies {
        let policy = proportional(name, *percent);
        engine.replicas.insert(policy.resolve());
    }
    for expander in expander::all() {
        engine.expanders.insert(expander.resolve());
    }
    for judge in judges::all() {
        engine.scale_downs.insert(judge.resolve());
    }
    Arc::new(engine)
}

/// Swaps policies of [`engine`]: the file has the new target.
pub struct Swapper<'a>(pub &'a TestEngine);

impl PolicySwapper for Swapper<'_> {
    fn swap(&self, name: &str, file: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let percent = text
            .trim()
            .parse()
            .map_err(|_| format!("{text:?} is no policy"))?;
        self.0
            .replicas
            .insert(proportional(name, percent).resolve());
        Ok(())
    }
}

/// Keeps every record about replicas as JSON.
#[derive(Default)]
pub struct Lines(Mutex<String>);

impl Lines {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Recorder<NodeDecisionRecord> for Lines {
    fn record(&self, _: &Arc<NodeDecisionRecord>) {}
}

impl Recorder<DecisionRecord> for Lines {
    fn record(&self, record: &Arc<DecisionRecord>) {
        let mut text = self.0.lock().unwrap();
        text.push_str(&serde_json::to_string(record).unwrap());
        text.push('\n');
    }
}

/// Parses a scenario as if it were in `test.yaml`.
pub fn scenario(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(
        text,
        Path::new("test.yaml"),
        Path::new(env!("CARGO_MANIFEST_DIR")),
    )
}
