//! Lists of a status. Whoever may write the status may fill them with as many elements as fit
//! into an object.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

/// Reads the first `MOST` elements of a list. Further elements are skipped and take no memory:
/// an element may take hundreds of times as much as its text.
pub(super) fn first_elements<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(FirstElements::<T, MOST>(PhantomData))
}

struct FirstElements<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for FirstElements<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Vec<T>, A::Error> {
        let mut first = Vec::new();
        while first.len() < MOST
            && let Some(element) = all.next_element()?
        {
            first.push(element);
        }
        while all.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }
}
