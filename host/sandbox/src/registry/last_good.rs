//! What outlives a restart: copies of the files that were good last, by content,
//! so that a file which goes bad while the daemon is down does not leave its name
//! without a policy, nor does one that breaks a configuration in use take over
//! before objects are known again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::digest::digest;
use crate::error::EngineError;
use crate::private::PrivateDirectory;

const INDEX: &str = "last-good.json";
const EXTENSION: &str = "wasm";

/// A private directory of copies and an index: name to digest.
pub(super) struct LastGood {
    directory: PrivateDirectory,
    index: Mutex<BTreeMap<String, String>>,
}

impl LastGood {
    /// Opens the directory; an index that cannot be read counts as empty.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let directory = PrivateDirectory::open(path)?;
        let index = Mutex::new(read_index(&directory));
        Ok(Self { directory, index })
    }

    /// Names that have a copy.
    pub fn names(&self) -> Vec<String> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.keys().cloned().collect()
    }

    /// The digest of that name's last good copy.
    pub fn digest(&self, name: &str) -> Option<String> {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.get(name).cloned()
    }

    /// The last good copy of that name, if it is still whole.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        let wanted = self.digest(name)?;
        let bytes = self.directory.read(&file_name(&wanted)).ok().flatten()?;
        if digest(&bytes) != wanted {
            tracing::warn!(name, "the last good copy of a policy is damaged");
            return None;
        }
        Some(bytes)
    }

    /// Keeps a copy under a name, in place of what the name had.
    pub fn keep(&self, name: &str, digest: &str, bytes: &[u8]) {
        self.update(name, || {
            self.directory.write(&file_name(digest), &[bytes])?;
            Ok(Some(digest.to_owned()))
        });
    }

    /// Forgets a name.
    pub fn forget(&self, name: &str) {
        self.update(name, || Ok(None));
    }

    fn update(&self, name: &str, change: impl FnOnce() -> io::Result<Option<String>>) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let written = change().and_then(|digest| {
            match digest {
                Some(digest) => index.insert(name.to_owned(), digest),
                None => index.remove(name),
            };
            self.directory
                .write(INDEX, &[&serde_json::to_vec(&*index)?])?;
            self.directory.newest_first(EXTENSION)
        });
        match written {
            Ok(files) => {
                let kept: Vec<String> = index.values().map(|digest| file_name(digest)).collect();
                files
                    .iter()
                    .filter(|file| !kept.contains(file))
                    .for_each(|file| self.directory.remove(file));
            }
            Err(error) => {
                tracing::warn!(name, %error, "cannot note the last good copy of a policy")
            }
        }
    }
}

/// What the index says; nothing if it is damaged or cannot be read.
fn read_index(directory: &PrivateDirectory) -> BTreeMap<String, String> {
    let content = directory.read(INDEX).and_then(|bytes| {
        let parsed = bytes.map(|bytes| serde_json::from_slice(&bytes));
        Ok(parsed.transpose()?)
    });
    content
        .inspect_err(|error| {
            tracing::warn!(%error, "cannot read the index of last good copies, starting anew");
        })
        .ok()
        .flatten()
        .unwrap_or_default()
}

fn file_name(digest: &str) -> String {
    format!(
        "{}.{EXTENSION}",
        digest.strip_prefix("sha256:").unwrap_or(digest)
    )
}
