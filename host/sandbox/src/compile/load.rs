//! What an engine does to come by a component: it looks into its cache, and compiles
//! what is not there.

use std::sync::mpsc::channel;

use crate::cache::Cache;
use crate::compile::code::{self, Artifact};
use crate::compile::{Source, Ticket};
use crate::engine::Engine;
use crate::error::LoadError;
use crate::panics::caught;

/// A component that is to be loaded.
pub(crate) struct Wanted {
    /// Digest of its bytes.
    pub digest: String,
    pub source: Source,
    /// Size up to which it is compiled.
    pub max_bytes: u64,
}

impl Engine {
    /// Loads a component, and calls `done` when that is done: before this returns if no
    /// child is needed, else from another thread, unless the ticket is dropped before.
    pub(crate) fn load(
        &self,
        wanted: Wanted,
        done: impl FnOnce(Result<Artifact, LoadError>) + Send + 'static,
    ) -> Option<Ticket> {
        if let Some(artifact) = self.cached(&wanted.digest) {
            done(Ok(artifact));
            return None;
        }
        let Some(compiler) = self.compiler() else {
            done(self.compile_here(&wanted));
            return None;
        };
        // The closure must not hold the engine: the engine's compiler holds the closure.
        let (engine, cache) = (self.wasmtime().clone(), self.shared_cache());
        let digest = wanted.digest.clone();
        Some(compiler.compile(wanted, move |answer| {
            done(answer.and_then(|answer| take_up(&engine, cache.as_deref(), &digest, &answer)));
        }))
    }

    /// Loads a component and waits for it.
    pub(crate) fn load_and_wait(&self, wanted: Wanted) -> Result<Artifact, LoadError> {
        let (sender, receiver) = channel();
        let _ticket = self.load(wanted, move |outcome| {
            // Somebody waits as long as the ticket is there.
            let _ = sender.send(outcome);
        });
        receiver.recv().unwrap_or_else(|_| {
            Err(LoadError::CompilerNotStarted(
                "flyball is about to end".into(),
            ))
        })
    }

    /// Loads a component that was compiled with this binary: in this process, since it
    /// is no input from outside.
    pub(crate) fn load_built_in(&self, digest: &str, bytes: &[u8]) -> Result<Artifact, LoadError> {
        self.cached(digest)
            .map_or_else(|| self.compile_bytes(digest, bytes), Ok)
    }

    /// Code that need not be compiled.
    pub(crate) fn cached(&self, digest: &str) -> Option<Artifact> {
        self.cache()?.load(self.wasmtime(), digest)
    }

    fn compile_here(&self, wanted: &Wanted) -> Result<Artifact, LoadError> {
        match &wanted.source {
            Source::Bytes(bytes) => self.compile_bytes(&wanted.digest, bytes),
            Source::File(path) => {
                let bytes = crate::file::read(path, wanted.max_bytes)?;
                if crate::digest::digest(&bytes) != wanted.digest {
                    return Err(LoadError::Changed);
                }
                self.compile_bytes(&wanted.digest, &bytes)
            }
        }
    }

    fn compile_bytes(&self, digest: &str, bytes: &[u8]) -> Result<Artifact, LoadError> {
        let (surface, code) = caught(|| code::compile(self.wasmtime(), bytes))
            .unwrap_or_else(|panic| Err(LoadError::Compile(panic)))?;
        let head = code::head(&surface).map_err(|error| LoadError::Compile(error.to_string()))?;
        let answer = [head, code].concat();
        take_up(self.wasmtime(), self.cache(), digest, &answer)
    }
}

/// Loads what was compiled just now, and keeps it in the cache.
fn take_up(
    engine: &wasmtime::Engine,
    cache: Option<&Cache>,
    digest: &str,
    answer: &[u8],
) -> Result<Artifact, LoadError> {
    let artifact = caught(|| code::load(engine, answer))
        .unwrap_or_else(|panic| Err(LoadError::Compile(panic)))?;
    if let Some(cache) = cache {
        cache.store(engine, digest, answer);
    }
    Ok(artifact)
}
