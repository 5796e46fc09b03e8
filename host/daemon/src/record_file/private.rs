//! Files that only their owner can read: records show what tenants configure and measure.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Mode of a new file.
pub(super) const MODE: u32 = 0o600;

/// Makes an open file readable only by its owner, which it is not if an earlier version created
/// it. A file of another owner or a disk without permissions must not keep a cluster from
/// scaling: the log has a warning then.
pub(super) fn make_private(path: &Path, file: &File) {
    warn(path, restrict(file));
}

/// Makes a file that is not open readable only by its owner. Does nothing if there is none.
pub(super) fn make_private_at(path: &Path) {
    // Opening a pipe would wait.
    if path.is_file() {
        let restricted = File::open(path).and_then(|file| restrict(&file));
        warn(path, restricted);
    }
}

/// Pipes and devices stay as they are.
fn restrict(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(MODE))
}

fn warn(path: &Path, restricted: io::Result<()>) {
    if let Err(error) = restricted {
        let file = path.display();
        tracing::warn!(%file, %error, "others may be able to read the file of records");
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use crate::record_file::{RecordFile, Rotation};

    /// An earlier version created them for everybody to read.
    #[test]
    fn existing_files_become_private() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let files = ["records.jsonl", "records.jsonl.1"].map(|name| folder.path().join(name));
        let make_public = || {
            files.iter().try_for_each(|file| {
                fs::write(file, "")?;
                fs::set_permissions(file, Permissions::from_mode(0o644))
            })
        };
        let modes = || {
            let modes = files.iter().map(|file| {
                let mode = fs::metadata(file)?.permissions().mode();
                anyhow::Ok(mode & 0o777)
            });
            modes.collect::<anyhow::Result<Vec<_>>>()
        };
        let rotation = Rotation {
            max_bytes: 1 << 20,
            max_files: 2,
        };
        make_public()?;
        RecordFile::append_to(&files[0], rotation)?.close()?;
        assert_eq!(modes()?, [0o600, 0o600]);
        // Only the daemon has older files.
        make_public()?;
        RecordFile::create(&files[0])?.close()?;
        assert_eq!(modes()?, [0o600, 0o644]);
        Ok(())
    }
}
