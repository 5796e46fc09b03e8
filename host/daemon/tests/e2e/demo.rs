//! The demo, from its first line to its report.

use std::fs;

use crate::support::Workshop;

#[test]
fn a_policy_takes_over_half_way_and_a_report_is_left() {
    let workshop = Workshop::new();
    let printed = workshop.succeed(&[
        "demo",
        "--fast",
        "--report",
        "day.html",
        "--policies-dir",
        "drop",
    ]);
    for text in [
        "TIME",
        "predictive, was copied to drop/hpa.wasm",
        "took over from",
        "without a restart",
        "day.html",
    ] {
        assert!(printed.contains(text), "no {text:?}: {printed}");
    }
    let scalings = printed.lines().filter(|line| line.contains(" → ")).count();
    assert!(
        (8..=60).contains(&scalings),
        "{scalings} decisions: {printed}"
    );
    let digests: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains("decided"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(digests.len() == 2 && digests[0] != digests[1], "{printed}");
    assert_eq!(
        fs::read(workshop.path("drop/hpa.wasm")).unwrap(),
        flyball_policies::PREDICTIVE
    );

    let report = fs::read_to_string(workshop.path("day.html")).unwrap();
    for text in ["<svg", "nserved", "tilization"] {
        assert!(report.contains(text), "no {text:?} in the report");
    }
    assert!(
        !report.contains("src=\"http") && !report.contains("href=\"http"),
        "not self-contained"
    );
}
