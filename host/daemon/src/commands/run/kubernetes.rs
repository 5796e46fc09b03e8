//! The daemon on a real cluster.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use flyball_decision::ports::DecisionPorts;
use flyball_kubernetes::{
    Caches, Client, ClusterWatch, ClusterWatchOptions, ConnectOptions, Election,
    KubernetesNodesWriter, KubernetesReader, KubernetesWriter, LeaderOptions, Leadership, Presence,
    connect, connect_without_retries, elect_leader, watch_for_both,
};
use flyball_replicas::control::ReplicaLoop;
use flyball_replicas::ports::Reader as _;
use flyball_replicas::record::DecisionRecord;
use flyball_sources::MetricsApis;
use flyball_tasks::Idle;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Daemon;
use super::node_half::{self, Nodes};
use super::peers::{self, PeerWatch};
use crate::cli::{Controller, Leader, RunArgs};
use crate::clock::{StopSignal, StopTrigger, WallClock};
use crate::wiring;

/// Maximum time at a stop for work in progress: the longest request takes 15 s, to a
/// cloud, and its outcome is reported after it.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Maximum time for work in progress after the lease is lost. Nothing is written any more,
/// so it is only the longest request.
const LOST_TIMEOUT: Duration = Duration::from_secs(15);

pub async fn run(mut daemon: Daemon, args: &RunArgs) -> anyhow::Result<()> {
    let options = ConnectOptions {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
    };
    let client = connect(&options).await?;
    let lease = lease(&args.leader);
    let own = args.leader.leader_elect.then_some(&lease);
    let election = own.map(|own| elect_leader(client.clone(), own.clone()));
    daemon.other_leader = election.as_ref().map(Election::other_leader);
    let leadership = election
        .as_ref()
        .map_or_else(Leadership::sole, Election::leadership);
    let nodes_run = args.nodes.runs(Controller::Nodes);
    let _peers = nodes_run.then(|| PeerWatch::start(client.clone(), &args.nodes.namespace, own));
    let (caches, cluster) = watch_cluster(&client, args).await;
    let writes = connect_without_retries(&options).await?;
    let nodes = match cluster {
        Some(cluster) => {
            let writes = writes.clone();
            let namespace = args.nodes.namespace.clone();
            let (events, leadership) = (client.clone(), leadership.clone());
            let mut writer = KubernetesNodesWriter::new(events, writes, namespace, leadership);
            if let Some(election) = &election {
                writer = writer.elected(election);
            }
            let ports = daemon.decision_ports();
            Some(Nodes::start(cluster, writer, &daemon, args, ports).await?)
        }
        None => None,
    };
    let replicas = caches.map(|caches| {
        Replicas::new(
            caches,
            Clients {
                reads: &client,
                writes: &writes,
            },
            &daemon,
            args,
            &leadership,
            daemon.decision_ports(),
        )
    });
    let reader = replicas.as_ref().map(|half| Arc::clone(&half.reader));
    let autoscalers = move || reader.as_ref().map_or_else(Vec::new, |r| r.autoscalers());
    let chain = nodes.as_ref().map(Nodes::policies);
    let expanders = move || chain.as_ref().map_or_else(Vec::new, |chain| chain());
    let (stop, registry) = (daemon.stop.clone(), Arc::clone(&daemon.registry));
    let stop_trigger = daemon.stop_trigger.clone();
    let readiness = Arc::clone(&daemon.readiness);
    let (known_autoscalers, in_use) = (autoscalers.clone(), expanders.clone());
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
            if let Some(half) = &nodes {
                half.annotations_listed().await;
            }
            wiring::check_configurations(&registry, &in_use())?;
            tracing::info!(
                autoscalers = known_autoscalers().len(),
                "initial sync complete"
            );
            leadership.clone().won().await.map_err(anyhow::Error::from)
        };
        tokio::select! {
            ready = ready => ready?,
            () = stop.clone().stopped() => return Ok(()),
        }
        // Separate tasks, so that a long plan delays no replica decision.
        let mut halves = JoinSet::new();
        if let Some(mut half) = replicas {
            let work = async move { half.control_loop.run().await };
            halves.spawn(flyball_tasks::watch(
                "loop over replicas",
                Idle::Brief,
                work,
            ));
        }
        if let Some(mut half) = nodes {
            let work = async move { half.run().await };
            halves.spawn(flyball_tasks::watch("loop over nodes", Idle::Brief, work));
        }
        lead(leadership, halves, stop, &stop_trigger).await
    };
    let presence = election.is_none().then(|| {
        let controllers = peers::controllers(&args.nodes);
        Presence::start(client.clone(), lease, controllers, peers::log_presence)
    });
    let result = daemon.run_with_http(autoscalers, expanders, working).await;
    if let Some(presence) = presence {
        presence.leave().await;
    }
    result?;
    // The lease is released only after a graceful stop: where work may be in progress, it
    // expires by itself.
    if let Some(election) = election {
        election.resign().await;
    }
    Ok(())
}

/// Starts the watches of the halves that run.
async fn watch_cluster(client: &Client, args: &RunArgs) -> (Option<Caches>, Option<ClusterWatch>) {
    let client = client.clone();
    let configurations = node_half::cluster_configurations(&args.nodes);
    let options = ClusterWatchOptions {
        configurations: &configurations,
        scale_down: args.nodes.scales_down(),
    };
    let runs = |half| args.nodes.runs(half);
    match (runs(Controller::Replicas), runs(Controller::Nodes)) {
        (true, true) => {
            let (caches, cluster) = watch_for_both(client, options).await;
            (Some(caches), Some(cluster))
        }
        (true, false) => (Some(Caches::start(client).await), None),
        (false, true) => (None, Some(ClusterWatch::start(client, options).await)),
        (false, false) => (None, None),
    }
}

/// Connections to the API server.
struct Clients<'a> {
    /// Repeats requests that the API server puts off.
    reads: &'a Client,
    /// Sends each request once.
    writes: &'a Client,
}

/// The half that scales workloads: the loop and its inputs.
struct Replicas {
    caches: Caches,
    reader: Arc<KubernetesReader<MetricsApis>>,
    control_loop: ReplicaLoop<Arc<KubernetesReader<MetricsApis>>, KubernetesWriter, WallClock>,
}

impl Replicas {
    fn new(
        caches: Caches,
        clients: Clients<'_>,
        daemon: &Daemon,
        args: &RunArgs,
        leadership: &Leadership,
        ports: DecisionPorts<DecisionRecord>,
    ) -> Self {
        let Clients { reads, writes } = clients;
        let timeout = u64::try_from(args.metrics_request_timeout.0).unwrap_or_default();
        let timeout = Duration::from_millis(timeout);
        let metrics = MetricsApis::new(reads.clone(), caches.kinds().clone(), timeout);
        let reader = KubernetesReader::new(reads.clone(), caches.clone(), metrics);
        let reader = Arc::new(reader);
        let control_loop = ReplicaLoop::new(
            wiring::replica_options(args),
            Arc::clone(&reader),
            KubernetesWriter::new(
                reads.clone(),
                writes.clone(),
                caches.clone(),
                leadership.clone(),
            ),
            WallClock::new(daemon.stop.clone(), args.clock_offset, caches.changes()),
            ports,
        );
        Self {
            caches,
            reader,
            control_loop,
        }
    }
}

/// Decides as long as this process is leader and not stopped. When another process
/// becomes leader, this one's knowledge is outdated, and it ends.
///
/// At the end, what is being written is finished and recorded. After the lease is lost,
/// nothing more is written.
async fn lead(
    mut leadership: Leadership,
    mut halves: JoinSet<()>,
    stop: StopSignal,
    stop_trigger: &StopTrigger,
) -> anyhow::Result<()> {
    let is_lost = tokio::select! {
        ended = all_ended(&mut halves) => return ended,
        () = leadership.lost() => true,
        () = stop.stopped() => false,
    };
    stop_trigger.stop();
    let limit = if is_lost { LOST_TIMEOUT } else { STOP_TIMEOUT };
    let ended = timeout(limit, all_ended(&mut halves)).await;
    match ended {
        _ if is_lost => bail!("lost the lease: another daemon leads now"),
        Ok(ended) => ended,
        Err(_) => {
            let seconds = limit.as_secs();
            bail!(
                "the API server or the cloud did not answer within {seconds} s of the stop: what was being written or ordered may be unknown to the records"
            );
        }
    }
}

/// Waits until all halves have ended.
async fn all_ended(halves: &mut JoinSet<()>) -> anyhow::Result<()> {
    while let Some(half) = halves.join_next().await {
        half.context("a half of the daemon failed")?;
    }
    Ok(())
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
