//! The daemon on a real cluster.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use flyball_core::control::ReplicaLoop;
use flyball_core::ports::{DecisionPorts, Reader as _};
use flyball_kubernetes::{
    Caches, Client, ConnectOptions, KubernetesReader, KubernetesWriter, LeaderOptions, connect,
    elect_leader, sole_leader,
};
use flyball_sources::MetricsApis;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Daemon;
use super::nodes::Nodes;
use crate::cli::{Controller, Leader, RunArgs};
use crate::clock::{Stop, WallClock};
use crate::wiring;

/// How long what is being carried out at a stop may take until it is given up: as
/// long as a request may (one to a cloud 15 s), and a while to tell of it.
const LAST_TICK: Duration = Duration::from_secs(20);

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
    let ports = daemon.decision_ports();
    let nodes = Nodes::start(&client, &daemon, args, leader.clone(), ports.clone()).await?;
    let replicas = match args.nodes.runs(Controller::Replicas) {
        true => Some(Replicas::start(client, &daemon, args, leader.clone(), ports).await),
        false => None,
    };
    let reader = replicas.as_ref().map(|half| Arc::clone(&half.reader));
    let autoscalers = move || reader.as_ref().map_or_else(Vec::new, |r| r.autoscalers());
    let chain = nodes.as_ref().map(Nodes::expanders);
    let expanders = move || chain.as_ref().map_or_else(Vec::new, |chain| chain());
    let (stop, registry) = (daemon.stop.clone(), Arc::clone(&daemon.registry));
    let readiness = Arc::clone(&daemon.readiness);
    let (in_sight, in_use) = (autoscalers.clone(), expanders.clone());
    let working = async {
        let ready = async {
            if let Some(half) = &replicas {
                half.caches.synced().await;
            }
            if let Some(half) = &nodes {
                half.synced().await;
            }
            readiness.done("caches");
            readiness.all_done().await;
            wiring::check_configurations(&registry, &in_use())?;
            tracing::info!(autoscalers = in_sight().len(), "the cluster is in sight");
            become_leader(leader.clone()).await
        };
        tokio::select! {
            ready = ready => ready?,
            () = stop.clone().stopped() => return Ok(()),
        }
        // Apart, so that a plan that takes long keeps no replica decision waiting.
        let mut halves = JoinSet::new();
        if let Some(mut half) = replicas {
            halves.spawn(async move { half.looping.run().await });
        }
        if let Some(mut half) = nodes {
            halves.spawn(async move { half.run().await });
        }
        lead(leader, halves, stop).await
    };
    daemon.beside(autoscalers, expanders, working).await
}

/// The half that scales workloads: the loop, and what it looks at.
struct Replicas {
    caches: Caches,
    reader: Arc<KubernetesReader<MetricsApis>>,
    looping: ReplicaLoop<Arc<KubernetesReader<MetricsApis>>, KubernetesWriter, WallClock>,
}

impl Replicas {
    async fn start(
        client: Client,
        daemon: &Daemon,
        args: &RunArgs,
        leader: watch::Receiver<bool>,
        ports: DecisionPorts,
    ) -> Self {
        let caches = Caches::start(client.clone()).await;
        let metrics = MetricsApis::new(client.clone());
        let reader = KubernetesReader::new(client.clone(), caches.clone(), metrics);
        let reader = Arc::new(reader);
        let looping = ReplicaLoop::new(
            wiring::replica_options(args),
            Arc::clone(&reader),
            KubernetesWriter::new(client, caches.clone(), leader),
            WallClock::new(daemon.stop.clone(), caches.changes()),
            ports,
        );
        Self {
            caches,
            reader,
            looping,
        }
    }
}

async fn become_leader(mut leader: watch::Receiver<bool>) -> anyhow::Result<()> {
    match leader.wait_for(|leads| *leads).await {
        Ok(_) => Ok(()),
        Err(_) => bail!("the election of a leader ended"),
    }
}

/// Decides for as long as this process is leader and is not stopped. When another
/// one leads, what this one knows is of no use, and it ends.
async fn lead(
    mut leader: watch::Receiver<bool>,
    mut halves: JoinSet<()>,
    stop: Stop,
) -> anyhow::Result<()> {
    let lost = async {
        // Where nothing is elected, nobody is left to take leadership away.
        if leader.wait_for(|leads| !leads).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let too_late = async {
        stop.stopped().await;
        tokio::time::sleep(LAST_TICK).await;
    };
    let ended = async {
        while let Some(half) = halves.join_next().await {
            half.context("a half of the daemon failed")?;
        }
        Ok(())
    };
    tokio::select! {
        ended = ended => ended,
        () = lost => bail!("lost the lease: another daemon leads now"),
        () = too_late => {
            let seconds = LAST_TICK.as_secs();
            bail!("the API server or the cloud did not answer within {seconds} s of the stop: what was being written or ordered may be unknown to the records");
        }
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
