//! Reasons why nodes stay. The codes are Cluster Autoscaler's where they mean the same.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use flyball_decision::key::ObjectKey;

/// A reason of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostReason {
    /// CamelCase code.
    pub code: &'static str,
    /// What it means, as a sentence about the node.
    pub meaning: &'static str,
    /// What an operator can do about it.
    pub remedy: &'static str,
    /// When the node is looked at again: what follows "looked at again when".
    pub again: &'static str,
}

macro_rules! host_reasons {
    ($($name:ident: $code:literal, $meaning:literal, $remedy:literal, $again:literal;)*) => {
        $(
            #[doc = concat!("Code `", $code, "`: ", $meaning, ".")]
            pub const $name: HostReason = HostReason {
                code: $code,
                meaning: $meaning,
                remedy: $remedy,
                again: $again,
            };
        )*
        /// All reasons of the host. Policies add their own.
        pub const HOST_REASONS: &[HostReason] = &[$($name),*];
    };
}

host_reasons! {
    NOT_AUTOSCALED: "NotAutoscaled",
        "it belongs to no node group that is scaled",
        "nothing, or add its group to the groups that are scaled",
        "node groups or their instances change";
    MIN_SIZE: "NodeGroupMinSizeReached",
        "its node group is at its smallest size, removals under way included",
        "lower the group's minimum size",
        "the group's minimum or its number of nodes changes";
    DISABLED: "ScaleDownDisabledAnnotation",
        "it has the annotation cluster-autoscaler.kubernetes.io/scale-down-disabled=true",
        "remove the annotation",
        "the annotation is removed";
    UNREADY_DISABLED: "ScaleDownUnreadyDisabled",
        "it is not ready, and unready nodes are not removed",
        "set --scale-down-unready-enabled",
        "the node is ready";
    BEING_DELETED: "CurrentlyBeingDeleted",
        "it is leaving already",
        "nothing",
        "its removal is taken back";
    NOT_STARTED: "NotStarted",
        "it has joined and has not started yet",
        "nothing: it is considered once it is ready, or older than 15 minutes",
        "the node is ready or older than 15 minutes";
    NOT_UNNEEDED_LONG_ENOUGH: "NotUnneededLongEnough",
        "it is not needed, but not for long enough yet",
        "wait, or lower --scale-down-unneeded-time or the group's own time",
        "its time is over";
    NOT_UNREADY_LONG_ENOUGH: "NotUnreadyLongEnough",
        "it is not ready and not needed, but not for long enough yet",
        "wait, or lower --scale-down-unready-time or the group's own time",
        "its time is over";
    NO_PLACE: "NoPlaceToMovePods",
        "the named pod finds no place on any other node",
        "see the pod's requests and rules with `flyball plan`",
        "a pod or a node changes";
    BLOCKED_BY_POD: "BlockedByPod",
        "the named pod may not be moved, for the reason given after it",
        "see that reason",
        "the pod, its owner or its budgets change";
    ON_COMPLETION: "BlockedByOnCompletionPod",
        "the named pod runs to its end first",
        "wait for the pod to end",
        "the pod has ended";
    NOT_ENOUGH_PDB: "NotEnoughPdb",
        "a PodDisruptionBudget of the named pod allows no disruption, removals before included",
        "raise the budget, or add replicas",
        "the budget, the pod or its owner changes";
    SEVERAL_BUDGETS: "SeveralBudgets",
        "several PodDisruptionBudgets select the named pod, which the eviction API refuses",
        "leave one budget for each pod",
        "the budgets or the labels of the pod change";
    POD_YOUNG: "PodYoung",
        "the named pod is younger than --min-pod-age",
        "wait",
        "the pod is old enough";
    MIN_RESOURCES: "MinimalResourceLimitExceeded",
        "the cluster would have less cores or memory than its lower bounds",
        "lower the minimum of --cores-total or --memory-total",
        "nodes come, or the bound is another one";
    ATOMIC: "AtomicScaleDownFailed",
        "its group may only go to zero as a whole, and some of its nodes must stay",
        "see the reasons of the group's other nodes",
        "a reason of the group's other nodes changes";
    PARALLELISM: "ScaleDownParallelism",
        "as many nodes leave at the moment as may leave at the same time",
        "wait, or raise --max-scale-down-parallelism or --max-drain-parallelism",
        "another node has left";
    MAX_DISRUPTION: "MaxDisruptionReached",
        "as many nodes as may be disrupted are leaving, not ready, or were removed lately",
        "wait, or raise --max-disruption or the group's own limit",
        "another node has left or is ready, or the time of the limit has passed";
    COOLDOWN: "ScaleDownInCooldown",
        "no node is removed for a while after nodes were added, removed or failed to be removed",
        "wait, or lower --scale-down-delay-after-add, -delete or -failure",
        "the delay is over";
    SCALE_UP: "ScaleUpUnderWay",
        "nodes were ordered in the same pass, or pending pods are waited for",
        "wait",
        "no node is ordered and no pod is waited for";
    GROUP_FAILURE: "RemovalFailed",
        "its last removal failed",
        "see the event ScaleDownFailed of the node",
        "the delay after the failure is over";
    NOBODY_JUDGED: "NobodyJudged",
        "no policy of --scale-down-policies said that it may go",
        "add a policy such as utilization",
        "a policy that judges it is active";
    POLICY_FAILED: "PolicyFailed",
        "the named policy gave no usable answer",
        "see the policy's error with `flyball policy list`",
        "a minute has passed, or the policy is another version";
    SKIP_NOT_ALLOWED: "SkipNotAllowed",
        "the named policy skips a pod that must be moved",
        "mend the policy: only static, DaemonSet, ended and long terminating pods can be skipped",
        "the pod changes, or the policy is another version";
    UNKNOWN_VERDICT: "UnknownVerdict",
        "the named policy gave a verdict that this host does not know",
        "update the host or the policy",
        "the pod or the node changes, or the policy is another version";
    SUSPENDED: "TerminateSuspended",
        "its Auto Scaling group has suspended the process Terminate",
        "resume the process",
        "the process is resumed";
    REPLACEMENT_PROPOSED: "ReplacementProposed",
        "cheaper nodes can take its place, and will after --replacement-stable-time",
        "wait, or lower --replacement-stable-time",
        "the replacement has been proposed for long enough, or is no longer";
    REPLACEMENT_UNDER_WAY: "ReplacementUnderWay",
        "nodes that take its place were ordered and have not come yet",
        "wait",
        "the new nodes are ready, or do not come in time";
    REPLACES_OTHERS: "ReplacesOthers",
        "it replaces nodes that are leaving",
        "wait",
        "these nodes are gone, or stay after all";
}

/// Why a node stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stay {
    /// CamelCase code: that of a [`HostReason`], or of a policy.
    pub code: Arc<str>,
    /// Message for people: what follows the code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The pod that keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<ObjectKey>,
    /// Code of the reason of that pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_code: Option<Arc<str>>,
    /// The policy that says so. `None` for the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Arc<str>>,
    /// Kind and name of that pod's owner, such as `ReplicaSet cart-7f`. Only in records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<str>>,
    /// The budgets of that pod, if they keep it: at most
    /// [`MAX_NAMED_BUDGETS`](crate::state::MAX_NAMED_BUDGETS). Only in records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<ObjectKey>,
}

impl Stay {
    /// Creates a reason of the host.
    #[must_use]
    pub fn of(reason: HostReason) -> Self {
        Self {
            code: reason.code.into(),
            message: String::new(),
            pod: None,
            pod_code: None,
            policy: None,
            owner: None,
            budgets: Vec::new(),
        }
    }

    /// Creates a reason of the host about a pod.
    #[must_use]
    pub fn of_pod(reason: HostReason, pod: &ObjectKey) -> Self {
        Self {
            pod: Some(pod.clone()),
            ..Self::of(reason)
        }
    }

    /// Creates the reason [`BLOCKED_BY_POD`] with the pod's own reason.
    #[must_use]
    pub fn blocked(pod: &ObjectKey, reason: HostReason) -> Self {
        Self {
            pod_code: Some(reason.code.into()),
            ..Self::of_pod(BLOCKED_BY_POD, pod)
        }
    }

    /// Returns the code that says most: that of the pod that blocks, if there is one.
    #[must_use]
    pub fn cause(&self) -> &Arc<str> {
        self.pod_code.as_ref().unwrap_or(&self.code)
    }

    /// Returns why, as a sentence: the message, or what the code means. Empty if a policy
    /// gave only a code.
    #[must_use]
    pub fn because(&self) -> &str {
        let host = HOST_REASONS.iter();
        let mut host = host.filter(|host| *host.code == **self.cause());
        match host.next() {
            _ if !self.message.is_empty() => &self.message,
            Some(host) => host.meaning,
            None => "",
        }
    }

    /// Returns whether it is the same reason, even if in other words.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let identity = |stay: &Self| {
            let Self {
                code,
                pod,
                pod_code,
                policy,
                ..
            } = stay;
            (code.clone(), pod.clone(), pod_code.clone(), policy.clone())
        };
        identity(self) == identity(other)
    }

    /// Returns when the node is looked at again: what follows "looked at again when".
    #[must_use]
    pub fn again(&self) -> &'static str {
        let by_code = |code: &str| HOST_REASONS.iter().find(|host| *host.code == *code);
        let host = self.pod_code.as_deref().and_then(by_code);
        match host.or_else(|| by_code(&self.code)) {
            Some(host) => host.again,
            None => "the node, its pods or its group change, or the policy is another version",
        }
    }
}

impl fmt::Display for Stay {
    /// `BlockedByPod: pod shop/cart-7f (NotEnoughPdb): … by drain-rules`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        if let Some(pod) = &self.pod {
            write!(f, ": pod {}/{}", pod.namespace, pod.name)?;
        }
        if let Some(code) = &self.pod_code {
            write!(f, " ({code})")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        } else if let Some(host) = HOST_REASONS.iter().find(|host| *host.code == *self.code) {
            write!(f, ": {}", host.meaning)?;
        }
        if let Some(policy) = &self.policy {
            write!(f, " by {policy}")?;
        }
        Ok(())
    }
}
