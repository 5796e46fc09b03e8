//! The report of a decision once its outcome is known: conditions, events and status, in
//! the words of HorizontalPodAutoscaler where it has any.

use std::sync::Arc;

use super::settle::{leader, proposal, why};
use super::{Branch, Decision, metrics};
use crate::guard;
use crate::record::{DecisionRecord, Outcome};
use crate::spec::Mode;
use crate::status::{AutoscalerStatus, Condition, PolicyStatus, condition, event};
use flyball_decision::ask::{goes_on, stands_in};
use flyball_decision::event::Event;
use flyball_decision::part::PolicyRecord;
use flyball_decision::question::{Question as _, ReplicaQuestion};
use flyball_decision::replica::ReplicaDecision;
use flyball_decision::time::Timestamp;

impl Decision {
    /// Returns the record and the new status. `written` is the result of writing the
    /// intent, and `before` the status in the cluster.
    #[must_use]
    pub fn conclude(
        mut self,
        before: &AutoscalerStatus,
        written: Option<Result<(), String>>,
    ) -> (DecisionRecord, AutoscalerStatus) {
        self.record.outcome = match written {
            Some(Ok(())) => Outcome::Scaled,
            Some(Err(error)) => Outcome::Failed(error),
            None if self.change().is_some() && self.record.mode == Mode::Observe => {
                Outcome::Observed
            }
            None => Outcome::Unchanged,
        };
        let mut status = before.clone();
        status.observed_generation = Some(self.record.generation);
        let mut told = Told {
            at: self.record.at,
            status,
            events: Vec::new(),
        };
        match &self.branch {
            Branch::NoScale(error) => self.tell_no_scale(&mut told, &error.message),
            Branch::Disabled {
                reason,
                message,
                event,
            } => {
                self.tell_disabled(&mut told, reason, message, *event);
            }
            Branch::Bound(_) => {
                told.able("True", "SucceededGetScale", GOT_SCALE);
                told.status.current_metrics.clear();
            }
            Branch::Asked => self.tell_asked(&mut told),
        }
        self.tell_outcome(&mut told);
        self.tell_kept_from_zero(&mut told);
        told.events.append(&mut self.notes);
        let Told { status, events, .. } = told;
        self.record.events = events;
        self.record.conditions.clone_from(&status.conditions);
        (self.record, status)
    }

    fn tell_no_scale(&self, told: &mut Told, message: &str) {
        told.warn("FailedGetScale", message);
        let message =
            format!("the HPA controller was unable to get the target's current scale: {message}");
        told.able("False", "FailedGetScale", &message);
    }

    fn tell_disabled(&self, told: &mut Told, reason: &str, message: &str, event: Option<&str>) {
        // A conflict of targets may be found before the scale is read.
        if self.record.verdict.from.is_some() {
            told.able("True", "SucceededGetScale", GOT_SCALE);
        }
        told.active("False", reason, message);
        if let Some(event) = event {
            let text = if event == "SelectorRequired" {
                "selector is required"
            } else {
                message
            };
            told.warn(event, text);
            if event != "AmbiguousTarget" {
                told.warn("FailedComputeMetricsReplicas", text);
            }
        }
        // If only the gate keeps the target at zero, the condition stays: with it the
        // target leaves zero once the gate is on again.
        if reason == condition::SCALING_DISABLED && !self.scale_to_zero && !self.kept_from_zero {
            told.status
                .conditions
                .retain(|known| known.kind != condition::SCALED_TO_ZERO);
        }
        told.status.current_metrics.clear();
        if reason == condition::SCALING_DISABLED {
            told.status.desired_replicas = 0;
        }
    }

    fn tell_asked(&self, told: &mut Told) {
        told.able("True", "SucceededGetScale", GOT_SCALE);
        let record = &self.record;
        let current = record.verdict.from.unwrap_or_default();
        let leader = leader(&record.policies, record.combine, current);
        told.status.policies = record
            .policies
            .iter()
            .map(|p| policy_status(record, p))
            .collect();
        if let Some(input) = &record.input {
            let decision = leader
                .and_then(decision)
                .filter(|decision| !decision.proposals.is_empty());
            let decision = decision.or_else(|| {
                let mut others = record.policies.iter().filter_map(decision_with_proposals);
                others.next()
            });
            let proposals = decision.map_or(&[][..], |decision| &decision.proposals);
            told.status.current_metrics = metrics::statuses(input, proposals);
            for fault in decision
                .map(|d| metrics::faults(input, &record.names, d))
                .unwrap_or_default()
            {
                told.warn(fault.reason, &fault.message);
            }
        }
        if let Some(leader) = leader {
            self.tell_active(told, leader);
        }
        for step in &record.guard_steps {
            match &*step.guardrail {
                guard::STABILIZATION => told.able("True", &step.reason, &step.message),
                guard::LIMITS | guard::MASS_SCALE_DOWN => {
                    let limited = if step.changed() { "True" } else { "False" };
                    told.condition(
                        condition::SCALING_LIMITED,
                        limited,
                        &step.reason,
                        &step.message,
                    );
                }
                _ => {}
            }
        }
        self.tell_health(told);
    }

    /// Reports whether replicas could be computed, and from what.
    fn tell_active(&self, told: &mut Told, leader: &PolicyRecord) {
        let record = &self.record;
        if proposal(leader).is_some() {
            let metric = decision(leader)
                .and_then(|decision| record.names.metrics.get(decision.leading? as usize));
            let source =
                metric.map_or_else(|| format!("policy {}", leader.name), ToString::to_string);
            let message =
                format!("the HPA was able to successfully calculate a replica count from {source}");
            return told.active("True", "ValidMetricFound", &message);
        }
        let failure = decision(leader)
            .zip(record.input.as_ref())
            .and_then(|(decision, input)| metrics::failure(input, &record.names, decision));
        if let Some(failure) = failure {
            told.active("False", failure.reason, &failure.message);
            return told.warn("FailedComputeMetricsReplicas", &failure.summary);
        }
        let (reason, message) = why(&record.names, leader);
        let active = if decision(leader).is_some() {
            "True"
        } else {
            "False"
        };
        told.active(active, &reason, &message);
    }

    fn tell_health(&self, told: &mut Told) {
        let mut failed = self
            .record
            .policies
            .iter()
            .filter_map(|policy| Some((policy, policy.failure()?)));
        let Some((policy, failure)) = failed.next() else {
            let message = "every policy of the object answered";
            return told.condition(
                condition::POLICIES_HEALTHY,
                "True",
                "PoliciesAnswered",
                message,
            );
        };
        let then = match (&policy.failed, &policy.version) {
            (Some(_), Some(version)) if policy.previous => goes_on(version),
            (Some(_), Some(version)) => stands_in::<ReplicaQuestion>(version),
            _ => ReplicaQuestion::HELD.to_owned(),
        };
        let message = format!("policy {}: {}; {then}", policy.name, failure.message());
        told.condition(
            condition::POLICIES_HEALTHY,
            "False",
            failure.code(),
            &message,
        );
    }

    fn tell_outcome(&self, told: &mut Told) {
        let verdict = &self.record.verdict;
        let Some(from) = verdict.from else { return };
        told.status.current_replicas = from;
        let Some(to) = verdict.to else { return };
        let why = &verdict.message;
        match &self.record.outcome {
            Outcome::Failed(error) => {
                let size = format!("New size: {to}; reason: ");
                let error_told = format!("; error: {error}");
                told.warn("FailedRescale", &Event::message(&size, why, &error_told));
                let message =
                    format!("the HPA controller was unable to update the target scale: {error}");
                return told.able("False", "FailedUpdateScale", &message);
            }
            Outcome::Scaled => {
                let message =
                    format!("the HPA controller was able to update the target scale to {to}");
                told.able("True", "SucceededRescale", &message);
                let size = format!("New size: {to}; reason: ");
                told.events.push(Event {
                    warning: false,
                    reason: "SuccessfulRescale".to_owned(),
                    message: Event::message(&size, why, &self.decided_by()),
                });
                told.status.last_scale_time = Some(self.record.at);
                self.tell_zero(told, from, to);
            }
            Outcome::Unchanged | Outcome::Observed => {}
        }
        told.status.desired_replicas = to;
    }

    /// Returns the policy that a change of replicas follows, for its event.
    fn decided_by(&self) -> String {
        let record = &self.record;
        let leader = leader(
            &record.policies,
            record.combine,
            record.verdict.from.unwrap_or_default(),
        );
        let version = leader.and_then(|policy| policy.version.as_ref());
        version.map_or_else(String::new, |version| {
            format!("; policy: {} ({})", version.name, version.short_digest())
        })
    }

    fn tell_zero(&self, told: &mut Told, from: i32, to: i32) {
        let kind = condition::SCALED_TO_ZERO;
        if !self.scale_to_zero {
            told.status.conditions.retain(|known| known.kind != kind);
        } else if from > 0 && to == 0 && self.min == 0 && self.outside_metric {
            let message = "the HPA controller scaled the workload to zero";
            told.condition(kind, "True", "ScaledToZero", message);
        } else {
            let message = "the HPA controller did not scale the workload to zero";
            told.condition(kind, "False", "NotScaledToZero", message);
        }
    }
}

impl Decision {
    /// Reports that a lower bound of 0 does not count without the feature gate: by a
    /// condition, and by an event if that is new.
    fn tell_kept_from_zero(&self, told: &mut Told) {
        let kind = condition::SCALE_TO_ZERO_ENABLED;
        let Some(from) = self.record.verdict.from else {
            return;
        };
        if !self.kept_from_zero {
            return told.status.conditions.retain(|known| known.kind != kind);
        }
        let (reason, then) = if from == 0 {
            let then = "the target stands at zero and stays there until somebody scales it up";
            ("StandsAtZero", then)
        } else {
            ("FeatureGateDisabled", "decided as with minReplicas: 1")
        };
        let message = format!(
            "minReplicas is 0, but the feature gate HPAScaleToZero is off: {then} (to scale to \
             zero, start flyball with --feature-gates=HPAScaleToZero=true)"
        );
        let mut conditions = told.status.conditions.iter();
        let told_before = conditions.any(|known| known.kind == kind && known.reason == reason);
        told.condition(kind, "False", reason, &message);
        if !told_before {
            told.warn(event::SCALE_TO_ZERO_DISABLED, &message);
        }
    }
}

const GOT_SCALE: &str = "the HPA controller was able to get the target's current scale";

/// A status and events under construction.
struct Told {
    at: Timestamp,
    status: AutoscalerStatus,
    events: Vec<Event>,
}

impl Told {
    fn able(&mut self, status: &str, reason: &str, message: &str) {
        self.condition(condition::ABLE_TO_SCALE, status, reason, message);
    }

    fn active(&mut self, status: &str, reason: &str, message: &str) {
        self.condition(condition::SCALING_ACTIVE, status, reason, message);
    }

    fn warn(&mut self, reason: &str, message: &str) {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        self.events.push(Event {
            warning: true,
            reason,
            message,
        });
    }

    fn condition(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let conditions = &mut self.status.conditions;
        let Some(known) = conditions.iter_mut().find(|known| known.kind == kind) else {
            conditions.push(Condition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                last_transition_time: self.at,
                reason: reason.to_owned(),
                message: message.to_owned(),
            });
            return;
        };
        if known.status != status {
            status.clone_into(&mut known.status);
            known.last_transition_time = self.at;
        }
        reason.clone_into(&mut known.reason);
        message.clone_into(&mut known.message);
    }
}

fn decision(policy: &PolicyRecord) -> Option<&ReplicaDecision> {
    policy.answer.as_ref().ok()
}

fn decision_with_proposals(policy: &PolicyRecord) -> Option<&ReplicaDecision> {
    decision(policy).filter(|decision| !decision.proposals.is_empty())
}

fn policy_status(record: &DecisionRecord, policy: &PolicyRecord) -> PolicyStatus {
    let (reason, message) = why(&record.names, policy);
    let digest = policy
        .version
        .as_ref()
        .map(|version| Arc::clone(&version.digest));
    PolicyStatus {
        name: Arc::clone(&policy.name),
        digest: digest.unwrap_or_default(),
        desired_replicas: proposal(policy).map(i64::from),
        reason,
        message,
    }
}
