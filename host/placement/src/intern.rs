//! Interning: small ids for values that many objects share.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::Name;

/// Id of an interned string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Symbol(u32);

impl Symbol {
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// Interned strings.
#[derive(Default)]
pub(crate) struct Symbols(Table<Name>);

impl Symbols {
    pub(crate) fn intern(&mut self, text: &Name) -> Symbol {
        Symbol(self.0.intern_as(
            text.as_ref(),
            |known: &Name| known.as_ref(),
            || text.clone(),
        ))
    }

    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        self.0.find_as(text, |known| known.as_ref()).map(Symbol)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn text(&self, symbol: Symbol) -> &Name {
        self.0.get(symbol.0)
    }
}

/// Interned values, each stored once, by id.
pub(crate) struct Table<T> {
    hasher: DefaultHashBuilder,
    ids: HashTable<u32>,
    values: Vec<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            ids: HashTable::new(),
            values: Vec::new(),
        }
    }
}

impl<T> Table<T> {
    pub(crate) fn get(&self, id: u32) -> &T {
        &self.values[id as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn intern(&mut self, value: T) -> u32
    where
        T: Hash + Eq,
    {
        let Self {
            hasher,
            ids,
            values,
        } = self;
        let hash = hasher.hash_one(&value);
        if let Some(found) = ids.find(hash, |id| values[*id as usize] == value) {
            return *found;
        }
        let id = number(values.len());
        values.push(value);
        ids.insert_unique(hash, id, |id| hasher.hash_one(&values[*id as usize]));
        id
    }

    /// Interns a value by a borrowed key. `value` is only called for a new key. The key
    /// must hash and compare like the result of `key_of`.
    pub(crate) fn intern_as<Q: Hash + Eq + ?Sized>(
        &mut self,
        key: &Q,
        key_of: impl Fn(&T) -> &Q,
        value: impl FnOnce() -> T,
    ) -> u32 {
        let Self {
            hasher,
            ids,
            values,
        } = self;
        let hash = hasher.hash_one(key);
        if let Some(found) = ids.find(hash, |id| key_of(&values[*id as usize]) == key) {
            return *found;
        }
        let id = number(values.len());
        values.push(value());
        ids.insert_unique(hash, id, |id| {
            hasher.hash_one(key_of(&values[*id as usize]))
        });
        id
    }

    pub(crate) fn find(&self, value: &T) -> Option<u32>
    where
        T: Hash + Eq,
    {
        self.find_as(value, |known| known)
    }

    fn find_as<Q: Hash + Eq + ?Sized>(&self, key: &Q, of: impl Fn(&T) -> &Q) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        let same = |id: &u32| of(&self.values[*id as usize]) == key;
        self.ids.find(hash, same).copied()
    }
}

/// Converts a length or an index to an id. Memory is exhausted long before 32 bits are.
pub(crate) fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
