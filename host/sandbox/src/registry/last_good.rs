//! What outlives a restart: copies of the files that were good last, by content,
//! so that a file which goes bad while the daemon is down does not leave its name
//! without a policy, nor does one that breaks a configuration in use take over
//! before objects are known again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::digest::digest;
use crate::error::EngineError;
use crate::private::PrivateDirectory;

const INDEX: &str = "last-good.json";
const LOCK: &str = "last-good.lock";
const EXTENSION: &str = "wasm";

/// A private directory of copies and an index: name to digest. Several processes
/// may share it: the index is read anew for each use, and changed under a lock.
pub(super) struct LastGood {
    directory: PrivateDirectory,
}

/// Name to digest.
type Index = BTreeMap<String, String>;

impl LastGood {
    /// Opens the directory.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let directory = PrivateDirectory::open(path)?;
        Ok(Self { directory })
    }

    /// Names that have a copy.
    pub fn names(&self) -> Vec<String> {
        self.index().into_keys().collect()
    }

    /// The digest of that name's last good copy.
    pub fn digest(&self, name: &str) -> Option<String> {
        self.index().remove(name)
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
        self.update(name, |index| {
            self.directory.write(&file_name(digest), &[bytes])?;
            index.insert(name.to_owned(), digest.to_owned());
            Ok(())
        });
    }

    /// Forgets a name.
    pub fn forget(&self, name: &str) {
        self.update(name, |index| {
            index.remove(name);
            Ok(())
        });
    }

    fn update(&self, name: &str, change: impl FnOnce(&mut Index) -> io::Result<()>) {
        if let Err(error) = self.try_update(change) {
            tracing::warn!(name, %error, "cannot note the last good copy of a policy");
        }
    }

    fn try_update(&self, change: impl FnOnce(&mut Index) -> io::Result<()>) -> io::Result<()> {
        // Held until it is dropped.
        let _lock = self.directory.lock(LOCK)?;
        let mut index = read_index(&self.directory)?;
        change(&mut index)?;
        self.directory
            .write(INDEX, &[&serde_json::to_vec(&index)?])?;
        let kept: Vec<String> = index.values().map(|digest| file_name(digest)).collect();
        let files = self.directory.newest_first(EXTENSION)?;
        files
            .iter()
            .filter(|file| !kept.contains(file))
            .for_each(|file| self.directory.remove(file));
        Ok(())
    }

    fn index(&self) -> Index {
        let index = read_index(&self.directory);
        index
            .inspect_err(
                |error| tracing::warn!(%error, "cannot read the index of last good copies"),
            )
            .unwrap_or_default()
    }
}

/// What the index says; nothing if it is damaged.
fn read_index(directory: &PrivateDirectory) -> io::Result<Index> {
    let Some(bytes) = directory.read(INDEX)? else {
        return Ok(Index::new());
    };
    let parsed = serde_json::from_slice(&bytes);
    Ok(parsed
        .inspect_err(|error| {
            tracing::warn!(%error, "the index of last good copies is damaged, starting anew");
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
                        process.keep(&format!("policy-{number}"), &digest(&bytes), &bytes);
                    }
                });
            }
        });
        let any = &processes[0];
        let names = ["policy-0", "policy-1", "policy-2", "policy-3"];
        assert_eq!(any.names(), names);
        for (number, name) in names.iter().enumerate() {
            assert_eq!(any.get(name), Some(format!("{number} 24").into_bytes()));
        }
        any.forget("policy-2");
        assert_eq!(processes[3].get("policy-2"), None);
        let copies = std::fs::read_dir(directory.path()).unwrap();
        let copies = copies.filter(|file| {
            let path = file.as_ref().unwrap().path();
            path.extension().is_some_and(|ending| ending == "wasm")
        });
        assert_eq!(copies.count(), 3, "of the others there is none any more");
    }
}
