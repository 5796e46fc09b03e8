//! The built-in policy in the real sandbox, the real pipeline and the real loop,
//! against what Kubernetes 1.36.3 itself decided: every case of `vectors/hpa`.
//!
//! Told apart, because upstream's answer is none that anybody wants: cases marked
//! `archDependent` (a float out of an integer's range, left to the processor) and
//! those of [`forms::SATURATED`] (integers that wrap around). There the policy
//! and the guardrails must answer what integers without bounds would, cut to what fits.

mod behavior;
mod combine;
mod decide;
mod forms;
mod guardrails;
mod properties;
mod reconcile;
mod replicas;
