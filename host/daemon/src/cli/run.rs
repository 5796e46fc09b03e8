//! `flyball run`: arguments.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args, ValueEnum};
use flyball_replicas::options::DEFAULT_POLICY_TICK_FUEL;
use flyball_simulation::time::Millis;

use super::budgets::Budgets;
use super::directories::{PoliciesDir, StateDir};
use super::node_arguments::Nodes;
use super::values::{Bytes, duration, positive_duration, signed_duration};

/// Run the daemon: scale the targets of ReplicaAutoscalers, and order nodes for
/// pods that fit nowhere
///
/// Every decision is made by a policy, a sandboxed WebAssembly component: one of
/// the built-in ones, or a file NAME.wasm in the policies directory. Files may be
/// added, replaced and removed while the daemon runs.
///
/// Examples:
///   flyball run --policies-dir ./policies
///   flyball run --context staging --on-policy-failure fallback
///   flyball run --nodes 2:10:workers --expander least-waste
///   flyball run --cluster sim:examples/demo.yaml --speed 60
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct RunArgs {
    /// What to scale: the cluster of the kubeconfig (or the pod's own), or an
    /// embedded one that lives as the scenario FILE says
    #[arg(long, value_name = "kubernetes|sim:FILE", default_value = "kubernetes")]
    pub cluster: Cluster,
    /// Seconds of the scenario that pass in one second, with sim:FILE [default: 1]
    #[arg(long, value_name = "N", value_parser = speed)]
    pub speed: Option<f64>,
    /// Kubeconfig file [default: as kubectl finds it]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Where to serve /healthz, /readyz and /v1
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8085")]
    pub http: SocketAddr,
    /// Serve /v1 also to requests for this host, such as one that a proxy forwards
    /// (repeatable). Without it, requests must be for localhost, a loopback address
    /// or the address of --http
    #[arg(long, value_name = "NAME", value_parser = crate::http::hosts::host)]
    pub http_host: Vec<String>,
    /// Where to serve /healthz and /readyz alone, for a kubelet's probes, which
    /// come from outside the pod [default: nowhere else]
    #[arg(long, value_name = "ADDRESS")]
    pub probes: Option<SocketAddr>,

    #[command(flatten)]
    pub policies: Policies,
    #[command(flatten)]
    pub hpa: Hpa,
    #[command(flatten)]
    pub guardrails: Guardrails,
    /// Time limit of a request for a metric. All metrics of a tick together take at most
    /// five times as long
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
    #[arg(default_value = "2s", help_heading = "Guardrails")]
    pub metrics_request_timeout: Millis,
    #[command(flatten)]
    pub nodes: Nodes,
    #[command(flatten)]
    pub leader: Leader,

    /// Append the record of every decision to FILE, a line of JSON each
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    pub records: Option<PathBuf>,
    /// Size at which FILE becomes FILE.1, FILE.1 becomes FILE.2 and so on, and a new
    /// FILE is begun; 0: never
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "128MiB",
        help_heading = "Records"
    )]
    pub records_max_size: Bytes,
    /// Number of files of records that are kept, FILE included
    #[arg(long, value_name = "N", default_value = "8", help_heading = "Records")]
    pub records_max_files: NonZero<usize>,
    /// Memory for the latest records of replicas, which `flyball why` asks for; those of
    /// nodes have 16 MiB
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "64MiB",
        help_heading = "Records"
    )]
    pub record_memory: Bytes,

    /// Is added to the system's time, for tests of restarts and of clocks that differ
    #[arg(long, value_name = "DURATION", value_parser = signed_duration, default_value = "0s")]
    #[arg(hide = true, allow_hyphen_values = true)]
    pub clock_offset: Millis,
}

/// Where policies come from, and what they may cost.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Policies")]
pub struct Policies {
    #[command(flatten)]
    pub directory: PoliciesDir,
    /// What happens where a policy gives no usable answer: keep the replicas as
    /// they are, or ask the built-in policy
    #[arg(long, value_enum, default_value_t, value_name = "hold|fallback")]
    #[arg(hide_possible_values = true)]
    pub on_policy_failure: OnPolicyFailure,
    /// How long a new version of a policy is on trial: if it is quarantined for all
    /// objects within that time, the version before comes back; 0s: it never does
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m0s")]
    pub policy_rollback_window: Millis,
    /// Policies (comma-separated names) of which a new version takes over even if
    /// configurations in use do not fit it, or if it fails on all recorded inputs; the
    /// objects with these configurations are then refused, and the objects that it fails
    /// for keep the version before
    #[arg(long, value_name = "POLICIES", value_delimiter = ',')]
    pub accept_any_configuration: Vec<String>,
    #[command(flatten)]
    pub budgets: Budgets,
    /// Fuel that a policy may use for the objects of one namespace before those of
    /// others come; the objects that are left over follow after them
    #[arg(long, value_name = "FUEL", default_value_t = DEFAULT_POLICY_TICK_FUEL)]
    pub policy_tick_fuel: NonZero<u64>,
    #[command(flatten)]
    pub state: StateDir,
}

/// What happens where a policy gives no usable answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnPolicyFailure {
    /// The replicas stay as they are.
    #[default]
    Hold,
    /// The built-in policy is asked.
    Fallback,
}

/// kube-controller-manager's flags for horizontal pod autoscaling.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "As kube-controller-manager's flags of these names")]
pub struct Hpa {
    /// Time from one decision about an object to its next [default: 15s; with
    /// sim:FILE that of the scenario]
    #[arg(long, value_name = "DURATION", value_parser = positive_duration)]
    pub horizontal_pod_autoscaler_sync_period: Option<Millis>,
    /// Deviation of a metric from its target, as a part of the target, up to which
    /// replicas stay
    #[arg(long, value_name = "RATIO", default_value_t = 0.1, value_parser = tolerance)]
    pub horizontal_pod_autoscaler_tolerance: f64,
    /// How long to look back for a higher recommendation before scaling down
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m0s")]
    pub horizontal_pod_autoscaler_downscale_stabilization: Millis,
    /// How long after a pod's start its cpu samples may be skipped
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5m0s")]
    pub horizontal_pod_autoscaler_cpu_initialization_period: Millis,
    /// A pod that has not been ready since this time after its start, or longer, counts as
    /// one that was never ready: its cpu samples are skipped
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub horizontal_pod_autoscaler_initial_readiness_delay: Millis,
    #[command(flatten)]
    pub gates: Gates,
}

/// Features that are on or off.
#[derive(Debug, Clone, Args)]
pub struct Gates {
    /// HPAScaleToZero=true: a target whose minReplicas is 0 is scaled to zero, and
    /// up again by a metric of type Object or External. Otherwise minReplicas: 0
    /// counts as 1, and a target with 0 replicas keeps them until somebody scales it
    #[arg(
        long,
        value_name = "NAME=true|false",
        default_value = "HPAScaleToZero=false"
    )]
    pub feature_gates: FeatureGates,
}

/// Each feature, by its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeatureGates {
    /// Whether targets are scaled to zero, and up again.
    pub hpa_scale_to_zero: bool,
}

impl FromStr for FeatureGates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut gates = Self::default();
        for gate in text.split(',') {
            let (name, value) = gate
                .split_once('=')
                .ok_or_else(|| format!("{gate:?} lacks its value: write NAME=true"))?;
            let value = value
                .parse::<bool>()
                .map_err(|_| format!("{name}: {value:?} is neither true nor false"))?;
            match name {
                "HPAScaleToZero" => gates.hpa_scale_to_zero = value,
                _ => return Err(format!("no feature {name:?}: there is HPAScaleToZero")),
            }
        }
        Ok(gates)
    }
}

/// Limits on all objects together.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Guardrails")]
pub struct Guardrails {
    /// Part of the ready replicas of all objects together that may go within a
    /// minute, so that one wrong signal can't take everything down; 1: no limit. Ten
    /// replicas may always go, and an object that scales down alone is not limited
    #[arg(long, value_name = "RATIO", default_value_t = 0.25, value_parser = share)]
    pub max_scale_down_share: f64,
}

/// Which of several daemons acts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Several daemons beside each other")]
pub struct Leader {
    /// Decide and write only while holding a Lease
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub leader_elect: bool,
    /// Namespace of the Lease
    #[arg(long, value_name = "NAME", default_value = "kube-system")]
    pub leader_elect_resource_namespace: String,
    /// Name of the Lease
    #[arg(long, value_name = "NAME", default_value = "flyball")]
    pub leader_elect_resource_name: String,
}

/// What to scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cluster {
    /// A real cluster.
    Kubernetes,
    /// An embedded one, of this scenario.
    Simulated(PathBuf),
}

impl FromStr for Cluster {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("sim:") {
            Some("") => Err("sim: lacks its scenario: write sim:FILE".to_owned()),
            Some(file) => Ok(Self::Simulated(file.into())),
            None if text == "kubernetes" => Ok(Self::Kubernetes),
            None => Err(format!("no cluster {text:?}: write kubernetes or sim:FILE")),
        }
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if speed > 0.0 && speed.is_finite() {
        Ok(speed)
    } else {
        Err("must be above 0".to_owned())
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    let tolerance: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..1e6).contains(&tolerance) {
        Ok(tolerance)
    } else {
        Err("must be 0 or above".to_owned())
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("must be from 0 to 1".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::{Cluster, FeatureGates};

    #[test]
    fn feature_gates_are_named_and_off_unless_set() -> Result<(), String> {
        let gate = |text: &str| text.parse::<FeatureGates>();
        assert_eq!(gate("HPAScaleToZero=false")?, FeatureGates::default());
        assert!(gate("HPAScaleToZero=true")?.hpa_scale_to_zero);
        for (wrong, problem) in [
            ("HPAScaleToZero", "lacks its value"),
            ("HPAScaleToZero=yes", "neither true nor false"),
            (
                "HPAScaleToZero=true,Sidecars=true",
                "no feature \"Sidecars\"",
            ),
        ] {
            let error = gate(wrong).err().unwrap_or_default();
            assert!(error.contains(problem), "{wrong}: {error}");
        }
        Ok(())
    }

    #[test]
    fn clusters_are_named() {
        assert_eq!(
            "sim:a.yaml".parse(),
            Ok(Cluster::Simulated("a.yaml".into()))
        );
        assert!("sim:".parse::<Cluster>().is_err());
        assert!("docker".parse::<Cluster>().is_err());
    }
}
