//! Expanders that are closures.

use flyball_test_policies::TestPolicy;
pub use flyball_test_policies::{expander, ranker};

/// Returns an expander that chooses the first option.
pub fn first() -> TestPolicy {
    expander("first", |_| Ok(vec![0]))
}
