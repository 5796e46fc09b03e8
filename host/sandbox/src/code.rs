//! Compiled code with what is known of its component, in the form in which a child
//! returns it and the cache stores it: the [`Surface`] as a line of JSON, then the code.

use wasmtime::component::Component;

use crate::contract::Contract;
use crate::error::LoadError;
use crate::parse::{self, Surface};

/// Largest code accepted, in bytes: several times that of an interpreter, and as much as
/// the daemon can hold besides its own work while it loads the code.
pub(crate) const MAX_CODE_BYTES: usize = 64 << 20;

/// A compiled component that an engine can instantiate.
pub(crate) struct Artifact {
    pub surface: Surface,
    pub component: Component,
}

/// Parses and validates a component, as before it is compiled. Returns the contract that it
/// implements.
///
/// # Errors
/// Why it can't be compiled.
pub fn check_component(bytes: &[u8]) -> Result<Contract, LoadError> {
    let read = read(bytes).map_err(LoadError::bounded)?;
    Ok(read.1)
}

fn read(bytes: &[u8]) -> Result<(Surface, Contract), LoadError> {
    let surface = parse::surface(bytes)?;
    let contract = Contract::of(&surface)?;
    Ok((surface, contract))
}

/// Parses, validates and compiles a component. Returns its surface and its code.
pub(crate) fn compile(
    engine: &wasmtime::Engine,
    bytes: &[u8],
) -> Result<(Surface, Vec<u8>), LoadError> {
    let (surface, _) = read(bytes)?;
    let code = engine
        .precompile_component(bytes)
        .map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    if code.len() > MAX_CODE_BYTES {
        return Err(too_large());
    }
    Ok((surface, code))
}

/// The error for code of more than [`MAX_CODE_BYTES`].
pub(crate) fn too_large() -> LoadError {
    LoadError::CodeTooLarge {
        limit: u64::try_from(MAX_CODE_BYTES).unwrap_or(u64::MAX),
    }
}

/// Returns the line that precedes the code.
pub(crate) fn head(surface: &Surface) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(surface)?;
    line.push(b'\n');
    Ok(line)
}

/// Splits the concatenation of [`head`] and code.
fn split(bytes: &[u8]) -> Option<(Surface, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, code) = bytes.split_at(end);
    Some((serde_json::from_slice(line).ok()?, code.get(1..)?))
}

/// Loads the concatenation of [`head`] and code. The bytes must come from a trusted
/// source: the cache, after it has checked that it made them itself, or a child.
///
/// A child's answer is trusted as the compiler is: both run the same binary, and code
/// that the compiler makes in this process would be run unchecked as well. Nothing else
/// can write into the pipe between the two, and an answer that ends early, because its
/// child was ended, never gets here. Whoever can make a compiler in a child write bytes
/// of their choice could make one in this process do worse.
pub(crate) fn load(engine: &wasmtime::Engine, trusted: &[u8]) -> Result<Artifact, LoadError> {
    let (surface, code) = split(trusted)
        .ok_or_else(|| LoadError::CompilerEnded("its answer makes no sense".into()))?;
    let component =
        deserialize(engine, code).map_err(|error| LoadError::Compile(format!("{error:#}")))?;
    Ok(Artifact { surface, component })
}

#[expect(unsafe_code, reason = "there is no other way to load compiled code")]
fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are the unaltered output of `precompile_component`, as the
    // callers of `load` ensure. wasmtime checks that its version and settings are the
    // same.
    unsafe { Component::deserialize(engine, code) }
}
