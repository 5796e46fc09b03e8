//! Schedule of the replica loop: due times, and the state of each object between
//! decisions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::PAUSE_MS;
use super::cached_decision::CachedDecision;
use super::ready::ReadyByNamespace;
use crate::memory::ObjectMemory;
use crate::observe::{Columns, Prepared};
use crate::options::ReplicaOptions;
use crate::ports::Autoscaler;
use crate::spec::Mode;
use flyball_decision::key::ObjectKey;
use flyball_decision::memory::StateStore;
use flyball_decision::time::Timestamp;

/// All objects, by uid.
#[derive(Default)]
pub(super) struct Schedule {
    entries: Vec<Entry>,
    /// Slot of each object in `entries`, by uid.
    slots: HashMap<Arc<str>, usize>,
    /// Counts the calls of [`Schedule::due`], to find objects that are gone.
    look: u64,
    gone: Vec<ObjectKey>,
    /// Number of turns so far.
    turns: u64,
    ready: ReadyByNamespace,
    /// Rows of the columns that are kept.
    rows_in: Sums,
}

/// Sums by namespace.
#[derive(Default)]
struct Sums(BTreeMap<Arc<str>, i64>);

/// State of an object between decisions.
pub(super) struct Entry {
    /// metadata.uid.
    pub uid: Arc<str>,
    /// Its prepared spec.
    pub prepared: Prepared,
    /// Its columns, shared with its records.
    pub columns: Columns,
    /// Memory of its earlier decisions.
    pub memory: ObjectMemory,
    /// Another autoscaler that would write the same target.
    pub conflict: Option<ObjectKey>,
    /// The last decision, if it need not be made again until something changes.
    pub cached_decision: Option<CachedDecision>,
    key: ObjectKey,
    /// Ready replicas, as last observed less what was removed since; 0 if the target is not
    /// written.
    ready: i32,
    /// Rows of what is kept of it, as counted in its namespace.
    rows_kept: i64,
    /// Rows of its last observation; 0 if there was none.
    pub rows_observed: usize,
    generation: i64,
    due: Timestamp,
    /// Fuel of its last decision. `None` if there was none.
    fuel: Option<u64>,
    /// Its turn, if that was put off.
    put_off: Option<Turn>,
    look: u64,
}

/// A turn of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// Number of the turn among those of all objects: the order in which they are taken.
    number: u64,
    /// When the object was due.
    pub since: Timestamp,
    /// Whether it was put off.
    pub was_put_off: bool,
    /// When it is taken if it was put off.
    again: Timestamp,
}

impl Schedule {
    /// Returns the objects that are due: first those whose turn was put off, in the order
    /// of their turns, then the others in the order of the list. Sets their next turn to
    /// one sync period later. Each has its slot, which is valid until the next call. New
    /// and changed objects are due at once. Forgets objects that are not in the list.
    pub(super) fn due(
        &mut self,
        now: Timestamp,
        autoscalers: Vec<Arc<Autoscaler>>,
        options: &ReplicaOptions,
        store: &dyn StateStore,
    ) -> Vec<(Arc<Autoscaler>, usize, Turn)> {
        self.look += 1;
        let mut changed = false;
        for autoscaler in &autoscalers {
            changed |= self.look_at(now, autoscaler, options, store);
        }
        if self.entries.len() > autoscalers.len() || changed {
            self.drop_gone(store);
            self.find_conflicts(&autoscalers);
        }
        let due = autoscalers.into_iter().filter_map(|autoscaler| {
            let slot = *self.slots.get(&autoscaler.uid)?;
            let entry = self.entries.get_mut(slot)?;
            let is_due = entry.take_turn(now, options.sync_period_ms);
            if let Some(turn) = entry.put_off {
                return turn.is_up(now).then(|| {
                    entry.put_off = None;
                    (autoscaler, slot, turn)
                });
            }
            self.turns += u64::from(is_due);
            let turn = Turn {
                number: self.turns,
                since: now,
                was_put_off: false,
                again: now,
            };
            is_due.then_some((autoscaler, slot, turn))
        });
        let mut due: Vec<_> = due.collect();
        if !due.is_sorted_by_key(|(_, _, turn)| turn.number) {
            due.sort_by_key(|(_, _, turn)| turn.number);
        }
        due
    }

    /// Puts an object's turn off until the first call of [`Self::due`] from `again` on.
    pub(super) fn put_off(&mut self, slot: usize, turn: Turn, again: Timestamp) {
        if let Some(entry) = self.entries.get_mut(slot) {
            entry.put_off = Some(Turn {
                was_put_off: true,
                again,
                ..turn
            });
        }
    }

    /// Returns the objects that are gone, each once.
    pub(super) fn take_gone(&mut self) -> Vec<ObjectKey> {
        std::mem::take(&mut self.gone)
    }

    /// Returns the ready replicas of all objects together.
    pub(super) fn ready(&self) -> i64 {
        self.ready.all()
    }

    /// Returns the ready replicas of the objects of a namespace.
    pub(super) fn ready_in(&self, namespace: &str) -> i64 {
        self.ready.of(namespace)
    }

    /// Sets the ready replicas of an object's target.
    pub(super) fn set_ready(&mut self, slot: usize, ready: i32) {
        if let Some(entry) = self.entries.get_mut(slot) {
            let change = i64::from(ready) - i64::from(std::mem::replace(&mut entry.ready, ready));
            self.ready.add(&entry.key.namespace, change);
        }
    }

    /// Limits the ready replicas of each namespace to its ready pods.
    pub(super) fn limit_ready(&mut self, ready_pods: impl Fn(&str) -> usize) {
        self.ready.limit(ready_pods);
    }

    /// Counts the rows of what is kept of an object. If its namespace then has more than its
    /// limit, the columns are dropped: the next decision makes them anew.
    pub(super) fn keep_columns(&mut self, slot: usize, limit: impl FnOnce() -> usize) {
        let Some(entry) = self.entries.get_mut(slot) else {
            return;
        };
        let (namespace, kept) = (&entry.key.namespace, entry.rows_kept);
        let rows = i64::try_from(entry.rows()).unwrap_or(i64::MAX);
        if rows == kept {
            return;
        }
        self.rows_in.add(namespace, rows - kept);
        entry.rows_kept = rows;
        let limit = i64::try_from(limit()).unwrap_or(i64::MAX);
        if rows > kept && self.rows_in.get(namespace) > limit {
            self.rows_in.add(namespace, -rows);
            entry.drop_columns();
        }
    }

    /// Returns the entry in a slot.
    pub(super) fn entry(&mut self, slot: usize) -> Option<&mut Entry> {
        self.entries.get_mut(slot)
    }

    fn entry_of(&mut self, uid: &Arc<str>) -> Option<&mut Entry> {
        self.entries.get_mut(*self.slots.get(uid)?)
    }

    /// Returns when the next object is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let due = |entry: &Entry| entry.put_off.map_or(entry.due, |turn| turn.again);
        self.entries.iter().map(due).min()
    }

    /// Adds or updates an object. Returns whether it is new or its spec changed.
    fn look_at(
        &mut self,
        now: Timestamp,
        seen: &Autoscaler,
        options: &ReplicaOptions,
        store: &dyn StateStore,
    ) -> bool {
        let known = self.slots.get(&seen.uid).copied();
        if let Some(slot) = known
            && let Some(entry) = self.entries.get_mut(slot)
        {
            entry.look = self.look;
            if entry.is_of(seen) {
                return false;
            }
            let prepared = Prepared::new(seen, options).gated(options);
            let other_target = prepared.target != entry.prepared.target;
            if other_target {
                // What was remembered of another target does not apply to this one.
                entry.memory = ObjectMemory::default();
                store.forget(&seen.uid);
            }
            entry.prepared = prepared;
            self.rows_in.add(&entry.key.namespace, -entry.rows_kept);
            entry.drop_columns();
            entry.rows_observed = 0;
            entry.generation = seen.generation;
            entry.due = now;
            if other_target {
                self.set_ready(slot, 0);
            }
            return true;
        }
        let prepared = Prepared::new(seen, options).gated(options);
        let kept = store.load(&seen.uid);
        let entry = Entry {
            columns: Columns::new(&prepared),
            memory: kept
                .map(|kept| ObjectMemory::restored(&kept, &prepared.target))
                .unwrap_or_default(),
            prepared,
            uid: Arc::clone(&seen.uid),
            conflict: None,
            cached_decision: None,
            key: seen.key.clone(),
            ready: 0,
            rows_kept: 0,
            rows_observed: 0,
            generation: seen.generation,
            due: now,
            fuel: None,
            put_off: None,
            look: self.look,
        };
        self.slots.insert(Arc::clone(&seen.uid), self.entries.len());
        self.entries.push(entry);
        true
    }

    fn drop_gone(&mut self, store: &dyn StateStore) {
        let look = self.look;
        let gone = self.entries.extract_if(.., |entry| entry.look != look);
        let mut gone: Vec<_> = gone.collect();
        if gone.is_empty() {
            return;
        }
        let entries = self.entries.iter().enumerate();
        let slots = entries.map(|(slot, entry)| (Arc::clone(&entry.uid), slot));
        self.slots = slots.collect();
        gone.sort_by(|a, b| a.uid.cmp(&b.uid));
        for entry in gone {
            store.forget(&entry.uid);
            let namespace = &entry.key.namespace;
            self.ready.add(namespace, -i64::from(entry.ready));
            self.rows_in.add(namespace, -entry.rows_kept);
            self.gone.push(entry.key);
        }
    }

    /// Finds autoscalers that would write the same target, and sets another one of them
    /// as the conflict of each.
    fn find_conflicts(&mut self, autoscalers: &[Arc<Autoscaler>]) {
        let mut writers: BTreeMap<_, Vec<&Arc<Autoscaler>>> = BTreeMap::new();
        for autoscaler in autoscalers {
            if let Some(entry) = self.entry_of(&autoscaler.uid) {
                entry.conflict = None;
            }
            if autoscaler.spec.mode == Mode::Active {
                let reference = &autoscaler.spec.scale_target_ref;
                let target = (
                    &autoscaler.key.namespace,
                    reference.group(),
                    &reference.kind,
                    &reference.name,
                );
                writers.entry(target).or_default().push(autoscaler);
            }
        }
        for writers in writers.into_values().filter(|writers| writers.len() > 1) {
            for (index, writer) in writers.iter().enumerate() {
                let other = &writers[usize::from(index == 0)];
                if let Some(entry) = self.entry_of(&writer.uid) {
                    entry.conflict = Some(other.key.clone());
                }
            }
        }
    }
}

impl Turn {
    /// Returns whether a turn that was put off is to be taken.
    fn is_up(&self, now: Timestamp) -> bool {
        // A time that is further away means that the clock was set back.
        self.again <= now || self.again > now.plus(PAUSE_MS)
    }
}

impl Sums {
    fn get(&self, namespace: &str) -> i64 {
        self.0.get(namespace).copied().unwrap_or_default()
    }

    fn add(&mut self, namespace: &Arc<str>, change: i64) {
        if change == 0 {
            return;
        }
        let sum = self.0.entry(Arc::clone(namespace)).or_default();
        *sum += change;
        if *sum == 0 {
            self.0.remove(namespace);
        }
    }
}

impl Entry {
    /// Returns the rows of what is kept until the next decision.
    fn rows(&self) -> usize {
        let cached = self.cached_decision.as_ref();
        self.columns.rows() + cached.map_or(0, CachedDecision::rows_of_texts)
    }

    /// Drops the columns, and with them the cached decision, which is about them.
    fn drop_columns(&mut self) {
        self.columns = Columns::new(&self.prepared);
        self.cached_decision = None;
        self.rows_kept = 0;
    }

    /// Returns whether the entry was prepared from this spec. Compares the specs too,
    /// because objects of some kinds have no generation.
    fn is_of(&mut self, seen: &Autoscaler) -> bool {
        let known = &self.prepared.spec;
        let same = self.generation == seen.generation
            && (Arc::ptr_eq(known, &seen.spec) || **known == *seen.spec);
        if same {
            self.prepared.spec = Arc::clone(&seen.spec);
        }
        same
    }

    /// Returns whether the object is due. If so, sets its next turn.
    fn take_turn(&mut self, now: Timestamp, period_ms: i64) -> bool {
        // A due time more than a period from now means that the clock was set back: due
        // now.
        if now < self.due && self.due <= now.plus(period_ms) {
            return false;
        }
        // Counted from the time it was due, so that a late tick does not shift the next
        // one. A missed turn is not made up for.
        let next = self.due.plus(period_ms);
        self.due = if now < next && next <= now.plus(period_ms) {
            next
        } else {
            now.plus(period_ms)
        };
        true
    }

    /// Returns the fuel that a decision about it is expected to take: that of the last one.
    /// None is, as long as a cached decision may still be valid. `None` if nothing was
    /// decided yet.
    pub(super) fn expected_fuel(&self) -> Option<u64> {
        match self.cached_decision {
            Some(_) => Some(0),
            None => self.fuel,
        }
    }

    /// Sets the fuel that the last decision took.
    pub(super) fn took_fuel(&mut self, fuel: u64) {
        self.fuel = Some(fuel);
    }

    /// Brings the next turn forward to when the cached decision ends.
    pub(super) fn wake_when_cache_ends(&mut self) {
        if let Some(cached) = &self.cached_decision {
            self.due = self.due.min(cached.until);
        }
    }

    /// Brings the next turn forward to `ms` from now.
    pub(super) fn hasten(&mut self, now: Timestamp, ms: u64) {
        self.due = self
            .due
            .min(now.plus(i64::try_from(ms).unwrap_or(i64::MAX)));
    }
}
