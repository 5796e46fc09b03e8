//! Whoever can connect to the daemon: requests that are never finished, too large, or meant
//! for another host.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Daemon, SCENARIO, WAIT_TIMEOUT, Workshop, wait_for};

const ARGS: [&str; 4] = ["--cluster", "sim:day.yaml", "--records", "day.jsonl"];

/// Half-sent requests that a stranger sends to an address. It closes none of the connections.
const HALF_SENT: usize = 1_000;

/// Maximum number of connections that the daemon keeps open at an address.
const MAX_CONNECTIONS: usize = 64;

/// Time limit of a probe: a kubelet's default, which the manifest leaves as it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Probes of a test that a busy machine may answer too late: fewer than those after which a
/// kubelet acts.
const LATE_PROBES: usize = 2;

/// Maximum size of an answer, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// End of an answer whose size is not known at its beginning.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A scenario whose records are large: each decision is about a thousand pods.
const MANY_PODS: &str = "\
duration: 48h
workloads:
  - name: web
    replicas: 1000
    pod:
      requests: {cpu: 200m}
    service: {cpuPerRequest: 5m}
    load:
      formula: 20000
    autoscaler:
      minReplicas: 1000
      maxReplicas: 1100
      metrics:
        - type: Resource
          resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
";

fn workshop() -> Workshop {
    let workshop = Workshop::new();
    workshop.write("day.yaml", SCENARIO);
    workshop
}

/// Starts the daemon with probes, and with room for 512 open files, fewer than the
/// connections of a stranger.
fn daemon_with_few_descriptors(workshop: &Workshop) -> Daemon {
    let flyball = workshop.command(&[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 512; exec \"$0\" \"$@\""])
        .arg(flyball.get_program())
        .args(["run", "--http=127.0.0.1:0", "--probes=127.0.0.1:0"])
        .args(["--log-format", "json"])
        .args(ARGS)
        .current_dir(workshop.path(""));
    for (name, value) in flyball.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let daemon = Daemon::spawn(command);
    daemon.wait_until_ready();
    daemon
}

/// Connects to an address, `http://HOST:PORT`. A read ends after half a minute.
fn connect(url: &str) -> TcpStream {
    let stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    let limit = Some(Duration::from_secs(30));
    stream.set_read_timeout(limit).unwrap();
    stream
}

/// Sends a request, and returns all that is answered. Returns `None` if the daemon closes
/// the connection without an answer.
fn ask(url: &str, request: &str) -> Option<String> {
    let mut stream = connect(url);
    // The daemon may close the connection while it is being written to.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let was_closed = read.is_ok() || !answer.is_empty();
    assert!(was_closed || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    (!answer.is_empty()).then(|| String::from_utf8(answer).unwrap())
}

/// Sends a GET request for a host, and returns the status and the body.
fn get(url: &str, path: &str, host: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let answer = ask(url, &request).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status.to_owned(), body.to_owned())
}

/// Sends the probes of an address, and returns how many are not answered in time. None may be
/// refused.
fn late_probes(url: &str) -> usize {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PROBE_TIMEOUT))
        .build()
        .into();
    let late = |path: &str| match agent.get(format!("{url}{path}")).call() {
        Ok(_) => 0,
        Err(ureq::Error::Timeout(_)) => 1,
        Err(error) => panic!("{url}{path}: {error}"),
    };
    late("/healthz") + late("/readyz")
}

/// Opens a connection and sends a part of a request.
fn send_half(url: &str) -> TcpStream {
    let mut stream = connect(url);
    let half = b"GET /healthz HTTP/1.1\r\nHost: a\r\n";
    stream.write_all(half).unwrap();
    stream
}

/// Reports whether the daemon has left a connection open without an answer.
fn is_open(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn probes_are_answered_in_time_under_a_thousand_half_sent_requests() {
    let workshop = workshop();
    let daemon = daemon_with_few_descriptors(&workshop);
    let probes = daemon.probes.clone().unwrap();
    let mut late = 0;
    for url in [&probes, &daemon.url] {
        let mut half_sent = Vec::new();
        for number in 1..=HALF_SENT {
            half_sent.push(send_half(url));
            if number % 100 == 0 {
                late += late_probes(&probes);
                // The requests before these probes have had their turn.
                late += late_probes(url);
                assert!(
                    late <= LATE_PROBES,
                    "{late} late probes after {number} requests to {url}"
                );
                half_sent.retain(is_open);
                let open = half_sent.len();
                assert!(open <= MAX_CONNECTIONS, "{open} connections to {url}");
            }
        }
        // The probes have taken places, and requests that take long are dropped.
        wait_for("all places to be taken", WAIT_TIMEOUT, || {
            half_sent.retain(is_open);
            let are_taken = half_sent.len() == MAX_CONNECTIONS;
            if !are_taken {
                half_sent.extend((0..MAX_CONNECTIONS).map(|_| send_half(url)));
            }
            are_taken
        });
    }
    let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.id())).unwrap();
    let descriptors = descriptors.count();
    assert!(descriptors < 256, "{descriptors} open files");
}

#[test]
fn a_request_that_is_too_long_or_never_finished_is_dropped() {
    let workshop = workshop();
    let daemon = Daemon::start(&workshop, &ARGS);
    let padded = |bytes: usize| {
        let padding = "a".repeat(bytes);
        let lines = "Host: localhost\r\nConnection: close";
        format!("GET /healthz HTTP/1.1\r\n{lines}\r\nPadding: {padding}\r\n\r\n")
    };
    let answer = ask(&daemon.url, &padded(6_000)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = ask(&daemon.url, &padded(9_000)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");

    // Within the time limit of `connect`, before and after a first request.
    assert_eq!(ask(&daemon.url, "GET /healthz HTTP/1.1\r\nHo"), None);
    let answer = ask(&daemon.url, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(ask(&daemon.url, ""), None);
}

/// Starts a daemon with more records than fit into an answer.
fn daemon_with_many_records(workshop: &Workshop, args: &[&str]) -> Daemon {
    workshop.write("day.yaml", MANY_PODS);
    let args = [&["--cluster=sim:day.yaml", "--speed=1500"][..], args].concat();
    let daemon = Daemon::ready(workshop, &args);
    daemon.wait_for("more records than fit", |daemon| all_records(daemon).1 > 0);
    daemon
}

/// Requests all records, and leaves the answer unread but for its beginning.
fn leave_unread(url: &str) -> TcpStream {
    let mut stream = connect(url);
    let request = b"GET /v1/records?limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut beginning = [0; 12];
    stream.read_exact(&mut beginning).unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200");
    stream
}

#[test]
fn half_sent_requests_and_an_unread_answer_do_not_keep_the_daemon_from_ending() {
    let workshop = Workshop::new();
    let args = ["--probes=127.0.0.1:0", "--records=day.jsonl"];
    let mut daemon = daemon_with_many_records(&workshop, &args);
    let probes = daemon.probes.clone().unwrap();
    let _half_sent = [&probes, &daemon.url].map(|url| {
        let mut stream = connect(url);
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
        // A keep-alive connection between two requests, as of a browser.
        let mut idle = connect(url);
        idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        idle.read_exact(&mut [0; 12]).unwrap();
        (stream, idle)
    });
    let mut unread = leave_unread(&daemon.url);
    daemon.ask_to_end();
    wait_for("the daemon to end", Duration::from_secs(15), || {
        !daemon.runs()
    });
    assert_eq!(daemon.wait_for_end(), Some(0));
    // The buffers of the connection did not take the whole answer. It may end with an error.
    let mut rest = Vec::new();
    let _ = unread.read_to_end(&mut rest);
    assert!(!rest.ends_with(LAST_CHUNK), "{} bytes", rest.len());
    let records = fs::read_to_string(workshop.path("day.jsonl")).unwrap();
    assert!(records.ends_with('\n'));
    workshop.succeed(&["replay", "day.jsonl"]);
}

#[test]
fn decisions_are_shown_only_to_requests_for_a_local_or_configured_host() {
    let workshop = workshop();
    let args = [&ARGS[..], &["--http-host=flyball.example.org"]].concat();
    let daemon = Daemon::ready(&workshop, &args);
    daemon.wait_for("a decision", |daemon| {
        daemon.last_record("default/web").is_some()
    });
    let paths = [
        "/v1/policies",
        "/v1/autoscalers",
        "/v1/records",
        "/v1/node-records",
        "/v1/nodes",
    ];
    for path in paths {
        let status = |host: &str| get(&daemon.url, path, host).0;
        for host in [
            "localhost",
            "LocalHost:8085",
            "127.0.0.1:8085",
            "127.1.2.3",
            "[::1]:8085",
            "flyball.example.org",
            "Flyball.Example.org:80",
        ] {
            assert_eq!(status(host), "200", "{path} of {host}");
        }
        for host in [
            "",
            "rebound.example.org",
            "rebound.example.org:8085",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "10.0.0.7",
            "flyball.example.org.",
            "[::2]",
        ] {
            assert_eq!(status(host), "421", "{path} of {host:?}");
        }
        let lines = format!("GET {path} HTTP/1.0\r\n\r\n");
        let without_a_host = ask(&daemon.url, &lines).unwrap();
        assert!(without_a_host.contains(" 421 "), "{without_a_host}");
        let lines = "Host: localhost\r\nConnection: close";
        let request = format!("GET http://rebound.example.org{path} HTTP/1.1\r\n{lines}\r\n\r\n");
        let absolute = ask(&daemon.url, &request).unwrap();
        assert!(absolute.contains(" 421 "), "{absolute}");
    }
    // Probes come from a kubelet, for the pod's address.
    assert_eq!(get(&daemon.url, "/healthz", "10.0.0.7").0, "200");

    let of_limit = |path: &str, limit: &str| {
        let path = format!("{path}?limit={limit}");
        get(&daemon.url, &path, "localhost")
    };
    for path in ["/v1/records", "/v1/node-records"] {
        assert_eq!(of_limit(path, "10000").0, "200");
        let (status, body) = of_limit(path, "10001");
        assert_eq!(status, "400");
        assert!(body.contains("10000"), "{body}");
    }
    let too_many = ["why", "default/web", "-n", "10001", "--server", &daemon.url];
    workshop.run(&too_many).expect(2, &["10000"]);
}

/// Gets as many records as the daemon serves at once, and the number of those that it left
/// out because of their size.
fn all_records(daemon: &Daemon) -> (String, usize) {
    let url = format!("{}/v1/records?limit=10000", daemon.url);
    let mut answer = ureq::get(url).call().unwrap();
    let left_out = answer.headers().get("flyball-left-out");
    let left_out = left_out.map_or("0", |count| count.to_str().unwrap());
    let left_out = left_out.parse().unwrap();
    let body = answer.body_mut().with_config().limit(100 << 20);
    (body.read_to_string().unwrap(), left_out)
}

#[test]
fn an_answer_beyond_16_mib_has_the_latest_records_and_says_how_many_it_lacks() {
    let workshop = Workshop::new();
    let daemon = daemon_with_many_records(&workshop, &[]);
    let (body, left_out) = all_records(&daemon);
    let bytes = body.len();
    // A record has less than a MiB.
    let almost_all = MAX_ANSWER - (1 << 20)..=MAX_ANSWER;
    assert!(almost_all.contains(&bytes), "{bytes} bytes");
    let is_whole = |line: &str| line.starts_with('{') && line.ends_with('}');
    assert!(body.ends_with('\n') && body.lines().all(is_whole));
    let sequence = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        usize::try_from(record["sequence"].as_u64().unwrap()).unwrap()
    };
    let lines = Vec::from_iter(body.lines());
    let (first, last) = (sequence(lines[0]), sequence(lines[lines.len() - 1]));
    // Those that are left out are older.
    assert!(first > left_out, "{first} is not after {left_out} others");
    assert_eq!(last - first + 1, lines.len(), "none is left out between");

    let why = ["why", "default/web", "-n", "10000", "--server", &daemon.url];
    workshop
        .run(&why)
        .expect(0, &["left out", "its answers are limited"]);
}
