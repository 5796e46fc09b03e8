//! Cost of checking a configuration against a schema. A validator checks a subschema
//! again for each reference to it, so that a few KB of schema can cause 2^40 checks, and
//! it cannot be interrupted. So the steps are counted beforehand: each subschema once for
//! each value that it is applied to, multiplied by the number of applications. Keywords
//! read the value each time, so its size counts for each of them.
//!
//! Conditional subschemas count as if they applied: the estimate may be too high, but not
//! too low.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::schema::graph::{Subschema, subschemas};
use crate::schema::size::ValueSize;

/// Maximum chain of subschemas that apply to one value: the validator recurses into each.
const CHAIN: usize = 32;
/// Maximum nesting of a configuration's values, as far as subschemas apply to them.
const NESTING: usize = 32;
/// Maximum steps for a single value without nested values.
const STEPS_FOR_A_VALUE: u64 = 10_000;
/// Maximum steps for a configuration: a tenth of a second.
pub(crate) const STEPS: u64 = 1_000_000;
/// Maximum number of regular expressions; each uses memory up to its own limit.
const PATTERNS: usize = 64;
/// Steps to match a byte of a text with a pattern. In the worst case, every state of the
/// pattern's program is visited, and a program of 64 KiB has some thousands of them.
const STEPS_FOR_A_BYTE: u64 = 80;

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
            let steps = count.steps(number, &any, 0);
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
        for &inner in &self.subschemas[number].same {
            height = height.max(1 + self.height(inner, depth + 1, heights)?);
        }
        heights[number] = Some(height);
        Ok(height)
    }

    /// Returns the steps that a configuration takes, if they are few enough.
    ///
    /// # Errors
    /// If it takes too many.
    pub fn allows(&self, configuration: &Value) -> Result<u64, String> {
        match self.count(STEPS).steps(0, configuration, 0) {
            Some(steps) if steps.checked <= STEPS => Ok(steps.checked),
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
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    /// To check the value.
    checked: u64,
    /// To find which parts of the value subschemas have evaluated, for an enclosing
    /// `unevaluated…` keyword.
    marked: u64,
}

impl Steps {
    fn add(&mut self, checked: u64, marked: u64) {
        self.checked = self.checked.saturating_add(checked);
        self.marked = self.marked.saturating_add(marked);
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
    /// Returns the steps that a subschema takes for a value at nesting depth `nesting`.
    /// Returns `None` if there are too many to count or the value is nested too deep.
    fn steps(&mut self, number: usize, value: &Value, nesting: usize) -> Option<Steps> {
        self.visits += 1;
        if self.visits > self.limit || nesting > NESTING {
            return None;
        }
        let key = (number, std::ptr::from_ref(value));
        if let Some(steps) = self.known.get(&key) {
            return Some(*steps);
        }
        let cost = self.cost;
        let subschema = &cost.subschemas[number];
        let own = self.own(subschema, value);
        let mut steps = Steps::default();
        steps.add(own, own);
        for &inner in &subschema.same {
            let inner = self.steps(inner, value, nesting)?;
            steps.add(inner.checked, inner.checked.saturating_add(inner.marked));
        }
        match value {
            Value::Array(items) => {
                for item in items {
                    self.within(subschema, None, item, nesting, &mut steps)?;
                }
            }
            Value::Object(properties) => {
                self.names(subschema, properties, nesting, &mut steps)?;
                for (name, property) in properties {
                    self.within(subschema, Some(name), property, nesting, &mut steps)?;
                }
            }
            _ => {}
        }
        if !subschema.unevaluated.is_empty() {
            // Once for properties, once for items.
            steps.add(steps.marked.saturating_mul(2), 0);
        }
        self.known.insert(key, steps);
        Some(steps)
    }

    /// Returns the steps that a subschema's own keywords take for a value.
    fn own(&mut self, subschema: &Subschema, value: &Value) -> u64 {
        let key = std::ptr::from_ref(value);
        let size = *self
            .sizes
            .entry(key)
            .or_insert_with(|| ValueSize::of(value));
        let read = size.own.saturating_mul(subschema.keywords);
        let unique = if subschema.unique { size.unique } else { 0 };
        let matched = matching(subschema, value);
        [read, unique, matched]
            .into_iter()
            .fold(subschema.steps, u64::saturating_add)
    }

    /// Adds the steps of what applies to the names of an object.
    fn names(
        &mut self,
        subschema: &Subschema,
        properties: &Map<String, Value>,
        nesting: usize,
        steps: &mut Steps,
    ) -> Option<()> {
        if subschema.names.is_empty() {
            return Some(());
        }
        for name in properties.keys() {
            let name = Value::String(name.clone());
            // By its address, the name is only known while it is here.
            let mut count = self.cost.count(self.limit.saturating_sub(self.visits));
            for &inner in &subschema.names {
                let inner = count.steps(inner, &name, nesting)?;
                steps.add(inner.checked, 0);
            }
            self.visits += count.visits;
        }
        Some(())
    }

    fn within(
        &mut self,
        subschema: &Subschema,
        name: Option<&str>,
        value: &Value,
        nesting: usize,
        steps: &mut Steps,
    ) -> Option<()> {
        let named = name.and_then(|name| subschema.properties.get(name));
        for &inner in named.into_iter().chain(&subschema.within) {
            let inner = self.steps(inner, value, nesting + 1)?;
            steps.add(inner.checked, 0);
        }
        for &inner in &subschema.unevaluated {
            let inner = self.steps(inner, value, nesting + 1)?;
            steps.add(inner.checked, inner.checked);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
