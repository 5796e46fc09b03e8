//! Which node group should grow?

use std::borrow::Cow;
use std::sync::Arc;

use super::{Question, RecordedQuestion};
use crate::context::Context;
use crate::expander::{ExpanderInput, ExpanderRanking, OptionColumns};
use crate::policy::{NODE_GROUPS, Policy, PolicyFailure, PolicyOutcome, interface, kind};

/// Which node group should grow?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpanderQuestion {}

impl Question for ExpanderQuestion {
    type Input = ExpanderInput;
    /// Rows of the options that the expander is asked about. Rows of its answer are rows
    /// of these.
    type Own = Vec<u32>;
    type Answer = ExpanderRanking;

    const KIND: &'static str = kind::EXPANDER;
    const INTERFACE: &'static str = interface::EXPANDER;
    const NOUN: &'static str = "expander";
    const HELD: &'static str = "no group grows";
    const OWN_FIELD: &'static str = "rows";
    const ANSWER_TAG: &'static str = "ranking";

    fn ask(
        policy: &dyn Policy,
        context: &Context,
        input: &mut ExpanderInput,
        rows: &mut Vec<u32>,
    ) -> PolicyOutcome<ExpanderRanking> {
        let context = Self::context(context, input, rows);
        let outcome = policy.rank(&context, &narrowed(input, rows));
        PolicyOutcome {
            answer: outcome
                .answer
                .and_then(|answer| validated(answer, rows.len())),
            ..outcome
        }
    }

    fn state(answer: &ExpanderRanking) -> Option<&str> {
        answer.state.as_deref()
    }

    fn object(_: &ExpanderInput) -> (Arc<str>, String) {
        (Arc::default(), NODE_GROUPS.to_owned())
    }

    fn context<'a>(
        context: &'a Context,
        input: &ExpanderInput,
        rows: &Vec<u32>,
    ) -> Cow<'a, Context> {
        let mut inputs = context.inputs.iter();
        let by_row = inputs.any(|input| !input.rows.is_empty() || !input.numbers.is_empty());
        if !by_row || rows.len() == input.options.len() {
            return Cow::Borrowed(context);
        }
        let inputs = context.inputs.iter();
        Cow::Owned(Context {
            inputs: inputs.map(|input| input.narrowed(rows)).collect(),
            ..context.clone()
        })
    }

    fn recorded(input: &ExpanderInput, rows: &Vec<u32>) -> RecordedQuestion {
        RecordedQuestion::Expander(narrowed(input, rows))
    }

    const OTHERS: &'static str = "the other expanders";
}

/// Returns the input with these options alone.
fn narrowed(input: &ExpanderInput, rows: &[u32]) -> ExpanderInput {
    ExpanderInput {
        options: selected(&input.options, rows),
        cluster_node_count: input.cluster_node_count,
    }
}

/// Refuses rows that do not exist or are named twice, a wrong number of scores, and
/// scores that are not a number.
fn validated(answer: ExpanderRanking, options: usize) -> Result<ExpanderRanking, PolicyFailure> {
    let invalid = |message: String| Err(PolicyFailure::InvalidAnswer(message));
    let mut seen = vec![false; options];
    for &row in &answer.best {
        match seen.get_mut(row as usize) {
            None => return invalid(format!("option {row} is not there: there are {options}")),
            Some(true) => return invalid(format!("option {row} is named twice")),
            Some(seen) => *seen = true,
        }
    }
    if !answer.scores.is_empty() && answer.scores.len() != options {
        let scores = answer.scores.len();
        return invalid(format!("{scores} scores for {options} options"));
    }
    if let Some(row) = answer
        .scores
        .iter()
        .position(|score| score.is_some_and(f64::is_nan))
    {
        return invalid(format!("the score of option {row} is not a number"));
    }
    Ok(answer)
}

/// Returns these rows of the columns; the columns themselves if these are all rows.
#[must_use]
pub fn selected(options: &Arc<OptionColumns>, rows: &[u32]) -> Arc<OptionColumns> {
    if rows.len() == options.len() {
        return Arc::clone(options);
    }
    fn of<T: Clone>(column: &[T], rows: &[u32]) -> Vec<T> {
        rows.iter()
            .filter_map(|&row| column.get(row as usize).cloned())
            .collect()
    }
    let position = |option: &u32| rows.iter().position(|row| row == option);
    let parts = options.part_option.iter().enumerate();
    let mut parts: Vec<(usize, usize)> = parts
        .filter_map(|(at, option)| Some((position(option)?, at)))
        .collect();
    parts.sort_unstable();
    let part = |at: &(usize, usize)| u32::try_from(at.1).unwrap_or(u32::MAX);
    let part_rows: Vec<u32> = parts.iter().map(part).collect();
    let part_option = parts
        .iter()
        .map(|(row, _)| u32::try_from(*row).unwrap_or(u32::MAX));
    Arc::new(OptionColumns {
        part_option: part_option.collect(),
        part_node_group: of(&options.part_node_group, &part_rows),
        part_node_count: of(&options.part_node_count, &part_rows),
        node_group: of(&options.node_group, rows),
        state: of(&options.state, rows),
        node_count: of(&options.node_count, rows),
        pod_count: of(&options.pod_count, rows),
        requested_cpu: of(&options.requested_cpu, rows),
        requested_memory: of(&options.requested_memory, rows),
        requested_gpu: of(&options.requested_gpu, rows),
        capacity_cpu: of(&options.capacity_cpu, rows),
        capacity_memory: of(&options.capacity_memory, rows),
        capacity_gpu: of(&options.capacity_gpu, rows),
        allocatable_cpu: of(&options.allocatable_cpu, rows),
        allocatable_memory: of(&options.allocatable_memory, rows),
        allocatable_gpu: of(&options.allocatable_gpu, rows),
        node_price: of(&options.node_price, rows),
        pod_price: of(&options.pod_price, rows),
        current_size: of(&options.current_size, rows),
        min_size: of(&options.min_size, rows),
        max_size: of(&options.max_size, rows),
        zone: of(&options.zone, rows),
        instance_type: of(&options.instance_type, rows),
        texts: options.texts.clone(),
    })
}
