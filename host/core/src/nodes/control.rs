//! The nodes loop: groups and cluster → census → chores → plan → orders → record.
//! The same loop runs on a real cluster and, in virtual time, on the embedded one.
//!
//! It reads no clock and spawns nothing, as [`crate::control::ReplicaLoop`].

mod chores;
mod configurations;
mod orders;
mod standing;
mod tell;

use std::sync::Arc;

use super::backoff::Backoffs;
use super::census::{Census, Registry};
use super::choose::mix;
use super::cloud::CloudProvider;
use super::demand::waits_until;
use super::options::NodeOptions;
use super::ports::{NodesReader, NodesWriter};
use super::record::{NODE_FORMAT, NodeDecisionRecord, Pending};
use super::scale_up::{Plan, Scene, plan_news};
use super::told::{Stage, Told};
use crate::memory::{Kept, PolicyMemories};
use crate::policy::NODE_GROUPS;
use crate::ports::{Clock, DecisionPorts};
use crate::recorder::Record;
use crate::time::Timestamp;

use self::configurations::Configurations;
use self::standing::{Seen, Standing};

/// Most passes one after the other: where a cloud refuses an order another one is made
/// at once, in which another group is chosen.
const MOST_PASSES: u32 = 3;

/// The loop over node groups.
pub struct NodeLoop<R, P, W, C> {
    options: NodeOptions,
    reader: R,
    cloud: P,
    writer: W,
    clock: C,
    ports: DecisionPorts,
    registry: Registry,
    backoffs: Backoffs,
    /// What is remembered of the expanders.
    memories: PolicyMemories,
    /// Whether the states that were saved have been loaded.
    loaded: bool,
    told: Told,
    configurations: Configurations,
    standing: Option<Standing>,
    troubles: chores::Troubles,
    next_scan: Timestamp,
    sequence: u64,
}

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// A loop that has seen nothing yet.
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
            registry: Registry::default(),
            backoffs: Backoffs::default(),
            memories: PolicyMemories::default(),
            loaded: false,
            told: Told::default(),
            configurations: Configurations::default(),
            standing: None,
            troubles: chores::Troubles::default(),
            next_scan: Timestamp(i64::MIN),
            sequence: 0,
        }
    }

    /// Groups that are left alone after a failure.
    pub fn backoffs(&self) -> &Backoffs {
        &self.backoffs
    }

    /// Runs until the clock has no more time. The clock may wake it early: when a
    /// pod has become unschedulable, so that a pass begins at once.
    pub async fn run(&mut self) {
        loop {
            let now = self.clock.now();
            let next = self.tick(now).await;
            if !self.clock.sleep_until(next).await {
                return;
            }
        }
    }

    /// Does a pass if one is due at `now`, and tells when the next one is. A pass is
    /// due every scan interval, and when a pod has become unschedulable.
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
        if self.configurations.take(&self.reader, chain) {
            self.standing = None;
        }
        for _ in 0..MOST_PASSES {
            let pass = self.pass(now).await;
            self.reader.release();
            match pass {
                Pass::Done => break,
                Pass::Refused => {}
                Pass::Waits(until) => {
                    self.next_scan = self.next_scan.min(until);
                    break;
                }
            }
        }
        self.next_scan
    }

    async fn pass(&mut self, now: Timestamp) -> Pass {
        let mut record = self.blank(now);
        let Some(mut census) = self.census(now, &mut record).await else {
            self.finish(now, record, Stage::Census).await;
            return Pass::Done;
        };
        if let Some((unready, nodes)) = census.unhealthy(&self.options) {
            tell::unhealthy(unready, nodes, &mut record);
            self.finish(now, record, Stage::Health).await;
            return Pass::Done;
        }
        if self.do_chores(now, &census, &mut record).await {
            match self.census(now, &mut record).await {
                Some(anew) => census = anew,
                None => {
                    self.finish(now, record, Stage::Census).await;
                    return Pass::Done;
                }
            }
        }
        self.settle_zones(now, &census, &mut record);
        let options = &self.options;
        let waits = |state: &mut _| waits_until(state, now, options);
        if let Some(until) = self.reader.with_state(waits) {
            if !record.incidents.is_empty() {
                self.finish(now, record, Stage::Health).await;
            }
            return Pass::Waits(until);
        }
        let (backoffs, options) = (&self.backoffs, &self.options);
        let seen = Seen::new(now, &census, backoffs, options, &*self.ports.engine);
        let standing = self.standing.as_ref();
        if record.incidents.is_empty() && standing.is_some_and(|pass| pass.holds(now, &seen)) {
            return Pass::Done;
        }
        let plan = self.plan(now, &census);
        self.reader.release();
        self.standing = Standing::of(now, seen, &plan);
        let refused = self.act(now, plan, &mut record).await;
        self.configurations.warn(&mut record);
        self.finish(now, record, Stage::Plan).await;
        if refused { Pass::Refused } else { Pass::Done }
    }

    /// Lists the groups and what has become of their nodes. From here on the pass sees one
    /// cluster, whatever the watches bring. `None` if the cloud's API fails.
    async fn census(&mut self, now: Timestamp, record: &mut NodeDecisionRecord) -> Option<Census> {
        self.reader.release();
        let groups = match self.cloud.node_groups(now).await {
            Ok(groups) => groups,
            Err(error) => {
                tell::cloud_unavailable(&error, record);
                return None;
            }
        };
        let (registry, backoffs) = (&mut self.registry, &mut self.backoffs);
        let options = &self.options;
        let take = |state: &mut _| registry.take(now, state, &groups, backoffs, options);
        self.reader.hold();
        Some(self.reader.with_state(take))
    }

    /// Finds out whether nodes have come in the zones that they were ordered for.
    fn settle_zones(&mut self, now: Timestamp, census: &Census, record: &mut NodeDecisionRecord) {
        let (zones, options) = (&mut self.backoffs.zones, &self.options);
        let settle = |state: &mut _| zones.settle(now, census, state, options);
        record.incidents.extend(self.reader.with_state(settle));
    }

    fn plan(&mut self, now: Timestamp, census: &Census) -> Plan {
        let scene = Scene {
            now,
            options: &self.options,
            engine: &*self.ports.engine,
            memories: &self.memories,
            census,
            backoffs: &self.backoffs,
            seed: mix(now.0.cast_unsigned()),
        };
        let told = &mut self.told;
        self.reader.with_state(|state| {
            told.forget_gone(state);
            plan_news(&scene, told, state)
        })
    }

    /// Takes over the expanders' states of the loop before, once: a store knows them when
    /// all caches are synced.
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

    fn blank(&self, now: Timestamp) -> NodeDecisionRecord {
        NodeDecisionRecord {
            format: NODE_FORMAT.into(),
            host: Arc::clone(&self.options.host_version),
            sequence: self.sequence + 1,
            at: now,
            ..NodeDecisionRecord::default()
        }
    }

    /// Publishes and records a pass, unless it has nothing to say.
    async fn finish(&mut self, now: Timestamp, mut record: NodeDecisionRecord, stage: Stage) {
        self.reader.release();
        self.told.only_news(&mut record, stage);
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
enum Pass {
    /// Till the next one.
    Done,
    /// The cloud refused an order: another group may do.
    Refused,
    /// Pods are too young to be looked at before then.
    Waits(Timestamp),
}
