//! Parser for the chain of expanders in `--expander=priority,least-waste`, with Cluster
//! Autoscaler's rules. [`super::choose`] asks the chain.

use std::sync::Arc;

/// The expander that always leaves one option, so that none can follow.
const RANDOM: &str = "random";

/// Why a list of expanders is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No such expander.
    #[error("there is no expander {0:?}: it is a built-in one or a policy of kind expander")]
    Unknown(String),
    /// An expander is listed twice.
    #[error("the expander {0} is listed more than once: name each once")]
    Twice(String),
    /// An expander follows one that leaves a single option.
    #[error("the expander {0} comes after {RANDOM}, which leaves one option: put it before")]
    Never(String),
}

/// Parses a list of expanders, separated by commas. `is_expander` returns whether an
/// expander of a name exists. An empty list is an empty chain: the choice is random.
///
/// # Errors
/// Returns the error of the first invalid name.
pub fn parse(list: &str, is_expander: impl Fn(&str) -> bool) -> Result<Vec<Arc<str>>, ChainError> {
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let mut chain: Vec<Arc<str>> = Vec::new();
    for name in list.split(',') {
        if chain.iter().any(|one| **one == *name) {
            return Err(ChainError::Twice(name.to_owned()));
        }
        if chain.iter().any(|one| **one == *RANDOM) {
            return Err(ChainError::Never(name.to_owned()));
        }
        if !is_expander(name) {
            return Err(ChainError::Unknown(name.to_owned()));
        }
        chain.push(name.into());
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::{ChainError, parse};

    #[test]
    fn only_lists_that_make_sense_are_taken() {
        let there = ["least-waste", "priority", "random"];
        let read = |list: &str| parse(list, |name| there.contains(&name));
        assert_eq!(read("priority,random").map(|chain| chain.len()), Ok(2));
        assert_eq!(read("").map(|chain| chain.len()), Ok(0));
        let error = |list: &str| read(list).err();
        assert_eq!(
            error("cheapest"),
            Some(ChainError::Unknown("cheapest".into()))
        );
        assert_eq!(error("priority,"), Some(ChainError::Unknown(String::new())));
        assert_eq!(
            error("Priority"),
            Some(ChainError::Unknown("Priority".into()))
        );
        assert_eq!(
            error("priority,least-waste,priority"),
            Some(ChainError::Twice("priority".into()))
        );
        assert_eq!(
            error("random,least-waste"),
            Some(ChainError::Never("least-waste".into()))
        );
    }
}
