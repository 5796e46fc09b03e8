//! What a pod mounts, as far as it decides where the pod may run.

use serde::{Deserialize, Serialize};

/// The volumes of a pod. Pods with different volumes are of different classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PodVolumes {}
