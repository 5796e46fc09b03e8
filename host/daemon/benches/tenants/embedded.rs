//! `tenants/ten-thousand-hostile`: a process of its own has the loops, the sandbox, the
//! rings of records and the embedded cluster. Time passes as it would for the daemon: a
//! tick that takes long makes the next one late.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use flyball_decision::key::ObjectKey;
use flyball_decision::memory::InMemoryStore;
use flyball_decision::policy::PolicyEngine;
use flyball_decision::ports::{Clock, DecisionPorts};
use flyball_decision::recorder::Recorder;
use flyball_decision::ring::Ring;
use flyball_decision::time::Timestamp;
use flyball_nodes::control::NodeLoop;
use flyball_nodes::options::NodeOptions;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::control::{ReplicaLoop, configurations_in_use, policy_users};
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::ports::Reader as _;
use flyball_replicas::record::DecisionRecord;
use flyball_sandbox::{
    CompilerOptions, Engine, EngineOptions, PolicyState, Registry, RegistryOptions,
};
use flyball_simulation::{Cluster, Scenario};
use flyball_test_support::bench::report;
use flyball_tests::guests;
use serde::{Deserialize, Serialize};

use crate::tenant::{NAMESPACE, POLICIES, REFUSED, Tenant};
use crate::{PERIODS, SYNC_MS, periods_late};

/// Set in the child: whether the tenant is there.
const TENANT: &str = "FLYBALL_BENCH_TENANT";

/// Number of namespaces of ten innocent objects each. They come after the tenant's.
const NAMESPACES: usize = 10;

/// Time for which a run lasts.
const DURATION_MS: i64 = 300_000;

/// Times at which a new version of the policy `demanding` comes.
const SWAPS_MS: [i64; 2] = [60_000, 150_000];

/// Number of the imports of the file that is refused, and the length of their names: its
/// error would have 4 MB if it were not shortened.
const IMPORTS: usize = 40;
const NAME_BYTES: usize = 99_000;

/// Maximum memory of each ring of records: the daemon's default.
const RING: usize = 64 << 20;

const MIB: f64 = 1024.0 * 1024.0;

pub fn run() -> anyhow::Result<()> {
    let without = measure(false)?;
    let with = measure(true)?;
    let name = "tenants/ten-thousand-hostile";
    report(name, with.late, "sync", Some(PERIODS))?;
    let memory = with.peak - without.peak;
    report(&format!("{name}-memory"), memory, "MiB", Some(256.0))?;
    report(&format!("{name}-without"), without.late, "sync", None)?;
    report(&format!("{name}-sync"), with.longest_sync, "s", None)?;
    report(&format!("{name}-pass"), with.longest_pass, "s", None)
}

/// Output of a child.
#[derive(Serialize, Deserialize)]
struct Figures {
    /// Largest lateness of a decision about an innocent object, in sync periods.
    late: f64,
    /// Peak memory in MiB.
    peak: f64,
    /// Longest tick of the loop over replicas, in seconds.
    longest_sync: f64,
    /// Longest tick of the loop over nodes, in seconds.
    longest_pass: f64,
}

fn measure(is_there: bool) -> anyhow::Result<Figures> {
    let mut child = Command::new(std::env::current_exe()?);
    let child = child.env(TENANT, is_there.to_string()).output()?;
    let printed = String::from_utf8_lossy(&child.stdout);
    ensure!(
        child.status.success(),
        "the child failed: {}",
        String::from_utf8_lossy(&child.stderr)
    );
    Ok(serde_json::from_str(printed.trim())?)
}

/// Reports whether this process is the one to be measured.
pub fn is_child() -> bool {
    std::env::var_os(TENANT).is_some()
}

/// Runs the loops, and prints the figures.
pub fn hold() -> anyhow::Result<()> {
    let is_there = std::env::var(TENANT)? == "true";
    let home = tempfile::tempdir()?;
    let scenario = scenario(is_there)?;
    let cluster = Cluster::new(&scenario)?;
    let tenant = Tenant::new(cluster.clone(), is_there)?;
    let registry = Arc::new(registry(home.path(), &tenant)?);
    let recorder = Arc::new(Decisions::default());
    let engine = Arc::clone(&registry) as Arc<dyn PolicyEngine>;
    let mut replicas = ReplicaLoop::new(
        ReplicaOptions::default(),
        tenant.clone(),
        tenant.clone(),
        Ends,
        DecisionPorts {
            engine: Arc::clone(&engine),
            recorder: Arc::clone(&recorder) as _,
            store: Arc::new(InMemoryStore::default()),
        },
    );
    let mut nodes = NodeLoop::new(
        scenario.node_autoscaler.options(&NodeOptions::default()),
        cluster.clone(),
        cluster.clone(),
        cluster.clone(),
        Ends,
        DecisionPorts {
            engine,
            recorder: Arc::new(Ring::<NodeDecisionRecord>::new(RING)),
            store: Arc::new(InMemoryStore::default()),
        },
    );
    let (mut longest_sync, mut longest_pass) = (Duration::ZERO, Duration::ZERO);
    let mut swaps = SWAPS_MS.iter().enumerate().peekable();
    let (mut now, end) = (scenario.start, scenario.end());
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    while now < end {
        if let Some((number, _)) = swaps.next_if(|(_, at)| now.since(scenario.start) >= **at) {
            place_demanding(home.path(), u8::try_from(number)? + 1)?;
        }
        let began = Instant::now();
        registry.set_policy_users(policy_users(&tenant.autoscalers()));
        let next = runtime.block_on(replicas.tick(now));
        longest_sync = longest_sync.max(began.elapsed());
        let pass = Instant::now();
        let next = next.min(runtime.block_on(nodes.tick(now)));
        longest_pass = longest_pass.max(pass.elapsed());
        let took = i64::try_from(began.elapsed().as_millis())?;
        now = next.max(now.plus(took));
        cluster.advance_to(now)?;
    }
    check_refused(&registry)?;
    let figures = Figures {
        late: recorder.late(&tenant, (scenario.start, now))?,
        peak: peak()? / MIB,
        longest_sync: longest_sync.as_secs_f64(),
        longest_pass: longest_pass.as_secs_f64(),
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// Returns innocent workloads on nodes, and those of the tenant.
fn scenario(is_there: bool) -> anyhow::Result<Scenario> {
    let seconds = DURATION_MS / 1000;
    let mut text = format!(
        "name: tenants\nseed: 1\nduration: {seconds}s\nsyncPeriod: 15s\n\
         nodeGroups: [{{name: general, min: 1, max: 200, initial: 20, \
         capacity: {{cpu: 16, memory: 64Gi}}}}]\nworkloads:\n"
    );
    for number in 0..NAMESPACES {
        let policy = ["hpa", "shared"][number % 2];
        write!(
            text,
            "  - name: web\n    namespace: web-{number}\n    count: 10\n    replicas: 3\n    \
             pod: {{requests: {{cpu: 250m, memory: 256Mi}}}}\n    \
             service: {{cpuPerRequest: 4m}}\n    load: {{formula: 100 + 10 * sin(t / minute)}}\n    \
             noise: {{amplitude: 0.1, period: 90s}}\n    \
             autoscaler: {{minReplicas: 2, maxReplicas: 9, policies: [{{name: {policy}}}], \
             metrics: [{{type: Resource, resource: {{name: cpu, \
             target: {{type: Utilization, averageUtilization: 60}}}}}}]}}\n"
        )?;
    }
    for (name, count, pod) in hostile_pods().into_iter().filter(|_| is_there) {
        write!(
            text,
            "  - name: {name}\n    namespace: {NAMESPACE}\n    count: {count}\n    \
             load: {{formula: 1}}\n    pod: {pod}\n"
        )?;
    }
    Ok(Scenario::parse(
        &text,
        Path::new("tenants.yaml"),
        Path::new(""),
    )?)
}

/// Returns the tenant's workloads: name, number of copies, and pod. Their pods keep away from
/// each other (finding 8), name more nodes than are compared, or request resources that no
/// other pod does.
fn hostile_pods() -> Vec<(String, usize, String)> {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = list(10, |term| {
        format!(
            "{{topologyKey: kubernetes.io/hostname, labelSelector: {{matchExpressions: \
             [{{key: app, operator: NotIn, values: [none-{term}]}}]}}}}"
        )
    });
    let apart = format!(
        "{{requests: {{cpu: 100m}}, affinity: {{podAntiAffinity: {{{required}: [{terms}]}}}}}}"
    );
    let terms = list(1_001, |node| {
        format!("{{matchFields: [{{key: metadata.name, operator: NotIn, values: [none-{node}]}}]}}")
    });
    let named =
        format!("{{affinity: {{nodeAffinity: {{{required}: {{nodeSelectorTerms: [{terms}]}}}}}}}}");
    let requesting = (0..10).map(|workload| {
        let names = list(2_000, |name| {
            format!("tenant.example/own-{workload}-{name}: 1")
        });
        let pod = format!("{{requests: {{{names}}}}}");
        (format!("requesting-{workload}"), 1, pod)
    });
    let others = [("apart", 600, apart), ("named", 50, named)];
    let others = others.map(|(name, count, pod)| (name.to_owned(), count, pod));
    others.into_iter().chain(requesting).collect()
}

/// Returns the elements of a list in YAML.
fn list(count: usize, element: impl Fn(usize) -> String) -> String {
    (0..count).map(element).collect::<Vec<_>>().join(", ")
}

/// Opens a registry with the tenant's policies.
fn registry(home: &Path, tenant: &Tenant) -> anyhow::Result<Registry> {
    let hostile = guests::components("hostile")?;
    for (name, guest) in POLICIES {
        place(home, name, &hostile[guest])?;
    }
    let refused = guests::of_unknown_imports(IMPORTS, NAME_BYTES)?;
    place(home, REFUSED, &refused)?;
    let engine = Engine::new(&EngineOptions {
        compiler: Some(CompilerOptions::program(
            env!("CARGO_BIN_EXE_flyball").into(),
        )),
        ..EngineOptions::default()
    })?;
    let options = RegistryOptions {
        directory: Some(home.into()),
        ..RegistryOptions::default()
    };
    let registry = Registry::open(&engine, options, flyball_policies::BUILTIN)?;
    let autoscalers = tenant.autoscalers();
    registry.set_policy_users(policy_users(&autoscalers));
    registry.set_configurations_in_use(configurations_in_use(&autoscalers));
    registry.rescan();
    Ok(registry)
}

/// Checks that the file is refused for the names of its imports.
fn check_refused(registry: &Registry) -> anyhow::Result<()> {
    let statuses = registry.status();
    let status = statuses.iter().find(|status| status.name == REFUSED);
    let state = status.map(|status| &status.state);
    let is_refused = matches!(
        state,
        Some(PolicyState::Failed { reason }) if reason.starts_with("it imports evil:package/")
    );
    ensure!(is_refused, "{REFUSED}: {state:?}");
    Ok(())
}

/// Places a new version of the policy `demanding`: with an added custom section.
fn place_demanding(home: &Path, version: u8) -> anyhow::Result<()> {
    let component = &guests::components("hostile")?["configuration_demanding"];
    let section = [b"\x07version".as_slice(), &[version]].concat();
    let size = u8::try_from(section.len())?;
    place(
        home,
        "demanding",
        &[&component[..], &[0, size], &section].concat(),
    )
}

fn place(home: &Path, name: &str, component: &[u8]) -> anyhow::Result<()> {
    let file = home.join(format!("{name}.wasm"));
    let new = file.with_extension("new");
    fs::write(&new, component)?;
    Ok(fs::rename(new, file)?)
}

/// The ring of records, and when each innocent object was decided.
struct Decisions {
    ring: Ring<DecisionRecord>,
    innocent: Mutex<BTreeMap<ObjectKey, Vec<Timestamp>>>,
}

impl Default for Decisions {
    fn default() -> Self {
        Self {
            ring: Ring::new(RING),
            innocent: Mutex::default(),
        }
    }
}

impl Decisions {
    fn innocent(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Vec<Timestamp>>> {
        self.innocent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the largest lateness of a decision about an innocent object, in sync periods.
    fn late(&self, tenant: &Tenant, (begin, end): (Timestamp, Timestamp)) -> anyhow::Result<f64> {
        let innocent = self.innocent();
        let mut longest = 0;
        for autoscaler in tenant.autoscalers() {
            let key = &autoscaler.key;
            if *key.namespace == *NAMESPACE {
                continue;
            }
            let decided = innocent.get(key).context("an object was never decided")?;
            let times = [begin]
                .into_iter()
                .chain(decided.iter().copied())
                .chain([end]);
            let times: Vec<Timestamp> = times.collect();
            let gaps = times.windows(2).map(|two| two[1].since(two[0]));
            longest = longest.max(gaps.max().unwrap_or_default());
        }
        Ok(periods_late(longest.max(SYNC_MS)))
    }
}

impl Recorder<DecisionRecord> for Decisions {
    fn record(&self, record: &Arc<DecisionRecord>) {
        let is_decided = record.verdict.to.is_some()
            && record.policies.iter().all(|part| part.failure().is_none());
        if is_decided && *record.object.namespace != *NAMESPACE {
            let mut innocent = self.innocent();
            let times = innocent.entry(record.object.clone()).or_default();
            times.push(record.at);
        }
        self.ring.record(record);
    }
}

/// Never waits.
struct Ends;

impl Clock for Ends {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    async fn sleep_until(&self, _: Timestamp) -> bool {
        false
    }
}

/// Returns the peak memory of this process, in bytes.
fn peak() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = kib.context("no VmHWM in /proc/self/status")?.parse()?;
    Ok(kib * 1024.0)
}
