//! Checks policies' descriptions and answers, which are input from outside.

pub(crate) mod texts;
pub(crate) mod verdicts;

use flyball_decision::context::Reason;
use flyball_decision::expander::ExpanderRanking;
use flyball_decision::policy::{Description, STATE_LIMIT, interface, kind};
use flyball_decision::replica::{Proposal, ReplicaDecision, ReplicaInput};
use flyball_decision::text::readable;

use self::texts::Explained as _;
use crate::error::LoadError;

const CODE_BYTES: usize = 64;
/// Code for an answer without one: conditions and events must have a code.
const NO_CODE: &str = "PolicyDecided";
const SENTENCE_BYTES: usize = 1024;
const ARGUMENTS: usize = 32;
const ARGUMENT_NAME_BYTES: usize = 64;
const ARGUMENT_VALUE_BYTES: usize = 1024;
/// Maximum size of all texts of a decision: three KiB for each of the 21 reasons that an
/// object with as many metrics as a spec may have gets.
const DECISION_BYTES: usize = 64 << 10;
const NAME_BYTES: usize = 63;
const VERSION_BYTES: usize = 64;
const SUMMARY_BYTES: usize = 256;
const WANTS: usize = 16;
/// Inputs that this host can grant.
const WANTED_KINDS: [&str; 8] = [
    "metric-history",
    "target-labels",
    "target-annotations",
    "pod-label",
    "pod-annotation",
    "node-label",
    "node-annotation",
    "namespace-label",
];
/// Kinds among them that are labels or annotations of rows: they name a key.
const KEYED_KINDS: [&str; 5] = [
    "pod-label",
    "pod-annotation",
    "node-label",
    "node-annotation",
    "namespace-label",
];
/// Largest key of a label or an annotation: a prefix of 253 bytes, a slash and a name.
const KEY_BYTES: usize = 317;

/// Checks a decision against the contract, and makes its texts safe to display.
///
/// # Errors
/// The violation of the contract, as a sentence.
pub(crate) fn accept(
    mut decision: ReplicaDecision,
    input: &ReplicaInput,
) -> Result<ReplicaDecision, String> {
    check(&decision, input)?;
    let proposals = &mut decision.proposals;
    let reasons = proposals.iter_mut().map(|proposal| &mut proposal.reason);
    reasons
        .chain([&mut decision.reason])
        .for_each(readable_reason);
    named_reason(&mut decision.reason);
    texts::check_size(decision.reasons(), DECISION_BYTES)?;
    Ok(decision)
}

/// Checks a ranking of `options` options against the contract, and makes its texts safe
/// to display.
///
/// # Errors
/// The violation of the contract, as a sentence.
pub(crate) fn accept_ranking(
    mut ranking: ExpanderRanking,
    options: usize,
) -> Result<ExpanderRanking, String> {
    best_rows(&ranking, options)?;
    reason(&ranking.reason).map_err(|fault| format!("reason{fault}"))?;
    at_most(
        "state",
        ranking.state.as_deref().map_or(0, str::len),
        STATE_LIMIT,
    )?;
    readable_reason(&mut ranking.reason);
    named_reason(&mut ranking.reason);
    Ok(ranking)
}

fn best_rows(ranking: &ExpanderRanking, options: usize) -> Result<(), String> {
    let scores = &ranking.scores;
    if !scores.is_empty() && scores.len() != options {
        return Err(format!(
            "{} scores for {options} options: there is one for each, or none",
            scores.len()
        ));
    }
    let mut seen = vec![false; options];
    for &best in &ranking.best {
        let row = usize::try_from(best).unwrap_or(usize::MAX);
        let seen = seen
            .get_mut(row)
            .ok_or_else(|| format!("best has row {best}, but there are {options} options"))?;
        if std::mem::replace(seen, true) {
            return Err(format!("best has row {best} twice"));
        }
        if scores.get(row).is_some_and(Option::is_none) {
            return Err(format!(
                "best has row {best}, whose score is no number: such an option is dropped"
            ));
        }
    }
    Ok(())
}

fn readable_reason(reason: &mut Reason) {
    readable(&mut reason.sentence, SENTENCE_BYTES);
    for (name, value) in &mut reason.arguments {
        readable(name, ARGUMENT_NAME_BYTES);
        readable(value, ARGUMENT_VALUE_BYTES);
    }
}

/// Sets a reason's code if it has none.
fn named_reason(reason: &mut Reason) {
    if reason.code.is_empty() {
        reason.code = NO_CODE.to_owned();
    }
}

fn check(decision: &ReplicaDecision, input: &ReplicaInput) -> Result<(), String> {
    replicas("replicas", decision.replicas)?;
    reason(&decision.reason).map_err(|fault| format!("reason{fault}"))?;
    let (proposals, metrics) = (decision.proposals.len(), input.metrics.len());
    if proposals != 0 && proposals != metrics {
        return Err(format!(
            "{proposals} proposals for {metrics} metrics: there is one for each, or none"
        ));
    }
    if let Some(leading) = decision.leading
        && usize::try_from(leading).map_or(true, |leading| leading >= proposals)
    {
        return Err(format!(
            "leading is {leading}, but there are {proposals} proposals"
        ));
    }
    for (row, one) in decision.proposals.iter().enumerate() {
        proposal(one).map_err(|fault| format!("proposals[{row}]{fault}"))?;
    }
    at_most(
        "state",
        decision.state.as_deref().map_or(0, str::len),
        STATE_LIMIT,
    )
}

fn replicas(field: &str, replicas: Option<i64>) -> Result<(), String> {
    match replicas {
        Some(n) if i32::try_from(n).map_or(true, |n| n < 0) => Err(format!(
            "{field} is {n}: it must lie between 0 and {}",
            i32::MAX
        )),
        _ => Ok(()),
    }
}

/// Checks a proposal. The error begins with a field of the proposal: `.error has ...`. A
/// single metric may propose a negative number if negative values were measured: its
/// proposal is only reported.
fn proposal(proposal: &Proposal) -> Result<(), String> {
    if let Some(n) = proposal.replicas
        && i32::try_from(n).is_err()
    {
        return Err(format!(".replicas is {n}: it must fit 32 bits"));
    }
    at_most(".error", proposal.error.len(), CODE_BYTES)?;
    reason(&proposal.reason).map_err(|fault| format!(".reason{fault}"))
}

/// Checks a reason. The error begins with a field of the reason: `.code has ...`.
fn reason(reason: &Reason) -> Result<(), String> {
    at_most(".code", reason.code.len(), CODE_BYTES)?;
    // Kubernetes accepts only such codes as the reason of a condition.
    let alphanumeric = reason.code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !alphanumeric
        || reason
            .code
            .starts_with(|first: char| first.is_ascii_digit())
    {
        return Err(format!(
            ".code is `{}`: it must be CamelCase, of letters and digits and a letter first",
            reason.code.escape_debug()
        ));
    }
    at_most(".sentence", reason.sentence.len(), SENTENCE_BYTES)?;
    if reason.arguments.len() > ARGUMENTS {
        return Err(format!(
            " has {} arguments, at most {ARGUMENTS}",
            reason.arguments.len()
        ));
    }
    for (name, value) in &reason.arguments {
        at_most("'s argument names", name.len(), ARGUMENT_NAME_BYTES)?;
        at_most("'s argument values", value.len(), ARGUMENT_VALUE_BYTES)?;
    }
    Ok(())
}

fn at_most(field: &str, bytes: usize, limit: usize) -> Result<(), String> {
    within(bytes, limit).map_err(|excess| format!("{field} {excess}"))
}

fn within(bytes: usize, limit: usize) -> Result<(), String> {
    if bytes > limit {
        return Err(format!("has {bytes} bytes, at most {limit} are allowed"));
    }
    Ok(())
}

/// Checks a description except for its schema. `exports` reports whether the component
/// exports an interface.
pub(crate) fn check_description(
    description: &Description,
    exports: impl Fn(&str) -> bool,
) -> Result<(), LoadError> {
    let fault = |field, message| LoadError::Description { field, message };
    if description.name.is_empty() || description.name.len() > NAME_BYTES {
        return Err(fault("name", format!("must have 1 to {NAME_BYTES} bytes")));
    }
    if description.name.contains(char::is_control) {
        return Err(fault("name", "must have no control characters".into()));
    }
    // Every record contains the version.
    within(description.version.len(), VERSION_BYTES)
        .map_err(|message| fault("version", message))?;
    if let Err(error) = semver::Version::parse(&description.version) {
        let text = description.version.escape_debug();
        return Err(fault(
            "version",
            format!("`{text}` is not a semantic version: {error}"),
        ));
    }
    within(description.summary.len(), SUMMARY_BYTES)
        .map_err(|message| fault("summary", message))?;
    if description.summary.contains(char::is_control) {
        return Err(fault("summary", "must be one line of plain text".into()));
    }
    kinds(description, exports).map_err(|message| fault("kinds", message))?;
    wants(description).map_err(|message| fault("wants", message))
}

fn kinds(description: &Description, exports: impl Fn(&str) -> bool) -> Result<(), String> {
    if let Some(unknown) = description
        .kinds
        .iter()
        .find(|kind| !kind::ALL.contains(&kind.as_str()))
    {
        return Err(format!(
            "`{}` is not known: there are {}",
            quoted(unknown),
            kind::ALL.join(", ")
        ));
    }
    for kind in kind::ALL {
        let interfaces = interface::of_kind(kind);
        let exported = interfaces.iter().any(|interface| exports(interface));
        match (description.has_kind(kind), exported) {
            (true, false) => return Err(format!("name `{kind}`, which it does not export")),
            (false, true) => return Err(format!("lack `{kind}`, which it exports")),
            _ => {}
        }
    }
    Ok(())
}

fn wants(description: &Description) -> Result<(), String> {
    if description.wants.len() > WANTS {
        return Err(format!(
            "has {} inputs, at most {WANTS} are allowed",
            description.wants.len()
        ));
    }
    for wanted in &description.wants {
        if !WANTED_KINDS.contains(&wanted.kind.as_str()) {
            let known = WANTED_KINDS.join(", ");
            return Err(format!(
                "`{}` is not known to this host: it grants {known}",
                quoted(&wanted.kind)
            ));
        }
        if KEYED_KINDS.contains(&wanted.kind.as_str()) {
            let keys = wanted.arguments.iter();
            let mut keys = keys.filter(|(name, value)| name == "key" && !value.is_empty());
            let key = keys.next().filter(|_| wanted.arguments.len() == 1);
            let Some((_, key)) = key else {
                return Err(format!("`{}` takes one argument, `key`", wanted.kind));
            };
            at_most("a key", key.len(), KEY_BYTES)?;
        }
        if wanted.arguments.len() > ARGUMENTS {
            return Err(format!(
                "`{}` has more than {ARGUMENTS} arguments",
                wanted.kind
            ));
        }
        for (name, value) in &wanted.arguments {
            at_most("an argument's name", name.len(), ARGUMENT_NAME_BYTES)?;
            at_most("an argument's value", value.len(), ARGUMENT_VALUE_BYTES)?;
        }
    }
    Ok(())
}

/// Formats an arbitrary text for an error message.
fn quoted(text: &str) -> String {
    let mut text = text.to_owned();
    readable(&mut text, CODE_BYTES);
    text
}
