//! How the answers of several policies are combined: the strictest verdict counts, at least
//! one must be in favour, costs add up, the longest time counts, and scores are compared in
//! the order of the chain.

mod node_verdicts;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use self::node_verdicts::compose_nodes;

use super::columns::PodTable;
use super::kept::KeptPod;
use super::rows::HostFacts;
use super::{JudgedPod, PodAction};
use crate::reasons::{self, HOST_REASONS, HostReason, Stay};
use crate::state::ClusterState;
use flyball_decision::key::ObjectKey;
use flyball_decision::part::Part;
use flyball_decision::question::ScaleDownPodsQuestion;
use flyball_decision::scale_down::{GroupColumns, pod_verdict, row};
use flyball_decision::text;
use flyball_decision::time::Timestamp;

/// Time for which verdicts are kept that a failed policy was asked for.
const FAILED_MS: i64 = 60_000;

/// A pod's verdict in the order of strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strictness {
    Skip,
    Evict,
    Wait,
    Block,
}

/// Why a pod keeps its node.
#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// A reason of the host, and the policy that it is about.
    Host(HostReason, Option<Arc<str>>),
    /// A reason of a policy.
    Policy {
        code: Option<Arc<str>>,
        message: String,
        policy: Arc<str>,
    },
}

impl Cause {
    /// Returns why the pod's node stays.
    fn stay(&self, pod: &ObjectKey) -> Stay {
        match self {
            Self::Host(reason, policy) => Stay {
                policy: policy.clone(),
                ..Stay::blocked(pod, *reason)
            },
            Self::Policy {
                code,
                message,
                policy,
            } => Stay {
                message: message.clone(),
                pod_code: code.clone(),
                policy: Some(Arc::clone(policy)),
                ..Stay::of_pod(reasons::BLOCKED_BY_POD, pod)
            },
        }
    }
}

/// The combined verdict about a pod.
#[derive(Clone, Debug)]
pub(super) struct PodVerdict {
    strictness: Strictness,
    /// Why it blocks. Pods that block for the same reason share the `Arc`.
    cause: Option<Arc<Cause>>,
    cost: f64,
    /// Until when it holds if nothing but time changes.
    pub(super) until: Timestamp,
}

/// Combines the answers about pods.
pub(super) struct PodComposer<'a> {
    now: Timestamp,
    parts: &'a [Part<ScaleDownPodsQuestion>],
    groups: &'a GroupColumns,
    table: &'a PodTable<'a>,
    causes: BTreeMap<CauseKey, Arc<Cause>>,
}

/// What makes a [`Cause`] of one question: the host's reason and the part it is about, or a
/// row of a part's reasons.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum CauseKey {
    Host(&'static str, Option<usize>),
    Reason(usize, Option<usize>),
}

impl<'a> PodComposer<'a> {
    pub(super) fn new(
        now: Timestamp,
        parts: &'a [Part<ScaleDownPodsQuestion>],
        groups: &'a GroupColumns,
        table: &'a PodTable<'a>,
    ) -> Self {
        Self {
            now,
            parts,
            groups,
            table,
            causes: BTreeMap::new(),
        }
    }

    /// Returns the verdict about the pod in that row.
    pub(super) fn verdict(&mut self, at: usize, pod: HostFacts) -> PodVerdict {
        let mut strictest: Option<(Strictness, CauseKey)> = None;
        let (mut cost, mut until) = (0.0, pod.until);
        for (of_part, part) in self.parts.iter().enumerate() {
            let host = |reason: HostReason| CauseKey::Host(reason.code, Some(of_part));
            let (strictness, key) = match &part.answer {
                Err(_) => {
                    until = until.min(self.now.plus(FAILED_MS));
                    (Strictness::Block, host(reasons::POLICY_FAILED))
                }
                Ok(answer) => {
                    if let Some(own) = answer.cost.get(at) {
                        cost += own;
                    }
                    if let Some(&own) = answer.until_ms.get(at)
                        && own >= 0
                    {
                        until = until.min(Timestamp(own));
                    }
                    let reason = answer.reason.get(at).and_then(|&reason| row(reason));
                    let own = CauseKey::Reason(of_part, reason);
                    match answer.verdict.get(at).copied().unwrap_or_default() {
                        pod_verdict::NO_OPINION => continue,
                        pod_verdict::EVICT => (Strictness::Evict, own),
                        pod_verdict::WAIT => (Strictness::Wait, own),
                        pod_verdict::BLOCK => (Strictness::Block, own),
                        pod_verdict::SKIP if pod.may_be_skipped() => (Strictness::Skip, own),
                        pod_verdict::SKIP => (Strictness::Block, host(reasons::SKIP_NOT_ALLOWED)),
                        _ => (Strictness::Block, host(reasons::UNKNOWN_VERDICT)),
                    }
                }
            };
            if strictest
                .as_ref()
                .is_none_or(|(known, _)| strictness > *known)
            {
                strictest = Some((strictness, key));
            }
        }
        let nobody = || CauseKey::Host(reasons::NOBODY_JUDGED.code, None);
        let (strictness, key) = strictest.unwrap_or_else(|| (Strictness::Block, nobody()));
        let blocks = strictness == Strictness::Block;
        PodVerdict {
            strictness,
            cause: blocks.then(|| self.cause(key)),
            cost,
            until,
        }
    }

    fn cause(&mut self, key: CauseKey) -> Arc<Cause> {
        if let Some(known) = self.causes.get(&key) {
            return Arc::clone(known);
        }
        let name = |of_part: usize| Arc::clone(&self.parts[of_part].name);
        let cause = Arc::new(match key {
            CauseKey::Host(code, of_part) => {
                let mut reasons = HOST_REASONS.iter().filter(|reason| reason.code == code);
                let reason = reasons.next().copied().unwrap_or(reasons::NOBODY_JUDGED);
                Cause::Host(reason, of_part.map(name))
            }
            CauseKey::Reason(of_part, reason) => {
                let answer = self.parts[of_part].answer.as_ref().ok();
                let reason = reason.and_then(|row| answer?.reasons.get(row));
                Cause::Policy {
                    code: reason.map(|reason| reason.code.as_str().into()),
                    message: reason.map_or_else(String::new, |reason| self.fill(&reason.sentence)),
                    policy: name(of_part),
                }
            }
        });
        self.causes.insert(key, Arc::clone(&cause));
        cause
    }

    /// Fills in the placeholders of a sentence about pods.
    fn fill(&self, sentence: &str) -> String {
        let filled = filled(sentence, |table, at| match table {
            "pod" => {
                let pod = self.table.names.get(at)?;
                Some(pod.to_string())
            }
            "node" => Some(self.table.candidates.get(at)?.name.to_string()),
            "group" => Some(self.groups.name.get(at)?.to_string()),
            _ => None,
        });
        text::message(filled)
    }
}

/// What the verdicts about a node's pods mean for the node.
pub(super) struct NodeOfPods {
    pub(super) pods: Arc<[JudgedPod]>,
    pub(super) blocked: Option<Arc<Stay>>,
    pub(super) cost: f64,
    pub(super) until: Timestamp,
}

/// Adds up the verdicts about the pods of a node, which are ordered by name. Returns them
/// too.
pub(super) fn compose_node_of_pods(
    state: &ClusterState,
    pods: impl ExactSizeIterator<Item = (KeptPod, HostFacts)>,
) -> (Box<[KeptPod]>, NodeOfPods) {
    let (mut blocked, mut cost, mut until) = (None, 0.0, Timestamp(i64::MAX));
    let mut judged = Vec::with_capacity(pods.len());
    let mut verdicts = Vec::with_capacity(pods.len());
    for (kept, facts) in pods {
        if let Some(verdict) = &kept.verdict {
            until = until.min(verdict.until);
            match action(facts, verdict.strictness) {
                Err(()) => {
                    if let (None, Some(cause)) = (&blocked, &verdict.cause) {
                        let pod = state.pod_at(kept.slot);
                        blocked = pod.map(|pod| Arc::new(cause.stay(pod.key)));
                    }
                }
                Ok(Some(action)) => {
                    if action == PodAction::Evict {
                        cost += verdict.cost;
                    }
                    let slot = kept.slot;
                    judged.push(JudgedPod { slot, action });
                }
                Ok(None) => {}
            }
        }
        verdicts.push(kept);
    }
    let of_pods = NodeOfPods {
        pods: judged.into(),
        blocked,
        cost,
        until,
    };
    (verdicts.into(), of_pods)
}

/// What happens to a pod. `Ok(None)` if it is left alone, and an error if it blocks. No
/// policy can have a mirror pod evicted.
fn action(pod: HostFacts, strictness: Strictness) -> Result<Option<PodAction>, ()> {
    match strictness {
        Strictness::Block => Err(()),
        Strictness::Wait => Ok(Some(PodAction::Wait)),
        _ if pod.is_mirror() || pod.has_ended() => Ok(None),
        Strictness::Skip => Ok(None),
        Strictness::Evict if pod.of_daemon_set() => Ok(Some(PodAction::DaemonSet)),
        Strictness::Evict => Ok(Some(PodAction::Evict)),
    }
}

/// Replaces `{pod:N}`, `{node:N}` and `{group:N}` in a sentence. Others stay as they are.
pub(in crate::scale_down) fn filled(
    sentence: &str,
    name: impl Fn(&str, usize) -> Option<String>,
) -> String {
    let mut text = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let placeholder = after.split_once('}').and_then(|(inner, after)| {
            let (table, at) = inner.split_once(':')?;
            Some((name(table, at.parse().ok()?)?, after))
        });
        if let Some((name, after)) = placeholder {
            text.push_str(&name);
            rest = after;
        } else {
            text.push('{');
            rest = after;
        }
    }
    text.push_str(rest);
    text
}
