//! Node groups from a file, for `flyball plan`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use flyball_decision::quantity::Milli;
use flyball_nodes::cloud::{
    GroupScaleDown, Instance, InstanceState, NodeGroup, NodeTemplate, TemplateTaint,
};
use flyball_nodes::state::ClusterState;
use serde::Deserialize;

/// Pods per node if a template does not say.
const DEFAULT_PODS: i64 = 110;
const ZONE: &str = "topology.kubernetes.io/zone";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    node_groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Group {
    name: String,
    #[serde(default)]
    min: u32,
    max: u32,
    /// Target size; left out: the number of its nodes in the dump.
    #[serde(default)]
    size: Option<u32>,
    /// Selects its nodes in the dump by their labels; left out: it has none.
    #[serde(default)]
    node_selector: BTreeMap<String, String>,
    #[serde(default)]
    price: Option<f64>,
    /// Zones that its nodes may be created in.
    #[serde(default)]
    zones: Vec<String>,
    #[serde(default)]
    template: Option<Template>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Template {
    capacity: BTreeMap<String, Milli>,
    /// Left out: the same as the capacity.
    #[serde(default)]
    allocatable: Option<BTreeMap<String, Milli>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    taints: Vec<Taint>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Taint {
    key: String,
    #[serde(default)]
    value: String,
    effect: String,
}

/// Returns the groups of a file, ordered by name, with their nodes in the cluster.
pub fn read(path: &Path, state: &ClusterState) -> anyhow::Result<Vec<Arc<NodeGroup>>> {
    let file = path.display();
    let text =
        flyball_files::read_to_string(path).with_context(|| format!("cannot read {file}"))?;
    let parsed: File = serde_saphyr::from_str(&text)
        .with_context(|| format!("{file} does not list node groups (see flyball plan --help)"))?;
    let mut groups = Vec::new();
    let mut names = BTreeSet::new();
    let mut members: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
    for group in parsed.node_groups {
        ensure!(
            names.insert(group.name.clone()),
            "{file}: node group {} occurs twice",
            group.name
        );
        let name = group.name.clone();
        let group = group
            .resolve(state, &mut members)
            .with_context(|| format!("{file}: node group {name}"))?;
        groups.push(Arc::new(group));
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

impl Group {
    fn resolve(
        self,
        state: &ClusterState,
        members: &mut BTreeMap<Arc<str>, Arc<str>>,
    ) -> anyhow::Result<NodeGroup> {
        let (min, max) = (self.min, self.max);
        ensure!(min <= max, "min {min} is above max {max}");
        if let Some(price) = self.price {
            ensure!(price.is_finite() && price >= 0.0, "{price} is no price");
        }
        let name: Arc<str> = self.name.as_str().into();
        let mut instances = Vec::new();
        for node in state.nodes().filter(|node| self.has(&node.facts.node)) {
            let node_name = &node.facts.node.name;
            if let Some(other) = members.insert(node_name.clone(), name.clone()) {
                bail!("its nodeSelector selects node {node_name}, which {other} has too");
            }
            instances.push(Instance {
                provider_id: node
                    .facts
                    .provider_id
                    .clone()
                    .unwrap_or_else(|| node_name.clone()),
                zone: None,
                state: InstanceState::Running,
                instance_type: None,
                spot: None,
            });
        }
        if let Some(template) = &self.template {
            ensure!(
                self.zones.is_empty() || !template.labels.contains_key(ZONE),
                "zones and the label {ZONE} of its template both say where its nodes are: leave one out"
            );
        }
        let template = self.template.map(Template::resolve).transpose()?;
        let count = u32::try_from(instances.len()).unwrap_or(u32::MAX);
        Ok(NodeGroup {
            name,
            min_size: min,
            max_size: max,
            target_size: self.size.unwrap_or(count),
            instances,
            zones: self.zones.into_iter().map(Arc::from).collect(),
            template: template.map(Arc::new),
            price: self.price,
            instance_type: None,
            spot: None,
            scale_down: GroupScaleDown::default(),
            suspended: Vec::new(),
        })
    }

    fn has(&self, node: &flyball_placement::Node) -> bool {
        let mut selector = self.node_selector.iter();
        let matches = |(key, value): (&String, &String)| {
            node.labels.get(key).is_some_and(|known| **known == **value)
        };
        !self.node_selector.is_empty() && selector.all(matches)
    }
}

impl Template {
    fn resolve(self) -> anyhow::Result<NodeTemplate> {
        let capacity = amounts(self.capacity)?;
        let allocatable = match self.allocatable {
            Some(allocatable) => amounts(allocatable)?,
            None => capacity.clone(),
        };
        let mut taints = Vec::new();
        for taint in self.taints {
            let Taint { key, value, effect } = taint;
            ensure!(
                matches!(
                    effect.as_str(),
                    "NoSchedule" | "PreferNoSchedule" | "NoExecute"
                ),
                "taint {key}: no effect {effect:?}: write NoSchedule, PreferNoSchedule or NoExecute"
            );
            taints.push(TemplateTaint {
                key: key.into(),
                value: value.into(),
                effect: effect.into(),
            });
        }
        let labels = self.labels.into_iter();
        Ok(NodeTemplate {
            labels: labels
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            zone_labels: Vec::new(),
            taints,
            capacity,
            allocatable,
        })
    }
}

fn amounts(quantities: BTreeMap<String, Milli>) -> anyhow::Result<BTreeMap<Arc<str>, i64>> {
    let mut amounts: BTreeMap<Arc<str>, i64> = BTreeMap::new();
    amounts.insert("pods".into(), DEFAULT_PODS * 1000);
    for (name, Milli(amount)) in quantities {
        ensure!(amount >= 0, "template: {name} is negative");
        amounts.insert(name.into(), amount);
    }
    for needed in ["cpu", "memory"] {
        let amount = amounts.get(needed).copied().unwrap_or(0);
        ensure!(amount > 0, "template: a node needs {needed}");
    }
    Ok(amounts)
}
