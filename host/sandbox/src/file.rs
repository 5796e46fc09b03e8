//! Reads policy files, whole and up to a maximum size.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use flyball_tasks::beat;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::digest::hex_digest;
use crate::error::LoadError;

/// Opens a regular file.
pub(crate) fn open(path: &Path) -> Result<File, LoadError> {
    // Opening a pipe would otherwise block until somebody writes to it.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let open = || {
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(flags).open(path)?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("it is no regular file")),
        }
    };
    open().map_err(|error| unreadable(path, &error))
}

/// Returns the content of a file.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    let mut bytes = Vec::new();
    pass(path, limit, |part| bytes.extend_from_slice(part))?;
    Ok(bytes)
}

/// Returns the digest of a file's content without keeping the content.
pub(crate) fn digest(path: &Path, limit: u64) -> Result<String, LoadError> {
    let mut hash = Sha256::new();
    pass(path, limit, |part| hash.update(part))?;
    Ok(hex_digest(&hash.finalize()))
}

/// Reports whether nothing has this path any more. A link to a missing file still has it.
pub(crate) fn is_removed(path: &Path) -> bool {
    let found = path.symlink_metadata();
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Passes a file's content to `take`, part by part.
fn pass(path: &Path, limit: u64, mut take: impl FnMut(&[u8])) -> Result<(), LoadError> {
    let file = open(path)?;
    let size = file.metadata().map_err(|error| unreadable(path, &error))?;
    let mut size = size.len();
    if size <= limit {
        // The file may grow while it is read.
        let mut file = file.take(limit.saturating_add(1));
        let mut part = vec![0; 64 << 10];
        size = 0;
        loop {
            match file.read(&mut part) {
                Ok(0) => break,
                Ok(read) => {
                    beat();
                    size += u64::try_from(read).unwrap_or(u64::MAX);
                    take(&part[..read]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(path, &error)),
            }
        }
    }
    if size > limit {
        return Err(LoadError::TooLarge { size, limit });
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> LoadError {
    LoadError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
