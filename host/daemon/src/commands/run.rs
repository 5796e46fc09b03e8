//! `flyball run`: the daemon.

mod in_use;
mod kubernetes;
mod node_half;
mod peers;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use flyball_decision::memory::InMemoryStore;
use flyball_decision::policy::PolicyEngine as _;
use flyball_decision::ports::DecisionPorts;
use flyball_decision::recorder::Recorder;
use flyball_nodes::options::{ExpanderChoice, NodeOptions};
use flyball_replicas::ports::{Autoscaler, Reader as _};
use flyball_sandbox::Registry;
use flyball_simulation::{Recorders, RunRecorder};
use flyball_simulation::{Scenario, check_policies};
use flyball_tasks::{Idle, watch};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;

use super::Exit;
use crate::cli::{Cluster, Controller, OnPolicyFailure, RunArgs};
use crate::clock::{StopSignal, StopTrigger};
use crate::http::hosts::Hosts;
use crate::http::{self, Api, Readiness};
use crate::record_file::{RecordFile, Rotation};
use crate::recorders::LogRecorder;
use crate::rings::Rings;
use crate::simulated::{LoopOptions, Simulated};
use crate::wiring;

/// Memory for the latest records of node decisions, in bytes.
const NODE_RECORD_BYTES: usize = 16 << 20;

/// Time limit at the end for writing the last records.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

pub fn run(args: RunArgs) -> anyhow::Result<Exit> {
    // Simultaneous decisions may occupy one thread: another renews the lease and answers
    // probes.
    let threads = std::thread::available_parallelism().map_or(2, NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(2))
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(daemon(args));
    // A file system that hangs must not keep the process from ending.
    runtime.shutdown_background();
    result?;
    Ok(Exit::Success)
}

async fn daemon(args: RunArgs) -> anyhow::Result<()> {
    let cluster = match &args.cluster {
        Cluster::Kubernetes => {
            ensure!(
                args.speed.is_none(),
                "--speed needs an embedded cluster: a real one has its own clock; leave it out, or \
                 add --cluster sim:FILE"
            );
            None
        }
        Cluster::Simulated(file) => {
            ensure!(
                !args.leader.leader_elect,
                "--leader-elect needs a real cluster: an embedded one has a single daemon; leave \
                 it out"
            );
            Some((Scenario::load(file)?, &**file))
        }
    };
    flyball_tasks::start_watchdog().context("cannot start the watchdog's thread")?;
    let (stop_trigger, stop) = StopSignal::new();
    stop_on_signals(stop_trigger.clone())?;
    let listener = listen(args.http, "--http").await?;
    let probes = match args.probes {
        Some(address) => Some(listen(address, "--probes").await?),
        None => None,
    };
    let rotation = Rotation {
        max_bytes: args.records_max_size.0,
        max_files: args.records_max_files.get(),
    };
    let file = args
        .records
        .as_deref()
        .map(|path| RecordFile::append_to(path, rotation))
        .transpose()?
        .map(Arc::new);
    let record_bytes = usize::try_from(args.record_memory.0).unwrap_or(usize::MAX);
    let rings = Arc::new(Rings::new(record_bytes, NODE_RECORD_BYTES));
    let registry = wiring::registry(&args.policies, Arc::clone(&rings) as _)?;
    let daemon = Daemon {
        registry: Arc::new(registry),
        rings,
        store: Arc::default(),
        file,
        readiness: Readiness::waiting_for(&["caches", "policies"]),
        hosts: hosts(&args),
        listener,
        probes,
        stop,
        stop_trigger,
        other_leader: None,
    };
    daemon.log_start()?;
    let file = daemon.file.clone();
    let result = match cluster {
        None => kubernetes::run(daemon, &args).await,
        Some((scenario, file)) => simulated(daemon, &args, scenario, file).await,
    };
    tracing::info!("flyball stops");
    close(file).await.and(result)
}

/// Waits until all records are written. Closing a file again does nothing.
async fn close(file: Option<Arc<RecordFile>>) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let closing = tokio::task::spawn_blocking(move || file.close());
    match tokio::time::timeout(CLOSE_TIMEOUT, closing).await {
        Ok(closed) => closed.map_err(anyhow::Error::from).flatten(),
        Err(_) => bail!(
            "records were not written: the disk did not answer within {} s",
            CLOSE_TIMEOUT.as_secs()
        ),
    }
}

/// Parts of the daemon that do not depend on the kind of cluster.
struct Daemon {
    registry: Arc<Registry>,
    rings: Arc<Rings>,
    /// States of policies on a real cluster, kept as long as the process lives.
    store: Arc<InMemoryStore>,
    file: Option<Arc<RecordFile>>,
    readiness: Arc<Readiness>,
    hosts: Hosts,
    listener: TcpListener,
    probes: Option<TcpListener>,
    stop: StopSignal,
    stop_trigger: StopTrigger,
    /// The daemon that leads while this one does not. `None` without an election.
    other_leader: Option<Receiver<Option<String>>>,
}

/// Returns the hosts that requests may be for: those that were configured, and the address
/// that the interface listens on, if it is one.
fn hosts(args: &RunArgs) -> Hosts {
    let address = args.http.ip();
    let own = (!address.is_unspecified()).then(|| match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    });
    Hosts::new(args.http_host.iter().cloned().chain(own))
}

async fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address} (see {flag})"))
}

impl Daemon {
    fn log_start(&self) -> anyhow::Result<()> {
        let address = |listener: &TcpListener| {
            let address = listener.local_addr().context("the address is not known")?;
            anyhow::Ok(address.to_string())
        };
        let http = address(&self.listener)?;
        let probes = self.probes.as_ref().map(address).transpose()?;
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(version, http, probes, "flyball starts");
        Ok(())
    }

    /// Returns the options of the half that orders nodes.
    fn node_options(&self, args: &RunArgs) -> anyhow::Result<NodeOptions> {
        let fallback = args.policies.on_policy_failure == OnPolicyFailure::Fallback;
        // Any policy may be added to a policies directory later.
        let may_be = |kind: &str, name: &str| {
            args.policies.directory.policies_dir.is_some()
                || self.registry.policy(kind, name).is_ok()
        };
        wiring::node_options(&args.nodes, fallback, may_be)
    }

    /// Returns the recorders of decisions.
    fn recorders(&self) -> Vec<Arc<dyn RunRecorder>> {
        let mut recorders: Vec<Arc<dyn RunRecorder>> = vec![
            Arc::clone(&self.rings) as _,
            Arc::new(LogRecorder::default()),
        ];
        recorders.extend(self.file.iter().map(|file| Arc::clone(file) as _));
        recorders
    }

    /// Returns the ports of a loop on a real cluster.
    fn decision_ports<R>(&self) -> DecisionPorts<R>
    where
        Recorders: Recorder<R>,
    {
        DecisionPorts {
            engine: Arc::clone(&self.registry) as _,
            recorder: Arc::new(Recorders(self.recorders())),
            store: Arc::clone(&self.store) as _,
        }
    }

    /// Serves HTTP and keeps the registry updated with the configurations of
    /// `autoscalers` and `expanders` while `work` runs. The end of `work`, or of an
    /// interface, stops everything.
    async fn run_with_http(
        self,
        autoscalers: impl Fn() -> Vec<Arc<Autoscaler>> + Clone + Send + Sync + 'static,
        expanders: impl Fn() -> Vec<ExpanderChoice> + Send + Sync + 'static,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let readiness = Arc::clone(&self.readiness);
        let probes = self.probes.map(|listener| {
            let probes = http::serve_probes(listener, Arc::clone(&readiness), self.stop.clone());
            tokio::spawn(watch("probes", Idle::Unlimited, probes))
        });
        let api = Api {
            readiness: self.readiness,
            rings: self.rings,
            registry: Arc::clone(&self.registry),
            autoscalers: Box::new(autoscalers.clone()),
            other_leader: self.other_leader,
            hosts: self.hosts,
        };
        let serving = http::serve(self.listener, api, self.stop.clone());
        let serving = tokio::spawn(watch("HTTP interface", Idle::Unlimited, serving));
        let in_use = move || (autoscalers(), expanders());
        let updating = in_use::keep_updated(self.registry, readiness, in_use, self.stop.clone());
        let updating = tokio::spawn(watch("list of policies' users", Idle::Unlimited, updating));
        let file = self.file;
        let work = async {
            let result = work.await;
            self.stop_trigger.stop();
            // Before clients are given time to take their answers.
            close(file).await.and(result)
        };
        let probes = async {
            match probes {
                Some(probes) => {
                    until_the_stop("probes", probes, &self.stop, &self.stop_trigger).await
                }
                None => Ok(()),
            }
        };
        let named = |name, task| until_the_stop(name, task, &self.stop, &self.stop_trigger);
        let serving = named("HTTP interface", serving);
        let updating = named("list of policies' users", updating);
        let (result, served, probed, updated) = tokio::join!(work, serving, probes, updating);
        result.and(served).and(probed).and(updated)
    }
}

/// Waits for a task that ends with the stop. If it ends earlier, everything is stopped,
/// and the error names the task, since its end would go unnoticed otherwise.
async fn until_the_stop(
    name: &str,
    task: JoinHandle<()>,
    stop: &StopSignal,
    stop_trigger: &StopTrigger,
) -> anyhow::Result<()> {
    let ended = task.await;
    if stop.is_stopped() {
        return ended.with_context(|| format!("the {name} failed"));
    }
    stop_trigger.stop();
    let error = match ended {
        Ok(()) => anyhow!("nothing asked it to"),
        Err(error) => error.into(),
    };
    Err(error.context(format!("the {name} ended unexpectedly")))
}

async fn simulated(
    daemon: Daemon,
    args: &RunArgs,
    scenario: Scenario,
    file: &Path,
) -> anyhow::Result<()> {
    // Any policy may be added to a policies directory later.
    if args.policies.directory.policies_dir.is_none() {
        check_policies(&scenario, &*daemon.registry)
            .map_err(|error| anyhow!("{}: {error}", file.display()))?;
    }
    let options = loop_options(&daemon, args, &scenario)?;
    let expanders = options.nodes.as_ref();
    let expanders = expanders.map_or_else(Vec::new, |nodes| nodes.expanders.clone());
    let simulated = Simulated::new(scenario, daemon.recorders())?;
    daemon.readiness.done("caches");
    let cluster = simulated.cluster().clone();
    let (registry, stop) = (Arc::clone(&daemon.registry), daemon.stop.clone());
    let readiness = Arc::clone(&daemon.readiness);
    let chain = expanders.clone();
    let playing = async {
        readiness.all_done().await;
        wiring::check_configurations(&registry, &chain)?;
        let playing = simulated.play(
            args.speed.unwrap_or(1.0),
            options,
            &registry,
            stop.clone(),
            |_| {},
        );
        // In a scenario's time, a wait may be long.
        let run = watch("simulation", Idle::Unlimited, playing).await?;
        if !stop.is_stopped() {
            tracing::info!(decisions = run.journal.count, "the scenario's time is over");
        }
        Ok(())
    };
    let autoscalers = move || cluster.autoscalers();
    daemon
        .run_with_http(autoscalers, move || expanders.clone(), playing)
        .await
}

/// Returns the options of the loops on a scenario. The node loop runs unless it is
/// excluded.
fn loop_options(
    daemon: &Daemon,
    args: &RunArgs,
    scenario: &Scenario,
) -> anyhow::Result<LoopOptions> {
    let mut replica = wiring::replica_options(args);
    if args.hpa.horizontal_pod_autoscaler_sync_period.is_none() {
        replica.sync_period_ms = scenario.sync_period.0;
    }
    let controllers = &args.nodes.controllers;
    let asked_for = controllers.contains(&Controller::Nodes);
    ensure!(
        !asked_for || !scenario.node_groups.is_empty(),
        "--controllers: the scenario has no node groups"
    );
    let nodes = (controllers.is_empty() || asked_for).then(|| {
        let usual = daemon.node_options(args)?;
        let options = scenario.node_autoscaler.options(&usual);
        wiring::check_configurations(&daemon.registry, &options.expanders)?;
        anyhow::Ok(options)
    });
    Ok(LoopOptions {
        replica: args.nodes.runs(Controller::Replicas).then_some(replica),
        nodes: nodes.transpose()?,
    })
}

/// Stops gracefully on SIGINT or SIGTERM; a second signal ends the process at once.
pub(super) fn stop_on_signals(stop_trigger: StopTrigger) -> anyhow::Result<()> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut interrupt, mut terminate) = (
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
    );
    tokio::spawn(async move {
        for is_first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if is_first {
                stop_trigger.stop();
            }
        }
        std::process::exit(1);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

    use super::{StopSignal, until_the_stop};

    #[tokio::test]
    async fn a_task_that_ends_before_the_stop_stops_all_and_is_named() {
        let aborted = tokio::spawn(std::future::pending());
        aborted.abort();
        for (task, words) in [
            (tokio::spawn(async {}), "nothing asked it to"),
            (aborted, "was cancelled"),
        ] {
            let (stop_trigger, stop) = StopSignal::new();
            let error = until_the_stop("probes", task, &stop, &stop_trigger).await;
            let error = format!("{:#}", error.unwrap_err());
            assert!(
                error.starts_with("the probes ended unexpectedly: "),
                "{error}"
            );
            assert!(error.ends_with(words), "{error}");
            assert!(stop.is_stopped());
        }
        let (stop_trigger, stop) = StopSignal::new();
        stop_trigger.stop();
        let task = tokio::spawn(async {});
        until_the_stop("probes", task, &stop, &stop_trigger)
            .await
            .unwrap();
    }
}
