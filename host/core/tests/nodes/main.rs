//! The nodes loop over a cluster and a cloud of plain data, with expanders that are
//! closures.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod configured;
mod expanders;
mod passes;
mod rounds;
mod world;

use flyball_placement::{Pod, Resources};

/// A pod that asks for so much cpu, in milli.
fn pod(cpu: i64) -> Pod {
    Pod {
        namespace: "default".into(),
        requests: Resources {
            cpu,
            ..Resources::default()
        },
        ..Pod::default()
    }
}
