//! What scale-down policies answer to the recorded questions, and where that differs from
//! the record.

use std::fmt::Write as _;
use std::sync::Arc;

use flyball_decision::ask::StateBudget;
use flyball_decision::context::Reason;
use flyball_decision::part::Part;
use flyball_decision::policy::PolicyFailure;
use flyball_decision::question::Question;
use flyball_decision::replay::{Again, Asking, Unavailable};
use flyball_decision::scale_down::{
    MoveVerdicts, NodeVerdicts, PodVerdicts, move_verdict, node_verdict, pod_verdict, row,
};
use serde::Serialize;

use crate::record::{PodName, ScaleDownQuestions};

/// The answer of a policy.
type Answer<A> = Result<A, PolicyFailure>;

/// The answers of all policies about removals, by question, in the order of the chain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemovalAnswers {
    pods: Vec<Vec<Answer<PodVerdicts>>>,
    nodes: Vec<Vec<Answer<NodeVerdicts>>>,
    moves: Vec<Vec<Answer<MoveVerdicts>>>,
}

/// A pod or a node that a policy judges otherwise than it did in the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JudgedOtherwise {
    /// Name of the policy that was asked for.
    pub policy: Arc<str>,
    /// Interface of the contract that asks the question.
    pub question: &'static str,
    /// The pod, as namespace and name, the node, or the nodes of a move. `None` if the answers differ as a
    /// whole: in a failure, or in something that concerns no row.
    pub about: Option<Arc<str>>,
    /// The recorded judgement, in words.
    pub was: String,
    /// The judgement of the replay.
    pub now: String,
}

impl RemovalAnswers {
    /// Returns the recorded answers.
    pub(super) fn of(questions: &ScaleDownQuestions) -> Self {
        let pods = questions.pods.iter();
        let nodes = questions.nodes.iter();
        let moves = questions.moves.iter();
        Self {
            pods: pods.map(|asked| answers(&asked.policies)).collect(),
            nodes: nodes.map(|asked| answers(&asked.policies)).collect(),
            moves: moves.map(|asked| answers(&asked.policies)).collect(),
        }
    }

    /// Asks all policies of the record again.
    ///
    /// # Errors
    /// A policy of the record is not available.
    pub(super) fn again(
        questions: &ScaleDownQuestions,
        again: &mut Again<'_>,
    ) -> Result<Self, Unavailable> {
        let mut answers = Self::default();
        for asked in &questions.pods {
            let mut input = asked.input.clone();
            let now = ask_again(&asked.policies, &mut input, again)?;
            answers.pods.push(now);
        }
        for asked in &questions.nodes {
            let mut input = asked.input.clone();
            let now = ask_again(&asked.policies, &mut input, again)?;
            answers.nodes.push(now);
        }
        for asked in &questions.moves {
            let mut input = asked.input.clone();
            let now = ask_again(&asked.policies, &mut input, again)?;
            answers.moves.push(now);
        }
        Ok(answers)
    }

    /// Returns where these answers differ from the recorded ones.
    pub(super) fn compare(&self, questions: &ScaleDownQuestions) -> Vec<JudgedOtherwise> {
        let mut found = Vec::new();
        for (asked, now) in questions.pods.iter().zip(&self.pods) {
            let rows: Vec<PodName<'_>> = asked.names.iter().collect();
            let name = |pod: &PodName<'_>| pod.to_string().into();
            for (part, now) in asked.policies.iter().zip(now) {
                compare(part, now, (&rows, &name), pod_in_words, &mut found);
            }
        }
        for (asked, now) in questions.nodes.iter().zip(&self.nodes) {
            for (part, now) in asked.policies.iter().zip(now) {
                compare(
                    part,
                    now,
                    (&asked.names, &Arc::clone),
                    node_in_words,
                    &mut found,
                );
            }
        }
        for (asked, now) in questions.moves.iter().zip(&self.moves) {
            let moves = &asked.input.moves;
            let rows: Vec<usize> = (0..moves.len()).collect();
            let name = |row: &usize| {
                let leaving = moves.leaving(*row).iter();
                let names = leaving.filter_map(|&node| asked.names.get(node as usize));
                let names: Vec<&str> = names.map(|name| &**name).collect();
                names.join(", ").into()
            };
            for (part, now) in asked.policies.iter().zip(now) {
                compare(part, now, (&rows, &name), move_in_words, &mut found);
            }
        }
        found
    }
}

fn answers<Q: Question>(parts: &[Part<Q>]) -> Vec<Answer<Q::Answer>> {
    parts.iter().map(|part| part.answer.clone()).collect()
}

fn ask_again<Q: Question<Own = ()>>(
    parts: &[Part<Q>],
    input: &mut Q::Input,
    again: &mut Again<'_>,
) -> Result<Vec<Answer<Q::Answer>>, Unavailable> {
    let mut budget = StateBudget::before(parts, &[]);
    let parts = parts.iter().enumerate().map(|(place, part)| {
        let asking = Asking {
            input,
            own: &(),
            budget: Some((&budget, place)),
        };
        let part = again.part(part, asking)?;
        budget.took(place, &part);
        Ok(part.answer)
    });
    parts.collect()
}

/// What the rows of a question are about, and the name of each.
type RowNames<'a, N> = (&'a [N], &'a dyn Fn(&N) -> Arc<str>);

/// Adds the rows in which two answers differ.
fn compare<Q: Question, N>(
    part: &Part<Q>,
    now: &Answer<Q::Answer>,
    (rows, name_of): RowNames<'_, N>,
    in_words: fn(&Q::Answer, usize) -> String,
    found: &mut Vec<JudgedOtherwise>,
) {
    if part.answer == *now {
        return;
    }
    let otherwise = |about: Option<Arc<str>>, was: String, now: String| JudgedOtherwise {
        policy: Arc::clone(&part.name),
        question: Q::INTERFACE,
        about,
        was,
        now,
    };
    let before = found.len();
    if let (Ok(was), Ok(now)) = (&part.answer, now) {
        for (at, row) in rows.iter().enumerate() {
            let (was, now) = (in_words(was, at), in_words(now, at));
            if was != now {
                found.push(otherwise(Some(name_of(row)), was, now));
            }
        }
    }
    if found.len() == before {
        let whole = |answer: &Answer<Q::Answer>| match answer {
            Ok(_) => "an answer".to_owned(),
            Err(failure) => failure.to_string(),
        };
        let (was, now) = match (&part.answer, now) {
            (Ok(_), Ok(_)) => ("an answer".to_owned(), "other texts in it".to_owned()),
            (was, now) => (whole(was), whole(now)),
        };
        found.push(otherwise(None, was, now));
    }
}

fn pod_in_words(answer: &PodVerdicts, at: usize) -> String {
    let verdict = match answer.verdict.get(at).copied().unwrap_or_default() {
        pod_verdict::NO_OPINION => "no opinion",
        pod_verdict::EVICT => "evict",
        pod_verdict::WAIT => "wait",
        pod_verdict::BLOCK => "block",
        pod_verdict::SKIP => "skip",
        _ => "unknown verdict",
    };
    let mut text = verdict.to_owned() + &reason(&answer.reason, &answer.reasons, at);
    if let Some(cost) = answer.cost.get(at) {
        let _ = write!(text, ", costs {cost}");
    }
    text + &holds_until(&answer.until_ms, at)
}

fn node_in_words(answer: &NodeVerdicts, at: usize) -> String {
    let verdict = match answer.verdict.get(at).copied().unwrap_or_default() {
        node_verdict::NO_OPINION => "no opinion",
        node_verdict::MAY_GO => "may go",
        node_verdict::MUST_STAY => "must stay",
        _ => "unknown verdict",
    };
    let mut text = verdict.to_owned() + &reason(&answer.reason, &answer.reasons, at);
    if let Some(score) = answer.score.get(at) {
        let _ = write!(text, ", score {score}");
    }
    if let Some(unneeded) = answer.unneeded_ms.get(at).filter(|time| **time > 0) {
        let _ = write!(text, ", after {unneeded} ms");
    }
    text + &holds_until(&answer.until_ms, at)
}

fn move_in_words(answer: &MoveVerdicts, at: usize) -> String {
    let verdict = match answer.verdict.get(at).copied().unwrap_or_default() {
        move_verdict::NO_OPINION => "no opinion",
        move_verdict::TAKE => "take",
        move_verdict::LEAVE => "leave",
        _ => "unknown verdict",
    };
    let mut text = verdict.to_owned() + &reason(&answer.reason, &answer.reasons, at);
    if let Some(score) = answer.score.get(at) {
        let _ = write!(text, ", score {score}");
    }
    text
}

fn reason(column: &[i32], reasons: &[Reason], at: usize) -> String {
    let row = column.get(at).copied().and_then(row);
    let reason = row.and_then(|row| reasons.get(row));
    reason.map_or_else(String::new, |reason| {
        format!(" ({}: {})", reason.code, reason.sentence)
    })
}

fn holds_until(column: &[i64], at: usize) -> String {
    let until = column.get(at).filter(|until| **until >= 0);
    until.map_or_else(String::new, |until| format!(", until {until} ms"))
}
