//! Tasks that hang.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::support::{SCENARIO, Workshop, wait_for};

/// Returns status and body of the answer to `/healthz`. `None` if there is no answer.
fn health(url: &str) -> Option<(u16, String)> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(5)))
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = agent.get(format!("{url}/healthz")).call().ok()?;
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
    assert_eq!(health(&url), Some((200, "ok\n".to_owned())));

    let limit = Duration::from_secs(300);
    wait_for("a red /healthz", limit, || {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before");
        match health(&url) {
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
    wait_for("the daemon to end", limit, || {
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().code(), Some(102));
}
