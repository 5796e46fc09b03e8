//! HTTP/1 server for whoever connects. Its limits hold for all clients together, and no
//! number of connections keeps a new one from being answered.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use flyball_tasks::CatchPanic;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::clock::StopSignal;

/// Maximum number of open connections. When there are as many, one is closed for each new
/// one.
const MAX_CONNECTIONS: usize = 64;

/// Maximum size of a request's headers. A larger request is answered with 431.
const MAX_HEADER_BYTES: usize = 8 << 10;

/// Size of a connection's buffers.
const BUFFER_BYTES: usize = 16 << 10;

/// Time limit for receiving a request's headers, and for the pause between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for taking an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Time limit for requests that are in progress at the stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Time to wait after a connection could not be accepted.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serves connections until the stop, and those that are open then for [`STOP_TIMEOUT`].
pub async fn serve(listener: TcpListener, router: Router, stop: StopSignal) {
    let connections = Connections::new();
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.clone().stopped() => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                refused(&error).await;
                continue;
            }
        };
        let (connection, slot) = connections.open().await;
        let (router, stop) = (router.clone(), stop.clone());
        let connections = Arc::clone(&connections);
        tasks.spawn(async move {
            serve_connection(stream, router, &connection, stop).await;
            connections.remove(&connection);
            drop(slot);
        });
    }
    drop(listener);
    let ends = async { while tasks.join_next().await.is_some() {} };
    // What is still open is closed with the tasks.
    let _ = timeout(STOP_TIMEOUT, ends).await;
}

/// Waits after an error of `accept`, unless it is one of the connection.
async fn refused(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        tracing::warn!(%error, "a connection was not accepted");
        sleep(ACCEPT_RETRY).await;
    }
}

async fn serve_connection(
    stream: TcpStream,
    router: Router,
    connection: &Arc<Connection>,
    stop: StopSignal,
) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let answering = Answering::begin(connection);
        let answer = service.call(request);
        async move {
            let answer = match CatchPanic::new(answer).await {
                Ok(Ok(answer)) => answer,
                Err(panic) => {
                    tracing::error!(panic, "a request was not answered");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            };
            Ok::<Response<Body>, Infallible>(answer.map(|body| {
                Body::new(AnswerBody {
                    body,
                    _answering: answering,
                })
            }))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    // Errors are the client's.
    tokio::select! {
        _ = serving.as_mut() => return,
        () = connection.close.notified() => return,
        () = connection.is_overdue() => return,
        () = stop.stopped() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// The open connections.
struct Connections {
    /// The oldest first.
    open: Mutex<Vec<Arc<Connection>>>,
    slots: Arc<Semaphore>,
}

/// An open connection.
#[derive(Default)]
struct Connection {
    /// Since when a request has been complete and its answer has not been taken.
    answering: Mutex<Option<Instant>>,
    /// Closes the connection.
    close: Notify,
}

impl Connections {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        })
    }

    /// Registers a new connection. If too many are open, closes the oldest one without a
    /// complete request. If all have one, closes the one that has been answered for the
    /// longest time.
    async fn open(&self) -> (Arc<Connection>, Option<OwnedSemaphorePermit>) {
        if self.slots.available_permits() == 0 {
            self.close_one();
        }
        // An error would mean that the semaphore was closed, which nobody does.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let connection = Arc::new(Connection::default());
        self.list().push(Arc::clone(&connection));
        (connection, slot)
    }

    fn close_one(&self) {
        let mut open = self.list();
        // `None`, no complete request, is less than any time.
        let since = open.iter().map(|connection| *connection.answering());
        let first = since.enumerate().min_by_key(|(_, since)| *since);
        if let Some((place, _)) = first {
            open.remove(place).close.notify_one();
        }
    }

    fn remove(&self, connection: &Arc<Connection>) {
        self.list().retain(|open| !Arc::ptr_eq(open, connection));
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn answering(&self) -> MutexGuard<'_, Option<Instant>> {
        self.answering
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until an answer has not been taken within [`ANSWER_TIMEOUT`].
    async fn is_overdue(&self) {
        loop {
            let since = *self.answering();
            let left = ANSWER_TIMEOUT
                - since
                    .map_or(Duration::ZERO, |since| since.elapsed())
                    .min(ANSWER_TIMEOUT);
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }
}

/// Marks a connection as one with a complete request, until the answer was taken.
struct Answering(Arc<Connection>);

impl Answering {
    fn begin(connection: &Arc<Connection>) -> Self {
        *connection.answering() = Some(Instant::now());
        Self(Arc::clone(connection))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        *self.0.answering() = None;
    }
}

/// Body of an answer, which is dropped when it was taken.
struct AnswerBody {
    body: Body,
    _answering: Answering,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
