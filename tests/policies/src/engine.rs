//! An engine over given policies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flyball_decision::policy::{
    DEFAULT_EXPANDER, DEFAULT_REPLICA_POLICY, ExpanderPolicy, Policy, PolicyEngine, PolicyFailure,
    ReplicaPolicy,
};

/// Finds the policies that it was given, also those of a sandbox. The fallback is the
/// default policy of the kind, if that is among them.
pub struct TestEngine {
    /// Its replica policies.
    pub replicas: Named<dyn ReplicaPolicy>,
    /// Its expanders.
    pub expanders: Named<dyn ExpanderPolicy>,
}

impl Default for TestEngine {
    fn default() -> Self {
        Self {
            replicas: Named::new("policy"),
            expanders: Named::new("expander"),
        }
    }
}

impl PolicyEngine for TestEngine {
    fn replica_policy(&self, name: &str) -> Result<Arc<dyn ReplicaPolicy>, PolicyFailure> {
        self.replicas.find(name)
    }

    fn replica_fallback(&self, _: &str) -> Option<Arc<dyn ReplicaPolicy>> {
        self.replicas.find(DEFAULT_REPLICA_POLICY).ok()
    }

    fn expander_policy(&self, name: &str) -> Result<Arc<dyn ExpanderPolicy>, PolicyFailure> {
        self.expanders.find(name)
    }

    fn expander_fallback(&self, _: &str) -> Option<Arc<dyn ExpanderPolicy>> {
        self.expanders.find(DEFAULT_EXPANDER).ok()
    }
}

type ByName<P> = BTreeMap<String, Result<Arc<P>, PolicyFailure>>;

/// Policies of one kind by name. They can be replaced while a loop asks them.
pub struct Named<P: ?Sized> {
    noun: &'static str,
    by_name: Mutex<ByName<P>>,
}

impl<P: Policy + ?Sized> Named<P> {
    fn new(noun: &'static str) -> Self {
        Self {
            noun,
            by_name: Mutex::default(),
        }
    }

    /// Adds a policy, or replaces the one of the same name.
    pub fn insert(&self, policy: Arc<P>) {
        let name = policy.version().name.to_string();
        self.set(&name, Ok(policy));
    }

    /// Sets what [`Named::find`] returns for this name.
    pub fn set(&self, name: &str, found: Result<Arc<P>, PolicyFailure>) {
        self.lock().insert(name.to_owned(), found);
    }

    /// Returns the policy of that name.
    ///
    /// # Errors
    /// [`PolicyFailure::Missing`] if there is none, or the failure that was set.
    pub fn find(&self, name: &str) -> Result<Arc<P>, PolicyFailure> {
        let missing = || PolicyFailure::Missing(format!("no {} {name:?}", self.noun));
        let found = self.lock().get(name).cloned();
        found.unwrap_or_else(|| Err(missing()))
    }

    fn lock(&self) -> MutexGuard<'_, ByName<P>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
