//! Pods of a scale target, reduced to the fields that a decision uses.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::replica::{PodColumns, pod_state, request_mark};
use flyball_decision::time::{self, Timestamp};

/// Returns the pods as columns for a policy: one row each, in the same order.
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

/// Returns what each pod requests of `resource`, in milli or as a [`request_mark`]: the
/// request of the container named `container`, or of the whole pod if that is empty.
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

/// Returns the name of the first container of `pod` that has no request for `resource`,
/// among those whose requests [`request_column`] sums.
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
    /// Name, for messages only; policies do not see it.
    pub name: Arc<str>,
    /// status.phase.
    pub phase: Phase,
    /// The Ready condition and its last transition.
    pub ready: Option<(Ready, Option<Timestamp>)>,
    /// status.startTime.
    pub start: Option<Timestamp>,
    /// metadata.deletionTimestamp.
    pub deletion: Option<Timestamp>,
    /// Requests; pods of one template share the same `Arc`.
    pub requests: Arc<PodRequests>,
}

impl Pod {
    /// Returns phase and readiness as bits of [`pod_state`].
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
    /// All containers exited with success.
    Succeeded,
    /// A container failed.
    Failed,
}

/// Status of a pod's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Ready.
    True,
    /// Not ready.
    False,
    /// The kubelet does not report.
    Unknown,
}

/// Resources by name, in milli.
pub type Resources = BTreeMap<Arc<str>, i64>;

/// Resource requests of the pods of one template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodRequests {
    /// spec.containers.
    pub containers: Vec<Container>,
    /// spec.initContainers, in order.
    pub init_containers: Vec<Container>,
    /// spec.resources.requests: pod-level requests.
    pub pod: Resources,
    /// spec.overhead.
    pub overhead: Resources,
}

impl PodRequests {
    /// Returns the request for `resource`, in milli or as a [`request_mark`], computed as
    /// HorizontalPodAutoscaler does. Pod-level requests count if the pod sets any
    /// resource that supports them, unless a container is named.
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
        let mut requests = self
            .lasting()
            .map(|container| container.requests.get(resource));
        let sum = requests.try_fold(0_i64, |sum, request| Some(sum.saturating_add(*request?)));
        sum.unwrap_or(request_mark::MISSING)
    }

    /// Returns the containers that run as long as the pod, sidecars included.
    fn lasting(&self) -> impl Iterator<Item = &Container> {
        let sidecars = self
            .init_containers
            .iter()
            .filter(|container| container.restartable);
        self.containers.iter().chain(sidecars)
    }

    /// Returns the request of a pod with pod-level requests, computed as the scheduler
    /// does.
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

/// Returns what a pod requests of a resource, computed as the scheduler does: the
/// pod-level request if there is one and the resource supports it, else the containers'
/// request, plus the overhead. `None` if nothing requests the resource.
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

/// Returns what the containers of a pod request of a resource: the sum over containers
/// and sidecars, or the peak while init containers run if that is higher, since an init
/// container runs beside the sidecars before it. The flag of an init container says
/// whether it is a sidecar. `None` if no container requests the resource.
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

/// Returns whether `resource` supports pod-level requests.
#[must_use]
pub fn has_pod_level(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-")
}

/// A container's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// Name.
    pub name: Arc<str>,
    /// Requests; a resource that is missing has no request.
    pub requests: Resources,
    /// For init containers: restartPolicy is `Always`, which makes it a sidecar.
    pub restartable: bool,
}

#[cfg(test)]
mod tests {
    use std::iter;
    use std::sync::Arc;

    use super::{
        Container, Pod, PodRequests, Resources, request_column, request_of_containers,
        request_of_pod,
    };

    #[test]
    fn the_sum_of_huge_requests_is_the_largest_request() {
        let huge = || Resources::from([("cpu".into(), i64::MAX - 1)]);
        let container = |restartable| Container {
            name: "app".into(),
            requests: huge(),
            restartable,
        };
        // A request for memory at pod level, so that cpu is counted as the scheduler does.
        let pod = || Resources::from([("memory".into(), 1)]);
        for requests in [
            PodRequests {
                containers: vec![container(false), container(false)],
                ..PodRequests::default()
            },
            PodRequests {
                containers: vec![container(false)],
                init_containers: vec![container(true)],
                ..PodRequests::default()
            },
            PodRequests {
                containers: vec![container(false), container(false)],
                pod: pod(),
                ..PodRequests::default()
            },
            PodRequests {
                init_containers: vec![container(true), container(false)],
                pod: pod(),
                ..PodRequests::default()
            },
            PodRequests {
                pod: huge(),
                overhead: huge(),
                ..PodRequests::default()
            },
        ] {
            let pod = Pod {
                requests: Arc::new(requests),
                ..Pod::default()
            };
            let column = request_column(std::slice::from_ref(&pod), "cpu", "");
            assert_eq!(column, [i64::MAX], "{pod:?}");
        }
    }

    /// The node half counts in units of its own.
    #[test]
    fn the_sum_of_huge_requests_is_the_largest_request_in_any_unit() {
        let (huge, most) = (Some(i128::MAX - 1), Some(i128::MAX));
        let containers = [huge, huge].into_iter();
        assert_eq!(request_of_containers(containers, iter::empty()), most);
        let init_containers = [(huge, true), (huge, false)].into_iter();
        assert_eq!(request_of_containers(iter::empty(), init_containers), most);
        assert_eq!(request_of_pod("cpu", huge, None, huge), most);
        assert_eq!(request_of_pod("cpu", None, huge, huge), most);
    }
}
