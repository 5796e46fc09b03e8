//! A real control plane for tests, managed by kwokctl.

mod configuration;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use self::configuration::configuration;
use crate::binaries::{Binaries, cache_root};
use crate::wait::wait_for;

/// Maximum time that a component takes to end after it was killed.
const END_TIMEOUT: Duration = Duration::from_secs(60);

/// How often components that end at once are started again.
const MAX_STARTS: u32 = 3;

/// Options of a [`Cluster`].
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// Runs the horizontal pod autoscaler of kube-controller-manager. Off by
    /// default: it would compete with ours.
    pub horizontal_pod_autoscaler: bool,
    /// Lifts the limits on the rate of requests that kube-controller-manager and
    /// kube-scheduler set themselves, and lets kwok work on more pods at a time, so that
    /// thousands of pods come and go in a minute.
    pub fast_controllers: bool,
}

/// A real control plane on 127.0.0.1: etcd, kube-apiserver, kube-scheduler,
/// kube-controller-manager, kwok in place of the kubelets, metrics-server.
///
/// It starts without nodes and ends when the value is dropped, even if the test panics,
/// is interrupted or is killed. It has ports of its own, so several can run side by side.
///
/// Nodes and pods with the annotation `kwok.x-k8s.io/status: custom` have no kubelet:
/// only the test changes them.
///
/// metrics-server reports the values of a pod's annotations `kwok.x-k8s.io/usage-cpu` and
/// `kwok.x-k8s.io/usage-memory` from its second scrape on: about a minute after the pod
/// starts.
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    name: String,
    /// Removed by the keeper.
    dir: PathBuf,
    keeper: Child,
}

impl Cluster {
    /// Starts a cluster and waits until it serves. Takes some seconds.
    ///
    /// # Errors
    /// If the binaries are missing (`cargo xtask setup cluster` builds them) or a
    /// component does not start; the message contains the ends of all logs.
    pub fn start(options: ClusterOptions) -> anyhow::Result<Self> {
        let binaries = Binaries::find()?;
        let dir = tempfile::Builder::new()
            .prefix("flyball-cluster-")
            .tempdir()
            .context("cannot create a folder for the cluster")?;
        let name = unique_name();
        let keeper = spawn_keeper(&binaries, &name, dir.path(), &options)?;
        let mut cluster = Self {
            binaries,
            name,
            dir: dir.keep(),
            keeper,
        };
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    /// Returns the kubeconfig file of an administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Runs kubectl and returns what it prints.
    ///
    /// # Errors
    /// If kubectl fails; the message contains its standard error.
    pub fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        self.kubectl_with_input(args, "")
    }

    /// Applies a YAML (or JSON) manifest of one or more objects.
    ///
    /// # Errors
    /// If kubectl fails; the message contains its standard error.
    pub fn apply(&self, manifest: &str) -> anyhow::Result<()> {
        self.kubectl_with_input(&["apply", "-f", "-"], manifest)?;
        Ok(())
    }

    /// Creates a node of 32 CPUs that metrics-server can scrape, and waits
    /// until it is Ready.
    ///
    /// # Errors
    /// If kubectl fails, or the node is not Ready within a minute.
    pub fn create_node(&self, name: &str) -> anyhow::Result<()> {
        self.kubectl_with_input(&["create", "-f", "-"], &node(name).to_string())?;
        let object = format!("node/{name}");
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", &object])?;
        Ok(())
    }

    /// Sets the CPU usage that each of the selected running pods reports from
    /// the next scrape on. Pods created later take the annotation from their
    /// template.
    ///
    /// # Errors
    /// If kubectl fails, or the label `selector` matches no pod.
    pub fn set_pod_cpu(
        &self,
        namespace: &str,
        selector: &str,
        millicores: u32,
    ) -> anyhow::Result<()> {
        let usage = format!("kwok.x-k8s.io/usage-cpu={millicores}m");
        let changed = self.kubectl(&[
            "annotate",
            "pods",
            "--namespace",
            namespace,
            "--selector",
            selector,
            "--overwrite",
            &usage,
        ])?;
        ensure!(
            !changed.is_empty(),
            "no pod in {namespace} matches {selector}"
        );
        Ok(())
    }

    /// Kills the API server, like a loss of power, until [`Cluster::start_apiserver`].
    ///
    /// # Errors
    /// If it is not running.
    pub fn kill_apiserver(&self) -> anyhow::Result<()> {
        let file = self.component_file("pids/kube-apiserver.pid");
        let pid = fs::read_to_string(&file)
            .with_context(|| format!("the API server does not run: no {}", file.display()))?;
        let killed = Command::new("kill").args(["-KILL", pid.trim()]).status();
        ensure!(
            killed.context("cannot run kill")?.success(),
            "the API server does not run: no process {pid}"
        );
        wait_for("the API server to end", END_TIMEOUT, || {
            Ok(has_ended(pid.trim()).then_some(()))
        })?;
        self.forget_process("kube-apiserver")
    }

    /// Starts the API server again, at the same address, and what ended without it.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_apiserver(&self) -> anyhow::Result<()> {
        self.start_components()
            .and_then(|()| self.start_ended_components())
            .context("the API server did not start")
    }

    /// Starts the components that do not run, and waits until the cluster serves.
    fn start_components(&self) -> anyhow::Result<()> {
        for component in self.ended_components() {
            self.forget_process(&component)?;
        }
        let log = File::create(self.dir.join("kwokctl-start.log"))
            .context("cannot create kwokctl's log")?;
        let started = Command::new(self.binaries.path("kwokctl"))
            .args(["start", "cluster", "--wait", "60s", "--name", &self.name])
            .env("KWOK_WORKDIR", &self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share kwokctl's log")?)
            .stderr(log)
            .status();
        ensure!(
            started.context("cannot run kwokctl")?.success(),
            "kwokctl failed\n{}",
            ends_of_logs(&self.dir)
        );
        Ok(())
    }

    /// Returns certificate and private key (PEM files) for a server of a test. The API
    /// server must not verify them.
    #[must_use]
    pub fn serving_certificate(&self) -> (PathBuf, PathBuf) {
        let file = |name| self.component_file("pki").join(name);
        (file("admin.crt"), file("admin.key"))
    }

    fn component_file(&self, path: &str) -> PathBuf {
        self.dir.join("clusters").join(&self.name).join(path)
    }

    fn kubectl_with_input(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new(self.binaries.path("kubectl"))
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .arg("--cache-dir")
            .arg(self.dir.join("kubectl-cache"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run kubectl")?;
        // If kubectl ends before it has read all, its exit code says why.
        let _ = child
            .stdin
            .take()
            .map(|mut s| s.write_all(input.as_bytes()));
        let output = child.wait_with_output().context("cannot run kubectl")?;
        ensure!(
            output.status.success(),
            "kubectl {} failed: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        String::from_utf8(output.stdout).context("kubectl printed something else than UTF-8")
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let stdout = self.keeper.stdout.take().context("no pipe to kwokctl")?;
        let mut answer = String::new();
        BufReader::new(stdout)
            .read_line(&mut answer)
            .context("cannot read from kwokctl")?;
        if answer != "ready\n" {
            bail!("the cluster did not start\n{}", ends_of_logs(&self.dir));
        }
        self.start_ended_components()
    }

    /// Starts components again that have ended: on a busy machine, some give up before the
    /// API server is healthy.
    fn start_ended_components(&self) -> anyhow::Result<()> {
        for _ in 0..MAX_STARTS {
            if self.ended_components().is_empty() {
                return Ok(());
            }
            self.start_components()?;
        }
        let ended = self.ended_components();
        ensure!(
            ended.is_empty(),
            "{} ended at each start\n{}",
            ended.join(", "),
            ends_of_logs(&self.dir)
        );
        Ok(())
    }

    /// Removes the pid file of a component that has ended. kwokctl takes a process for a
    /// running one until its parent, which may be late, reaps it.
    fn forget_process(&self, component: &str) -> anyhow::Result<()> {
        let file = self.component_file(&format!("pids/{component}.pid"));
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
    }

    /// Returns the components that do not run, which kwokctl does not notice.
    fn ended_components(&self) -> Vec<String> {
        let files = fs::read_dir(self.component_file("pids"));
        let files = files.into_iter().flatten().flatten();
        let ended = files.filter_map(|file| {
            let pid = fs::read_to_string(file.path()).unwrap_or_default();
            let name = file.file_name().to_string_lossy().into_owned();
            has_ended(pid.trim()).then(|| name.trim_end_matches(".pid").to_owned())
        });
        let mut ended: Vec<String> = ended.collect();
        ended.sort();
        ended
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let ended = self.ended_components();
            eprintln!(
                "components of the cluster that have ended: {ended:?}\n{}",
                ends_of_logs(&self.dir)
            );
        }
        drop(self.keeper.stdin.take());
        // An error means that the keeper has ended already.
        let _ = self.keeper.wait();
    }
}

/// Whether a process has ended. Its parent may not have reaped it yet.
fn has_ended(pid: &str) -> bool {
    let stat = Path::new("/proc").join(pid).join("stat");
    let stat = fs::read_to_string(stat).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

const KWOKCTL_LOG: &str = "kwokctl.log";

/// Returns the last lines of kwokctl's log and of the components' logs, as far as they
/// exist. The end of a component that panicked begins with the panic's message.
fn ends_of_logs(dir: &Path) -> String {
    const LINES: usize = 3;
    let folders = fs::read_dir(dir.join("clusters")).into_iter().flatten();
    let mut files: Vec<PathBuf> = folders
        .filter_map(|cluster| fs::read_dir(cluster.ok()?.path().join("logs")).ok())
        .flatten()
        .filter_map(|log| Some(log.ok()?.path()))
        .collect();
    files.sort();
    files.insert(0, dir.join(KWOKCTL_LOG));
    let ends = files.iter().filter_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.len().saturating_sub(LINES);
        let panic = lines.iter().rposition(|line| line.starts_with("panic: "));
        let end = lines[panic.unwrap_or(end)..].join("\n");
        Some(format!("{}:\n{end}", file.file_name()?.display()))
    });
    ends.collect::<Vec<_>>().join("\n")
}

/// Returns a name that no other cluster of this machine has.
fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("flyball-{}-{number}", std::process::id())
}

/// Starts the keeper: the process that creates the cluster, and deletes it when this
/// process closes the pipe or ends.
fn spawn_keeper(
    binaries: &Binaries,
    name: &str,
    dir: &Path,
    options: &ClusterOptions,
) -> anyhow::Result<Child> {
    let template = dir.join("kwokctl.template");
    fs::write(&template, configuration(binaries, options)?)
        .with_context(|| format!("cannot write {}", template.display()))?;
    let log = File::create(dir.join(KWOKCTL_LOG)).context("cannot create kwokctl's log")?;

    Command::new("sh")
        .args(["-c", include_str!("keeper.sh"), "keeper"])
        .arg(binaries.path("kwokctl"))
        .arg(name)
        .arg(cache_root()?.join("ports"))
        .arg(template)
        .args(["--wait", "120s", "--kubeconfig"])
        .arg(dir.join("kubeconfig"))
        .arg("--config")
        .arg(binaries.manifest("usage-from-annotation.yaml"))
        .arg("--config")
        .arg(binaries.manifest("metrics-resource.yaml"))
        .env("KWOK_WORKDIR", dir)
        .env("PATH", path_with_kubectl_first(binaries)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        // An interrupt at the terminal must not reach it: it has to clean up.
        .process_group(0)
        .spawn()
        .context("cannot run sh")
}

/// Puts our kubectl first on the PATH: kwokctl prefers one there to the configured one.
fn path_with_kubectl_first(binaries: &Binaries) -> anyhow::Result<std::ffi::OsString> {
    let kubectl = binaries.path("kubectl");
    let first = kubectl.parent().map(Path::to_path_buf);
    let rest = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(first.into_iter().chain(std::env::split_paths(&rest)))
        .context("the folder of the Kubernetes binaries cannot stand in PATH")
}

/// kwok serves the node's metrics at this path of its own address, so the node's address
/// is this machine.
fn node(name: &str) -> Value {
    let capacity = json!({ "cpu": "32", "memory": "256Gi", "pods": "110" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {
                "kwok.x-k8s.io/node": "fake",
                "metrics.k8s.io/resource-metrics-path":
                    format!("/metrics/nodes/{name}/metrics/resource"),
            },
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
            },
        },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
            "allocatable": capacity,
            "capacity": capacity,
        },
    })
}
