//! How an Auto Scaling group buys its instances.

use aws_sdk_autoscaling::types::AutoScalingGroup;

/// Returns whether new instances of a group are spot instances. `None` if the group has
/// both kinds, or if only its launch template says so, which is not looked up.
pub(super) fn is_spot(group: &AutoScalingGroup) -> Option<bool> {
    let policy = group.mixed_instances_policy()?;
    let distribution = policy.instances_distribution();
    // AWS' defaults: no base, and everything above it on demand.
    let base = distribution.and_then(|one| one.on_demand_base_capacity());
    let above = distribution.and_then(|one| one.on_demand_percentage_above_base_capacity());
    match (base.unwrap_or(0), above.unwrap_or(100)) {
        (_, 100) => Some(false),
        (0, 0) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{
        AutoScalingGroup, InstancesDistribution, MixedInstancesPolicy,
    };

    use super::is_spot;

    #[test]
    fn a_group_is_spot_if_none_of_its_instances_is_on_demand() {
        let spot = |base: Option<i32>, above: Option<i32>| {
            let distribution = InstancesDistribution::builder()
                .set_on_demand_base_capacity(base)
                .set_on_demand_percentage_above_base_capacity(above);
            let policy = MixedInstancesPolicy::builder();
            let policy = policy.instances_distribution(distribution.build()).build();
            is_spot(
                &AutoScalingGroup::builder()
                    .mixed_instances_policy(policy)
                    .build(),
            )
        };
        assert_eq!(spot(None, None), Some(false));
        assert_eq!(spot(Some(2), Some(100)), Some(false));
        assert_eq!(spot(None, Some(0)), Some(true));
        assert_eq!(spot(Some(2), Some(0)), None);
        assert_eq!(spot(None, Some(50)), None);
        let policy = MixedInstancesPolicy::builder().build();
        let group = AutoScalingGroup::builder().mixed_instances_policy(policy);
        assert_eq!(is_spot(&group.build()), Some(false));
        assert_eq!(is_spot(&AutoScalingGroup::builder().build()), None);
    }
}
