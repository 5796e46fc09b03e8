//! A decision, from an observation to a verdict.
