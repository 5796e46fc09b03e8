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
    for chart in ["Load", "Replicas", "Utilization", "Unserved load"] {
        let title = format!("<figcaption><b>{chart}</b>");
        assert!(report.contains(&title), "no chart {chart:?} in the report");
    }
    let curves = "load capacity served demand ready replicas desired utilization target unserved";
    for curve in curves.split(' ') {
        let key = format!("\">{curve}</span>");
        assert!(report.contains(&key), "no curve {curve:?} in the report");
    }
    let digest = flyball_sandbox::digest(flyball_policies::PREDICTIVE);
    let mark = format!(">hpa {}</u>", &digest["sha256:".len()..][..12]);
    assert!(
        report.contains("<path class=mark") && report.contains(&mark),
        "the change of policy is not marked"
    );
    assert!(
        !report.contains("src=\"http") && !report.contains("href=\"http"),
        "not self-contained"
    );
}
