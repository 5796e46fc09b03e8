//! Policies by name, file or digest, for commands that ask one by one.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, bail};
use flyball_core::policy::Budget;
use flyball_policies::BUILTIN;
use flyball_sandbox::{CompiledPolicy, Engine};

/// A component, and what it is called.
pub struct Source {
    /// Name: a built-in's, or the file's stem.
    pub name: String,
    /// The component.
    pub component: Vec<u8>,
}

/// Finds a policy by the name of a built-in one, or by its file.
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

/// Takes a policy through what a host checks of it, but its configurations.
pub fn compile(engine: &Engine, source: &Source, budget: Budget) -> anyhow::Result<CompiledPolicy> {
    let Source { name, component } = source;
    CompiledPolicy::load(engine, name, component, budget).with_context(|| format!("policy {name}"))
}

/// The built-in policies.
pub fn builtins() -> impl Iterator<Item = Source> {
    BUILTIN.iter().map(|(name, component)| Source {
        name: (*name).to_owned(),
        component: component.to_vec(),
    })
}
