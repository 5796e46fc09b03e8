//! Requests to the API server and to the metrics APIs behind it: bounded in time, their
//! errors in words.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long what is read in one go may take together, whatever requests it needs:
/// some that are never answered must not add up.
pub(crate) const TOGETHER: Duration = TIMEOUT;

/// Requests under way at once.
pub(crate) const CONCURRENCY: usize = 32;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The object isn't there.
    NotFound(String),
    /// The object has changed since it was read.
    Conflict(String),
    /// Anything else.
    Other(String),
}

impl RequestError {
    /// What went wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        let (Self::NotFound(message) | Self::Conflict(message) | Self::Other(message)) = self;
        message
    }
}

/// Waits for some work until then; what was not begun by then is not begun.
pub(crate) async fn by<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    if Instant::now() >= deadline {
        return None;
    }
    timeout_at(deadline, work).await.ok()
}

/// GETs a path with a query (`a=b&c=d`, encoded).
///
/// # Errors
/// If there is no answer in time, or it is not what it should be.
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

/// Waits for a request's answer, and says in words what went wrong.
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

/// The sentence of the API server, or the innermost cause.
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
