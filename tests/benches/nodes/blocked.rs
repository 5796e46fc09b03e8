//! `nodes/watch-blocked-5000`: longest wait of a watch that reports a pod, while passes of
//! 1,200 groups, 5,000 nodes and 150,000 pods are under way, with an expander that takes
//! a fifth of a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use flyball_decision::policy::{DEFAULT_EXPANDER, PolicyEngine, kind};
use flyball_kubernetes::slim::PodObject;
use flyball_nodes::options::NodeOptions;
use flyball_nodes::ports::NodesReader;
use flyball_nodes::queued_state::{QueuedObject, QueuedState};
use flyball_nodes::state::ClusterState;
use flyball_test_policies::{TestEngine, ranker};
use flyball_test_support::bench::report;
use serde_json::json;

use crate::GIB;
use crate::large::{PODS, cluster, read, running_pod};
use crate::shapes::{group, pod, pods, size, template};
use crate::world::{NOW, control};

const GROUPS: usize = 1_200;
/// Passes, each for other pods.
const PASSES: usize = 5;
/// Time between two events: the watch of a cluster of this size sees some hundred a second.
const PAUSE: Duration = Duration::from_micros(500);
const EXPANDER_TIME: Duration = Duration::from_millis(200);

pub fn run(engine: &Arc<dyn PolicyEngine>) -> anyhow::Result<()> {
    let watched = Watched(Arc::new(QueuedState::new(cluster()?, || {})));
    let groups = (0..GROUPS).map(|row| {
        // Each size of its own, so that each is packed for.
        let row_size = size(16_000 + 10 * i64::try_from(row).unwrap_or(0), 64 * GIB, 110);
        group(&format!("group-{row}"), template(&row_size), 1.0, &[])
    });
    let built_in = engine
        .policy(kind::EXPANDER, DEFAULT_EXPANDER)
        .map_err(anyhow::Error::msg)?;
    let slow = ranker(DEFAULT_EXPANDER, move |context, input| {
        thread::sleep(EXPANDER_TIME);
        built_in.rank(context, input).answer
    });
    let engine = TestEngine::default();
    engine.expanders.insert(slow.resolve());
    let engine = Arc::new(engine) as _;
    let options = NodeOptions::default();
    let mut control = control(
        &options,
        watched.clone(),
        Arc::new(groups.collect()),
        &engine,
    );
    control.tick(NOW);

    let (mut passes, mut longest) = (Duration::ZERO, Duration::ZERO);
    for pass in 0..PASSES {
        let pending = (0..1_000).map(|row| {
            let requests = json!({ "cpu": "4", "memory": "8Gi" });
            pod(&format!("pending-{pass}-{row}"), None, &requests)
        });
        let pending = pods(pending)?;
        watched.0.with(|state| crate::apply(state, pending));
        let events = read((0..PODS).step_by(10).map(|row| running_pod(row, pass + 1)))?;
        let ended = AtomicBool::new(false);
        let now = NOW.plus(10_000 * i64::try_from(pass + 1)?);
        let (time, wait) = thread::scope(|scope| {
            let watch = scope.spawn(|| report_pods(&watched.0, events, &ended));
            let time = control.tick(now);
            ended.store(true, Ordering::Release);
            (time, watch.join())
        });
        let wait = wait.map_err(|_| anyhow::anyhow!("the watch panicked"))?;
        ensure!(time > EXPANDER_TIME, "a pass took only {time:?}");
        passes += time;
        longest = longest.max(wait);
    }
    let mean = passes.as_secs_f64() * 1e3 / PASSES as f64;
    report("nodes/watch-blocked-5000-pass", mean, "ms", None)?;
    let longest = longest.as_secs_f64() * 1e3;
    report("nodes/watch-blocked-5000", longest, "ms", Some(5.0))
}

/// Reports one pod after the other as a watch does, until the pass has ended. Returns the
/// longest time that a report took.
fn report_pods(state: &QueuedState, events: Vec<PodObject>, ended: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    for object in events {
        if ended.load(Ordering::Acquire) {
            break;
        }
        // Before the time is taken: it frees memory of the thread that read the events, for which
        // the allocator takes milliseconds now and then, with or without a pass.
        let (facts, pod) = object.into_facts();
        let start = Instant::now();
        let key = QueuedObject {
            kind: "Pod",
            id: Arc::clone(&facts.uid),
        };
        state.apply(key, move |state| state.apply_pod(facts, &pod));
        longest = longest.max(start.elapsed());
        thread::sleep(PAUSE);
    }
    longest
}

/// The state that the watch changes.
#[derive(Clone)]
struct Watched(Arc<QueuedState>);

impl NodesReader for Watched {
    fn synced(&self) -> bool {
        true
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        self.0.with(work)
    }

    fn hold(&self) {
        self.0.hold();
    }

    fn release(&self) {
        self.0.release();
    }
}
