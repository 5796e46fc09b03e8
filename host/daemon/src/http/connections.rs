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
use tokio::time::{Instant, sleep, sleep_until, timeout};

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
        // The stop comes first, however many connections arrive.
        let accepted = tokio::select! {
            biased;
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
        // A connection that has seen the stop is not closed for this one.
        let (connection, slot) = tokio::select! {
            biased;
            () = stop.clone().stopped() => break,
            opened = connections.open() => opened,
        };
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
struct Connection {
    last_request: Mutex<LastRequest>,
    /// Closes the connection.
    close: Notify,
}

/// The last complete request of a connection.
struct LastRequest {
    /// When it was complete. Before the first one, when the connection was opened.
    since: Instant,
    /// Whether a part of its answer is not in the connection's buffers yet.
    is_answering: bool,
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
        let connection = Arc::new(Connection::new());
        self.list().push(Arc::clone(&connection));
        (connection, slot)
    }

    fn close_one(&self) {
        let mut open = self.list();
        // `None`, no complete request, is less than any time.
        let since = open.iter().map(|connection| connection.answering_since());
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
    fn new() -> Self {
        Self {
            last_request: Mutex::new(LastRequest {
                since: Instant::now(),
                is_answering: false,
            }),
            close: Notify::new(),
        }
    }

    fn last_request(&self) -> MutexGuard<'_, LastRequest> {
        self.last_request
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns since when a request has been complete, unless its whole answer is in the
    /// buffers.
    fn answering_since(&self) -> Option<Instant> {
        let last = self.last_request();
        last.is_answering.then_some(last.since)
    }

    /// Waits until the last request has been complete for [`ANSWER_TIMEOUT`]: what is in the
    /// buffers may not be taken. Once all is taken, [`HEADER_TIMEOUT`] is over before.
    async fn is_overdue(&self) {
        loop {
            let end = self.last_request().since + ANSWER_TIMEOUT;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// Marks a connection as one with a complete request, until its answer is in the buffers.
struct Answering(Arc<Connection>);

impl Answering {
    fn begin(connection: &Arc<Connection>) -> Self {
        *connection.last_request() = LastRequest {
            since: Instant::now(),
            is_answering: true,
        };
        Self(Arc::clone(connection))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.last_request().is_answering = false;
    }
}

/// Body of an answer, which is dropped when its last part is in the buffers.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

    use std::io::{Write as _, read_to_string};
    use std::net::{SocketAddr, TcpStream};
    use std::pin::pin;
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::task::{spawn_blocking, yield_now};
    use tokio::time::{pause, resume, timeout};

    use super::{
        ANSWER_TIMEOUT, Connections, MAX_CONNECTIONS, STOP_TIMEOUT, serve, serve_connection,
    };
    use crate::clock::StopSignal;

    /// An answer that is larger than the buffers of a connection. Like an answer to a probe,
    /// it has one part: hyper has all of it while the client takes it.
    static LARGE: [u8; 8 << 20] = [0; 8 << 20];

    /// Times that a server is stopped. Which of two events it handles first is random.
    const STOPS: usize = 8;

    /// Maximum time to wait for a part of an answer.
    const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

    fn router() -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/large", get(|| async { &LARGE }))
    }

    /// Listens on a free port. Connections have the listener's send buffer, a small one.
    fn listen() -> TcpListener {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(4 << 10).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        socket.listen(128).unwrap()
    }

    /// Sends a request on a connection of its own, which need not be accepted yet.
    fn send(address: SocketAddr, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(WAIT_TIMEOUT)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn request_large(address: SocketAddr) -> TcpStream {
        send(address, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
    }

    /// Requests a large answer, and waits until it begins, but does not read it.
    async fn leave_unread(address: SocketAddr) -> TcpStream {
        let stream = request_large(address);
        let begun = move || stream.peek(&mut [0]).map(|_| stream);
        spawn_blocking(begun).await.unwrap().unwrap()
    }

    /// Sends a probe, and returns its answer.
    async fn probe(address: SocketAddr) -> String {
        let request = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let stream = send(address, request);
        let answer = spawn_blocking(|| read_to_string(stream));
        answer.await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn unread_answers_keep_neither_a_probe_from_an_answer_nor_the_server_from_its_end() {
        for _ in 0..STOPS {
            let listener = listen();
            let address = listener.local_addr().unwrap();
            let (stop_trigger, stop) = StopSignal::new();
            let serving = tokio::spawn(serve(listener, router(), stop));
            let mut unread = Vec::new();
            // The last of these probes come when all places are taken.
            for _ in 0..MAX_CONNECTIONS + 8 {
                let answer = probe(address).await;
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                unread.push(leave_unread(address).await);
            }
            // The server learns of these and of the stop at the same time.
            unread.extend((0..8).map(|_| request_large(address)));
            yield_now().await;
            stop_trigger.stop();
            // The clock goes on as soon as nothing is left to do.
            pause();
            let ended = timeout(5 * STOP_TIMEOUT, serving).await;
            ended.expect("the server ends").unwrap();
            resume();
        }
    }

    #[tokio::test]
    async fn an_answer_that_waits_in_the_buffers_has_a_minute_too() {
        let listener = listen();
        let _unread = request_large(listener.local_addr().unwrap());
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        let (connection, _slot) = Connections::new().open().await;
        let (_stop_trigger, stop) = StopSignal::new();
        // The clock goes on as soon as nothing is left to do.
        pause();
        let serving = serve_connection(stream, router(), &connection, stop);
        let mut serving = pin!(serving);
        let second = Duration::from_secs(1);
        let early = timeout(ANSWER_TIMEOUT - second, serving.as_mut()).await;
        assert!(early.is_err(), "closed early");
        timeout(2 * second, serving).await.expect("it is closed");
    }
}
