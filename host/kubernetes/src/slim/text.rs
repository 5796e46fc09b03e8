//! Reads texts that recur among objects, such as keys of labels, names of containers and
//! types of conditions, without a copy for each object.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use flyball_decision::hash::fnv1a;
use flyball_placement::Name;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Number of texts that a thread remembers. A new one takes the place of another.
const SLOTS: usize = 512;

/// Longer texts seldom recur.
const MAX_BYTES: usize = 64;

thread_local! {
    static RECENT: RefCell<Vec<Name>> = RefCell::new(vec![Name::default(); SLOTS]);
}

/// Returns the text, shared with other objects if this thread has read it recently.
pub(super) fn share(text: &str) -> Name {
    if text.len() > MAX_BYTES {
        return text.into();
    }
    let slot = fnv1a(text.bytes()) as usize % SLOTS;
    RECENT.with_borrow_mut(|recent| match recent.get_mut(slot) {
        Some(known) if **known == *text => known.clone(),
        Some(other) => {
            *other = text.into();
            other.clone()
        }
        None => text.into(),
    })
}

/// A text that is shared when it is read.
struct Shared(Name);

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Shared;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Shared, E> {
        Ok(Shared(share(text)))
    }
}

/// Reads a text that recurs.
pub(super) fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
    Ok(Shared::deserialize(deserializer)?.0)
}

/// Reads a text that recurs, or null.
pub(super) fn shared_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Name>, D::Error> {
    let text = Option::<Shared>::deserialize(deserializer)?;
    Ok(text.map(|Shared(text)| text))
}

/// Reads a map of texts that recur.
pub(super) fn shared_map<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Name, Name>, D::Error> {
    deserializer.deserialize_map(MapVisitor(|Shared(value)| value, PhantomData))
}

/// Reads a map whose keys recur.
pub(super) fn shared_keys<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Name, T>, D::Error> {
    deserializer.deserialize_map(MapVisitor(|value: T| value, PhantomData))
}

/// Reads a map, and makes its values from what they are read as.
struct MapVisitor<R, F>(F, PhantomData<R>);

impl<'de, R: Deserialize<'de>, T, F: Fn(R) -> T> Visitor<'de> for MapVisitor<R, F> {
    type Value = BTreeMap<Name, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((Shared(key), value)) = entries.next_entry::<Shared, R>()? {
            map.insert(key, (self.0)(value));
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{MAX_BYTES, share};

    #[test]
    fn texts_that_recur_are_shared_and_others_are_as_they_were_read() {
        assert!(Arc::ptr_eq(&share("cpu"), &share("cpu")));
        for number in 0..2_000 {
            let text = format!("text-{number}");
            assert_eq!(&*share(&text), text);
        }
        let long = "x".repeat(MAX_BYTES + 1);
        assert_eq!(*share(&long), *long);
    }
}
