//! The chain of expanders as an operator lists it: `--expander=priority,least-waste`.
//! Only what makes sense is taken, by Cluster Autoscaler's rules. Who asks the chain
//! is [`super::choose`].

use std::sync::Arc;

/// The expander that leaves one option whatever it is given.
const RANDOM: &str = "random";

/// Why a list of expanders is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No such expander.
    #[error("there is no expander {0:?}: it is a built-in one or a policy of kind expander")]
    Unknown(String),
    /// One stands there twice.
    #[error("the expander {0} is listed more than once: name each once")]
    Twice(String),
    /// Nothing is left to choose from.
    #[error("the expander {0} comes after {RANDOM}, which leaves one option: put it before")]
    Never(String),
}

/// Reads a list of expanders, separated by commas. `is_expander` tells which names
/// there are; an empty list is a chain of chance alone.
///
/// # Errors
/// The first name that cannot stand where it does.
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
