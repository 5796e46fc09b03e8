//! The engine all policies run on: how Wasm is compiled and confined.
//!
//! One engine serves a process. It knows nothing of policies and of the contract:
//! see [`crate::CompiledPolicy`].

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flyball_core::policy::Budget;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::cache::Cache;
use crate::compile::{Compiler, CompilerOptions};
use crate::error::EngineError;

/// Length of an epoch, in milliseconds.
const TICK_MS: u64 = 10;

/// Units of fuel that the slowest machine worth supporting burns in a
/// millisecond: 5 ns a unit, where 1 ns and less is usual. The wall-clock
/// backstop is derived from it, so that fuel is always what ends a loop.
const SLOWEST_FUEL_PER_MS: u64 = 200_000;

/// How far the backstop lies above the time that the fuel takes.
const BACKSTOP_FACTOR: u64 = 20;

/// Core instances of one component: a Rust policy has 3, one in an interpreted
/// language some 20; where components are composed, all of theirs count, and an adapter
/// for each pair that calls each other.
const CORE_INSTANCES_PER_COMPONENT: u32 = 64;
const TABLES_PER_COMPONENT: u32 = 32;
/// Each of the components that one is composed of has one.
const MEMORIES_PER_COMPONENT: u32 = 4;
/// Elements of a table: what the pool has room for, and what a guest may ask for.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// Memory that a slot of the pool keeps, so that the next decision finds its
/// pages in place.
const KEEP_RESIDENT_BYTES: usize = 512 << 10;

/// The default budget of a decision: generous for a policy compiled from Rust (the
/// built-in `hpa` spends some 110 units a pod).
pub const DEFAULT_BUDGET: Budget = Budget {
    fuel_base: 5_000_000,
    fuel_per_row: 10_000,
    memory_bytes: 16 << 20,
    time_ms: 1_000,
};

/// What an [`Engine`] is made with.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Decisions that can be under way at once; more wait for their turn.
    pub concurrency: u32,
    /// Private directory for compiled code. With `None` every start compiles anew.
    pub cache_directory: Option<PathBuf>,
    /// How policies are compiled that are not built in. `None` compiles them in this
    /// process, without any limit: for components that are trusted not to harm it.
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
    /// Sets the engine up and starts its clock, a thread that ends with the
    /// engine's last clone.
    ///
    /// # Errors
    /// When the address space for the pool cannot be reserved, the thread not be
    /// started, or the cache directory not be made private.
    pub fn new(options: &EngineOptions) -> Result<Self, EngineError> {
        let concurrency = options.concurrency.max(1);
        let strategy = InstanceAllocationStrategy::Pooling(pool(concurrency));
        let inner = wasmtime::Engine::new(config().allocation_strategy(strategy))
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

    /// Waits for a slot of the pool. It must outlive the store that uses it.
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
    /// Threads that wait for a slot: waking costs a system call even if nobody waits.
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

/// Fuel for a decision on so many rows.
pub(crate) fn fuel(budget: &Budget, rows: u64) -> u64 {
    budget
        .fuel_base
        .saturating_add(budget.fuel_per_row.saturating_mul(rows))
}

/// When a decision with so much fuel is interrupted, in milliseconds: after the
/// budget's time, or [`BACKSTOP_FACTOR`] times what the fuel can take, whichever
/// is later, and never within ten epochs, which are the clock's grain.
pub(crate) fn backstop_ms(budget: &Budget, fuel: u64) -> u64 {
    let fuel_ms = fuel
        .div_ceil(SLOWEST_FUEL_PER_MS)
        .saturating_mul(BACKSTOP_FACTOR);
    budget.time_ms.max(fuel_ms).max(10 * TICK_MS)
}

/// The backstop in epochs; one is added because the first one has begun already.
pub(crate) fn epochs(budget: &Budget, fuel: u64) -> u64 {
    backstop_ms(budget, fuel)
        .div_ceil(TICK_MS)
        .saturating_add(1)
}

/// An engine that compiles for [`Engine`] and runs nothing: it keeps no pool.
///
/// # Errors
/// When wasmtime refuses its set-up.
pub(crate) fn compiling() -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(config().allocation_strategy(InstanceAllocationStrategy::OnDemand))
}

/// What code depends on: the same for whoever compiles and whoever runs it.
fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        // Two hosts may differ in the result of a relaxed operation.
        .wasm_relaxed_simd(false)
        // For the adapters that wasmtime makes between components, which copy from one
        // memory to the other. `parse` refuses it in the modules of guests.
        .wasm_multi_memory(true)
        .wasm_memory64(false)
        .memory_init_cow(true);
    config
}

fn pool(concurrency: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // Whoever holds a slot finds all it may need: the totals are the slots
    // times the most that one component may take.
    pool.total_component_instances(concurrency)
        .total_core_instances(concurrency.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(concurrency.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(concurrency.saturating_mul(TABLES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}

fn start_clock(engine: &wasmtime::Engine) -> Result<(), EngineError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("flyball-epochs".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(Duration::from_millis(TICK_MS));
            }
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
        compiling, fuel,
    };

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
