//! Settings of wasmtime: what policies may use, and what compiled code depends on.

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OperatorCost, PoolingAllocationConfig,
};

/// Maximum core instances of a component. A Rust policy has 3, one in an interpreted
/// language about 20. A composed component has those of all its parts, and an adapter for
/// each pair that calls each other.
const CORE_INSTANCES_PER_COMPONENT: u32 = 64;
const TABLES_PER_COMPONENT: u32 = 32;
/// A composed component has one for each part.
const MEMORIES_PER_COMPONENT: u32 = 4;
/// Maximum elements of a table, for the pool and for guests.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// Bytes of a pool slot that stay resident, so that the next decision causes no page
/// faults: the 9 pages that a policy of the SDK has at first, with its stack of 256 KiB, its
/// heap of 256 KiB and at most 64 KiB of data. Memory beyond them takes fuel: see
/// [`crate::guest`].
pub(crate) const KEEP_RESIDENT_BYTES: usize = 9 << 16;

/// Creates an engine that runs this number of components at a time.
///
/// # Errors
/// If the address space for the pool cannot be reserved.
pub(crate) fn running(concurrency: u32) -> wasmtime::Result<wasmtime::Engine> {
    let strategy = InstanceAllocationStrategy::Pooling(pool(concurrency));
    wasmtime::Engine::new(config().allocation_strategy(strategy))
}

/// Creates an engine that compiles for one of [`running`] and runs nothing: it has no
/// pool.
///
/// # Errors
/// If wasmtime refuses the settings.
pub(crate) fn compiling() -> wasmtime::Result<wasmtime::Engine> {
    wasmtime::Engine::new(config().allocation_strategy(InstanceAllocationStrategy::OnDemand))
}

/// Settings that code depends on: the same for compiling and running.
fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .consume_fuel(true)
        .operator_cost(operator_cost())
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        // Two hosts may differ in the result of a relaxed operation.
        .wasm_relaxed_simd(false)
        // Needed for wasmtime's adapters between components, which copy from one memory
        // to another. `parse` refuses it in the modules of guests.
        .wasm_multi_memory(true)
        .wasm_memory64(false)
        .memory_init_cow(true);
    config
}

/// Returns the fuel that operators take: one unit each, and one for each byte or element of
/// a bulk operation, as by default, but more for those that grow a memory or a table. Each
/// of these calls the host, which may call the kernel. What the kernel does for the pages
/// themselves takes fuel when the guest has ended: see [`crate::guest`].
fn operator_cost() -> OperatorCost {
    let mut cost = OperatorCost::new();
    cost.MemoryGrow = u8::MAX;
    cost.TableGrow = u8::MAX;
    cost.variable.memory_grow_per_page = u8::MAX;
    cost
}

fn pool(concurrency: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    // The holder of a slot finds all it may need: the totals are the number of slots
    // times the maximum for one component.
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
