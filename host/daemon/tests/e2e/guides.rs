//! Runs the guides: every `sh` block of a page runs, in order, in one shell, in an empty
//! folder, with the real binary and a real control plane.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use flyball_nodes::scale_down::reasons::{HOST_REASONS, HostReason};
use flyball_test_support::binaries::{Binaries, cloud};
use flyball_test_support::{Cluster, ClusterOptions};
use serde_json::Value;

use crate::support::{author_folder, policies_build_dir};

/// Held while a page runs `cargo test` in the folder that all policies are compiled in.
/// Cargo gives up its lock of that folder before it compiles the doc tests, and the native
/// SDK has one file name for all policies there: the `cargo test` of another page would
/// remove the file that the doc tests are about to read.
static CARGO_TESTS: Mutex<()> = Mutex::new(());

const PRELUDE: &str = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";

#[test]
fn every_command_of_the_operators_guide_and_of_operations_works() -> anyhow::Result<()> {
    let cluster = Cluster::start(ClusterOptions::default())?;
    cluster.create_node("node-a")?;
    run(
        &["docs/operators.md", "docs/operations.md"],
        Some(&cluster),
        None,
    )
}

#[test]
fn the_policy_of_the_reference_works() -> anyhow::Result<()> {
    run(&["docs/sdk.md"], None, None)
}

#[test]
fn every_command_of_the_policy_authors_guide_works() -> anyhow::Result<()> {
    run(&["docs/policy-authors.md"], None, None)
}

/// The commands of this page concern the repository, so they run in its root.
#[test]
fn every_command_of_the_development_page_works() -> anyhow::Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    run(&["docs/development.md"], None, Some(&repository))
}

/// The README's commands are what CI runs: it must have no other shell block.
#[test]
fn readme_names_the_commands_that_ci_runs() -> anyhow::Result<()> {
    let readme = script(&read("README.md")?);
    let ci = read(".ci/run")?;
    let chores: Vec<&str> = readme
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    anyhow::ensure!(!chores.is_empty(), "the README has no sh block");
    for chore in chores {
        anyhow::ensure!(
            ci.contains(chore),
            "the README says {chore:?}, which .ci/run does not run"
        );
    }
    Ok(())
}

/// Every field of a real record is explained on the page about records: fields of node
/// decisions in its second half, except for those that all kinds of policies share.
#[test]
fn every_field_of_a_record_is_documented() -> anyhow::Result<()> {
    let page = read("docs/records.md")?;
    let halves = page.split_once("\n## Node decisions");
    let (replicas, nodes) = halves.context("no word about node decisions")?;
    let mut sections = replicas.split("\n## ");
    let shared = sections.find(|section| section.starts_with("`policies`"));
    let nodes = format!("{}{nodes}", shared.context("no word about policies")?);
    for (scenario, format, about) in [
        ("php-apache.yaml", "flyball.dev/decision/", replicas),
        ("nodes/spot.yaml", "flyball.dev/node-decision/", &nodes),
    ] {
        let fields = recorded_fields(scenario, format)?;
        let unnamed: Vec<_> = fields
            .iter()
            .filter(|field| !about.contains(&format!("`{field}`")))
            .collect();
        anyhow::ensure!(
            unnamed.is_empty(),
            "docs/records.md does not name {unnamed:?} of {format}"
        );
    }
    Ok(())
}

/// Every reason of the host why a node stays is a row of the operators' guide, and there is
/// no other row.
#[test]
fn every_reason_why_a_node_stays_is_documented() -> anyhow::Result<()> {
    let page = read("docs/operators.md")?;
    let heading = "| reason | the node stays because | what to do | looked at again when |\n";
    let (_, table) = page.split_once(heading).context("no table of reasons")?;
    let rows = table.lines().skip(1);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    let expected = HOST_REASONS.iter().map(|reason| {
        let HostReason {
            code,
            meaning,
            remedy,
            again,
        } = reason;
        format!("| `{code}` | {meaning} | {remedy} | {again} |")
    });
    let expected: Vec<String> = expected.collect();
    anyhow::ensure!(
        rows == expected,
        "the table of reasons in docs/operators.md must be:\n{}",
        expected.join("\n")
    );
    Ok(())
}

/// Returns the fields of all records of that format in an example.
fn recorded_fields(scenario: &str, format: &str) -> anyhow::Result<BTreeSet<String>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("records.jsonl");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let scenario = examples.join(scenario);
    let status = Command::new(env!("CARGO_BIN_EXE_flyball"))
        .arg("simulate")
        .arg(scenario)
        .arg("--records")
        .arg(&file)
        .arg("--report")
        .arg(folder.path().join("report.html"))
        .stdout(std::process::Stdio::null())
        .status()?;
    anyhow::ensure!(status.success(), "simulate: {status}");
    let mut fields = BTreeSet::new();
    for line in fs::read_to_string(&file)?.lines() {
        let record: Value = serde_json::from_str(line)?;
        let is_meant = record["format"].as_str();
        if is_meant.is_some_and(|text| text.starts_with(format)) {
            collect_fields(&record, &mut fields);
        }
    }
    anyhow::ensure!(fields.contains("verdict"), "no record was written");
    Ok(fields)
}

fn collect_fields(value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (field, value) in object {
                fields.insert(field.clone());
                // A behavior has the fields of the spec.
                if field != "behavior" {
                    collect_fields(value, fields);
                }
            }
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect_fields(value, fields)),
        _ => {}
    }
}

/// Runs the scripts of pages one after the other, in an empty folder unless another is
/// given.
fn run(pages: &[&str], cluster: Option<&Cluster>, place: Option<&Path>) -> anyhow::Result<()> {
    let folder = author_folder(&pages.join("-").replace('/', "-"));
    let mut text = PRELUDE.to_owned();
    for page in pages {
        let commands = script(&read(page)?);
        anyhow::ensure!(!commands.is_empty(), "{page} has no sh block");
        text += &commands;
    }
    let runs_tests = place.is_none() && text.contains("cargo test");
    let _alone = runs_tests.then(|| CARGO_TESTS.lock().unwrap_or_else(PoisonError::into_inner));
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(&text);
    match place {
        Some(place) => shell.current_dir(place),
        None => shell
            .current_dir(folder.path())
            .env("CARGO_BUILD_BUILD_DIR", policies_build_dir()),
    };
    shell.env("TMPDIR", folder.path());
    shell.env("XDG_STATE_HOME", folder.path().join("state"));
    shell.env("PATH", path(cluster.is_some())?);
    if let Some(cluster) = cluster {
        shell.env("KUBECONFIG", cluster.kubeconfig());
    }
    let output = folder.path().join("output.txt");
    let file = fs::File::create(&output)?;
    shell.stdout(file.try_clone()?).stderr(file);
    let status = shell.status()?;
    anyhow::ensure!(
        status.success(),
        "{}: {status}\n{}",
        pages.join(", "),
        fs::read_to_string(&output)?
    );
    Ok(())
}

/// Returns the search path with the binary under test, kubectl, and AWS' tools in front.
fn path(with_kubectl: bool) -> anyhow::Result<std::ffi::OsString> {
    let flyball = Path::new(env!("CARGO_BIN_EXE_flyball"));
    let mut folders: Vec<_> = flyball
        .parent()
        .map(Path::to_path_buf)
        .into_iter()
        .collect();
    if with_kubectl {
        folders.extend(
            Binaries::find()?
                .path("kubectl")
                .parent()
                .map(Path::to_path_buf),
        );
        folders.push(cloud::find()?);
    }
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    Ok(std::env::join_paths(folders)?)
}

/// Returns the `sh` blocks of a page in order.
fn script(page: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line.trim_end() {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                script.push_str(line);
                script.push('\n');
            }
            _ => {}
        }
    }
    script
}

fn read(page: &str) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(page);
    fs::read_to_string(&path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}
