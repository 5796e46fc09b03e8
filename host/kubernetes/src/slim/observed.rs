//! Converts pods into the data that replica policies get.

use flyball_decision::time::Timestamp;
use flyball_placement::Name;
use flyball_replicas::pods::{self, Phase, PodRequests, Ready, Resources};

use super::pod::{Container, PodObject, Quantities};
use super::time::timestamp;

impl PodObject {
    /// status.phase.
    pub(crate) fn phase(&self) -> Phase {
        match &*self.status.phase {
            "Pending" => Phase::Pending,
            "Running" => Phase::Running,
            "Succeeded" => Phase::Succeeded,
            "Failed" => Phase::Failed,
            _ => Phase::Unknown,
        }
    }

    /// Returns the Ready condition and its last transition. `None` if the pod has no
    /// such condition.
    pub(crate) fn ready(&self) -> Option<(Ready, Option<Timestamp>)> {
        let mut conditions = self.status.conditions.iter();
        let condition = conditions.find(|condition| &*condition.kind == "Ready")?;
        let status = match &*condition.status {
            "True" => Ready::True,
            "False" => Ready::False,
            _ => Ready::Unknown,
        };
        Some((status, timestamp(condition.last_transition_time)))
    }

    /// status.startTime.
    pub(crate) fn start(&self) -> Option<Timestamp> {
        timestamp(self.status.start_time)
    }

    /// metadata.deletionTimestamp.
    pub(crate) fn deletion(&self) -> Option<Timestamp> {
        timestamp(self.metadata.deletion_timestamp)
    }

    /// Returns the requests of the spec, each quantity rounded up to thousandths.
    /// `share` returns the copy of a string that all pods share.
    pub(crate) fn requests(&self, share: &mut impl FnMut(&Name) -> Name) -> PodRequests {
        let spec = &self.spec;
        PodRequests {
            containers: containers(&spec.containers, share),
            init_containers: containers(&spec.init_containers, share),
            pod: amounts(&spec.resources.requests, share),
            overhead: amounts(&spec.overhead, share),
        }
    }
}

fn containers(
    containers: &[Container],
    share: &mut impl FnMut(&Name) -> Name,
) -> Vec<pods::Container> {
    let container = |container: &Container| pods::Container {
        name: share(&container.name),
        requests: amounts(&container.resources.requests, share),
        restartable: container.is_restartable(),
    };
    containers.iter().map(container).collect()
}

fn amounts(quantities: &Quantities, share: &mut impl FnMut(&Name) -> Name) -> Resources {
    let amounts = quantities.iter();
    amounts
        .map(|(name, amount)| (share(name), amount.milli()))
        .collect()
}
