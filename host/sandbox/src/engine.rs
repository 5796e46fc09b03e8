//! The wasmtime engine that runs all policies: its slots, clock, cache and compiler.
//!
//! One engine serves a process. It does not depend on policies and the contract: see
//! [`crate::CompiledPolicy`].

mod load;

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cache::Cache;
use crate::compile::{Compiler, CompilerOptions};
use crate::error::EngineError;
use crate::settings;
use flyball_decision::policy::Budget;
use flyball_tasks::{idle, watch_thread};

/// Length of an epoch, in milliseconds.
const TICK_MS: u64 = 10;

/// Units of fuel that the slowest supported machine burns in a millisecond: 5 ns a unit,
/// where 1 ns or less is usual. The wall-clock backstop is derived from it, so that fuel
/// always ends a loop first.
const SLOWEST_FUEL_PER_MS: u64 = 200_000;

/// Ratio of the backstop to the time that the fuel takes at most.
const BACKSTOP_FACTOR: u64 = 20;

/// The default budget of a decision: generous for a policy compiled from Rust (the
/// built-in `hpa` uses about 110 units a pod).
pub const DEFAULT_BUDGET: Budget = Budget {
    fuel_base: 5_000_000,
    fuel_per_row: 10_000,
    memory_bytes: 16 << 20,
    time_ms: 1_000,
};

/// Options of an [`Engine`].
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Maximum number of concurrent decisions; more wait.
    pub concurrency: u32,
    /// Private directory for compiled code. With `None` code is compiled at every start.
    pub cache_directory: Option<PathBuf>,
    /// How policies that are not built in are compiled. `None` compiles them in this
    /// process without any limit: only for components that are trusted not to harm it.
    pub compiler: Option<CompilerOptions>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            concurrency: 16,
            cache_directory: None,
            compiler: None,
        }
    }
}

/// A wasmtime engine set up for policies, shared by cloning.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    slots: Arc<Slots>,
    cache: Option<Arc<Cache>>,
    compiler: Option<Arc<Compiler>>,
}

impl Engine {
    /// Creates the engine and starts its clock, a thread that ends with the engine's last
    /// clone.
    ///
    /// # Errors
    /// If the address space for the pool cannot be reserved, the thread cannot be
    /// started, or the cache directory cannot be made private.
    pub fn new(options: &EngineOptions) -> Result<Self, EngineError> {
        let concurrency = options.concurrency.max(1);
        let inner = settings::running(concurrency)
            .map_err(|error| EngineError::Setup(format!("{error:#}")))?;
        start_clock(&inner)?;
        let cache = match &options.cache_directory {
            Some(directory) => Some(Arc::new(Cache::open(directory)?)),
            None => None,
        };
        let compiler = match &options.compiler {
            Some(options) => Some(Arc::new(Compiler::start(options.clone())?)),
            None => None,
        };
        let slots = Slots {
            count: Mutex::new(SlotCount {
                free: concurrency,
                waiting: 0,
            }),
            freed: Condvar::new(),
        };
        Ok(Self {
            inner,
            slots: Arc::new(slots),
            cache,
            compiler,
        })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_deref()
    }

    pub(crate) fn shared_cache(&self) -> Option<Arc<Cache>> {
        self.cache.clone()
    }

    pub(crate) fn compiler(&self) -> Option<&Compiler> {
        self.compiler.as_deref()
    }

    /// Waits for a slot of the pool. The slot must outlive the store that uses it.
    pub(crate) fn slot(&self) -> Slot<'_> {
        let mut count = self.slots.count();
        if count.free == 0 {
            count.waiting += 1;
            count = self
                .slots
                .freed
                .wait_while(count, |count| count.free == 0)
                .unwrap_or_else(PoisonError::into_inner);
            count.waiting -= 1;
        }
        count.free -= 1;
        Slot(&self.slots)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

struct Slots {
    count: Mutex<SlotCount>,
    freed: Condvar,
}

struct SlotCount {
    free: u32,
    /// Threads that wait for a slot; lets `drop` skip a needless `notify_one`, which is a
    /// system call.
    waiting: u32,
}

impl Slots {
    fn count(&self) -> MutexGuard<'_, SlotCount> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use the pool for one store.
pub(crate) struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut count = self.0.count();
        count.free += 1;
        if count.waiting > 0 {
            self.0.freed.notify_one();
        }
    }
}

/// Returns the fuel for a decision on this number of rows.
pub(crate) fn fuel(budget: &Budget, rows: u64) -> u64 {
    budget
        .fuel_base
        .saturating_add(budget.fuel_per_row.saturating_mul(rows))
}

/// Returns when a decision with this fuel is interrupted, in milliseconds: after the
/// budget's time or [`BACKSTOP_FACTOR`] times the longest time that the fuel takes,
/// whichever is later, and not within ten epochs, as the clock ticks once an epoch.
pub(crate) fn backstop_ms(budget: &Budget, fuel: u64) -> u64 {
    let fuel_ms = fuel
        .div_ceil(SLOWEST_FUEL_PER_MS)
        .saturating_mul(BACKSTOP_FACTOR);
    budget.time_ms.max(fuel_ms).max(10 * TICK_MS)
}

/// Returns the backstop in epochs, plus one because the first has already begun.
pub(crate) fn epochs(budget: &Budget, fuel: u64) -> u64 {
    backstop_ms(budget, fuel)
        .div_ceil(TICK_MS)
        .saturating_add(1)
}

fn start_clock(engine: &wasmtime::Engine) -> Result<(), EngineError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("flyball-epochs".into())
        .spawn(move || {
            watch_thread("clock of the sandbox", || {
                while let Some(engine) = engine.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    idle(|| std::thread::sleep(Duration::from_millis(TICK_MS)));
                }
            });
        })
        .map(drop)
        .map_err(|error| EngineError::Setup(format!("cannot start the epoch thread: {error}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    use super::{
        BACKSTOP_FACTOR, DEFAULT_BUDGET, Engine, EngineOptions, SLOWEST_FUEL_PER_MS, backstop_ms,
        fuel,
    };
    use crate::settings::compiling;

    #[test]
    fn what_a_child_compiles_fits_the_engine_that_runs_it() {
        let hash = |engine: &wasmtime::Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let engine = Engine::new(&EngineOptions::default()).unwrap();
        assert_eq!(hash(engine.wasmtime()), hash(&compiling().unwrap()));
    }

    #[test]
    fn the_backstop_lies_far_above_the_time_the_fuel_takes() {
        for rows in [0, 10, 1_000, 100_000] {
            let fuel = fuel(&DEFAULT_BUDGET, rows);
            let backstop = backstop_ms(&DEFAULT_BUDGET, fuel);
            assert!(backstop >= DEFAULT_BUDGET.time_ms);
            assert!(backstop * SLOWEST_FUEL_PER_MS >= BACKSTOP_FACTOR * fuel);
        }
    }
}
