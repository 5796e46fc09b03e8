//! Private directories, which only this user can read and write. Their files are replaced
//! atomically.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use crate::error::EngineError;

/// A directory with mode 0700 that belongs to this user.
#[derive(Debug)]
pub(crate) struct PrivateDirectory {
    path: PathBuf,
    was_exposed: bool,
}

impl PrivateDirectory {
    /// Opens the directory; creates it or makes it private if necessary.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let mode = prepare(path).map_err(|error| EngineError::PrivateDirectory {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            was_exposed: mode & 0o022 != 0,
        })
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reports whether others could write to it before it was opened, so that its content
    /// may be theirs.
    pub fn was_exposed(&self) -> bool {
        self.was_exposed
    }

    /// Returns the whole content of a file, or `None` if it does not exist.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Acquires that lock file, waiting for other processes, and holds it until the value
    /// is dropped.
    pub fn lock(&self, name: &str) -> io::Result<File> {
        let mut options = File::options();
        let options = options.create(true).append(true).mode(0o600);
        let file = options.open(self.path.join(name))?;
        file.lock()?;
        Ok(file)
    }

    /// Replaces a file (mode 0600) atomically. It is not synced to disk: after a power
    /// failure it may be damaged, which every reader checks for anyway.
    pub fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.persist(self.path.join(name))?;
        Ok(())
    }

    /// Removes a file if it exists.
    pub fn remove(&self, name: &str) {
        if let Err(error) = fs::remove_file(self.path.join(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, name, "cannot remove a file of the private directory");
        }
    }

    /// Returns the names of the files with that extension, the ones written last first.
    pub fn newest_first(&self, extension: &str) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
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

/// Creates the directory if necessary, makes it private, and returns the mode that it
/// had.
fn prepare(path: &Path) -> io::Result<u32> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // The owner of a new file is this user.
    let ours = tempfile::NamedTempFile::new_in(path)?
        .as_file()
        .metadata()?
        .uid();
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() || metadata.uid() != ours {
        return Err(io::Error::other("it is not a directory of this user"));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(metadata.mode())
}
