//! The demo, from its first line to its report.

use std::fs;

use crate::support::Workshop;

#[test]
fn a_policy_and_an_expander_take_over_half_way_and_a_report_is_left() {
    let workshop = Workshop::new();
    let printed = workshop.succeed(&[
        "demo",
        "--fast",
        "--report",
        "day.html",
        "--policies-dir",
        "drop",
    ]);
    let swaps = [
        ("hpa", "predictive", flyball_policies::PREDICTIVE),
        ("least-waste", "cheapest", flyball_policies::CHEAPEST),
    ];
    for (in_use, name, component) in swaps {
        let copied = format!("copied into the policies directory: {name} as {in_use}.wasm");
        let took_over = format!("{name} took over from {in_use}, ");
        check_order(
            &printed,
            &[&copied, &took_over, "without a restart", "report  "],
        );
        let file = workshop.path(&format!("drop/{in_use}.wasm"));
        assert_eq!(fs::read(file).unwrap(), component);
    }
    check_order(&printed, &["TIME", "hpa: ", "predictive: "]);
    check_order(
        &printed,
        &["least-waste orders ", " on-demand node", " Ready, "],
    );
    check_order(&printed, &["cheapest orders ", " spot node", " Ready, "]);
    let scalings = printed.lines().filter(|line| line.contains(" → ")).count();
    assert!(
        (8..=60).contains(&scalings),
        "{scalings} decisions: {printed}"
    );
    // After that there are paths.
    let (day, _) = printed.split_once("\nreport  ").unwrap();
    let too_wide = day.lines().find(|line| line.chars().count() > 80);
    assert_eq!(too_wide, None, "more than 80 columns: {printed}");
    check_summary(&printed);
    check_report(&fs::read_to_string(workshop.path("day.html")).unwrap());
}

/// The summary names what each version did: other nodes after the swap.
fn check_summary(printed: &str) {
    let row = |heading: &str| {
        let mut lines = printed.lines();
        let line = lines.find(|line| line.trim_start().starts_with(heading));
        let line = line.unwrap_or_else(|| panic!("no {heading:?}: {printed}"));
        let cells = line.trim().split("  ").map(str::trim);
        let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
        cells[1..].to_vec()
    };
    let versions = [row("hpa.wasm"), row("least-waste.wasm")].concat();
    assert_eq!(
        versions
            .iter()
            .map(|version| version.split_once(' ').unwrap().0)
            .collect::<Vec<_>>(),
        ["hpa", "predictive", "least-waste", "cheapest"]
    );
    let additions = row("pods added");
    assert!(
        additions.iter().all(|cell| cell.ends_with("% cpu")),
        "{printed}"
    );
    let nodes = row("nodes ordered");
    assert!(
        nodes[0].ends_with(" on-demand") && nodes[1].ends_with(" spot"),
        "{printed}"
    );
    assert!(nodes.iter().all(|cell| !cell.contains(',')), "{printed}");
}

fn check_report(report: &str) {
    for chart in [
        "Load",
        "Replicas",
        "Utilization",
        "Requests lost",
        "Nodes",
        "Cost",
    ] {
        let title = format!("<figcaption><b>{chart}</b>");
        assert!(report.contains(&title), "no chart {chart:?} in the report");
    }
    let curves = "load capacity served demand ready replicas desired utilization target \
                  on-demand spot ordered pending cost";
    for curve in curves.split_whitespace() {
        let key = format!("\">{curve}</span>");
        assert!(report.contains(&key), "no curve {curve:?} in the report");
    }
    let digest = |component: &[u8]| {
        let digest = flyball_sandbox::digest(component);
        digest["sha256:".len()..][..12].to_owned()
    };
    let policy = format!(" hpa {}</li>", digest(flyball_policies::PREDICTIVE));
    let expander = format!(" least-waste {}: +", digest(flyball_policies::CHEAPEST));
    for mark in [policy, expander] {
        assert!(
            report.contains("<path class=mark") && report.contains(&mark),
            "the swap {mark:?} is not marked"
        );
    }
    assert!(
        !report.contains("src=\"http") && !report.contains("href=\"http"),
        "not self-contained"
    );
}

/// A file that is no policy does not take over, and the demo fails with the reason.
#[test]
fn the_demo_fails_if_a_file_does_not_take_over() {
    let workshop = Workshop::new();
    workshop.write("broken.wasm", "no component");
    let swap = ["demo", "--fast", "--swap-expander", "broken.wasm"];
    let ran = workshop.run(&swap);
    let expected = "error: broken did not take over from least-waste: not WebAssembly";
    assert!(
        ran.code == Some(1) && ran.stderr.contains(expected),
        "{ran:#?}"
    );
    assert!(ran.stdout.contains("broken did not decide"), "{ran:#?}");
}

/// Checks that the texts are printed in this order.
fn check_order(printed: &str, texts: &[&str]) {
    let mut rest = printed;
    for text in texts {
        let Some((_, after)) = rest.split_once(text) else {
            panic!("no {text:?} after what comes before it: {printed}");
        };
        rest = after;
    }
}
