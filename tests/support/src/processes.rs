//! Processes of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Returns the command lines of the processes that contain `path`, by process id. A NUL
/// ends each argument, as in proc_pid_cmdline(5).
///
/// # Panics
/// If `/proc` can't be listed, or `path` is not UTF-8.
#[must_use]
#[allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]
pub fn processes_that_name(path: &Path) -> BTreeMap<String, String> {
    let path = path.to_str().unwrap();
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = entries.filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let id = entry.file_name().into_string().ok()?;
        Some((id, String::from_utf8_lossy(&line).into_owned()))
    });
    lines.filter(|(_, line)| line.contains(path)).collect()
}
