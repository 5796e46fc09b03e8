//! The nodes loop. The same loop runs on a real cluster and, in virtual time, on the
//! embedded one.
//!
//! A pass is a pipeline. Each stage takes values, and returns what it found or decided. The
//! record is made of all results at the end:
//!
//! ```text
//! observe ──▶ repair ──▶ plan ─────▶ act ────────▶ record
//! Census      Repairs    ScaleUp     OrderedPlan   PassResult ──▶ NodeDecisionRecord
//! ```
//!
//! A group that a repair changed is observed again before the plan. If nothing can be
//! decided, an `EarlyExit` takes the place of the plan. Events about pods are derived from
//! the outcomes of the orders.
//!
//! Like the loop over autoscalers, it reads no clock and spawns nothing.

mod cached_pass;
mod configurations;
mod early_exit;
mod explanations;
mod orders;
mod pass_result;
mod plan_events;
mod removals;
mod repair;
mod replacements;
mod scale_down;

use std::sync::Arc;

use super::backoff::Backoffs;
use super::census::{Census, CensusHistory};
use super::cloud::CloudProvider;
use super::demand::waits_until;
use super::findings::Findings;
use super::options::NodeOptions;
use super::ports::{NodesReader, NodesWriter};
use super::record::{Incident, NodeDecisionRecord};
use super::reported::ReportedEvents;
use super::scale_down::ScaleDownTracker;
use super::scale_up::{Plan, PlanContext, plan_unreported};
use super::status::StatusWriter;
use flyball_decision::hash::split_mix;
use flyball_decision::memory::{PolicyMemories, SavedState};
use flyball_decision::policy::NODE_GROUPS;
use flyball_decision::ports::{Clock, DecisionPorts};
use flyball_decision::time::Timestamp;

use self::cached_pass::{CachedPass, PassInputs};
use self::configurations::Configurations;
use self::early_exit::EarlyExit;
use self::explanations::NodeExplanations;
use self::pass_result::{PassResult, RecordHeader};
use self::repair::Repairs;
use self::scale_down::{LastPlan, LastStays};

/// Maximum number of passes in a row. When the cloud refuses an order, the next pass
/// follows at once and chooses another group.
const MAX_PASSES: u32 = 3;

/// The loop over node groups.
pub struct NodeLoop<R, P, W, C> {
    options: NodeOptions,
    reader: R,
    cloud: P,
    writer: W,
    clock: C,
    ports: DecisionPorts<NodeDecisionRecord>,
    history: CensusHistory,
    backoffs: Backoffs,
    /// The states of the expanders.
    memories: PolicyMemories,
    /// Whether saved states have been loaded.
    loaded: bool,
    reported: ReportedEvents,
    configurations: Configurations,
    cached_pass: Option<CachedPass>,
    unrepaired: repair::Unrepaired,
    scale_down: ScaleDownTracker,
    /// Why nodes stayed in the last pass: only new reasons are recorded.
    last_stays: LastStays,
    explanations: NodeExplanations,
    last_plan: Option<LastPlan>,
    status: StatusWriter,
    /// Whether the status was read, and when somebody led last according to it. It is not
    /// written before.
    has_read_status: bool,
    last_led: Option<Timestamp>,
    next_scan: Timestamp,
    /// When a drain has to be advanced next, if only time passes.
    next_drain: Option<Timestamp>,
    sequence: u64,
}

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Creates a loop without any history.
    pub fn new(
        mut options: NodeOptions,
        reader: R,
        cloud: P,
        writer: W,
        clock: C,
        ports: DecisionPorts<NodeDecisionRecord>,
    ) -> Self {
        options.add_cloud(cloud.conventions());
        Self {
            options,
            reader,
            cloud,
            writer,
            clock,
            ports,
            history: CensusHistory::default(),
            backoffs: Backoffs::default(),
            memories: PolicyMemories::default(),
            loaded: false,
            reported: ReportedEvents::default(),
            configurations: Configurations::default(),
            cached_pass: None,
            unrepaired: repair::Unrepaired::default(),
            scale_down: ScaleDownTracker::default(),
            last_stays: LastStays::default(),
            explanations: NodeExplanations::default(),
            last_plan: None,
            status: StatusWriter::default(),
            has_read_status: false,
            last_led: None,
            next_scan: Timestamp(i64::MIN),
            next_drain: None,
            sequence: 0,
        }
    }

    /// Groups that are backed off after a failure.
    pub fn backoffs(&self) -> &Backoffs {
        &self.backoffs
    }

    /// Runs until the clock ends. The clock may wake it early, when a pod has become
    /// unschedulable, so that a pass begins at once.
    pub async fn run(&mut self) {
        loop {
            let now = self.clock.now();
            let next = self.tick(now).await;
            if !self.clock.sleep_until(next).await {
                return;
            }
        }
    }

    /// Does a pass if one is due at `now`, and returns when the next one is due. A pass
    /// is due every scan interval, and when a pod has become unschedulable.
    pub async fn tick(&mut self, now: Timestamp) -> Timestamp {
        if !self.reader.synced() || !self.writer.leads() {
            return now.plus(self.options.scan_interval_ms);
        }
        let new = self
            .reader
            .with_state(super::state::ClusterState::take_new_unschedulable);
        if now < self.next_scan && !new {
            self.advance_drains(now).await;
            if now < self.next_scan {
                return self.next_tick();
            }
        }
        self.next_scan = now.plus(self.options.scan_interval_ms);
        self.load_states();
        self.backoffs.forget(now, &self.options);
        let chain = &mut self.options.expanders;
        if self.configurations.refresh(&self.reader, chain) {
            self.cached_pass = None;
        }
        for _ in 0..MAX_PASSES {
            match self.pass(now).await {
                PassOutcome::Done => break,
                PassOutcome::OrderRefused => {}
                PassOutcome::WaitsForPods(until) => {
                    self.next_scan = self.next_scan.min(until);
                    break;
                }
            }
        }
        self.next_tick()
    }

    async fn pass(&mut self, now: Timestamp) -> PassOutcome {
        self.read_status(now).await;
        let (census, repairs) = self.observe_and_repair(now).await;
        let plans = census.map(|census| {
            let scale_up = self.plan_scale_up(now, &census, &repairs);
            let scale_down = self.plan_scale_down(now, &census, &scale_up);
            (census, scale_up, scale_down)
        });
        // All plans are made: the watches may change the state again.
        self.reader.release();
        let (outcome, result) = match plans {
            Ok((census, scale_up, scale_down)) => {
                let (outcome, result) = self.act(now, scale_up, repairs).await;
                let removed = self.act_on_removals(now, &census, scale_down).await;
                (outcome, result.with_removals(removed))
            }
            Err(exit) => (PassOutcome::Done, exit.result(repairs)),
        };
        self.record(now, result).await;
        outcome
    }

    /// Observes the cloud and the cluster, and repairs what failed. Observes them again if a
    /// repair changed a group. Returns also the findings of the repairs.
    async fn observe_and_repair(
        &mut self,
        now: Timestamp,
    ) -> (Result<Census, EarlyExit>, Findings) {
        let census = match self.observe(now).await {
            Ok(census) => census,
            Err(exit) => return (Err(exit), Findings::default()),
        };
        if let Some((unready, nodes)) = census.unhealthy(&self.options) {
            // Times that nobody watched do not count, as in Cluster Autoscaler.
            self.scale_down.timers.clear();
            let exit = EarlyExit::ClusterUnhealthy { unready, nodes };
            return (Err(exit), Findings::default());
        }
        let Repairs {
            is_changed,
            mut findings,
        } = self.repair(now, &census).await;
        let census = match is_changed {
            true => self.observe(now).await,
            false => Ok(census),
        };
        if let Ok(census) = &census {
            let incidents = self.settle_zone_orders(now, census);
            findings.incidents.extend(incidents);
        }
        (census, findings)
    }

    /// Lists the groups and takes a census. From then on the pass sees one cluster, whatever
    /// the watches report. Fails if the cloud's API fails.
    async fn observe(&mut self, now: Timestamp) -> Result<Census, EarlyExit> {
        self.reader.release();
        let groups = self.cloud.node_groups(now).await;
        let groups = groups.map_err(EarlyExit::without_groups)?;
        let (history, backoffs) = (&mut self.history, &mut self.backoffs);
        let options = &self.options;
        let take = |state: &mut _| history.take_census(now, state, &groups, backoffs, options);
        self.reader.hold();
        Ok(self.reader.with_state(take))
    }

    /// Checks whether nodes have come in the zones that they were ordered for.
    fn settle_zone_orders(&mut self, now: Timestamp, census: &Census) -> Vec<Incident> {
        let (zones, options) = (&mut self.backoffs.zones, &self.options);
        let settle = |state: &mut _| zones.settle(now, census, state, options);
        self.reader.with_state(settle)
    }

    /// Decides which nodes to order. Makes no plan while all pending pods are young. Makes
    /// none either if the last plan still holds, unless the repairs have an incident: that is
    /// recorded with a new plan.
    fn plan_scale_up(&mut self, now: Timestamp, census: &Census, repairs: &Findings) -> ScaleUp {
        let options = &self.options;
        let waits = |state: &mut _| waits_until(state, now, options);
        if let Some(until) = self.reader.with_state(waits) {
            return ScaleUp::WaitsForPods(until);
        }
        let (backoffs, options) = (&self.backoffs, &self.options);
        let inputs = PassInputs::new(now, census, backoffs, options, &*self.ports.engine);
        let cached_pass = self.cached_pass.as_ref();
        if repairs.incidents.is_empty()
            && cached_pass.is_some_and(|pass| pass.is_valid(now, &inputs))
        {
            return ScaleUp::Unchanged;
        }
        let plan = self.plan(now, census);
        self.cached_pass = CachedPass::of(now, inputs, &plan);
        ScaleUp::Planned(Box::new(plan))
    }

    /// Carries out what the pass decided. `repairs` are the findings of the stages before.
    async fn act(
        &mut self,
        now: Timestamp,
        scale_up: ScaleUp,
        repairs: Findings,
    ) -> (PassOutcome, PassResult) {
        let (outcome, ordered) = match scale_up {
            ScaleUp::WaitsForPods(until) => (PassOutcome::WaitsForPods(until), None),
            ScaleUp::Unchanged => (PassOutcome::Done, None),
            ScaleUp::Planned(plan) => {
                let ordered = self.carry_out(now, *plan).await;
                let outcome = match ordered.is_refused {
                    true => PassOutcome::OrderRefused,
                    false => PassOutcome::Done,
                };
                (outcome, Some(ordered))
            }
        };
        (outcome, PassResult::new(repairs, ordered))
    }

    fn plan(&mut self, now: Timestamp, census: &Census) -> Plan {
        let context = PlanContext {
            now,
            options: &self.options,
            engine: &*self.ports.engine,
            memories: &self.memories,
            census,
            backoffs: &self.backoffs,
            seed: split_mix(now.0.cast_unsigned()),
        };
        let reported = &mut self.reported;
        self.reader.with_state(|state| {
            reported.forget_gone(state);
            plan_unreported(&context, reported, state)
        })
    }

    /// Loads the expanders' saved states, once. A store has them when all caches are
    /// synced.
    fn load_states(&mut self) {
        if !std::mem::replace(&mut self.loaded, true)
            && let Some(kept) = self.ports.store.load(&NODE_GROUPS.into())
        {
            self.memories = PolicyMemories::restored(&kept.states);
        }
    }

    fn save_states(&self) {
        let kept = SavedState {
            states: self.memories.states(),
            ..SavedState::default()
        };
        self.ports.store.save(&NODE_GROUPS.into(), kept);
    }

    /// Records a pass and publishes its events, unless there is nothing to record.
    async fn record(&mut self, now: Timestamp, result: PassResult) {
        let header = RecordHeader {
            host: Arc::clone(&self.options.host_version),
            sequence: self.sequence + 1,
            at: now,
        };
        let Some(record) = result.into_record(header, &mut self.reported) else {
            return;
        };
        self.sequence = record.sequence;
        // What is only observed leaves no trace in the cluster.
        let events = match self.options.observe {
            true => Vec::new(),
            false => record.events.clone(),
        };
        let record = Arc::new(record);
        self.ports.recorder.record(&record);
        if !events.is_empty() {
            self.writer.publish(now, events).await;
        }
    }
}

/// The decision of scale-up in a pass. A pass goes on whatever it is, so that decisions of
/// another kind can follow.
enum ScaleUp {
    /// All pending pods are too young until then.
    WaitsForPods(Timestamp),
    /// The last plan ordered nothing, and its inputs are the same.
    Unchanged,
    /// A new plan.
    Planned(Box<Plan>),
}

/// How a pass ended.
enum PassOutcome {
    /// The next pass follows when it is due.
    Done,
    /// The cloud refused an order. Another group may be chosen at once.
    OrderRefused,
    /// All pending pods are too young until then.
    WaitsForPods(Timestamp),
}
