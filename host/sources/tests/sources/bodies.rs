//! Answers that are too large.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use flyball_kubernetes::Kinds;
use flyball_replicas::ports::{MetricAnswer, MetricQuestion, MetricsSource as _, ObservationError};
use flyball_replicas::selector::Selector;
use flyball_replicas::spec::MetricSpec;
use flyball_sources::MetricsApis;
use kube::Client;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::api_server;

/// Longer than reading any of these answers takes.
const PATIENT: Duration = Duration::from_secs(60);

/// Size of an error that is not read to its end: more than the buffers of a connection hold.
const LARGE_ERROR: usize = 64 << 20;

#[test]
fn an_answer_that_is_too_large_is_an_error_of_its_metric_alone() {
    let asked = [("shop", api_server::HUGE), ("shop", api_server::SMALL)];
    let answers = measure(&asked);
    let error = answers[0].as_ref().unwrap_err();
    assert!(
        error.message.ends_with("the answer has more than 4 MiB"),
        "{error}"
    );
    assert!(answers[1].is_ok(), "{answers:?}");
}

/// An item takes many times the memory of its text, also one that can't be read.
#[test]
fn an_answer_with_too_many_items_is_an_error_of_its_metric_alone() {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (client, _) = api_server::client();
    let of_pods = |name: &str| {
        let target = json!({ "type": "AverageValue", "averageValue": "1" });
        let pods = json!({ "metric": { "name": name }, "target": target });
        serde_json::from_value(json!({ "type": "Pods", "pods": pods })).unwrap()
    };
    let errors = [
        ("shop", external(api_server::MANY), "more than 25000 items"),
        ("shop", of_pods(api_server::MANY), "more than 25000 items"),
        (
            "shop",
            of_pods(api_server::LARGE),
            "metrics of 20000 pods, and the target has 0",
        ),
        (
            api_server::CROWDED,
            usage(),
            "more than 500000 labels, containers and amounts",
        ),
        (api_server::WIDE, usage(), "item 0 has more than 256 KiB"),
    ];
    let mut asked: Vec<_> = errors.clone().map(|(of, metric, _)| (of, metric)).into();
    asked.push(("shop", external(api_server::SMALL)));
    let answers = measure_with(&runtime, client, &asked);
    for (answer, (_, _, error)) in answers.iter().zip(errors) {
        let answer = answer.as_ref().map_err(|error| &error.message);
        assert!(
            answer.is_err_and(|message| message.contains(error)),
            "{error}: {answer:.200?}"
        );
    }
    let small = answers.last().unwrap();
    assert!(small.is_ok(), "{small:?}");
}

#[test]
fn an_error_that_is_too_large_is_not_read_to_its_end() {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || answer_with_large_error(&listener));
    let client = Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
    let answers = measure_with(&runtime, client, &[("shop", external(api_server::SMALL))]);
    let error = answers[0].as_ref().unwrap_err();
    assert!(
        error
            .message
            .ends_with("status 500: the answer has more than 1 MiB"),
        "{error}"
    );
    let taken = server.join().unwrap();
    assert!(taken < LARGE_ERROR, "{taken} bytes");
}

/// Answers one request with an error. Returns how many bytes of it were taken.
fn answer_with_large_error(listener: &TcpListener) -> usize {
    let (mut stream, _) = listener.accept().unwrap();
    // In case that the client neither reads nor ends the connection.
    stream.set_write_timeout(Some(PATIENT)).unwrap();
    let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
    // A GET has no body.
    while !request.next().unwrap().unwrap().is_empty() {}
    let head = "HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\n";
    write!(stream, "{head}content-length: {LARGE_ERROR}\r\n\r\n").unwrap();
    let part = "x".repeat(64 << 10);
    let mut taken = 0;
    while taken < LARGE_ERROR && stream.write_all(part.as_bytes()).is_ok() {
        taken += part.len();
    }
    taken
}

/// Six answers have more values than a namespace may have in one call. Four are asked for at a
/// time.
#[test]
fn a_namespace_with_many_values_gets_no_more_of_them_and_others_get_theirs() {
    let large: Vec<String> = (0..12)
        .map(|number| format!("{}-{number:02}", api_server::LARGE))
        .collect();
    let mut asked: Vec<(&str, &str)> = large.iter().map(|name| ("shop", &**name)).collect();
    asked.push(("other", api_server::SMALL));
    let answers = measure(&asked);
    let is_refused = |answer: &&Result<_, ObservationError>| {
        let error = answer.as_ref().err();
        error.is_some_and(|error| error.message.contains("are too large together"))
    };
    let refused = answers.iter().filter(is_refused).count();
    let answered = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(refused + answered, 13);
    assert!((6..=9).contains(&(answered - 1)), "{answered} answers");
    assert!(answers[12].is_ok());
}

/// Each counts as ten values, of which a namespace may have 100,000.
#[test]
fn samples_of_pods_that_no_target_has_are_limited_for_each_namespace() {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (client, _) = api_server::client();
    let asked = vec![(api_server::STRANGE, usage()); 20];
    let answers = measure_with(&runtime, client, &asked);
    let is_measured = |answer: &Result<_, _>| match answer {
        Ok(MetricAnswer::Pods(samples)) => samples.len() == 1_000,
        _ => false,
    };
    let measured = answers
        .iter()
        .take_while(|answer| is_measured(answer))
        .count();
    assert_eq!(measured, 11);
    let is_refused = |answer: &Result<_, ObservationError>| {
        let error = answer.as_ref().err();
        error.is_some_and(|error| error.message.contains("are too large together"))
    };
    assert!(answers[measured..].iter().all(is_refused));
}

/// Measures external metrics of the server in memory, each of a namespace.
fn measure(asked: &[(&str, &str)]) -> Vec<Result<MetricAnswer, ObservationError>> {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let (client, _) = api_server::client();
    let asked = asked
        .iter()
        .map(|(namespace, name)| (*namespace, external(name)));
    measure_with(&runtime, client, &Vec::from_iter(asked))
}

fn usage() -> MetricSpec {
    let target = json!({ "type": "AverageValue", "averageValue": "1" });
    let resource = json!({ "name": "cpu", "target": target });
    serde_json::from_value(json!({ "type": "Resource", "resource": resource })).unwrap()
}

fn external(name: &str) -> MetricSpec {
    let target = json!({ "type": "AverageValue", "averageValue": "1" });
    let external = json!({ "metric": { "name": name }, "target": target });
    serde_json::from_value(json!({ "type": "External", "external": external })).unwrap()
}

/// Measures metrics, each of a namespace.
pub fn measure_with(
    runtime: &Runtime,
    client: Client,
    asked: &[(&str, MetricSpec)],
) -> Vec<Result<MetricAnswer, ObservationError>> {
    let source = MetricsApis::new(client.clone(), Kinds::new(client), PATIENT);
    let (pods, no_selector) = (Selector::default(), Ok(None));
    let questions = asked.iter().map(|(namespace, metric)| MetricQuestion {
        namespace,
        selector: "app=web",
        pods: &pods,
        selected: 0,
        metric,
        metric_selector: &no_selector,
    });
    let questions: Vec<_> = questions.collect();
    runtime.block_on(source.measure(&questions))
}
