//! ReplicaSets, StatefulSets, ReplicationControllers and Jobs in JSON.

use flyball_decision::key::ObjectKey;
use flyball_nodes::state::{OwnerFacts, OwnerKind};
use serde::Deserialize;

use super::pod::ObjectMetadata;

/// What the four kinds have in common.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct OwnerObject {
    metadata: ObjectMetadata,
    spec: OwnerSpec,
    status: OwnerStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct OwnerSpec {
    replicas: Option<i32>,
    /// Of a Job.
    parallelism: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OwnerStatus {
    ready_replicas: i32,
    /// Of a Job.
    ready: i32,
}

impl OwnerObject {
    fn into_facts(self, kind: OwnerKind) -> OwnerFacts {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let (desired, ready) = match kind {
            OwnerKind::Job => (spec.parallelism, status.ready),
            _ => (spec.replicas, status.ready_replicas),
        };
        OwnerFacts {
            kind,
            desired,
            ready,
            deleting: metadata.is_terminating(),
            uid: metadata.uid,
            key: ObjectKey {
                namespace: metadata.namespace,
                name: metadata.name,
            },
        }
    }
}

/// Defines the slim type of a kind.
macro_rules! owner {
    ($object:ident, $kind:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(transparent)]
        pub struct $object(OwnerObject);

        impl $object {
            /// Returns the metadata.
            pub fn metadata(&self) -> &ObjectMetadata {
                &self.0.metadata
            }

            /// Converts the owner for the core.
            pub fn into_facts(self) -> OwnerFacts {
                self.0.into_facts(OwnerKind::$kind)
            }
        }
    };
}

owner!(
    ReplicaSetObject,
    ReplicaSet,
    "A ReplicaSet of the API server."
);
owner!(
    StatefulSetObject,
    StatefulSet,
    "A StatefulSet of the API server."
);
owner!(
    ReplicationControllerObject,
    ReplicationController,
    "A ReplicationController of the API server."
);
owner!(JobObject, Job, "A Job of the API server.");
