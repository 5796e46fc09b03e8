//! A node group and the lifecycle of its instances in the cloud.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{CloudError, Instance as CloudInstance, InstanceError};
use flyball_nodes::cloud::{InstanceState, NodeGroup};

use super::instance::{self, Instance, NodeIdentity, Stage};
use super::outages::Outages;
use super::template;
use crate::random;
use crate::scenario::{NodeGroupSpec, OutOfCapacityAnswer, Scenario, TerminationAnswer};

/// A node group.
#[derive(Debug)]
pub struct Group {
    spec: NodeGroupSpec,
    name: Arc<str>,
    start: Timestamp,
    seed: u64,
    target: u32,
    /// Ordered by age, oldest first.
    instances: Vec<Instance>,
    made: u64,
    /// What the cloud answers to deletions, and until when.
    refusals: Vec<(Timestamp, TerminationAnswer)>,
}

/// The outcome of the deletion of an instance.
#[derive(Debug)]
pub struct Deletion {
    /// The cloud's answer.
    pub answer: Result<(), CloudError>,
    /// The node that leaves, if one had joined and it was not leaving before.
    pub node: Option<Arc<str>>,
}

impl Deletion {
    fn of(answer: Result<(), CloudError>) -> Self {
        Self { answer, node: None }
    }
}

/// A change of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It joined and is not Ready yet.
    Joined(NodeIdentity),
    /// It became Ready.
    Ready(NodeIdentity),
    /// It disappeared without notice.
    Gone(Arc<str>),
    /// Its instance was deleted and is gone.
    Terminated(Arc<str>),
}

/// Numbers of instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceCounts {
    /// Target size.
    pub target: u32,
    /// Number of Ready nodes.
    pub ready: u32,
    /// Number of paid instances.
    pub paid: u32,
    /// Number of instances without capacity.
    pub missing: u32,
}

impl Group {
    /// Creates the group at the start, with its first nodes Ready; `began` is when time
    /// begins.
    pub fn new(spec: &NodeGroupSpec, scenario: &Scenario, began: Timestamp) -> Self {
        let mut group = Self {
            spec: spec.clone(),
            name: spec.name.as_str().into(),
            start: scenario.start,
            seed: random::draw(&[scenario.seed, random::name(&spec.name), 6]),
            target: spec.initial(),
            instances: Vec::new(),
            made: 0,
            refusals: Vec::new(),
        };
        let outages = Outages::default();
        for _ in 0..group.target {
            let mut instance = group.slot(began);
            instance.zone = group.zone(began, &outages);
            instance.be_ready(began, &group.spec, group.seed);
            group.instances.push(instance);
        }
        group
    }

    /// Returns the name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the spec.
    pub fn spec(&self) -> &NodeGroupSpec {
        &self.spec
    }

    /// Returns its instances, oldest first.
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// Returns the numbers of its instances.
    pub fn counts(&self) -> InstanceCounts {
        let count = |holds: fn(&Stage) -> bool| {
            let matching = self.instances.iter().filter(|one| holds(&one.stage));
            u32::try_from(matching.count()).unwrap_or(u32::MAX)
        };
        InstanceCounts {
            target: self.target,
            ready: count(Stage::is_ready),
            paid: count(Stage::is_paid),
            missing: count(|stage| matches!(stage, Stage::Missing { .. })),
        }
    }

    /// Advances to `now`. Returns the changes of nodes, in order.
    pub fn pass(&mut self, now: Timestamp, outages: &Outages) -> Vec<Change> {
        let mut changes = Vec::new();
        self.instances.retain(|instance| {
            let gone = instance.gone_by(now);
            if gone && instance.stage.is_joined() {
                let node = Arc::clone(&instance.node);
                changes.push(match instance.stage {
                    Stage::Deleting { .. } => Change::Terminated(node),
                    _ => Change::Gone(node),
                });
            }
            !gone
        });
        for instance in &mut self.instances {
            instance.pass(now, &mut changes);
        }
        self.refill(now, outages);
        changes
    }

    /// Removes all instances in a zone at once.
    pub fn lose_zone(&mut self, now: Timestamp, zone: &str) {
        for instance in &mut self.instances {
            if instance.zone.as_deref() == Some(zone) {
                instance.lose(now);
            }
        }
    }

    /// Kills nodes that are chosen at random.
    pub fn kill(&mut self, now: Timestamp, count: u32) {
        for number in 0..count {
            let alive =
                |instance: &&mut Instance| instance.stage.is_joined() && !instance.gone_by(now);
            let mut alive: Vec<_> = self.instances.iter_mut().filter(alive).collect();
            if alive.is_empty() {
                return;
            }
            let seed = [self.seed, 5, now.0.cast_unsigned(), u64::from(number)];
            // The remainder is less than the length.
            let chosen = random::draw(&seed) % alive.len() as u64;
            alive[chosen as usize].lose(now);
        }
    }

    /// Returns the group as its cloud reports it.
    pub fn view(&self) -> NodeGroup {
        NodeGroup {
            name: Arc::clone(&self.name),
            min_size: self.spec.min,
            max_size: self.spec.max,
            target_size: self.target,
            instances: self
                .instances
                .iter()
                .map(|one| self.cloud_instance(one))
                .collect(),
            zones: self
                .spec
                .zones
                .iter()
                .map(|zone| zone.as_str().into())
                .collect(),
            template: Some(Arc::new(template::of_group(&self.spec))),
            price: self.spec.price,
            instance_type: self.spec.instance_type.as_deref().map(Arc::from),
            spot: self.spec.spot,
            scale_down: self.spec.scale_down.view(),
            suspended: Vec::new(),
        }
    }

    fn cloud_instance(&self, instance: &Instance) -> CloudInstance {
        let state = match instance.stage {
            Stage::Missing {
                reported: false, ..
            } => InstanceState::Creating,
            Stage::Missing { .. } => InstanceState::Failed(InstanceError {
                out_of_resources: true,
                code: "InsufficientInstanceCapacity".to_owned(),
                message: format!(
                    "the cloud has no capacity for an instance of node group {}",
                    self.name
                ),
            }),
            Stage::Creating(_) => InstanceState::Creating,
            Stage::Booting(_) | Stage::Joined(_) | Stage::Ready(_) => InstanceState::Running,
            Stage::Deleting { .. } => InstanceState::Deleting,
        };
        CloudInstance {
            provider_id: Arc::clone(&instance.provider_id),
            zone: instance.zone.clone(),
            state,
            instance_type: None,
            spot: None,
        }
    }

    /// Orders `delta` more instances.
    pub fn increase(
        &mut self,
        now: Timestamp,
        delta: u32,
        outages: &Outages,
    ) -> Result<(), CloudError> {
        let size = self.target.saturating_add(delta);
        if size > self.spec.max {
            let max = self.spec.max;
            return Err(self.refusal("InvalidSize", &format!("{size} is more than {max}")));
        }
        let refuses = self.spec.failures.out_of_capacity.answer == OutOfCapacityAnswer::Error;
        if refuses && !self.has_capacity(now, self.made, outages) {
            return Err(self.refusal("OutOfResources", "out of capacity"));
        }
        self.target = size;
        self.refill(now, outages);
        Ok(())
    }

    /// Refuses deletions until then, or loses their answers.
    pub fn refuse(&mut self, until: Timestamp, answer: TerminationAnswer) {
        self.refusals.push((until, answer));
    }

    /// Changes its bounds and its price, where given.
    pub fn change(&mut self, min: Option<u32>, max: Option<u32>, price: Option<f64>) {
        self.spec.min = min.unwrap_or(self.spec.min);
        self.spec.max = max.unwrap_or(self.spec.max);
        self.spec.price = price.or(self.spec.price);
        // The cloud keeps the minimum by itself.
        self.target = self.target.max(self.spec.min);
    }

    /// Deletes instances, and lowers the target size by their number. Returns the outcome
    /// of each. An instance of the group that is gone or being deleted is a success.
    pub fn delete(&mut self, now: Timestamp, ids: &[Arc<str>]) -> Vec<Deletion> {
        let known: BTreeMap<&Arc<str>, usize> = self
            .instances
            .iter()
            .zip(0..)
            .map(|(instance, index)| (&instance.provider_id, index))
            .collect();
        let indices: Vec<_> = ids.iter().map(|id| known.get(id).copied()).collect();
        self.refusals.retain(|(until, _)| *until > now);
        let mut outcomes = Vec::new();
        for (id, index) in ids.iter().zip(indices) {
            outcomes.push(match index {
                Some(index) => self.delete_one(now, index),
                None if instance::is_of_group(id, &self.name) => Deletion::of(Ok(())),
                None => Deletion::of(Err(
                    self.refusal("NotFound", &format!("there is no instance {id}"))
                )),
            });
        }
        self.instances
            .retain(|instance| !instance.gone_by(now) || instance.stage.is_joined());
        outcomes
    }

    fn delete_one(&mut self, now: Timestamp, index: usize) -> Deletion {
        let instance = &self.instances[index];
        let id = Arc::clone(&instance.provider_id);
        let answer = self.refusals.first().map(|(_, answer)| *answer);
        let refused = match answer {
            Some(TerminationAnswer::Refused) => Some(("Other", "is not deleted")),
            Some(TerminationAnswer::Throttled) => {
                Some(("Throttled", "is not deleted: too many requests"))
            }
            Some(TerminationAnswer::Lost) | None => None,
        };
        if let Some((class, why)) = refused {
            return Deletion::of(Err(self.refusal(class, &format!("instance {id} {why}"))));
        }
        if instance.stage.is_leaving() {
            return Deletion::of(Ok(()));
        }
        if self.target <= self.spec.min {
            let why = format!(
                "without {id} it would be below its minimum {}",
                self.spec.min
            );
            return Deletion::of(Err(self.refusal("MinSize", &why)));
        }
        let joined = instance.stage.is_joined();
        let node = joined.then(|| Arc::clone(&instance.node));
        self.instances[index].delete(now, self.spec.shutdown.instance.0);
        self.target -= 1;
        let answer = match answer {
            Some(_) => Err(self.refusal("Unreachable", "the cloud's answer was lost")),
            None => Ok(()),
        };
        Deletion { answer, node }
    }

    /// Lowers the target size by instances that do not exist yet.
    pub fn decrease(&mut self, delta: u32) -> Result<(), CloudError> {
        let counts = self.counts();
        if delta > counts.missing {
            let message = format!(
                "{delta} fewer than {} would take away instances that are there",
                self.target
            );
            return Err(self.refusal("InvalidSize", &message));
        }
        let size = self.target.saturating_sub(delta);
        if size < self.spec.min {
            let min = self.spec.min;
            return Err(self.refusal("InvalidSize", &format!("{size} is less than {min}")));
        }
        self.target = size;
        for _ in 0..delta {
            let missing = |instance: &Instance| matches!(instance.stage, Stage::Missing { .. });
            if let Some(youngest) = self.instances.iter().rposition(missing) {
                self.instances.remove(youngest);
            }
        }
        Ok(())
    }

    fn refusal(&self, class: &'static str, message: &str) -> CloudError {
        CloudError {
            class,
            message: format!("node group {}: {message}", self.name),
        }
    }

    /// Creates instances up to the target size, and retries those without capacity.
    fn refill(&mut self, now: Timestamp, outages: &Outages) {
        let wanted = self
            .instances
            .iter()
            .filter(|one| !one.stage.is_leaving())
            .count();
        for _ in wanted..self.target as usize {
            let slot = self.slot(now);
            self.instances.push(slot);
        }
        for index in 0..self.instances.len() {
            let instance = &self.instances[index];
            let Stage::Missing { retry_at, .. } = instance.stage else {
                continue;
            };
            if retry_at > now {
                continue;
            }
            let draw = random::draw(&[instance.id, now.0.cast_unsigned()]);
            let zone = self.zone(now, outages);
            if self.has_capacity(now, draw, outages) {
                let instance = &mut self.instances[index];
                instance.zone = zone;
                instance.create(now, &self.spec, self.seed);
            } else {
                let answer = self.spec.failures.out_of_capacity.answer;
                self.instances[index].miss(now, answer != OutOfCapacityAnswer::Silence);
            }
        }
    }

    /// Returns a new instance that has just been ordered.
    fn slot(&mut self, now: Timestamp) -> Instance {
        let id = self.made;
        self.made += 1;
        Instance::wanted(now, id, &self.name, self.seed)
    }

    fn has_capacity(&self, now: Timestamp, draw: u64, outages: &Outages) -> bool {
        let out = &self.spec.failures.out_of_capacity;
        let since_start = now.since(self.start);
        let mut windows = out.windows.iter();
        let closed = windows
            .any(|window| (window.at.0..window.at.0 + window.length.0).contains(&since_start));
        let unlucky = random::unit(random::draw(&[self.seed, 4, draw])) < out.probability;
        let zoneless = !self.spec.zones.is_empty() && self.zone(now, outages).is_none();
        !closed && !unlucky && !zoneless
    }

    /// Returns the zone of the next instance: of those with capacity the one with the
    /// fewest instances of this group, or the first of several.
    fn zone(&self, now: Timestamp, outages: &Outages) -> Option<Arc<str>> {
        let open = self.spec.zones.iter();
        let open = open.filter(|zone| !outages.is_out(zone, now));
        let count = |zone: &&String| {
            let here = self.instances.iter();
            here.filter(|one| one.zone.as_deref() == Some(zone.as_str()) && !one.stage.is_leaving())
                .count()
        };
        open.min_by_key(count).map(|zone| zone.as_str().into())
    }
}
