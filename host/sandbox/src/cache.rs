//! Cache of compiled code on disk. Code that is loaded runs natively, so a file is used
//! only if it carries an authentication code (HMAC-SHA-256) made with this cache's own
//! key; any other file is ignored and its component compiled again.

use std::hash::{Hash as _, Hasher};
use std::io;
use std::path::Path;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::code::{self, Artifact};
use crate::digest::hex;
use crate::error::EngineError;
use crate::private::PrivateDirectory;

const KEY_FILE: &str = "key";
/// Size of SHA-256's block: HMAC uses a key of this size unchanged.
const KEY_BYTES: usize = 64;
const TAG_BYTES: usize = 32;
const EXTENSION: &str = "cwasm";
/// Version of the file format, part of the files' names: files of older formats are not
/// found.
const FORM: &[u8] = b"surface and code";
/// Files kept; the oldest are removed first.
const FILES: usize = 128;
/// Size of all files kept, in bytes.
const BYTES: u64 = 256 << 20;

/// A private directory of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PrivateDirectory,
    key: [u8; KEY_BYTES],
    /// Maximum number of files.
    files: usize,
    /// Maximum size of all files. The latest one is kept in any case.
    bytes: u64,
}

impl Cache {
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let directory = PrivateDirectory::open(path)?;
        let key = key(&directory).map_err(|error| EngineError::PrivateDirectory {
            path: path.to_owned(),
            reason: format!("its key: {error}"),
        })?;
        Ok(Self {
            directory,
            key,
            files: FILES,
            bytes: BYTES,
        })
    }

    /// Returns code that this engine compiled earlier from the bytes with that digest.
    pub fn load(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Artifact> {
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
        code::load(engine, code)
            .inspect_err(
                |error| tracing::warn!(%error, "cannot load compiled code, compiling again"),
            )
            .ok()
    }

    /// Stores compiled code in the form that [`code::load`] takes. A failure is only
    /// logged, since the code can run without it.
    pub fn store(&self, engine: &wasmtime::Engine, digest: &str, code: &[u8]) {
        let name = file_name(engine, digest);
        let tag = self.mac(&name, code).finalize().into_bytes();
        let stored = self.directory.write(&name, &[&tag, code]);
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
        let mut total = 0_u64;
        for (index, (name, bytes)) in self.directory.newest_first(EXTENSION)?.iter().enumerate() {
            total = total.saturating_add(*bytes);
            let is_too_much = index >= self.files || total > self.bytes;
            if index > 0 && is_too_much {
                self.directory.remove(name);
            }
        }
        Ok(())
    }
}

/// Returns the cache's key; makes a new one if there is none.
fn key(directory: &PrivateDirectory) -> io::Result<[u8; KEY_BYTES]> {
    if let Some(bytes) = directory.read(KEY_FILE)?
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
    hasher.write(FORM);
    format!("{}.{EXTENSION}", hex(&hasher.0.finalize()))
}

/// SHA-256 as the `Hasher` that wasmtime requires.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

    use std::fs::{File, FileTimes};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use wasmtime::{Config, Engine};

    use super::{Cache, file_name};
    use crate::code;
    use crate::parse::Surface;

    fn engine(fuel: bool) -> Engine {
        Engine::new(Config::new().consume_fuel(fuel)).unwrap()
    }

    fn store(cache: &Cache, engine: &Engine, digest: &str) {
        let bytes = wat::parse_str("(component)").unwrap();
        let head = code::head(&Surface::default()).unwrap();
        let code = engine.precompile_component(&bytes).unwrap();
        cache.store(engine, digest, &[head, code].concat());
    }

    #[test]
    fn code_compiled_for_another_engine_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path()).unwrap();
        let (with, without) = (engine(true), engine(false));
        store(&cache, &with, "sha256:a");
        assert!(cache.load(&with, "sha256:a").is_some());
        assert!(cache.load(&without, "sha256:a").is_none());
        assert!(cache.load(&with, "sha256:b").is_none());

        // Nor is it used under the other engine's name: a file's code binds it to its
        // name.
        let file = |engine| directory.path().join(file_name(engine, "sha256:a"));
        std::fs::copy(file(&with), file(&without)).unwrap();
        assert!(cache.load(&without, "sha256:a").is_none());
        store(&cache, &without, "sha256:a");
        assert!(cache.load(&without, "sha256:a").is_some());
        assert!(cache.load(&with, "sha256:a").is_some());
    }

    #[test]
    fn files_written_first_go_first() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache {
            files: 2,
            ..Cache::open(directory.path()).unwrap()
        };
        let engine = engine(true);
        let age = |digest: &str, seconds| {
            let file: &Path = &directory.path().join(file_name(&engine, digest));
            let times =
                FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(seconds));
            File::options()
                .append(true)
                .open(file)
                .unwrap()
                .set_times(times)
                .unwrap();
        };
        for (digest, seconds) in [("sha256:a", 10), ("sha256:b", 20)] {
            store(&cache, &engine, digest);
            age(digest, seconds);
        }
        store(&cache, &engine, "sha256:c");
        let kept = ["sha256:a", "sha256:b", "sha256:c"]
            .map(|digest| cache.load(&engine, digest).is_some());
        assert_eq!(kept, [true, false, true], "the oldest has gone");

        // A limit on bytes, too.
        let size = directory.path().join(file_name(&engine, "sha256:c"));
        let size = size.metadata().unwrap().len();
        age("sha256:c", 5);
        let cache = Cache {
            bytes: 2 * size + size / 2,
            ..Cache::open(directory.path()).unwrap()
        };
        for (digest, seconds) in [("sha256:d", 4), ("sha256:e", 3)] {
            store(&cache, &engine, digest);
            age(digest, seconds);
        }
        let kept = ["sha256:a", "sha256:c", "sha256:d", "sha256:e"];
        let kept = kept.map(|digest| cache.load(&engine, digest).is_some());
        assert_eq!(kept, [false, false, true, true]);
        let cache = Cache { bytes: 1, ..cache };
        store(&cache, &engine, "sha256:f");
        let kept = ["sha256:e", "sha256:f"];
        let kept = kept.map(|digest| cache.load(&engine, digest).is_some());
        assert_eq!(kept, [false, true]);
        assert!(directory.path().join("key").exists());
    }
}
