//! A table that grows by chunks.

/// Number of values in a chunk.
const CHUNK: usize = 512;

/// Values by slot. A removed value's slot is reused.
///
/// Values lie in the table itself, so that reading one takes one step through memory, and
/// stay where they are as the table grows. A `Vec` would move all of them, and take up to
/// twice the memory. Chunks are kept when their values are gone.
#[derive(Debug)]
pub(super) struct Chunks<T> {
    chunks: Vec<Box<[Option<T>]>>,
    /// Number of slots that were ever used.
    end: u32,
    unused: Vec<u32>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            end: 0,
            unused: Vec::new(),
        }
    }
}

impl<T> Chunks<T> {
    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        let (chunk, at) = place(slot);
        self.chunks.get(chunk)?[at].as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (chunk, at) = place(slot);
        self.chunks.get_mut(chunk)?[at].as_mut()
    }

    /// The value of a slot in use. A default one takes the place of a missing one.
    pub(super) fn get_or_default(&mut self, slot: u32) -> &mut T
    where
        T: Default,
    {
        let (chunk, at) = place(slot);
        self.chunks[chunk][at].get_or_insert_with(T::default)
    }

    /// Adds a value. Returns its slot.
    pub(super) fn add(&mut self, value: T) -> u32 {
        let slot = self.unused.pop().unwrap_or_else(|| {
            let slot = self.end;
            self.end = slot.saturating_add(1);
            slot
        });
        let (chunk, at) = place(slot);
        if chunk == self.chunks.len() {
            self.chunks.push((0..CHUNK).map(|_| None).collect());
        }
        self.chunks[chunk][at] = Some(value);
        slot
    }

    /// Removes the value of a slot.
    pub(super) fn remove(&mut self, slot: u32) -> Option<T> {
        let (chunk, at) = place(slot);
        let value = self.chunks.get_mut(chunk)?[at].take()?;
        self.unused.push(slot);
        Some(value)
    }

    /// The values, ordered by slot.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().flatten()
    }

    /// The values, ordered by slot.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flatten().flatten()
    }
}

fn place(slot: u32) -> (usize, usize) {
    let slot = slot as usize;
    (slot / CHUNK, slot % CHUNK)
}
