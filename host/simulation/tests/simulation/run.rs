//! Whole runs through the production loop, with a policy in native code.

use std::sync::{Arc, Mutex};

use crate::support::{Lines, Swapper, engine, scenario};
use flyball_decision::policy::PolicyEngine;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::spec::PolicyRef;
use flyball_report::page;
use flyball_simulation::{Contender, Options, Progress, Run, RunError, Scenario, compare};
use flyball_simulation::{RunRecorder, simulate};

/// Two hours of a wave, with most features of scenarios.
const WAVE: &str = "
name: <wave> & \"more\"
seed: 11
duration: 2h
metrics: {noise: 0.05, dropouts: 0.02, lag: 10s}
workloads:
- name: web
  replicas: 3
  pod:
    requests: {cpu: 200m}
    limits: {cpu: 400m}
    startup: {mean: 20s, jitter: 10s, readinessDelay: 5s, cpu: 100m}
  service: {cpuPerRequest: 5m, queue: 1s}
  load: {sum: [{formula: 150 + 100 * sin(2 * pi * t / 1h)}, {steps: [{at: 0s, value: 10}]}]}
  noise: {amplitude: 0.1}
  autoscaler:
    minReplicas: 2
    maxReplicas: 20
    metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
- name: copies
  count: 3
  load: {formula: 10 + 5 * i + 3 * noise(1)}
  autoscaler: {maxReplicas: 10}
events:
- killPods: {at: 30m, workload: web, count: 2}
- surge: {at: 1h, workload: web, factor: 5, for: 5m}
- metricsOutage: {at: 90m, for: 2m}
";

fn run(scenario: &Scenario) -> (Run, String) {
    let lines = Arc::new(Lines::default());
    let options = Options {
        recorders: vec![Arc::clone(&lines) as Arc<dyn RunRecorder>],
        ..Options::default()
    };
    let engine = engine(&[("hpa", 60.0)]);
    let run = simulate("hpa", scenario, engine, &options).unwrap();
    (run, lines.text())
}

#[test]
fn same_seed_same_bytes() {
    let wave = scenario(WAVE).unwrap();
    let (first, first_records) = run(&wave);
    let (second, second_records) = run(&wave);
    assert!(
        first_records.lines().count() > 4 * 470,
        "{}",
        first_records.lines().count()
    );
    assert!(first_records == second_records, "records differ");
    let page = page::html(std::slice::from_ref(&first));
    assert!(page == page::html(&[second]), "reports differ");
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    // All text is escaped, and nothing is fetched.
    assert!(page.contains("&lt;wave&gt; &amp; &quot;more&quot;"));
    assert!(!page.contains("<wave>") && !page.contains("http"));

    let mut other = wave;
    other.seed += 1;
    let (third, third_records) = run(&other);
    assert!(
        third_records != first_records,
        "records of another seed are the same"
    );
    assert_ne!(third.workloads[0].timeline, first.workloads[0].timeline);
}

#[test]
fn load_is_served_or_not_and_pods_follow_it() {
    let wave = scenario(WAVE).unwrap();
    let (run, _) = run(&wave);
    for workload in &run.workloads {
        let (tally, timeline) = (&workload.tally, &workload.timeline);
        // Requests in the queue at the end count as neither: at most a second's capacity.
        let waiting = tally.offered - tally.served - tally.unserved;
        let capacity = timeline.capacity.last().unwrap();
        assert!(waiting > -1e-6 && waiting <= *capacity, "{waiting} wait");
        for row in 0..timeline.len() {
            assert!(timeline.ready[row] <= timeline.replicas[row], "row {row}");
            assert!(
                timeline.served[row] <= timeline.capacity[row] + 1e-9,
                "row {row}"
            );
        }
    }
    let web = &run.workloads[0];
    // 150 requests per second use 0.75 cores: 6.25 pods at 60% of 200m.
    let mean = web.tally.replica_seconds / 7200.0;
    assert!((6.0..12.0).contains(&mean), "{mean} replicas");
    assert!(web.tally.changes > 5 && web.tally.most_replicas <= 20);
    // The surge is faster than pods start.
    assert!(web.tally.unserved > 0.0 && web.tally.unserved < 0.1 * web.tally.offered);
    assert!(run.journal.failures == 0 && run.journal.uses.versions.len() == 1);
    let first = run.workloads.iter().map(|workload| &*workload.key.name);
    assert_eq!(
        first.collect::<Vec<_>>(),
        ["web", "copies-000", "copies-001", "copies-002"]
    );
}

#[test]
fn a_pod_serves_after_it_has_started_and_metrics_come_late() {
    let text = "
duration: 10m
metrics: {noise: 0}
workloads:
- name: web
  pod: {requests: {cpu: 100m}, startup: {mean: 30s, readinessDelay: 15s}}
  load: {steps: [{at: 0s, value: 5}, {at: 2m, value: 30}]}
  autoscaler:
    maxReplicas: 8
    metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
";
    let (run, _) = run(&scenario(text).unwrap());
    let timeline = &run.workloads[0].timeline;
    let at = |column: &[f64], ms: i64| {
        let row = timeline.at_ms.iter().position(|at| *at == ms).unwrap();
        column[row]
    };
    // Load is there at 120s; measured over 120s to 135s, it can be read from
    // 140s on; decided at 150s, and Ready 45s later.
    assert_eq!(at(&timeline.replicas, 135_000), 1.0);
    assert!(at(&timeline.replicas, 150_000) > 1.0);
    assert_eq!(at(&timeline.ready, 180_000), 1.0);
    assert!(at(&timeline.ready, 195_000) > 1.0);
    // 5 requests per second, 10 millicores each, and 1 for itself: 51m of 100m.
    assert!((at(&timeline.utilization, 60_000) - 0.51).abs() < 1e-9);
    assert!(at(&timeline.unserved, 135_000) > 0.0);
    assert_eq!(*timeline.unserved.last().unwrap(), 0.0);
}

#[test]
fn policies_are_swapped_in_virtual_time() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a", "30"), ("b", "60"), ("broken", "wasm?")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let events = "
- swapPolicy: {at: 40m, name: hpa, file: a}
- swapPolicy: {at: 80m, name: hpa, file: b}
- swapPolicy: {at: 100m, name: hpa, file: broken}
";
    let text = WAVE.trim_end().to_owned() + events;
    let file = std::path::Path::new("swap.yaml");
    let wave = Scenario::parse(&text, file, folder.path()).unwrap();

    let engine = engine(&[("hpa", 60.0)]);
    let alone = simulate("hpa", &wave, Arc::clone(&engine) as _, &Options::default());
    assert!(matches!(alone, Err(RunError::NoSwapper(_))), "{alone:?}");

    let seen = Mutex::new(Vec::new());
    let progress = |progress: &Progress| seen.lock().unwrap().push(progress.elapsed_ms);
    let options = Options {
        swapper: Some(&Swapper(&engine)),
        progress: Some(&progress),
        ..Options::default()
    };
    let run = simulate("hpa", &wave, Arc::clone(&engine) as _, &options).unwrap();
    let changes = run.journal.uses.changes.iter();
    let times: Vec<i64> = changes
        .map(|change| change.at.since(wave.start) / 60_000)
        .collect();
    assert_eq!(times, [40, 80]);
    let failed: Vec<_> = run
        .swaps
        .iter()
        .filter_map(|swap| swap.1.clone().err())
        .collect();
    assert_eq!(failed, ["\"wasm?\" is no policy"]);
    // A target half as high wants twice the pods.
    let timeline = &run.workloads[0].timeline;
    let mean = |from: i64, to: i64| {
        let rows = timeline.at_ms.iter().zip(&timeline.replicas);
        let rows = rows.filter(|row| (from * 60_000..to * 60_000).contains(row.0));
        let values: Vec<f64> = rows.map(|row| *row.1).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    // Both decisions are in the trough of the wave.
    assert!(
        mean(45, 55) > 1.5 * mean(105, 115),
        "{} {}",
        mean(45, 55),
        mean(105, 115)
    );
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.last(), Some(&7_200_000));
    assert!(seen.is_sorted());
    let page = page::html(&[run]);
    assert!(page.contains("class=mark") && page.contains("did not take over"));
}

#[test]
fn several_policies_meet_the_same_load() {
    let wave = scenario(WAVE).unwrap();
    let engine: Arc<dyn PolicyEngine> = engine(&[("hpa", 60.0), ("careful", 30.0)]);
    let contender = |name: &str| Contender {
        label: name.to_owned(),
        policies: vec![PolicyRef {
            name: name.to_owned(),
            config: None,
        }],
        ..Contender::default()
    };
    let contenders = ["hpa", "careful"].map(contender);
    let runs = compare(&wave, &contenders, &engine, &Options::default()).unwrap();
    let [hpa, careful] = [runs[0].summary(), runs[1].summary()];
    assert_eq!(hpa.offered, careful.offered);
    assert!(
        careful.replica_hours > 1.3 * hpa.replica_hours,
        "{careful:?}"
    );
    assert!(careful.unserved < hpa.unserved, "{careful:?}");
    let page = page::html(&runs);
    assert!(page.contains("Demand and replicas") && page.len() < 1_500_000);
}

#[test]
fn a_load_that_cannot_be_ends_the_run_with_its_place() {
    for (formula, value) in [
        ("10 - t / 1m", "-0."),
        ("1 / (t - t)", "inf"),
        ("ln(0 - 1)", "NaN"),
    ] {
        let text =
            format!("duration: 1h\nworkloads: [{{name: web, load: {{formula: {formula}}}}}]");
        let engine = engine(&[("hpa", 60.0)]);
        let error = simulate(
            "hpa",
            &scenario(&text).unwrap(),
            engine,
            &Options::default(),
        );
        let error = error.unwrap_err().to_string();
        let place = format!("workload default/web: load is {value}");
        assert!(error.starts_with(&place), "{error}");
    }
}

#[test]
fn a_policy_that_is_missing_scales_nothing() {
    let wave = scenario(WAVE).unwrap();
    let options = Options::default();
    let run = simulate("none", &wave, engine(&[]), &options).unwrap();
    let changes: u64 = run
        .workloads
        .iter()
        .map(|workload| workload.tally.changes)
        .sum();
    // Only the bounds differ: the copies start within theirs.
    assert_eq!(changes, 0);
    assert_eq!(run.journal.failures, run.journal.count);
    assert!(run.journal.decisions.len() >= 4);
}

#[test]
fn a_policy_that_is_named_and_not_there_is_told_before_the_run() {
    let error_of = |text: &str| {
        let options = Options::default();
        let engine = engine(&[("hpa", 60.0)]);
        let run = simulate("", &scenario(text).unwrap(), engine, &options);
        run.unwrap_err().to_string()
    };
    let named = "    minReplicas: 2\n    policies: [{name: hpa}, {name: hapa}]\n";
    assert_eq!(
        error_of(&WAVE.replace("    minReplicas: 2\n", named)),
        "workloads[0].autoscaler.policies[1]: no policy \"hapa\""
    );
    let later = "{maxReplicas: 9, policies: [{name: hapa}]}";
    let later = format!("- changeAutoscaler: {{at: 1h, workload: web, autoscaler: {later}}}\n");
    assert_eq!(
        error_of(&(WAVE.to_owned() + &later)),
        "events[3].changeAutoscaler.autoscaler.policies[0]: no policy \"hapa\""
    );
    let nodes = "\
nodeGroups: [{name: a, max: 3, capacity: {cpu: 1, memory: 1Gi}}]
nodeAutoscaler: {expanders: [{name: least-waste}, {name: cheapest}]}
";
    assert_eq!(
        error_of(&(WAVE.to_owned() + nodes)),
        "nodeAutoscaler.expanders[1]: no expander \"cheapest\""
    );
}

#[test]
fn metrics_that_make_everything_look_idle_take_down_a_part_only() {
    let text = "
duration: 20m
metrics: {noise: 0}
workloads:
- name: web
  count: 30
  replicas: 10
  pod: {requests: {cpu: 100m}}
  load: {steps: [{at: 0s, value: 60}, {at: 8m, value: 0}]}
  autoscaler:
    maxReplicas: 20
    behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
    metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
";
    let idle = scenario(text).unwrap();
    let under = |share| {
        let replica = ReplicaOptions {
            max_scale_down_share: share,
            ..ReplicaOptions::default()
        };
        let options = Options {
            replica,
            ..Options::default()
        };
        let run = simulate("hpa", &idle, engine(&[("hpa", 60.0)]), &options).unwrap();
        let total = |row: usize| -> f64 {
            let workloads = run.workloads.iter();
            workloads
                .map(|workload| workload.timeline.replicas[row])
                .sum()
        };
        let rows = 0..run.workloads[0].timeline.len();
        rows.map(total).collect::<Vec<f64>>()
    };
    // Rows are 15s apart.
    let biggest_loss = |totals: &[f64]| {
        let minutes = totals.windows(5);
        let lost = minutes.map(|minute| 1.0 - minute[4] / minute[0]);
        lost.fold(0.0, f64::max)
    };
    let (limited, unlimited) = (under(0.25), under(1.0));
    assert_eq!(limited[10], 300.0);
    assert!(biggest_loss(&unlimited) > 0.8, "{unlimited:?}");
    // The last ten replicas may always be removed.
    let many: Vec<f64> = limited.iter().copied().take_while(|&n| n > 40.0).collect();
    assert!(biggest_loss(&many) <= 0.25, "{limited:?}");
    assert_eq!(limited.last(), unlimited.last());
}
