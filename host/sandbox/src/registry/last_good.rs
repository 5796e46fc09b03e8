//! Copies of the last good files, by content, which outlive a restart. Without them, a
//! file that becomes bad while the daemon is down would leave its name without a policy,
//! and one that breaks a configuration in use would take over before objects are known
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use flyball_decision::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::file;
use crate::private::PrivateDirectory;

const INDEX: &str = "last-good.json";
const LOCK: &str = "last-good.lock";
const EXTENSION: &str = "wasm";

/// A private directory of copies and an index by name. Several processes may share it:
/// the index is read again for each use, and changed under a lock.
pub(super) struct LastGood {
    directory: PrivateDirectory,
}

/// The index entry of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, from = "Stored")]
pub(super) struct Entry {
    /// Digest of the last good version. `None` if it is the built-in one, or there was
    /// none.
    pub digest: Option<String>,
    /// Digests of the versions before it, the latest first.
    pub previous: Vec<String>,
    /// Content of the file that is refused until it changes.
    pub refused: Option<Refused>,
    /// When the last good version was first asked.
    pub began: Option<Timestamp>,
}

/// Content of a file that is refused until it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refused {
    /// Its digest.
    pub digest: String,
    /// Why.
    pub reason: String,
    /// Whether it was rolled back after it had taken over.
    #[serde(default)]
    pub rolled_back: bool,
}

/// An index entry as written by any version: the first ones wrote the digest alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Digest(String),
    #[serde(rename_all = "camelCase")]
    Entry {
        #[serde(default)]
        digest: Option<String>,
        #[serde(default)]
        previous: Vec<String>,
        #[serde(default)]
        refused: Option<Refused>,
        #[serde(default)]
        began: Option<Timestamp>,
    },
}

impl From<Stored> for Entry {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Digest(digest) => Self {
                digest: Some(digest),
                ..Self::default()
            },
            Stored::Entry {
                digest,
                previous,
                refused,
                began,
            } => Self {
                digest,
                previous,
                refused,
                began,
            },
        }
    }
}

/// Entries by name.
type Index = BTreeMap<String, Entry>;

impl LastGood {
    /// Opens the directory.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let directory = PrivateDirectory::open(path)?;
        Ok(Self { directory })
    }

    /// Reports whether the index in a directory has a name. Unlike [`LastGood::open`], it
    /// creates nothing.
    pub fn peek(path: &Path, name: &str) -> bool {
        let bytes = std::fs::read(path.join(INDEX)).unwrap_or_default();
        let index: Index = serde_json::from_slice(&bytes).unwrap_or_default();
        index.contains_key(name)
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Names that have an entry.
    pub fn names(&self) -> Vec<String> {
        self.entries().into_keys().collect()
    }

    /// Returns all entries by name.
    pub fn entries(&self) -> BTreeMap<String, Entry> {
        let index = read_index(&self.directory);
        index
            .inspect_err(
                |error| tracing::warn!(%error, "cannot read the index of last good copies"),
            )
            .unwrap_or_default()
    }

    /// Returns the index entry of that name.
    pub fn entry(&self, name: &str) -> Option<Entry> {
        self.entries().remove(name)
    }

    /// Returns the digest of the name's last good copy.
    pub fn digest(&self, name: &str) -> Option<String> {
        self.entry(name)?.digest
    }

    /// Returns the path of the copy of that digest if it is intact.
    pub fn copy(&self, name: &str, wanted: &str) -> Option<PathBuf> {
        let path = self.path().join(file_name(wanted));
        if file::digest(&path, u64::MAX).ok()? != wanted {
            tracing::warn!(name, "the last good copy of a policy is damaged");
            return None;
        }
        Some(path)
    }

    /// Stores a copy as the last good one of a name, with the digests of the versions
    /// before it. What was rolled back meanwhile stays refused.
    pub fn keep(&self, name: &str, digest: &str, bytes: &[u8], previous: &[String]) {
        self.report(
            name,
            self.update(|directory, index| {
                let entry = index.entry(name.to_owned()).or_default();
                let refused = entry.refused.as_ref();
                if refused.is_some_and(|refused| refused.digest == digest) {
                    return Ok(());
                }
                directory.write(&file_name(digest), &[bytes])?;
                if entry.digest.as_deref() != Some(digest) {
                    *entry = Entry {
                        digest: Some(digest.to_owned()),
                        previous: previous.to_vec(),
                        ..Entry::default()
                    };
                }
                Ok(())
            }),
        );
    }

    /// Changes the entry of a name.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        self.report(name, self.try_change(name, change));
    }

    /// Changes the entry of a name, and returns the closure's result.
    pub fn try_change<T>(&self, name: &str, change: impl FnOnce(&mut Entry) -> T) -> io::Result<T> {
        self.update(|_, index| {
            let mut entry = index.remove(name).unwrap_or_default();
            let changed = change(&mut entry);
            if entry != Entry::default() {
                index.insert(name.to_owned(), entry);
            }
            Ok(changed)
        })
    }

    /// Removes the entry of a name.
    pub fn forget(&self, name: &str) {
        self.report(
            name,
            self.update(|_, index| {
                index.remove(name);
                Ok(())
            }),
        );
    }

    fn report(&self, name: &str, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(name, %error, "cannot note the last good copy of a policy");
        }
    }

    fn update<T>(
        &self,
        change: impl FnOnce(&PrivateDirectory, &mut Index) -> io::Result<T>,
    ) -> io::Result<T> {
        // Held to the end of the function.
        let _lock = self.directory.lock(LOCK)?;
        let mut index = read_index(&self.directory)?;
        let changed = change(&self.directory, &mut index)?;
        self.directory
            .write(INDEX, &[&serde_json::to_vec(&index)?])?;
        let kept = index
            .values()
            .flat_map(|entry| entry.digest.iter().chain(&entry.previous));
        let kept: BTreeSet<String> = kept.map(|digest| file_name(digest)).collect();
        let files = self.directory.newest_first(EXTENSION)?;
        files
            .iter()
            .filter(|(file, _)| !kept.contains(file))
            .for_each(|(file, _)| self.directory.remove(file));
        Ok(changed)
    }
}

/// Reads the index. Returns an empty one if it is damaged.
fn read_index(directory: &PrivateDirectory) -> io::Result<Index> {
    let Some(bytes) = directory.read(INDEX)? else {
        return Ok(Index::new());
    };
    let parsed = serde_json::from_slice(&bytes);
    Ok(parsed
        .inspect_err(|error| {
            tracing::warn!(%error, "the index of last good copies is damaged, so it starts empty");
        })
        .unwrap_or_default())
}

fn file_name(digest: &str) -> String {
    format!(
        "{}.{EXTENSION}",
        digest.strip_prefix("sha256:").unwrap_or(digest)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::LastGood;
    use crate::digest::digest;

    #[test]
    fn processes_that_share_the_directory_keep_each_others_copies() {
        let directory = tempfile::tempdir().unwrap();
        let processes: Vec<_> = (0..4)
            .map(|_| LastGood::open(directory.path()).unwrap())
            .collect();
        std::thread::scope(|scope| {
            for (number, process) in processes.iter().enumerate() {
                scope.spawn(move || {
                    for round in 0..25 {
                        let bytes = format!("{number} {round}").into_bytes();
                        process.keep(&format!("policy-{number}"), &digest(&bytes), &bytes, &[]);
                    }
                });
            }
        });
        let any = &processes[0];
        let get = |name: &str| std::fs::read(any.copy(name, &any.digest(name)?)?).ok();
        let names = ["policy-0", "policy-1", "policy-2", "policy-3"];
        assert_eq!(any.names(), names);
        for (number, name) in names.iter().enumerate() {
            assert_eq!(get(name), Some(format!("{number} 24").into_bytes()));
        }
        any.forget("policy-2");
        assert_eq!(processes[3].digest("policy-2"), None);
        let copies = std::fs::read_dir(directory.path()).unwrap();
        let copies = copies.filter(|file| {
            let path = file.as_ref().unwrap().path();
            path.extension().is_some_and(|ending| ending == "wasm")
        });
        assert_eq!(copies.count(), 3, "of the others there is none any more");
    }
}
