//! Requests to the metrics APIs: bounded in time, their errors in words.

use std::error::Error as _;
use std::time::Duration;

use flyball_core::ports::ObservationError;
use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no answer.
pub(crate) struct Failure {
    /// HTTP status; 0: none came.
    pub code: u16,
    /// What went wrong.
    pub message: String,
}

/// GETs a path with a query (`a=b&c=d`, encoded).
pub(crate) async fn get<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    query: &str,
) -> Result<T, Failure> {
    let failure = |code, message: String| Failure { code, message };
    let mut request = Request::new(path)
        .list(&ListParams::default())
        .map_err(|error| failure(0, error.to_string()))?;
    let uri = format!("{path}?{query}").parse();
    *request.uri_mut() = uri.map_err(|error| failure(0, format!("{path} is no path: {error}")))?;
    answer(client.request(request)).await
}

/// Waits for a request's answer, and says in words what went wrong.
pub(crate) async fn answer<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    let failure = |code, message: String| Failure { code, message };
    match tokio::time::timeout(TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(failure(status.code, status.message)),
        Ok(Err(error)) => Err(failure(0, in_words(&error))),
        Err(_) => Err(failure(
            0,
            format!("no answer within {} s", TIMEOUT.as_secs()),
        )),
    }
}

fn in_words(error: &kube::Error) -> String {
    let cause = error
        .source()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    let text = error.to_string();
    if text.ends_with(&cause) {
        text
    } else {
        text + &cause
    }
}

/// What a part of a path and the value of a query may have as it is: the unreserved
/// characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Percent-encodes a part of a path or the value of a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A metric that can't be had.
pub(crate) fn unavailable(message: impl Into<String>) -> ObservationError {
    ObservationError {
        class: "metricsUnavailable",
        message: message.into(),
    }
}
