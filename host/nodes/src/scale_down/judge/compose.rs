//! How the answers of several policies are combined: the strictest verdict counts, at least
//! one must be in favour, costs add up, the longest time counts, and scores are compared in
//! the order of the chain.

use std::sync::Arc;

use super::columns::is_long_terminating;
use super::kept::{KeptNode, KeptVerdict, KeptVerdicts, NodeKey, Requests};
use super::rows::PodRows;
use super::{JudgedPod, PodAction, Scores};
use crate::gpu::gpus;
use crate::reasons::{self, HostReason, Stay};
use crate::scale_down::candidates::Candidate;
use crate::scale_down::plan::ScaleDownContext;
use crate::state::{ClusterState, PodView};
use flyball_decision::context::Reason;
use flyball_decision::part::Part;
use flyball_decision::question::{ScaleDownNodesQuestion, ScaleDownPodsQuestion};
use flyball_decision::scale_down::{
    NodeVerdicts, PodVerdicts, ScaleDownNodesInput, ScaleDownPodsInput, node_verdict, pod_verdict,
    row,
};
use flyball_decision::time::Timestamp;

/// Time for which verdicts are kept that a failed policy was asked for.
const FAILED_MS: i64 = 60_000;

/// A pod's verdict in the order of strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strictness {
    Skip,
    Evict,
    Wait,
    Block,
}

/// Why a row has its verdict: an own reason of the host, or row and policy.
#[derive(Clone, Copy)]
enum Cause<'a> {
    Host(HostReason, Option<&'a Arc<str>>),
    Policy(Option<&'a Reason>, &'a Arc<str>),
}

/// Combines the answers about pods, and keeps the result by node.
pub(super) fn compose_pods(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    input: &ScaleDownPodsInput,
    rows: &PodRows,
    parts: &[Part<ScaleDownPodsQuestion>],
    kept: &mut KeptVerdicts,
) {
    let failed = parts.iter().any(|part| part.answer.is_err());
    let latest = match failed {
        true => context.now.plus(FAILED_MS),
        false => Timestamp(i64::MAX),
    };
    let mut start = 0;
    for node in &rows.nodes {
        let Some(view) = state.node(&node.name) else {
            continue;
        };
        let mut known = KeptNode {
            created: view.facts.created,
            pods: Arc::default(),
            blocked: None,
            cost: 0.0,
            requested: Requests::default(),
            of_daemon_sets: Requests::default(),
            of_mirrors: Requests::default(),
            until: latest,
            verdict: None,
        };
        let mut pods = Vec::new();
        for at in start..node.end {
            let Some(pod) = state.pod_at(rows.slots[at]) else {
                continue;
            };
            add_requests(context, state, &pod, &mut known);
            let verdict = compose_pod(&pod, at, parts, context.now);
            known.until = known.until.min(verdict.until);
            match action(&pod, verdict.strictness) {
                Err(()) => {
                    if known.blocked.is_none() {
                        let names = Names { input, rows, state };
                        known.blocked = Some(blocked(&pod, verdict.cause, &names));
                    }
                }
                Ok(Some(action)) => {
                    if action == PodAction::Evict {
                        known.cost += verdict.cost;
                    }
                    let slot = pod.slot;
                    pods.push(JudgedPod { slot, action });
                }
                Ok(None) => {}
            }
        }
        known.pods = pods.into();
        kept.keep_pods(&node.name, known);
        start = node.end;
    }
}

/// The combined verdict about a pod.
struct PodVerdict<'a> {
    strictness: Strictness,
    cause: Cause<'a>,
    cost: f64,
    until: Timestamp,
}

fn compose_pod<'a>(
    pod: &PodView<'_>,
    at: usize,
    parts: &'a [Part<ScaleDownPodsQuestion>],
    now: Timestamp,
) -> PodVerdict<'a> {
    let mut found: Option<(Strictness, Cause<'a>)> = None;
    let (mut cost, mut until) = (0.0, Timestamp(i64::MAX));
    if let Some(end) = long_terminating_from(pod).filter(|end| *end > now) {
        until = end;
    }
    for part in parts {
        let policy = &part.name;
        let (strictness, cause) = match &part.answer {
            Err(_) => {
                let cause = Cause::Host(reasons::POLICY_FAILED, Some(policy));
                (Strictness::Block, cause)
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
                let cause = Cause::Policy(reason_of(answer, at), policy);
                match answer.verdict.get(at).copied().unwrap_or_default() {
                    pod_verdict::NO_OPINION => continue,
                    pod_verdict::EVICT => (Strictness::Evict, cause),
                    pod_verdict::WAIT => (Strictness::Wait, cause),
                    pod_verdict::BLOCK => (Strictness::Block, cause),
                    pod_verdict::SKIP if may_skip(pod, now) => (Strictness::Skip, cause),
                    pod_verdict::SKIP => {
                        let cause = Cause::Host(reasons::SKIP_NOT_ALLOWED, Some(policy));
                        (Strictness::Block, cause)
                    }
                    _ => {
                        let cause = Cause::Host(reasons::UNKNOWN_VERDICT, Some(policy));
                        (Strictness::Block, cause)
                    }
                }
            }
        };
        if found.is_none_or(|(strictest, _)| strictness > strictest) {
            found = Some((strictness, cause));
        }
    }
    let nobody = (Strictness::Block, Cause::Host(reasons::NOBODY_JUDGED, None));
    let (strictness, cause) = found.unwrap_or(nobody);
    PodVerdict {
        strictness,
        cause,
        cost,
        until,
    }
}

/// Whether a pod can go with its node, by the host's own facts.
fn may_skip(pod: &PodView<'_>, now: Timestamp) -> bool {
    pod.facts.mirror
        || pod.of_daemon_set()
        || pod.facts.has_ended()
        || is_long_terminating(pod, now)
}

/// When a pod that is being deleted has outlived its grace.
fn long_terminating_from(pod: &PodView<'_>) -> Option<Timestamp> {
    super::columns::long_terminating_after(pod).map(|end| end.plus(1))
}

/// What happens to a pod. `Ok(None)` if it is left alone, and an error if it blocks. No
/// policy can have a mirror pod evicted.
fn action(pod: &PodView<'_>, strictness: Strictness) -> Result<Option<PodAction>, ()> {
    match strictness {
        Strictness::Block => Err(()),
        Strictness::Wait => Ok(Some(PodAction::Wait)),
        _ if pod.facts.mirror || pod.facts.has_ended() => Ok(None),
        Strictness::Skip => Ok(None),
        Strictness::Evict if pod.of_daemon_set() => Ok(Some(PodAction::DaemonSet)),
        Strictness::Evict => Ok(Some(PodAction::Evict)),
    }
}

fn reason_of(answer: &PodVerdicts, at: usize) -> Option<&Reason> {
    let row = row(*answer.reason.get(at)?)?;
    answer.reasons.get(row)
}

fn node_reason_of(answer: &NodeVerdicts, at: usize) -> Option<&Reason> {
    let row = row(*answer.reason.get(at)?)?;
    answer.reasons.get(row)
}

fn add_requests(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    pod: &PodView<'_>,
    known: &mut KeptNode,
) {
    if pod.facts.has_ended() || is_long_terminating(pod, context.now) {
        return;
    }
    let requests = requests(state, pod);
    known.requested.add(requests);
    if pod.facts.mirror {
        known.of_mirrors.add(requests);
    } else if pod.of_daemon_set() {
        known.of_daemon_sets.add(requests);
    }
}

/// What a pod requests.
pub(super) fn requests(state: &ClusterState, pod: &PodView<'_>) -> Requests {
    let cluster = state.cluster();
    let (cpu, memory) = cluster.cpu_and_memory(pod.class);
    let gpu = match cluster.requests_extended(pod.class) {
        true => gpus(&cluster.requests(pod.class)),
        false => 0,
    };
    Requests { cpu, memory, gpu }
}

impl Requests {
    fn add(&mut self, other: Self) {
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.memory = self.memory.saturating_add(other.memory);
        self.gpu = self.gpu.saturating_add(other.gpu);
    }
}

/// What the placeholders of a sentence about pods stand for.
struct Names<'a> {
    input: &'a ScaleDownPodsInput,
    rows: &'a PodRows,
    state: &'a ClusterState,
}

impl Names<'_> {
    fn fill(&self, sentence: &str) -> String {
        filled(sentence, |table, at| match table {
            "pod" => {
                let pod = self.state.pod_at(*self.rows.slots.get(at)?)?;
                Some(format!("{}/{}", pod.key.namespace, pod.key.name))
            }
            "node" => Some(self.rows.nodes.get(at)?.name.to_string()),
            "group" => Some(self.input.groups.name.get(at)?.to_string()),
            _ => None,
        })
    }
}

fn blocked(pod: &PodView<'_>, cause: Cause<'_>, names: &Names<'_>) -> Stay {
    match cause {
        Cause::Host(reason, policy) => Stay {
            policy: policy.cloned(),
            ..Stay::blocked(pod.key, reason)
        },
        Cause::Policy(reason, policy) => Stay {
            message: reason.map_or_else(String::new, |reason| names.fill(&reason.sentence)),
            pod_code: reason.map(|reason| reason.code.as_str().into()),
            policy: Some(Arc::clone(policy)),
            ..Stay::of_pod(reasons::BLOCKED_BY_POD, pod.key)
        },
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

/// Combines the answers about nodes, and keeps the result.
pub(super) fn compose_nodes(
    context: &ScaleDownContext<'_>,
    nodes: &[&Candidate],
    input: &ScaleDownNodesInput,
    parts: &[Part<ScaleDownNodesQuestion>],
    kept: &mut KeptVerdicts,
) {
    for (at, node) in nodes.iter().enumerate() {
        let mut verdict = KeptVerdict {
            key: NodeKey::of(node),
            stay: None,
            scores: Scores::new(),
            unneeded_ms: 0,
            until: Timestamp(i64::MAX),
        };
        let mut in_favour = false;
        for part in parts {
            let policy = &part.name;
            let stay = match &part.answer {
                Err(failure) => {
                    verdict.until = verdict.until.min(context.now.plus(FAILED_MS));
                    Some(Stay {
                        policy: Some(Arc::clone(policy)),
                        message: failure.to_string(),
                        ..Stay::of(reasons::POLICY_FAILED)
                    })
                }
                Ok(answer) => {
                    let score = answer.score.get(at).copied().unwrap_or_default();
                    verdict.scores.push(score);
                    let unneeded = answer.unneeded_ms.get(at).copied().unwrap_or_default();
                    verdict.unneeded_ms = verdict.unneeded_ms.max(unneeded);
                    if let Some(&until) = answer.until_ms.get(at)
                        && until >= 0
                    {
                        verdict.until = verdict.until.min(Timestamp(until));
                    }
                    match answer.verdict.get(at).copied().unwrap_or_default() {
                        node_verdict::NO_OPINION => None,
                        node_verdict::MAY_GO => {
                            in_favour = true;
                            None
                        }
                        node_verdict::MUST_STAY => {
                            Some(must_stay(node_reason_of(answer, at), policy, nodes, input))
                        }
                        _ => Some(Stay {
                            policy: Some(Arc::clone(policy)),
                            ..Stay::of(reasons::UNKNOWN_VERDICT)
                        }),
                    }
                }
            };
            verdict.stay = verdict.stay.or(stay);
        }
        if verdict.stay.is_none() && !in_favour {
            verdict.stay = Some(Stay::of(reasons::NOBODY_JUDGED));
        }
        kept.keep_node(&node.name, verdict);
    }
}

fn must_stay(
    reason: Option<&Reason>,
    policy: &Arc<str>,
    nodes: &[&Candidate],
    input: &ScaleDownNodesInput,
) -> Stay {
    let fill = |sentence: &str| {
        filled(sentence, |table, at| match table {
            "node" => Some(nodes.get(at)?.name.to_string()),
            "group" => Some(input.groups.name.get(at)?.to_string()),
            _ => None,
        })
    };
    Stay {
        code: reason.map_or_else(|| "MustStay".into(), |reason| reason.code.as_str().into()),
        message: reason.map_or_else(String::new, |reason| fill(&reason.sentence)),
        pod: None,
        pod_code: None,
        policy: Some(Arc::clone(policy)),
        owner: None,
        budgets: Vec::new(),
    }
}
