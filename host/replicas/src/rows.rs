//! Rows of observations, which limit the memory that they take.
//!
//! An observation has a row for each pod of the target, one for each pod and metric of pods,
//! one for each value of another metric, and one for each 64 bytes of labels and annotations
//! that a policy wants. Targets whose selectors overlap have the same pods, so that a
//! namespace may have many more rows than pods. Its observations may have as many rows at a
//! time as [`limit`] says. Objects beyond that wait for another tick, and so do those beyond
//! [`MAX_OBJECTS`], however few rows they have. Columns beyond the limit are not kept from one
//! decision to the next, which makes them anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ports::{MetricAnswer, Observation};
use crate::spec::{AutoscalerSpec, MetricSpec};
use flyball_decision::context::GrantedInput;

/// Rows of a namespace for each of its pods: those of an object with as many metrics as an
/// object may have, and half as many of others that only observe the same pods.
const PER_POD: usize = 32;

/// Rows of a namespace besides those for its pods.
const BASE: usize = 20_000;

/// Maximum number of objects of a namespace in a tick. A tick ends when the status and the
/// events of each of its objects are written, which takes some ten seconds for so many. No
/// other limit holds for objects about which no policy is asked.
pub const MAX_OBJECTS: usize = 10_000;

/// Comparisons of a label that take as long as handling a row.
pub const COMPARISONS: usize = 64;

/// Bytes of text that take as much memory as a row.
pub const ROW_BYTES: usize = 64;

/// Returns how many rows a namespace with so many pods may have at a time.
#[must_use]
pub fn limit(pods: usize) -> usize {
    BASE.saturating_add(pods.saturating_mul(PER_POD))
}

/// Returns the number of rows that the pods of a target have in its observation.
#[must_use]
pub fn of(spec: &AutoscalerSpec, pods: usize) -> usize {
    let metrics = spec.effective_metrics().iter();
    let of_pods = metrics.filter(|metric| is_of_pods(metric)).count();
    pods.saturating_mul(1 + of_pods)
}

/// Returns the number of rows of an observation.
#[must_use]
pub fn observed(spec: &AutoscalerSpec, observation: &Observation) -> usize {
    let pods = observation.pods.as_ref().map_or(0, |pods| pods.len());
    let answers = observation.metrics.iter().flatten();
    let values = answers.map(|answer| match answer {
        MetricAnswer::Values(values) => values.len(),
        // A source may answer for pods that the target does not have.
        MetricAnswer::Pods(samples) => samples.len().saturating_sub(pods),
    });
    let values = values.fold(0, usize::saturating_add);
    let texts = of_texts(&[&observation.labels, &observation.annotations]);
    of(spec, pods).saturating_add(values).saturating_add(texts)
}

/// Returns the number of rows that labels and annotations take.
#[must_use]
pub fn of_texts(texts: &[&GrantedInput]) -> usize {
    texts.iter().map(|texts| texts.bytes()).sum::<usize>() / ROW_BYTES
}

fn is_of_pods(metric: &MetricSpec) -> bool {
    match metric {
        MetricSpec::Resource(_) | MetricSpec::ContainerResource(_) | MetricSpec::Pods(_) => true,
        MetricSpec::Object(_) | MetricSpec::External(_) | MetricSpec::Invalid(_) => false,
    }
}

/// Rows that namespaces take of their limits, and their objects.
#[derive(Debug, Default)]
pub struct RowBudget {
    by_namespace: BTreeMap<Arc<str>, Taken>,
}

#[derive(Debug)]
struct Taken {
    rows: usize,
    limit: usize,
    objects: usize,
}

impl RowBudget {
    /// Takes an object's rows of its namespace, if the limits leave so many, and the object.
    /// The first object with rows gets them in any case. Returns whether they were taken.
    /// `limit` is called once for each namespace.
    pub fn take(
        &mut self,
        namespace: &Arc<str>,
        rows: usize,
        limit: impl FnOnce() -> usize,
    ) -> bool {
        let taken = self.by_namespace.entry(Arc::clone(namespace));
        let taken = taken.or_insert_with(|| Taken {
            rows: 0,
            limit: limit(),
            objects: 0,
        });
        let sum = taken.rows.saturating_add(rows);
        let has_rows = rows == 0 || taken.rows == 0 || sum <= taken.limit;
        let fits = has_rows && taken.objects < MAX_OBJECTS;
        if fits {
            taken.rows = sum;
            taken.objects += 1;
        }
        fits
    }
}
