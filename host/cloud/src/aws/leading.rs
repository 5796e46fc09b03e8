//! Requests that are sent only while this process leads.

use std::fmt;

use aws_sdk_autoscaling::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_autoscaling::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_autoscaling::error::BoxError;
use aws_smithy_runtime_api::client::retries::RequestAttempts;

/// Asks before each attempt of a request whether this process leads. The SDK repeats requests
/// by itself, so asking before a call is not enough.
pub(super) struct WhileLeading<F>(pub F);

/// Why a request was not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotLeader {
    /// There was no attempt before.
    #[error("another instance leads by now")]
    NotSent,
    /// AWS may have carried out an attempt before.
    #[error("it failed and was not sent again, since another instance leads by now")]
    NotSentAgain,
}

impl<F: Fn() -> bool> WhileLeading<F> {
    fn check(&self, cfg: &ConfigBag) -> Result<(), BoxError> {
        if (self.0)() {
            return Ok(());
        }
        let attempts = cfg.load::<RequestAttempts>();
        match attempts.map_or(1, RequestAttempts::attempts) {
            0 | 1 => Err(NotLeader::NotSent.into()),
            _ => Err(NotLeader::NotSentAgain.into()),
        }
    }
}

impl<F> fmt::Debug for WhileLeading<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhileLeading")
    }
}

impl<F: Fn() -> bool + Send + Sync> Intercept for WhileLeading<F> {
    fn name(&self) -> &'static str {
        "WhileLeading"
    }

    /// Without this look, credentials would be loaded first, which may take seconds.
    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.check(cfg)
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.check(cfg)
    }
}
