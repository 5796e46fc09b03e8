//! The pods of a workload, from creation to removal: the work of the Deployment's
//! controllers, the scheduler and the kubelets.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_replicas::pods::{Container, Phase, Pod, PodRequests, Ready};

use super::meter::Usage;
use crate::random;
use crate::scenario::{Startup, WorkloadSpec};

/// The pods of a workload.
#[derive(Debug)]
pub struct Pods {
    seed: u64,
    prefix: String,
    startup: Startup,
    grace_ms: i64,
    requests: Arc<PodRequests>,
    /// Whether pods need a node; otherwise they start at their creation.
    placed: bool,
    /// Ordered by age, oldest first.
    entries: Vec<PodEntry>,
    /// Changes that the nodes have not taken yet.
    changes: Vec<Change>,
    created: u64,
    ready: usize,
    /// Number of pods that are not deleted.
    alive: usize,
    /// Time of the next change without an event.
    next_change: Timestamp,
    view: Option<Arc<[Pod]>>,
}

/// A change of a pod that runs on a node, or waits for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was created under this name, and waits for a node.
    Created(u64, Arc<str>, Timestamp),
    /// It was deleted, and keeps its resources.
    Deleted(u64, Timestamp),
    /// It was removed.
    Gone(u64),
}

const NEVER: Timestamp = Timestamp(i64::MAX);
const HOUR_MS: i64 = 3_600_000;

/// A pod.
#[derive(Clone, Debug)]
pub struct PodEntry {
    /// Number of the pod in its workload.
    pub id: u64,
    /// Name.
    pub name: Arc<str>,
    /// Creation time.
    pub created: Timestamp,
    /// When it was bound to a node; without nodes, its creation.
    pub bound: Option<Timestamp>,
    /// When it starts to run; never as long as it waits for a node.
    pub running_at: Timestamp,
    /// Whether it is Running.
    pub running: bool,
    /// When it becomes Ready.
    pub ready_at: Timestamp,
    /// When it will be removed, if it was deleted.
    pub gone_at: Option<Timestamp>,
    /// When it was deleted.
    pub deletion: Option<Timestamp>,
    /// Usage counter of Ready pods when this one became Ready.
    pub used_before: Option<Usage>,
}

impl Pods {
    /// Creates the pods of a workload, none yet. `placed`: they need a node to run.
    pub fn new(spec: &WorkloadSpec, name: &str, seed: u64, placed: bool) -> Self {
        let hash = random::draw(&[seed, 1]) % 10_000_000_000;
        Self {
            seed,
            prefix: format!("{name}-{hash}-"),
            startup: spec.pod.startup,
            grace_ms: spec.pod.grace_period.map_or(5_000, |grace| grace.0),
            requests: Arc::new(requests(spec, name)),
            placed,
            entries: Vec::new(),
            changes: Vec::new(),
            created: 0,
            ready: 0,
            alive: 0,
            next_change: NEVER,
            view: None,
        }
    }

    /// Returns the number of pods that are Ready and not deleted, and so serve.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Returns the number of pods that are not deleted: status.replicas.
    pub fn alive(&self) -> usize {
        self.alive
    }

    /// Returns all pods, oldest first.
    pub fn entries(&self) -> &[PodEntry] {
        &self.entries
    }

    /// Creates pods that have been Ready for long, or that wait if they need nodes.
    pub fn create_ready(&mut self, now: Timestamp, count: usize) {
        self.create(now.plus(-HOUR_MS), count);
        if !self.placed {
            for entry in &mut self.entries {
                entry.ready_at = entry.ready_at.min(now);
                entry.running_at = entry.running_at.min(now);
            }
        }
        self.pass(now, Usage::default());
    }

    /// Binds a pod to a node, where it starts. `settled`: it has been Ready there for
    /// long.
    pub fn bind(&mut self, now: Timestamp, id: u64, settled: bool, used: Usage) {
        let (bound, running_at, ready_at) = if settled {
            (now.plus(-HOUR_MS), now, now)
        } else {
            let (running_at, ready_at) = self.start(now, id);
            (now, running_at, ready_at)
        };
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) else {
            return;
        };
        entry.bound = Some(bound);
        entry.running_at = running_at;
        entry.ready_at = ready_at;
        self.pass(now, used);
    }

    /// Removes a pod whose node is gone.
    pub fn lose(&mut self, now: Timestamp, id: u64, used: Usage) {
        self.entries.retain(|entry| entry.id != id);
        self.pass(now, used);
    }

    /// Returns the changes that the nodes have not taken yet.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Advances to `now`, and creates or deletes pods up to `replicas`. `used` is the
    /// usage counter of a Ready pod.
    pub fn reconcile(&mut self, now: Timestamp, replicas: usize, used: Usage) {
        if now >= self.next_change {
            self.pass(now, used);
        }
        if self.alive < replicas {
            self.create(now, replicas - self.alive);
        } else if self.alive > replicas {
            self.delete(now, self.alive - replicas);
        } else {
            return;
        }
        self.pass(now, used);
    }

    /// Removes pods that are chosen at random.
    pub fn kill(&mut self, now: Timestamp, count: u32, used: Usage) {
        for number in 0..count {
            if self.entries.is_empty() {
                break;
            }
            let seed = [self.seed, 2, now.0.cast_unsigned(), u64::from(number)];
            let chosen = random::draw(&seed) % self.entries.len() as u64;
            // The remainder is less than the length.
            let killed = self.entries.remove(chosen as usize);
            self.record_change(Change::Gone(killed.id));
        }
        self.pass(now, used);
    }

    /// Returns the pods as the API server shows them.
    pub fn view(&mut self) -> Arc<[Pod]> {
        if let Some(view) = &self.view {
            return Arc::clone(view);
        }
        let pods = self.entries.iter().map(|entry| self.pod(entry));
        Arc::clone(self.view.insert(pods.collect()))
    }

    /// Applies the changes that are due by `now`, and counts the pods again.
    fn pass(&mut self, now: Timestamp, used: Usage) {
        let gone = |entry: &mut PodEntry| entry.gone_at.is_some_and(|gone| gone <= now);
        for entry in self.entries.extract_if(.., gone) {
            if self.placed {
                self.changes.push(Change::Gone(entry.id));
            }
        }
        let mut next = i64::MAX;
        for entry in &mut self.entries {
            entry.running = entry.running_at <= now;
            if entry.ready_at <= now {
                entry.used_before.get_or_insert(used);
            }
            let changes = [Some(entry.running_at), Some(entry.ready_at), entry.gone_at];
            let coming = changes.into_iter().flatten().filter(|at| *at > now);
            next = coming.fold(next, |next, at| next.min(at.0));
        }
        let alive = || self.entries.iter().filter(|entry| entry.deletion.is_none());
        self.ready = alive().filter(|entry| entry.used_before.is_some()).count();
        self.alive = alive().count();
        self.next_change = Timestamp(next);
        self.view = None;
    }

    fn create(&mut self, now: Timestamp, count: usize) {
        for _ in 0..count {
            let id = self.created;
            self.created += 1;
            let (running_at, ready_at) = match self.placed {
                true => (NEVER, NEVER),
                false => self.start(now, id),
            };
            let name: Arc<str> = format!("{}{}", self.prefix, random::suffix(self.seed, id)).into();
            self.record_change(Change::Created(id, Arc::clone(&name), now));
            self.entries.push(PodEntry {
                id,
                name,
                created: now,
                bound: (!self.placed).then_some(now),
                running_at,
                running: false,
                ready_at,
                gone_at: None,
                deletion: None,
                used_before: None,
            });
        }
    }

    /// Returns when a pod that starts now is Running, and when it is Ready.
    fn start(&self, now: Timestamp, id: u64) -> (Timestamp, Timestamp) {
        let chance = 2.0 * random::unit(random::draw(&[self.seed, 3, id])) - 1.0;
        let late = (chance * self.startup.jitter.0 as f64).round() as i64;
        let running_at = now.plus(self.startup.mean.0 + late);
        (running_at, running_at.plus(self.startup.readiness_delay.0))
    }

    /// Stores a change for the nodes.
    fn record_change(&mut self, change: Change) {
        if self.placed {
            self.changes.push(change);
        }
    }

    /// Deletes pods in the order of a ReplicaSet: first those without a node, then those
    /// that are not Ready, then the youngest. Pods without a node are removed at once.
    fn delete(&mut self, now: Timestamp, count: usize) {
        let mut order: Vec<usize> = (0..self.entries.len())
            .filter(|index| self.entries[*index].deletion.is_none())
            .collect();
        order.sort_by_key(|index| {
            let entry = &self.entries[*index];
            let ready = entry.used_before.is_some();
            (entry.bound.is_some(), ready, std::cmp::Reverse(entry.id))
        });
        for index in order.into_iter().take(count) {
            let entry = &mut self.entries[index];
            let grace_ms = if entry.bound.is_some() {
                self.grace_ms
            } else {
                0
            };
            entry.deletion = Some(now);
            entry.gone_at = Some(now.plus(grace_ms));
            let id = entry.id;
            self.record_change(Change::Deleted(id, now));
        }
    }

    fn pod(&self, entry: &PodEntry) -> Pod {
        let ready = entry.used_before.is_some();
        let (status, since) = match ready {
            true => (Ready::True, entry.ready_at),
            false => (Ready::False, entry.created),
        };
        Pod {
            name: Arc::clone(&entry.name),
            phase: if entry.running {
                Phase::Running
            } else {
                Phase::Pending
            },
            ready: Some((status, Some(since))),
            start: entry.bound,
            deletion: entry.deletion,
            requests: Arc::clone(&self.requests),
        }
    }
}

fn requests(spec: &WorkloadSpec, workload: &str) -> PodRequests {
    let milli = |value: f64| (value * 1000.0).round() as i64;
    let name = match spec.pod.container.as_str() {
        "" => workload,
        name => name,
    };
    let requests = BTreeMap::from([
        (Arc::from("cpu"), milli(spec.pod.requests.cpu)),
        (Arc::from("memory"), milli(spec.pod.requests.memory)),
    ]);
    PodRequests {
        containers: vec![Container {
            name: name.into(),
            requests,
            restartable: false,
        }],
        ..PodRequests::default()
    }
}
