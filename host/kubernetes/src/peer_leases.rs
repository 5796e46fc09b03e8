//! The Lease of Cluster Autoscaler: whether another autoscaler of nodes is at work.

use std::fmt;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Api, Client};

use crate::lease::LeaderOptions;
use crate::request::{Unanswered, answer_or_status};

/// Name of the Lease.
const NAME: &str = "cluster-autoscaler";

/// Its namespace, unless Cluster Autoscaler runs with another `--namespace`.
const NAMESPACE: &str = "kube-system";

/// Time since its renewal after which a Lease that is seen for the first time counts as
/// left over. It is renewed every two seconds; clocks may differ.
const STALE: SignedDuration = SignedDuration::from_mins(2);

/// The Leases that Cluster Autoscaler may hold, and what was found about each.
pub struct PeerLeases {
    client: Client,
    leases: Vec<PeerLease>,
}

struct PeerLease {
    namespace: String,
    /// What it was at the last look.
    observed: Option<LeaseSpec>,
    /// Its holder at the last look, if it was held.
    holder: Option<String>,
    is_forbidden: bool,
}

/// What is new about a Lease of Cluster Autoscaler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerFinding {
    /// Another process holds it.
    Held {
        /// Namespace and name of the Lease.
        lease: String,
        /// Identity of the holder.
        holder: String,
    },
    /// Its holder has released it, or renews it no longer.
    Released {
        /// Namespace and name of the Lease.
        lease: String,
    },
    /// It can't be read.
    Forbidden {
        /// Namespace and name of the Lease.
        lease: String,
        /// The API server's message.
        message: String,
    },
}

impl fmt::Display for PeerFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { lease, holder } => write!(
                f,
                "another autoscaler of nodes is at work: {holder} holds the Lease {lease}; let \
                 one alone act on a node group, such as with --nodes-mode=observe here"
            ),
            Self::Released { lease } => write!(f, "the Lease {lease} is not held any more"),
            Self::Forbidden { lease, message } => write!(
                f,
                "no right to get leases: another autoscaler that holds {lease} is not noticed: \
                 {message}"
            ),
        }
    }
}

impl PeerLeases {
    /// Creates leases that have not been looked at: in `kube-system`, and in `namespace`.
    /// `own` is the lease of this process's own election, which is left out.
    #[must_use]
    pub fn new(client: Client, namespace: &str, own: Option<&LeaderOptions>) -> Self {
        let mut namespaces = vec![NAMESPACE];
        if namespace != NAMESPACE {
            namespaces.push(namespace);
        }
        let is_own =
            |namespace: &str| own.is_some_and(|own| own.name == NAME && own.namespace == namespace);
        let leases = namespaces
            .into_iter()
            .filter(|namespace| !is_own(namespace));
        let leases = leases.map(|namespace| PeerLease {
            namespace: namespace.to_owned(),
            observed: None,
            holder: None,
            is_forbidden: false,
        });
        Self {
            client,
            leases: leases.collect(),
        }
    }

    /// Reads the Leases. Returns what is new since the last look. A read that fails, other
    /// than for want of a right, changes nothing.
    pub async fn look(&mut self) -> Vec<PeerFinding> {
        let mut findings = Vec::new();
        for lease in &mut self.leases {
            findings.extend(lease.look(&self.client).await);
        }
        findings
    }
}

impl PeerLease {
    async fn look(&mut self, client: &Client) -> Option<PeerFinding> {
        let leases: Api<Lease> = Api::namespaced(client.clone(), &self.namespace);
        let spec = match answer_or_status(leases.get_opt(NAME)).await {
            Ok(lease) => lease.and_then(|lease| lease.spec),
            Err(Unanswered::Refused(status)) if status.code == 403 => {
                let is_new = !std::mem::replace(&mut self.is_forbidden, true);
                return is_new.then(|| PeerFinding::Forbidden {
                    lease: self.name(),
                    message: status.message,
                });
            }
            Err(_) => return None,
        };
        self.is_forbidden = false;
        let holder = spec.as_ref().and_then(|spec| self.holder(spec));
        self.observed = spec;
        let before = std::mem::replace(&mut self.holder, holder.clone());
        match holder {
            Some(holder) if before.as_ref() != Some(&holder) => Some(PeerFinding::Held {
                lease: self.name(),
                holder,
            }),
            None if before.is_some() => Some(PeerFinding::Released { lease: self.name() }),
            _ => None,
        }
    }

    /// The holder of a Lease. `None` if it is released or left over: then it has not been
    /// renewed since the last look, or for long.
    fn holder(&self, spec: &LeaseSpec) -> Option<String> {
        let holder = spec.holder_identity.clone()?;
        let is_renewed = match &self.observed {
            Some(observed) => observed != spec,
            None => {
                let renewed = spec.renew_time.as_ref();
                renewed.is_some_and(|at| Timestamp::now().duration_since(at.0) < STALE)
            }
        };
        (is_renewed && !holder.is_empty()).then_some(holder)
    }

    fn name(&self) -> String {
        format!("{}/{NAME}", self.namespace)
    }
}
