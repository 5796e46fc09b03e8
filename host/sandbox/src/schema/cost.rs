//! Cost of checking a configuration against a schema. A validator checks a subschema
//! again for each reference to it, so that a few KB of schema can cause 2^40 checks, and
//! it cannot be interrupted. So the steps are counted beforehand: each subschema once for
//! each value that it is applied to, multiplied by the number of applications. Keywords
//! read the value each time, so its size counts for each of them.
//!
//! To say where a configuration does not fit takes more: an `anyOf` or `oneOf` collects all
//! errors of its subschemas, and each has a copy of the value at fault.
//!
//! Conditional subschemas count as if they applied: the estimate may be too high, but not
//! too low.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::schema::graph::{Subschema, subschemas};
use crate::schema::size::{ValueSize, text_steps};

/// Maximum chain of subschemas that apply to one value: the validator recurses into each.
const CHAIN: usize = 32;
/// Maximum nesting of a configuration's values, as far as subschemas apply to them.
const NESTING: usize = 32;
/// Maximum steps for a single value without nested values.
const STEPS_FOR_A_VALUE: u64 = 10_000;
/// Maximum steps to check a configuration, and to say where it does not fit: a tenth of a
/// second each.
pub(crate) const STEPS: u64 = 1_000_000;
/// Maximum number of regular expressions; each uses memory up to its own limit.
const PATTERNS: usize = 64;
/// Steps to match a byte of a text with a pattern. In the worst case, every state of the
/// pattern's program is visited, and a program of 64 KiB has some thousands of them.
const STEPS_FOR_A_BYTE: u64 = 80;
/// Steps to make an error, besides those to copy the value at fault and its path.
const STEPS_FOR_AN_ERROR: u64 = 4;

/// A schema's subschemas, following references.
#[derive(Debug)]
pub(super) struct Cost {
    subschemas: Vec<Subschema>,
}

impl Cost {
    /// Reads a schema.
    ///
    /// # Errors
    /// If it takes too many steps for any value, or has a reference that can't be
    /// followed.
    pub fn of(schema: &Value) -> Result<Self, String> {
        let subschemas = subschemas(schema)?;
        let cost = Self { subschemas };
        cost.check()?;
        Ok(cost)
    }

    fn check(&self) -> Result<(), String> {
        let patterns: usize = self.subschemas.iter().map(|one| one.patterns).sum();
        if patterns > PATTERNS {
            return Err(format!(
                "has {patterns} patterns, at most {PATTERNS} are allowed"
            ));
        }
        let mut heights = vec![None; self.subschemas.len()];
        for number in 0..self.subschemas.len() {
            self.height(number, 0, &mut heights)?;
        }
        let any = Value::Null;
        let mut count = self.count(STEPS_FOR_A_VALUE);
        for number in 0..self.subschemas.len() {
            let steps = count.steps(number, &any, Place::default());
            if steps.is_none_or(|steps| steps.checked > STEPS_FOR_A_VALUE) {
                return Err(format!(
                    "takes more than {STEPS_FOR_A_VALUE} steps to check a single value: its \
                     subschemas refer to each other too often, or list too many values and names"
                ));
            }
            count.visits = 0;
        }
        Ok(())
    }

    /// Returns the length of the longest chain of subschemas that apply to the same
    /// value. A cycle has no end, so its length is over the limit.
    fn height(
        &self,
        number: usize,
        depth: usize,
        heights: &mut [Option<usize>],
    ) -> Result<usize, String> {
        let known = heights[number];
        if depth + known.unwrap_or(0) > CHAIN {
            return Err(format!(
                "applies more than {CHAIN} subschemas within each other to one value, or itself"
            ));
        }
        if let Some(height) = known {
            return Ok(height);
        }
        let mut height = 0;
        let subschema = &self.subschemas[number];
        for &inner in subschema.same.iter().chain(&subschema.alternatives) {
            height = height.max(1 + self.height(inner, depth + 1, heights)?);
        }
        heights[number] = Some(height);
        Ok(height)
    }

    /// Returns the steps that a configuration takes, if they are few enough.
    ///
    /// # Errors
    /// If it takes too many.
    pub fn allows(&self, configuration: &Value) -> Result<AllowedSteps, String> {
        match self.count(STEPS).steps(0, configuration, Place::default()) {
            Some(steps) if steps.checked <= STEPS => {
                let located = steps.checked.saturating_add(steps.failed);
                Ok(AllowedSteps {
                    checked: steps.checked,
                    located: (located <= STEPS).then_some(located),
                })
            }
            _ => Err(format!(
                "it takes more than {STEPS} steps to check against the policy's schema, or is \
                 nested more than {NESTING} levels deep"
            )),
        }
    }

    fn count(&self, limit: u64) -> StepCounter<'_> {
        StepCounter {
            cost: self,
            limit,
            visits: 0,
            known: HashMap::new(),
            sizes: HashMap::new(),
        }
    }
}

/// Steps that a configuration takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct AllowedSteps {
    /// To check whether it fits.
    pub checked: u64,
    /// To say where it does not fit, or `None` if these are too many.
    pub located: Option<u64>,
}

/// Returns the steps of a subschema's own patterns for a value.
fn matching(subschema: &Subschema, value: &Value) -> u64 {
    let bytes = match value {
        Value::String(text) => text.len(),
        Value::Object(properties) => properties.keys().map(String::len).sum(),
        _ => 0,
    };
    let matched = (bytes as u64).saturating_mul(subschema.patterns as u64);
    matched.saturating_mul(STEPS_FOR_A_BYTE)
}

/// Number of steps that a subschema takes for a value.
#[derive(Clone, Copy, Debug)]
struct Steps {
    /// To check the value.
    checked: u64,
    /// To find which parts of the value subschemas have evaluated, for an enclosing
    /// `unevaluated…` keyword.
    marked: u64,
    /// To collect all errors, for an enclosing `anyOf` or `oneOf`.
    collected: u64,
    /// To collect the errors of an `anyOf` or `oneOf` in it, beside those to check it. The
    /// check ends with the first error, so only one of them matters: that which takes most.
    failed: u64,
}

impl Steps {
    fn add(&mut self, checked: u64, marked: u64, collected: u64) {
        self.checked = self.checked.saturating_add(checked);
        self.marked = self.marked.saturating_add(marked);
        self.collected = self.collected.saturating_add(collected);
    }
}

/// Where a value is in the configuration.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    nesting: usize,
    /// Steps to write the path, which each error has.
    path: u64,
}

impl Place {
    /// Returns the place of an item, or of the field of that name.
    fn within(self, name: Option<&str>) -> Self {
        Self {
            nesting: self.nesting + 1,
            path: self.path + 1 + name.map_or(0, text_steps),
        }
    }
}

/// Counts steps: each subschema once for each value, multiplied by its applications.
struct StepCounter<'a> {
    cost: &'a Cost,
    limit: u64,
    /// Number of applications counted so far, a lower bound of the steps.
    visits: u64,
    /// Steps by subschema and value.
    known: HashMap<(usize, *const Value), Steps>,
    sizes: HashMap<*const Value, ValueSize>,
}

impl StepCounter<'_> {
    /// Returns the steps that a subschema takes for a value.
    /// Returns `None` if there are too many to count or the value is nested too deep.
    fn steps(&mut self, number: usize, value: &Value, place: Place) -> Option<Steps> {
        self.visits += 1;
        if self.visits > self.limit || place.nesting > NESTING {
            return None;
        }
        let key = (number, std::ptr::from_ref(value));
        if let Some(steps) = self.known.get(&key) {
            return Some(*steps);
        }
        let cost = self.cost;
        let subschema = &cost.subschemas[number];
        let mut steps = self.own(subschema, value, place);
        self.same(subschema, value, place, &mut steps)?;
        match value {
            Value::Array(items) => {
                for item in items {
                    self.within(subschema, None, item, place, &mut steps)?;
                }
            }
            Value::Object(properties) => {
                self.names(subschema, value, place, &mut steps)?;
                for (name, property) in properties {
                    self.within(subschema, Some(name), property, place, &mut steps)?;
                }
            }
            _ => {}
        }
        if !subschema.unevaluated.is_empty() {
            // Once for properties, once for items.
            let marked = steps.marked.saturating_mul(2);
            steps.add(marked, 0, marked);
        }
        self.known.insert(key, steps);
        Some(steps)
    }

    fn size(&mut self, value: &Value) -> ValueSize {
        let key = std::ptr::from_ref(value);
        *self
            .sizes
            .entry(key)
            .or_insert_with(|| ValueSize::of(value))
    }

    /// Returns the steps that a subschema's own keywords take for a value.
    fn own(&mut self, subschema: &Subschema, value: &Value, place: Place) -> Steps {
        let size = self.size(value);
        let read = size.own.saturating_mul(subschema.keywords);
        let unique = if subschema.unique { size.unique } else { 0 };
        let checked = [read, unique, matching(subschema, value)]
            .into_iter()
            .fold(subschema.steps, u64::saturating_add);
        let error = STEPS_FOR_AN_ERROR + size.whole + place.path;
        let errors = subschema.errors.saturating_mul(error);
        let errors = errors.saturating_add(subschema.repeated);
        Steps {
            checked,
            marked: checked,
            collected: checked.saturating_add(errors),
            failed: 0,
        }
    }

    /// Adds the steps of what applies to the same value.
    fn same(
        &mut self,
        subschema: &Subschema,
        value: &Value,
        place: Place,
        steps: &mut Steps,
    ) -> Option<()> {
        for &inner in &subschema.same {
            let inner = self.steps(inner, value, place)?;
            let marked = inner.checked.saturating_add(inner.marked);
            steps.add(inner.checked, marked, inner.collected);
            steps.failed = steps.failed.max(inner.failed);
        }
        let mut failed: u64 = 0;
        for &inner in &subschema.alternatives {
            let inner = self.steps(inner, value, place)?;
            let marked = inner.checked.saturating_add(inner.marked);
            // Errors are collected once it is known that none is right.
            let collected = inner.checked.saturating_add(inner.collected);
            steps.add(inner.checked, marked, collected);
            failed = failed.saturating_add(inner.collected);
        }
        steps.failed = steps.failed.max(failed);
        Some(())
    }

    /// Adds the steps of what applies to the names of an object.
    fn names(
        &mut self,
        subschema: &Subschema,
        object: &Value,
        place: Place,
        steps: &mut Steps,
    ) -> Option<()> {
        if subschema.names.is_empty() {
            return Some(());
        }
        let whole = self.size(object).whole;
        for name in object.as_object().into_iter().flat_map(Map::keys) {
            let name = Value::String(name.clone());
            // By its address, the name is only known while it is here.
            let mut count = self.cost.count(self.limit.saturating_sub(self.visits));
            for &inner in &subschema.names {
                let inner = count.steps(inner, &name, place)?;
                // Each error of a name repeats the object.
                let errors = inner.collected.saturating_sub(inner.checked) / STEPS_FOR_AN_ERROR;
                let repeated = errors.saturating_mul(whole);
                let collected = inner.collected.saturating_add(repeated);
                steps.add(inner.checked, 0, collected);
                steps.failed = steps.failed.max(inner.failed);
            }
            self.visits += count.visits;
        }
        Some(())
    }

    /// Adds the steps of what applies to an item, or to the field of that name.
    fn within(
        &mut self,
        subschema: &Subschema,
        name: Option<&str>,
        value: &Value,
        place: Place,
        steps: &mut Steps,
    ) -> Option<()> {
        let place = place.within(name);
        let named = name.and_then(|name| subschema.properties.get(name));
        for &inner in named.into_iter().chain(&subschema.within) {
            let inner = self.steps(inner, value, place)?;
            steps.add(inner.checked, 0, inner.collected);
            steps.failed = steps.failed.max(inner.failed);
        }
        for &inner in &subschema.unevaluated {
            let inner = self.steps(inner, value, place)?;
            steps.add(inner.checked, inner.checked, inner.checked);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
