//! Policies that are closures.

use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::policy::{
    Budget, Description, PolicyFailure, PolicyOutcome, PolicyVersion, ReplicaPolicy, RolledBack,
    Usage, WantedInput,
};
use flyball_decision::replica::{ReplicaDecision, ReplicaInput};

type Decide =
    dyn Fn(&Context, &ReplicaInput) -> Result<ReplicaDecision, PolicyFailure> + Send + Sync;

#[derive(Clone)]
pub struct Policy {
    pub(super) version: Arc<PolicyVersion>,
    description: Description,
    decide: Arc<Decide>,
    before: Vec<Policy>,
    rolled_back: Option<RolledBack>,
}

pub fn policy(
    name: &str,
    decide: impl Fn(&Context, &ReplicaInput) -> Result<ReplicaDecision, PolicyFailure>
    + Send
    + Sync
    + 'static,
) -> Policy {
    let version = PolicyVersion {
        name: name.into(),
        digest: format!("sha256:{name}").into(),
        contract: "0.1.0".into(),
        version: "1.0.0".into(),
        state_version: 1,
    };
    let description = Description::default();
    Policy {
        version: Arc::new(version),
        description,
        decide: Arc::new(decide),
        before: Vec::new(),
        rolled_back: None,
    }
}

impl Policy {
    pub fn state_version(mut self, state_version: u32) -> Self {
        self.version = Arc::new(PolicyVersion {
            state_version,
            ..(*self.version).clone()
        });
        self
    }

    /// Makes it another version, by its digest.
    pub fn digest(mut self, digest: &str) -> Self {
        self.version = Arc::new(PolicyVersion {
            digest: format!("sha256:{digest}").into(),
            version: digest.into(),
            ..(*self.version).clone()
        });
        self
    }

    /// Makes it a version that follows these, the latest first.
    pub fn after(mut self, before: impl IntoIterator<Item = Policy>) -> Self {
        self.before = before.into_iter().collect();
        self
    }

    /// Makes it a version that decides again after a rollback.
    pub fn in_place_of(mut self, newer: &Policy, reason: &str) -> Self {
        self.rolled_back = Some(RolledBack {
            from: Arc::clone(&newer.version),
            reason: reason.to_owned(),
        });
        self
    }

    pub fn wants(mut self, kind: &str, arguments: &[(&str, &str)]) -> Self {
        let arguments = arguments.iter();
        self.description.wants.push(WantedInput {
            kind: kind.to_owned(),
            arguments: arguments
                .map(|&(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        });
        self
    }

    pub fn resolve(&self) -> Arc<dyn ReplicaPolicy> {
        Arc::new(self.clone())
    }
}

impl flyball_decision::policy::Policy for Policy {
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

    fn rolled_back(&self) -> Option<&RolledBack> {
        self.rolled_back.as_ref()
    }
}

impl ReplicaPolicy for Policy {
    fn predecessors(&self) -> Vec<Arc<dyn ReplicaPolicy>> {
        self.before.iter().map(Policy::resolve).collect()
    }

    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        let answer = (self.decide)(context, input);
        PolicyOutcome {
            usage: Usage::default(),
            answer,
            log: Vec::new(),
        }
    }
}
