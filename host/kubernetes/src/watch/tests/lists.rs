//! Lists of an API server that gives them in pages.

use std::future::ready;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::{BodyStream, StreamBody};
use kube::Client;
use kube::client::Body;
use kube::runtime::watcher::{self, Event};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::{identity, spec};
use crate::request;
use crate::resource::{PLURAL, ReplicaAutoscaler};
use crate::slim::PodObject;
use crate::watch::{Progress, Slim, Watches};

/// What a request for a watch has in its query.
const WATCH: &str = "watch=true";

/// A pause that is longer than any time limit.
const STALL: Duration = Duration::from_secs(86_400);

/// A pause between two events of a watch.
const SILENCE: Duration = Duration::from_secs(120);

/// An answer that pauses after its first character.
struct Answer {
    code: u16,
    text: String,
    pause: Duration,
}

impl Answer {
    fn new(code: u16, text: impl ToString) -> Self {
        Self {
            code,
            text: text.to_string(),
            pause: Duration::ZERO,
        }
    }

    fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    fn body(self) -> StreamBody<impl Stream<Item = <BodyStream<Body> as Stream>::Item>> {
        let Self { text, pause, .. } = self;
        let (first, rest) = text.split_at(1);
        let [first, rest] = [first, rest].map(|part| Body::from(part.as_bytes().to_vec()));
        let rest = stream::once(async move {
            sleep(pause).await;
            BodyStream::new(rest)
        });
        StreamBody::new(BodyStream::new(first).chain(rest.flatten()))
    }
}

/// Returns a client of a server that answers a path and query so. It does not say its version.
fn client(mut answer: impl FnMut(&str) -> Answer + Send + 'static) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let uri = request.uri().to_string();
        let answer = match uri.as_str() {
            "/version" => Answer::new(404, "unknown"),
            uri => answer(uri),
        };
        let response = Response::builder().status(answer.code);
        ready(response.body(answer.body()))
    });
    Client::new(service, "default")
}

/// Returns a client of a server that stalls in the midst of its first list, and of the error
/// with which it refuses the first watch.
fn stalling_server() -> Client {
    let object = |name: &str| json!({ "metadata": identity(name), "spec": spec(name) });
    let listed = json!({ "metadata": { "resourceVersion": "9" }, "items": [object("listed")] });
    // The type comes first, as an API server writes it.
    let event = format!(r#"{{"type":"ADDED","object":{}}}"#, object("late"));
    let mut stalls = [STALL, Duration::ZERO].into_iter();
    let mut is_refused = true;
    client(move |uri| {
        assert!(uri.contains(PLURAL), "{uri}");
        if !uri.contains(WATCH) {
            return Answer::new(200, &listed).with_pause(stalls.next().unwrap());
        }
        if std::mem::take(&mut is_refused) {
            return Answer::new(500, json!({ "message": "busy" })).with_pause(STALL);
        }
        Answer::new(200, format!("{event}\n")).with_pause(SILENCE)
    })
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stalls_is_requested_again_and_a_watch_may_be_silent() {
    let mut watches = Watches::new(stalling_server()).await;
    let (sender, mut told) = mpsc::unbounded_channel();
    let (_, never) = watch::channel(());
    watches.start(
        never,
        move |event: watcher::Result<Event<ReplicaAutoscaler>>| {
            let text = match event {
                Ok(event) => event.to_string(),
                Err(error) => request::problem(&error),
            };
            sender.send(text).unwrap();
            Progress::Incomplete
        },
    );
    let stalled = "the API server did not go on with its answer within 10 s";
    for expected in [
        "Init",
        stalled,
        "Init",
        "InitApply(listed)",
        "InitDone",
        stalled,
        "Apply(late)",
    ] {
        assert_eq!(told.recv().await.as_deref(), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_has_50_objects_whatever_the_kind() {
    let (sender, mut requests) = mpsc::unbounded_channel();
    let empty = json!({ "metadata": { "resourceVersion": "9" }, "items": [] });
    let server = client(move |uri| {
        let answer = Answer::new(200, &empty);
        if uri.contains(WATCH) {
            return answer.with_pause(STALL);
        }
        sender.send(uri.to_owned()).unwrap();
        answer
    });
    let mut watches = Watches::new(server).await;
    watches.add(|_: Event<ReplicaAutoscaler>| {});
    watches.add(|_: Event<Slim<PodObject>>| {});
    watches.synced().await;
    for _ in 0..2 {
        let uri = requests.recv().await.unwrap();
        let limit = uri
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("limit="));
        assert_eq!(limit, Some("50"), "{uri}");
    }
}
