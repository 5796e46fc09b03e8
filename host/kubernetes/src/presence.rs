//! The Lease by which a daemon without leader election shows that it is at work, so that
//! several such daemons notice each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use flyball_decision::text;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::lease::LeaderOptions;
use crate::request::{Unanswered, answer_or_status};

/// Begins the names of these Leases; the identity of their holder follows.
const PREFIX: &str = "flyball-presence-";

/// Label of these Leases.
const LABEL: &str = "flyball.dev/presence";

/// Annotation that names the controllers of the holder, separated by commas.
const CONTROLLERS: &str = "flyball.dev/controllers";

/// How long a Lease is valid if it is not renewed.
const DURATION: Duration = Duration::from_mins(5);

/// Time between two renewals.
const RENEW_PERIOD: Duration = Duration::from_mins(2);

/// Time between two looks at the Leases of others.
const LOOK_PERIOD: Duration = Duration::from_secs(10);

/// Time limit for deleting the Lease at the end.
const DELETE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of Leases of others that are read.
const MAX_PEERS: u32 = 100;

/// Maximum length of the name of an object.
const MAX_NAME: usize = 253;

/// Presence of this process in the cluster.
#[must_use]
pub struct Presence {
    leave: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// What is new about another daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceFinding {
    /// It is at work without leader election.
    Beside {
        /// Its identity.
        identity: String,
        /// Namespace and name of its Lease.
        lease: String,
    },
    /// It leads by an election in which this process takes no part.
    Leads {
        /// Its identity.
        identity: String,
        /// Namespace and name of the Lease.
        lease: String,
    },
    /// It has ended, or renews its Lease no longer.
    Gone {
        /// Its identity.
        identity: String,
    },
}

impl fmt::Display for PresenceFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = "both scale the same objects: stop one of them, or start all with \
            --leader-elect";
        match self {
            Self::Beside { identity, lease } => write!(
                f,
                "another daemon is at work without leader election: {identity} holds the Lease \
                 {lease}; {advice}"
            ),
            Self::Leads { identity, lease } => write!(
                f,
                "another daemon leads, and this one takes no part in the election: {identity} \
                 holds the Lease {lease}; {advice}"
            ),
            Self::Gone { identity } => write!(f, "the other daemon {identity} is gone"),
        }
    }
}

impl Presence {
    /// Shows that this process is at work with these controllers, and calls `on_finding` for
    /// what is new about others that share one of them. `lease` has the name of the Lease of
    /// leader election, in which this process takes no part. Without the right to write
    /// leases, nothing happens.
    pub fn start(
        client: Client,
        lease: LeaderOptions,
        controllers: BTreeSet<&'static str>,
        on_finding: impl Fn(PresenceFinding) + Send + Sync + 'static,
    ) -> Self {
        let (leave, left) = oneshot::channel();
        let watch = PresenceWatch {
            leases: Api::namespaced(client, &lease.namespace),
            election: lease,
            controllers,
            peers: None,
        };
        Self {
            leave,
            task: tokio::spawn(watch.run(on_finding, left)),
        }
    }

    /// Deletes the Lease. Takes at most 5 s; a Lease that could not be deleted expires.
    pub async fn leave(self) {
        // An error means that the task has already ended.
        let _ = self.leave.send(());
        let _ = self.task.await;
    }
}

struct PresenceWatch {
    leases: Api<Lease>,
    /// The Lease of leader election, and the identity of this process.
    election: LeaderOptions,
    controllers: BTreeSet<&'static str>,
    /// Other holders, by the name of their Lease. `None` before the first look.
    peers: Option<BTreeMap<String, Peer>>,
}

/// A Lease of another process.
struct Peer {
    spec: LeaseSpec,
    /// When the Lease was last seen to have changed.
    changed: Instant,
    /// Whether its holder is known to have been at work since.
    is_alive: bool,
    /// Whether a finding has named it.
    is_named: bool,
}

impl PresenceWatch {
    async fn run(
        mut self,
        on_finding: impl Fn(PresenceFinding) + Send + Sync,
        mut left: oneshot::Receiver<()>,
    ) {
        tokio::select! {
            end = &mut left => {
                if end.is_err() {
                    return;
                }
            }
            () = self.watch(&on_finding) => return,
        }
        let name = self.name();
        let parameters = DeleteParams::default();
        // If it can't be deleted, it expires.
        let _ = timeout(DELETE_TIMEOUT, self.leases.delete(&name, &parameters)).await;
    }

    /// Renews the own Lease and looks at those of others, until the API server refuses it.
    async fn watch(&mut self, on_finding: &(impl Fn(PresenceFinding) + Sync)) {
        let mut renewed: Option<Instant> = None;
        loop {
            let Some(found) = self.look().await else {
                return;
            };
            // A new daemon can't tell whether this one still runs: a fresh renewal shows it.
            let is_beside = |finding: &_| matches!(finding, PresenceFinding::Beside { .. });
            let is_due = renewed.is_none_or(|renewed| renewed.elapsed() >= RENEW_PERIOD);
            if is_due || found.iter().any(is_beside) {
                match self.renew().await {
                    Ok(()) => renewed = Some(Instant::now()),
                    Err(Unanswered::Refused(status)) if status.code == 403 => return,
                    Err(_) => {}
                }
            }
            found.into_iter().for_each(on_finding);
            sleep(LOOK_PERIOD).await;
        }
    }

    /// Creates the own Lease, or renews it.
    async fn renew(&self) -> Result<(), Unanswered> {
        let name = self.name();
        let now = MicroTime(Timestamp::now());
        let controllers = Vec::from_iter(self.controllers.iter().copied()).join(",");
        let mut lease = Lease {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some([(LABEL.to_owned(), "true".to_owned())].into()),
                annotations: Some([(CONTROLLERS.to_owned(), controllers)].into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.election.identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        };
        let known = answer_or_status(self.leases.get_opt(&name)).await?;
        let parameters = PostParams::default();
        match known {
            Some(known) => {
                lease.metadata.resource_version = known.metadata.resource_version;
                answer_or_status(self.leases.replace(&name, &parameters, &lease)).await?
            }
            None => answer_or_status(self.leases.create(&parameters, &lease)).await?,
        };
        Ok(())
    }

    /// Reads the Leases of others, and returns what is new. A read that fails changes
    /// nothing. Returns `None` if this process has no right to list leases.
    async fn look(&mut self) -> Option<Vec<PresenceFinding>> {
        let parameters = ListParams::default().labels(LABEL).limit(MAX_PEERS);
        let leases = match answer_or_status(self.leases.list(&parameters)).await {
            Ok(leases) => leases.items,
            Err(Unanswered::Refused(status)) if status.code == 403 => return None,
            Err(_) => return Some(Vec::new()),
        };
        // Others' elections may be unreadable.
        let election = answer_or_status(self.leases.get_opt(&self.election.name)).await;
        let mut present = BTreeMap::new();
        let leases = leases.into_iter().filter(|lease| self.concerns(lease));
        for lease in leases.chain(election.ok().flatten()) {
            let spec = lease.spec.unwrap_or_default();
            let holder = spec.holder_identity.as_deref().unwrap_or_default();
            if !holder.is_empty() && holder != self.election.identity {
                present.insert(lease.metadata.name.unwrap_or_default(), spec);
            }
        }
        let findings = self.compare(present);
        self.delete_expired().await;
        Some(findings)
    }

    /// Deletes Leases that processes left which were killed.
    async fn delete_expired(&self) {
        let peers = self.peers.iter().flatten();
        let expired = peers.filter(|(name, peer)| name.starts_with(PREFIX) && peer.has_expired());
        for (name, _) in expired {
            // Another process may have deleted it.
            let _ = answer_or_status(self.leases.delete(name, &DeleteParams::default())).await;
        }
    }

    /// Reports whether the holder of a Lease of presence runs a controller that runs here.
    fn concerns(&self, lease: &Lease) -> bool {
        let annotations = lease.metadata.annotations.as_ref();
        let theirs = annotations.and_then(|all| all.get(CONTROLLERS));
        theirs.is_none_or(|theirs| {
            let mut theirs = theirs.split(',');
            theirs.any(|controller| self.controllers.contains(controller))
        })
    }

    /// Compares the Leases with those of the look before. A Lease that is there at the first
    /// look may be left over from a process that was killed, so it counts once it changes.
    fn compare(&mut self, present: BTreeMap<String, LeaseSpec>) -> Vec<PresenceFinding> {
        let mut findings = Vec::new();
        let is_first = self.peers.is_none();
        let mut known = self.peers.take().unwrap_or_default();
        let mut peers = BTreeMap::new();
        for (name, spec) in present {
            let mut peer = match known.remove(&name) {
                Some(peer) if peer.spec == spec => peer,
                before => Peer {
                    spec,
                    changed: Instant::now(),
                    is_alive: before.is_some() || !is_first,
                    is_named: before.is_some_and(|before| before.is_named),
                },
            };
            if peer.has_expired() {
                peer.is_alive = false;
            }
            match (peer.is_alive, peer.is_named) {
                (true, false) => findings.push(self.finding(&name, peer.identity())),
                (false, true) => findings.push(peer.gone()),
                _ => {}
            }
            peer.is_named = peer.is_alive;
            peers.insert(name, peer);
        }
        let gone = known.into_values().filter(|peer| peer.is_named);
        findings.extend(gone.map(|peer| peer.gone()));
        self.peers = Some(peers);
        findings
    }

    fn finding(&self, name: &str, identity: String) -> PresenceFinding {
        let lease = format!("{}/{name}", self.election.namespace);
        if name == self.election.name {
            PresenceFinding::Leads { identity, lease }
        } else {
            PresenceFinding::Beside { identity, lease }
        }
    }

    /// Returns the name of the own Lease.
    fn name(&self) -> String {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.';
        let identity = self.election.identity.to_ascii_lowercase();
        let identity = identity.replace(|c| !is_allowed(c), "-");
        // The end tells apart the processes of a machine.
        let from = identity.len().saturating_sub(MAX_NAME - PREFIX.len());
        format!("{PREFIX}{}", &identity[from..])
    }
}

impl Peer {
    fn identity(&self) -> String {
        text::note(self.spec.holder_identity.as_deref().unwrap_or_default())
    }

    fn gone(&self) -> PresenceFinding {
        PresenceFinding::Gone {
            identity: self.identity(),
        }
    }

    fn has_expired(&self) -> bool {
        let seconds = self.spec.lease_duration_seconds;
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        self.changed.elapsed() > seconds.map_or(DURATION, Duration::from_secs)
    }
}
