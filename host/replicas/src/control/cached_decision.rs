//! Cache of each object's last decision: if nothing but time has changed since then, and
//! time alone can't change the result, no decision is made and no record is written.
//!
//! Time affects a decision in these ways, each of which keeps it from being cached:
//!
//! - Windows and rates of the guardrails, unless the policies ask for the current number
//!   of replicas and asked for it throughout the windows.
//! - The windows after a pod's start, which policies get as input.
//! - A policy's own past: its recommendations, state, changes and histories.
//! - The policy's own timing. It asks to be asked again at a time; a policy that doesn't
//!   is asked after [`ReplicaOptions::max_decision_age_ms`] at the latest.

use std::sync::Arc;

use super::schedule::Entry;
use crate::observe::Columns;
use crate::options::ReplicaOptions;
use crate::ports::{Autoscaler, Observation};
use crate::record::{DecisionRecord, Outcome};
use crate::rows;
use crate::status::AutoscalerStatus;
use flyball_decision::context::GrantedInput;
use flyball_decision::key::ObjectKey;
use flyball_decision::part::PolicyRecord;
use flyball_decision::policy::{PolicyEngine, PolicyVersion, kind};
use flyball_decision::replica::{MetricInput, PodColumns};
use flyball_decision::time::Timestamp;

/// A decision that need not be made again until something changes, with its input.
#[derive(Debug)]
pub(super) struct CachedDecision {
    at: Timestamp,
    /// When it ends if nothing changes before.
    pub(super) until: Timestamp,
    scale: (i32, i32, Arc<str>),
    pods: Arc<PodColumns>,
    names: Arc<[Arc<str>]>,
    metrics: Vec<Arc<MetricInput>>,
    metadata: [GrantedInput; 2],
    versions: Vec<Arc<PolicyVersion>>,
    /// The policies that asked for replicas.
    pub(super) asked_by: Vec<Arc<str>>,
    conflict: Option<ObjectKey>,
    status: Arc<AutoscalerStatus>,
}

impl CachedDecision {
    /// Returns the decision just made, or `None` if it must not be cached. `status` is the
    /// status in the cluster, which the decision did not change.
    pub(super) fn of(
        record: &DecisionRecord,
        entry: &Entry,
        seen: &Observation,
        status: &Arc<AutoscalerStatus>,
        options: &ReplicaOptions,
    ) -> Option<Self> {
        let scale = seen.scale.as_ref().ok().filter(|_| seen.pods.is_ok())?;
        let quiet = record.outcome == Outcome::Unchanged
            && record.events.is_empty()
            && record.guard_steps.iter().all(|step| !step.changed())
            && (record.verdict.proposed.is_some() || !record.policies.iter().any(asks))
            && entry.memory.is_settled()
            && all_have_started(&entry.columns.pods, record.at, options);
        if !quiet {
            return None;
        }
        let mut until = record.at.plus(options.max_decision_age_ms);
        for policy in &record.policies {
            until = until.min(valid_until(policy, record.at)?);
        }
        let versions = record.policies.iter().map(|policy| policy.version.clone());
        let asking = record.policies.iter().filter(|policy| asks(policy));
        Some(Self {
            at: record.at,
            until,
            scale: (
                scale.spec_replicas,
                scale.status_replicas,
                Arc::clone(&scale.selector),
            ),
            pods: Arc::clone(&entry.columns.pods),
            names: Arc::clone(&entry.columns.names.pods),
            metrics: entry.columns.metrics.clone(),
            metadata: [seen.labels.clone(), seen.annotations.clone()],
            versions: versions.collect::<Option<_>>()?,
            asked_by: asking.map(|policy| Arc::clone(&policy.name)).collect(),
            conflict: entry.conflict.clone(),
            status: Arc::clone(status),
        })
    }

    /// Returns the rows that the target's labels and annotations take.
    pub(super) fn rows_of_texts(&self) -> usize {
        let [labels, annotations] = &self.metadata;
        rows::of_texts(&[labels, annotations])
    }

    /// Returns whether the decision is still valid. The observation must have been added to the
    /// columns.
    pub(super) fn is_valid(
        &self,
        now: Timestamp,
        entry: &Entry,
        seen: &Observation,
        autoscaler: &Autoscaler,
        engine: &dyn PolicyEngine,
    ) -> bool {
        let Ok(scale) = &seen.scale else { return false };
        let (spec_replicas, status_replicas, selector) = &self.scale;
        (self.at..self.until).contains(&now)
            && seen.pods.is_ok()
            && scale.spec_replicas == *spec_replicas
            && scale.status_replicas == *status_replicas
            && scale.selector == *selector
            && self.columns_are(&entry.columns)
            && entry.conflict == self.conflict
            && self.metadata[0] == seen.labels
            && self.metadata[1] == seen.annotations
            && self.versions_are_active(autoscaler, engine)
            && autoscaler.status == self.status
    }

    /// Compares addresses: a column keeps its `Arc` as long as it does not change.
    fn columns_are(&self, columns: &Columns) -> bool {
        let metrics = self.metrics.iter().zip(&columns.metrics);
        Arc::ptr_eq(&self.pods, &columns.pods)
            && Arc::ptr_eq(&self.names, &columns.names.pods)
            && self.metrics.len() == columns.metrics.len()
            && metrics
                .into_iter()
                .all(|(known, metric)| Arc::ptr_eq(known, metric))
    }

    fn versions_are_active(&self, autoscaler: &Autoscaler, engine: &dyn PolicyEngine) -> bool {
        let policies = autoscaler.spec.effective_policies().iter();
        // Empty if no policy was asked; then none would be now.
        self.versions.is_empty()
            || policies.zip(&self.versions).all(|(policy, version)| {
                let active = engine.policy(kind::REPLICA, &policy.name);
                active.is_ok_and(|active| active.version() == version)
            })
    }
}

fn asks(policy: &PolicyRecord) -> bool {
    matches!(&policy.answer, Ok(decision) if decision.replicas.is_some())
}

/// Returns until when a policy's answer is the same if only time passes. `None` if it may
/// change at any time.
fn valid_until(policy: &PolicyRecord, at: Timestamp) -> Option<Timestamp> {
    let decision = policy.answer.as_ref().ok()?;
    let mut inputs = policy.context.inputs.iter();
    let has_history = inputs.any(|input| !input.times_ms.is_empty() || !input.error.is_empty());
    if !policy.keeps_state() || has_history {
        return None;
    }
    let wish = decision.again_after_ms.unwrap_or(u64::MAX);
    Some(at.plus(i64::try_from(wish).unwrap_or(i64::MAX)))
}

/// Returns whether no pod is in one of the windows after its start.
fn all_have_started(pods: &PodColumns, at: Timestamp, options: &ReplicaOptions) -> bool {
    let longest = options
        .cpu_initialization_period_ms
        .max(options.initial_readiness_delay_ms);
    let started = |&start: &i64| start.saturating_add(longest) < at.0;
    pods.start_ms.iter().all(started)
}
