//! Tasks that hang.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{SCENARIO, WAIT_TIMEOUT, Workshop, wait_for};

/// Maximum time from the last step of a loop that hangs to the end, and as much again for a busy
/// machine.
const END_WITHIN: Duration = Duration::from_secs(30 + 30);

/// Returns status and body of the answer to a request. `None` if there is no answer.
fn get(url: &str) -> Option<(u16, String)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent.get(url).call().ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.body_mut().read_to_string().ok()?))
}

#[test]
fn a_loop_that_hangs_is_reported_by_healthz_and_ends_the_process() {
    let workshop = Workshop::new();
    workshop.write("day.yaml", SCENARIO);
    let mut command = workshop.command(&[
        "run",
        "--http=127.0.0.1:0",
        "--log-format=json",
        "-v",
        "--cluster=sim:day.yaml",
        "--speed=600",
    ]);
    // Nobody reads the log after its beginning: once the pipe is full, the loop hangs when it
    // logs a decision.
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::with_capacity(1, child.stderr.take().unwrap()).lines();
    let url = log.by_ref().map(Result::unwrap).find_map(|line| {
        let event: Value = serde_json::from_str(&line).ok()?;
        Some(format!("http://{}", event["http"].as_str()?))
    });
    let url = url.unwrap();
    let health = || get(&format!("{url}/healthz"));
    assert_eq!(health(), Some((200, "ok\n".to_owned())));

    // A decision is known before it is logged, so the last one that is known is the last step.
    let (mut latest, mut moved) = (None, Instant::now());
    wait_for("a red /healthz", WAIT_TIMEOUT, || {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before");
        let asked = Instant::now();
        let record = get(&format!("{url}/v1/records?limit=1"));
        if record.is_some() && record != latest {
            (latest, moved) = (record, asked);
        }
        match health() {
            Some((200, _)) | None => false,
            Some((status, text)) => {
                assert_eq!(status, 503);
                assert!(
                    text.starts_with("the simulation has not moved for "),
                    "{text}"
                );
                true
            }
        }
    });
    assert!(
        latest.is_some_and(|(status, record)| status == 200 && !record.is_empty()),
        "no decision was seen"
    );
    let limit = END_WITHIN.saturating_sub(moved.elapsed());
    wait_for("the daemon to end", limit, || {
        let is_green = matches!(health(), Some((200, _)));
        let has_ended = child.try_wait().unwrap().is_some();
        assert!(has_ended || !is_green, "it is red until the end");
        has_ended
    });
    assert_eq!(child.wait().unwrap().code(), Some(102));
}
