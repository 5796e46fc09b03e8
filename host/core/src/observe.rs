//! Observations as the policy contract has them.
