//! Carries out the core's intents while this process is leader. The replica half writes
//! to the cluster only here.

use std::time::Duration;

use flyball_decision::event::Event;
use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_replicas::ports::{Autoscaler, Report, ScaleIntent, Writer};
use flyball_replicas::status::AutoscalerStatus;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};

use crate::cache::Caches;
use crate::events::Events;
use crate::fair_requests::{FairRequests, RequestLimits, Undone};
use crate::lease::Leadership;
use crate::request::{CONCURRENCY, RequestError, answer};
use crate::resource::{self, PatchedObject, ReplicaAutoscaler, StatusPatch};
use crate::scale::{self, Scales};
use crate::status::StatusObject;

/// Field manager of the written fields.
pub(crate) const FIELD_MANAGER: &str = "flyball";

/// Limits of writing the scales of a tick. The API of an aggregated server, whose kinds a
/// spec may name, can hang; the namespaces share the places all the same.
const SCALES: RequestLimits = RequestLimits {
    concurrency: CONCURRENCY,
    per_namespace: CONCURRENCY / 2,
    request: Duration::from_secs(8),
    begin: Duration::from_secs(8),
    weight: usize::MAX,
    weight_of_all: usize::MAX,
};

/// Limits of the reports of a tick. They end after ten seconds, since the next decisions wait
/// for them, also those of other namespaces. What is left out is not lost: the next sync writes
/// the status, and the record has the events.
const REPORTS: RequestLimits = RequestLimits {
    request: Duration::from_secs(4),
    begin: Duration::from_secs(6),
    ..SCALES
};

/// Writes to a Kubernetes cluster.
pub struct KubernetesWriter {
    /// Sends each request once: a retry must ask first whether this process still leads.
    client: Client,
    scales: Scales,
    events: Events,
    caches: Caches,
    leadership: Leadership,
    scale_writes: FairRequests,
    report_writes: FairRequests,
}

impl KubernetesWriter {
    /// Creates a writer that writes while `leadership` lasts, and applies written objects
    /// to `caches`. Events are sent with the client `events`, everything else with
    /// `writes`, which must be from
    /// [`connect_without_retries`](crate::connect_without_retries).
    #[must_use]
    pub fn new(events: Client, writes: Client, caches: Caches, leadership: Leadership) -> Self {
        Self {
            scales: Scales::new(writes.clone(), caches.kinds().clone()),
            events: Events::new(events, FIELD_MANAGER),
            client: writes,
            caches,
            leadership,
            scale_writes: FairRequests::new(SCALES),
            report_writes: FairRequests::new(REPORTS),
        }
    }

    async fn write_scale(&self, intent: &ScaleIntent) -> Result<(), String> {
        let ScaleIntent {
            autoscaler,
            from,
            replicas,
        } = intent;
        let target = &autoscaler.spec.scale_target_ref;
        let leads = || self.leadership.leads();
        self.scales
            .set(&autoscaler.key, target, from, *replicas, leads)
            .await
    }

    async fn write_report(&self, now: Timestamp, report: &Report) {
        if !self.leadership.leads() {
            return;
        }
        let mut leadership = self.leadership.clone();
        let Report {
            autoscaler,
            status,
            events,
        } = report;
        let mut unwritten = None;
        let ObjectKey { namespace, name } = &autoscaler.key;
        if let Some(status) = status
            && let Err(error) = self.write_status(autoscaler, status).await
        {
            let problem = error.message();
            tracing::warn!(%namespace, %name, %problem, "the status was not written");
            unwritten = Some(Event {
                warning: true,
                reason: "FailedUpdateStatus".to_owned(),
                message: problem.to_owned(),
            });
        }
        let about = resource::object_reference(namespace, name, &autoscaler.uid);
        for event in events.iter().chain(&unwritten) {
            if !leadership.leads() {
                return;
            }
            let published = tokio::select! {
                published = self.events.publish(now, &about, event) => published,
                // The client repeats a request until it is answered.
                () = leadership.lost() => return,
            };
            if let Err(error) = published {
                let (reason, problem) = (&event.reason, error.message());
                tracing::warn!(%namespace, %name, %reason, %problem, "an event was not published");
            }
        }
    }

    async fn write_status(
        &self,
        autoscaler: &Autoscaler,
        status: &AutoscalerStatus,
    ) -> Result<(), RequestError> {
        let key = &autoscaler.key;
        let api: Api<ReplicaAutoscaler> = Api::namespaced(self.client.clone(), &key.namespace);
        // Not a server-side apply, which fails if the spec does not match its schema.
        let patch = Patch::Merge(StatusPatch {
            metadata: PatchedObject {
                uid: autoscaler.uid.to_string(),
            },
            status: StatusObject::new(status, &autoscaler.spec),
        });
        let parameters = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let written = api.patch_status(&key.name, &parameters, &patch);
        let written = answer(written).await?;
        // The next decision must use the written status, even if the watch is late.
        self.caches.autoscalers().update(written);
        Ok(())
    }
}

impl Writer for KubernetesWriter {
    async fn scale(&self, _now: Timestamp, intents: Vec<ScaleIntent>) -> Vec<Result<(), String>> {
        let write = |intent| self.write_scale(intent);
        let written = self
            .scale_writes
            .send_each(&intents, |intent| &intent.autoscaler.key, write, |_| 0)
            .await;
        let results = intents.iter().zip(written);
        let result = |(intent, written): (&ScaleIntent, Result<_, Undone>)| {
            let Autoscaler { key, spec, .. } = &*intent.autoscaler;
            let undone = |undone: Undone| {
                let problem = undone.to_string();
                Err(scale::unwritten(key, &spec.scale_target_ref, &problem))
            };
            written.unwrap_or_else(undone)
        };
        results.map(result).collect()
    }

    async fn report(&self, now: Timestamp, reports: Vec<Report>) {
        self.events.forget(now);
        let write = |report| self.write_report(now, report);
        let written = self
            .report_writes
            .send_each(&reports, |report| &report.autoscaler.key, write, |()| 0)
            .await;
        let mut late = reports
            .iter()
            .zip(written)
            .filter(|(_, written)| written.is_err());
        if let Some((report, _)) = late.next() {
            let ObjectKey { namespace, name } = &report.autoscaler.key;
            let others = late.count();
            tracing::warn!(%namespace, %name, others, "status and events were not written in time");
        }
    }
}

#[cfg(test)]
mod tests;
