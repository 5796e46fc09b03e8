//! Contenders of a comparison, and the choice of expanders.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::path::Path;

use anyhow::{Context as _, ensure};
use flyball_decision::policy::{Policy as _, PolicyEngine as _, kind};
use flyball_nodes::chain::ChainError;
use flyball_replicas::spec::{Configuration, PolicyRef};
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
    let mut kinds = BTreeSet::new();
    for ComparedPolicy { policy, config } in compared {
        let mut asked = Vec::new();
        for policy in chain(policy) {
            let name = match installed.get(policy) {
                Some(name) => name.clone(),
                None => install(registry, policy)?,
            };
            installed.insert(policy, name.clone());
            asked.push(PolicyRef { name, config: None });
        }
        let contender = contender(registry, scenario, asked, config.as_deref(), &mut kinds)?;
        contenders.push(contender);
    }
    ensure!(
        kinds.len() <= 1,
        "--compare: expanders are compared with expanders, and policies of other kinds with \
         their own kind"
    );
    let of_nodes = kinds.iter().any(|kind| *kind != kind::REPLICA);
    ensure!(
        !of_nodes || !scenario.node_groups.is_empty(),
        "--compare: the scenario has no node groups for these policies to decide about"
    );
    Ok(contenders)
}

/// Returns the policies of a contender: several, separated by `+`, are a chain. A file of
/// that whole name comes first.
fn chain(policy: &str) -> Vec<&str> {
    if Path::new(policy).is_file() {
        return vec![policy];
    }
    policy.split('+').map(str::trim).collect()
}

/// Creates a contender; the configuration is that of its last policy. Adds its kind.
fn contender(
    registry: &Registry,
    scenario: &Scenario,
    mut asked: Vec<PolicyRef>,
    config: Option<&str>,
    kinds: &mut BTreeSet<&'static str>,
) -> anyhow::Result<Contender> {
    let names: Vec<&str> = asked.iter().map(|policy| policy.name.as_str()).collect();
    let label = match config {
        Some(config) => format!("{} {config}", names.join("+")),
        None => names.join("+"),
    };
    let of_each: BTreeSet<_> = names.iter().map(|name| kind_of(registry, name)).collect();
    let is_chain = names.len() > 1;
    let last = names.last().copied().unwrap_or_default().to_owned();
    let config = config.map(configuration).transpose();
    let config = config.and_then(|config| checked(registry, &last, config));
    let config = config.with_context(|| format!("contender {label}"))?;
    if let Some(policy) = asked.last_mut() {
        let config = config.map(Configuration::try_from).transpose();
        policy.config = config.with_context(|| format!("contender {label}"))?;
    }
    ensure!(
        !is_chain || of_each.iter().all(|kind| *kind == kind::SCALE_DOWN),
        "contender {label}: only scale-down policies form a chain here"
    );
    kinds.extend(&of_each);
    let mut contender = Contender {
        label,
        ..Contender::default()
    };
    match of_each.first().copied() {
        Some(kind::EXPANDER) => {
            let own = &scenario.node_autoscaler.expanders;
            contender.expanders = with_own_configurations(own, asked);
        }
        Some(kind::SCALE_DOWN) => {
            let own = scenario.node_autoscaler.scale_down.as_ref();
            let own = own.map_or(&[][..], |spec| &spec.policies);
            contender.scale_down = with_own_configurations(own, asked);
        }
        _ => contender.policies = asked,
    }
    Ok(contender)
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

/// Returns the kind of a policy: one that does not decide about nodes counts as a replica
/// policy.
fn kind_of(registry: &Registry, name: &str) -> &'static str {
    let policy = registry.compiled(name);
    let is = |kind: &str| {
        let policy = policy.as_ref();
        policy.is_some_and(|policy| policy.description().kinds.iter().any(|own| own == kind))
    };
    let of_nodes = [kind::EXPANDER, kind::SCALE_DOWN];
    let of_nodes = of_nodes.into_iter().find(|kind| is(kind));
    of_nodes.unwrap_or(kind::REPLICA)
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
    let own = &scenario.node_autoscaler.expanders;
    scenario.node_autoscaler.expanders = with_own_configurations(own, named.collect());
    Ok(())
}

/// Adds the scenario's own configurations to policies without one.
fn with_own_configurations(own: &[PolicyRef], policies: Vec<PolicyRef>) -> Vec<PolicyRef> {
    let configured = policies.into_iter().map(|policy| {
        let own = own.iter().find(|own| own.name == policy.name);
        let config = own.and_then(|own| own.config.clone());
        PolicyRef {
            config: policy.config.or(config),
            ..policy
        }
    });
    configured.collect()
}
