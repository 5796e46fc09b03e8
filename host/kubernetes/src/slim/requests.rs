//! What a pod requests of its node, as the scheduler adds it up.

use flyball_core::quantity::Nano;
use flyball_placement::Resources;

use super::pod::{Container, ContainerStatus, PodObject, Quantities};

/// The effective request: the larger of containers with sidecars and of each init
/// container with the sidecars before it; what is set for the whole pod in its
/// place; then overhead.
pub(super) fn effective(pod: &PodObject) -> Resources {
    let mut sum = of_containers(pod);
    for (name, amount) in &pod.spec.resources.requests {
        if is_pod_level(name) {
            sum.insert(name.clone(), *amount);
        }
    }
    add(&mut sum, &pod.spec.overhead);
    resources(&sum)
}

/// Whether a resource can be requested for a whole pod.
pub(super) fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

/// What the containers request together.
pub(super) fn of_containers(pod: &PodObject) -> Quantities {
    let mut sum = Quantities::new();
    for container in &pod.spec.containers {
        add_container(&mut sum, container, pod);
    }
    if pod.spec.init_containers.is_empty() {
        return sum;
    }
    let mut sidecars = Quantities::new();
    let mut peak = Quantities::new();
    for container in &pod.spec.init_containers {
        if container.is_restartable() {
            add_container(&mut sum, container, pod);
            add_container(&mut sidecars, container, pod);
            raise(&mut peak, &sidecars);
        } else {
            let mut together = sidecars.clone();
            add(&mut together, &container.resources.requests);
            raise(&mut peak, &together);
        }
    }
    raise(&mut sum, &peak);
    sum
}

/// Adds a container's request: where it is resized in place, the most of what it
/// is to have, what it has, and what it was granted.
fn add_container(sum: &mut Quantities, container: &Container, pod: &PodObject) {
    let status = status_of(container, pod);
    let Some((status, current)) =
        status.and_then(|status| Some((status, status.resources.as_ref()?)))
    else {
        add(sum, &container.resources.requests);
        return;
    };
    let mut most = current.requests.clone();
    raise(&mut most, &status.allocated_resources);
    if !is_infeasible(pod) {
        raise(&mut most, &container.resources.requests);
    }
    add(sum, &most);
}

fn status_of<'a>(container: &Container, pod: &'a PodObject) -> Option<&'a ContainerStatus> {
    let statuses = pod.status.container_statuses.iter();
    let mut all = statuses.chain(&pod.status.init_container_statuses);
    all.find(|status| status.name == container.name)
}

/// Whether the node said that it can't resize the pod.
fn is_infeasible(pod: &PodObject) -> bool {
    let mut conditions = pod.status.conditions.iter();
    conditions.any(|condition| {
        &*condition.kind == "PodResizePending" && &*condition.reason == "Infeasible"
    })
}

fn add(sum: &mut Quantities, more: &Quantities) {
    for (name, amount) in more {
        let known = sum.entry(name.clone()).or_default();
        known.0 = known.0.saturating_add(amount.0);
    }
}

fn raise(most: &mut Quantities, other: &Quantities) {
    for (name, amount) in other {
        let known = most.entry(name.clone()).or_insert(*amount);
        *known = (*known).max(*amount);
    }
}

/// Quantities in the scheduler's units. Resources it doesn't know are left out.
pub(super) fn resources(quantities: &Quantities) -> Resources {
    let mut resources = Resources::default();
    for (name, amount) in quantities {
        match name.as_ref() {
            "cpu" => resources.cpu = amount.milli(),
            "memory" => resources.memory = amount.units(),
            "ephemeral-storage" => resources.ephemeral_storage = amount.units(),
            "pods" => resources.pods = amount.units(),
            // Quantities are ordered by name, as extended resources are to be.
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

/// Requests that are missing are what the limits are.
pub(super) fn fill_in(requests: &mut Quantities, limits: &Quantities) {
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert(*limit);
    }
}

/// A quantity that is set for the whole pod where it is missing.
pub(super) fn fill_in_pod_level(requests: &mut Quantities, from: &Quantities) {
    let pod_level = from.iter().filter(|(name, _)| is_pod_level(name));
    fill_in(
        requests,
        &pod_level
            .map(|(name, amount)| (name.clone(), Nano(amount.0)))
            .collect(),
    );
}
