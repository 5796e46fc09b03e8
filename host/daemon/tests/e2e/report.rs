//! Reports as people see them: in a browser on a phone and on a desk, light and dark.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::browser::Browser;
use crate::support::{SCENARIO, Workshop};

/// Widths of a phone and of a window on a desk, in CSS pixels.
const PHONE: u32 = 390;
const DESK: u32 = 1280;

#[test]
fn reports_are_read_on_a_phone_and_on_a_desk() {
    let workshop = Workshop::new();
    let browser = Browser::start();
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    fs::create_dir_all(&pictures).unwrap();
    for report in [day(&workshop), night(&workshop), compared(&workshop)] {
        let name = report.file_stem().unwrap().display();
        for width in [PHONE, DESK] {
            for scheme in ["light", "dark"] {
                let page = format!("{name}-{width}-{scheme}");
                browser.open(&report, width, scheme);
                browser.photograph(&pictures.join(format!("{page}.png")));
                let faults = browser.run(include_str!("report.js"));
                let faults: Vec<&str> = faults
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                assert!(faults.is_empty(), "{page}.png: {faults:#?}");
            }
        }
    }
}

/// Returns the report of the demo.
fn day(workshop: &Workshop) -> PathBuf {
    workshop.succeed(&["demo", "--fast", "--report", "day.html"]);
    workshop.path("day.html")
}

/// Returns the report of a night in which nodes are removed.
fn night(workshop: &Workshop) -> PathBuf {
    let scenario = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/nodes/night.yaml"
    );
    workshop.succeed(&["simulate", scenario, "--report", "night.html"]);
    workshop.path("night.html")
}

/// Returns the report of a comparison, with names as long as they may be, and requests
/// that are lost.
fn compared(workshop: &Workshop) -> PathBuf {
    let name = "a-workload-".repeat(6);
    let scenario = SCENARIO
        .replace(
            "name: web",
            &format!("name: {}", name.trim_end_matches('-')),
        )
        .replace("maxReplicas: 20", "maxReplicas: 3");
    workshop.write("long.yaml", scenario);
    let long = format!("{}.wasm", "policy-".repeat(8).trim_end_matches('-'));
    workshop.write(&long, flyball_policies::PREDICTIVE);
    let contenders = format!(r#"hpa,{long}={{"leadSeconds":1800}}"#);
    let report = ["--compare", &contenders, "--report", "compared.html"];
    workshop.succeed(&[&["simulate", "long.yaml"], &report[..]].concat());
    workshop.path("compared.html")
}
