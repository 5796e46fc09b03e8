//! Graph of a schema's subschemas, following references: which of them apply which
//! others.
//!
//! The keywords of all drafts count, whichever draft a schema names.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::schema::size::{children, whole};

/// Steps for `multipleOf`: a very large number is divided as a fraction of a thousand bits.
const DIVISION: u64 = 32;

/// A subschema. Others are referred to by their numbers.
#[derive(Debug, Default)]
pub(super) struct Subschema {
    /// Steps for its own keywords, whatever the value is.
    pub steps: u64,
    /// Number of its own keywords. Each may read the text, the names or the entries of the
    /// value.
    pub keywords: u64,
    /// Whether the items of a list must differ.
    pub unique: bool,
    /// Number of errors that its own keywords have for a value at most.
    pub errors: u64,
    /// Steps to copy what these errors repeat of the schema.
    pub repeated: u64,
    /// Subschemas applied to the same value.
    pub same: Vec<usize>,
    /// Alternatives for the same value, whose errors are all collected if none is right.
    pub alternatives: Vec<usize>,
    /// Subschemas applied to a property's value, by the property's name.
    pub properties: HashMap<String, usize>,
    /// Subschemas applied to the name of each property.
    pub names: Vec<usize>,
    /// Subschemas applied to any nested value.
    pub within: Vec<usize>,
    /// Of those, the ones applied to parts that no other subschema has evaluated.
    pub unevaluated: Vec<usize>,
    pub patterns: usize,
}

/// Reads a schema's subschemas, the root first.
///
/// # Errors
/// If a reference can't be followed.
pub(super) fn subschemas(schema: &Value) -> Result<Vec<Subschema>, String> {
    one_resource(schema)?;
    let mut reader = SchemaReader {
        root: schema,
        queue: Vec::new(),
        known: HashMap::new(),
    };
    reader.number(schema);
    let mut read = Vec::new();
    while let Some(&value) = reader.queue.get(read.len()) {
        read.push(reader.read(value)?);
    }
    Ok(read)
}

/// Reads subschemas one after the other, each once.
struct SchemaReader<'a> {
    root: &'a Value,
    /// Subschemas by number.
    queue: Vec<&'a Value>,
    known: HashMap<*const Value, usize>,
}

impl<'a> SchemaReader<'a> {
    fn number(&mut self, schema: &'a Value) -> usize {
        *self
            .known
            .entry(std::ptr::from_ref(schema))
            .or_insert_with(|| {
                self.queue.push(schema);
                self.queue.len() - 1
            })
    }

    /// Returns the numbers of a keyword's subschemas: one schema, or a list.
    fn each(&mut self, value: &'a Value) -> Vec<usize> {
        match value {
            Value::Array(schemas) => schemas.iter().map(|one| self.number(one)).collect(),
            schema => vec![self.number(schema)],
        }
    }

    fn named(&mut self, schemas: &'a Value) -> Vec<usize> {
        let schemas = schemas.as_object().into_iter().flat_map(Map::values);
        schemas.map(|one| self.number(one)).collect()
    }

    fn read(&mut self, schema: &'a Value) -> Result<Subschema, String> {
        let mut subschema = Subschema {
            steps: 1,
            // The schema `false` has an error without a keyword.
            errors: u64::from(!schema.is_object()),
            ..Subschema::default()
        };
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            subschema.keywords += 1;
            subschema.steps += match (keyword.as_str(), value) {
                // These are compared with the value as a whole.
                ("const" | "enum" | "required" | "dependentRequired" | "dependencies", _) => {
                    whole(value)
                }
                ("multipleOf", _) => DIVISION,
                (_, Value::Array(items)) => items.len() as u64,
                (_, Value::Object(entries)) => entries.len() as u64,
                _ => 1,
            };
            count_errors(&mut subschema, keyword, value);
            self.keyword(&mut subschema, keyword, value)?;
        }
        Ok(subschema)
    }

    fn keyword(
        &mut self,
        subschema: &mut Subschema,
        keyword: &str,
        value: &'a Value,
    ) -> Result<(), String> {
        match keyword {
            "$ref" => {
                let target = self.target(value)?;
                subschema.same.push(self.number(target));
            }
            "$dynamicRef" | "$recursiveRef" => {
                return Err(format!("has a `{keyword}`: use `$ref`"));
            }
            "allOf" | "not" | "if" | "then" | "else" | "contentSchema" => {
                subschema.same.extend(self.each(value));
            }
            "anyOf" | "oneOf" => subschema.alternatives.extend(self.each(value)),
            "dependentSchemas" | "dependencies" => subschema.same.extend(self.named(value)),
            "properties" => {
                for (name, property) in value.as_object().into_iter().flatten() {
                    let number = self.number(property);
                    subschema.properties.insert(name.clone(), number);
                }
            }
            "propertyNames" => subschema.names.extend(self.each(value)),
            "items" | "prefixItems" | "additionalItems" | "contains" | "additionalProperties" => {
                subschema.within.extend(self.each(value));
            }
            "patternProperties" => {
                subschema.within.extend(self.named(value));
                subschema.patterns += value.as_object().map_or(0, Map::len);
            }
            "unevaluatedItems" | "unevaluatedProperties" => {
                subschema.unevaluated.extend(self.each(value));
            }
            "pattern" => subschema.patterns += 1,
            "uniqueItems" => subschema.unique = matches!(value, Value::Bool(true)),
            _ => {}
        }
        Ok(())
    }

    /// Returns the target of a reference, which must lie in the schema itself.
    fn target(&self, reference: &Value) -> Result<&'a Value, String> {
        let text = reference.as_str().unwrap_or_default();
        let pointer = text.strip_prefix('#').filter(|rest| !rest.contains('%'));
        pointer
            .and_then(|pointer| self.root.pointer(pointer))
            .ok_or_else(|| {
                format!(
                    "refers to {reference}: a reference is `#` and the plain JSON pointer of \
                     something in the schema"
                )
            })
    }
}

/// Counts the errors of a keyword, and what they repeat of the schema.
fn count_errors(subschema: &mut Subschema, keyword: &str, value: &Value) {
    match keyword {
        // Each name that is missing is an error.
        "required" | "dependentRequired" | "dependencies" => {
            let names = whole(value);
            subschema.errors += names;
            subschema.repeated += names;
        }
        "not" | "pattern" => {
            subschema.errors += 1;
            subschema.repeated += whole(value);
        }
        _ => subschema.errors += 1,
    }
}

/// Refuses nested schemas with an `$id`: references in them would be relative to it.
fn one_resource(schema: &Value) -> Result<(), String> {
    // Up to draft 4 the keyword was `id`.
    let old = schema.get("$schema").and_then(Value::as_str);
    let id = match old {
        Some(uri) if uri.contains("draft-04") || uri.contains("draft-03") => "id",
        _ => "$id",
    };
    let mut rest: Vec<&Value> = children(schema).collect();
    while let Some(value) = rest.pop() {
        if value.get(id).is_some_and(Value::is_string) {
            return Err(format!("has an `{id}` within: only the whole may have one"));
        }
        rest.extend(children(value));
    }
    Ok(())
}
