//! Requests to the API server and the metrics APIs behind it, with time limits and
//! readable errors.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use flyball_tasks::CatchPanic;
use kube::Client;
use kube::api::ListParams;
use kube::core::{Request, Status};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

/// Time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit of all requests of one read together, so that unanswered requests don't
/// add up.
pub(crate) const READ_TIMEOUT: Duration = TIMEOUT;

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
pub(crate) async fn before_deadline<T>(
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Option<T> {
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

/// Why a request was not answered with success.
pub(crate) enum Unanswered {
    /// The API server's answer.
    Refused(Box<Status>),
    /// There was no answer, or one that can't be read.
    Failed(String),
}

/// Waits for a request's answer for at most [`TIMEOUT`].
pub(crate) async fn answer_or_status<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Unanswered> {
    // Reading an answer must not end the process, whatever it is.
    match tokio::time::timeout(TIMEOUT, CatchPanic::new(request)).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(kube::Error::Api(status)))) => Err(Unanswered::Refused(status)),
        Ok(Ok(Err(error))) => Err(Unanswered::Failed(error_message(&error))),
        Ok(Err(panic)) => Err(Unanswered::Failed(format!(
            "flyball panicked on the answer: {panic}"
        ))),
        Err(_) => {
            let seconds = TIMEOUT.as_secs();
            let message = format!("the API server did not answer within {seconds} s");
            Err(Unanswered::Failed(message))
        }
    }
}

/// Waits for a request's answer for at most [`TIMEOUT`], and converts errors.
pub(crate) async fn answer<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, RequestError> {
    answer_or_status(request)
        .await
        .map_err(|error| match error {
            Unanswered::Refused(status) => match status.code {
                404 => RequestError::NotFound(status.message),
                409 => RequestError::Conflict(status.message),
                _ => RequestError::Other(status.message),
            },
            Unanswered::Failed(message) => RequestError::Other(message),
        })
}

/// Returns the error with its causes.
fn error_message(error: &kube::Error) -> String {
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
