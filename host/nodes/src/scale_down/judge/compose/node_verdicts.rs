//! Combines the answers about nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Scores;
use super::super::kept::{KeptVerdict, KeptVerdicts, NodeKey};
use super::{FAILED_MS, filled};
use crate::reasons::{self, Stay};
use crate::scale_down::candidates::Candidate;
use crate::scale_down::plan::ScaleDownContext;
use flyball_decision::context::Reason;
use flyball_decision::part::Part;
use flyball_decision::question::ScaleDownNodesQuestion;
use flyball_decision::scale_down::{ScaleDownNodesInput, node_verdict, row};
use flyball_decision::text;
use flyball_decision::time::Timestamp;

/// Combines the answers about nodes, and keeps the result.
pub(in crate::scale_down::judge) fn compose_nodes(
    context: &ScaleDownContext<'_>,
    nodes: &[&Candidate],
    input: &ScaleDownNodesInput,
    parts: &[Part<ScaleDownNodesQuestion>],
    kept: &mut KeptVerdicts,
) {
    // Nodes that stay for the same reason share it.
    let mut reasons_of_parts: BTreeMap<(usize, Option<usize>), Arc<Stay>> = BTreeMap::new();
    for (at, node) in nodes.iter().enumerate() {
        let mut verdict = KeptVerdict {
            key: NodeKey::of(node),
            stay: None,
            scores: Scores::new(),
            unneeded_ms: 0,
            until: Timestamp(i64::MAX),
        };
        let mut in_favour = false;
        for (place, part) in parts.iter().enumerate() {
            let policy = &part.name;
            let stay = match &part.answer {
                Err(failure) => {
                    verdict.until = verdict.until.min(context.now.plus(FAILED_MS));
                    Some(Arc::new(Stay {
                        policy: Some(Arc::clone(policy)),
                        message: text::message(failure.to_string()),
                        ..Stay::of(reasons::POLICY_FAILED)
                    }))
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
                            let reason = answer.reason.get(at).copied().and_then(row);
                            let stay =
                                reasons_of_parts.entry((place, reason)).or_insert_with(|| {
                                    let reason = reason.and_then(|row| answer.reasons.get(row));
                                    Arc::new(must_stay(reason, policy, nodes, input))
                                });
                            Some(Arc::clone(stay))
                        }
                        _ => Some(Arc::new(Stay {
                            policy: Some(Arc::clone(policy)),
                            ..Stay::of(reasons::UNKNOWN_VERDICT)
                        })),
                    }
                }
            };
            verdict.stay = verdict.stay.or(stay);
        }
        if verdict.stay.is_none() && !in_favour {
            verdict.stay = Some(Arc::new(Stay::of(reasons::NOBODY_JUDGED)));
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
        text::message(filled(sentence, |table, at| match table {
            "node" => Some(nodes.get(at)?.name.to_string()),
            "group" => Some(input.groups.name.get(at)?.to_string()),
            _ => None,
        }))
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
