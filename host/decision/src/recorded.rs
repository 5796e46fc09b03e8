//! Recorded inputs: what policies were asked in earlier decisions. A new version of a
//! policy is tried on them before it takes over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::context::{Context, GrantedInput};
use crate::part::Part;
use crate::policy::{Description, PolicyVersion};
use crate::question::{Question, RecordedQuestion};

/// Maximum number of recorded inputs that a version is tried on.
pub const MAX_INPUTS: usize = 32;

/// Approximate maximum size of the recorded inputs that a version is tried on, in bytes.
pub const MAX_INPUT_BYTES: usize = 8 << 20;

/// What a policy was asked in an earlier decision.
#[derive(Clone, Debug)]
pub struct RecordedInput {
    /// The object of the decision: a target, or the node groups.
    pub object: String,
    /// Namespace of the object; empty for node groups.
    pub namespace: Arc<str>,
    /// The version that was asked. `None` if there was none.
    pub asked: Option<Arc<PolicyVersion>>,
    /// Time, seed, configuration, state and granted inputs.
    pub context: Context,
    /// The rest of the input.
    pub question: RecordedQuestion,
}

/// Port that finds recorded inputs.
pub trait RecordedInputs: fmt::Debug + Send + Sync {
    /// Returns the latest inputs of the policy of that name: at most [`MAX_INPUTS`] and
    /// about [`MAX_INPUT_BYTES`], of as many namespaces, configurations and objects as
    /// there are.
    fn latest(&self, policy: &str) -> Vec<RecordedInput>;
}

impl RecordedInput {
    /// Returns what the policy of this part was asked beside `input`, which all policies
    /// of the decision have in common.
    #[must_use]
    pub fn of<Q: Question>(part: &Part<Q>, input: &Q::Input) -> Self {
        // The part of the policy itself, even if a fallback answered in its place.
        let asked = if part.is_own() { part } else { part.asked() };
        let (namespace, object) = Q::object(input);
        Self {
            object,
            namespace,
            asked: asked.version.clone(),
            context: Q::context(&asked.context, input, &asked.own).into_owned(),
            question: Q::recorded(input, &asked.own),
        }
    }

    /// Returns the context in which a version would have been asked. `asked` is the
    /// description of the version that was. A state of another state version is dropped.
    /// Inputs that only the new version wants are empty.
    #[must_use]
    pub fn context_for(
        &self,
        version: &PolicyVersion,
        description: &Description,
        asked: Option<&Description>,
    ) -> Context {
        let known = self.asked.as_ref();
        if known.is_some_and(|known| known.digest == version.digest) {
            return self.context.clone();
        }
        let same_state = known.is_some_and(|known| known.state_version == version.state_version);
        let granted = |wanted| {
            let place = asked?.wants.iter().position(|known| known == wanted)?;
            self.context.inputs.get(place).cloned()
        };
        let inputs = description.wants.iter();
        let inputs: Vec<GrantedInput> = inputs
            .map(|wanted| granted(wanted).unwrap_or_default())
            .collect();
        Context {
            state: if same_state {
                Arc::clone(&self.context.state)
            } else {
                Arc::default()
            },
            inputs,
            ..self.context.clone()
        }
    }
}

/// Origin of an input, for a choice among many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Interface of the contract that asks the question.
    pub interface: &'a str,
    /// Namespace of the object.
    pub namespace: &'a str,
    /// The policy's configuration.
    pub configuration: &'a str,
    /// The object.
    pub object: &'a str,
    /// Approximate size of the input, in bytes.
    pub bytes: usize,
}

/// Chooses at most `most` inputs of at most `most_bytes` in total. Takes turns between
/// the questions, within a question between namespaces, within a namespace between
/// configurations, and within a configuration between objects, whose first inputs come
/// first. Returns their places in `origins`, in
/// the order of the choice.
#[must_use]
pub fn spread(origins: &[Origin<'_>], most: usize, most_bytes: usize) -> Vec<usize> {
    let mut groups = Groups::default();
    let mut left: Vec<(usize, [usize; 4])> = origins
        .iter()
        .enumerate()
        .map(|(place, origin)| (place, groups.of(origin)))
        .collect();
    let mut taken = vec![0_usize; groups.count];
    let (mut chosen, mut bytes) = (Vec::new(), 0_usize);
    while chosen.len() < most {
        left.retain(|(place, _)| bytes.saturating_add(origins[*place].bytes) <= most_bytes);
        let next = left.iter().enumerate().min_by_key(|(_, (place, groups))| {
            let taken = groups.map(|group| taken[group]);
            (taken, *place)
        });
        let Some((row, _)) = next else { break };
        let (place, groups) = left.remove(row);
        for group in groups {
            taken[group] += 1;
        }
        bytes = bytes.saturating_add(origins[place].bytes);
        chosen.push(place);
    }
    chosen
}

/// Numbers of questions, of namespaces with a question, of configurations in a namespace,
/// and of objects with a configuration.
#[derive(Default)]
struct Groups<'a> {
    questions: BTreeMap<&'a str, usize>,
    namespaces: BTreeMap<(usize, &'a str), usize>,
    configurations: BTreeMap<(usize, &'a str), usize>,
    objects: BTreeMap<(usize, &'a str), usize>,
    count: usize,
}

impl<'a> Groups<'a> {
    fn of(&mut self, origin: &Origin<'a>) -> [usize; 4] {
        let mut number = || {
            self.count += 1;
            self.count - 1
        };
        let question = *self
            .questions
            .entry(origin.interface)
            .or_insert_with(&mut number);
        let namespace = *self
            .namespaces
            .entry((question, origin.namespace))
            .or_insert_with(&mut number);
        let configuration = *self
            .configurations
            .entry((namespace, origin.configuration))
            .or_insert_with(&mut number);
        let object = *self
            .objects
            .entry((configuration, origin.object))
            .or_insert_with(&mut number);
        [question, namespace, configuration, object]
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, spread};

    fn origin<'a>(namespace: &'a str, configuration: &'a str, object: &'a str) -> Origin<'a> {
        Origin {
            interface: "replica",
            namespace,
            configuration,
            object,
            bytes: 10,
        }
    }

    #[test]
    fn inputs_are_of_as_many_namespaces_configurations_and_objects_as_there_are() {
        let mut origins = vec![origin("a", "{}", "busy"); 100];
        origins.push(origin("a", "{}", "web"));
        origins.push(origin("a", "{\"n\":1}", "web"));
        origins.push(origin("b", "{}", "web"));
        assert_eq!(spread(&origins, 5, 1000), [0, 102, 101, 100, 1]);
        assert_eq!(spread(&origins, 2, 1000), [0, 102]);
        assert_eq!(spread(&origins, 200, 1000).len(), 100, "by bytes");
        assert_eq!(spread(&origins[..3], 200, 1000), [0, 1, 2]);
        assert!(spread(&[], 5, 1000).is_empty());
    }

    #[test]
    fn the_questions_of_a_policy_take_turns() {
        let pods = Origin {
            interface: "scale-down-pods",
            ..origin("", "{}", "node groups")
        };
        let nodes = Origin {
            interface: "scale-down-nodes",
            ..pods
        };
        let origins = [pods, pods, pods, nodes, nodes];
        assert_eq!(spread(&origins, 4, 1000), [0, 3, 1, 4]);
    }

    #[test]
    fn an_input_that_is_too_large_keeps_out_no_other() {
        let large = Origin {
            bytes: 2000,
            ..origin("a", "{}", "large")
        };
        let origins = [large, origin("a", "{}", "web")];
        assert_eq!(spread(&origins, 5, 1000), [1]);
    }
}
