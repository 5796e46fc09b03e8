//! Changes of the writer, and fields that it does not change.

use std::sync::Arc;

use flyball_decision::event::Event;
use flyball_decision::time::Timestamp;
use flyball_kubernetes::{KubernetesWriter, Leadership};
use flyball_replicas::ports::{Autoscaler, Report, Scale, ScaleIntent, Writer};
use flyball_replicas::status::{AutoscalerStatus, Condition, MetricStatus, PolicyStatus};
use flyball_test_support::{Cluster, wait_for};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fixture::{DEPLOYMENT, Flyball, MINUTE, WEB, autoscaler, cluster};

#[test]
fn replicas_status_and_events_are_written_by_the_leader_only() {
    let cluster = cluster();
    cluster.apply(DEPLOYMENT).unwrap();
    cluster.apply(&autoscaler("web", WEB)).unwrap();
    let flyball = Flyball::connect(&cluster);
    let (lead, until) = watch::channel(Some(Instant::now() + 10 * MINUTE));
    let client = flyball.client.clone();
    let leadership = Leadership::until(until);
    let caches = flyball.caches.clone();
    let writer = KubernetesWriter::new(client.clone(), client, caches, leadership);
    let web = wait_for("the autoscaler", MINUTE, || Ok(flyball.autoscaler("web"))).unwrap();
    let scale = || flyball.observe("web").unwrap().scale.unwrap();
    let write = |from: &Scale, replicas| {
        let intent = intent(&web, from, replicas);
        flyball
            .runtime
            .block_on(writer.scale(Timestamp(0), vec![intent]))
            .pop()
            .unwrap()
    };

    assert_eq!(write(&scale(), 3), Ok(()));
    assert_eq!(replicas(&cluster), "3");

    // The object changes between reading and writing, its replicas don't.
    let from = scale();
    cluster
        .kubectl(&["annotate", "deployment/web", "example.com/note=x"])
        .unwrap();
    assert_eq!(write(&from, 4), Ok(()));
    assert_eq!(replicas(&cluster), "4");

    let from = scale();
    cluster
        .kubectl(&["scale", "deployment/web", "--replicas=7"])
        .unwrap();
    let refused = write(&from, 5).unwrap_err();
    assert!(refused.contains("Deployment default/web"), "{refused}");
    assert!(
        refused.contains("changed meanwhile, from 4 to 7"),
        "{refused}"
    );
    assert_eq!(replicas(&cluster), "7");

    flyball
        .runtime
        .block_on(writer.report(Timestamp(0), vec![report(&web)]));
    let known = flyball.autoscaler("web").unwrap();
    assert_eq!(known.status, report(&web).status.unwrap());
    let table = cluster.kubectl(&["get", "ra", "-o", "wide"]).unwrap();
    let columns: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    let names = [
        "REFERENCE",
        "TARGETS",
        "MINPODS",
        "MAXPODS",
        "REPLICAS",
        "POLICY",
        "MODE",
        "READY",
        "AGE",
    ];
    assert_eq!(columns[1..], names, "{table}");
    let row = table.lines().nth(1).unwrap();
    assert!(row.contains("Deployment/web"), "{table}");
    assert!(row.contains("cpu: 80%/80%"), "{table}");
    let described = cluster.kubectl(&["describe", "ra", "web"]).unwrap();
    for text in [
        "AbleToScale",
        "sha256:00",
        "New size: 3",
        "New size: 4",
        "SuccessfulRescale",
        "é; policy: hpa (0123456789ab)",
    ] {
        assert!(described.contains(text), "{text}: {described}");
    }
    lead.send(None).unwrap();
    assert!(write(&scale(), 2).unwrap_err().contains("not the leader"));
    assert_eq!(replicas(&cluster), "7");
}

pub fn intent(web: &Arc<Autoscaler>, from: &Scale, replicas: i32) -> ScaleIntent {
    ScaleIntent {
        autoscaler: web.clone(),
        from: from.clone(),
        replicas,
    }
}

fn replicas(cluster: &Cluster) -> String {
    cluster
        .kubectl(&["get", "deployment/web", "-o", "jsonpath={.spec.replicas}"])
        .unwrap()
}

pub fn report(web: &Arc<Autoscaler>) -> Report {
    let rescale = |message: &str| Event {
        warning: false,
        reason: "SuccessfulRescale".into(),
        message: message.into(),
    };
    let status = AutoscalerStatus {
        last_scale_time: Some(Timestamp(1_767_225_600_000)),
        current_replicas: 3,
        desired_replicas: 4,
        current_metrics: vec![MetricStatus {
            source: "Resource".into(),
            name: "cpu".into(),
            utilization: Some(80),
            average: Some(400),
            ..MetricStatus::default()
        }],
        conditions: vec![Condition {
            kind: "AbleToScale".into(),
            status: "True".into(),
            last_transition_time: Timestamp(1_767_225_600_000),
            reason: "SucceededRescale".into(),
            message: "the controller was able to update the target scale to 4".into(),
        }],
        policies: vec![PolicyStatus {
            name: "hpa".into(),
            digest: "sha256:00".into(),
            desired_replicas: Some(4),
            reason: "AboveTarget".into(),
            message: "cpu is above its target".into(),
        }],
        ..AutoscalerStatus::default()
    };
    Report {
        autoscaler: web.clone(),
        status: Some(Arc::new(status)),
        events: vec![
            rescale("New size: 3"),
            rescale("New size: 4"),
            // A message of the maximum length of an event.
            rescale(&format!(
                "New size: 5; reason: {}; policy: hpa (0123456789ab)",
                "é".repeat(487)
            )),
        ],
    }
}
