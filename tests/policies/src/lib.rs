//! Policies from closures, and the engine that finds them: for tests and benchmarks that
//! need no sandbox.

mod closure;
mod engine;

pub use self::closure::{TestPolicy, expander, policy, ranker, scale_down};
pub use self::engine::{Named, TestEngine};
