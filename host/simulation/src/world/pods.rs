//! The pods of a workload, from creation to removal: the work of their controllers and
//! the kubelets.

mod ends;
mod entry;

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_replicas::pods::{Container, Phase, Pod, PodRequests, Ready};

pub use self::entry::{Change, PodEntry};
use super::meter::Usage;
use crate::random;
use crate::scenario::{Startup, WorkloadKind, WorkloadSpec};
use crate::time::Delay;

/// The pods of a workload.
#[derive(Debug)]
pub struct Pods {
    seed: u64,
    kind: WorkloadKind,
    prefix: String,
    startup: Startup,
    termination: Delay,
    grace_ms: i64,
    duration_ms: Option<i64>,
    requests: Arc<PodRequests>,
    /// Whether pods need a node; otherwise they start at their creation.
    placed: bool,
    /// Ordered by age, oldest first.
    entries: Vec<PodEntry>,
    /// Changes that the nodes have not taken yet.
    changes: Vec<Change>,
    created: u64,
    ready: usize,
    /// Number of pods that have not ended and are not deleted.
    alive: usize,
    /// Number of pods that ended by themselves.
    finished: usize,
    /// Number of pods without a controller that were taken away.
    lost: usize,
    /// Number of pods that drains took away and that were not created again.
    owed: usize,
    /// Time of the next change without an event.
    next_change: Timestamp,
    view: Option<Arc<[Pod]>>,
}

const NEVER: Timestamp = Timestamp(i64::MAX);
const HOUR_MS: i64 = 3_600_000;

impl Pods {
    /// Creates the pods of a workload, none yet. `placed`: they need a node to run.
    pub fn new(spec: &WorkloadSpec, name: &str, seed: u64, placed: bool) -> Self {
        Self {
            seed,
            kind: spec.kind,
            prefix: prefix(spec.kind, name, seed),
            startup: spec.pod.startup,
            termination: spec.pod.termination(),
            grace_ms: spec.pod.grace_seconds().saturating_mul(1000),
            duration_ms: spec.pod.duration.map(|duration| duration.0),
            requests: Arc::new(requests(spec, name)),
            placed,
            entries: Vec::new(),
            changes: Vec::new(),
            created: 0,
            ready: 0,
            alive: 0,
            finished: 0,
            lost: 0,
            owed: 0,
            next_change: NEVER,
            view: None,
        }
    }

    /// Returns the number of pods that are Ready and not deleted, and so serve.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Returns the number of pods that have not ended and are not deleted:
    /// status.replicas.
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
        let ends_at = self.ends_at(running_at);
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) else {
            return;
        };
        entry.bound = Some(bound);
        entry.running_at = running_at;
        entry.ready_at = ready_at;
        entry.ends_at = ends_at;
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
        let wanted = replicas.saturating_sub(self.finished + self.lost);
        let changed = match self.kind {
            WorkloadKind::StatefulSet => self.reconcile_ordinals(now, replicas),
            _ => self.reconcile_count(now, wanted),
        };
        if changed {
            self.pass(now, used);
        }
        if self.alive == wanted {
            self.owed = 0;
        }
    }

    fn reconcile_count(&mut self, now: Timestamp, wanted: usize) -> bool {
        if self.alive < wanted {
            self.create(now, wanted - self.alive);
        } else if self.alive > wanted {
            self.delete(now, self.alive - wanted);
        } else {
            return false;
        }
        true
    }

    /// Reconciles a StatefulSet: a name is taken until its pod is gone.
    fn reconcile_ordinals(&mut self, now: Timestamp, replicas: usize) -> bool {
        let mut taken = vec![false; replicas];
        let mut changed = false;
        for index in 0..self.entries.len() {
            let ordinal = usize::try_from(self.entries[index].ordinal).unwrap_or(usize::MAX);
            match taken.get_mut(ordinal) {
                Some(taken) => *taken = true,
                None if self.entries[index].deletion.is_none() => {
                    self.delete_entry(index, now, self.grace_ms);
                    changed = true;
                }
                None => {}
            }
        }
        for (ordinal, _) in (0..).zip(taken).filter(|(_, taken)| !taken) {
            self.create_one(now, Some(ordinal));
            changed = true;
        }
        changed
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
            self.note_taken(killed.is_alive());
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
            for change in entry.pass(now, used) {
                self.finished += usize::from(matches!(change, Change::Ended(_)));
                if self.placed {
                    self.changes.push(change);
                }
            }
            next = next.min(entry.next_change(now).0);
        }
        let alive = || self.entries.iter().filter(|entry| entry.is_alive());
        self.ready = alive().filter(|entry| entry.used_before.is_some()).count();
        self.alive = alive().count();
        self.next_change = Timestamp(next);
        self.view = None;
    }

    fn create(&mut self, now: Timestamp, count: usize) {
        for _ in 0..count {
            let ordinal = match self.kind {
                WorkloadKind::StatefulSet => Some(self.created),
                _ => None,
            };
            self.create_one(now, ordinal);
        }
    }

    /// Creates a pod. `ordinal`: its number in a StatefulSet.
    fn create_one(&mut self, now: Timestamp, ordinal: Option<u64>) {
        let id = self.created;
        self.created += 1;
        let (running_at, ready_at) = match self.placed {
            true => (NEVER, NEVER),
            false => self.start(now, id),
        };
        let name: Arc<str> = match ordinal {
            Some(ordinal) => format!("{}{ordinal}", self.prefix).into(),
            None => format!("{}{}", self.prefix, random::suffix(self.seed, id)).into(),
        };
        let replaces = self.owed > 0;
        self.owed -= usize::from(replaces);
        self.record_change(Change::Created {
            id,
            name: Arc::clone(&name),
            at: now,
            replaces,
        });
        let ends_at = self.ends_at(running_at);
        self.entries.push(PodEntry {
            id,
            ordinal: ordinal.unwrap_or(id),
            name,
            created: now,
            bound: (!self.placed).then_some(now),
            running_at,
            running: false,
            ready_at,
            ends_at,
            ended: false,
            gone_at: None,
            deletion: None,
            used_before: None,
        });
    }

    fn ends_at(&self, running_at: Timestamp) -> Timestamp {
        let duration = self.duration_ms;
        duration.map_or(NEVER, |duration| running_at.plus(duration))
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
            .filter(|index| self.entries[*index].is_alive())
            .collect();
        order.sort_by_key(|index| {
            let entry = &self.entries[*index];
            let ready = entry.used_before.is_some();
            (entry.bound.is_some(), ready, std::cmp::Reverse(entry.id))
        });
        for index in order.into_iter().take(count) {
            self.delete_entry(index, now, self.grace_ms);
        }
    }

    fn pod(&self, entry: &PodEntry) -> Pod {
        let ready = entry.used_before.is_some() && !entry.ended;
        let (status, since) = match ready {
            true => (Ready::True, entry.ready_at),
            false => (Ready::False, entry.created),
        };
        Pod {
            name: Arc::clone(&entry.name),
            phase: match (entry.ended, entry.running) {
                (true, _) => Phase::Succeeded,
                (false, true) => Phase::Running,
                (false, false) => Phase::Pending,
            },
            ready: Some((status, Some(since))),
            start: entry.bound,
            deletion: entry.deletion,
            requests: Arc::clone(&self.requests),
        }
    }
}

/// Returns the beginning of the names of a workload's pods.
fn prefix(kind: WorkloadKind, name: &str, seed: u64) -> String {
    match kind {
        WorkloadKind::StatefulSet => format!("{name}-"),
        _ => format!("{}-", controller_name(kind, name, seed)),
    }
}

/// Returns the name of the pods' controller. That of a Deployment is a ReplicaSet.
pub fn controller_name(kind: WorkloadKind, name: &str, seed: u64) -> String {
    match kind {
        WorkloadKind::Deployment => {
            let hash = random::draw(&[seed, 1]) % 10_000_000_000;
            format!("{name}-{hash}")
        }
        _ => name.to_owned(),
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
