//! The policies directory: which files give which names. A policy's name is the
//! stem of its file; files that begin with a dot, directories, and whatever does
//! not end in `.wasm` are none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::error::LoadError;

/// Files by the name they claim. Names that differ in case alone are one name:
/// on some file systems they would be one file.
pub(super) fn list(directory: &Path) -> io::Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut names: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // Follows links: a mounted ConfigMap has nothing else.
        if let Some(stem) = stem(&path)
            && !path.is_dir()
        {
            names.entry(stem.to_lowercase()).or_default().push(path);
        }
    }
    names.values_mut().for_each(|paths| paths.sort());
    Ok(names)
}

/// The name that a file claims, as it is written; none: not a policy.
pub(super) fn stem(path: &Path) -> Option<String> {
    let extension = path.extension()?;
    let stem = path.file_stem()?.to_string_lossy();
    (extension.eq_ignore_ascii_case("wasm") && !stem.starts_with('.')).then(|| stem.into_owned())
}

/// Reads a file whole, once, and not more of it than is allowed.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, LoadError> {
    let read = || -> io::Result<(Vec<u8>, u64)> {
        // Opening a pipe would wait until somebody writes to it.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut bytes = Vec::new();
        if size <= limit {
            file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        }
        let size = size.max(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok((bytes, size))
    };
    match read() {
        Ok((_, size)) if size > limit => Err(LoadError::TooLarge { size, limit }),
        Ok((bytes, _)) => Ok(bytes),
        Err(error) => Err(LoadError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        }),
    }
}
