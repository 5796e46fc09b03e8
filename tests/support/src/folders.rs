//! Folders of tests.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;

/// Returns an empty folder of that name, which is deleted with the value. Its path is the same
/// in each run, so that cargo replaces what it compiled of it in an earlier one. No two tests
/// may use one name.
///
/// # Errors
/// If the folder cannot be created.
pub fn empty_folder(parent: &Path, name: &str) -> anyhow::Result<TempDir> {
    // It is there if an earlier run was killed.
    let _ = fs::remove_dir_all(parent.join(name));
    let mut folder = tempfile::Builder::new();
    folder.prefix(name).rand_bytes(0);
    folder
        .tempdir_in(parent)
        .with_context(|| format!("cannot create {}", parent.join(name).display()))
}
