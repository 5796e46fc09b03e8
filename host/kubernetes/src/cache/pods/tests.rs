use flyball_replicas::rows;
use flyball_replicas::selector::Selector;
use kube::runtime::watcher::Event;
use serde_json::json;

use super::Pods;
use crate::slim::PodObject;
use crate::watch::Slim;

type Result<T> = std::result::Result<T, serde_json::Error>;

fn pod(name: &str, app: &str) -> Result<Slim<PodObject>> {
    serde_json::from_value(json!({
        "metadata": { "namespace": "default", "name": name, "labels": { "app": app } },
        "status": { "phase": "Running" },
    }))
}

fn names(pods: &mut Pods, text: &str) -> Vec<String> {
    let selector = Selector::parse(text).unwrap_or_default();
    let label_sets = pods.label_sets("default", &selector);
    let found = pods.select("default", text, &label_sets);
    found.iter().map(|pod| pod.name.to_string()).collect()
}

#[test]
fn results_of_selectors_are_kept_as_far_as_the_rows_suffice() -> Result<()> {
    let mut pods = Pods::default();
    for number in 0..100 {
        pods.take(&Event::Apply(pod(&format!("web-{number:02}"), "web")?));
    }
    let limit = rows::limit(100);
    let mut most = 0;
    for number in 0..2 * limit / 100 {
        assert_eq!(
            names(&mut pods, &format!("app=web,x!=y{number}")).len(),
            100
        );
        let results = pods.namespaces["default"].selected.len();
        most = most.max(101 * results);
    }
    assert!(
        (limit - 101..=limit).contains(&most),
        "{most} of {limit} rows"
    );
    Ok(())
}

#[test]
fn ready_pods_are_counted_as_they_change() -> Result<()> {
    let pod = |app: &str, ready: &str, deletion: Option<&str>| -> Result<Slim<PodObject>> {
        serde_json::from_value(json!({
            "metadata": {
                "namespace": "default",
                "name": "a",
                "labels": { "app": app },
                "deletionTimestamp": deletion,
            },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] },
        }))
    };
    let mut pods = Pods::default();
    let mut counts = Vec::new();
    for event in [
        Event::Apply(pod("web", "False", None)?),
        Event::Apply(pod("web", "True", None)?),
        // Its labels move.
        Event::Apply(pod("api", "True", None)?),
        Event::Apply(pod("api", "True", Some("2026-01-01T00:00:00Z"))?),
        Event::Apply(pod("api", "True", None)?),
        Event::Delete(pod("api", "True", None)?),
        Event::Apply(pod("web", "True", None)?),
        Event::Init,
        Event::InitApply(pod("web", "True", None)?),
        Event::InitDone,
        Event::Init,
        Event::InitDone,
    ] {
        pods.take(&event);
        counts.push(pods.count_ready("default"));
    }
    assert_eq!(counts, [0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 1, 0]);
    Ok(())
}

#[test]
fn what_a_new_list_does_not_name_has_gone() -> Result<()> {
    let mut pods = Pods::default();
    pods.take(&Event::Init);
    pods.take(&Event::InitApply(pod("a", "web")?));
    pods.take(&Event::InitApply(pod("b", "web")?));
    pods.take(&Event::InitDone);
    pods.take(&Event::Apply(pod("c", "web")?));
    assert_eq!(names(&mut pods, "app=web"), ["a", "b", "c"]);
    pods.take(&Event::Delete(pod("c", "web")?));

    // A list that breaks off, and the next one: until it is complete, all pods
    // stay.
    pods.take(&Event::Init);
    pods.take(&Event::InitApply(pod("a", "web")?));
    pods.take(&Event::Init);
    pods.take(&Event::InitApply(pod("b", "api")?));
    assert_eq!(names(&mut pods, "app=web"), ["a"]);
    assert_eq!(names(&mut pods, ""), ["a", "b"]);
    pods.take(&Event::InitDone);
    assert_eq!(names(&mut pods, ""), ["b"]);

    pods.take(&Event::Init);
    pods.take(&Event::InitDone);
    assert!(names(&mut pods, "").is_empty() && pods.namespaces.is_empty());
    Ok(())
}
