//! Limits of the texts of a record that people read. Data (inputs and answers of policies,
//! their states) has limits of its own.

use flyball_decision::text::{MESSAGE_BYTES, NOTE_BYTES, readable};

use super::{
    Choice, DrainStepRecord, Incident, NodeDecisionRecord, NodeVerdict, OrderOutcome, Remaining,
    Round, ScaleDownRecord, SkippedGroup,
};
use crate::reasons::Stay;

impl NodeDecisionRecord {
    /// Shortens all messages, and escapes their control characters.
    #[must_use]
    pub(crate) fn shortened(mut self) -> Self {
        let Self {
            format: _,
            host: _,
            sequence: _,
            at: _,
            pending: _,
            skipped,
            upcoming: _,
            rounds,
            remaining,
            scale_down,
            verdict,
            outcomes,
            incidents,
            log,
            events,
        } = &mut self;
        for SkippedGroup {
            reason, message, ..
        } in skipped
        {
            readable(reason, NOTE_BYTES);
            readable(message, MESSAGE_BYTES);
        }
        rounds.iter_mut().for_each(Round::shorten);
        for Remaining { reasons, .. } in remaining {
            let reasons = reasons.iter_mut();
            reasons.for_each(|refusal| readable(&mut refusal.reason, NOTE_BYTES));
        }
        if let Some(scale_down) = scale_down {
            scale_down.shorten();
        }
        verdict.shorten();
        for outcome in outcomes {
            if let OrderOutcome::Failed { message, .. } = outcome {
                readable(message, MESSAGE_BYTES);
            }
        }
        for Incident { message, .. } in incidents {
            readable(message, MESSAGE_BYTES);
        }
        log.iter_mut()
            .for_each(|line| readable(line, MESSAGE_BYTES));
        for event in events {
            readable(&mut event.event.reason, NOTE_BYTES);
            readable(&mut event.event.message, NOTE_BYTES);
        }
        self
    }
}

impl Round {
    fn shorten(&mut self) {
        if let Some(domain) = &mut self.domain {
            readable(domain, NOTE_BYTES);
        }
        self.choice.shorten();
        for step in &mut self.steps {
            readable(&mut step.message, MESSAGE_BYTES);
        }
    }
}

impl Choice {
    /// Shortens its texts. Records of earlier releases may have longer ones.
    pub(crate) fn shorten(&mut self) {
        readable(&mut self.reason, NOTE_BYTES);
        readable(&mut self.message, MESSAGE_BYTES);
    }
}

impl NodeVerdict {
    /// Shortens its texts, as [`Choice::shorten`].
    pub(crate) fn shorten(&mut self) {
        readable(&mut self.reason, NOTE_BYTES);
        readable(&mut self.message, MESSAGE_BYTES);
    }
}

impl ScaleDownRecord {
    fn shorten(&mut self) {
        let unneeded = self.unneeded.iter_mut();
        let unneeded = unneeded.filter_map(|node| node.stay.as_mut());
        let needed = self.needed.iter_mut().map(|node| &mut node.stay);
        for Stay { message, .. } in unneeded.chain(needed) {
            readable(message, MESSAGE_BYTES);
        }
        for DrainStepRecord { message, .. } in &mut self.steps {
            readable(message, MESSAGE_BYTES);
        }
    }
}
