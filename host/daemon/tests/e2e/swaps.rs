//! Swaps of policies as events of a scenario, with real components in the sandbox: in
//! virtual time, and in the daemon on the same scenario.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::support::{SCENARIO, Workshop};

/// Copies the example of two swaps with its components: another policy is activated under
/// the name `hpa`, and later `hpa` again.
fn workshop() -> Workshop {
    let workshop = Workshop::new();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    for name in ["swap.yaml", "nodes.yaml"] {
        let text = fs::read(format!("{examples}/{name}")).unwrap();
        workshop.write(name, text);
    }
    workshop.write("first.wasm", flyball_policies::PREDICTIVE);
    workshop.write("second.wasm", hpa());
    workshop
}

/// Returns the built-in policy `hpa`.
fn hpa() -> &'static [u8] {
    let mut builtin = flyball_policies::BUILTIN.iter();
    builtin.find(|(name, _)| *name == "hpa").unwrap().1
}

/// Returns records and report of a simulation, as bytes.
fn simulated(workshop: &Workshop, scenario: &str, name: &str) -> (Vec<u8>, Vec<u8>) {
    let (records, report) = (format!("{name}.jsonl"), format!("{name}.html"));
    let args = ["--records", &records, "--report", &report];
    workshop.succeed(&[&["simulate", scenario][..], &args].concat());
    let read = |file: &str| fs::read(workshop.path(file)).unwrap();
    (read(&records), read(&report))
}

#[test]
fn every_decision_from_the_swap_on_is_made_by_the_other_component() {
    let workshop = workshop();
    let first = simulated(&workshop, "swap.yaml", "a");
    let second = simulated(&workshop, "swap.yaml", "b");
    assert!(first == second, "two runs of one scenario differ");

    let [own, other] = [hpa(), flyball_policies::PREDICTIVE];
    let [own, other] = [own, other].map(flyball_sandbox::digest);
    let mut decided = BTreeSet::new();
    let mut begin = None;
    for line in String::from_utf8(first.0).unwrap().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let at = record["at"].as_i64().unwrap();
        let seconds = (at - *begin.get_or_insert(at)) / 1000;
        let expected = match seconds {
            7200..14_400 => &other,
            _ => &own,
        };
        let digest = &record["policies"][0]["version"]["digest"];
        assert_eq!(digest, expected.as_str(), "{seconds} s after the start");
        decided.insert(seconds);
    }
    assert!(decided.contains(&7200) && decided.contains(&14_400));
    let report = String::from_utf8(first.1).unwrap();
    assert!(report.contains("class=mark"), "the swaps are marked");
}

/// The clocks differ, but the decisions do not, including those about nodes.
#[test]
fn the_daemon_on_a_scenario_records_what_a_simulation_does() {
    let workshop = workshop();
    for scenario in ["swap.yaml", "nodes.yaml"] {
        let (records, _) = simulated(&workshop, scenario, "simulated");
        let cluster = format!("sim:{scenario}");
        let run = ["run", "--http", "127.0.0.1:0", "--cluster", &cluster];
        let fast = ["--speed", "1000000", "--records", "played.jsonl"];
        workshop.succeed(&[&run[..], &fast].concat());
        let played = fs::read(workshop.path("played.jsonl")).unwrap();
        assert!(played == records, "{scenario}: the records differ");
        fs::remove_file(workshop.path("played.jsonl")).unwrap();
    }
}

#[test]
fn a_refused_swap_is_told_by_the_exit_code_and_a_later_one_may_bring_a_policy() {
    let workshop = workshop();
    workshop.write("text.wasm", "no policy at all");
    let events = |name: &str, file: &str| {
        format!("{SCENARIO}events:\n  - swapPolicy: {{at: 1h, name: {name}, file: {file}}}\n")
    };
    workshop.write("refused.yaml", events("hpa", "text.wasm"));
    workshop
        .run(&["simulate", "refused.yaml"])
        .expect(3, &["swap refused:", "hpa at 01:00", "not WebAssembly"]);

    let asked = events("later", "first.wasm").replace(
        "    autoscaler:\n",
        "    autoscaler:\n      policies: [{name: later}]\n",
    );
    workshop.write("later.yaml", asked);
    let printed = workshop.succeed(&["simulate", "later.yaml"]);
    assert!(printed.contains("later@"), "{printed}");
}
