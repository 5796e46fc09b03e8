//! The instance types of an Auto Scaling group, and their architecture.

use aws_sdk_autoscaling::types::AutoScalingGroup;

/// Returns the instance types that a new node of a group may have, each once: those of
/// its mixed instances policy, else those of its instances. Empty if they are not
/// known.
///
/// Launch templates are not looked up, which would need calls to EC2.
pub(super) fn of_group(group: &AutoScalingGroup) -> Vec<&str> {
    let policy = group.mixed_instances_policy();
    let overrides = policy
        .and_then(|policy| policy.launch_template())
        .map_or(&[][..], |template| template.overrides());
    // If an override has attributes instead of a type, any type with them is possible.
    let named: Option<Vec<&str>> = overrides.iter().map(|one| one.instance_type()).collect();
    let mut types = match named {
        None => Vec::new(),
        Some(named) if !named.is_empty() => named,
        Some(_) => {
            let instances = group.instances().iter();
            instances.filter_map(|one| one.instance_type()).collect()
        }
    };
    types.sort_unstable();
    types.dedup();
    types
}

/// Returns the architecture of an instance type, as in `kubernetes.io/arch`. `None` if
/// the name does not show it.
///
/// A name has letters for the family, the generation, and letters for attributes, of
/// which `g` is AWS' own processor
/// (<https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html>).
/// The first generation of that processor (`a1`) has no such letter.
pub(super) fn architecture(instance_type: &str) -> Option<&'static str> {
    let (family, _) = instance_type.split_once('.')?;
    let series = family.trim_end_matches("-flex");
    let is_letter = |letter: char| letter.is_ascii_lowercase();
    let numbered = series.trim_start_matches(is_letter);
    let attributes = numbered.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let is_usual = series.starts_with(is_letter)
        && attributes.len() < numbered.len()
        && attributes.chars().all(is_letter);
    match series {
        "a1" => Some("arm64"),
        // Macs have either architecture.
        _ if !is_usual || series.starts_with("mac") => None,
        _ if attributes.contains('g') => Some("arm64"),
        _ => Some("amd64"),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{
        AutoScalingGroup, Instance, LaunchTemplate, LaunchTemplateOverrides, MixedInstancesPolicy,
    };

    use super::{architecture, of_group};

    #[test]
    fn the_name_of_a_type_says_its_architecture() {
        for (types, expected) in [
            (
                "a1 t4g m6g m7gd c6gn x2gd im4gn is4gen g5g hpc7g i8g",
                Some("arm64"),
            ),
            (
                "t2 t3a m5 m7i-flex c5n g4dn g4ad g6e gr6 x2iezn u7i hpc6a p5 trn1",
                Some("amd64"),
            ),
            ("mac1 mac2-m2pro u-6tb1 u7in-16tb p6e-gb200 7g", None),
        ] {
            for name in types.split(' ') {
                assert_eq!(architecture(&format!("{name}.large")), expected, "{name}");
            }
        }
        assert_eq!(architecture("m5"), None);
    }

    fn group(overrides: &[Option<&str>], instances: &[&str]) -> AutoScalingGroup {
        let overrides = overrides.iter().map(|name| {
            let name = name.map(str::to_owned);
            let one = LaunchTemplateOverrides::builder();
            one.set_instance_type(name).build()
        });
        let template = LaunchTemplate::builder().set_overrides(Some(overrides.collect()));
        let policy = MixedInstancesPolicy::builder().launch_template(template.build());
        let instances = instances.iter();
        let instances = instances.map(|name| Instance::builder().instance_type(*name).build());
        let group = AutoScalingGroup::builder().mixed_instances_policy(policy.build());
        group.set_instances(Some(instances.collect())).build()
    }

    #[test]
    fn types_are_those_of_the_policy_or_of_the_instances() {
        let types = |group: &AutoScalingGroup| of_group(group).join(" ");
        let overrides = [Some("m5.large"), Some("c5.large"), Some("m5.large")];
        assert_eq!(
            types(&group(&overrides, &["t3.large"])),
            "c5.large m5.large"
        );
        let any = [Some("m5.large"), None];
        assert_eq!(types(&group(&any, &["t3.large"])), "");
        assert_eq!(types(&group(&[], &["t3.large"])), "t3.large");
        assert_eq!(types(&AutoScalingGroup::builder().build()), "");
    }
}
