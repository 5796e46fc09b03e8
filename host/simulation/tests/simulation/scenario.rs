//! Scenario files: valid ones, and the errors for invalid ones.

use std::path::Path;

use flyball_simulation::{Scenario, ScenarioError};

fn scenario(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(text, Path::new("test.yaml"), Path::new(""))
}

#[test]
fn the_examples_are_scenarios() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut count = 0;
    let files = [folder.read_dir(), folder.join("nodes").read_dir()];
    for entry in files.into_iter().flat_map(Result::unwrap) {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        count += 1;
        if file.file_stem().is_some_and(|stem| stem == "swap") {
            // Its policies have to be built first: here any file will do.
            let built = tempfile::tempdir().unwrap();
            for name in ["first.wasm", "second.wasm"] {
                std::fs::write(built.path().join(name), "").unwrap();
            }
            let text = std::fs::read_to_string(&file).unwrap();
            Scenario::parse(&text, &file, built.path()).unwrap();
        } else {
            Scenario::load(&file).unwrap();
        }
    }
    assert!(count >= 10, "{count} examples");
}

const HEAD: &str = "duration: 1h\nworkloads:\n- name: web\n";

#[test]
fn what_has_the_wrong_shape_is_told_with_line_and_field() {
    let cases = [
        (
            "  lode: 1\n",
            "test.yaml:4:3: workloads[0].lode: unknown field `lode`",
        ),
        (
            "  load: {formula: [1]}\n",
            "test.yaml:4:19: workloads[0].load.formula: ",
        ),
        (
            "  load: {formla: t}\n",
            "test.yaml:4:10: workloads[0].load: unknown variant `formla`",
        ),
        (
            "  load: {formula: 1 +}\n",
            "test.yaml:4:19: workloads[0].load.formula: formula: expected a number",
        ),
        (
            "  load: {steps: [{at: 5q, value: 1}]}\n",
            "test.yaml:4:23: workloads[0].load.steps[0].at: \"5q\" is not a duration",
        ),
        (
            "  load: {formula: 1}\n  pod: {requests: {cpu: many}}\n",
            "test.yaml:5:25: workloads[0].pod.requests.cpu: \"many\" is not a quantity",
        ),
        (
            "  load: {formula: 1}\n  autoscaler: {maxReplicas: lots}\n",
            "test.yaml:5:29: workloads[0].autoscaler.maxReplicas: ",
        ),
        (
            "  load: {formula: 1}\n  autoscaler: {}\n",
            "test.yaml:5:15: workloads[0].autoscaler: missing field `maxReplicas`",
        ),
        ("", "workloads[0]: missing field `load`"),
    ];
    for (text, expected) in cases {
        let error = scenario(&format!("{HEAD}{text}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = scenario("duration: [\n").unwrap_err().to_string();
    assert!(error.starts_with("test.yaml:"), "{error}");
}

#[test]
fn what_makes_no_sense_is_told_with_its_field() {
    let load = "  load: {formula: 1}\n";
    let cases = [
        ("replicas: -1", "workloads[0].replicas: -1 is not in 0 to"),
        ("count: 0", "workloads[0].count: must be at least 1"),
        (
            "noise: {amplitude: 2}",
            "workloads[0].noise.amplitude: 2 is not in 0 to 1",
        ),
        (
            "service: {cpuPerRequest: 0}",
            "workloads[0].service.cpuPerRequest: must be more",
        ),
        (
            "service: {baseCpu: 2}",
            "workloads[0].service.baseCpu: must be less than",
        ),
        (
            "autoscaler: {maxReplicas: 1, minReplicas: 2}",
            "workloads[0].autoscaler.maxReplicas: 1 is not in minReplicas",
        ),
        (
            "autoscaler: {maxReplicas: 1, scaleTargetRef: {kind: Deployment, name: other}}",
            "workloads[0].autoscaler.scaleTargetRef: Deployment \"other\" is not this workload",
        ),
    ];
    for (text, expected) in cases {
        let error = scenario(&format!("{HEAD}{load}  {text}\n"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("test.yaml: {expected}")),
            "{text}: {error}"
        );
    }
    let events = [
        (
            "killPods: {at: 5m, workload: wob, count: 1}",
            "workload: there is no \"wob\"",
        ),
        (
            "killPods: {at: 5h, workload: web, count: 1}",
            "at: 5h is after the end (1h)",
        ),
        (
            "surge: {at: 0s, workload: web, factor: -1, for: 1m}",
            "surge.factor: must not",
        ),
        (
            "swapPolicy: {at: 5m, name: hpa, file: no.wasm}",
            "swapPolicy.file: ",
        ),
        (
            "changeAutoscaler: {at: 5m, workload: web, autoscaler: {maxReplicas: 3}}",
            "changeAutoscaler.workload: has no autoscaler",
        ),
    ];
    for (text, expected) in events {
        let text = format!("{HEAD}{load}events:\n- {text}\n");
        let error = scenario(&text).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("test.yaml: events[0].{expected}")),
            "{error}"
        );
    }
    let text = format!("{HEAD}{load}step: 7s\n");
    let error = scenario(&text).unwrap_err().to_string();
    assert!(
        error.contains("duration: 1h must be a multiple of the step (7s)"),
        "{error}"
    );
}

#[test]
fn autoscalers_are_held_to_what_the_api_server_takes() {
    let metric = |target: &str| {
        format!("metrics: [{{type: Resource, resource: {{name: cpu, target: {{{target}}}}}}}]")
    };
    let policy = |fields: &str| format!("behavior: {{scaleUp: {{policies: [{{{fields}}}]}}}}");
    let cases = [
        (
            policy("type: percent, value: 10, periodSeconds: 60"),
            "behavior.scaleUp.policies[0].type: \"percent\" is none of Pods, Percent",
        ),
        (
            policy("type: Pods, value: 0, periodSeconds: 60"),
            "behavior.scaleUp.policies[0].value: 0 is not at least 1",
        ),
        (
            policy("type: Pods, value: 1, periodSeconds: 1801"),
            "behavior.scaleUp.policies[0].periodSeconds: 1801 is not in 1 to 1800",
        ),
        (
            "behavior: {scaleDown: {policies: []}}".to_owned(),
            "behavior.scaleDown.policies: 0 is not in 1 to 20",
        ),
        (
            "behavior: {scaleDown: {stabilizationWindowSeconds: 3601}}".to_owned(),
            "behavior.scaleDown.stabilizationWindowSeconds: 3601 is not in 0 to 3600",
        ),
        (
            "behavior: {scaleDown: {selectPolicy: max}}".to_owned(),
            "behavior.scaleDown.selectPolicy: \"max\" is none of Max, Min, Disabled",
        ),
        (
            "behavior: {scaleDown: {tolerance: '-50m'}}".to_owned(),
            "behavior.scaleDown.tolerance: \"-50m\" is no quantity of 0 or more",
        ),
        (
            "metrics: [{type: Resources}]".to_owned(),
            "metrics[0].type: \"Resources\" is none of Resource, ContainerResource, Pods, Object, External",
        ),
        (
            "metrics: [{type: Resource}]".to_owned(),
            "metrics[0].resource: must be set if type is Resource, and only then",
        ),
        (
            metric("type: Value, value: 1"),
            "metrics[0].resource.target.type: \"Value\" is none of Utilization, AverageValue",
        ),
        (
            metric("type: Utilization, averageValue: 1"),
            "metrics[0].resource.target.averageUtilization: must be set if the target's type is Utilization, and only then",
        ),
        (
            metric("type: Utilization, averageUtilization: 0"),
            "metrics[0].resource.target.averageUtilization: must be greater than 0",
        ),
        (
            "policies: [{name: a}, {name: a}]".to_owned(),
            "policies[1].name: a is there twice",
        ),
    ];
    let autoscaler = |fields: &str| format!("{{maxReplicas: 3, {fields}}}");
    let load = "  load: {formula: 1}\n  autoscaler: ";
    for (fields, expected) in &cases {
        let text = format!("{HEAD}{load}{}\n", autoscaler(fields));
        let error = scenario(&text).unwrap_err().to_string();
        let place = "test.yaml: workloads[0].autoscaler.";
        assert_eq!(error, format!("{place}{expected}"), "{fields}");
    }
    let (fields, expected) = &cases[0];
    let event = "events:\n- changeAutoscaler: {at: 5m, workload: web, autoscaler: ";
    let changed = autoscaler(fields);
    let text = format!("{HEAD}{load}{{maxReplicas: 3}}\n{event}{changed}}}\n");
    let error = scenario(&text).unwrap_err().to_string();
    let place = "test.yaml: events[0].changeAutoscaler.autoscaler.";
    assert_eq!(error, format!("{place}{expected}"));
}

#[test]
fn files_with_load_are_read_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{HEAD}  load: {{csv: {{file: load.csv}}}}\n");
    let parse = || Scenario::parse(&text, Path::new("test.yaml"), folder.path());
    let error = parse().unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read scenario ") && error.contains("load.csv"),
        "{error}"
    );
    std::fs::write(folder.path().join("load.csv"), "time,value\n0,1\n5m,NaN\n").unwrap();
    let error = parse().unwrap_err().to_string();
    assert!(
        error.ends_with("load.csv:3: NaN is no load: it must be 0 or more"),
        "{error}"
    );
}

#[test]
fn node_groups_are_held_to_what_can_be() {
    let load = "  load: {formula: 1}\n";
    let group = |fields: &str| {
        format!(
            "{HEAD}{load}nodeGroups:\n- {{name: a, max: 3, capacity: {{cpu: 1, memory: 1Gi}}{fields}}}\n"
        )
    };
    assert!(scenario(&group("")).is_ok());
    let shapes = [
        (
            ", lables: {a: b}",
            "nodeGroups[0].lables: unknown field `lables`",
        ),
        (", price: cheap", "nodeGroups[0].price: "),
        (
            ", taints: [{key: a, effect: Never}]",
            "nodeGroups[0].taints[0].effect: ",
        ),
        (
            ", boot: {mean: soon}",
            "nodeGroups[0].boot.mean: \"soon\" is not a duration",
        ),
    ];
    for (fields, expected) in shapes {
        let error = scenario(&group(fields)).unwrap_err().to_string();
        let place = "test.yaml:6:";
        assert!(
            error.starts_with(place) && error.contains(expected),
            "{error}"
        );
    }
    let values = [
        (", min: 5", "nodeGroups[0].min: 5 is more than max (3)"),
        (
            ", initial: 4",
            "nodeGroups[0].initial: 4 is not in min to max (0 to 3)",
        ),
        (", price: -1", "nodeGroups[0].price: must not be negative"),
        (
            ", allocatable: {cpu: 2, memory: 1Gi}",
            "nodeGroups[0].allocatable: must not be more than capacity",
        ),
        (
            ", zones: [a, a]",
            "nodeGroups[0].zones: \"a\" is empty, or there twice",
        ),
        (
            ", failures: {neverJoins: 2}",
            "nodeGroups[0].failures.neverJoins: 2 is not in 0 to 1",
        ),
        (
            ", failures: {outOfCapacity: {windows: [{at: 5h, for: 1m}]}}",
            "nodeGroups[0].failures.outOfCapacity.windows[0].at: 5h is after the end (1h)",
        ),
        (
            "}\n- {name: a, max: 1, capacity: {cpu: 1, memory: 1Gi}",
            "nodeGroups[1].name: a is there twice",
        ),
        (
            "}\n- {name: b, max: 1, capacity: {cpu: 0, memory: 1Gi}",
            "nodeGroups[1].capacity.cpu: must be more than 0, or no pod fits",
        ),
        (
            "}\nevents:\n- {zoneOutage: {at: 1m, zone: z, for: 1m}",
            "events[0].zoneOutage.zone: no node group has \"z\"",
        ),
        (
            "}\nnodeAutoscaler: {scanInterval: 0s",
            "nodeAutoscaler.scanInterval: must be longer than 0s",
        ),
    ];
    for (fields, expected) in values {
        let error = scenario(&group(fields)).unwrap_err().to_string();
        assert_eq!(error, format!("test.yaml: {expected}"), "{fields}");
    }
}

#[test]
fn removals_are_held_to_what_can_be() {
    let nodes = "nodeGroups:\n- {name: a, max: 3, min: 1, capacity: {cpu: 1, memory: 1Gi}}\n";
    let web = |fields: &str| format!("{HEAD}  load: {{formula: 1}}\n{fields}{nodes}");
    let pod = |fields: &str| web(&format!("  pod: {{{fields}}}\n"));
    let budget = |fields: &str| web("") + &format!("podDisruptionBudgets: [{{name: b{fields}}}]\n");
    let options = |fields: &str| {
        let scale_down = format!("nodeAutoscaler: {{scaleDown: {{{fields}}}}}\n");
        web("") + &scale_down
    };
    let event = |fields: &str| web("") + &format!("events: [{{{fields}}}]\n");
    let valid = [
        pod(
            "termination: never, terminationGracePeriodSeconds: 0, volumes: [{name: v, emptyDir: {}}]",
        ),
        pod("gracePeriod: 20s"),
        web("  kind: Job\n  pod: {duration: 5m}\n"),
        budget(", minAvailable: 50%, unhealthyPodEvictionPolicy: AlwaysAllow"),
        budget(", maxUnavailable: 0, selector: {}"),
        options("mode: off, policies: [{name: drain-rules}], unneededTime: 0s"),
        options("maxDisruption: 5, drainPriorityConfig: '0:60,1000:10'"),
        options("maxDisruption: 20/1h, keepRoomForMissingReplicas: true"),
        web("").replace("min: 1", "scaleDown: {maxDisruption: 10%}"),
        event("changeNodeGroup: {at: 1m, nodeGroup: a, min: 2}"),
    ];
    for text in valid {
        scenario(&text).unwrap();
    }
    let invalid = [
        (
            pod("duration: 5m"),
            "workloads[0].pod.duration: is for kinds Job and Pod: pods of others are started again",
        ),
        (
            pod("volumes: [{name: v}]"),
            "workloads[0].pod.volumes[0]: needs either emptyDir or hostPath",
        ),
        (
            web("  kind: StatefulSet\n  autoscaler: {maxReplicas: 3}\n"),
            "workloads[0].kind: only a Deployment can have an autoscaler here",
        ),
        (
            budget(""),
            "podDisruptionBudgets[0].minAvailable: either this or maxUnavailable is needed, and not both",
        ),
        (
            budget(", maxUnavailable: 101%"),
            "podDisruptionBudgets[0].maxUnavailable: 101% is more than 100%",
        ),
        (
            options("maxParallelism: 0"),
            "nodeAutoscaler.scaleDown.maxParallelism: must be at least 1, or no node is removed: use mode",
        ),
        (
            options("policies: [{name: ''}]"),
            "nodeAutoscaler.scaleDown.policies[0].name: must not be empty",
        ),
        (
            event("refuseTermination: {at: 1m, nodeGroup: b, for: 1m}"),
            "events[0].refuseTermination.nodeGroup: there is no \"b\"",
        ),
        (
            event("changeNodeGroup: {at: 1m, nodeGroup: a, max: 0}"),
            "events[0].changeNodeGroup.min: 1 is more than max (0)",
        ),
        (
            event("scale: {at: 1m, workload: web, replicas: -1}"),
            "events[0].scale.replicas: -1 is not in 0 to 100000",
        ),
        (
            event("refuseEvictions: {at: 1m, workload: web, for: 0s}"),
            "events[0].refuseEvictions.for: must be longer than 0s",
        ),
        (
            web("").replace("min: 1", "scaleDown: {utilizationThreshold: 2}"),
            "nodeGroups[0].scaleDown.utilizationThreshold: 2 is not in 0 to 1",
        ),
        (
            budget(", maxUnavailable: 1").replace(nodes, ""),
            "podDisruptionBudgets: needs nodeGroups",
        ),
    ];
    for (text, expected) in invalid {
        let error = scenario(&text).unwrap_err().to_string();
        assert_eq!(error, format!("test.yaml: {expected}"), "{text}");
    }
    let shapes = [
        (
            pod("termination: soon"),
            "workloads[0].pod.termination: \"soon\" is not a duration",
        ),
        (
            budget(", minAvailable: half"),
            "podDisruptionBudgets[0].minAvailable: ",
        ),
        (
            options("mode: maybe"),
            "nodeAutoscaler.scaleDown.mode: unknown variant `maybe`",
        ),
        (
            options("maxDisruption: 5/2h"),
            "nodeAutoscaler.scaleDown.maxDisruption: \"5/2h\" is no limit of disruption",
        ),
        (
            options("drainPriorityConfig: high"),
            "nodeAutoscaler.scaleDown.drainPriorityConfig: \"high\" is no range of priorities",
        ),
        (
            web("  kind: Cron\n"),
            "workloads[0].kind: unknown variant `Cron`",
        ),
    ];
    for (text, expected) in shapes {
        let error = scenario(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}: {text}");
    }
}

#[test]
fn pods_are_held_to_what_the_api_server_takes() {
    let nodes = "nodeGroups: [{name: a, max: 3, capacity: {cpu: 1, memory: 1Gi}}]\n";
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let cases = [
        (
            "tolerations: [{operator: Equal}]".to_owned(),
            "tolerations[0]: without a key, operator must be Exists".to_owned(),
        ),
        (
            format!("affinity: {{nodeAffinity: {{{required}: {{nodeSelectorTerms: []}}}}}}"),
            format!("affinity.nodeAffinity.{required}: at least one term is needed"),
        ),
        (
            format!("affinity: {{podAffinity: {{{required}: [{{topologyKey: ''}}]}}}}"),
            format!("affinity.podAffinity.{required}[0].topologyKey: must not be empty"),
        ),
        (
            "topologySpreadConstraints: [{maxSkew: 0, topologyKey: zone}]".to_owned(),
            "topologySpreadConstraints[0].maxSkew: must be at least 1".to_owned(),
        ),
    ];
    for (pod, expected) in cases {
        let text = format!("{HEAD}  load: {{formula: 1}}\n  pod: {{{pod}}}\n");
        let error = scenario(&format!("{text}{nodes}")).unwrap_err().to_string();
        assert_eq!(error, format!("test.yaml: workloads[0].pod.{expected}"));
        // None of these fields is allowed without nodes.
        let valid = "  load: {formula: 1}\n  pod: {nodeSelector: {a: b}}\n";
        let error = scenario(&format!("{HEAD}{valid}")).unwrap_err().to_string();
        assert_eq!(
            error,
            "test.yaml: workloads[0].pod.nodeSelector: needs nodeGroups"
        );
    }
    let preferred =
        "affinity: {podAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}";
    let text = format!("{HEAD}  load: {{formula: 1}}\n  pod: {{{preferred}}}\n{nodes}");
    let error = scenario(&text).unwrap_err().to_string();
    assert!(
        error.starts_with("test.yaml:5:") && error.contains("unknown field `preferred"),
        "{error}"
    );
}
