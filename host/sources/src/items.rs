//! Items of a response, of which there is a limited number: an item takes many times the
//! memory of its text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Maximum number of items of a response: pods or values.
pub(crate) const MAX_ITEMS: usize = 25_000;

/// Maximum number of labels, containers and amounts in the items of a response.
pub(crate) const MAX_PARTS: usize = 500_000;

/// Maximum size of an item in bytes.
const MAX_ITEM: usize = 256 << 10;

/// Maximum size of the error of an item that can't be read, in bytes.
pub(crate) const PROBLEM: usize = 256;

/// An item of a response.
pub(crate) trait Item: Sized {
    /// Reads an item.
    ///
    /// # Errors
    /// If the whole response can't be read because of it.
    fn read(text: &str) -> serde_json::Result<Self>;

    /// Returns the number of labels, containers and amounts.
    fn parts(&self) -> usize;
}

/// Reads the items of a response.
///
/// # Errors
/// If there are too many, they have too many parts, or one is too large.
pub(crate) fn items<'de, D: Deserializer<'de>, T: Item>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(Items(PhantomData))
}

struct Items<T>(PhantomData<T>);

impl<'de, T: Item> Visitor<'de> for Items<T> {
    type Value = Vec<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut read = Vec::new();
        let mut parts = 0_usize;
        // As text, which takes less memory than what it may have besides.
        while let Some(text) = items.next_element::<Box<RawValue>>()? {
            if read.len() == MAX_ITEMS {
                return Err(A::Error::custom(format!(
                    "it has more than {MAX_ITEMS} items"
                )));
            }
            if text.get().len() > MAX_ITEM {
                let number = read.len();
                let limit = MAX_ITEM >> 10;
                return Err(A::Error::custom(format!(
                    "item {number} has more than {limit} KiB"
                )));
            }
            let item = T::read(text.get()).map_err(A::Error::custom)?;
            parts = parts.saturating_add(item.parts());
            if parts > MAX_PARTS {
                return Err(A::Error::custom(format!(
                    "its items have more than {MAX_PARTS} labels, containers and amounts"
                )));
            }
            read.push(item);
        }
        Ok(read)
    }
}
