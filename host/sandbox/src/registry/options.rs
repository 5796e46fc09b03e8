//! Options of a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flyball_decision::policy::Budget;
use flyball_decision::recorded::RecordedInputs;

use crate::engine::DEFAULT_BUDGET;
use crate::policy::DEFAULT_POLICY_BYTES;

/// Options of a [`Registry`](crate::Registry).
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// Directory of policies, which is watched. With `None` there are only built-in and
    /// installed ones.
    pub directory: Option<PathBuf>,
    /// Private directory for the last good copies of files. With `None`, a file that is
    /// bad when the daemon starts leaves its name to the built-in policy. Only processes
    /// that watch the same directory of policies may share it, since a policy that one of
    /// them retires is removed for all.
    pub last_good_directory: Option<PathBuf>,
    /// Budgets of policies, by name.
    pub budgets: BTreeMap<String, Budget>,
    /// Budget of all other policies.
    pub default_budget: Budget,
    /// Largest policy accepted, in bytes.
    pub max_policy_bytes: u64,
    /// How long the directory must be quiet before it is read; a quarter of that after a
    /// file was closed or renamed.
    pub debounce: Duration,
    /// Interval at which the directory is read without any notice.
    pub rescan: Duration,
    /// How long a version counts as new after it was first asked: if it is quarantined
    /// for all objects within that time, it is rolled back. Zero turns that off.
    pub rollback_window: Duration,
    /// Policies of which a new version takes over even if configurations in use do not fit
    /// it, or if it fails on recorded inputs. The objects with these configurations are
    /// refused then; those that it fails for keep the version before.
    pub accept_any_configuration: BTreeSet<String>,
    /// Inputs of earlier decisions, on which new versions are tried. With `None` they are
    /// tried only on made-up input.
    pub recorded: Option<Arc<dyn RecordedInputs>>,
}

/// How long a version counts as new unless [`RegistryOptions`] say otherwise.
pub const DEFAULT_ROLLBACK_WINDOW: Duration = Duration::from_mins(10);

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            directory: None,
            last_good_directory: None,
            budgets: BTreeMap::new(),
            default_budget: DEFAULT_BUDGET,
            max_policy_bytes: DEFAULT_POLICY_BYTES,
            debounce: Duration::from_millis(200),
            rescan: Duration::from_secs(30),
            rollback_window: DEFAULT_ROLLBACK_WINDOW,
            accept_any_configuration: BTreeSet::new(),
            recorded: None,
        }
    }
}
