//! Contenders of a comparison, and the choice of expanders.

use std::collections::BTreeMap;
use std::iter;
use std::path::Path;

use anyhow::{Context as _, ensure};
use flyball_decision::policy::{Policy as _, PolicyEngine as _, kind};
use flyball_nodes::chain::ChainError;
use flyball_replicas::spec::PolicyRef;
use flyball_sandbox::Registry;
use flyball_simulation::{Contender, Scenario};
use serde_json::{Map, Value};

use crate::cli::{Compared, ComparedPolicy};
use crate::policies;

/// Returns the contenders of a comparison. Files are installed under their stems.
pub fn contenders(
    registry: &Registry,
    scenario: &Scenario,
    compared: &[Compared],
) -> anyhow::Result<Vec<Contender>> {
    let compared: Vec<_> = compared.iter().flat_map(|Compared(each)| each).collect();
    ensure!(
        compared.len() != 1,
        "--compare needs two policies or more, such as hpa,my-policy.wasm"
    );
    let mut installed: BTreeMap<&str, String> = BTreeMap::new();
    let mut contenders = Vec::new();
    for ComparedPolicy { policy, config } in compared {
        let name = match installed.get(policy.as_str()) {
            Some(name) => name.clone(),
            None => install(registry, policy)?,
        };
        installed.insert(policy, name.clone());
        let label = match config {
            Some(config) => format!("{name} {config}"),
            None => name.clone(),
        };
        let config = config.as_deref().map(configuration).transpose();
        let config = config.and_then(|config| checked(registry, &name, config));
        let config = config.with_context(|| format!("contender {label}"))?;
        let expands = is_expander(registry, &name);
        let asked = vec![PolicyRef { name, config }];
        let (policies, expanders) = match expands {
            true => (Vec::new(), with_own_configurations(scenario, asked)),
            false => (asked, Vec::new()),
        };
        contenders.push(Contender {
            label,
            policies,
            expanders,
        });
    }
    let expanders = contenders.iter().filter(|one| one.policies.is_empty());
    let expanders = expanders.count();
    ensure!(
        expanders == 0 || expanders == contenders.len(),
        "--compare: expanders are compared with expanders"
    );
    ensure!(
        expanders == 0 || !scenario.node_groups.is_empty(),
        "--compare: the scenario has no node groups for expanders to choose among"
    );
    Ok(contenders)
}

/// Installs a policy unless the registry has it. Returns its name in the registry.
fn install(registry: &Registry, policy: &str) -> anyhow::Result<String> {
    let taken = |name: &str| registry.compiled(name).is_some();
    if taken(policy) {
        return Ok(policy.to_owned());
    }
    let source = policies::find(policy)?;
    // A file may have a built-in policy's stem, and be compared with it.
    let names = (2..).map(|n| format!("{}-{n}", source.name));
    let mut names = iter::once(source.name.clone()).chain(names);
    let name = names.find(|name| !taken(name)).unwrap_or_default();
    registry
        .install(&name, &source.component)
        .with_context(|| format!("policy {policy}"))?;
    Ok(name)
}

/// Reads a configuration, from JSON or from a file with JSON.
fn configuration(config: &str) -> anyhow::Result<Map<String, Value>> {
    if config.starts_with('{') {
        return serde_json::from_str(config).context("the configuration is no JSON object");
    }
    let text = flyball_files::read_to_string(Path::new(config))
        .with_context(|| format!("cannot read {config}"))?;
    serde_json::from_str(&text).with_context(|| format!("{config} is no JSON object"))
}

/// Checks a configuration against the policy's schema.
fn checked(
    registry: &Registry,
    name: &str,
    config: Option<Map<String, Value>>,
) -> anyhow::Result<Option<Map<String, Value>>> {
    if let Some(policy) = registry.compiled(name) {
        policy.check_configuration(config.as_ref().unwrap_or(&Map::new()))?;
    }
    Ok(config)
}

/// Reports whether a policy is an expander.
fn is_expander(registry: &Registry, name: &str) -> bool {
    let policy = registry.compiled(name);
    policy.is_some_and(|policy| policy.description().kinds.iter().any(|k| k == "expander"))
}

/// Replaces the scenario's expanders, keeping its configurations for them.
pub fn choose_expanders(
    scenario: &mut Scenario,
    registry: &Registry,
    names: &[String],
) -> anyhow::Result<()> {
    ensure!(
        !scenario.node_groups.is_empty(),
        "--expander: the scenario has no node groups"
    );
    for name in names {
        ensure!(
            registry.policy(kind::EXPANDER, name).is_ok() || scenario.brings(name),
            "--expander: {}",
            ChainError::Unknown(name.clone())
        );
    }
    let named = names.iter().map(|name| PolicyRef {
        name: name.clone(),
        config: None,
    });
    scenario.node_autoscaler.expanders = with_own_configurations(scenario, named.collect());
    Ok(())
}

/// Adds the scenario's configurations to expanders without one.
fn with_own_configurations(scenario: &Scenario, expanders: Vec<PolicyRef>) -> Vec<PolicyRef> {
    let own = &scenario.node_autoscaler.expanders;
    let configured = expanders.into_iter().map(|expander| {
        let own = own.iter().find(|own| own.name == expander.name);
        let config = own.and_then(|own| own.config.clone());
        PolicyRef {
            config: expander.config.or(config),
            ..expander
        }
    });
    configured.collect()
}
