//! Memory budget of compiling children.

use std::fs;

use crate::compile::DEFAULT_COMPILE_MEMORY;

/// Minimum budget: less compiles no policy. If even that is not available, the kernel
/// kills a child and not this process.
const LEAST: u64 = 32 << 20;

/// Returns the private memory of all children together, in bytes: the configured amount,
/// else [`DEFAULT_COMPILE_MEMORY`] or what this process leaves of its cgroup's limit.
pub(super) fn budget(asked: Option<u64>) -> u64 {
    asked.unwrap_or_else(|| left(cgroup_limit(), own()))
}

/// Returns what a limit leaves besides this process's own memory, in bytes: at most
/// [`DEFAULT_COMPILE_MEMORY`], which also applies without a limit.
fn left(limit: Option<u64>, own: u64) -> u64 {
    limit.map_or(DEFAULT_COMPILE_MEMORY, |limit| {
        let left = limit.saturating_sub(own);
        left.clamp(LEAST, DEFAULT_COMPILE_MEMORY)
    })
}

/// Returns the private memory of this process, in bytes.
fn own() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "RssAnon:").unwrap_or(0)
}

/// Returns a field of `/proc/PID/status` that is counted in kB, in bytes.
pub(super) fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Returns the lowest memory limit of this process's cgroup and its ancestors, in bytes.
/// Returns `None` if there is no limit.
fn cgroup_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    files(&groups)
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok())
        // Version 1 reports a huge number where there is no limit.
        .filter(|limit| *limit < 1 << 60)
        .min()
}

/// Returns the files that may hold a limit, for a process with these cgroups. In a
/// container, the root of the mount is its own cgroup.
fn files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            files.push(format!("{root}{path}/{file}"));
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => break,
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

    use super::{DEFAULT_COMPILE_MEMORY, LEAST, budget, field, files, left};

    #[test]
    fn limits_are_looked_for_in_all_cgroups_above() {
        assert_eq!(
            files("4:memory:/pods/a\n1:cpu:/pods/b\n0::/\n"),
            [
                "/sys/fs/cgroup/memory/pods/a/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/pods/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert!(files("nonsense").is_empty());
    }

    #[test]
    fn the_budget_is_what_was_asked_for_or_what_the_limit_leaves() {
        assert_eq!(budget(Some(7)), 7);
        assert!(budget(None) <= DEFAULT_COMPILE_MEMORY);
        const MIB: u64 = 1 << 20;
        assert_eq!(left(None, 900 * MIB), DEFAULT_COMPILE_MEMORY);
        assert_eq!(left(Some(300 * MIB), 100 * MIB), 200 * MIB);
        assert_eq!(left(Some(4096 * MIB), 100 * MIB), DEFAULT_COMPILE_MEMORY);
        assert_eq!(left(Some(110 * MIB), 100 * MIB), LEAST);
        assert_eq!(left(Some(100 * MIB), 200 * MIB), LEAST);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        assert!(field(&status, "VmData:").unwrap() > 1 << 20);
    }
}
