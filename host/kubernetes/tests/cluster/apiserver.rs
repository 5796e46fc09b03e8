//! Stops the API server of a cluster, and starts it again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flyball_test_support::{Cluster, wait_for};

/// A stopped API server: its command line and directory.
pub struct Stopped {
    directory: PathBuf,
    command: Vec<String>,
}

/// A running API server, which is killed when the value is dropped.
pub struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn stop(cluster: &Cluster) -> Stopped {
    let kubeconfig = cluster.kubeconfig();
    let process = find(kubeconfig.parent().unwrap());
    let command = std::fs::read_to_string(process.join("cmdline")).unwrap();
    let command = command.split_terminator('\0').map(str::to_owned).collect();
    let directory = std::fs::read_link(process.join("cwd")).unwrap();
    let pid = process.file_name().unwrap();
    assert!(
        Command::new("kill")
            .arg("-KILL")
            .arg(pid)
            .status()
            .unwrap()
            .success()
    );
    wait_for("the API server to end", Duration::from_secs(60), || {
        let state = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
        Ok((state.is_empty() || state.contains(") Z ")).then_some(()))
    })
    .unwrap();
    Stopped { directory, command }
}

impl Stopped {
    pub fn start(self) -> Started {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).current_dir(self.directory);
        Started(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }
}

fn find(directory: &Path) -> PathBuf {
    let directory = directory.to_str().unwrap();
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let is_it = |path: &PathBuf| {
        let line = std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        let program = line.split('\0').next().unwrap_or_default();
        program.ends_with("kube-apiserver") && line.contains(directory)
    };
    processes.into_iter().find(is_it).unwrap()
}
