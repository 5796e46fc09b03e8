//! `cargo xtask cluster`: the tests' control plane, for trying things by hand.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use flyball_test_support::binaries::{Binaries, cloud};
use flyball_test_support::{Aws, Cluster, ClusterOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::command::step;
use crate::{setup, workspace};

/// Starts a real Kubernetes control plane and leaves it running until Ctrl-C
///
/// It is the one that the tests use: etcd, kube-apiserver, kube-scheduler,
/// kube-controller-manager and metrics-server on 127.0.0.1, and kwok in the part
/// of the kubelets. It has one node, on which pods run without containers. The
/// command prints the variables that kubectl and flyball find the cluster by,
/// and two commands to try. Nothing is left of the cluster afterwards.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Starts moto beside it, which plays AWS Auto Scaling
    #[arg(long)]
    aws: bool,

    /// Uses flyball as it was last built, instead of building it first
    #[arg(long)]
    no_build: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    setup::cluster()?;
    if arguments.aws {
        setup::cloud()?;
    }
    if !arguments.no_build {
        setup::wasm()?;
        workspace::flyball()?;
    }
    // A signal before this ends this process and everything it started: each part has a
    // keeper that ends it when its owner is gone.
    let cluster = step("starting the control plane", || {
        let cluster = Cluster::start(ClusterOptions::default())?;
        cluster.create_node("node-a")?;
        Ok(cluster)
    })?;
    let aws = if arguments.aws {
        Some(step("starting moto", Aws::start)?)
    } else {
        None
    };
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot wait for a signal")?;
    print_usage(&cluster, aws.as_ref())?;
    signals.forever().next();
    step("ending it", || {
        drop(aws);
        drop(cluster);
        Ok(())
    })
}

/// Prints the commands for another shell.
fn print_usage(cluster: &Cluster, aws: Option<&Aws>) -> anyhow::Result<()> {
    let mut text = String::from("The cluster is ready, until Ctrl-C. In another shell:\n\n");
    let mut export = |name: &str, value: &OsStr| {
        text.push_str(&format!("    export {name}={}\n", value.display()));
    };
    export("KUBECONFIG", cluster.kubeconfig().as_os_str());
    let variables = aws.map(Aws::environment);
    for (name, value) in variables.iter().flatten() {
        export(name, value.as_ref());
    }
    export("PATH", &search_path(aws.is_some())?);
    text.push_str("\nTry:\n\n    kubectl get nodes\n    flyball crd | kubectl apply -f -\n");
    text.push_str("\nThe guides in docs/ go on from there.\n");
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

/// Returns a search path with the folders of flyball, kubectl and, with `aws`, AWS'
/// command line first.
fn search_path(aws: bool) -> anyhow::Result<OsString> {
    let kubectl = Binaries::find()?.path("kubectl");
    let mut folders: Vec<PathBuf> = vec![workspace::target_dir()?.join("debug")];
    folders.extend(kubectl.parent().map(PathBuf::from));
    if aws {
        folders.push(cloud::find()?);
    }
    let mut path = env::join_paths(folders).context("a folder's name has a colon")?;
    path.push(":$PATH");
    Ok(path)
}
