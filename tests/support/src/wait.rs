//! Waits for effects of other processes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;

const INTERVAL: Duration = Duration::from_millis(200);

/// Calls `probe` until it returns a value, and returns that.
///
/// `Ok(None)` and errors both mean "not yet": an object may not exist at first.
///
/// # Errors
/// If `timeout` has passed; the message names `what` was waited for and contains the
/// probe's last error.
pub fn wait_for<T>(
    what: &str,
    timeout: Duration,
    mut probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        let answer = probe();
        if let Ok(Some(value)) = answer {
            return Ok(value);
        }
        if start.elapsed() >= timeout {
            return Err(answer
                .err()
                .unwrap_or_else(|| anyhow::anyhow!("the condition does not hold")))
            .with_context(|| format!("waited {timeout:?} in vain for {what}"));
        }
        sleep(INTERVAL);
    }
}
