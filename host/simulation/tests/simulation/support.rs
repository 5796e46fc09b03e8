//! A policy of three lines in native code: the sandbox has tests of its own.

mod expander;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use flyball_decision::context::{Context, Reason};
use flyball_decision::policy::{
    Budget, Description, ExpanderPolicy, Policy, PolicyEngine, PolicyFailure, PolicyOutcome,
    PolicyVersion, ReplicaPolicy, Usage,
};
use flyball_decision::recorder::Recorder;
use flyball_decision::replica::{ReplicaDecision, ReplicaInput};
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::DecisionRecord;
use flyball_simulation::{PolicySwapper, Scenario, ScenarioError};

/// Scales by usage as a part of the request, with a target in percent.
pub struct Proportional {
    version: Arc<PolicyVersion>,
    description: Description,
    percent: f64,
}

impl Proportional {
    pub fn policy(name: &str, percent: f64) -> Arc<dyn ReplicaPolicy> {
        Arc::new(Self {
            version: Arc::new(PolicyVersion {
                name: name.into(),
                digest: format!("sha256:{:016x}{:048}", percent.to_bits(), 0).into(),
                contract: "0.1.0-draft".into(),
                version: "1.0.0".into(),
                state_version: 0,
            }),
            description: Description {
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                kinds: vec!["replica".to_owned()],
                ..Description::default()
            },
            percent,
        })
    }

    fn desired(&self, input: &ReplicaInput) -> Option<i64> {
        let metric = input.metrics.first()?;
        let used: i64 = metric.value.iter().sum();
        let requested = metric.pod.iter().map(|row| metric.request[*row as usize]);
        let requested: i64 = requested.sum();
        let target = requested as f64 * self.percent / 100.0;
        (target > 0.0).then(|| {
            let ratio = used as f64 / target;
            if (ratio - 1.0).abs() < 0.1 {
                return i64::from(input.current_replicas);
            }
            (ratio * metric.pod.len() as f64).ceil() as i64
        })
    }
}

impl Policy for Proportional {
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

impl ReplicaPolicy for Proportional {
    fn decide(&self, _: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        let replicas = self.desired(input);
        PolicyOutcome {
            usage: Usage::default(),
            answer: Ok(ReplicaDecision {
                replicas,
                reason: Reason {
                    code: "Proportional".to_owned(),
                    sentence: "<b>usage & request</b>".to_owned(),
                    ..Reason::default()
                },
                ..ReplicaDecision::default()
            }),
            log: Vec::new(),
        }
    }
}

/// Has policies by name; a swap reads the target from its file.
pub struct Engine(Mutex<BTreeMap<String, Arc<dyn ReplicaPolicy>>>);

impl Engine {
    pub fn new(policies: &[(&str, f64)]) -> Arc<Self> {
        let policies = policies.iter();
        let policies =
            policies.map(|(name, p)| ((*name).to_owned(), Proportional::policy(name, *p)));
        Arc::new(Self(Mutex::new(policies.collect())))
    }
}

impl PolicyEngine for Engine {
    fn replica_policy(&self, name: &str) -> Result<Arc<dyn ReplicaPolicy>, PolicyFailure> {
        let missing = || PolicyFailure::Missing(format!("no policy {name:?}"));
        self.0
            .lock()
            .unwrap()
            .get(name)
            .cloned()
            .ok_or_else(missing)
    }

    fn replica_fallback(&self, _: &str) -> Option<Arc<dyn ReplicaPolicy>> {
        None
    }

    fn expander_policy(&self, name: &str) -> Result<Arc<dyn ExpanderPolicy>, PolicyFailure> {
        let missing = || PolicyFailure::Missing(format!("no expander {name:?}"));
        expander::Lowest::policy(name).ok_or_else(missing)
    }
}

impl PolicySwapper for Engine {
    fn swap(&self, name: &str, file: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let percent = text
            .trim()
            .parse()
            .map_err(|_| format!("{text:?} is no policy"))?;
        let policy = Proportional::policy(name, percent);
        self.0.lock().unwrap().insert(name.to_owned(), policy);
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
