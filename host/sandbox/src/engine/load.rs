//! Loads components: from the engine's cache, or by compiling them.

use std::sync::mpsc::channel;

use crate::cache::Cache;
use crate::code::{self, Artifact};
use crate::compile::{CompileHandle, LoadRequest, Source};
use crate::engine::Engine;
use crate::error::LoadError;
use crate::panics::catch_panic;

impl Engine {
    /// Loads a component, and calls `done` with the outcome: before this returns if no
    /// child is needed, else from another thread, unless the handle is dropped before.
    pub(crate) fn load(
        &self,
        request: LoadRequest,
        done: impl FnOnce(Result<Artifact, LoadError>) + Send + 'static,
    ) -> Option<CompileHandle> {
        if let Some(artifact) = self.cached(&request.digest) {
            done(Ok(artifact));
            return None;
        }
        let Some(compiler) = self.compiler() else {
            done(self.compile_here(&request));
            return None;
        };
        // The closure must not hold the engine: the engine's compiler holds the closure.
        let (engine, cache) = (self.wasmtime().clone(), self.shared_cache());
        let digest = request.digest.clone();
        Some(compiler.compile(request, move |answer| {
            done(
                answer
                    .and_then(|answer| load_and_cache(&engine, cache.as_deref(), &digest, &answer)),
            );
        }))
    }

    /// Loads a component and waits for it.
    pub(crate) fn load_and_wait(&self, request: LoadRequest) -> Result<Artifact, LoadError> {
        let (sender, receiver) = channel();
        let _handle = self.load(request, move |outcome| {
            // The receiver exists as long as the handle.
            let _ = sender.send(outcome);
        });
        receiver.recv().unwrap_or_else(|_| {
            Err(LoadError::CompilerNotStarted(
                "flyball is about to end".into(),
            ))
        })
    }

    /// Loads a component that was compiled with this binary. It is compiled in this
    /// process, since it is not input from outside.
    pub(crate) fn load_built_in(&self, digest: &str, bytes: &[u8]) -> Result<Artifact, LoadError> {
        self.cached(digest)
            .map_or_else(|| self.compile_bytes(digest, bytes), Ok)
    }

    /// Returns code from the cache.
    pub(crate) fn cached(&self, digest: &str) -> Option<Artifact> {
        self.cache()?.load(self.wasmtime(), digest)
    }

    fn compile_here(&self, request: &LoadRequest) -> Result<Artifact, LoadError> {
        match &request.source {
            Source::Bytes(bytes) => self.compile_bytes(&request.digest, bytes),
            Source::File(path) => {
                let bytes = crate::file::read(path, request.max_bytes)?;
                if crate::digest::digest(&bytes) != request.digest {
                    return Err(LoadError::Changed);
                }
                self.compile_bytes(&request.digest, &bytes)
            }
        }
    }

    fn compile_bytes(&self, digest: &str, bytes: &[u8]) -> Result<Artifact, LoadError> {
        let (surface, code) = catch_panic(|| code::compile(self.wasmtime(), bytes))
            .unwrap_or_else(|panic| Err(LoadError::Compile(panic)))?;
        let head = code::head(&surface).map_err(|error| LoadError::Compile(error.to_string()))?;
        let answer = [head, code].concat();
        load_and_cache(self.wasmtime(), self.cache(), digest, &answer)
    }
}

/// Loads compiled code, and stores it in the cache.
fn load_and_cache(
    engine: &wasmtime::Engine,
    cache: Option<&Cache>,
    digest: &str,
    answer: &[u8],
) -> Result<Artifact, LoadError> {
    let artifact = catch_panic(|| code::load(engine, answer))
        .unwrap_or_else(|panic| Err(LoadError::Compile(panic)))?;
    if let Some(cache) = cache {
        cache.store(engine, digest, answer);
    }
    Ok(artifact)
}
