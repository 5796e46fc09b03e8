//! `cargo xtask fuzz --properties`: tries what tests check with random inputs again and again.

use std::time::{Duration, Instant};

use crate::command::{run as run_command, step};
use crate::{setup, workspace};

/// Tests of what holds whatever tenants, policies, backends, servers and watched tasks do: their
/// files and names. Some choose only the moment at random.
const PROPERTIES: [(&str, &str); 15] = [
    (
        "host/daemon/tests/e2e/lost_lease.rs",
        "a_leader_that_was_stopped_writes_nothing_when_it_goes_on",
    ),
    (
        "host/daemon/tests/e2e/lost_lease.rs",
        "what_was_being_written_when_the_lease_was_lost_is_recorded",
    ),
    (
        "host/decision/src/text.rs",
        "any_text_becomes_a_line_of_bounded_size",
    ),
    (
        "host/kubernetes/src/fair_requests/tests.rs",
        "an_innocent_request_is_answered_within_two_periods_whatever_others_do",
    ),
    (
        "host/kubernetes/src/watch/tests.rs",
        "whatever_is_in_one_autoscaler_all_others_are_read_and_decided",
    ),
    (
        "host/kubernetes/src/watch/tests.rs",
        "whatever_is_in_one_pod_all_others_are_read",
    ),
    (
        "host/nodes/tests/nodes/messages.rs",
        "no_message_is_long_or_has_control_characters",
    ),
    (
        "host/replicas/src/control/removals.rs",
        "a_namespace_changes_the_share_of_others_by_its_ready_replicas_at_most",
    ),
    (
        "host/replicas/tests/loop/fuel.rs",
        "what_a_namespace_takes_keeps_no_other_waiting",
    ),
    (
        "host/replicas/tests/loop/messages.rs",
        "no_message_is_long_or_has_control_characters",
    ),
    (
        "host/sandbox/tests/sandbox/registry/tenants.rs",
        "what_happens_in_a_namespace_does_not_change_anothers_answers",
    ),
    (
        "host/sources/tests/sources/paths.rs",
        "no_request_has_a_segment_that_is_not_one_nor_another_namespace",
    ),
    (
        "host/sources/tests/sources/paths.rs",
        "the_pattern_of_a_segment_allows_what_its_check_allows",
    ),
    (
        "host/tasks/src/watchdog/generated.rs",
        "what_hangs_is_red_and_moves_again_or_ends_the_process_within_30_s",
    ),
    (
        "tests/tests/hot_reload/any_bytes.rs",
        "any_bytes_get_a_verdict_within_limits_and_the_version_before_decides_meanwhile",
    ),
];

/// Programs of these tests, besides those of the libraries.
const PROGRAMS: [&str; 6] = ["e2e", "hot_reload", "loop", "nodes", "sandbox", "sources"];

/// Runs the tests in rounds, each with other inputs. No round begins after the time, but one
/// runs in any case.
pub fn run(time: Duration) -> anyhow::Result<()> {
    setup::wasm()?;
    setup::cluster()?;
    let start = Instant::now();
    for round in 1.. {
        step(&format!("round {round} of the properties"), || {
            let programs = PROGRAMS.into_iter().flat_map(|program| ["--test", program]);
            run_command(
                workspace::cargo()
                    .args(["test", "--workspace", "--lib"])
                    .args(programs)
                    .arg("--")
                    .args(PROPERTIES.map(|(_, name)| name)),
            )
        })?;
        if start.elapsed() >= time {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a panic is how a test says what is wrong"
    )]

    use std::fs;

    use super::{PROGRAMS, PROPERTIES};
    use crate::workspace;

    /// A name that no test has would be passed over.
    #[test]
    fn each_property_is_a_test_of_a_program_that_is_run() {
        for (file, name) in PROPERTIES {
            let text = fs::read_to_string(workspace::root().join(file)).unwrap();
            let definitions = ["\n", "    "].map(|before| format!("{before}fn {name}("));
            let is_there = definitions
                .iter()
                .any(|definition| text.contains(definition));
            assert!(is_there, "{name}");
            let is_of = |program: &&str| file.contains(&format!("/tests/{program}/"));
            let is_run = file.contains("/src/") || PROGRAMS.iter().any(is_of);
            assert!(is_run, "{file}");
        }
    }
}
