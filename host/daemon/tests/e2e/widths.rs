//! Tables in the terminal: as wide as it is, with names that are cut and reasons that
//! never are.

use std::fs;

use crate::support::{Ran, SCENARIO, Workshop};

const GROUP: &str = "a-node-group-whose-name-says-all-that-there-is-to-say-about-it";
const POLICY: &str = "a-policy-whose-name-says-all-that-there-is-to-say";
/// What the policy says of itself.
const SUMMARY: &str = "Scales ahead of a trend in the last half hour";

#[test]
fn tables_fit_in_80_columns_and_cut_names_only() {
    let workshop = Workshop::new();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
    let nodes = fs::read_to_string(format!("{examples}/nodes.yaml")).unwrap();
    workshop.write(
        "nodes.yaml",
        nodes.replace("name: nodes", &format!("name: {GROUP}")),
    );
    workshop.write("day.yaml", SCENARIO);
    let file = format!("policies/{POLICY}.wasm");
    workshop.write(&file, flyball_policies::PREDICTIVE);
    workshop.succeed(&["simulate", "nodes.yaml", "--records", "nodes.jsonl"]);

    let list = ["policy", "list", "--policies-dir", "policies"];
    let contenders = format!("hpa,{file}");
    let compare = ["simulate", "day.yaml", "--compare", &contenders];
    let expanders = [
        "simulate",
        "nodes.yaml",
        "--compare",
        "least-waste,most-pods",
    ];
    let simulate = ["simulate", "nodes.yaml"];
    let why = ["why", "nodes", "-n", "100", "--records", "nodes.jsonl"];
    let commands: [(&[&str], &str, &str); 5] = [
        (&list, "NAME", POLICY),
        (&compare, "POLICY", POLICY),
        (&expanders, "POLICY", ""),
        (&simulate, "NODE GROUP", GROUP),
        (&why, "NODE GROUP", GROUP),
    ];
    for (command, heading, name) in commands {
        let narrow = with_columns(&workshop, command, "80");
        let tables = tables(&narrow, heading);
        assert!(!tables.is_empty(), "no {heading}: {narrow}");
        for line in &tables {
            assert!(line.chars().count() <= 80, "too wide: {line:?} in {narrow}");
        }
        let cut = tables.iter().any(|line| line.contains('…'));
        assert!(cut != name.is_empty(), "{narrow}");
        // A program that reads the output reads whole names.
        let whole = workshop.succeed(command);
        assert!(whole.contains(name), "{whole}");
        assert_eq!(with_columns(&workshop, command, "1000"), whole);
    }
    let listed = with_columns(&workshop, &list, "80");
    assert!(listed.lines().all(|line| line.chars().count() <= 80));
    let words: Vec<&str> = listed.split_whitespace().collect();
    assert!(words.join(" ").contains(SUMMARY), "{listed}");
}

fn with_columns(workshop: &Workshop, command: &[&str], columns: &str) -> String {
    let output = workshop.command(command).env("COLUMNS", columns).output();
    let ran: Ran = output.unwrap().into();
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    ran.stdout
}

/// Returns the lines of the tables whose first heading is this one, without what stands
/// below their rows: lines of columns, and those of headings.
fn tables<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let mut is_table = false;
    let in_table = |line: &&str| {
        let text = line.trim_start();
        let is_heading = !text.is_empty() && text.to_uppercase() == text;
        is_table = text.starts_with(heading) || is_table && (text.contains("  ") || is_heading);
        is_table
    };
    text.lines().filter(in_table).collect()
}
