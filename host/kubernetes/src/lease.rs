//! Leader election among several processes by a Lease, compatible with client-go.
//!
//! Every write of the lease has the resourceVersion that was read, so that a lease that
//! another process has renewed meanwhile is never overwritten. Leases expire by when
//! their changes were *observed* here, so that clocks of different machines need not
//! agree.

mod leadership;

use std::time::Duration;

use flyball_decision::text;
use flyball_tasks::Idle;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

pub use self::leadership::{ElectionEnded, Leadership};
use crate::request::{RequestError, answer};

/// How long a lease is valid if it is not renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How long the leader tries to renew the lease before it gives up leadership.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two tries.
const RETRY_PERIOD: Duration = Duration::from_secs(2);
/// How long a leader tries to release the lease when it resigns.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// Options of leader election.
#[derive(Clone, Debug)]
pub struct LeaderOptions {
    /// Namespace of the lease.
    pub namespace: String,
    /// Name of the lease, such as `flyball`.
    pub name: String,
    /// Unique identity of this process.
    pub identity: String,
}

/// Participation of this process in an election.
#[must_use]
pub struct Election {
    leadership: Leadership,
    led_before: watch::Receiver<Option<Timestamp>>,
    other_leader: watch::Receiver<Option<String>>,
    resign: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Election {
    /// Returns whether this process is leader, now and later.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Returns a receiver of the time at which another process last renewed or released the
    /// lease, as far as this process has seen. `None` if there was no lease.
    #[must_use]
    pub fn led_before(&self) -> watch::Receiver<Option<Timestamp>> {
        self.led_before.clone()
    }

    /// Returns a receiver of the identity of the process that leads while this one does not,
    /// as far as it is known.
    #[must_use]
    pub fn other_leader(&self) -> watch::Receiver<Option<String>> {
        self.other_leader.clone()
    }

    /// Leaves the election and releases the lease if this process holds it, so that the
    /// next leader need not wait until it expires. Call it after the last write. Takes
    /// at most 5 s; a lease that could not be released expires.
    pub async fn resign(self) {
        // An error means that the task has already ended.
        let _ = self.resign.send(());
        let _ = self.task.await;
    }
}

/// Starts to take part in the election.
pub fn elect_leader(client: Client, options: LeaderOptions) -> Election {
    let (leader, until) = watch::channel(None);
    let (led_before, before) = watch::channel(None);
    let (other_leader, other) = watch::channel(None);
    let (resign, resigned) = oneshot::channel();
    let leases = Api::namespaced(client, &options.namespace);
    let candidate = Candidate {
        leases,
        options,
        observed: None,
        renewed: None,
        led_before,
        other_leader,
    };
    Election {
        leadership: Leadership::until(until),
        led_before: before,
        other_leader: other,
        resign,
        task: tokio::spawn(flyball_tasks::watch(
            "election of a leader",
            Idle::Brief,
            candidate.run(leader, resigned),
        )),
    }
}

struct Candidate {
    leases: Api<Lease>,
    options: LeaderOptions,
    /// What another process last wrote, and when it was first observed.
    observed: Option<(LeaseSpec, Instant)>,
    /// When this process last renewed its lease.
    renewed: Option<Instant>,
    /// When another process last renewed the lease.
    led_before: watch::Sender<Option<Timestamp>>,
    /// The process that leads, if it is another one.
    other_leader: watch::Sender<Option<String>>,
}

impl Candidate {
    /// Takes part until the process resigns or drops the sender of `resigned`.
    async fn run(
        mut self,
        leader: watch::Sender<Option<Instant>>,
        resigned: oneshot::Receiver<()>,
    ) {
        let end = tokio::select! {
            end = resigned => end,
            () = self.take_part(&leader) => return,
        };
        let led = self.renewed.take().is_some();
        self.publish(&leader);
        if end.is_ok() && led {
            self.release().await;
        }
    }

    async fn take_part(&mut self, leader: &watch::Sender<Option<Instant>>) {
        loop {
            self.try_once().await;
            self.publish(leader);
            let next = Instant::now() + RETRY_PERIOD;
            if let Some(end) = self.expiry().filter(|end| *end < next) {
                sleep_until(end).await;
                self.publish(leader);
            }
            sleep_until(next).await;
        }
    }

    /// Releases the lease, so that no process holds it.
    async fn release(&self) {
        let problem = match timeout(RELEASE_TIMEOUT, self.try_to_release()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.message().to_owned(),
            Err(_) => "the API server did not answer in time".to_owned(),
        };
        tracing::warn!(lease = %self.options.name, %problem, "the lease was not released: it runs out");
    }

    async fn try_to_release(&self) -> Result<(), RequestError> {
        let name = &self.options.name;
        let lease = answer(self.leases.get(name)).await?;
        let spec = lease.spec.unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.options.identity) {
            return Ok(());
        }
        let mut released = self.lease(lease.metadata, spec.lease_transitions.unwrap_or_default());
        if let Some(spec) = &mut released.spec {
            spec.holder_identity = None;
            // As in client-go: the smallest value that the API server accepts.
            spec.lease_duration_seconds = Some(1);
        }
        answer(self.leases.replace(name, &PostParams::default(), &released)).await?;
        Ok(())
    }

    /// Tries to acquire or renew the lease, until a held lease expires.
    async fn try_once(&mut self) {
        // The lease is valid from before the request that renews it.
        let before = Instant::now();
        let end = self.expiry().unwrap_or(before + RENEW_DEADLINE);
        let problem = match timeout_at(end, self.try_to_lead()).await {
            Ok(Ok(leads)) => {
                self.renewed = leads.then_some(before);
                return;
            }
            Ok(Err(error)) => error.message().to_owned(),
            Err(_) => "the API server did not answer in time".to_owned(),
        };
        tracing::warn!(lease = %self.options.name, %problem, "the lease was not renewed");
    }

    /// Returns when leadership ends unless it is renewed.
    fn expiry(&self) -> Option<Instant> {
        self.renewed.map(|renewed| renewed + RENEW_DEADLINE)
    }

    /// Publishes until when this process is leader.
    fn publish(&mut self, leader: &watch::Sender<Option<Instant>>) {
        self.renewed = self
            .renewed
            .filter(|renewed| renewed.elapsed() < RENEW_DEADLINE);
        let leads = self.renewed.is_some();
        let before = leader.send_replace(self.expiry());
        if leads {
            self.other_leader.send_replace(None);
        }
        if before.is_some() != leads {
            tracing::info!(lease = %self.options.name, leads, "leadership changed");
        }
    }

    /// Acquires or renews the lease. Returns whether this process holds it.
    async fn try_to_lead(&mut self) -> Result<bool, RequestError> {
        let name = self.options.name.clone();
        let lease = match answer(self.leases.get(&name)).await {
            Ok(lease) => lease,
            Err(RequestError::NotFound(_)) => {
                let lease = self.lease(
                    ObjectMeta {
                        name: Some(name),
                        ..ObjectMeta::default()
                    },
                    0,
                );
                return was_written(
                    answer(self.leases.create(&PostParams::default(), &lease)).await,
                );
            }
            Err(error) => return Err(error),
        };
        let spec = lease.spec.unwrap_or_default();
        let is_ours = spec.holder_identity.as_deref() == Some(&self.options.identity);
        if !is_ours {
            // The answer to the write may be lost, so this is noted before it.
            let renewed = spec.renew_time.as_ref().map(|at| at.0);
            self.led_before.send_replace(renewed);
            if !self.has_run_out(&spec) {
                self.follow(&spec);
                return Ok(false);
            }
        }
        let transitions = spec.lease_transitions.unwrap_or_default();
        let transitions = transitions.saturating_add(i32::from(!is_ours));
        let mut renewed = self.lease(lease.metadata, transitions);
        if is_ours && let Some(renewed) = &mut renewed.spec {
            renewed.acquire_time = spec.acquire_time;
        }
        was_written(answer(self.leases.replace(&name, &PostParams::default(), &renewed)).await)
    }

    /// Publishes and logs which process leads.
    fn follow(&self, spec: &LeaseSpec) {
        let leader = spec.holder_identity.as_deref().map(text::note);
        let is_new = self.other_leader.send_if_modified(|known| {
            let is_new = *known != leader;
            known.clone_from(&leader);
            is_new
        });
        if is_new {
            let lease = &self.options.name;
            tracing::info!(%lease, leader, "another daemon leads: this one follows");
        }
    }

    /// Whether another process's lease has expired: it did not change for its duration.
    fn has_run_out(&mut self, spec: &LeaseSpec) -> bool {
        if spec
            .holder_identity
            .as_deref()
            .unwrap_or_default()
            .is_empty()
        {
            return true;
        }
        match &self.observed {
            Some((known, since)) if known == spec => {
                let seconds = spec
                    .lease_duration_seconds
                    .and_then(|s| u64::try_from(s).ok());
                since.elapsed() > seconds.map_or(DURATION, Duration::from_secs)
            }
            _ => {
                self.observed = Some((spec.clone(), Instant::now()));
                false
            }
        }
    }

    fn lease(&self, metadata: ObjectMeta, transitions: i32) -> Lease {
        let now = Timestamp::now();
        Lease {
            metadata,
            spec: Some(LeaseSpec {
                holder_identity: Some(self.options.identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: Some(MicroTime(now)),
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }
}

/// Returns whether a lease was written. A conflict means that another process was
/// faster.
fn was_written(written: Result<Lease, RequestError>) -> Result<bool, RequestError> {
    match written {
        Ok(_) => Ok(true),
        Err(RequestError::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
