//! The sandbox: loads, confines and runs policies, which are WebAssembly components, and
//! swaps them while the daemon runs. No other crate handles them.
//!
//! - [`Engine`]: wasmtime's settings and limits, one for a process.
//! - [`CompiledPolicy`]: one version of a policy, which decides.
//! - [`Registry`]: policies by name, and the watched directory of their files.
//!
//! It makes no decision and does not depend on Kubernetes. No clock affects a decision:
//! equal inputs give equal answers, to the bit, except when the wall-clock backstop
//! interrupts a guest.

mod answer;
mod cache;
mod code;
mod compile;
mod confine;
mod contract;
mod digest;
mod engine;
mod error;
mod file;
mod guest;
mod panics;
mod parse;
mod policy;
mod private;
mod registry;
mod schema;
mod settings;

#[cfg(test)]
mod clock_tests;

pub use code::check_component;
pub use compile::child::compile_if_asked;
pub use compile::{CompilerOptions, DEFAULT_COMPILE_CPU, DEFAULT_COMPILE_MEMORY};
pub use contract::Contract;
pub use digest::digest;
pub use engine::{DEFAULT_BUDGET, Engine, EngineOptions};
pub use error::{ConfigurationError, EngineError, LoadError, RegistryError, RollbackError};
pub use policy::{CompiledPolicy, DEFAULT_POLICY_BYTES};
pub use registry::{
    DEFAULT_ROLLBACK_WINDOW, HandRollback, PolicyEvent, PolicySource, PolicyState, PolicyStatus,
    Registry, RegistryOptions, Trial, has_last_good, roll_back_by_hand,
};
pub use schema::Schema;
