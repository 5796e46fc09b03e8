//! The options of the replica loop.

use std::sync::Arc;

/// What an operator sets, with kube-controller-manager's names and defaults.
#[derive(Clone, Debug)]
pub struct ReplicaOptions {
    /// Time from one sync of an object to its next, in milliseconds (15,000).
    pub sync_period_ms: i64,
    /// Tolerance where a behavior has none (0.1).
    pub tolerance: f64,
    /// Stabilization window going down where a behavior has none (300,000).
    pub downscale_stabilization_ms: i64,
    /// How long after its start a pod's cpu is looked at with care (300,000).
    pub cpu_initialization_period_ms: i64,
    /// How long after its start a pod's unreadiness counts as its first (30,000).
    pub initial_readiness_delay_ms: i64,
    /// Whether the built-in policy is asked where one gives no usable answer;
    /// else the host holds.
    pub fallback: bool,
    /// Whether what Flyball itself scaled to zero is scaled up again (false), as
    /// with Kubernetes' feature gate `HPAScaleToZero`.
    pub scale_to_zero: bool,
    /// The part of all replicas that may go within a minute, all objects together
    /// (0.25); 1: all. Ten may always go, and an object's own as long as no other lost any.
    pub max_scale_down_share: f64,
    /// How long a decision stands at most while nothing but time changes, in
    /// milliseconds (60,000).
    pub stands_for_ms: i64,
    /// Version of the host, for records.
    pub host_version: Arc<str>,
}

impl Default for ReplicaOptions {
    fn default() -> Self {
        Self {
            sync_period_ms: 15_000,
            tolerance: 0.1,
            downscale_stabilization_ms: 300_000,
            cpu_initialization_period_ms: 300_000,
            initial_readiness_delay_ms: 30_000,
            fallback: false,
            scale_to_zero: false,
            max_scale_down_share: 0.25,
            stands_for_ms: 60_000,
            host_version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}
