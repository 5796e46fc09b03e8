//! Reads the items of a List one by one, so that only one object is in memory as a
//! whole.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::DumpError;

/// Size of the read buffer.
const BUFFER_BYTES: usize = 256 * 1024;

/// Calls `take` with the index and value of each item of a List, in JSON or YAML.
pub(super) fn each_item(
    text: impl Read,
    mut take: impl FnMut(usize, Value),
) -> Result<(), DumpError> {
    let mut text = BufReader::with_capacity(BUFFER_BYTES, text);
    let list = List { take: &mut take };
    let has_items = if is_json(&mut text)? {
        let mut json = serde_json::Deserializer::from_reader(text);
        let has_items = list.deserialize(&mut json);
        has_items
            .and_then(|has_items| json.end().map(|()| has_items))
            .map_err(json_error)?
    } else {
        // The input may be large, unlike a file written by hand. Limits against small
        // texts that expand stay in place.
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_reader_input_bytes: None,
                max_events: usize::MAX,
                max_nodes: usize::MAX,
                max_total_scalar_bytes: usize::MAX,
                max_total_comment_bytes: usize::MAX,
            },
            with_snippet: false,
        };
        serde_saphyr::with_deserializer_from_reader_with_options(text, options, |yaml| {
            list.deserialize(yaml)
        })
        .map_err(|error| DumpError::Yaml(error.to_string()))?
    };
    if has_items {
        Ok(())
    } else {
        Err(DumpError::NoList)
    }
}

/// Whether the text begins with a JSON object. Skips white space before it.
fn is_json(text: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = text.fill_buf()?;
        let blanks = bytes
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        match bytes.get(blanks) {
            // An empty text is treated as JSON; as YAML it has no value either.
            None if bytes.is_empty() => return Ok(true),
            None => text.consume(blanks),
            Some(byte) => return Ok(*byte == b'{'),
        }
    }
}

fn json_error(error: serde_json::Error) -> DumpError {
    if error.is_data() {
        DumpError::NoList
    } else if error.is_io() {
        DumpError::Read(error.into())
    } else {
        DumpError::Json(error)
    }
}

/// Deserializes a List and passes each item on. The result is whether there is a field
/// `items`.
struct List<'a> {
    take: &'a mut dyn FnMut(usize, Value),
}

/// Deserializes the items of a List and passes each on.
struct Items<'a> {
    take: &'a mut dyn FnMut(usize, Value),
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a List of Kubernetes objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<bool, A::Error> {
        let mut has_items = false;
        while let Some(field) = fields.next_key::<String>()? {
            if field == "items" {
                let take = &mut *self.take;
                fields.next_value_seed(Items { take })?;
                has_items = true;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(has_items)
    }
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the items of a List")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(item) = items.next_element()? {
            (self.take)(index, item);
            index += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{DumpError, each_item};

    /// By default the YAML reader limits a text to a million events and 250,000 nodes.
    #[test]
    fn a_list_in_yaml_may_be_as_long_as_one_in_json() -> Result<(), DumpError> {
        const ITEMS: usize = 500_100;
        let yaml = format!("items:\n{}kind: List\n", "- a: b\n".repeat(ITEMS));
        let mut expected = 0;
        each_item(yaml.as_bytes(), |index, item| {
            assert_eq!(
                (index, item.get("a").and_then(Value::as_str)),
                (expected, Some("b"))
            );
            expected += 1;
        })?;
        assert_eq!(expected, ITEMS);
        Ok(())
    }
}
