//! The steps of a policy's author: scaffold, test, build, deploy.

use std::fs;

use flyball_build::{BuildRequest, build};

use crate::support::{Daemon, SCENARIO, Workshop, policies_build_dir};

#[test]
fn a_policy_of_ones_own_is_written_tested_built_and_decides() {
    let workshop = Workshop::for_author("authoring");
    workshop.succeed(&["policy", "new", "my-policy"]);
    workshop
        .run(&["policy", "new", "my-policy"])
        .expect(1, &["my-policy", "there already"]);
    workshop
        .run(&["policy", "new", "My Policy"])
        .expect(1, &["My Policy", "lower-case"]);
    workshop
        .run(&["policy", "new", "hpa"])
        .expect(0, &["hpa is the name of a built-in policy", "created hpa"]);
    let printed = workshop.succeed(&["policy", "test", "my-policy"]);
    assert!(
        printed.contains("passed") && printed.contains("of the budget"),
        "{printed}"
    );

    // One function is edited: its cases fail until they are changed as well.
    let source = fs::read_to_string(workshop.path("my-policy/src/lib.rs")).unwrap();
    let edited = source.replace(
        "Decision::to(wanted.ceil() as i64)",
        "flyball_policy::log::warning(\"one more\");\n    Decision::to(wanted.ceil() as i64 + 1)",
    );
    assert_ne!(source, edited, "the template has changed");
    workshop.write("my-policy/src/lib.rs", edited);
    let failing = workshop.run(&["policy", "test", "my-policy"]);
    failing.expect(3, &["FAIL", "replicas", "expected", "1 failed"]);

    let built = workshop.succeed(&["policy", "build", "my-policy", "-o", "json"]);
    let built: serde_json::Value = serde_json::from_str(&built).unwrap();
    let digest = built["version"]["digest"].as_str().unwrap();
    assert!(built["bytes"].as_u64().unwrap() < 150 * 1024, "{built}");

    let scenario = SCENARIO.replace(
        "    autoscaler:\n",
        "    autoscaler:\n      policies: [{name: my-policy}]\n",
    );
    workshop.write("day.yaml", scenario);
    fs::create_dir(workshop.path("drop")).unwrap();
    let args = [
        "--cluster",
        "sim:day.yaml",
        "--policies-dir",
        "drop",
        "--speed",
        "60",
    ];
    let daemon = Daemon::ready(&workshop, &args);
    daemon.wait_for("a decision without the policy", |daemon| {
        daemon
            .last_record("default/web")
            .is_some_and(|record| record["policies"][0]["answer"]["failure"]["kind"] == "missing")
    });
    fs::copy(
        workshop.path(built["file"].as_str().unwrap()),
        workshop.path("drop/my-policy.wasm"),
    )
    .unwrap();
    daemon.wait_for("a decision by the policy", |daemon| {
        daemon.last_record("default/web").is_some_and(|record| {
            record["policies"][0]["version"]["digest"] == digest
                && record["policies"][0]["answer"]["decision"]["reason"]["code"] == "Load"
        })
    });
    let line = [
        ("level", "WARN"),
        ("policy", "my-policy"),
        ("object", "default/web"),
        ("message", "one more"),
    ];
    daemon.wait_for("its line in the log", |daemon| daemon.logged(&line));
    let why = workshop.succeed(&["why", "default/web", "--server", &daemon.url]);
    assert!(why.contains("logged (warning): one more"), "{why}");

    let panicking = source.replace(
        "let target = input",
        "panic!(\"no idea\");\n    let target = input",
    );
    assert_ne!(source, panicking, "the template has changed");
    workshop.write(
        "my-policy/src/lib.rs",
        format!("#![allow(unreachable_code)]\n{panicking}"),
    );
    let again = workshop.run(&["policy", "build", "my-policy"]);
    again.expect(0, &["building\n"]);
    let validate = ["policy", "validate", "my-policy/target/my-policy.wasm"];
    workshop
        .run(&validate)
        .expect(3, &["not valid", "canary decision", "no idea"]);
    let validated = workshop.run(&[&validate[..], &["-o", "json"]].concat());
    validated.expect(3, &[]);
    let validated: serde_json::Value = serde_json::from_str(&validated.stdout).unwrap();
    assert_eq!(validated["valid"], false);
}

/// The examples for authors are policies that pass their cases.
#[test]
fn every_example_passes_its_cases() {
    let workshop = Workshop::new();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/policies");
    let target = policies_build_dir();
    let mut passed = 0;
    for example in fs::read_dir(examples).unwrap() {
        let folder = example.unwrap().path();
        let built = build(&BuildRequest::new(&folder, &target)).unwrap();
        let cases = folder.join("cases");
        let [file, cases] = [&built.path, &cases].map(|path| path.to_str().unwrap());
        let printed = workshop.succeed(&["policy", "test", file, "--cases", cases]);
        assert!(printed.contains("passed"), "{printed}");
        passed += 1;
    }
    assert!(passed > 1, "no examples in {examples}");
}
