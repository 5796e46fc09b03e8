//! `cargo xtask cluster` as a user runs it: the printed commands work, and a signal ends
//! everything that it started.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use flyball_test_support::processes_that_name;

/// The last line that the command prints before it waits.
const LAST: &str = "The guides in docs/ go on from there.";

#[test]
fn what_the_command_prints_works_until_it_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let mut chore = Chore(
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["cluster", "--aws", "--no-build"])
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let lines = BufReader::new(chore.0.stdout.take().unwrap()).lines();
    let printed: Vec<String> = lines
        .map(Result::unwrap)
        .take_while(|line| line != LAST)
        .collect();

    // Indented lines are what a user types: the variables, then the two commands.
    let typed: Vec<&str> = printed
        .iter()
        .filter_map(|line| line.strip_prefix("    "))
        .collect();
    let tried = shell(&[typed.join("\n").as_str(), AWS].concat());
    assert!(tried.contains("node-a"), "{printed:?}: {tried}");
    assert!(
        tried.contains("customresourcedefinition.apiextensions.k8s.io/replicaautoscalers"),
        "{printed:?}: {tried}"
    );
    assert!(tried.contains("AutoScalingGroups"), "{printed:?}: {tried}");

    let endpoint = variable(&typed, "AWS_ENDPOINT_URL");
    let address = endpoint.strip_prefix("http://").unwrap();
    TcpStream::connect(address).unwrap();
    assert!(!processes_that_name(folder.path()).is_empty());

    let pid = chore.0.id().to_string();
    let signalled = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(signalled.success());
    assert!(chore.0.wait().unwrap().success());
    assert_eq!(processes_that_name(folder.path()), BTreeMap::new());
    assert!(folder.path().read_dir().unwrap().next().is_none());
    assert!(TcpStream::connect(address).is_err(), "moto still serves");
}

#[test]
fn help_says_what_it_starts_and_how_it_ends() {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["cluster", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for word in ["kube-apiserver", "Ctrl-C", "--aws"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

const AWS: &str = "\naws autoscaling describe-auto-scaling-groups --output json\n";

/// The command under test; killed if the test fails first.
struct Chore(Child);

impl Drop for Chore {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the output of a script, which must succeed.
fn shell(script: &str) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the value of a variable that one of the lines exports.
fn variable<'a>(lines: &[&'a str], name: &str) -> &'a str {
    lines
        .iter()
        .find_map(|line| {
            let (found, value) = line.strip_prefix("export ")?.split_once('=')?;
            (found == name).then_some(value)
        })
        .unwrap()
}
