//! What one tenant's objects do to those of others: how much later they are decided, and
//! how much more memory the daemon takes.
//!
//! - `tenants/ten-thousand-hostile`: 10,000 objects of one tenant beside 100 innocent ones,
//!   in the embedded cluster.
//! - `tenants/real`: 1,000 objects beside 10 innocent ones, on the control plane of the
//!   tests.
//!
//! An argument (`embedded` or `real`) selects one.

mod embedded;
mod real;
mod tenant;
#[path = "../../tests/e2e"]
mod parts {
    //! What the tests of the binary run it with.
    #![allow(
        dead_code,
        clippy::unwrap_used,
        reason = "the modules of the tests, of which these benchmarks need a part"
    )]
    pub mod metrics_apis;
    pub mod support;
    pub mod test_cluster;
}

use self::parts::{metrics_apis, support, test_cluster};

/// The daemon's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Maximum lateness of an innocent object, in sync periods.
const PERIODS: f64 = 2.0;

/// Default of the time from one decision about an object to its next.
const SYNC_MS: i64 = 15_000;

fn main() -> anyhow::Result<()> {
    if embedded::is_child() {
        return embedded::hold();
    }
    let part = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let is_selected = |name: &str| part.as_ref().is_none_or(|part| part == name);
    if is_selected("embedded") {
        embedded::run()?;
    }
    if is_selected("real") {
        real::run()?;
    }
    Ok(())
}

/// Returns by how many sync periods a decision came too late after the one before.
fn periods_late(gap_ms: i64) -> f64 {
    (gap_ms - SYNC_MS).max(0) as f64 / SYNC_MS as f64
}
