//! Requests to the API server and the metrics APIs behind it, with time limits and
//! readable errors.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

/// Time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit of all requests of one read together, so that unanswered requests don't
/// add up.
pub(crate) const TOGETHER: Duration = TIMEOUT;

/// Maximum number of concurrent requests.
pub(crate) const CONCURRENCY: usize = 32;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The object does not exist.
    NotFound(String),
    /// The object has changed since it was read.
    Conflict(String),
    /// Anything else.
    Other(String),
}

impl RequestError {
    /// Returns the message.
    #[must_use]
    pub fn message(&self) -> &str {
        let (Self::NotFound(message) | Self::Conflict(message) | Self::Other(message)) = self;
        message
    }
}

/// Runs `work` until the deadline. Returns `None` if it did not finish. It is not
/// started after the deadline.
pub(crate) async fn by<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    if Instant::now() >= deadline {
        return None;
    }
    timeout_at(deadline, work).await.ok()
}

/// GETs a path with a query (`a=b&c=d`, encoded).
///
/// # Errors
/// If there is no answer in time, or it is an error or can't be deserialized.
pub async fn get<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    query: &str,
) -> Result<T, RequestError> {
    let mut request = Request::new(path)
        .list(&ListParams::default())
        .map_err(|error| RequestError::Other(error.to_string()))?;
    let uri = format!("{path}?{query}").parse();
    let invalid = |error| RequestError::Other(format!("{path} is no path: {error}"));
    *request.uri_mut() = uri.map_err(invalid)?;
    answer(client.request(request)).await
}

/// Waits for a request's answer for at most [`TIMEOUT`], and converts errors.
pub(crate) async fn answer<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, RequestError> {
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
            Err(RequestError::NotFound(status.message))
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
            Err(RequestError::Conflict(status.message))
        }
        Ok(Err(error)) => Err(RequestError::Other(in_words(&error))),
        Err(_) => {
            let seconds = TIMEOUT.as_secs();
            Err(RequestError::Other(format!(
                "the API server did not answer within {seconds} s"
            )))
        }
    }
}

/// Returns the API server's message, or the error with its causes.
fn in_words(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
