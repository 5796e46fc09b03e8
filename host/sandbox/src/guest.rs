//! A guest while it runs: its limits and its log.

use flyball_decision::text::readable;
use wasmtime::{AsContextMut as _, ResourceLimiter, Store, StoreContextMut, Trap};

use crate::settings::{KEEP_RESIDENT_BYTES, TABLE_ELEMENTS};

/// Text that a guest may log in one run before it is stopped, in bytes.
const LOG_BYTES: usize = 4 << 20;
const LOG_LINES: usize = 32;
/// Level of errors.
const ERROR: u32 = 1;
const LOG_LINE_BYTES: usize = 512;

/// Fuel of a call of `log`: crossing to the host and back, and taking the line.
const LOG_CALL_FUEL: u64 = 200;
/// Fuel of a byte that is logged: it is copied and checked, and control characters are
/// replaced.
const LOG_BYTE_FUEL: u64 = 1;

/// Bytes of a page of memory.
const PAGE_BYTES: usize = 64 << 10;
/// Fuel of a page that does not stay resident, whether it is declared or grown. For each 4 KiB
/// of it, a single instruction makes the kernel find and clear memory, and take it back later:
/// 150 units, which stand for 750 ns on the slowest supported machine.
const PAGE_FUEL: u64 = 16 * 150;
/// Fuel of an element that a table has at first: it may have to be cleared afterwards.
const ELEMENT_FUEL: u64 = 1;

/// Returns the fuel that logging a message takes.
pub(crate) fn log_fuel(message: &str) -> u64 {
    let bytes = u64::try_from(message.len()).unwrap_or(u64::MAX);
    LOG_CALL_FUEL.saturating_add(bytes.saturating_mul(LOG_BYTE_FUEL))
}

/// Takes fuel for what the host did for the guest. The guest ends if it has less.
pub(crate) fn take_fuel(store: &mut StoreContextMut<'_, Guest>, fuel: u64) -> wasmtime::Result<()> {
    let left = store.get_fuel()?.checked_sub(fuel);
    store.set_fuel(left.unwrap_or_default())?;
    left.map(drop).ok_or_else(|| Trap::OutOfFuel.into())
}

/// Takes the fuel of the memories and tables that the guest has had. They can't take it
/// while it runs, since a limiter has no access to the store's fuel.
pub(crate) fn take_size_fuel(store: &mut Store<Guest>) -> wasmtime::Result<()> {
    let fuel = store.data().size_fuel;
    take_fuel(&mut store.as_context_mut(), fuel)
}

/// Returns the pages of a memory that do not stay resident.
fn pages_beyond_resident(bytes: usize) -> usize {
    bytes
        .saturating_sub(KEEP_RESIDENT_BYTES)
        .div_ceil(PAGE_BYTES)
}

/// Returns the fuel of this number of pages or elements.
fn fuel_of(count: usize, each: u64) -> u64 {
    u64::try_from(count)
        .unwrap_or(u64::MAX)
        .saturating_mul(each)
}

/// State of a store: the guest's limits and its log.
pub(crate) struct Guest {
    memory_limit: usize,
    /// Bytes of memory that it has.
    pub memory: usize,
    /// Fuel of the memories and tables that it has.
    size_fuel: u64,
    /// Whether it wanted more memory than it may have.
    pub wanted_more_memory: bool,
    pub log: Log,
}

impl Guest {
    /// Creates the state of a guest that may have this many bytes of memory.
    pub fn new(memory_bytes: u64) -> Self {
        Self {
            memory_limit: usize::try_from(memory_bytes).unwrap_or(usize::MAX),
            memory: 0,
            size_fuel: 0,
            wanted_more_memory: false,
            log: Log::default(),
        }
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let memory = self.memory.saturating_add(desired.saturating_sub(current));
        if memory > self.memory_limit {
            self.wanted_more_memory = true;
            let limit = self.memory_limit;
            return Err(over_limit(format!(
                "it wants {memory} bytes of memory, the limit is {limit}"
            )));
        }
        self.memory = memory;
        let before = pages_beyond_resident(current);
        let pages = pages_beyond_resident(desired).saturating_sub(before);
        self.size_fuel = self.size_fuel.saturating_add(fuel_of(pages, PAGE_FUEL));
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.wanted_more_memory = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            return Err(over_limit(format!(
                "it wants a table of {desired} elements, the limit is {TABLE_ELEMENTS}"
            )));
        }
        // Growing a table takes fuel for each element already.
        if current == 0 {
            self.size_fuel = self
                .size_fuel
                .saturating_add(fuel_of(desired, ELEMENT_FUEL));
        }
        Ok(true)
    }
}

/// Lines that a guest logged.
#[derive(Default)]
pub(crate) struct Log {
    lines: Vec<(u32, String)>,
    dropped: u64,
    bytes: usize,
}

impl Log {
    /// Adds a line. Too much text stops the guest.
    pub fn push(&mut self, level: u32, mut message: String) -> wasmtime::Result<()> {
        self.bytes = self.bytes.saturating_add(message.len());
        if self.bytes > LOG_BYTES {
            return Err(over_limit(format!("it logged more than {LOG_BYTES} bytes")));
        }
        if self.lines.len() < LOG_LINES {
            readable(&mut message, LOG_LINE_BYTES);
            self.lines.push((level, message));
        } else {
            self.dropped += 1;
        }
        Ok(())
    }

    /// Takes the last line if it is the message of a panic, as the SDK logs it.
    pub fn take_panic(&mut self) -> Option<String> {
        let is_panic =
            |(level, line): &mut (u32, String)| *level == ERROR && line.starts_with("panicked at ");
        let panic = self.lines.pop_if(is_panic);
        panic.map(|(_, line)| line)
    }

    /// Returns the lines with their levels. A last line says how many were dropped.
    pub fn finish(mut self) -> Vec<(u32, String)> {
        if self.dropped > 0 {
            self.lines
                .push((2, format!("{} more lines dropped", self.dropped)));
        }
        self.lines
    }
}

/// The error that ends a guest that wants more than its limits allow.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OverLimit(String);

fn over_limit(message: String) -> wasmtime::Error {
    wasmtime::Error::new(OverLimit(message))
}
