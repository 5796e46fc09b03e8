//! Expanders that are closures.

use flyball_test_policies::TestExpander;
pub use flyball_test_policies::{expander, ranker};

/// Returns an expander that chooses the first option.
pub fn first() -> TestExpander {
    expander("first", |_| Ok(vec![0]))
}
