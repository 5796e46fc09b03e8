//! Converts Auto Scaling groups into node groups of the core.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance as AwsInstance};
use flyball_nodes::cloud::{Instance, InstanceState, NodeGroup};

use super::provider_id::provider_id;
use super::{instance_types, options, purchase, template};
use crate::prices::NodePrices;
use crate::spec::NodeGroupSpec;

/// Tag with the instance type of new nodes, which becomes a label of the template.
const INSTANCE_TYPE: &str =
    "k8s.io/cluster-autoscaler/node-template/label/node.kubernetes.io/instance-type";

/// Converts an Auto Scaling group into a node group. `None` if AWS returned no name for
/// it. The bounds are those of the spec, else the group's own.
pub(super) fn node_group(
    group: &AutoScalingGroup,
    spec: Option<&NodeGroupSpec>,
    region: &str,
    prices: &NodePrices,
) -> Option<NodeGroup> {
    let name = group.auto_scaling_group_name()?;
    let own = |size: Option<i32>| u32::try_from(size.unwrap_or_default()).unwrap_or_default();
    let tags = group.tags().iter();
    let tags = tags.filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
    let unreadable = |problem: String| {
        tracing::warn!(node_group = name, problem, "a tag can't be read: left out");
    };
    let mut types = instance_types::of_group(group);
    if types.is_empty() {
        // A group without nodes may tell by a tag, as for its template.
        let mut tags = tags.clone();
        types.extend(tags.find_map(|(key, value)| (key == INSTANCE_TYPE).then_some(value)));
    }
    let template = template::from_tags(tags.clone(), region, &types, unreadable);
    let instance_type = match types[..] {
        [only] => Some(only),
        _ => None,
    };
    let zones = group.availability_zones().iter();
    let zones: Vec<Arc<str>> = zones.map(|zone| zone.as_str().into()).collect();
    let spot = purchase::is_spot(group);
    let price = instance_type.and_then(|one| prices.price(one, &zones, spot));
    let suspended = group.suspended_processes().iter();
    let suspended = suspended.filter_map(|process| process.process_name());
    let suspended: BTreeSet<&str> = suspended.collect();
    Some(NodeGroup {
        name: name.into(),
        min_size: spec.map_or_else(|| own(group.min_size()), |spec| spec.min_size),
        max_size: spec.map_or_else(|| own(group.max_size()), |spec| spec.max_size),
        target_size: own(group.desired_capacity()),
        instances: group.instances().iter().filter_map(instance).collect(),
        zones,
        template: template.map(Arc::new),
        price,
        instance_type: instance_type.map(Arc::from),
        spot,
        scale_down: options::from_tags(tags, unreadable),
        suspended: suspended.into_iter().map(Arc::from).collect(),
    })
}

/// Converts an instance. `None` if it does not count towards the desired capacity, as
/// in a warm pool or on standby. (Putting an instance on standby either lowers that
/// capacity by one, or AWS launches another instance in its place.)
fn instance(instance: &AwsInstance) -> Option<Instance> {
    let state = state(instance.lifecycle_state()?.as_str())?;
    let zone = instance.availability_zone()?;
    Some(Instance {
        provider_id: provider_id(zone, instance.instance_id()?).into(),
        zone: Some(zone.into()),
        state,
        instance_type: instance.instance_type().map(Arc::from),
        spot: None,
    })
}

/// Converts the state of an instance in its lifecycle. `None` if it does not count towards
/// the desired capacity.
pub(super) fn state(lifecycle: &str) -> Option<InstanceState> {
    match lifecycle {
        "EnteringStandby" | "Standby" => None,
        _ if lifecycle.starts_with("Warmed") => None,
        _ if lifecycle.starts_with("Pending") => Some(InstanceState::Creating),
        _ if lifecycle.starts_with("Terminat") || lifecycle.starts_with("Detach") => {
            Some(InstanceState::Deleting)
        }
        _ => Some(InstanceState::Running),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::LifecycleState;
    use flyball_nodes::cloud::InstanceState;

    use super::state;

    #[test]
    fn every_state_of_an_instance_has_a_place() {
        for name in LifecycleState::values() {
            let expected = match *name {
                "Pending" | "Pending:Proceed" | "Pending:Wait" => Some(InstanceState::Creating),
                "Terminating"
                | "Terminating:Proceed"
                | "Terminating:Wait"
                | "Terminating:Retained"
                | "Terminated"
                | "Detaching"
                | "Detached" => Some(InstanceState::Deleting),
                "EnteringStandby" | "Standby" => None,
                warm if warm.starts_with("Warmed:") => None,
                _ => Some(InstanceState::Running),
            };
            assert_eq!(state(name), expected, "{name}");
        }
    }
}
