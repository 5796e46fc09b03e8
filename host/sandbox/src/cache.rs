//! Compiled code, kept from one start to the next. Code that is loaded runs
//! natively, so a file counts only if it carries a code (HMAC-SHA-256) that this
//! cache's own key made; whatever does not is compiled again.

use std::hash::{Hash as _, Hasher};
use std::io;
use std::path::Path;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::digest::hex;
use crate::error::EngineError;
use crate::private::PrivateDirectory;

const KEY_FILE: &str = "key";
/// A block of SHA-256, the size that HMAC uses a key of as it is.
const KEY_BYTES: usize = 64;
const TAG_BYTES: usize = 32;
const EXTENSION: &str = "cwasm";
/// Files kept; the ones written first go first.
const FILES: usize = 128;

/// A private directory of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PrivateDirectory,
    key: [u8; KEY_BYTES],
}

impl Cache {
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let directory = PrivateDirectory::open(path)?;
        let key = key(&directory).map_err(|error| EngineError::PrivateDirectory {
            path: path.to_owned(),
            reason: format!("its key: {error}"),
        })?;
        Ok(Self { directory, key })
    }

    /// Code compiled earlier by this engine from the bytes of that digest.
    pub fn load(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let name = file_name(engine, digest);
        let file = match self.directory.read(&name) {
            Ok(file) => file?,
            Err(error) => {
                tracing::warn!(%error, "cannot read compiled code, compiling again");
                return None;
            }
        };
        let Some(code) = self.authentic(&name, &file) else {
            tracing::warn!(
                file = name,
                "compiled code is damaged or not ours, compiling again"
            );
            self.directory.remove(&name);
            return None;
        };
        deserialize(engine, code)
            .inspect_err(
                |error| tracing::warn!(%error, "cannot load compiled code, compiling again"),
            )
            .ok()
    }

    /// Keeps compiled code. Failing to is no reason not to run it.
    pub fn store(&self, engine: &wasmtime::Engine, digest: &str, component: &Component) {
        let name = file_name(engine, digest);
        let stored = component
            .serialize()
            .map_err(io::Error::other)
            .and_then(|code| {
                let tag = self.mac(&name, &code).finalize().into_bytes();
                self.directory.write(&name, &[&tag, &code])
            });
        if let Err(error) = stored.and_then(|()| self.evict()) {
            tracing::warn!(%error, "cannot keep compiled code");
        }
    }

    fn authentic<'a>(&self, name: &str, file: &'a [u8]) -> Option<&'a [u8]> {
        let (tag, code) = file.split_at_checked(TAG_BYTES)?;
        self.mac(name, code).verify_slice(tag).ok()?;
        Some(code)
    }

    fn mac(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        // The name binds the code to the component and the engine.
        let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new((&self.key).into());
        mac.update(name.as_bytes());
        mac.update(code);
        mac
    }

    fn evict(&self) -> io::Result<()> {
        for name in self.directory.newest_first(EXTENSION)?.iter().skip(FILES) {
            self.directory.remove(name);
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "loading compiled code is what the cache is for")]
fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are what `Component::serialize` gave, unaltered: the
    // caller checked a MAC over them under a key that only this user can read.
    // wasmtime itself checks that its version and settings are the same.
    unsafe { Component::deserialize(engine, code) }
}

/// The cache's key; a new one if somebody else may have put it there.
fn key(directory: &PrivateDirectory) -> io::Result<[u8; KEY_BYTES]> {
    if !directory.was_exposed()
        && let Some(bytes) = directory.read(KEY_FILE)?
        && let Ok(key) = <[u8; KEY_BYTES]>::try_from(bytes.as_slice())
    {
        return Ok(key);
    }
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    directory.write(KEY_FILE, &[&key])?;
    Ok(key)
}

fn file_name(engine: &wasmtime::Engine, digest: &str) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.write(digest.as_bytes());
    format!("{}.{EXTENSION}", hex(&hasher.0.finalize()))
}

/// SHA-256 behind the interface that wasmtime's hash asks for.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest
            .iter()
            .take(8)
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }
}
