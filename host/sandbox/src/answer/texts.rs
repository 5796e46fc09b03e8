//! Size of an answer's texts. A guest may use a text of its memory as often as it likes, so
//! a few instructions make an answer that the host copies, checks and keeps for long.

use std::iter;

use flyball_decision::context::Reason;
use flyball_decision::expander::ExpanderRanking;
use flyball_decision::replica::ReplicaDecision;
use flyball_decision::scale_down::{MoveVerdicts, NodeVerdicts, PodVerdicts};

/// Bytes that each text counts besides its own. They are the same on any machine.
const EACH_BYTES: usize = 24;
/// Bytes that take no fuel: an answer about a few metrics has no more.
const FREE_BYTES: usize = 1 << 10;
/// Fuel of each byte beyond them: it is copied out of the guest's memory, checked, kept
/// until all answers of a tick are reported, and written into a record.
const BYTE_FUEL: u64 = 10;

/// An answer that gives reasons.
pub(crate) trait Explained {
    /// Returns its reasons.
    fn reasons(&self) -> impl Iterator<Item = &Reason>;
}

impl Explained for ReplicaDecision {
    fn reasons(&self) -> impl Iterator<Item = &Reason> {
        let proposals = self.proposals.iter().map(|proposal| &proposal.reason);
        proposals.chain([&self.reason])
    }
}

impl Explained for ExpanderRanking {
    fn reasons(&self) -> impl Iterator<Item = &Reason> {
        iter::once(&self.reason)
    }
}

impl Explained for PodVerdicts {
    fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.reasons.iter()
    }
}

impl Explained for NodeVerdicts {
    fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.reasons.iter()
    }
}

impl Explained for MoveVerdicts {
    fn reasons(&self) -> impl Iterator<Item = &Reason> {
        self.reasons.iter()
    }
}

/// Returns the size of the texts of reasons.
pub(crate) fn bytes<'a>(reasons: impl Iterator<Item = &'a Reason>) -> usize {
    let of_reason = |reason: &Reason| -> usize {
        let arguments = reason.arguments.iter();
        let arguments = arguments.flat_map(|(name, value)| [name.len(), value.len()]);
        let texts = [reason.code.len(), reason.sentence.len()];
        let texts = texts.into_iter().chain(arguments);
        texts.map(|bytes| bytes + EACH_BYTES).sum()
    };
    reasons.map(of_reason).sum()
}

/// Returns the fuel that texts of this size take.
pub(crate) fn fuel(bytes: usize) -> u64 {
    let beyond = u64::try_from(bytes.saturating_sub(FREE_BYTES)).unwrap_or(u64::MAX);
    beyond.saturating_mul(BYTE_FUEL)
}

/// Checks that the texts of reasons have at most `limit` bytes together.
///
/// # Errors
/// The violation of the limit, as a sentence.
pub(crate) fn check_size<'a>(
    reasons: impl Iterator<Item = &'a Reason>,
    limit: usize,
) -> Result<(), String> {
    let bytes = bytes(reasons);
    if bytes > limit {
        return Err(format!(
            "its texts have {bytes} bytes together, counting {EACH_BYTES} more for each, at \
             most {limit} are allowed"
        ));
    }
    Ok(())
}
