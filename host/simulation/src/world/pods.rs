//! The pods of a workload, from creation to removal: what the Deployment's
//! controllers, the scheduler and the kubelets do together.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_core::pods::{Container, Phase, Pod, PodRequests, Ready};
use flyball_core::time::Timestamp;

use super::meter::Usage;
use crate::random;
use crate::scenario::{Startup, WorkloadSpec};

/// The letters of generated names: without vowels, as Kubernetes has them.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Number of names with five of these letters.
const NAMES: u64 = 27u64.pow(5);

/// The pods of a workload.
#[derive(Debug)]
pub struct Pods {
    seed: u64,
    prefix: String,
    startup: Startup,
    grace_ms: i64,
    requests: Arc<PodRequests>,
    /// Oldest first.
    entries: Vec<Entry>,
    created: u64,
    ready: usize,
    /// Not deleted.
    alive: usize,
    /// When time alone changes something next.
    next_change: Timestamp,
    view: Option<Arc<[Pod]>>,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Counts the pods of the workload.
    pub id: u64,
    /// Name.
    pub name: Arc<str>,
    /// When created.
    pub created: Timestamp,
    /// When it comes to run.
    pub running_at: Timestamp,
    /// Whether it runs.
    pub running: bool,
    /// When Ready.
    pub ready_at: Timestamp,
    /// When it will be gone, if deleted.
    pub gone_at: Option<Timestamp>,
    /// When deleted.
    pub deletion: Option<Timestamp>,
    /// What a Ready pod had used by the time this one became Ready.
    pub used_before: Option<Usage>,
}

impl Pods {
    /// No pods yet.
    pub fn new(spec: &WorkloadSpec, name: &str, seed: u64) -> Self {
        let hash = random::draw(&[seed, 1]) % 10_000_000_000;
        Self {
            seed,
            prefix: format!("{name}-{hash}-"),
            startup: spec.pod.startup,
            grace_ms: spec.pod.grace_period.map_or(5_000, |grace| grace.0),
            requests: Arc::new(requests(spec, name)),
            entries: Vec::new(),
            created: 0,
            ready: 0,
            alive: 0,
            next_change: Timestamp(i64::MAX),
            view: None,
        }
    }

    /// Pods that are Ready and not deleted: those that serve.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Pods that are not deleted: status.replicas.
    pub fn alive(&self) -> usize {
        self.alive
    }

    /// All pods, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Pods that were Ready long before `now`.
    pub fn create_ready(&mut self, now: Timestamp, count: usize) {
        let hour = 3_600_000;
        self.create(now.plus(-hour), count);
        for entry in &mut self.entries {
            entry.ready_at = entry.ready_at.min(now);
            entry.running_at = entry.running_at.min(now);
        }
        self.pass(now, Usage::default());
    }

    /// Lets time pass until `now`, and has `replicas` pods from then on. `used`
    /// is what a Ready pod has used by now.
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

    /// Some pods, chosen by chance, are gone at once.
    pub fn kill(&mut self, now: Timestamp, count: u32, used: Usage) {
        for number in 0..count {
            if self.entries.is_empty() {
                break;
            }
            let seed = [self.seed, 2, now.0.cast_unsigned(), u64::from(number)];
            let chosen = random::draw(&seed) % self.entries.len() as u64;
            // Less than the length.
            self.entries.remove(chosen as usize);
        }
        self.pass(now, used);
    }

    /// The pods as the API server shows them.
    pub fn view(&mut self) -> Arc<[Pod]> {
        if let Some(view) = &self.view {
            return Arc::clone(view);
        }
        let pods = self.entries.iter().map(|entry| self.pod(entry));
        Arc::clone(self.view.insert(pods.collect()))
    }

    /// Changes what time changes by `now`, and counts anew.
    fn pass(&mut self, now: Timestamp, used: Usage) {
        self.entries
            .retain(|entry| entry.gone_at.is_none_or(|gone| gone > now));
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
            let chance = 2.0 * random::unit(random::draw(&[self.seed, 3, id])) - 1.0;
            let late = (chance * self.startup.jitter.0 as f64).round() as i64;
            let running_at = now.plus(self.startup.mean.0 + late);
            self.entries.push(Entry {
                id,
                name: format!("{}{}", self.prefix, suffix(self.seed, id)).into(),
                created: now,
                running_at,
                running: false,
                ready_at: running_at.plus(self.startup.readiness_delay.0),
                gone_at: None,
                deletion: None,
                used_before: None,
            });
        }
    }

    /// Deletes in the order of a ReplicaSet: what is not Ready first, then the
    /// youngest.
    fn delete(&mut self, now: Timestamp, count: usize) {
        let mut order: Vec<usize> = (0..self.entries.len())
            .filter(|index| self.entries[*index].deletion.is_none())
            .collect();
        order.sort_by_key(|index| {
            let entry = &self.entries[*index];
            (entry.used_before.is_some(), std::cmp::Reverse(entry.id))
        });
        for index in order.into_iter().take(count) {
            let entry = &mut self.entries[index];
            entry.deletion = Some(now);
            entry.gone_at = Some(now.plus(self.grace_ms));
        }
    }

    fn pod(&self, entry: &Entry) -> Pod {
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
            start: Some(entry.created),
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

/// Five letters, others for each `id` (until all names are used up).
fn suffix(seed: u64, id: u64) -> String {
    // Odd and no multiple of 3: each id comes to a number of its own.
    let number = (seed % NAMES + id % NAMES * 7_654_321) % NAMES;
    let letters = (0..5).map(|place| (number / 27u64.pow(place)) % 27);
    letters
        .map(|letter| ALPHABET[letter as usize] as char)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::suffix;

    #[test]
    fn no_two_pods_share_a_name() {
        let names: BTreeSet<String> = (0..100_000).map(|id| suffix(42, id)).collect();
        assert_eq!(names.len(), 100_000);
    }
}
