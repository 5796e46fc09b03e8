//! Converts Auto Scaling groups into node groups of the core.

use std::sync::Arc;

use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance as AwsInstance, LifecycleState};
use flyball_nodes::cloud::{GroupScaleDown, Instance, InstanceState, NodeGroup};

use super::provider_id::provider_id;
use super::{instance_types, template};
use crate::spec::NodeGroupSpec;

/// Converts an Auto Scaling group into a node group. `None` if AWS returned no name for
/// it. The bounds are those of the spec, else the group's own.
pub(super) fn node_group(
    group: &AutoScalingGroup,
    spec: Option<&NodeGroupSpec>,
    region: &str,
) -> Option<NodeGroup> {
    let name = group.auto_scaling_group_name()?;
    let own = |size: Option<i32>| u32::try_from(size.unwrap_or_default()).unwrap_or_default();
    let tags = group.tags().iter();
    let tags = tags.filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())));
    let types = instance_types::of_group(group);
    let template = template::from_tags(tags, region, &types, |problem| {
        tracing::warn!(node_group = name, problem, "a tag can't be read: left out");
    });
    let zones = group.availability_zones().iter();
    Some(NodeGroup {
        name: name.into(),
        min_size: spec.map_or_else(|| own(group.min_size()), |spec| spec.min_size),
        max_size: spec.map_or_else(|| own(group.max_size()), |spec| spec.max_size),
        target_size: own(group.desired_capacity()),
        instances: group.instances().iter().filter_map(instance).collect(),
        zones: zones.map(|zone| zone.as_str().into()).collect(),
        template: template.map(Arc::new),
        price: None,
        instance_type: None,
        spot: None,
        scale_down: GroupScaleDown::default(),
        suspended: Vec::new(),
    })
}

/// Converts an instance. `None` if it does not count towards the desired capacity, as
/// in a warm pool or on standby. (Putting an instance on standby either lowers that
/// capacity by one, or AWS launches another instance in its place.)
fn instance(instance: &AwsInstance) -> Option<Instance> {
    let state = state(instance.lifecycle_state()?)?;
    let zone = instance.availability_zone()?;
    Some(Instance {
        provider_id: provider_id(zone, instance.instance_id()?).into(),
        zone: Some(zone.into()),
        state,
        instance_type: instance.instance_type().map(Arc::from),
        spot: None,
    })
}

fn state(state: &LifecycleState) -> Option<InstanceState> {
    let text = state.as_str();
    match text {
        "EnteringStandby" | "Standby" => None,
        _ if text.starts_with("Warmed") => None,
        _ if text.starts_with("Pending") => Some(InstanceState::Creating),
        _ if text.starts_with("Terminat") || text.starts_with("Detach") => {
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
            assert_eq!(state(&LifecycleState::from(*name)), expected, "{name}");
        }
    }
}
