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
use flyball_decision::text;
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
            Some(Err(error)) => Outcome::Failed(text::message(error)),
            None if self.change().is_some() && self.record.mode == Mode::Observe => {
                Outcome::Observed
            }
            None => Outcome::Unchanged,
        };
        let mut status = before.clone();
        status.observed_generation = Some(self.record.generation);
        let mut report = StatusReport {
            at: self.record.at,
            status,
            events: Vec::new(),
        };
        match &self.branch {
            Branch::NoScale(error) => self.report_no_scale(&mut report, &error.message),
            Branch::Disabled {
                reason,
                message,
                event,
            } => {
                self.report_disabled(&mut report, reason, message, *event);
            }
            Branch::Bound(_) => {
                report.able("True", "SucceededGetScale", GOT_SCALE);
                report.status.current_metrics.clear();
            }
            Branch::Asked => self.report_asked(&mut report),
        }
        self.report_outcome(&mut report);
        self.report_kept_from_zero(&mut report);
        if self.is_late {
            report.warn(event::DECISION_PUT_OFF, PUT_OFF);
        }
        report.events.append(&mut self.notes);
        let StatusReport { status, events, .. } = report;
        self.record.events = events;
        self.record.conditions.clone_from(&status.conditions);
        (self.record, status)
    }

    fn report_no_scale(&self, report: &mut StatusReport, message: &str) {
        report.warn("FailedGetScale", message);
        let message =
            format!("the HPA controller was unable to get the target's current scale: {message}");
        report.able("False", "FailedGetScale", &message);
    }

    fn report_disabled(
        &self,
        report: &mut StatusReport,
        reason: &str,
        message: &str,
        event: Option<&str>,
    ) {
        // A conflict of targets may be found before the scale is read.
        if self.record.verdict.from.is_some() {
            report.able("True", "SucceededGetScale", GOT_SCALE);
        }
        report.active("False", reason, message);
        if let Some(event) = event {
            let text = if event == "SelectorRequired" {
                "selector is required"
            } else {
                message
            };
            report.warn(event, text);
            if event != "AmbiguousTarget" {
                report.warn("FailedComputeMetricsReplicas", text);
            }
        }
        // If only the gate keeps the target at zero, the condition stays: with it the
        // target leaves zero once the gate is on again.
        if reason == condition::SCALING_DISABLED && !self.scale_to_zero && !self.kept_from_zero {
            report.drop_condition(condition::SCALED_TO_ZERO);
        }
        report.status.current_metrics.clear();
        if reason == condition::SCALING_DISABLED {
            report.status.desired_replicas = 0;
        }
    }

    fn report_asked(&self, report: &mut StatusReport) {
        report.able("True", "SucceededGetScale", GOT_SCALE);
        let record = &self.record;
        let current = record.verdict.from.unwrap_or_default();
        let leader = leader(&record.policies, record.combine, current);
        report.status.policies = record
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
            report.status.current_metrics = metrics::statuses(input, proposals);
            for fault in decision
                .map(|d| metrics::faults(input, &record.names, d))
                .unwrap_or_default()
            {
                report.warn(fault.reason, &fault.message);
            }
        }
        if let Some(leader) = leader {
            self.report_active(report, leader);
        }
        for step in &record.guard_steps {
            match &*step.guardrail {
                guard::STABILIZATION => report.able("True", &step.reason, &step.message),
                guard::LIMITS | guard::MASS_SCALE_DOWN => {
                    let limited = if step.changed() { "True" } else { "False" };
                    report.condition(
                        condition::SCALING_LIMITED,
                        limited,
                        &step.reason,
                        &step.message,
                    );
                }
                _ => {}
            }
        }
        self.report_health(report);
    }

    /// Reports whether replicas could be computed, and from what.
    fn report_active(&self, report: &mut StatusReport, leader: &PolicyRecord) {
        let record = &self.record;
        if proposal(leader).is_some() {
            let metric = decision(leader)
                .and_then(|decision| record.names.metrics.get(decision.leading? as usize));
            let source =
                metric.map_or_else(|| format!("policy {}", leader.name), ToString::to_string);
            let message =
                format!("the HPA was able to successfully calculate a replica count from {source}");
            return report.active("True", "ValidMetricFound", &message);
        }
        let failure = decision(leader)
            .zip(record.input.as_ref())
            .and_then(|(decision, input)| metrics::failure(input, &record.names, decision));
        if let Some(failure) = failure {
            report.active("False", failure.reason, &failure.message);
            return report.warn("FailedComputeMetricsReplicas", &failure.summary);
        }
        let (reason, message) = why(&record.names, leader);
        let active = if decision(leader).is_some() {
            "True"
        } else {
            "False"
        };
        report.active(active, &reason, &message);
    }

    fn report_health(&self, report: &mut StatusReport) {
        let mut failed = self
            .record
            .policies
            .iter()
            .filter_map(|policy| Some((policy, policy.failure()?)));
        let Some((policy, failure)) = failed.next() else {
            let message = "every policy of the object answered";
            return report.condition(
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
        report.condition(
            condition::POLICIES_HEALTHY,
            "False",
            failure.code(),
            &message,
        );
    }

    fn report_outcome(&self, report: &mut StatusReport) {
        let verdict = &self.record.verdict;
        let Some(from) = verdict.from else { return };
        report.status.current_replicas = from;
        let Some(to) = verdict.to else { return };
        let why = &verdict.message;
        match &self.record.outcome {
            Outcome::Failed(error) => {
                let size = format!("New size: {to}; reason: ");
                let error_suffix = format!("; error: {error}");
                report.warn("FailedRescale", &Event::message(&size, why, &error_suffix));
                let message =
                    format!("the HPA controller was unable to update the target scale: {error}");
                return report.able("False", "FailedUpdateScale", &message);
            }
            Outcome::Scaled => {
                let message =
                    format!("the HPA controller was able to update the target scale to {to}");
                report.able("True", "SucceededRescale", &message);
                let size = format!("New size: {to}; reason: ");
                report.events.push(Event {
                    warning: false,
                    reason: "SuccessfulRescale".to_owned(),
                    message: Event::message(&size, why, &self.decided_by()),
                });
                report.status.last_scale_time = Some(self.record.at);
                self.report_zero(report, from, to);
            }
            Outcome::Unchanged | Outcome::Observed => {}
        }
        report.status.desired_replicas = to;
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

    fn report_zero(&self, report: &mut StatusReport, from: i32, to: i32) {
        let kind = condition::SCALED_TO_ZERO;
        if !self.scale_to_zero {
            report.drop_condition(kind);
        } else if from > 0 && to == 0 && self.min == 0 && self.outside_metric {
            let message = "the HPA controller scaled the workload to zero";
            report.condition(kind, "True", "ScaledToZero", message);
        } else {
            let message = "the HPA controller did not scale the workload to zero";
            report.condition(kind, "False", "NotScaledToZero", message);
        }
    }
}

impl Decision {
    /// Reports that a lower bound of 0 does not count without the feature gate: by a
    /// condition, and by an event if that is new.
    fn report_kept_from_zero(&self, report: &mut StatusReport) {
        let kind = condition::SCALE_TO_ZERO_ENABLED;
        let Some(from) = self.record.verdict.from else {
            return;
        };
        if !self.kept_from_zero {
            return report.drop_condition(kind);
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
        let mut conditions = report.status.conditions.iter();
        let reported_before =
            conditions.any(|known| *known.kind == *kind && *known.reason == *reason);
        report.condition(kind, "False", reason, &message);
        if !reported_before {
            report.warn(event::SCALE_TO_ZERO_DISABLED, &message);
        }
    }
}

const PUT_OFF: &str = "the decision was put off for a sync period or longer: the objects of \
    this namespace use more fuel than a tick has for their policies (--policy-tick-fuel), or more \
    rows of pods and metrics, comparisons of labels or bytes of answers than it has for the \
    namespace, or are more than 10,000";
const GOT_SCALE: &str = "the HPA controller was able to get the target's current scale";

/// A status and events under construction.
struct StatusReport {
    at: Timestamp,
    status: AutoscalerStatus,
    events: Vec<Event>,
}

impl StatusReport {
    fn able(&mut self, status: &str, reason: &str, message: &str) {
        self.condition(condition::ABLE_TO_SCALE, status, reason, message);
    }

    fn active(&mut self, status: &str, reason: &str, message: &str) {
        self.condition(condition::SCALING_ACTIVE, status, reason, message);
    }

    fn warn(&mut self, reason: &str, message: &str) {
        let (reason, message) = (reason.to_owned(), text::note(message));
        self.events.push(Event {
            warning: true,
            reason,
            message,
        });
    }

    fn drop_condition(&mut self, kind: &str) {
        let conditions = &mut self.status.conditions;
        conditions.retain(|known| *known.kind != *kind);
    }

    fn condition(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let message = text::message_of(message);
        let conditions = &mut self.status.conditions;
        let Some(known) = conditions.iter_mut().find(|known| *known.kind == *kind) else {
            conditions.push(Condition {
                kind: kind.into(),
                status: status.into(),
                last_transition_time: self.at,
                reason: reason.into(),
                message: message.into(),
            });
            return;
        };
        if *known.status != *status {
            known.last_transition_time = self.at;
        }
        // What stays as it is is not copied: records share it.
        for (known, new) in [
            (&mut known.status, status),
            (&mut known.reason, reason),
            (&mut known.message, &message),
        ] {
            if **known != *new {
                *known = new.into();
            }
        }
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
        message: text::message(message),
    }
}
