//! The nodes loop: groups and cluster → census → repair → plan → orders → record. The
//! same loop runs on a real cluster and, in virtual time, on the embedded one.
//!
//! Like [`crate::control::ReplicaLoop`], it reads no clock and spawns nothing.

mod cached_pass;
mod configurations;
mod early_exit;
mod orders;
mod plan_events;
mod repair;

use std::sync::Arc;

use super::backoff::Backoffs;
use super::census::{Census, CensusHistory};
use super::cloud::CloudProvider;
use super::demand::waits_until;
use super::options::NodeOptions;
use super::ports::{NodesReader, NodesWriter};
use super::record::{NODE_FORMAT, NodeDecisionRecord, Pending};
use super::reported::{PassStage, ReportedEvents};
use super::scale_up::{Plan, PlanContext, plan_unreported};
use crate::hash::split_mix;
use crate::memory::{Kept, PolicyMemories};
use crate::policy::NODE_GROUPS;
use crate::ports::{Clock, DecisionPorts};
use crate::recorder::Record;
use crate::time::Timestamp;

use self::cached_pass::{CachedPass, PassInputs};
use self::configurations::Configurations;

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
    ports: DecisionPorts,
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
    next_scan: Timestamp,
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
        ports: DecisionPorts,
    ) -> Self {
        options.add_cloud(cloud.ignored_labels(), cloud.gpu_label());
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
            next_scan: Timestamp(i64::MIN),
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
            return self.next_scan;
        }
        self.next_scan = now.plus(self.options.scan_interval_ms);
        self.load_states();
        self.backoffs.forget(now, &self.options);
        let chain = &mut self.options.expanders;
        if self.configurations.refresh(&self.reader, chain) {
            self.cached_pass = None;
        }
        for _ in 0..MAX_PASSES {
            let outcome = self.pass(now).await;
            self.reader.release();
            match outcome {
                PassOutcome::Done => break,
                PassOutcome::OrderRefused => {}
                PassOutcome::WaitsForPods(until) => {
                    self.next_scan = self.next_scan.min(until);
                    break;
                }
            }
        }
        self.next_scan
    }

    async fn pass(&mut self, now: Timestamp) -> PassOutcome {
        let mut record = self.new_record(now);
        let Some(mut census) = self.census(now, &mut record).await else {
            self.finish(now, record, PassStage::Census).await;
            return PassOutcome::Done;
        };
        if let Some((unready, nodes)) = census.unhealthy(&self.options) {
            early_exit::record_unhealthy(unready, nodes, &mut record);
            self.finish(now, record, PassStage::Health).await;
            return PassOutcome::Done;
        }
        if self.repair(now, &census, &mut record).await {
            match self.census(now, &mut record).await {
                Some(repaired) => census = repaired,
                None => {
                    self.finish(now, record, PassStage::Census).await;
                    return PassOutcome::Done;
                }
            }
        }
        self.settle_zone_orders(now, &census, &mut record);
        let options = &self.options;
        let waits = |state: &mut _| waits_until(state, now, options);
        if let Some(until) = self.reader.with_state(waits) {
            if !record.incidents.is_empty() {
                self.finish(now, record, PassStage::Health).await;
            }
            return PassOutcome::WaitsForPods(until);
        }
        let (backoffs, options) = (&self.backoffs, &self.options);
        let inputs = PassInputs::new(now, &census, backoffs, options, &*self.ports.engine);
        let cached_pass = self.cached_pass.as_ref();
        if record.incidents.is_empty()
            && cached_pass.is_some_and(|pass| pass.is_valid(now, &inputs))
        {
            return PassOutcome::Done;
        }
        let plan = self.plan(now, &census);
        self.reader.release();
        self.cached_pass = CachedPass::of(now, inputs, &plan);
        let refused = self.act(now, plan, &mut record).await;
        self.configurations.add_warnings(&mut record);
        self.finish(now, record, PassStage::Plan).await;
        if refused {
            PassOutcome::OrderRefused
        } else {
            PassOutcome::Done
        }
    }

    /// Lists the groups and takes a census. From then on the pass sees one cluster, whatever
    /// the watches report. Returns `None` if the cloud's API fails.
    async fn census(&mut self, now: Timestamp, record: &mut NodeDecisionRecord) -> Option<Census> {
        self.reader.release();
        let groups = match self.cloud.node_groups(now).await {
            Ok(groups) => groups,
            Err(error) => {
                early_exit::record_cloud_unavailable(&error, record);
                return None;
            }
        };
        let (history, backoffs) = (&mut self.history, &mut self.backoffs);
        let options = &self.options;
        let take = |state: &mut _| history.take_census(now, state, &groups, backoffs, options);
        self.reader.hold();
        Some(self.reader.with_state(take))
    }

    /// Checks whether nodes have come in the zones that they were ordered for.
    fn settle_zone_orders(
        &mut self,
        now: Timestamp,
        census: &Census,
        record: &mut NodeDecisionRecord,
    ) {
        let (zones, options) = (&mut self.backoffs.zones, &self.options);
        let settle = |state: &mut _| zones.settle(now, census, state, options);
        record.incidents.extend(self.reader.with_state(settle));
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
        let kept = Kept {
            states: self.memories.states(),
            ..Kept::default()
        };
        self.ports.store.save(&NODE_GROUPS.into(), kept);
    }

    fn new_record(&self, now: Timestamp) -> NodeDecisionRecord {
        NodeDecisionRecord {
            format: NODE_FORMAT.into(),
            host: Arc::clone(&self.options.host_version),
            sequence: self.sequence + 1,
            at: now,
            ..NodeDecisionRecord::default()
        }
    }

    /// Records a pass and publishes its events, unless there is nothing to record.
    async fn finish(&mut self, now: Timestamp, mut record: NodeDecisionRecord, stage: PassStage) {
        self.reader.release();
        self.reported.drop_repeated(&mut record, stage);
        let idle = record.rounds.is_empty() && record.pending == Pending::default();
        if idle && record.incidents.is_empty() && record.events.is_empty() {
            return;
        }
        self.sequence += 1;
        let events = record.events.clone();
        let record = Record::Nodes(Arc::new(record));
        self.ports.recorder.record(&record);
        if !events.is_empty() {
            self.writer.publish(now, events).await;
        }
    }
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
