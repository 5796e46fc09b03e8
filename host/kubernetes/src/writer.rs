//! Carries the core's intents out: the only place that writes to the cluster,
//! and only while this process is leader.

use std::fmt::Write as _;
use std::sync::Arc;

use flyball_core::ports::{ObjectKey, Report, ScaleIntent, Writer};
use flyball_core::status::Event;
use flyball_core::time::Timestamp;
use futures::{StreamExt, stream};
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::events::{self, EventType, Recorder, Reporter};
use kube::{Api, Client};
use tokio::sync::watch;

use crate::request::{CONCURRENCY, answer, in_words};
use crate::resource::{self, PatchedObject, ReplicaAutoscaler, StatusPatch};
use crate::scale::Scales;
use crate::status::StatusObject;

/// Owner of the fields that are written.
const FIELD_MANAGER: &str = "flyball";

/// Writes to a Kubernetes cluster.
pub struct KubernetesWriter {
    client: Client,
    scales: Scales,
    recorder: Recorder,
    leader: watch::Receiver<bool>,
}

impl KubernetesWriter {
    /// A writer that writes while `leader` holds.
    #[must_use]
    pub fn new(client: Client, leader: watch::Receiver<bool>) -> Self {
        let recorder = Recorder::new(client.clone(), Reporter::from(FIELD_MANAGER));
        Self {
            scales: Scales::new(client.clone()),
            client,
            recorder,
            leader,
        }
    }

    fn is_leader(&self) -> bool {
        *self.leader.borrow()
    }

    async fn write_scale(&self, intent: ScaleIntent) -> Result<(), String> {
        if !self.is_leader() {
            return Err("not the leader: nothing is written".to_owned());
        }
        let ScaleIntent {
            autoscaler,
            from,
            replicas,
        } = intent;
        let target = &autoscaler.spec.scale_target_ref;
        self.scales
            .set(&autoscaler.key, target, &from, replicas)
            .await
    }

    async fn write_report(&self, report: Report) {
        if !self.is_leader() {
            return;
        }
        let key = &report.autoscaler.key;
        if let Some(status) = &report.status {
            let status = StatusObject::new(status, &report.autoscaler.spec);
            if let Err(problem) = self.write_status(key, &report.autoscaler.uid, status).await {
                let ObjectKey { namespace, name } = key;
                tracing::warn!(%namespace, %name, %problem, "the status was not written");
            }
        }
        for event in &report.events {
            if let Err(error) = self.publish(key, &report.autoscaler.uid, event).await {
                let ObjectKey { namespace, name } = key;
                let (reason, problem) = (&event.reason, in_words(&error));
                tracing::warn!(%namespace, %name, %reason, %problem, "an event was not published");
            }
        }
    }

    async fn write_status(
        &self,
        key: &ObjectKey,
        uid: &Arc<str>,
        status: StatusObject,
    ) -> Result<(), String> {
        let kind = ApiResource::erase::<ReplicaAutoscaler>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &kind);
        let patch = StatusPatch {
            api_version: resource::api_version(),
            kind: resource::KIND,
            metadata: PatchedObject {
                name: key.name.to_string(),
                uid: uid.to_string(),
            },
            status,
        };
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let written = answer(api.patch_status(&key.name, &parameters, &Patch::Apply(patch))).await;
        written
            .map(drop)
            .map_err(|error| error.message().to_owned())
    }

    async fn publish(&self, key: &ObjectKey, uid: &str, event: &Event) -> kube::Result<()> {
        let event_type = if event.warning {
            EventType::Warning
        } else {
            EventType::Normal
        };
        let published = events::Event {
            type_: event_type,
            reason: event.reason.clone(),
            note: Some(event.message.chars().take(NOTE_LENGTH).collect()),
            action: action(event),
            secondary: None,
        };
        let about = resource::object_reference(&key.namespace, &key.name, uid);
        self.recorder.publish(&published, &about).await
    }
}

impl Writer for KubernetesWriter {
    async fn scale(&self, _now: Timestamp, intents: Vec<ScaleIntent>) -> Vec<Result<(), String>> {
        let writes = intents.into_iter().map(|intent| self.write_scale(intent));
        stream::iter(writes).buffered(CONCURRENCY).collect().await
    }

    async fn report(&self, _now: Timestamp, reports: Vec<Report>) {
        let writes = reports.into_iter().map(|report| self.write_report(report));
        stream::iter(writes)
            .buffer_unordered(CONCURRENCY)
            .collect::<()>()
            .await;
    }
}

/// Characters that the API server takes of a note (1 KiB, at most 4 bytes each).
const NOTE_LENGTH: usize = 256;

/// The recorder takes events for the same if all but their note is: the action,
/// which nobody reads, tells events of another note apart.
fn action(event: &Event) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in event.message.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut action = "Scale".to_owned();
    // Writing to a String can't fail.
    let _ = write!(action, "-{hash:016x}");
    action
}
