//! The replica loop: due objects → observe → decide → guard → act → record. The
//! same loop runs on a real cluster and, in virtual time, on the embedded one.

use std::sync::Arc;

use crate::policy::PolicyEngine;
use crate::ports::{Clock, Reader, Recorder, Writer};
use crate::time::Timestamp;

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
            host_version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// The loop over all autoscalers.
pub struct ReplicaLoop<R, W, C> {
    options: ReplicaOptions,
    reader: R,
    writer: W,
    clock: C,
    engine: Arc<dyn PolicyEngine>,
    recorder: Arc<dyn Recorder>,
}

impl<R: Reader, W: Writer, C: Clock> ReplicaLoop<R, W, C> {
    /// A loop that has seen nothing yet.
    pub fn new(
        options: ReplicaOptions,
        reader: R,
        writer: W,
        clock: C,
        engine: Arc<dyn PolicyEngine>,
        recorder: Arc<dyn Recorder>,
    ) -> Self {
        Self {
            options,
            reader,
            writer,
            clock,
            engine,
            recorder,
        }
    }

    /// Handles what is due at `now` and tells when the next object is.
    pub async fn tick(&mut self, now: Timestamp) -> Timestamp {
        let _ = (&self.reader, &self.writer, &self.engine, &self.recorder);
        now.plus(self.options.sync_period_ms)
    }

    /// Runs until the clock has no more time.
    pub async fn run(&mut self) {
        loop {
            let now = self.clock.now();
            let next = self.tick(now).await;
            if !self.clock.sleep_until(next).await {
                return;
            }
        }
    }
}
