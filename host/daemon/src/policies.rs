//! Finds, reads and compiles policies, for commands that ask them directly.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use flyball_decision::policy::Budget;
use flyball_policies::BUILTIN;
use flyball_sandbox::{CompiledPolicy, Engine};

/// A policy's component and name.
pub struct Source {
    /// Name: a built-in policy's, or the file's stem.
    pub name: String,
    /// The component.
    pub component: Vec<u8>,
}

/// Finds a built-in policy by its name, or reads a file.
pub fn find(policy: &str) -> anyhow::Result<Source> {
    let is_file = policy.ends_with(".wasm") || policy.contains(std::path::MAIN_SEPARATOR);
    if !is_file {
        if let Some((name, component)) = BUILTIN.iter().find(|(name, _)| *name == policy) {
            return Ok(Source {
                name: (*name).to_owned(),
                component: component.to_vec(),
            });
        }
        let names: Vec<_> = BUILTIN.iter().map(|(name, _)| *name).collect();
        bail!(
            "no built-in policy {policy:?} (there is {}): a file is named by a path that ends in .wasm",
            names.join(", ")
        );
    }
    read(Path::new(policy))
}

/// Reads a policy's file.
pub fn read(path: &Path) -> anyhow::Result<Source> {
    let component = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Source { name, component })
}

/// Loads a policy with all of a host's checks except for the configurations in use.
pub fn compile(engine: &Engine, source: &Source, budget: Budget) -> anyhow::Result<CompiledPolicy> {
    let Source { name, component } = source;
    CompiledPolicy::load(engine, name, component, budget).with_context(|| format!("policy {name}"))
}

/// Returns the built-in policies.
pub fn builtins() -> impl Iterator<Item = Source> {
    BUILTIN.iter().map(|(name, component)| Source {
        name: (*name).to_owned(),
        component: component.to_vec(),
    })
}
