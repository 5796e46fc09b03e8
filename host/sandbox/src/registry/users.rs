//! The objects that name a policy.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_decision::policy::PolicyUser;

/// The objects that name a policy. Namespaces and objects in which it is never asked can't
/// fail, so only the others are listed.
#[derive(Debug, Default)]
pub(super) struct Users {
    count: usize,
    /// Those that the policy is asked about, by namespace. The node groups have the empty
    /// one.
    asked: BTreeMap<Arc<str>, BTreeSet<String>>,
}

impl Users {
    /// Returns the number of objects, whether or not the policy is asked about them.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the namespaces of the objects that the policy is asked about.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.asked.keys().map(|namespace| &**namespace)
    }

    /// Returns the objects of a namespace that the policy is asked about.
    pub fn asked_in(&self, namespace: &str) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.asked.get(namespace).unwrap_or(&NONE)
    }
}

impl FromIterator<PolicyUser> for Users {
    fn from_iter<I: IntoIterator<Item = PolicyUser>>(users: I) -> Self {
        let mut known = Self::default();
        for user in users {
            known.count += 1;
            if user.is_asked {
                let asked = known.asked.entry(user.namespace).or_default();
                asked.insert(user.object);
            }
        }
        known
    }
}
