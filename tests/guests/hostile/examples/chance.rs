//! Looks for chance where a program can: in addresses, in memory that it did not
//! write, in the bits of NaN and in the order of a hash map.

use std::collections::HashMap;

use hostile::{Context, Decision, Error, Input, Policy, decision, reason};

struct Guest;

/// Sums memory that was grown and never written.
fn unwritten() -> u64 {
    const PAGE: usize = 65536;
    let page = std::arch::wasm32::memory_grow(0, 1);
    if page == usize::MAX {
        return 0;
    }
    let start = (page * PAGE) as *const u8;
    // SAFETY: the page was just grown, and a page has 65536 bytes.
    (0..PAGE)
        .map(|at| u64::from(unsafe { start.add(at).read_volatile() }))
        .sum()
}

impl Policy for Guest {
    fn decide(_: Context, _: Input) -> Result<Decision, Error> {
        let nothing = std::hint::black_box(0.0f64);
        let on_stack = &raw const nothing as usize;
        let on_heap = Box::into_raw(Box::new(nothing)) as usize;
        let nan = std::hint::black_box(-(nothing / nothing)).to_bits();
        let map: HashMap<u32, u32> = (0..16).map(|n| (n, n)).collect();
        let order: Vec<_> = map.into_keys().collect();
        let unwritten = unwritten();
        let found = format!("{on_stack} {on_heap} {nan:x} {unwritten} {order:?}");
        Ok(Decision {
            reason: reason(&found),
            ..decision(Some(3))
        })
    }
}

hostile::export!(Guest);
