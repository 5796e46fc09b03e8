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
/// Maximum size of all copies, in bytes.
const BYTES: u64 = 128 << 20;

/// A private directory of copies and an index by name. Several processes may share it:
/// the index is read again for each use, and changed under a lock.
pub(super) struct LastGood {
    directory: PrivateDirectory,
    /// Maximum size of all copies, in bytes.
    bytes: u64,
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
        Ok(Self {
            directory,
            bytes: BYTES,
        })
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
    /// before it. What was rolled back meanwhile stays refused. If the copies take too much,
    /// the oldest that are not the last good ones of a name are removed. If the others take
    /// too much by themselves, the copy is not stored.
    pub fn keep(&self, name: &str, digest: &str, bytes: &[u8], previous: &[String]) {
        self.report(
            name,
            self.update(|directory, index| {
                let entry = index.entry(name.to_owned()).or_default();
                let refused = entry.refused.as_ref();
                if refused.is_some_and(|refused| refused.digest == digest) {
                    return Ok(());
                }
                if entry.digest.as_deref() != Some(digest) {
                    *entry = Entry {
                        digest: Some(digest.to_owned()),
                        previous: previous.to_vec(),
                        ..Entry::default()
                    };
                }
                let file = file_name(digest);
                let mut files = directory.newest_first(EXTENSION)?;
                files.retain(|(other, _)| *other != file);
                files.insert(0, (file, u64::try_from(bytes.len()).unwrap_or(u64::MAX)));
                make_room(index, &files, self.bytes)?;
                directory.write(&file_name(digest), &[bytes])
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
        let kept = copies(&index, true);
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

/// Returns the files of the last good copies, and of the versions before them if asked.
fn copies(index: &Index, with_previous: bool) -> BTreeSet<String> {
    let digests = index.values().flat_map(move |entry| {
        let previous = entry.previous.iter().filter(move |_| with_previous);
        entry.digest.iter().chain(previous)
    });
    digests.map(|digest| file_name(digest)).collect()
}

/// Removes earlier versions from the index, the oldest first, until the copies have at most
/// `limit` bytes. `files` has names and sizes of the copies, the latest first.
///
/// # Errors
/// If the last good copies alone have more.
fn make_room(index: &mut Index, files: &[(String, u64)], limit: u64) -> io::Result<()> {
    let total = |copies: &BTreeSet<String>| {
        let sizes = files.iter().filter(|(file, _)| copies.contains(file));
        sizes.fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes))
    };
    let (last_good, all) = (copies(index, false), copies(index, true));
    let least = total(&last_good);
    if least > limit {
        return Err(io::Error::other(format!(
            "the last good versions of all policies would have {least} bytes, and may have {limit}"
        )));
    }
    let mut left = total(&all);
    for (file, bytes) in files.iter().rev() {
        if left <= limit {
            break;
        }
        if last_good.contains(file) || !all.contains(file) {
            continue;
        }
        left -= bytes;
        for (name, entry) in index.iter_mut() {
            let is_it = |digest: &String| file_name(digest) == *file;
            if entry.previous.iter().any(is_it) {
                entry.previous.retain(|digest| !is_it(digest));
                tracing::warn!(
                    name,
                    file,
                    "the copy of an earlier version of a policy is removed: all copies may \
                     have {limit} bytes"
                );
            }
        }
    }
    Ok(())
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

    use std::fs::{self, File, FileTimes};
    use std::time::{Duration, SystemTime};

    use super::{EXTENSION, LastGood, file_name};
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

    #[test]
    fn the_oldest_versions_before_make_room_and_no_last_good_one_does() {
        let directory = tempfile::tempdir().unwrap();
        // Of three copies.
        let last_good = LastGood {
            bytes: 1_000,
            ..LastGood::open(directory.path()).unwrap()
        };
        let content = |number: u8| vec![number; 300];
        let version = |number: u8| digest(&content(number));
        let keep = |name: &str, number: u8, before: &[u8]| {
            let before: Vec<String> = before.iter().map(|before| version(*before)).collect();
            last_good.keep(name, &version(number), &content(number), &before);
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(number.into());
            let path = directory.path().join(file_name(&version(number)));
            if let Ok(file) = File::options().append(true).open(path) {
                let times = FileTimes::new().set_modified(written);
                file.set_times(times).unwrap();
            }
            let files = last_good.directory.newest_first(EXTENSION).unwrap();
            assert!(files.iter().map(|(_, bytes)| bytes).sum::<u64>() <= 1_000);
            let kept = (0..9).filter(|number| {
                let copy = last_good.copy(name, &version(*number));
                copy.is_some_and(|path| fs::read(path).unwrap() == content(*number))
            });
            kept.collect::<Vec<u8>>()
        };
        assert_eq!(keep("web", 1, &[]), [1]);
        assert_eq!(keep("api", 2, &[]), [1, 2]);
        assert_eq!(keep("web", 3, &[1]), [1, 2, 3]);
        assert_eq!(keep("api", 4, &[2]), [2, 3, 4], "the oldest has gone");
        let previous = |name: &str| last_good.entry(name).unwrap().previous;
        assert!(previous("web").is_empty());
        assert_eq!(previous("api"), [version(2)]);
        assert_eq!(keep("new", 5, &[]), [3, 4, 5]);
        assert_eq!(keep("more", 6, &[]), [3, 4, 5], "no version before is left");
        assert_eq!(last_good.entry("more"), None);
        assert_eq!(keep("web", 7, &[3]), [4, 5, 7]);
        assert_eq!(last_good.digest("web"), Some(version(7)));
    }
}
