//! Lists the policies directory. A policy's name is the stem of its file; directories,
//! files that begin with a dot, and files without the extension `.wasm` are ignored.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Returns the files by policy name. Names that differ only in case are one name: on some
/// file systems they would be one file.
pub(super) fn list(directory: &Path) -> io::Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut names: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // Follows links: all files of a mounted ConfigMap are links.
        if let Some(stem) = stem(&path)
            && !path.is_dir()
        {
            names.entry(stem.to_lowercase()).or_default().push(path);
        }
    }
    names.values_mut().for_each(|paths| paths.sort());
    Ok(names)
}

/// Returns the stem of a policy's file as it is spelled. Returns `None` if it is not a
/// policy's file.
pub(super) fn stem(path: &Path) -> Option<String> {
    let extension = path.extension()?;
    let stem = path.file_stem()?.to_string_lossy();
    (extension.eq_ignore_ascii_case("wasm") && !stem.starts_with('.')).then(|| stem.into_owned())
}
