//! Status of policies: a list, and events.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use flyball_decision::policy::PolicyVersion;
use flyball_decision::time::Timestamp;
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

/// State of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum PolicyState {
    /// Its file has not been judged yet. Until then the last good version decides, if
    /// there is one: see [`PolicyStatus::version`].
    Pending,
    /// It decides, with the current content of its file (or of the binary).
    Active,
    /// The current content of its file was refused. The version before still decides, if
    /// there is one: see [`PolicyStatus::version`].
    Failed {
        /// Why.
        reason: String,
    },
    /// The current content of its file was rolled back, and is refused until it changes.
    /// The version before decides again: see [`PolicyStatus::version`].
    RolledBack {
        /// Why.
        reason: String,
    },
    /// It is not asked about some object after repeated misbehaviour for it. It decides
    /// about all others.
    Quarantined {
        /// When it is asked again; of several objects, the latest time.
        until: Timestamp,
        /// The object, and how it misbehaved last.
        reason: String,
    },
}

/// Status of one policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// Name by which objects refer to it.
    pub name: String,
    /// Its state.
    #[serde(flatten)]
    pub state: PolicyState,
    /// The active code; `None` if the name has no policy.
    pub version: Option<Arc<PolicyVersion>>,
    /// Where that code came from.
    pub source: Option<PolicySource>,
    /// The kinds of the policy.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// The policy's own summary.
    pub summary: String,
    /// Number of activations of the name, counted from 1.
    pub generation: u64,
    /// Decisions asked of this generation.
    pub decisions: u64,
    /// Decisions that ended in a failure, its own refusals included.
    pub failures: u64,
    /// The largest part of its budget (fuel or memory) that a decision used.
    pub highest_budget_share: f64,
    /// Whether that is 80% or more.
    pub near_budget: bool,
    /// The previous version, which decides about objects for which `version` fails.
    #[serde(default)]
    pub previous: Option<Arc<PolicyVersion>>,
    /// Result of the trial of `version` on recorded inputs. `None` if there were no
    /// inputs.
    #[serde(default)]
    pub trial: Option<Trial>,
}

/// An event of a policy. Its text is a line for a terminal.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyEvent {
    /// Other code was activated.
    Activated {
        /// The code.
        version: Arc<PolicyVersion>,
        /// The code that was active before.
        previous: Option<Arc<PolicyVersion>>,
        /// Where the code came from.
        source: PolicySource,
        /// Result of its trial on recorded inputs. `None` if there were no inputs.
        trial: Option<Trial>,
    },
    /// A new version was refused.
    Failed {
        /// Name of the policy.
        name: String,
        /// Why.
        reason: String,
        /// The version that stays active.
        serving: Option<Arc<PolicyVersion>>,
    },
    /// Its file was removed.
    Retired {
        /// Name of the policy.
        name: String,
        /// The built-in policy that decides instead.
        replacement: Option<Arc<PolicyVersion>>,
    },
    /// A newer version was rolled back to the previous one.
    RolledBack {
        /// The newer version.
        from: Arc<PolicyVersion>,
        /// The previous version.
        version: Arc<PolicyVersion>,
        /// Why.
        reason: String,
    },
    /// It misbehaved too often for an object, a namespace, or all objects, and is
    /// quarantined for them.
    Quarantined {
        /// The code.
        version: Arc<PolicyVersion>,
        /// When it is asked again.
        until: Timestamp,
        /// The object, and how it misbehaved last.
        reason: String,
    },
    /// A decision came close to its budget.
    NearBudget {
        /// The code.
        version: Arc<PolicyVersion>,
        /// The part of the budget that the decision used.
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
                "policy {} quarantined until {}: {reason}",
                Named(version),
                until.to_rfc3339()
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
            None => f.write_str("no version of it is active"),
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
