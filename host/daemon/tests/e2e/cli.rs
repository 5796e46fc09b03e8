//! Help, usage, and error messages.

use crate::support::{SCENARIO, Workshop};

#[test]
fn help_names_every_command_and_every_exit_code() {
    let workshop = Workshop::new();
    let help = workshop.succeed(&["--help"]);
    for command in [
        "run",
        "simulate",
        "replay",
        "why",
        "policy",
        "demo",
        "crd",
        "completions",
    ] {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command}: {help}"
        );
        let help = workshop.succeed(&[command, "--help"]);
        assert!(help.contains("Usage: flyball"), "{help}");
    }
    for command in [
        "new", "build", "test", "inspect", "validate", "run", "list", "bench",
    ] {
        let help = workshop.succeed(&["policy", command, "--help"]);
        assert!(help.contains("Examples:"), "{help}");
    }
    for code in [
        "0  success",
        "1  failure",
        "2  the command line",
        "3  differences",
    ] {
        assert!(help.contains(code), "{help}");
    }
}

#[test]
fn a_wrong_command_line_is_told_from_a_failure() {
    let workshop = Workshop::new();
    workshop.run(&["scale"]).expect(2, &["scale"]);
    workshop
        .run(&["run", "--cluster", "docker"])
        .expect(2, &["docker", "kubernetes or sim:FILE"]);
    workshop
        .run(&["run", "--policy-budget", "hpa=fuel:1"])
        .expect(2, &["fuel-base"]);
    workshop
        .run(&["run", "--horizontal-pod-autoscaler-sync-period", "soon"])
        .expect(2, &["soon", "15s"]);
    for never in ["--horizontal-pod-autoscaler-sync-period", "--scan-interval"] {
        workshop
            .run(&["run", never, "0s"])
            .expect(2, &[never, "longer than 0s"]);
    }
    workshop
        .run(&["why", "web"])
        .expect(1, &["web", "NAMESPACE/NAME"]);
    workshop
        .run(&["why", "default/web", "--server", "http://127.0.0.1:9"])
        .expect(1, &["127.0.0.1:9"]);
    // The scheme may be left out.
    for command in [&["why", "default/web"][..], &["policy", "list"]] {
        workshop
            .run(&[command, &["--server", "127.0.0.1:9"]].concat())
            .expect(1, &["no daemon answers at http://127.0.0.1:9"]);
    }
    // What has no effect is refused.
    workshop
        .run(&["run", "--speed", "10", "--http", "127.0.0.1:0"])
        .expect(1, &["--speed needs an embedded cluster"]);
    workshop.write("day.yaml", SCENARIO);
    workshop
        .run(&["run", "--cluster", "sim:day.yaml", "--leader-elect"])
        .expect(1, &["--leader-elect needs a real cluster"]);
    // The file that is wrong is named before the port that is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    workshop
        .run(&["run", "--cluster", "sim:none.yaml", "--http", &taken])
        .expect(1, &["none.yaml"]);
}

#[test]
fn a_configuration_that_a_policy_requires_is_asked_for() {
    let workshop = Workshop::new();
    let guests = flyball_tests::guests::components("hostile").unwrap();
    workshop.write("demanding.wasm", &guests["configuration_demanding"]);
    let validate = ["policy", "validate", "demanding.wasm"];
    let bench = ["policy", "bench", "demanding.wasm"];
    workshop.run(&validate).expect(
        0,
        &[
            "would be taken",
            "ceiling",
            "no decision was tried",
            "--config",
        ],
    );
    workshop.run(&bench).expect(
        1,
        &[
            "cannot decide without a configuration",
            "ceiling",
            "--config",
        ],
    );
    workshop.write("ceiling.yaml", "ceiling: 3\n");
    for configuration in [r#"{"ceiling": 3}"#, "ceiling: 3", "ceiling.yaml"] {
        let with = ["--config", configuration];
        workshop.succeed(&[&validate[..], &with].concat());
        let measured = workshop.succeed(&[&bench[..], &with, &["-o", "json"]].concat());
        let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
        assert_eq!(measured["inputs"][3]["rows"], 1_000, "{measured}");
        assert_eq!(measured["inputs"][3]["failure"], serde_json::Value::Null);
    }
    for (configuration, expected) in [
        ("ceiling: 0", "ceiling"),
        ("{ceiling", "--config"),
        ("none.yaml", "neither a JSON or YAML object nor a file"),
    ] {
        let with = ["--config", configuration];
        let ran = workshop.run(&[&bench[..], &with].concat());
        ran.expect(1, &[expected]);
    }
}

#[test]
fn a_scenario_at_fault_is_named_with_its_line_and_field() {
    let workshop = Workshop::new();
    workshop
        .run(&["simulate", "missing.yaml"])
        .expect(1, &["missing.yaml"]);
    let text = "duration: 1h\nworkloads:\n  - name: web\n    replcas: 2\n    load: {formula: 1}\n";
    workshop.write("typo.yaml", text);
    workshop
        .run(&["simulate", "typo.yaml"])
        .expect(1, &["typo.yaml:4", "replcas"]);
    workshop.write("nested.yaml", SCENARIO.replace("minReplicas", "minReplcas"));
    workshop
        .run(&["simulate", "nested.yaml"])
        .expect(1, &["nested.yaml:14", "minReplcas"]);
    workshop.write("type.yaml", "duration: soon\nworkloads: []\n");
    workshop
        .run(&["simulate", "type.yaml"])
        .expect(1, &["type.yaml", "duration", "soon"]);
    let text = format!("duration: {}\nworkloads: []\n", "soon".repeat(5_000));
    workshop.write("long.yaml", text);
    let ran = workshop.run(&["simulate", "long.yaml"]);
    ran.expect(1, &["long.yaml", "duration", "soonsoon", "…"]);
    let bytes = ran.stderr.len();
    assert!(bytes <= "error: \n".len() + (2 << 10), "{bytes} bytes");
    workshop
        .run(&["run", "--cluster", "sim:typo.yaml", "--http", "127.0.0.1:0"])
        .expect(1, &["replcas"]);

    // Nor does a missing policy hold all objects for the whole run.
    for (policy, expected) in [
        ("hapa", "there is no policy `hapa`"),
        ("least-waste", "no policy of kind replica"),
    ] {
        let policies = format!("    autoscaler:\n      policies: [{{name: {policy}}}]\n");
        workshop.write(
            "named.yaml",
            SCENARIO.replace("    autoscaler:\n", &policies),
        );
        let expected = ["named.yaml: workloads[0].autoscaler.policies[0]", expected];
        workshop
            .run(&["simulate", "named.yaml"])
            .expect(1, &expected);
        let daemon = [
            "run",
            "--cluster",
            "sim:named.yaml",
            "--http",
            "127.0.0.1:0",
        ];
        workshop.run(&daemon).expect(1, &expected);
    }
}

#[test]
fn a_policy_at_fault_is_named_and_refused() {
    let workshop = Workshop::new();
    workshop.write("text.wasm", "no policy at all");
    workshop
        .run(&["policy", "validate", "text.wasm"])
        .expect(3, &["text", "not WebAssembly"]);
    workshop.write("module.wasm", b"\0asm\x01\0\0\0");
    workshop
        .run(&["policy", "validate", "module.wasm"])
        .expect(3, &["module", "not a component"]);
    let (_, hpa) = flyball_policies::BUILTIN[0];
    workshop.write("half.wasm", &hpa[..hpa.len() / 2]);
    workshop
        .run(&["policy", "validate", "half.wasm"])
        .expect(3, &["half", "truncated"]);
    workshop
        .run(&["policy", "inspect", "nothing"])
        .expect(1, &["nothing", "hpa", ".wasm"]);
    workshop.write("good.wasm", flyball_policies::PREDICTIVE);
    workshop
        .run(&["policy", "validate", "good.wasm"])
        .expect(0, &["good@"]);
    workshop
        .run(&[
            "policy",
            "validate",
            "good.wasm",
            "--config",
            r#"{"leadSeconds": -1}"#,
        ])
        .expect(3, &["leadSeconds"]);
}

#[test]
fn policies_are_looked_at_asked_and_measured() {
    let workshop = Workshop::without_code();
    let inspected = workshop.succeed(&["policy", "inspect", "hpa", "-o", "json"]);
    assert!(
        workshop.path("state/code").is_dir() && !workshop.path("home").exists(),
        "compiled code is kept where FLYBALL_STATE_DIR says"
    );
    let inspected: serde_json::Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["description"]["kinds"][0], "replica");
    let digest = inspected["version"]["digest"].as_str().unwrap().to_owned();

    let input = r#"{"input": {"pods": 2, "metrics": [{"name": "cpu", "targetType": "Utilization",
        "targetAverageUtilization": 50, "request": 500, "value": [400, 400]}]}}"#;
    workshop.write(
        "inputs.jsonl",
        format!("{0}\n{0}\n", input.replace('\n', "")),
    );
    let ran = workshop.succeed(&["policy", "run", "hpa", "--input", "inputs.jsonl"]);
    let answers: Vec<serde_json::Value> = ran
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 2);
    for answer in &answers {
        assert_eq!(answer["output"]["decision"]["replicas"], 4, "{answer}");
        assert_eq!(answer["policy"]["digest"], *digest);
        assert!(answer["fuel"].as_u64().unwrap() > 0);
    }
    assert_eq!(answers[0]["fuel"], answers[1]["fuel"]);

    let measured = workshop.succeed(&[
        "policy",
        "bench",
        "hpa",
        "--input",
        "inputs.jsonl",
        "-o",
        "json",
    ]);
    let measured: serde_json::Value = serde_json::from_str(&measured).unwrap();
    assert_eq!(measured["inputs"][0]["usage"]["fuel"], answers[0]["fuel"]);

    let listed = workshop.succeed(&["policy", "list"]);
    assert!(
        listed.contains("hpa") && listed.contains("active") && listed.contains("built-in"),
        "{listed}"
    );
}

#[test]
fn budgets_hold_in_every_command_and_who_is_close_to_one_is_told() {
    let workshop = Workshop::new();
    workshop.write("mine.wasm", flyball_policies::BUILTIN[0].1);
    workshop.write("day.yaml", SCENARIO);
    // More than a description may have.
    let pods = 1_000;
    let input = serde_json::json!({"pods": pods, "maxReplicas": 3_000, "metrics": [{
        "name": "cpu", "targetType": "Utilization", "targetAverageUtilization": 50,
        "request": 500, "value": vec![400; pods],
    }]});
    let case = serde_json::json!({"input": input, "expect": {"replicas": 1_600}});
    workshop.write("cases/many.json", case.to_string());
    let asked = serde_json::json!({ "input": input });
    workshop.write("input.json", asked.to_string());
    let run = ["policy", "run", "mine.wasm", "--input", "input.json"];
    let bench = ["policy", "bench", "mine.wasm", "--input", "input.json"];
    let answer: serde_json::Value = serde_json::from_str(&workshop.succeed(&run)).unwrap();
    let fuel = answer["fuel"].as_u64().unwrap();

    let test = ["policy", "test", "mine.wasm", "--cases", "cases"];
    let under = |command: &[&str], budget: &str| {
        workshop.run(&[command, &["--policy-budget", budget]].concat())
    };
    let usual = workshop.succeed(&test);
    assert!(!usual.contains("above 80%"), "{usual}");
    let tight = format!("mine=fuel-base:{},fuel-per-row:0", fuel + fuel / 10);
    under(&test, &tight).expect(0, &["above 80% of its fuel budget"]);
    let tight = format!("mine=memory:{}", answer["memoryBytes"]);
    under(&test, &tight).expect(0, &["above 80% of its memory budget"]);

    let short = format!("mine=fuel-base:{},fuel-per-row:0", fuel / 2);
    for command in [&test[..], &run, &bench] {
        under(command, &short).expect(3, &["used up its fuel"]);
        let others = short.replace("mine", "other");
        under(command, &others).expect(0, &[]);
    }
    let none = "mine=fuel-base:1,fuel-per-row:0";
    under(&["policy", "validate", "mine.wasm"], none).expect(3, &["not valid", "fuel"]);
    let compare = ["simulate", "day.yaml", "--compare", "hpa,mine.wasm"];
    under(&compare, none).expect(1, &["mine", "fuel"]);
}

/// Whoever may write to the policies directory chooses the names of its files.
#[test]
fn a_name_of_a_file_does_not_control_the_terminal() {
    let workshop = Workshop::new();
    let (directory, file) = ("drop\u{1b}[31m\nhpa", "evil\u{1b}[8m\u{9b}31m\nforged");
    workshop.write(&format!("{directory}/{file}.wasm"), "no policy at all");
    let (_, hpa) = flyball_policies::BUILTIN[0];
    workshop.write(&format!("{directory}/mine.wasm"), hpa);
    let text = workshop.on_a_terminal(&["policy", "list", "--policies-dir", directory]);
    assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text}");
    let row = |start: &str| text.lines().find(|line| line.starts_with(start));
    let evil = row("evil\\u{1b}[8m\\u{9b}31m forged ").unwrap_or_default();
    assert!(evil.contains("is no name for a policy"), "{text}");
    let mine = row("mine ").unwrap_or_default();
    let source = "drop\\u{1b}[31m hpa/mine.wasm";
    assert!(mine.contains(source), "{text}");

    let path = format!("{directory}/{file}.wasm");
    let ran = workshop.run(&["policy", "validate", &path]);
    let forged = ran.stdout.lines().chain(ran.stderr.lines());
    let forged: Vec<&str> = forged.filter(|line| line.starts_with("forged")).collect();
    assert!(forged.is_empty() && ran.code != Some(0), "{ran:#?}");

    // A command line with `*` may have such a name where none is expected.
    for args in [
        &["simulate", "day.yaml", file][..],
        &["simulate", "day.yaml", "--seed", file],
        &["run", "--cluster", file],
    ] {
        let ran = workshop.run_on_a_terminal(args);
        ran.expect(2, &["evil\\u{1b}[8m\\u{9b}31m"]);
        assert!(!ran.stderr.contains(['\u{1b}', '\u{9b}']), "{ran:#?}");
        let mut lines = ran.stderr.lines();
        assert!(!lines.any(|line| line.starts_with("forged")), "{ran:#?}");
    }
}

/// All other tests check that piped output is plain.
#[test]
fn colour_is_there_for_those_who_want_it() {
    let workshop = Workshop::new();
    let printed = |no_color: &str| {
        let mut command = workshop.command(&["policy", "list"]);
        command.env("CLICOLOR_FORCE", "1").env("NO_COLOR", no_color);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(printed("").contains("\u{1b}["), "colour where it is forced");
    assert!(!printed("1").contains('\u{1b}'), "none with NO_COLOR");
}
