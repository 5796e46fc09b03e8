//! Requests of pods, summed like in the scheduler.

use std::borrow::Cow;

use flyball_decision::quantity::Nano;
use flyball_placement::Resources;
use flyball_replicas::pods::{has_pod_level, request_of_containers, request_of_pod};

use super::pod::{Container, ContainerStatus, PodObject, Quantities};

/// Returns the effective request for every resource, including resizes. The formula is
/// that of the replica half ([`request_of_pod`]).
pub(super) fn effective(pod: &PodObject) -> Resources {
    if let Some(only) = only_list(pod) {
        return resources(only);
    }
    let containers = of_containers(pod);
    let own = &pod.spec.resources.requests;
    let overhead = &pod.spec.overhead;
    let mut sum = Quantities::new();
    for name in containers.keys().chain(own.keys()).chain(overhead.keys()) {
        let amount = |list: &Quantities| list.get(name).map(|amount| amount.0);
        if let Some(request) =
            request_of_pod(name, amount(own), amount(&containers), amount(overhead))
        {
            sum.insert(name.clone(), Nano(request));
        }
    }
    resources(&sum)
}

/// Returns the request of a pod's only container, if nothing else counts: most pods have no
/// more.
fn only_list(pod: &PodObject) -> Option<&Quantities> {
    let spec = &pod.spec;
    let ([container], []) = (&*spec.containers, &*spec.init_containers) else {
        return None;
    };
    if !spec.resources.requests.is_empty() || !spec.overhead.is_empty() {
        return None;
    }
    let own = &container.resources.requests;
    let status = status_of(container, pod);
    let resized = status.is_some_and(|status| {
        let allocated = &status.allocated_resources;
        let current = status.resources.as_ref();
        current.is_some_and(|current| {
            current.requests != *own || (!allocated.is_empty() && allocated != own)
        })
    });
    (!resized).then_some(own)
}

/// Returns the request of all containers together.
pub(super) fn of_containers(pod: &PodObject) -> Quantities {
    let spec = &pod.spec;
    let containers = spec.containers.iter();
    let containers: Vec<_> = containers.map(|one| requests(one, pod)).collect();
    let init_containers = spec.init_containers.iter().map(|one| {
        let is_sidecar = one.is_restartable();
        let requests = match is_sidecar {
            true => requests(one, pod),
            false => Cow::Borrowed(&one.resources.requests),
        };
        (requests, is_sidecar)
    });
    let init_containers: Vec<_> = init_containers.collect();
    let of_init = init_containers.iter().map(|(requests, _)| requests);
    let mut sum = Quantities::new();
    for name in containers.iter().chain(of_init).flat_map(|one| one.keys()) {
        if sum.contains_key(name) {
            continue;
        }
        let amount = |list: &Quantities| list.get(name).map(|amount| amount.0);
        let request = request_of_containers(
            containers.iter().map(|one| amount(one)),
            init_containers
                .iter()
                .map(|(one, is_sidecar)| (amount(one), *is_sidecar)),
        );
        sum.extend(request.map(|request| (name.clone(), Nano(request))));
    }
    sum
}

/// Returns the request of a container. During an in-place resize it is the maximum of
/// the desired, the actual and the allocated resources.
fn requests<'a>(container: &'a Container, pod: &PodObject) -> Cow<'a, Quantities> {
    let own = &container.resources.requests;
    let status = status_of(container, pod);
    let Some((status, current)) =
        status.and_then(|status| Some((status, status.resources.as_ref()?)))
    else {
        return Cow::Borrowed(own);
    };
    let mut most = current.requests.clone();
    raise(&mut most, &status.allocated_resources);
    if !is_infeasible(pod) {
        raise(&mut most, own);
    }
    Cow::Owned(most)
}

fn status_of<'a>(container: &Container, pod: &'a PodObject) -> Option<&'a ContainerStatus> {
    let statuses = pod.status.container_statuses.iter();
    let mut all = statuses.chain(&pod.status.init_container_statuses);
    all.find(|status| status.name == container.name)
}

/// Whether the node reported that it can't resize the pod.
fn is_infeasible(pod: &PodObject) -> bool {
    let mut conditions = pod.status.conditions.iter();
    conditions.any(|condition| {
        &*condition.kind == "PodResizePending" && &*condition.reason == "Infeasible"
    })
}

fn raise(most: &mut Quantities, other: &Quantities) {
    for (name, amount) in other {
        let known = most.entry(name.clone()).or_insert(*amount);
        *known = (*known).max(*amount);
    }
}

/// Converts quantities to the scheduler's units. Resources that it doesn't know are
/// left out.
pub(super) fn resources(quantities: &Quantities) -> Resources {
    let mut resources = Resources::default();
    for (name, amount) in quantities {
        match name.as_ref() {
            "cpu" => resources.cpu = amount.milli(),
            "memory" => resources.memory = amount.units(),
            "ephemeral-storage" => resources.ephemeral_storage = amount.units(),
            "pods" => resources.pods = amount.units(),
            // Quantities are ordered by name, as extended resources must be.
            other if is_scalar(other) => {
                resources.extended.push((name.clone(), amount.units()));
            }
            _ => {}
        }
    }
    resources
}

/// Whether the scheduler counts a resource by its name alone.
fn is_scalar(name: &str) -> bool {
    name.contains('/') || name.starts_with("hugepages-") || name.starts_with("attachable-volumes-")
}

/// Fills in missing requests from limits.
pub(super) fn fill_in(requests: &mut Quantities, limits: &Quantities) {
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert(*limit);
    }
}

/// Fills in missing requests of the pod level, for resources that can be set there.
pub(super) fn fill_in_pod_level(requests: &mut Quantities, from: &Quantities) {
    let pod_level = from.iter().filter(|(name, _)| has_pod_level(name));
    fill_in(
        requests,
        &pod_level
            .map(|(name, amount)| (name.clone(), Nano(amount.0)))
            .collect(),
    );
}
