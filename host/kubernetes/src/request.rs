//! Requests to the API server and the metrics APIs behind it, with time limits and
//! readable errors.

use std::error::Error;
use std::future::Future;
use std::io;
use std::time::Duration;

use flyball_decision::text;
use flyball_replicas::spec::SegmentFault;
use flyball_tasks::CatchPanic;
use futures::{AsyncReadExt as _, Stream, TryStreamExt as _, stream};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, BodyStream, Either, StreamBody};
use kube::Client;
use kube::api::ListParams;
use kube::client::Body;
use kube::core::{Request, Status};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// Time limit of one request, or of each part of its answer (see [`with_timeout`]).
const TIMEOUT: Duration = Duration::from_secs(10);

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

/// Maximum size of an answer, in bytes. The values of a metric for 10,000 pods take about 3
/// MiB, and an object takes 1.5 MiB at most.
pub const ANSWER: usize = 4 << 20;

/// Maximum size of an answer about all pods of a namespace, in bytes. The metrics of 10,000
/// pods take about 10 MiB. Whoever asks for such answers limits how many there are at a time.
pub const LARGE_ANSWER: usize = 16 << 20;

/// Maximum size of an answer with an error, in bytes. A status seldom has more than a few KiB.
const MAX_ERROR: usize = 1 << 20;

/// Characters that are encoded in a segment of a path and in the value of a query: all but
/// the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Percent-encodes the value of a query.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Returns a text of a spec as one segment of a request's path, percent-encoded.
///
/// # Errors
/// If the text is not one segment (see [`SegmentFault`]).
pub fn segment(text: &str) -> Result<String, SegmentFault> {
    SegmentFault::find(text).map_or_else(|| Ok(encode(text)), Err)
}

/// GETs a path with a query (`a=b&c=d`, encoded).
///
/// # Errors
/// If there is no answer in time, it is an error or has more than `most` bytes, or it can't be
/// deserialized.
pub async fn get<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    query: &str,
    most: usize,
) -> Result<T, RequestError> {
    let mut request = Request::new(path)
        .list(&ListParams::default())
        .map_err(|error| RequestError::Other(error.to_string()))?;
    let uri = format!("{path}?{query}").parse();
    let invalid = |error| RequestError::Other(format!("{path} is no path: {error}"));
    *request.uri_mut() = uri.map_err(invalid)?;
    send_for(client, Ok(request), most).await
}

/// Sends a request and deserializes the answer, of at most [`ANSWER`] bytes. Unlike kube's
/// client, it never logs the answer, which may have anything in it that a user wrote.
///
/// # Errors
/// If the request could not be built, there is no answer in time, or it is an error, is too
/// large or can't be deserialized.
pub(crate) async fn send<T: DeserializeOwned>(
    client: &Client,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<T, RequestError> {
    send_for(client, request, ANSWER).await
}

async fn send_for<T: DeserializeOwned>(
    client: &Client,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    most: usize,
) -> Result<T, RequestError> {
    let request = request.map_err(|error| RequestError::Other(error.to_string()))?;
    let text = answer(body(client, request, most)).await??;
    deserialize(&text)
}

/// Deserializes an answer.
///
/// # Errors
/// If it can't be deserialized. The message is shortened: it may quote the answer.
pub fn deserialize<T: DeserializeOwned>(answer: &[u8]) -> Result<T, RequestError> {
    let unreadable = |error| {
        let problem = format!("the answer can't be read: {error}");
        RequestError::Other(text::message(problem))
    };
    serde_json::from_slice(answer).map_err(unreadable)
}

/// Sends a request and reads the body of its answer, of at most this many bytes. Unlike kube's
/// client, it limits that of an error, too.
async fn body(
    client: &Client,
    request: http::Request<Vec<u8>>,
    most: usize,
) -> Result<Result<Vec<u8>, RequestError>, kube::Error> {
    let answer = client.send(request.map(Body::from)).await?;
    let code = answer.status();
    if code.is_client_error() || code.is_server_error() {
        let text = read(answer.into_body(), MAX_ERROR).await;
        return Err(kube::Error::Api(error_status(code, text).boxed()));
    }
    let text = read(answer.into_body(), most).await;
    Ok(text.map_err(RequestError::Other))
}

/// Reads a body of at most this many bytes.
///
/// # Errors
/// If it has more, or breaks off.
async fn read(body: Body, most: usize) -> Result<Vec<u8>, String> {
    let body = body.into_data_stream().map_err(io::Error::other);
    let mut text = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    let mut body = body.into_async_read().take(limit.saturating_add(1));
    if let Err(error) = body.read_to_end(&mut text).await {
        return Err(format!("the answer breaks off: {error}"));
    }
    if text.len() > most {
        return Err(format!("the answer has more than {} MiB", most >> 20));
    }
    Ok(text)
}

/// Returns the status of an answer with this code: the one in its text, if there is one, or
/// else one whose message is the text.
fn error_status(code: StatusCode, text: Result<Vec<u8>, String>) -> Status {
    let code = code.as_u16();
    let mut status = match text {
        // Proxies and metrics APIs don't always answer with a status.
        Ok(text) => serde_json::from_slice(&text)
            .unwrap_or_else(|_| Status::failure(String::from_utf8_lossy(&text).trim(), "")),
        Err(problem) => Status::failure(&format!("status {code}: {problem}"), ""),
    };
    if status.message.is_empty() {
        status.message = format!("status {code}");
    }
    status.with_code(code)
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
    match timeout(TIMEOUT, CatchPanic::new(request)).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(kube::Error::Api(status)))) => Err(Unanswered::Refused(status)),
        Ok(Ok(Err(error))) => Err(Unanswered::Failed(text::with_causes(&error))),
        Ok(Err(panic)) => Err(Unanswered::Failed(format!(
            "flyball panicked on the answer: {panic}"
        ))),
        Err(_) => Err(Unanswered::Failed(too_late())),
    }
}

fn too_late() -> String {
    let seconds = TIMEOUT.as_secs();
    format!("the API server did not answer within {seconds} s")
}

/// Returns a client whose requests fail if their answers do not begin within [`TIMEOUT`], or
/// stall for as long. Only the events of a watch may be further apart: kube's watcher limits
/// how long it is silent.
pub(crate) fn with_timeout(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let send = move |request: http::Request<Body>| {
        let client = client.clone();
        async move {
            let is_watch = is_watch(request.uri());
            let answer = match timeout(TIMEOUT, client.send(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(kube::Error::Service(too_late().into())),
            };
            answer.map(|answer| {
                // Kube's client reads the text of an error as a whole, that of a watch too.
                let has_events = is_watch && answer.status().is_success();
                answer.map(|body| {
                    if has_events {
                        Either::Left(body)
                    } else {
                        Either::Right(without_stalls(body))
                    }
                })
            })
        }
    };
    Client::new(tower::service_fn(send), namespace)
}

fn is_watch(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query.split('&').any(|parameter| parameter == "watch=true")
}

/// Part of a body, or why it can't be read.
type Part = <BodyStream<Body> as Stream>::Item;

/// Returns a body that ends with an error if one of its parts does not come within
/// [`TIMEOUT`].
fn without_stalls(body: Body) -> StreamBody<impl Stream<Item = Part>> {
    let parts = stream::unfold(Some(body), |body| async move {
        let mut body = body?;
        match timeout(TIMEOUT, body.frame()).await {
            Ok(part) => part.map(|part| (part, Some(body))),
            Err(_) => Some((Err(kube::Error::Service(stalled().into())), None)),
        }
    });
    StreamBody::new(parts)
}

fn stalled() -> String {
    let seconds = TIMEOUT.as_secs();
    format!("the API server did not go on with its answer within {seconds} s")
}

/// Waits for a request's answer for at most [`TIMEOUT`], and converts errors.
pub(crate) async fn answer<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, RequestError> {
    answer_or_status(request)
        .await
        .map_err(|error| match error {
            Unanswered::Refused(status) => {
                let message = text::message(status.message);
                match status.code {
                    404 => RequestError::NotFound(message),
                    409 => RequestError::Conflict(message),
                    _ => RequestError::Other(message),
                }
            }
            Unanswered::Failed(message) => RequestError::Other(message),
        })
}

/// Returns what is behind an error of the client: the API server's message, or the first
/// cause. What the layers above add is their own names, or the answer as it is in memory.
pub(crate) fn problem(error: &(dyn Error + 'static)) -> String {
    let mut first = error;
    loop {
        match first.downcast_ref() {
            Some(kube::Error::Api(status)) if !status.message.is_empty() => {
                return text::message(status.message.clone());
            }
            Some(kube::Error::Api(status)) => return format!("status {}", status.code),
            _ => {}
        }
        match first.source() {
            Some(cause) => first = cause,
            None => return text::message(first.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use kube::Client;
    use kube::client::Body;
    use serde_json::Value;

    use super::{ANSWER, MAX_ERROR, RequestError, get};

    /// Returns a client of a server that gives each request the same answer.
    fn client(code: u16, text: &str) -> Client {
        let text = text.to_owned();
        let service = tower::service_fn(move |_: http::Request<Body>| {
            let body = Body::from(text.clone().into_bytes());
            ready(http::Response::builder().status(code).body(body))
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn an_error_is_of_the_kind_that_its_code_says_whatever_its_text() {
        let forbidden = r#"{"kind":"Status","code":403,"message":"pods is forbidden"}"#;
        let large = "x".repeat(MAX_ERROR + 1);
        for (code, text, error) in [
            (
                403,
                forbidden,
                RequestError::Other("pods is forbidden".to_owned()),
            ),
            (
                404,
                "404 page not found\n",
                RequestError::NotFound("404 page not found".to_owned()),
            ),
            (
                404,
                &*large,
                RequestError::NotFound("status 404: the answer has more than 1 MiB".to_owned()),
            ),
            (
                409,
                &*large,
                RequestError::Conflict("status 409: the answer has more than 1 MiB".to_owned()),
            ),
            (409, "{}", RequestError::Conflict("status 409".to_owned())),
            (500, "", RequestError::Other("status 500".to_owned())),
        ] {
            let answered = get::<Value>(&client(code, text), "/apis", "", ANSWER).await;
            assert_eq!(answered, Err(error));
        }
    }
}
