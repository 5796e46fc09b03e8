//! Observations of the reader, and targets that it refuses.

use flyball_replicas::pods::{Phase, Ready};
use flyball_replicas::ports::{MetricAnswer, NoRowsLeft, Observation, Reader as _};
use flyball_test_support::{Cluster, wait_for};
use serde_json::json;

use crate::fixture::{DEPLOYMENT, Flyball, MINUTE, WEB, autoscaler, cluster};

#[test]
fn a_target_is_observed_with_its_scale_pods_metrics_and_labels() {
    let cluster = cluster();
    cluster.create_node("node-0").unwrap();
    cluster.apply(DEPLOYMENT).unwrap();
    cluster.apply(&autoscaler("web", WEB)).unwrap();
    let flyball = Flyball::connect(&cluster);

    let observation = wait_for("two ready pods", MINUTE, || {
        let observation = flyball.observe("web").filter(|observation| {
            let pods = observation.pods.as_deref().unwrap_or_default();
            let ready = |pod: &&_| matches!(ready(pod), Some(Ready::True));
            pods.iter().filter(ready).count() == 2
        });
        Ok(observation)
    })
    .unwrap();
    let scale = observation.scale.unwrap();
    assert_eq!((scale.spec_replicas, &*scale.selector), (2, "app=web"));
    let annotations = observation.annotations;
    let owner = annotations
        .keys
        .iter()
        .position(|key| key == "example.com/owner")
        .unwrap();
    assert_eq!(annotations.texts[owner], "shop");
    let pods = observation.pods.unwrap();
    for pod in pods.iter() {
        assert!(pod.name.starts_with("web-"), "{}", pod.name);
        assert_eq!(pod.phase, Phase::Running);
        assert!(pod.start.is_some() && pod.deletion.is_none());
        assert_eq!(pod.requests.containers[0].requests["cpu"], 500);
    }
    assert!(std::sync::Arc::ptr_eq(&pods[0].requests, &pods[1].requests));
    let again = flyball.observe("web").unwrap().pods.unwrap();
    assert!(
        std::sync::Arc::ptr_eq(&pods, &again),
        "unchanged pods are the same"
    );

    let values = wait_for("metrics of both pods", 3 * MINUTE, || {
        let answer = flyball
            .observe("web")
            .and_then(|mut observed| observed.metrics.pop());
        Ok(match answer {
            Some(Ok(MetricAnswer::Pods(samples))) if samples.len() == 2 => Some(
                samples
                    .iter()
                    .map(|sample| (sample.value + 5) / 10 * 10)
                    .collect::<Vec<_>>(),
            ),
            _ => None,
        })
    });
    assert_eq!(values.unwrap(), [400, 400]);
}

fn ready(pod: &flyball_replicas::pods::Pod) -> Option<Ready> {
    pod.ready.map(|(ready, _)| ready)
}

/// Twenty metrics of 200 pods are 4,200 rows, with those of the pods. A namespace with 200
/// pods has 26,400.
#[test]
fn objects_that_have_the_same_pods_are_observed_as_far_as_the_rows_suffice() {
    let cluster = cluster();
    cluster.apply(DEPLOYMENT).unwrap();
    cluster
        .kubectl(&["scale", "deployment/web", "--replicas=0"])
        .unwrap();
    let pod = |number| {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": format!("pod-{number:03}"), "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "web", "image": "web" }] },
        })
    };
    let pods: Vec<_> = (0..200).map(pod).collect();
    let pods = json!({ "apiVersion": "v1", "kind": "List", "items": pods });
    cluster.apply(&pods.to_string()).unwrap();
    let metrics: String = (0..20)
        .map(|number| {
            format!(
                "{{ type: ContainerResource, containerResource: {{ name: cpu, container: c{number}, \
                 target: {{ type: AverageValue, averageValue: 100m }} }} }},"
            )
        })
        .collect();
    let spec = format!("{WEB}, mode: Observe, metrics: [{metrics}]");
    for number in 0..8 {
        let observer = autoscaler(&format!("observer-{number}"), &spec);
        cluster.apply(&observer).unwrap();
    }
    let flyball = Flyball::connect(&cluster);
    let all = || {
        let all = flyball.reader.autoscalers();
        let observed = flyball.observe_all(all);
        Ok((observed.len() == 8 && pods_of(&observed[0]) == 200).then_some(observed))
    };
    let observed = wait_for("eight objects with 200 pods", MINUTE, all).unwrap();
    let rows: Vec<_> = observed.iter().map(|one| one.as_ref().err()).collect();
    let over = Some(&NoRowsLeft { rows: 4_200 });
    assert_eq!(rows, [None, None, None, None, None, None, over, over]);
    assert!(observed[..6].iter().all(|one| pods_of(one) == 200));
    assert_eq!(flyball.reader.row_limit("default"), 26_400);
    assert!(
        flyball.observe("observer-7").is_some(),
        "alone it is observed"
    );
}

fn pods_of(observed: &Result<Observation, NoRowsLeft>) -> usize {
    let pods = observed
        .as_ref()
        .map(|seen| seen.pods.as_ref().map_or(0, |pods| pods.len()));
    pods.unwrap_or_default()
}

#[test]
fn targets_that_are_missing_unfit_or_anothers_are_named() {
    let cluster = cluster();
    let flyball = Flyball::connect(&cluster);
    let targets = [
        (
            "gadget",
            "apiVersion: example.com/v1, kind: Gadget, name: a",
            "unknownTargetKind",
            "no matches for kind \"Gadget\" in group \"example.com\"",
        ),
        (
            "version",
            "apiVersion: apps/v1/beta, kind: Deployment, name: a",
            "invalidTargetAPIVersion",
            "invalid API version in scale target reference: \"apps/v1/beta\" is not GROUP/VERSION",
        ),
        (
            "missing",
            "apiVersion: apps/v1, kind: Deployment, name: b",
            "scaleUnavailable",
            "the scale of Deployment \"b\" can't be read: deployments.apps \"b\" not found",
        ),
        (
            "unfit",
            "apiVersion: v1, kind: ConfigMap, name: a",
            "scaleUnavailable",
            "the scale of ConfigMap \"a\" can't be read: the kind has no scale subresource",
        ),
    ];
    for (name, target, class, message) in targets {
        let spec = format!("scaleTargetRef: {{ {target} }}, maxReplicas: 2");
        cluster.apply(&autoscaler(name, &spec)).unwrap();
        wait_for(name, MINUTE, || Ok(flyball.autoscaler(name))).unwrap();
        let error = flyball.observe(name).unwrap().scale.unwrap_err();
        assert_eq!((error.class, &*error.message), (class, message), "{name}");
    }

    cluster.apply(DEPLOYMENT).unwrap();
    cluster.apply(&autoscaler("web", WEB)).unwrap();
    let free = || {
        Ok(flyball
            .observe("web")
            .filter(|observed| observed.scale.is_ok()))
    };
    wait_for("a free target", MINUTE, free).unwrap();

    let hpa = ["autoscale", "deployment", "web", "--name=old", "--max=3"];
    cluster.kubectl(&hpa).unwrap();
    let error = conflict(&flyball, "web");
    assert!(
        error.starts_with("Deployment web is scaled by HorizontalPodAutoscaler old"),
        "{error}"
    );
    set_mode(&cluster, "web", "Observe");
    wait_for("mode Observe to see the target", MINUTE, free).unwrap();
    set_mode(&cluster, "web", "Active");
    conflict(&flyball, "web");
    cluster.kubectl(&["delete", "hpa", "old"]).unwrap();
    wait_for("a free target", MINUTE, free).unwrap();

    cluster.apply(&autoscaler("second", WEB)).unwrap();
    // Both selectors are known once both have been observed.
    let ambiguous = wait_for("pods of two autoscalers", MINUTE, || {
        flyball.observe("second");
        Ok(flyball
            .observe("web")
            .and_then(|observed| observed.pods.err()))
    })
    .unwrap();
    assert_eq!(ambiguous.class, "ambiguousSelector");
    assert!(
        ambiguous
            .message
            .ends_with("ReplicaAutoscalers: [web second]"),
        "{}",
        ambiguous.message
    );
}

fn conflict(flyball: &Flyball, name: &str) -> String {
    wait_for("a conflict", MINUTE, || {
        let error = flyball
            .observe(name)
            .and_then(|observed| observed.scale.err());
        Ok(error
            .filter(|error| error.class == "targetConflict")
            .map(|error| error.message))
    })
    .unwrap()
}

fn set_mode(cluster: &Cluster, name: &str, mode: &str) {
    let patch = format!("{{\"spec\":{{\"mode\":\"{mode}\"}}}}");
    cluster
        .kubectl(&["patch", "ra", name, "--type=merge", "-p", &patch])
        .unwrap();
}
