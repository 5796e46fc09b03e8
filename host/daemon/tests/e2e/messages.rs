//! Errors of the binary: each is one sentence that says what failed, where, and what to do.

use std::fs;
use std::process::Stdio;

use serde_json::json;

use crate::support::{Daemon, Ran, SCENARIO, Workshop};
use crate::test_cluster::TestCluster;

const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
current-context: c
"#;

/// Runs the binary where no cluster is configured.
fn run(workshop: &Workshop, args: &[&str]) -> Ran {
    let mut command = workshop.command(args);
    command
        .env_remove("KUBECONFIG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("HOME", workshop.path(""));
    command.stdin(Stdio::null()).output().unwrap().into()
}

/// Asserts that the binary failed with this error alone.
#[track_caller]
fn assert_fails(ran: &Ran, error: &str) {
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    let lines = ran.stderr.lines();
    let lines: Vec<&str> = lines.filter(|line| !line.contains(" INFO ")).collect();
    assert_eq!(lines, [format!("error: {error}")]);
}

#[test]
fn an_error_is_one_sentence_with_what_where_and_what_to_do() {
    let workshop = Workshop::new();
    workshop.write("refused.yaml", KUBECONFIG);
    workshop.write("text.yaml", "foo");
    let home = workshop.path("");
    let start = ["run", "--http=127.0.0.1:0"];
    let unconfigured = format!(
        "no cluster is configured: there is no kubeconfig {}, and this process does not run in \
         a pod; name a kubeconfig with --kubeconfig, or a scenario with --cluster sim:FILE",
        home.join(".kube/config").display()
    );
    for (args, error) in [
        (
            &["--kubeconfig=nosuch"][..],
            "cannot read the kubeconfig nosuch: No such file or directory (os error 2); name \
             another one with --kubeconfig",
        ),
        (&[], &unconfigured),
        (
            &["--kubeconfig=text.yaml"],
            "text.yaml is not a kubeconfig: line 1 column 1: expected mapping start; name \
             another one with --kubeconfig",
        ),
        (
            &["--kubeconfig=refused.yaml", "--context=other"],
            "the kubeconfig refused.yaml has no context other; `kubectl config get-contexts` \
             lists those that it has",
        ),
        (
            &["--kubeconfig=refused.yaml"],
            "the API server http://127.0.0.1:1/ does not answer: Connection refused (os error \
             111); check the address and the network",
        ),
    ] {
        assert_fails(&run(&workshop, &[&start[..], args].concat()), error);
    }
    for (args, error) in [
        (
            ["why", "default/web", "--records", "nosuch"],
            "cannot read nosuch: No such file or directory (os error 2)",
        ),
        (
            ["why", "default/web", "--server", "127.0.0.1:1"],
            "no daemon answers at http://127.0.0.1:1 (Connection refused (os error 111)): start \
             `flyball run`, or name another one with --server",
        ),
    ] {
        assert_fails(&run(&workshop, &args), error);
    }
}

#[test]
fn a_policies_directory_that_is_missing_is_refused_by_every_command() {
    let workshop = Workshop::new();
    workshop.write("day.yaml", SCENARIO);
    workshop.write(
        "dump.json",
        json!({ "kind": "List", "items": [] }).to_string(),
    );
    workshop.write("groups.yaml", "nodeGroups: []");
    workshop.write("records.jsonl", "");
    for args in [
        &["run", "--http=127.0.0.1:0", "--cluster=sim:day.yaml"][..],
        &["simulate", "day.yaml"],
        &["plan", "dump.json", "--node-groups=groups.yaml"],
        &["policy", "list"],
        &["replay", "records.jsonl"],
    ] {
        let ran = run(&workshop, &[args, &["--policies-dir=nosuch"]].concat());
        let error = "cannot read the policies directory nosuch: No such file or directory (os \
            error 2); create it, or name another one with --policies-dir";
        assert_fails(&ran, error);
    }

    // A daemon that runs keeps its policies.
    fs::create_dir(workshop.path("drop")).unwrap();
    let args = ["--cluster=sim:day.yaml", "--policies-dir=drop"];
    let daemon = Daemon::ready(&workshop, &args);
    fs::remove_dir(workshop.path("drop")).unwrap();
    let message = "policies directory: cannot be read, so policies stay: No such file";
    daemon.wait_for("the directory to be missed", |daemon| {
        daemon.logged(&[("message", message)])
    });
}

#[test]
fn what_keeps_the_cloud_from_answering_is_one_sentence() {
    let test_cluster = TestCluster::new();
    let kubeconfig = test_cluster.cluster.kubeconfig();
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let keys = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    for (keys, error) in [
        (
            &[][..],
            "DescribeAutoScalingGroups of 1 named node groups: no AWS credentials were found: \
             set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the pod a \
             role",
        ),
        (
            &keys,
            "DescribeAutoScalingGroups of 1 named node groups: AWS can't be reached: Connection \
             refused (os error 111); check the region (AWS_REGION, --aws-region) and the network",
        ),
    ] {
        let mut command = test_cluster.workshop.command(&[
            "run",
            "--http=127.0.0.1:0",
            "--log-format=json",
            "--nodes=0:3:nodes",
            "--aws-region=nowhere-1",
            &kubeconfig,
        ]);
        command
            .env("HOME", test_cluster.workshop.path(""))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .envs(keys.iter().copied());
        let daemon = Daemon::spawn(command);
        daemon.wait_for("the cloud's silence", |daemon| {
            daemon.logged(&[("message", "the cloud does not answer"), ("error", error)])
        });
    }
}
