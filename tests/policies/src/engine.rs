//! An engine over given policies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flyball_decision::policy::{
    DEFAULT_EXPANDER, DEFAULT_MOVE_JUDGE, DEFAULT_NODE_JUDGE, DEFAULT_POD_JUDGE,
    DEFAULT_REPLICA_POLICY, Policy, PolicyEngine, PolicyFailure, interface, kind,
};

/// Finds the policies that it was given, also those of a sandbox. The fallback is the
/// default policy of the question, if that is among them.
pub struct TestEngine {
    /// Its replica policies.
    pub replicas: Named,
    /// Its expanders.
    pub expanders: Named,
    /// Its scale-down policies.
    pub scale_downs: Named,
}

impl Default for TestEngine {
    fn default() -> Self {
        Self {
            replicas: Named::new("policy"),
            expanders: Named::new("expander"),
            scale_downs: Named::new("scale-down policy"),
        }
    }
}

impl TestEngine {
    fn of_kind(&self, kind: &str) -> &Named {
        match kind {
            kind::REPLICA => &self.replicas,
            kind::EXPANDER => &self.expanders,
            _ => &self.scale_downs,
        }
    }
}

impl PolicyEngine for TestEngine {
    fn policy(&self, kind: &str, name: &str) -> Result<Arc<dyn Policy>, PolicyFailure> {
        self.of_kind(kind).find(name)
    }

    fn fallback(&self, interface: &str, _: &str) -> Option<Arc<dyn Policy>> {
        let (kind, default) = match interface {
            interface::REPLICA => (kind::REPLICA, DEFAULT_REPLICA_POLICY),
            interface::EXPANDER => (kind::EXPANDER, DEFAULT_EXPANDER),
            interface::SCALE_DOWN_PODS => (kind::SCALE_DOWN, DEFAULT_POD_JUDGE),
            interface::SCALE_DOWN_NODES => (kind::SCALE_DOWN, DEFAULT_NODE_JUDGE),
            interface::SCALE_DOWN_MOVES => (kind::SCALE_DOWN, DEFAULT_MOVE_JUDGE),
            _ => return None,
        };
        self.of_kind(kind).find(default).ok()
    }
}

type ByName = BTreeMap<String, Result<Arc<dyn Policy>, PolicyFailure>>;

/// Policies of one kind by name. They can be replaced while a loop asks them.
pub struct Named {
    noun: &'static str,
    by_name: Mutex<ByName>,
}

impl Named {
    fn new(noun: &'static str) -> Self {
        Self {
            noun,
            by_name: Mutex::default(),
        }
    }

    /// Adds a policy, or replaces the one of the same name.
    pub fn insert(&self, policy: Arc<dyn Policy>) {
        let name = policy.version().name.to_string();
        self.set(&name, Ok(policy));
    }

    /// Sets what [`Named::find`] returns for this name.
    pub fn set(&self, name: &str, found: Result<Arc<dyn Policy>, PolicyFailure>) {
        self.lock().insert(name.to_owned(), found);
    }

    /// Returns the policy of that name.
    ///
    /// # Errors
    /// [`PolicyFailure::Missing`] if there is none, or the failure that was set.
    pub fn find(&self, name: &str) -> Result<Arc<dyn Policy>, PolicyFailure> {
        let missing = || PolicyFailure::Missing(format!("no {} {name:?}", self.noun));
        let found = self.lock().get(name).cloned();
        found.unwrap_or_else(|| Err(missing()))
    }

    fn lock(&self) -> MutexGuard<'_, ByName> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
