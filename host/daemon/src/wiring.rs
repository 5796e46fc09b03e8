//! How the parts are set up: the engine, the registry of policies, the private
//! directories, and the options of the loop.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flyball_core::control::ReplicaOptions;
use flyball_sandbox::{DEFAULT_BUDGET, Engine, EngineOptions, Registry, RegistryOptions};

use crate::cli::{OnPolicyFailure, Policies, RunArgs};

/// Private directories of the daemon.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// The one given, else flyball's in `$XDG_STATE_HOME`, else in
    /// `~/.local/state`. None: there is no home either.
    pub fn resolve(given: Option<&Path>) -> Option<Self> {
        let set = |name: &str| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let usual = || {
            let state =
                set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
            Some(state.join("flyball"))
        };
        given.map(Path::to_owned).or_else(usual).map(Self)
    }

    /// Compiled code.
    pub fn code(&self) -> PathBuf {
        self.0.join("code")
    }

    /// The last good version of each policy, named by its digest.
    pub fn last_good(&self) -> PathBuf {
        self.0.join("last-good")
    }
}

/// The engine that runs policies, for a command that asks a few. Without a
/// usable private directory it compiles anew each time.
pub fn engine() -> anyhow::Result<Engine> {
    let cache_directory = StateDir::resolve(None).map(|state| state.code());
    let options = EngineOptions {
        cache_directory,
        ..EngineOptions::default()
    };
    let engine = Engine::new(&options).or_else(|error| {
        tracing::debug!(%error, "compiled code is not kept");
        Engine::new(&EngineOptions::default())
    });
    engine.context("cannot set up the sandbox")
}

/// The engine and the watched policies of a daemon.
pub fn registry(args: &Policies) -> anyhow::Result<(Engine, Registry)> {
    let state = StateDir::resolve(args.state_dir.as_deref());
    if state.is_none() {
        tracing::warn!("no place for a private directory: name one with --state-dir");
    }
    let options = EngineOptions {
        cache_directory: state.as_ref().map(StateDir::code),
        ..EngineOptions::default()
    };
    let engine = Engine::new(&options).context("cannot set up the sandbox (see --state-dir)")?;
    let options = RegistryOptions {
        directory: args.policies_dir.clone(),
        last_good_directory: state.as_ref().map(StateDir::last_good),
        budgets: budgets(args),
        ..RegistryOptions::default()
    };
    let registry = Registry::open(&engine, options, flyball_policies::BUILTIN)?;
    Ok((engine, registry))
}

/// The built-in policies and these files, for commands that end.
pub fn fixed_registry(files: &[PathBuf]) -> anyhow::Result<Registry> {
    Ok(Registry::fixed(
        &engine()?,
        flyball_policies::BUILTIN,
        files,
    )?)
}

/// Policies' files in a directory.
pub fn policy_files(directory: Option<&Path>) -> anyhow::Result<Vec<PathBuf>> {
    let Some(directory) = directory else {
        return Ok(Vec::new());
    };
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read the policies directory {}", directory.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "wasm"))
        .collect();
    files.sort();
    Ok(files)
}

/// Options of the loop.
pub fn replica_options(args: &RunArgs) -> ReplicaOptions {
    let RunArgs {
        hpa,
        policies,
        guardrails,
        ..
    } = args;
    let defaults = ReplicaOptions::default();
    ReplicaOptions {
        sync_period_ms: hpa
            .horizontal_pod_autoscaler_sync_period
            .map_or(defaults.sync_period_ms, |period| period.0),
        tolerance: hpa.horizontal_pod_autoscaler_tolerance,
        downscale_stabilization_ms: hpa.horizontal_pod_autoscaler_downscale_stabilization.0,
        cpu_initialization_period_ms: hpa.horizontal_pod_autoscaler_cpu_initialization_period.0,
        initial_readiness_delay_ms: hpa.horizontal_pod_autoscaler_initial_readiness_delay.0,
        max_scale_down_share: guardrails.max_scale_down_share,
        fallback: policies.on_policy_failure == OnPolicyFailure::Fallback,
        host_version: env!("CARGO_PKG_VERSION").into(),
        ..defaults
    }
}

fn budgets(args: &Policies) -> BTreeMap<String, flyball_core::policy::Budget> {
    let mut budgets = BTreeMap::new();
    for change in &args.policy_budget {
        let budget = budgets.entry(change.name.clone()).or_insert(DEFAULT_BUDGET);
        *budget = change.apply(*budget);
    }
    budgets
}
