//! Checks answers with a verdict for each row. Numbers of rows, scores and costs are
//! checked by the questions themselves (`host/decision`).

use flyball_decision::context::Reason;
use flyball_decision::policy::STATE_LIMIT;
use flyball_decision::scale_down::{MAX_REASONS, MoveVerdicts, NodeVerdicts, PodVerdicts};

use super::{at_most, named_reason, readable_reason, reason, texts};

/// Maximum size of all texts of an answer: a KiB for each of its reasons.
const VERDICTS_BYTES: usize = MAX_REASONS << 10;

/// Checks verdicts about pods against the limits of the contract, and makes their texts
/// safe to display.
///
/// # Errors
/// The violation of the contract, as a sentence.
pub(crate) fn accept_pods(mut verdicts: PodVerdicts) -> Result<PodVerdicts, String> {
    accept_reasons(&mut verdicts.reasons)?;
    Ok(verdicts)
}

/// Checks verdicts about nodes; see [`accept_pods`].
///
/// # Errors
/// The violation of the contract, as a sentence.
pub(crate) fn accept_nodes(mut verdicts: NodeVerdicts) -> Result<NodeVerdicts, String> {
    accept_reasons(&mut verdicts.reasons)?;
    Ok(verdicts)
}

/// Checks verdicts about moves; see [`accept_pods`].
///
/// # Errors
/// The violation of the contract, as a sentence.
pub(crate) fn accept_moves(mut verdicts: MoveVerdicts) -> Result<MoveVerdicts, String> {
    accept_reasons(&mut verdicts.reasons)?;
    let state = verdicts.state.as_deref().map_or(0, str::len);
    at_most("state", state, STATE_LIMIT)?;
    Ok(verdicts)
}

fn accept_reasons(reasons: &mut [Reason]) -> Result<(), String> {
    if reasons.len() > MAX_REASONS {
        let count = reasons.len();
        return Err(format!(
            "there are {count} reasons, at most {MAX_REASONS} are allowed"
        ));
    }
    for (row, one) in reasons.iter_mut().enumerate() {
        reason(one).map_err(|fault| format!("reasons[{row}]{fault}"))?;
        readable_reason(one);
        named_reason(one);
    }
    texts::check_size(reasons.iter(), VERDICTS_BYTES)
}
