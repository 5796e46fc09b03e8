//! Expanders that answer in place of one that fails: its version before, then the
//! built-in expander if the operator chose so.

use std::sync::Arc;

use super::{Asker, consult};
use crate::nodes::expander::ExpanderInput;
use crate::nodes::options::ExpanderChoice;
use crate::nodes::record::{ExpanderRecord, RankingAnswer};
use crate::policy::{ExpanderPolicy, PolicyFailure, RolledBack};
use crate::replica::Context;
use crate::status::Event;

/// Tells that the version asked last was rolled back.
pub(super) fn tell_rollback(
    asker: &Asker<'_>,
    expander: &ExpanderChoice,
    policy: &dyn ExpanderPolicy,
    events: &mut Vec<Event>,
) {
    let Some(RolledBack { from, reason }) = policy.rolled_back() else {
        return;
    };
    if asker.states.asked.get(&expander.name) != Some(&from.digest) {
        return;
    }
    let version = policy.version();
    events.push(Event {
        warning: true,
        reason: "PolicyRolledBack".to_owned(),
        message: format!(
            "expander {}: version {} ({}) was rolled back: {reason}; version {} ({}) decides again",
            expander.name,
            from.version,
            from.short_digest(),
            version.version,
            version.short_digest()
        ),
    });
}

/// The part of the version before in place of one that failed, if one answers.
pub(super) fn ask_predecessors(
    record: ExpanderRecord,
    predecessors: &[Arc<dyn ExpanderPolicy>],
    ask: impl Fn(&dyn ExpanderPolicy) -> ExpanderRecord,
    events: &mut Vec<Event>,
) -> ExpanderRecord {
    let failure = match &record.answer {
        RankingAnswer::Failure(failure) if failure.is_left_to_predecessor() => failure,
        _ => return record,
    };
    for predecessor in predecessors {
        let answer = ask(&**predecessor);
        if let RankingAnswer::Ranking(_) = answer.answer {
            let version = predecessor.version();
            events.push(Event {
                warning: true,
                reason: failure.code().to_owned(),
                message: format!(
                    "expander {}: {}; the version before, {} ({}), goes on deciding",
                    record.name,
                    failure.message(),
                    version.version,
                    version.short_digest()
                ),
            });
            return ExpanderRecord {
                failed: Some(Box::new(record)),
                previous: true,
                ..answer
            };
        }
    }
    record
}

/// The built-in expander's part in place of one that failed, if the operator chose
/// so; else the failure's.
pub(super) fn stand_in(
    asker: &Asker<'_>,
    record: ExpanderRecord,
    failure: &PolicyFailure,
    input: &ExpanderInput,
    events: &mut Vec<Event>,
) -> ExpanderRecord {
    let told = |then: &str| Event {
        warning: true,
        reason: failure.code().to_owned(),
        message: format!("expander {}: {}; {then}", record.name, failure.message()),
    };
    let fallback = asker
        .options
        .fallback
        .then(|| asker.engine.expander_fallback(&record.name))
        .flatten();
    let failed = record.version.as_ref().map(|version| &version.digest);
    let fallback = fallback.filter(|fallback| Some(&fallback.version().digest) != failed);
    let Some(fallback) = fallback else {
        events.push(told("no group grows"));
        return record;
    };
    let version = fallback.version();
    let name = (&version.name, version.short_digest());
    events.push(told(&format!(
        "built-in expander {} ({}) decides instead",
        name.0, name.1
    )));
    let context = Context {
        // A configuration is made for the schema of the expander that failed.
        configuration: if version.name == record.name {
            Arc::clone(&record.context.configuration)
        } else {
            "{}".into()
        },
        state: Arc::default(),
        ..record.context.clone()
    };
    let answer = consult(&record.name, &*fallback, context, input, &record.rows);
    ExpanderRecord {
        failed: Some(Box::new(record)),
        ..answer
    }
}
