//! Numbers of cases of property tests.

use std::env;

/// Returns the number of cases of a property test: that of the variable `PROPTEST_CASES`, else
/// the usual one. Proptest itself reads the variable only where a test gives no number.
#[must_use]
pub fn cases(usual: u32) -> u32 {
    let asked = env::var("PROPTEST_CASES").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(usual)
}
