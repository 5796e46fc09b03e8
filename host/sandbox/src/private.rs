//! Private directories, which only this user can read and write. Their files are replaced
//! atomically. What others may have written is removed when a directory is opened.

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
}

impl PrivateDirectory {
    /// Opens the directory; creates it or makes it private if necessary. If others could
    /// write to it, its content may be theirs, and is removed.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        prepare(path).map_err(|error| EngineError::PrivateDirectory {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Returns names and sizes of the files with that extension, the ones written last
    /// first.
    pub fn newest_first(&self, extension: &str) -> io::Result<Vec<(String, u64)>> {
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
                let metadata = entry.metadata()?;
                files.push((metadata.modified()?, name, metadata.len()));
            }
        }
        files.sort();
        let files = files.into_iter().rev();
        Ok(files.map(|(_, name, bytes)| (name, bytes)).collect())
    }
}

/// Mode of a private directory.
const PRIVATE: u32 = 0o700;

/// Mode of a directory that is private and not emptied yet: the sticky bit has no effect
/// on a private directory. The mark outlasts a process that is killed meanwhile.
const NOT_EMPTIED: u32 = 0o1700;

/// Creates the directory if necessary, makes it private, and empties it if others could
/// write to it.
fn prepare(path: &Path) -> io::Result<()> {
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
    if metadata.mode() & (0o022 | NOT_EMPTIED ^ PRIVATE) != 0 {
        tracing::warn!(
            directory = %path.display(),
            "others could write to this private directory: its content is removed"
        );
        // First, so that nothing is added meanwhile.
        fs::set_permissions(path, Permissions::from_mode(NOT_EMPTIED))?;
        empty(path)?;
    }
    if metadata.mode() & 0o7077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(PRIVATE))?;
    }
    Ok(())
}

/// Removes all content of a directory. Links are removed, not followed.
fn empty(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::Path;

    use super::PrivateDirectory;

    fn names(path: &Path) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(path)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    #[test]
    fn what_others_may_have_written_is_removed() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let outside = folder.path().join("outside");
        fs::create_dir(&outside)?;
        fs::write(outside.join("file"), "kept")?;
        let path = folder.path().join("state");
        // The last one: a process was killed before it had emptied the directory.
        for (mode, remains) in [
            (0o700, true),
            (0o750, true),
            (0o755, true),
            (0o770, false),
            (0o703, false),
            (0o1777, false),
            (0o1700, false),
        ] {
            fs::create_dir(&path)?;
            fs::write(path.join("file"), "theirs")?;
            fs::create_dir(path.join("folder"))?;
            fs::write(path.join("folder/file"), "theirs")?;
            symlink(&outside, path.join("link"))?;
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            let directory = PrivateDirectory::open(&path)?;
            assert_eq!(directory.path().metadata()?.mode() & 0o7777, 0o700);
            assert_eq!(directory.read("file")?.is_some(), remains, "{mode:o}");
            assert_eq!(names(&path)?.is_empty(), !remains, "{mode:o}");
            assert_eq!(names(&outside)?, ["file"]);
            fs::remove_dir_all(&path)?;
        }
        Ok(())
    }
}
