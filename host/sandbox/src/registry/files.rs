//! The policies directory: which files give which names. A policy's name is the
//! stem of its file; files that begin with a dot, directories, and whatever does
//! not end in `.wasm` are none.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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

/// The name that a file claims, as it is written. Returns `None` if it is no policy.
pub(super) fn stem(path: &Path) -> Option<String> {
    let extension = path.extension()?;
    let stem = path.file_stem()?.to_string_lossy();
    (extension.eq_ignore_ascii_case("wasm") && !stem.starts_with('.')).then(|| stem.into_owned())
}
