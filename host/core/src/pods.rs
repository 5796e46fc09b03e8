//! Pods, slim: what a decision needs of them, compacted where they are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::replica::{PodColumns, pod_state, request_mark};
use crate::time::{self, Timestamp};

/// The pods as a policy gets them: a row each, in their order.
#[must_use]
pub fn columns(pods: &[Pod]) -> PodColumns {
    let since = |pod: &Pod| time::column(pod.ready.and_then(|(_, since)| since));
    PodColumns {
        state: pods.iter().map(Pod::state).collect(),
        ready_transition_ms: pods.iter().map(since).collect(),
        start_ms: pods.iter().map(|pod| time::column(pod.start)).collect(),
        deletion_ms: pods.iter().map(|pod| time::column(pod.deletion)).collect(),
    }
}

/// What each pod requests of `resource`, in milli or as a [`request_mark`];
/// `container`: of that container alone; empty: of the pod.
#[must_use]
pub fn request_column(pods: &[Pod], resource: &str, container: &str) -> Vec<i64> {
    // Pods of one template share their requests.
    let mut last: Option<(&Arc<PodRequests>, i64)> = None;
    let mut column = Vec::with_capacity(pods.len());
    for Pod { requests, .. } in pods {
        let request = match last {
            Some((known, request)) if Arc::ptr_eq(known, requests) => request,
            _ => requests.of(resource, container),
        };
        last = Some((requests, request));
        column.push(request);
    }
    column
}

/// Name of the first container of `pod` without a request for `resource`, of those
/// whose requests [`request_column`] sums.
#[must_use]
pub fn first_without_request<'a>(
    pod: &'a Pod,
    resource: &str,
    container: &str,
) -> Option<&'a Arc<str>> {
    let mut counted = pod.requests.lasting();
    let without = counted.find(|candidate| {
        (container.is_empty() || &*candidate.name == container)
            && !candidate.requests.contains_key(resource)
    });
    without.map(|container| &container.name)
}

/// A pod that a scale target's selector matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Name: for messages only, no policy sees it.
    pub name: Arc<str>,
    /// `Pending`, `Running`, `Succeeded`, `Failed`, or nothing known.
    pub phase: Phase,
    /// The Ready condition and its last transition.
    pub ready: Option<(Ready, Option<Timestamp>)>,
    /// status.startTime.
    pub start: Option<Timestamp>,
    /// metadata.deletionTimestamp.
    pub deletion: Option<Timestamp>,
    /// What it requests: shared by the pods of one template.
    pub requests: Arc<PodRequests>,
}

impl Pod {
    /// Phase and readiness as bits of [`pod_state`].
    #[must_use]
    pub fn state(&self) -> u32 {
        let phase = match self.phase {
            Phase::Unknown => 0,
            Phase::Pending => pod_state::PENDING,
            Phase::Running => pod_state::RUNNING,
            Phase::Succeeded => pod_state::SUCCEEDED,
            Phase::Failed => pod_state::FAILED,
        };
        let ready = match self.ready {
            None => 0,
            Some((Ready::True, _)) => pod_state::READY,
            Some((Ready::False, _)) => pod_state::NOT_READY,
            Some((Ready::Unknown, _)) => pod_state::READY_UNKNOWN,
        };
        phase | ready
    }
}

/// Phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Any other phase.
    #[default]
    Unknown,
    /// Not all containers run yet.
    Pending,
    /// Running.
    Running,
    /// All containers ended well.
    Succeeded,
    /// A container ended badly.
    Failed,
}

/// Status of a pod's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Ready.
    True,
    /// Not ready.
    False,
    /// The kubelet is silent.
    Unknown,
}

/// Resources by name, in milli.
pub type Resources = BTreeMap<Arc<str>, i64>;

/// What the pods of one template request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodRequests {
    /// spec.containers.
    pub containers: Vec<Container>,
    /// spec.initContainers, in order.
    pub init_containers: Vec<Container>,
    /// spec.resources.requests: requests at pod level.
    pub pod: Resources,
    /// spec.overhead.
    pub overhead: Resources,
}

impl PodRequests {
    /// The request for `resource`, in milli or as a [`request_mark`], as the
    /// HorizontalPodAutoscaler takes it. Requests at pod level count if the pod
    /// sets any of the resources they exist for, unless a container is named.
    fn of(&self, resource: &str, container: &str) -> i64 {
        if !container.is_empty() {
            let named = self
                .lasting()
                .find(|candidate| &*candidate.name == container);
            return named.map_or(request_mark::NO_CONTAINER, |container| {
                container
                    .requests
                    .get(resource)
                    .copied()
                    .unwrap_or(request_mark::MISSING)
            });
        }
        if self.pod.keys().any(|name| has_pod_level(name)) {
            return self
                .at_pod_level(resource)
                .unwrap_or(request_mark::MISSING_AT_POD_LEVEL);
        }
        let requests = self
            .lasting()
            .map(|container| container.requests.get(resource));
        let sum = requests.sum::<Option<i64>>();
        sum.unwrap_or(request_mark::MISSING)
    }

    /// Containers that run as long as the pod: sidecars included.
    fn lasting(&self) -> impl Iterator<Item = &Container> {
        let sidecars = self
            .init_containers
            .iter()
            .filter(|container| container.restartable);
        self.containers.iter().chain(sidecars)
    }

    /// What the scheduler reckons with.
    fn at_pod_level(&self, resource: &str) -> Option<i64> {
        let amount = |requests: &Resources| requests.get(resource).copied().map(i128::from);
        let containers = self.containers.iter();
        let init_containers = self.init_containers.iter();
        let of_containers = request_of_containers(
            containers.map(|container| amount(&container.requests)),
            init_containers.map(|container| (amount(&container.requests), container.restartable)),
        );
        let request = request_of_pod(
            resource,
            amount(&self.pod),
            of_containers,
            amount(&self.overhead),
        );
        let limit = |request: i128| if request < 0 { i64::MIN } else { i64::MAX };
        request.map(|request| i64::try_from(request).unwrap_or_else(|_| limit(request)))
    }
}

/// Returns what a pod requests of a resource, as the scheduler reckons: the request for the
/// whole pod, if the resource has one, or else that of its containers, and the overhead on
/// top. `None` if nothing requests any.
#[must_use]
pub fn request_of_pod(
    resource: &str,
    pod: Option<i128>,
    containers: Option<i128>,
    overhead: Option<i128>,
) -> Option<i128> {
    let request = pod.filter(|_| has_pod_level(resource)).or(containers);
    match overhead {
        Some(overhead) => Some(request.unwrap_or(0).saturating_add(overhead)),
        None => request,
    }
}

/// Returns what the containers of a pod request together of a resource: the sum of those
/// that last, sidecars included, or what starting takes if that is more, since an init
/// container runs beside the sidecars before it. An init container comes with whether it
/// is a sidecar. `None` if no container requests any.
#[must_use]
pub fn request_of_containers(
    containers: impl Iterator<Item = Option<i128>>,
    init_containers: impl Iterator<Item = (Option<i128>, bool)>,
) -> Option<i128> {
    let plus = |a: Option<i128>, b: Option<i128>| match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    };
    let mut lasting = containers.fold(None, plus);
    let (mut sidecars, mut peak) = (None, None);
    for (own, is_sidecar) in init_containers {
        let together = plus(own, sidecars);
        if is_sidecar {
            lasting = plus(lasting, own);
            sidecars = together;
        }
        peak = peak.max(together);
    }
    lasting.max(peak)
}

/// Whether requests for `resource` exist at pod level.
#[must_use]
pub fn has_pod_level(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-")
}

/// A container's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// Name.
    pub name: Arc<str>,
    /// Requests; a resource not in it has none.
    pub requests: Resources,
    /// Init containers: restartPolicy Always, that is a sidecar.
    pub restartable: bool,
}
