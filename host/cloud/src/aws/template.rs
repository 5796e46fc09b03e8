//! Node templates from the tags of an Auto Scaling group,
//! `k8s.io/cluster-autoscaler/node-template/…`.
//!
//! The size of instance types is not known here: a group without tags for cpu and
//! memory has no template of its own, and needs a live node to derive one from. Labels
//! that every node gets are added to those of the tags, as far as the group determines
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::quantity::Milli;
use flyball_nodes::cloud::{NodeTemplate, TemplateTaint};

use super::instance_types::architecture;

const PREFIX: &str = "k8s.io/cluster-autoscaler/node-template/";
/// Pods of a node if no tag sets them: the kubelet's default.
const DEFAULT_PODS: i64 = 110;
/// Labels with a node's zone as value, besides `topology.kubernetes.io/zone`: its beta
/// name, and the EBS driver's label, which the affinity of its volumes uses.
const ZONE_LABELS: [&str; 2] = [
    "failure-domain.beta.kubernetes.io/zone",
    "topology.ebs.csi.aws.com/zone",
];
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Returns the template that a group's tags describe. `None` if cpu or memory is
/// missing. Tags that can't be read are left out, and reported to `problem`. `types`
/// are the instance types that a new node may have, empty if not known.
#[must_use]
pub fn from_tags<'a>(
    tags: impl IntoIterator<Item = (&'a str, &'a str)>,
    region: &str,
    types: &[&str],
    mut problem: impl FnMut(String),
) -> Option<NodeTemplate> {
    let mut template = NodeTemplate {
        labels: well_known_labels(region, types),
        zone_labels: ZONE_LABELS.map(Arc::from).to_vec(),
        ..NodeTemplate::default()
    };
    template.capacity.insert("pods".into(), DEFAULT_PODS * 1000);
    for (key, value) in tags {
        let Some((kind, name)) = key.strip_prefix(PREFIX).and_then(|k| k.split_once('/')) else {
            continue;
        };
        if name.is_empty() {
            continue;
        }
        match kind {
            "label" => {
                template.labels.insert(name.into(), value.into());
            }
            "taint" => match taint(name, value) {
                Some(taint) => template.taints.push(taint),
                None => problem(format!("{key}: {value:?} is not VALUE:EFFECT of a taint")),
            },
            "resources" => match Milli::parse(value) {
                Ok(Milli(amount)) if amount >= 0 => {
                    template.capacity.insert(name.into(), amount);
                }
                _ => problem(format!("{key}: {value:?} is not an amount")),
            },
            _ => {}
        }
    }
    let known = ["cpu", "memory"].iter().all(|name| {
        template
            .capacity
            .get(*name)
            .is_some_and(|amount| *amount > 0)
    });
    // Tags don't describe the kubelet's reservations, so allocatable is the capacity.
    template.allocatable = template.capacity.clone();
    known.then_some(template)
}

/// Returns labels that every node gets, by their GA and beta names. The instance type
/// is included if there is only one, the architecture if all types have the same.
fn well_known_labels(region: &str, types: &[&str]) -> BTreeMap<Arc<str>, Arc<str>> {
    let only = match types {
        [only] => Some(*only),
        _ => None,
    };
    let architectures = types.iter().map(|name| architecture(name));
    let architecture = architectures.reduce(|one, other| one.filter(|_| one == other));
    let known = [
        (["kubernetes.io/os", "beta.kubernetes.io/os"], Some("linux")),
        (
            ["kubernetes.io/arch", "beta.kubernetes.io/arch"],
            architecture.flatten(),
        ),
        (
            [
                "node.kubernetes.io/instance-type",
                "beta.kubernetes.io/instance-type",
            ],
            only,
        ),
        (
            [
                "topology.kubernetes.io/region",
                "failure-domain.beta.kubernetes.io/region",
            ],
            Some(region),
        ),
    ];
    let labels = known.into_iter().filter_map(|(keys, value)| {
        let value: Arc<str> = value?.into();
        Some(keys.map(|key| (key.into(), Arc::clone(&value))))
    });
    labels.flatten().collect()
}

fn taint(key: &str, text: &str) -> Option<TemplateTaint> {
    let (value, effect) = text.rsplit_once(':')?;
    EFFECTS.contains(&effect).then(|| TemplateTaint {
        key: key.into(),
        value: value.into(),
        effect: effect.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::from_tags;

    fn tag(name: &str) -> String {
        format!("k8s.io/cluster-autoscaler/node-template/{name}")
    }

    #[test]
    fn tags_make_a_template_and_wrong_ones_are_told() {
        let tags = [
            ("resources/cpu", "2"),
            ("resources/memory", "8Gi"),
            ("resources/nvidia.com/gpu", "lots"),
            ("label/pool", "spot"),
            ("label/topology.kubernetes.io/zone", "mine"),
            ("taint/dedicated", "a:b:NoSchedule"),
            ("taint/broken", "x:NoScheduleAtAll"),
        ]
        .map(|(name, value)| (tag(name), value));
        let mut problems = Vec::new();
        let tags = tags.iter().map(|(name, value)| (name.as_str(), *value));
        let template = from_tags(tags, "eu-west-1", &[], |text| problems.push(text));
        let template = template.unwrap_or_default();
        assert_eq!(template.capacity.get("cpu"), Some(&2000));
        assert_eq!(
            template.allocatable.get("memory"),
            Some(&((8 << 30) * 1000))
        );
        assert_eq!(template.allocatable.get("pods"), Some(&110_000));
        assert_eq!(template.labels.get("pool").map(|l| &**l), Some("spot"));
        let zone = template.labels.get("topology.kubernetes.io/zone");
        assert_eq!(zone.map(|label| &**label), Some("mine"));
        let taints: Vec<_> = template
            .taints
            .iter()
            .map(|t| (&*t.value, &*t.effect))
            .collect();
        assert_eq!(taints, [("a:b", "NoSchedule")]);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("gpu") && problems[1].contains("broken"));
    }

    #[test]
    fn without_cpu_and_memory_there_is_no_template() {
        let cpu = tag("resources/cpu");
        let template = from_tags([(cpu.as_str(), "2")], "eu-west-1", &[], drop);
        assert!(template.is_none());
    }

    #[test]
    fn labels_that_every_node_gets_are_there_and_a_tag_is_above_them() {
        let label = |types: &[&str], arch: &str, key: &str| {
            let tags = [
                (tag("resources/cpu"), "2"),
                (tag("resources/memory"), "8Gi"),
                (tag("label/kubernetes.io/arch"), arch),
            ];
            let tags = tags.iter().filter(|(_, value)| !value.is_empty());
            let tags = tags.map(|(name, value)| (name.as_str(), *value));
            let template = from_tags(tags, "eu-west-1", types, drop).unwrap_or_default();
            let label = template.labels.get(key);
            label.map_or_else(String::new, |label| label.to_string())
        };
        let (arch, instance_type) = ("kubernetes.io/arch", "node.kubernetes.io/instance-type");
        assert_eq!(label(&["m7g.large"], "", arch), "arm64");
        assert_eq!(label(&["m7g.large"], "", instance_type), "m7g.large");
        assert_eq!(label(&["m5.large", "m6i.large"], "", arch), "amd64");
        assert_eq!(label(&["m5.large", "m6i.large"], "", instance_type), "");
        assert_eq!(label(&["m5.large", "m6g.large"], "", arch), "");
        assert_eq!(label(&["m5.large", "mac2.metal"], "", arch), "");
        assert_eq!(label(&[], "", arch), "");
        assert_eq!(label(&["m5.large", "m6g.large"], "arm64", arch), "arm64");
        assert_eq!(label(&[], "", "beta.kubernetes.io/os"), "linux");
    }
}
