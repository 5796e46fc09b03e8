//! Creates the parts from the arguments: the engine, the registry of policies, the
//! private directories, and the options of the loops.

use std::collections::BTreeSet;
use std::env;
use std::fs::ReadDir;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use flyball_cloud::NodeGroupSpec;
use flyball_decision::policy::kind;
use flyball_decision::recorded::RecordedInputs;
use flyball_nodes::chain;
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_nodes::scale_down::ScaleDownOptions;
use flyball_replicas::options::ReplicaOptions;
use flyball_sandbox::{Engine, EngineOptions, Registry, RegistryOptions, has_last_good};
use flyball_simulation::time::Millis;

use crate::cli::{
    Budgets, Compilation, Nodes, NodesMode, OnPolicyFailure, Planning, Policies, PolicyConfig,
    RunArgs, STATE_DIR, Unneeded,
};

const LAST_GOOD: &str = "last-good";

/// Private directories of the daemon.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Returns the given directory, else that of the environment, else flyball's in
    /// `$XDG_STATE_HOME`, else in `~/.local/state`. Returns `None` if there is no home
    /// directory either.
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
        // The variable also applies to commands without a flag for the directory.
        let named = || {
            let named = env::var_os(STATE_DIR).filter(|named| !named.is_empty());
            named.map(PathBuf::from)
        };
        let given = given.map(Path::to_owned);
        given.or_else(named).or_else(usual).map(Self)
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the directory for compiled code.
    pub fn code(&self) -> PathBuf {
        self.0.join("code")
    }

    /// Returns the directory for the last good versions of a policies directory, separate
    /// for each, since daemons that watch others may share the state. The directory is
    /// named by the path as it was given, so that a link may be moved to another release.
    pub fn last_good(&self, policies: &Path) -> anyhow::Result<PathBuf> {
        let path = std::path::absolute(policies)
            .with_context(|| format!("cannot tell where {} is", policies.display()))?;
        let digest = flyball_sandbox::digest(path.as_os_str().as_encoded_bytes());
        let digits = digest.trim_start_matches("sha256:");
        Ok(self.0.join(LAST_GOOD).join(&digits[..16]))
    }

    /// Returns the directories of last good versions, one for each policies directory.
    fn last_good_directories(&self) -> Vec<PathBuf> {
        // There is none if no daemon has run.
        let directories = std::fs::read_dir(self.0.join(LAST_GOOD))
            .into_iter()
            .flatten();
        let mut directories: Vec<_> = directories.flatten().map(|entry| entry.path()).collect();
        directories.sort();
        directories
    }

    /// Returns the directories of last good versions that have a policy of that name.
    pub fn last_good_of(&self, name: &str) -> Vec<PathBuf> {
        let mut directories = self.last_good_directories();
        directories.retain(|directory| has_last_good(directory, name));
        directories
    }

    /// Returns the last good versions of all policies directories.
    pub fn all_last_good(&self) -> Vec<PathBuf> {
        self.last_good_directories()
            .iter()
            .flat_map(|directory| policy_files(Some(directory)).unwrap_or_default())
            .collect()
    }
}

/// Creates the engine for a command that asks few policies. Without a usable private
/// directory, code is compiled each time.
pub fn engine(state_dir: Option<&Path>, compilation: &Compilation) -> anyhow::Result<Engine> {
    let compiler = Some(compilation.compiler());
    let options = EngineOptions {
        cache_directory: StateDir::resolve(state_dir).map(|state| state.code()),
        compiler,
        ..EngineOptions::default()
    };
    let engine = Engine::new(&options).or_else(|error| {
        tracing::debug!(%error, "compiled code is not kept");
        Engine::new(&EngineOptions {
            cache_directory: None,
            ..options
        })
    });
    engine.context("cannot set up the sandbox")
}

/// Creates the registry of a daemon, which watches the policies directory. New versions
/// are tried on the inputs of `recorded`.
pub fn registry(args: &Policies, recorded: Arc<dyn RecordedInputs>) -> anyhow::Result<Registry> {
    check_policies_dir(args.directory.policies_dir.as_deref())?;
    let state = StateDir::resolve(args.state.state_dir.as_deref());
    if state.is_none() {
        tracing::warn!("no place for a private directory: name one with --state-dir");
    }
    let options = EngineOptions {
        cache_directory: state.as_ref().map(StateDir::code),
        compiler: Some(args.budgets.compilation.compiler()),
        ..EngineOptions::default()
    };
    let engine = Engine::new(&options).context("cannot set up the sandbox (see --state-dir)")?;
    let last_good_directory = match (&state, &args.directory.policies_dir) {
        (Some(state), Some(policies)) => Some(state.last_good(policies)?),
        _ => None,
    };
    let options = RegistryOptions {
        directory: args.directory.policies_dir.clone(),
        last_good_directory,
        budgets: args.budgets.by_name(),
        rollback_window: millis(args.policy_rollback_window),
        accept_any_configuration: args.accept_any_configuration.iter().cloned().collect(),
        recorded: Some(recorded),
        ..RegistryOptions::default()
    };
    Ok(Registry::open(&engine, options, flyball_policies::BUILTIN)?)
}

fn millis(length: Millis) -> Duration {
    Duration::from_millis(length.0.try_into().unwrap_or(0))
}

/// Creates a registry of the built-in policies and these files, under these budgets, for
/// commands that end.
pub fn fixed_registry(files: &[PathBuf], budgets: &Budgets) -> anyhow::Result<Registry> {
    let options = RegistryOptions {
        budgets: budgets.by_name(),
        ..RegistryOptions::default()
    };
    let engine = engine(None, &budgets.compilation)?;
    let registry = Registry::open(&engine, options, flyball_policies::BUILTIN)?;
    for file in files {
        registry.install_file(file)?;
    }
    Ok(registry)
}

/// Returns the policy files in a directory.
pub fn policy_files(directory: Option<&Path>) -> anyhow::Result<Vec<PathBuf>> {
    let Some(directory) = directory else {
        return Ok(Vec::new());
    };
    let entries = read_policies_dir(directory)?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "wasm"))
        .collect();
    files.sort();
    Ok(files)
}

/// Checks that the policies directory can be read. Every command refuses one that is missing,
/// since its name may be misspelled: without its policies, others would decide.
pub fn check_policies_dir(directory: Option<&Path>) -> anyhow::Result<()> {
    directory.map_or(Ok(()), |directory| read_policies_dir(directory).map(drop))
}

fn read_policies_dir(directory: &Path) -> anyhow::Result<ReadDir> {
    std::fs::read_dir(directory).map_err(|error| {
        anyhow!(
            "cannot read the policies directory {}: {error}; create it, or name another one with \
             --policies-dir",
            directory.display()
        )
    })
}

/// Returns the options of the replica loop.
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
        scale_to_zero: hpa.gates.feature_gates.hpa_scale_to_zero,
        max_scale_down_share: guardrails.max_scale_down_share,
        policy_tick_fuel: policies.policy_tick_fuel,
        fallback: policies.on_policy_failure == OnPolicyFailure::Fallback,
        host_version: env!("CARGO_PKG_VERSION").into(),
        ..defaults
    }
}

/// Returns the options of the node loop. `fallback`: whether built-in policies stand in;
/// `is_policy`: whether a policy of that kind and name exists or may be added later.
pub fn node_options(
    args: &Nodes,
    fallback: bool,
    is_policy: impl Fn(&str, &str) -> bool,
) -> anyhow::Result<NodeOptions> {
    let mut named = BTreeSet::new();
    for NodeGroupSpec { name, .. } in &args.nodes {
        ensure!(
            named.insert(name),
            "--nodes names {name} more than once: give each group once, with its bounds"
        );
    }
    let options = planning_options(&args.planning, is_policy)?;
    Ok(NodeOptions {
        scan_interval_ms: args.scan_interval.0,
        max_node_provision_time_ms: args.max_node_provision_time.0,
        initial_backoff_ms: args.initial_node_group_backoff_duration.0,
        max_backoff_ms: args.max_node_group_backoff_duration.0,
        backoff_reset_ms: args.node_group_backoff_reset_timeout.0,
        fallback,
        observe: args.nodes_mode == NodesMode::Observe,
        scale_down: removal_options(args, options.scale_down),
        ..options
    })
}

/// Returns the options of the node loop that a plan depends on.
pub fn planning_options(
    args: &Planning,
    is_policy: impl Fn(&str, &str) -> bool,
) -> anyhow::Result<NodeOptions> {
    let is_expander = |name: &str| is_policy(kind::EXPANDER, name);
    let is_judge = |name: &str| is_policy(kind::SCALE_DOWN, name);
    let shared = |texts: &[String]| texts.iter().map(|text| text.as_str().into()).collect();
    Ok(NodeOptions {
        expanders: expanders(&args.expander, &args.expander_config, is_expander)?,
        max_nodes_total: args.max_nodes_total,
        cores_total: args.cores_total,
        memory_total: args.memory_total,
        max_nodes_per_scale_up: args.max_nodes_per_scaleup,
        balance_similar_node_groups: args.balance_similar_node_groups,
        balancing_ignored_labels: shared(&args.balancing_ignore_label),
        max_total_unready_percentage: args.max_total_unready_percentage,
        ok_total_unready_count: args.ok_total_unready_count,
        new_pod_scale_up_delay_ms: args.new_pod_scale_up_delay.0,
        expendable_pods_priority_cutoff: args.expendable_pods_priority_cutoff,
        scale_up_from_zero: args.scale_up_from_zero,
        startup_taints: shared(&args.startup_taint),
        scale_down: unneeded_options(&args.unneeded, is_judge)?,
        host_version: env!("CARGO_PKG_VERSION").into(),
        ..NodeOptions::default()
    })
}

/// Returns the options that decide which nodes are unneeded.
fn unneeded_options(
    args: &Unneeded,
    is_judge: impl Fn(&str) -> bool,
) -> anyhow::Result<ScaleDownOptions> {
    let list = &args.scale_down_policies;
    let mut policies: Vec<ExpanderChoice> = Vec::new();
    for name in list.split(',').filter(|name| !name.is_empty()) {
        ensure!(
            policies.iter().all(|known| *known.name != *name),
            "--scale-down-policies names {name} more than once: name each once"
        );
        ensure!(
            is_judge(name),
            "--scale-down-policies: there is no policy {name:?} of kind scale-down"
        );
        policies.push(ExpanderChoice {
            name: name.into(),
            configuration: flags_of(args, name).to_string().into(),
        });
    }
    for config in &args.scale_down_policy_config {
        let choice = policies.iter_mut();
        let mut choice = choice.filter(|choice| *choice.name == *config.name);
        let choice = choice.next().with_context(|| {
            let name = &config.name;
            format!("--scale-down-policy-config: {name} is not in --scale-down-policies")
        })?;
        choice.configuration = read_configuration(config)?;
    }
    Ok(ScaleDownOptions {
        policies,
        unready_enabled: args.scale_down_unready_enabled,
        min_pod_age_ms: args.min_pod_age.0,
        replacement_min_pod_age_ms: args.replacement_min_pod_age.0,
        replace_spot_by_spot: args.replace_spot_by_spot,
        keep_room_for_missing_replicas: args.keep_room_for_missing_replicas,
        ..ScaleDownOptions::default()
    })
}

/// Returns the configuration of a built-in scale-down policy that the flags make.
fn flags_of(args: &Unneeded, policy: &str) -> serde_json::Value {
    match policy {
        "drain-rules" => serde_json::json!({
            "skipNodesWithSystemPods": args.skip_nodes_with_system_pods,
            "skipNodesWithLocalStorage": args.skip_nodes_with_local_storage,
            "skipNodesWithCustomControllerPods": args.skip_nodes_with_custom_controller_pods,
            "minReplicaCount": args.min_replica_count,
            "blockingSystemPodDisruptionTimeoutSeconds":
                args.blocking_system_pod_distruption_timeout.0 / 1000,
        }),
        "utilization" => serde_json::json!({
            "threshold": args.scale_down_utilization_threshold,
            "gpuThreshold": args.scale_down_gpu_utilization_threshold,
            "ignoreDaemonSets": args.ignore_daemonsets_utilization,
            "ignoreMirrorPods": args.ignore_mirror_pods_utilization,
        }),
        _ => serde_json::json!({}),
    }
}

/// Adds the options that decide when unneeded nodes go, and how.
fn removal_options(args: &Nodes, unneeded: ScaleDownOptions) -> ScaleDownOptions {
    let removal = &args.removal;
    ScaleDownOptions {
        mode: args.scale_down(),
        unneeded_time_ms: removal.scale_down_unneeded_time.0,
        unready_time_ms: removal.scale_down_unready_time.0,
        replacement_stable_time_ms: removal.replacement_stable_time.0,
        delay_after_add_ms: removal.scale_down_delay_after_add.0,
        delay_after_delete_ms: removal.scale_down_delay_after_delete.0,
        delay_after_failure_ms: removal.scale_down_delay_after_failure.0,
        delay_type_local: removal.scale_down_delay_type_local,
        max_parallelism: removal.max_scale_down_parallelism,
        max_drain_parallelism: removal.max_drain_parallelism,
        max_disruption: removal.max_disruption,
        drain_priorities: removal.drain_priority_config.clone().unwrap_or_default(),
        max_grace_ms: i64::from(removal.max_graceful_termination_sec) * 1000,
        max_pod_eviction_time_ms: removal.max_pod_eviction_time.0,
        delete_delay_after_taint_ms: removal.node_delete_delay_after_taint.0,
        deletion_delay_timeout_ms: removal.node_deletion_delay_timeout.0,
        cordon: removal.cordon_node_before_terminating,
        max_bulk_soft_taint_count: removal.max_bulk_soft_taint_count,
        daemon_set_eviction_for_empty_nodes: removal.daemonset_eviction_for_empty_nodes,
        daemon_set_eviction_for_occupied_nodes: removal.daemonset_eviction_for_occupied_nodes,
        delete_gone_nodes: removal.delete_gone_nodes,
        explain_on_nodes: removal.explain_on_nodes,
        ..unneeded
    }
}

/// Reads the configuration of a policy from its file.
fn read_configuration(config: &PolicyConfig) -> anyhow::Result<Arc<str>> {
    let file = config.file.display();
    let text = flyball_files::read_to_string(&config.file)
        .with_context(|| format!("cannot read {file}"))?;
    let object: serde_json::Map<String, serde_json::Value> = serde_saphyr::from_str(&text)
        .with_context(|| format!("{file} is not a configuration: write an object of YAML"))?;
    Ok(serde_json::to_string(&object)?.into())
}

/// Returns the chain of expanders, each with its configuration.
fn expanders(
    list: &str,
    configurations: &[PolicyConfig],
    is_expander: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<ExpanderChoice>> {
    let names = chain::parse(list, is_expander).context("--expander")?;
    let named = names.iter().map(|name| ExpanderChoice::named(name));
    let mut chain: Vec<_> = named.collect();
    for config in configurations {
        let choice = chain.iter_mut().find(|choice| *choice.name == *config.name);
        let choice = choice
            .with_context(|| format!("--expander-config: {} is not in --expander", config.name))?;
        choice.configuration = read_configuration(config)?;
    }
    Ok(chain)
}

/// Checks the configurations of existing policies against their schemas. A policy that
/// is added later is checked then.
pub fn check_configurations(registry: &Registry, chain: &[ExpanderChoice]) -> anyhow::Result<()> {
    for ExpanderChoice {
        name,
        configuration,
    } in chain
    {
        if let Some(policy) = registry.compiled(name) {
            policy
                .check_configuration_text(configuration)
                .with_context(|| format!("the configuration of expander {name} is wrong"))?;
        }
    }
    Ok(())
}
