//! Bytes of the answers of policies in one tick, with what the policies logged: they are kept
//! until all objects of the tick are reported. Each namespace has a limit, and all have one
//! together. It is bytes of answers and not of the process, so that the same objects are
//! decided on any machine.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a namespace: 1,600 for each of as many objects as it may have in a tick.
const NAMESPACE_BYTES: usize = 16 << 20;

/// Bytes of all namespaces together.
const ALL_BYTES: usize = 128 << 20;

/// Bytes of a namespace in any case, so that others can't keep its objects waiting.
const BYTES_IN_ANY_CASE: usize = 256 << 10;

/// Bytes of the answers about the objects that were decided.
#[derive(Debug, Default)]
pub(super) struct AnswerBytes {
    by_namespace: BTreeMap<Arc<str>, usize>,
    all: usize,
}

impl AnswerBytes {
    /// Reports whether no further object of the namespace is decided in this tick.
    pub(super) fn are_used_up(&self, namespace: &str) -> bool {
        let own = self.by_namespace.get(namespace).copied();
        let own = own.unwrap_or_default();
        own >= NAMESPACE_BYTES || (self.all >= ALL_BYTES && own >= BYTES_IN_ANY_CASE)
    }

    /// Counts the answers about an object of a namespace.
    pub(super) fn took(&mut self, namespace: &Arc<str>, bytes: usize) {
        let own = self.by_namespace.entry(Arc::clone(namespace)).or_default();
        *own = own.saturating_add(bytes);
        self.all = self.all.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{ALL_BYTES, AnswerBytes, BYTES_IN_ANY_CASE, NAMESPACE_BYTES};

    #[test]
    fn a_namespace_has_a_limit_and_some_room_whatever_others_take() {
        let mut answers = AnswerBytes::default();
        for number in 0..ALL_BYTES / NAMESPACE_BYTES {
            let noisy: Arc<str> = format!("noisy-{number}").into();
            answers.took(&noisy, NAMESPACE_BYTES - 1);
            assert!(!answers.are_used_up(&noisy), "{number}");
            answers.took(&noisy, 1);
            assert!(answers.are_used_up(&noisy), "{number}");
        }
        let calm: Arc<str> = "calm".into();
        answers.took(&calm, BYTES_IN_ANY_CASE - 1);
        assert!(!answers.are_used_up(&calm));
        answers.took(&calm, 1);
        assert!(answers.are_used_up(&calm));
        assert!(!answers.are_used_up("new"));
    }
}
