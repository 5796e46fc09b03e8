//! The daemon on a real cluster.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;
use flyball_core::control::ReplicaLoop;
use flyball_core::memory::InMemoryStore;
use flyball_core::ports::{Clock, Reader, Writer};
use flyball_kubernetes::{
    Caches, ConnectOptions, KubernetesReader, KubernetesWriter, LeaderOptions, connect,
    elect_leader, sole_leader,
};
use flyball_sources::MetricsApis;
use tokio::sync::watch;

use super::Daemon;
use crate::cli::{Leader, RunArgs};
use crate::clock::WallClock;
use crate::wiring;

pub async fn run(daemon: Daemon, args: &RunArgs) -> anyhow::Result<()> {
    let options = ConnectOptions {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
    };
    let client = connect(&options).await?;
    let leader = match args.leader.leader_elect {
        true => elect_leader(client.clone(), lease(&args.leader)),
        false => sole_leader(),
    };
    let caches = Caches::start(client.clone()).await;
    let metrics = MetricsApis::new(client.clone());
    let reader = Arc::new(KubernetesReader::new(
        client.clone(),
        caches.clone(),
        metrics,
    ));
    let stop = daemon.stop.clone();
    let mut replicas = ReplicaLoop::new(
        wiring::replica_options(args),
        Arc::clone(&reader),
        KubernetesWriter::new(client, caches.clone(), leader.clone()),
        WallClock::new(stop.clone(), caches.changes()),
        Arc::clone(&daemon.registry) as _,
        daemon.recorder(),
        Arc::new(InMemoryStore::default()),
    );
    let readiness = Arc::clone(&daemon.readiness);
    let in_sight = Arc::clone(&reader);
    let working = async {
        caches.synced().await;
        readiness.done("caches");
        readiness.all_done().await;
        tracing::info!(
            autoscalers = reader.autoscalers().len(),
            "the cluster is in sight"
        );
        lead(leader, &mut replicas).await
    };
    let working = async {
        tokio::select! {
            result = working => result,
            () = stop.stopped() => Ok(()),
        }
    };
    daemon.beside(move || in_sight.autoscalers(), working).await
}

/// Decides for as long as this process is leader. When it is no more, another one
/// is: what this one knows is then of no use, and it ends.
async fn lead<R: Reader, W: Writer, C: Clock>(
    mut leader: watch::Receiver<bool>,
    replicas: &mut ReplicaLoop<R, W, C>,
) -> anyhow::Result<()> {
    if leader.wait_for(|leads| *leads).await.is_err() {
        bail!("the election of a leader ended");
    }
    let lost = async {
        // Where nothing is elected, nobody is left to take leadership away.
        if leader.wait_for(|leads| !leads).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = replicas.run() => Ok(()),
        () = lost => bail!("lost the lease: another daemon leads now"),
    }
}

fn lease(args: &Leader) -> LeaderOptions {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "flyball".to_owned());
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    LeaderOptions {
        namespace: args.leader_elect_resource_namespace.clone(),
        name: args.leader_elect_resource_name.clone(),
        identity: format!("{host}_{}_{}", std::process::id(), since_epoch.as_millis()),
    }
}
