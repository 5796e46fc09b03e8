//! Sizes of JSON values, in steps of reading them.

use serde_json::{Map, Value};

/// Bytes of a text that are read in one step.
const BYTES_IN_A_STEP: u64 = 64;
/// Items of a list, or fields of an object, that are listed in one step.
const ENTRIES_IN_A_STEP: u64 = 8;
/// Steps for an object without its fields: it takes the memory of several other values.
const OBJECT: u64 = 4;
/// Up to here, no two integers are the same `f64`.
const EXACT_INTEGERS: u64 = 1 << 53;

/// Steps that a keyword takes to read a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueSize {
    /// To read its text, or to list its entries without what is in them.
    pub own: u64,
    /// To read or copy all of it.
    pub whole: u64,
    /// To compare its items with each other. Zero if it is not a list.
    pub unique: u64,
}

impl ValueSize {
    pub fn of(value: &Value) -> Self {
        let own = match value {
            Value::String(text) => text_steps(text),
            Value::Array(items) => items.len() as u64 / ENTRIES_IN_A_STEP,
            Value::Object(fields) => fields.len() as u64 / ENTRIES_IN_A_STEP + names(fields),
            _ => 0,
        };
        let whole = whole(value);
        let unique = match value {
            Value::Array(items) => whole.saturating_add(pairs(items)),
            _ => 0,
        };
        Self { own, whole, unique }
    }
}

/// Returns the steps to read a value with all that is in it.
pub(super) fn whole(value: &Value) -> u64 {
    let mut rest = vec![value];
    let mut steps = 0;
    while let Some(value) = rest.pop() {
        steps += match value {
            Value::String(text) => 1 + text_steps(text),
            Value::Object(fields) => OBJECT + names(fields),
            _ => 1,
        };
        rest.extend(children(value));
    }
    steps
}

/// Returns the steps to read a text.
pub(super) fn text_steps(text: &str) -> u64 {
    text.len() as u64 / BYTES_IN_A_STEP
}

/// Returns the values that a value consists of.
pub(super) fn children(value: &Value) -> impl Iterator<Item = &Value> {
    let items = value.as_array().into_iter().flatten();
    let entries = value.as_object().into_iter().flat_map(Map::values);
    items.chain(entries)
}

fn names(fields: &Map<String, Value>) -> u64 {
    fields.keys().map(|name| text_steps(name)).sum()
}

/// Returns the steps to compare each two items that may have the same hash. To compare two
/// items takes at most the steps to read the smaller one, so at most half of those for both.
fn pairs(items: &[Value]) -> u64 {
    let alike = items.iter().filter(|item| may_hash_alike(item));
    let sizes: Vec<u64> = alike.map(whole).collect();
    let others = sizes.len().saturating_sub(1) as u64;
    others.saturating_mul(sizes.iter().sum()) / 2
}

/// Whether many different values may have the hash of this one in the validator. It hashes
/// a list as its items without a mark of where it begins or ends, an object as the exclusive
/// or of its fields with a known key, and an integer as an `f64`.
fn may_hash_alike(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => false,
        Value::Number(number) => {
            let integer = number.as_i64().map(i64::unsigned_abs);
            !number.is_f64() && integer.is_none_or(|integer| integer > EXACT_INTEGERS)
        }
        Value::Array(_) | Value::Object(_) => true,
    }
}
