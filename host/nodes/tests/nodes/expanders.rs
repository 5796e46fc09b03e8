//! Expanders that are closures.

use std::sync::{Arc, Mutex};

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, ExpanderRanking};
use flyball_decision::policy::{
    Budget, Description, ExpanderPolicy, Policy, PolicyEngine, PolicyFailure, PolicyOutcome,
    PolicyVersion, ReplicaPolicy, Usage,
};

type Rank =
    dyn Fn(&Context, &ExpanderInput) -> Result<ExpanderRanking, PolicyFailure> + Send + Sync;

/// An expander that is a closure.
pub struct Expander {
    version: Arc<PolicyVersion>,
    description: Description,
    rank: Box<Rank>,
}

/// Returns an expander of that name.
pub fn expander(
    name: &str,
    rank: impl Fn(&ExpanderInput) -> Result<Vec<u32>, PolicyFailure> + Send + Sync + 'static,
) -> Arc<Expander> {
    let ranking = |best| ExpanderRanking {
        best,
        ..ExpanderRanking::default()
    };
    configured(name, move |_, input| rank(input).map(ranking))
}

/// Returns another version of an expander.
pub fn next_version(of: Arc<Expander>) -> Arc<Expander> {
    let mut expander = Arc::into_inner(of).unwrap();
    let version = Arc::make_mut(&mut expander.version);
    version.digest = format!("{}+", version.digest).into();
    Arc::new(expander)
}

/// Returns an expander of that name that also reads its context.
pub fn configured(
    name: &str,
    rank: impl Fn(&Context, &ExpanderInput) -> Result<ExpanderRanking, PolicyFailure>
    + Send
    + Sync
    + 'static,
) -> Arc<Expander> {
    Arc::new(Expander {
        version: Arc::new(PolicyVersion {
            name: name.into(),
            digest: format!("sha256:{name}").into(),
            contract: "test".into(),
            version: "1".into(),
            state_version: 0,
        }),
        description: Description::default(),
        rank: Box::new(rank),
    })
}

/// Returns an expander that chooses the first option.
pub fn first() -> Arc<Expander> {
    expander("first", |_| Ok(vec![0]))
}

impl Policy for Expander {
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

impl ExpanderPolicy for Expander {
    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        PolicyOutcome {
            usage: Usage::default(),
            answer: (self.rank)(context, input),
            log: Vec::new(),
        }
    }
}

/// Finds expanders by name.
pub struct Engine {
    expanders: Mutex<Vec<Arc<Expander>>>,
    built_in: Option<Arc<Expander>>,
}

impl Engine {
    pub fn new(expanders: Vec<Arc<Expander>>, built_in: Option<Arc<Expander>>) -> Self {
        Self {
            expanders: Mutex::new(expanders),
            built_in,
        }
    }

    /// Replaces the expander of the same name.
    pub fn swap(&self, expander: Arc<Expander>) {
        let mut expanders = self.expanders.lock().unwrap();
        expanders.retain(|known| known.version.name != expander.version.name);
        expanders.push(expander);
    }

    pub fn find(&self, name: &str) -> Option<Arc<Expander>> {
        let expanders = self.expanders.lock().unwrap();
        let found = expanders.iter().find(|known| &*known.version.name == name);
        found.cloned()
    }
}

impl PolicyEngine for Engine {
    fn replica_policy(&self, name: &str) -> Result<Arc<dyn ReplicaPolicy>, PolicyFailure> {
        Err(PolicyFailure::Missing(name.to_owned()))
    }

    fn replica_fallback(&self, _: &str) -> Option<Arc<dyn ReplicaPolicy>> {
        None
    }

    fn expander_policy(&self, name: &str) -> Result<Arc<dyn ExpanderPolicy>, PolicyFailure> {
        match self.find(name) {
            Some(found) => Ok(found as _),
            None => Err(PolicyFailure::Missing(format!(
                "there is no expander {name}"
            ))),
        }
    }

    fn expander_fallback(&self, _: &str) -> Option<Arc<dyn ExpanderPolicy>> {
        self.built_in.clone().map(|found| found as _)
    }
}
