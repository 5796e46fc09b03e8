//! What the registry tells of its policies: a list, and events as they happen.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use flyball_core::policy::PolicyVersion;
use flyball_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::registry::trial::Trial;

/// Where the code that decides came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "path")]
pub enum PolicySource {
    /// Embedded in the binary.
    BuiltIn,
    /// A file, as it is now.
    File(PathBuf),
    /// The last good copy of a file that has failed since, or was not good when
    /// the daemon started.
    LastGood(PathBuf),
    /// Handed over by [`crate::Registry::install`].
    Installed,
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::LastGood(path) => write!(f, "last good copy of {}", path.display()),
            Self::Installed => f.write_str("installed"),
        }
    }
}

/// How a policy stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum PolicyState {
    /// Its file has not been judged yet. Until then what was good last decides, if
    /// anything was: see [`PolicyStatus::version`].
    Pending,
    /// It decides, and it is what its file (or the binary) has.
    Active,
    /// What its file has now was refused. What was good before still decides, if
    /// anything was: see [`PolicyStatus::version`].
    Failed {
        /// Why.
        reason: String,
    },
    /// What its file has now was rolled back, and is refused until it changes. The
    /// version before decides again: see [`PolicyStatus::version`].
    RolledBack {
        /// Why.
        reason: String,
    },
    /// It is kept from deciding about some object after repeated misbehaviour for
    /// it. About all others it decides.
    Quarantined {
        /// When it is tried again; of several objects, for the last of them.
        until: Timestamp,
        /// The object, and how it misbehaved last.
        reason: String,
    },
}

/// One policy in the registry's list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// Name by which objects ask for it.
    pub name: String,
    /// How it stands.
    #[serde(flatten)]
    pub state: PolicyState,
    /// The code that decides; `None` if the name is without a policy.
    pub version: Option<Arc<PolicyVersion>>,
    /// Where that code came from.
    pub source: Option<PolicySource>,
    /// The kinds that the policy is of.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// The policy's summary of itself.
    pub summary: String,
    /// How often the name has got other code, counted from 1.
    pub generation: u64,
    /// Decisions asked of this generation.
    pub decisions: u64,
    /// Decisions that ended in a failure, its own refusals included.
    pub failures: u64,
    /// The largest part of its budget (fuel or memory) that a decision took.
    pub highest_budget_share: f64,
    /// Whether that is 80% or more.
    pub near_budget: bool,
    /// The version before, which decides about objects for which `version` fails.
    #[serde(default)]
    pub previous: Option<Arc<PolicyVersion>>,
    /// Result of the trial of `version` on recorded inputs. `None` without inputs.
    #[serde(default)]
    pub trial: Option<Trial>,
}

/// Something happened to a policy. Its text is a line for a terminal.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyEvent {
    /// Other code decides from now on.
    Activated {
        /// The code.
        version: Arc<PolicyVersion>,
        /// What decided before.
        previous: Option<Arc<PolicyVersion>>,
        /// Where the code came from.
        source: PolicySource,
        /// Result of its trial on recorded inputs. `None` without inputs.
        trial: Option<Trial>,
    },
    /// A new version was refused.
    Failed {
        /// Name of the policy.
        name: String,
        /// Why.
        reason: String,
        /// What goes on deciding.
        serving: Option<Arc<PolicyVersion>>,
    },
    /// Its file is gone.
    Retired {
        /// Name of the policy.
        name: String,
        /// The built-in policy that decides instead.
        replacement: Option<Arc<PolicyVersion>>,
    },
    /// The version before decides again.
    RolledBack {
        /// The newer version.
        from: Arc<PolicyVersion>,
        /// The version before.
        version: Arc<PolicyVersion>,
        /// Why.
        reason: String,
    },
    /// It misbehaved too often for an object, or for all, and is quarantined for it.
    Quarantined {
        /// The code.
        version: Arc<PolicyVersion>,
        /// When it is tried again.
        until: Timestamp,
        /// The object, and how it misbehaved last.
        reason: String,
    },
    /// It comes close to its budget.
    NearBudget {
        /// The code.
        version: Arc<PolicyVersion>,
        /// The part of the budget that a decision took.
        share: f64,
    },
}

impl fmt::Display for PolicyEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Activated {
                version,
                previous,
                source,
                trial,
            } => {
                write!(
                    f,
                    "policy {} decides from now on ({source})",
                    Named(version)
                )?;
                match previous {
                    Some(previous) if previous.state_version != version.state_version => {
                        write!(
                            f,
                            ", in place of {}; its state starts anew",
                            Named(previous)
                        )
                    }
                    Some(previous) => write!(f, ", in place of {}", Named(previous)),
                    None => Ok(()),
                }?;
                trial.iter().try_for_each(|trial| write!(f, "; {trial}"))
            }
            Self::RolledBack {
                from,
                version,
                reason,
            } => {
                write!(f, "policy {} rolled back: {reason}; ", Named(from))?;
                Serving(Some(version)).fmt(f)?;
                match from.state_version == version.state_version {
                    true => Ok(()),
                    false => f.write_str("; its state starts anew"),
                }
            }
            Self::Failed {
                name,
                reason,
                serving,
            } => {
                write!(f, "policy {name} refused: {reason}; ")?;
                Serving(serving.as_deref()).fmt(f)
            }
            Self::Retired { name, replacement } => {
                write!(f, "policy {name} retired, its file is gone; ")?;
                Serving(replacement.as_deref()).fmt(f)
            }
            Self::Quarantined {
                version,
                until,
                reason,
            } => write!(
                f,
                "policy {} quarantined until {} ms since the epoch: {reason}",
                Named(version),
                until.0
            ),
            Self::NearBudget { version, share } => write!(
                f,
                "policy {} took {:.0}% of its budget: raise the budget before it fails",
                Named(version),
                share * 100.0
            ),
        }
    }
}

struct Named<'a>(&'a PolicyVersion);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {}",
            self.0.name,
            self.0.version,
            self.0.short_digest()
        )
    }
}

struct Serving<'a>(Option<&'a PolicyVersion>);

impl fmt::Display for Serving<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(version) => write!(f, "{} decides", Named(version)),
            None => f.write_str("nothing decides under that name"),
        }
    }
}

/// Receivers of events.
#[derive(Default)]
pub(super) struct Subscribers(Mutex<Vec<Sender<PolicyEvent>>>);

impl Subscribers {
    pub fn add(&self) -> Receiver<PolicyEvent> {
        let (sender, receiver) = channel();
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        receiver
    }

    /// Logs the event and passes it on.
    pub fn publish(&self, event: &PolicyEvent) {
        match event {
            PolicyEvent::Activated { .. } => tracing::info!("{event}"),
            _ => tracing::warn!("{event}"),
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|sender| sender.send(event.clone()).is_ok());
    }
}
