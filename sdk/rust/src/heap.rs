//! Memory of a policy on wasm32.
//!
//! An instance lives for one decision, so blocks are cut off the free end of
//! memory, and one that is given back waits for the next of about its size:
//! nothing is split, joined or searched for. The memory that an instance starts
//! with is used first: growing it costs the host several microseconds.

/// Alignment of every block, and the step of their sizes.
const GRAIN: usize = 8;
/// Four sizes for each power of two.
const CLASSES: usize = 4 * usize::BITS as usize;

/// A heap without the memory: where its free end lies, and the blocks that were
/// given back.
struct Heap {
    /// Begin of the free end; 0: not known yet.
    next: usize,
    end: usize,
    /// The first free block of each class. It holds the address of the next one;
    /// 0: none.
    free: [usize; CLASSES],
}

/// Class of blocks, and their size.
const fn class(size: usize) -> (usize, usize) {
    let last = if size < 2 * GRAIN { 2 * GRAIN } else { size } - 1;
    let power = last.ilog2();
    let quarter = last >> (power - 2);
    let rounded = (quarter + 1) << (power - 2);
    let class = 4 * power as usize + (quarter & 3);
    (class, rounded.next_multiple_of(GRAIN))
}

/// What [`class`] can take without an overflow: more than there ever is.
const LARGEST: usize = isize::MAX as usize / 2;

#[allow(unsafe_code, reason = "free blocks are linked through themselves")]
impl Heap {
    const fn new() -> Self {
        Self {
            next: 0,
            end: 0,
            free: [0; CLASSES],
        }
    }

    /// Returns a block's address. `grow` adds at least so many bytes, and returns where
    /// they begin and end, or `None` if there is no more memory.
    ///
    /// # Safety
    /// What `grow` returned must be memory that nobody else uses.
    unsafe fn take(
        &mut self,
        size: usize,
        align: usize,
        grow: impl FnOnce(usize) -> Option<(usize, usize)>,
    ) -> Option<usize> {
        if size > LARGEST {
            return None;
        }
        let (class, size) = class(size);
        let first = self.free[class];
        if first != 0 && first.is_multiple_of(align) {
            // SAFETY: a free block of this heap, and its first word is the link.
            self.free[class] = unsafe { *(first as *const usize) };
            return Some(first);
        }
        let align = align.max(GRAIN);
        let block = self.next.next_multiple_of(align);
        if block.checked_add(size)? <= self.end {
            self.next = block + size;
            return Some(block);
        }
        let (begin, end) = grow(size + align)?;
        if begin != self.end {
            self.next = begin;
        }
        self.end = end;
        let block = self.next.next_multiple_of(align);
        self.next = block + size;
        Some(block)
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// It must be one of this heap's, of that size.
    unsafe fn give_back(&mut self, block: usize, size: usize) {
        let (class, size) = class(size);
        if block + size == self.next {
            self.next = block;
            return;
        }
        // SAFETY: nobody uses the block, and the smallest has room for a link.
        unsafe { *(block as *mut usize) = self.free[class] };
        self.free[class] = block;
    }

    /// Makes a block larger or smaller where it is, if that can be.
    fn resize(&mut self, block: usize, old: usize, new: usize) -> bool {
        if new > LARGEST {
            return false;
        }
        let ((_, old), (_, new)) = (class(old), class(new));
        if block + old != self.next {
            // Cutting off a part would lose it: nothing is split.
            return new == old;
        }
        let fits = block + new <= self.end;
        if fits {
            self.next = block + new;
        }
        fits
    }
}

#[cfg(target_arch = "wasm32")]
#[allow(
    unsafe_code,
    reason = "there is no safe way to be the global allocator"
)]
mod global {
    use core::alloc::{GlobalAlloc, Layout};
    use core::arch::wasm32::{memory_grow, memory_size};
    use core::cell::UnsafeCell;
    use core::ptr;

    use super::Heap;

    const PAGE: usize = 64 << 10;
    /// Pages that memory grows by at least.
    const STEP: usize = 8;

    struct Global(UnsafeCell<Heap>);

    // SAFETY: wasm32 without atomics has no threads.
    unsafe impl Sync for Global {}

    #[global_allocator]
    static GLOBAL: Global = Global(UnsafeCell::new(Heap::new()));

    unsafe extern "C" {
        /// Where the linker's data ends.
        static __heap_base: u8;
    }

    impl Global {
        #[allow(clippy::mut_from_ref, reason = "one thread, and no call within a call")]
        fn heap(&self) -> &mut Heap {
            // SAFETY: no reference outlives a call of the allocator.
            unsafe { &mut *self.0.get() }
        }
    }

    /// The memory that there is from the start, then more of it.
    fn grow(is_first: bool, bytes: usize) -> Option<(usize, usize)> {
        let begin = (&raw const __heap_base).addr();
        let end = memory_size(0) * PAGE;
        if is_first && end.checked_sub(begin)? >= bytes {
            return Some((begin, end));
        }
        let pages = bytes.div_ceil(PAGE).max(STEP);
        let before = memory_grow(0, pages);
        (before != usize::MAX).then(|| (before * PAGE, (before + pages) * PAGE))
    }

    // SAFETY: blocks are disjoint, of the size and the alignment asked for, and
    // lie in memory that only this heap hands out.
    unsafe impl GlobalAlloc for Global {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let heap = self.heap();
            let is_first = heap.next == 0;
            // SAFETY: the linker and `memory_grow` give memory to nobody else.
            let block =
                unsafe { heap.take(layout.size(), layout.align(), |bytes| grow(is_first, bytes)) };
            block.map_or(ptr::null_mut(), |block| block as *mut u8)
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: the caller's promise.
            unsafe { self.heap().give_back(block.addr(), layout.size()) };
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if self.heap().resize(block.addr(), layout.size(), size) {
                return block;
            }
            // SAFETY: the caller's promise; both blocks have room for what is copied.
            unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                new
            }
        }
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "the heap is made of memory of the test's own")]
mod tests {
    use super::{GRAIN, Heap, class};

    #[test]
    fn a_class_is_never_smaller_than_what_is_asked_for() {
        let mut last = (0, 0);
        for size in 1..100_000 {
            let (class, rounded) = class(size);
            assert!(rounded >= size && rounded % GRAIN == 0, "{size}: {rounded}");
            assert!(
                rounded <= 24 || rounded - size <= size / 4 + GRAIN,
                "{size}: {rounded}"
            );
            assert!(
                class == last.0 || (class > last.0 && size > last.1),
                "{size}"
            );
            last = (class, size);
        }
    }

    /// Blocks are taken, resized and given back in an order without an order; each
    /// one keeps what was written into it, and what is given back is used again.
    #[test]
    fn blocks_are_disjoint_and_used_again() {
        const WORDS: usize = 1 << 17;
        let mut memory = vec![0_u64; WORDS];
        let begin = memory.as_mut_ptr() as usize;
        let mut heap = Heap::new();
        let mut blocks: Vec<(usize, usize, u8)> = Vec::new();
        let mut has_grown = false;
        let mut random = 1_u64;
        for round in 0..20_000_u32 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let number = (random >> 33) as usize;
            if blocks.len() < 64 {
                let align = if number.is_multiple_of(100) { 64 } else { 8 };
                let size = 1 + number % 3_000;
                // SAFETY: the memory is the test's, and handed out once.
                let block = unsafe {
                    heap.take(size, align, |_| {
                        assert!(!std::mem::replace(&mut has_grown, true), "there is room");
                        Some((begin, begin + WORDS * 8))
                    })
                };
                let block = block.expect("there is room");
                assert_eq!(block % align, 0);
                let mark = round as u8;
                // SAFETY: a block of that size, of this test alone.
                unsafe { (block as *mut u8).write_bytes(mark, size) };
                blocks.push((block, size, mark));
            } else {
                let (block, size, mark) = blocks.swap_remove(number % 64);
                // SAFETY: written above, and not given back yet.
                let bytes = unsafe { std::slice::from_raw_parts(block as *const u8, size) };
                assert!(bytes.iter().all(|byte| *byte == mark));
                if heap.resize(block, size, size / 2 + 1) {
                    // SAFETY: one of this heap's, of that size now.
                    unsafe { heap.give_back(block, size / 2 + 1) };
                } else {
                    // SAFETY: one of this heap's.
                    unsafe { heap.give_back(block, size) };
                }
            }
        }
    }
}
