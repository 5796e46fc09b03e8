//! Load over time, evaluated at any moment.

use std::sync::Arc;

use crate::formula::{Formula, Moment};
use crate::scenario::{LoadSpec, Scenario, ScenarioError, Series};

/// Requests per second over time.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    Formula(Formula),
    Series(Arc<Series>),
    Sum(Vec<Load>),
}

impl Load {
    /// Creates a load from its spec, reading the files that it names.
    pub(crate) fn new(spec: &LoadSpec, scenario: &Scenario) -> Result<Self, ScenarioError> {
        Ok(match spec {
            LoadSpec::Formula(formula) => Self::Formula(formula.clone()),
            LoadSpec::Steps(levels) => Self::Series(Arc::new(Series::steps(levels))),
            LoadSpec::Csv(csv) => {
                Self::Series(Arc::new(Series::read(csv, &scenario.path(&csv.file))?))
            }
            LoadSpec::Sum(parts) => {
                let parts = parts.iter().map(|part| Self::new(part, scenario));
                Self::Sum(parts.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Returns the requests per second at a moment. It may be any number, NaN included.
    pub(crate) fn value(&self, moment: &Moment) -> f64 {
        match self {
            Self::Formula(formula) => formula.value(moment),
            Self::Series(series) => series.value(moment.t),
            Self::Sum(parts) => parts.iter().map(|part| part.value(moment)).sum(),
        }
    }
}
