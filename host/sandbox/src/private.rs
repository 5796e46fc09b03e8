//! A directory that only this user can read and write, and files in it that are
//! replaced whole.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::EngineError;

/// A directory with mode 0700 that belongs to this user.
#[derive(Debug)]
pub(crate) struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    /// Makes the directory, or makes it private again.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let directory = Self(path.to_owned());
        directory
            .prepare()
            .map_err(|error| EngineError::PrivateDirectory {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
        Ok(directory)
    }

    fn prepare(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        // A file of ours tells who we are.
        let ours = tempfile::NamedTempFile::new_in(&self.0)?
            .as_file()
            .metadata()?
            .uid();
        let metadata = fs::symlink_metadata(&self.0)?;
        if !metadata.is_dir() || metadata.uid() != ours {
            return Err(io::Error::other("it is not a directory of this user"));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(&self.0, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    /// Whole content of a file, if it is there.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces a file (mode 0600) in one step. It is not forced to the disk: after
    /// a power failure it may be damaged, which every reader checks for anyway.
    pub fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.0)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.persist(self.0.join(name))?;
        Ok(())
    }

    /// Removes a file if it is there.
    pub fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.0.join(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, name, "cannot remove a file of the private directory");
        }
    }

    /// Names of the files with that extension, the ones written last first.
    pub fn newest_first(&self, extension: &str) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if Path::new(&name)
                .extension()
                .is_some_and(|one| one == extension)
            {
                files.push((entry.metadata()?.modified()?, name));
            }
        }
        files.sort();
        Ok(files.into_iter().rev().map(|(_, name)| name).collect())
    }
}
