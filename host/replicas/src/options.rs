//! The options of the replica loop.

use std::num::NonZero;
use std::sync::Arc;

/// Fuel that each policy may use in a tick for the objects of one namespace, by default: that
/// of `hpa` for more than 10,000 objects of ten pods. The compiler evaluates the `unwrap`.
pub const DEFAULT_POLICY_TICK_FUEL: NonZero<u64> = NonZero::new(150_000_000).unwrap();

/// Options of the operator, with kube-controller-manager's names and defaults.
#[derive(Clone, Debug)]
pub struct ReplicaOptions {
    /// Time from one sync of an object to its next, in milliseconds (15,000).
    pub sync_period_ms: i64,
    /// Tolerance if a behavior sets none (0.1).
    pub tolerance: f64,
    /// Downscale stabilization window if a behavior sets none, in milliseconds (300,000).
    pub downscale_stabilization_ms: i64,
    /// Period after a pod's start in which its cpu samples may be skipped, in
    /// milliseconds (300,000).
    pub cpu_initialization_period_ms: i64,
    /// Period after a pod's start in which unreadiness counts as initial, in milliseconds
    /// (30,000).
    pub initial_readiness_delay_ms: i64,
    /// Whether the built-in policy is asked if a policy gives no usable answer; otherwise
    /// the target is held.
    pub fallback: bool,
    /// Whether targets are scaled to zero, and up again if Flyball itself scaled them
    /// down (false): Kubernetes' feature gate `HPAScaleToZero`.
    pub scale_to_zero: bool,
    /// Share of all replicas that may be removed within a minute, over all objects
    /// (0.25); 1 means all. Ten may always be removed, and any number from one object as
    /// long as no other object lost any.
    pub max_scale_down_share: f64,
    /// Longest time that a decision is cached while nothing but time changes, in
    /// milliseconds (60,000).
    pub max_decision_age_ms: i64,
    /// Fuel that each policy may use in a tick for the objects of one namespace
    /// (150,000,000). The objects that are left over come first in the next tick, which
    /// follows at once.
    pub policy_tick_fuel: NonZero<u64>,
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
            max_decision_age_ms: 60_000,
            policy_tick_fuel: DEFAULT_POLICY_TICK_FUEL,
            host_version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}
