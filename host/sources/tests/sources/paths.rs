//! No request leaves the namespace of its object, whatever is in the spec, and whatever the
//! server says of its kinds.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_kubernetes::{Caches, KubernetesReader};
use flyball_replicas::observe::Prepared;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::ports::{Autoscaler, Question, Reader as _};
use flyball_replicas::spec::{AutoscalerSpec, SEGMENT_PATTERN, SegmentFault};
use flyball_sources::{MetricsApis, TIMEOUT};
use flyball_test_support::cases;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::api_server::{self, Discovery};
use crate::bodies::measure_with;

/// Namespace of the object.
const OWN: &str = "shop";

/// A group that no spec names. The server names it when it is asked about others.
const FOREIGN: &str = "foreign.example.com";

/// A version of that group.
const FOREIGN_VERSION: &str = "foreign.example.com/v1";

/// A text that would make a path one of another namespace, in place of a group and a version.
const FOREIGN_SCALE: &str =
    "foreign.example.com/v1/namespaces/kube-system/deployments/coredns/scale?x=";

/// Texts that mean something in a path, or nothing.
const KNOWN: [&str; 23] = [
    "web",
    "apps",
    "v1",
    "Deployment",
    "Service",
    "Namespace",
    "kube-system",
    ".",
    "..",
    "...",
    "../..",
    "../../kube-system/pods/x",
    "web/scale?x=",
    "a%2fb",
    "%2e%2e",
    "?",
    "#",
    "*",
    "é",
    "a b",
    "a\nb",
    "\u{0}",
    "",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        1 => "[a-z./%?#&;= \\\\\\n]{0,12}",
    ]
}

/// Texts that are mostly what belongs there, so that further requests follow.
fn mostly(usual: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![3 => prop::sample::select(usual).prop_map(str::to_owned), 1 => text()]
}

fn reference() -> impl Strategy<Value = Value> {
    // The server is not asked again about a kind that was found. So many versions are new.
    let api_version = prop_oneof![
        mostly(&["apps/v1", "v1", "", "example.com/v1"]),
        "([a-z]{8}/)?[a-z]{8}",
    ];
    let kind = mostly(&["Deployment", "Service", "Namespace"]);
    (api_version, kind, mostly(&["web", "kube-system"])).prop_map(|(api_version, kind, name)| {
        json!({ "apiVersion": api_version, "kind": kind, "name": name })
    })
}

fn metric() -> impl Strategy<Value = Value> {
    let target = json!({ "type": "AverageValue", "averageValue": "1" });
    let kind = prop::sample::select(&["Pods", "Object", "External"][..]);
    (kind, mostly(&["hits"]), reference()).prop_map(move |(kind, name, described)| {
        let mut source = json!({ "metric": { "name": name }, "target": target });
        if kind == "Object" {
            source["describedObject"] = described;
        }
        json!({ "type": kind, kind.to_lowercase(): source })
    })
}

fn spec() -> impl Strategy<Value = AutoscalerSpec> {
    let metrics = prop::collection::vec(metric(), 1..4);
    (reference(), metrics).prop_map(|(target, metrics)| {
        let spec = json!({ "scaleTargetRef": target, "maxReplicas": 9, "metrics": metrics });
        serde_json::from_value(spec).unwrap()
    })
}

/// What a server may say of its groups and kinds. A backend behind it answers for those of its
/// API.
fn discovery() -> impl Strategy<Value = Discovery> {
    let group_version = mostly(&[FOREIGN_VERSION, FOREIGN_SCALE]);
    let versions = prop::collection::vec(mostly(&["v1", "v2beta1"]), 0..4);
    let plurals = prop::collection::vec(mostly(&["deployments", "services"]), 3);
    let texts = (group_version, mostly(&[FOREIGN]), versions, plurals);
    texts.prop_map(|(group_version, group, versions, plurals)| {
        let listed = versions
            .iter()
            .map(|version| json!({ "groupVersion": group_version, "version": version }));
        let resource = |name: &str, kind: &str| {
            json!({
                "name": name, "singularName": "", "namespaced": true, "kind": kind,
                "group": group, "version": versions.first(), "verbs": ["get"],
            })
        };
        let kinds = plurals.iter().zip(["Deployment", "Service", "Namespace"]);
        let resources = kinds.flat_map(|(plural, kind)| {
            let scale = format!("{plural}/scale");
            [resource(plural, kind), resource(&scale, "Scale")]
        });
        Discovery {
            core: json!({ "versions": versions }),
            group: json!({ "name": group, "versions": Vec::from_iter(listed) }),
            kinds: json!({
                "groupVersion": group_version, "resources": Vec::from_iter(resources),
            }),
        }
    })
}

fn question(spec: AutoscalerSpec) -> Question {
    let autoscaler = Arc::new(Autoscaler {
        key: ObjectKey {
            namespace: OWN.into(),
            name: "web".into(),
        },
        uid: "uid".into(),
        generation: 1,
        spec: Arc::new(spec),
        status: Arc::default(),
    });
    let prepared = Prepared::new(&autoscaler, &ReplicaOptions::default());
    Question {
        autoscaler,
        target_metadata: true,
        metric_selectors: prepared.metric_selectors,
    }
}

#[test]
fn no_request_has_a_segment_that_is_not_one_nor_another_namespace() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let answers = Arc::<Mutex<Option<Discovery>>>::default();
    let (client, requests) = api_server::client_with(Arc::clone(&answers));
    let caches = runtime.block_on(async {
        let caches = Caches::start(client.clone()).await;
        caches.synced().await;
        caches
    });
    requests.take();
    let metrics = MetricsApis::new(client.clone(), caches.kinds().clone(), TIMEOUT);
    let reader = KubernetesReader::new(client, caches, metrics);
    let read = Cell::new(0);
    let mut runner = TestRunner::new(Config::with_cases(cases(2000)));
    let outcome = runner.run(&(spec(), discovery()), |(spec, discovery)| {
        *answers.lock().unwrap() = Some(discovery);
        let bounded = spec.check_bounds();
        let question = question(spec);
        runtime.block_on(reader.observe(Timestamp(0), &[question]));
        for uri in requests.take().into_iter().filter(|uri| !is_of_caches(uri)) {
            prop_assert!(is_own(&uri), "{uri}");
            // A spec that passes the check is read.
            let is_read = bounded.is_ok() && uri.ends_with("/scale");
            read.set(read.get() + usize::from(is_read));
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(read.get() > 100, "only {} scales were read", read.get());
}

/// Reports whether a request is one of the caches' own watches, which may begin late.
fn is_of_caches(uri: &str) -> bool {
    let watched = [
        "/api/v1/pods",
        "/apis/autoscaling/v2/horizontalpodautoscalers",
        "/apis/flyball.dev/v1alpha1/replicaautoscalers",
    ];
    let query = "?&watch=true&timeoutSeconds=290&allowWatchBookmarks=true&resourceVersion=1";
    watched.iter().any(|path| uri == format!("{path}{query}"))
}

/// Reports whether a request has one of the expected forms, in the object's namespace, and is
/// not for the group that only the server named.
fn is_own(uri: &str) -> bool {
    let path = uri.split_once('?').map_or(uri, |(path, _)| path);
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let form = is_discovery(&segments) || is_in_namespace(&segments);
    let is_foreign = segments.contains(&FOREIGN);
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let mut names = query.split('&').filter(|part| !part.is_empty());
    let names = names.all(|part| {
        let name = part.split_once('=').map_or(part, |(name, _)| name);
        ["labelSelector", "metricLabelSelector", "limit"].contains(&name)
    });
    form && names && !is_foreign && segments.iter().all(|segment| is_segment(segment))
}

/// Reports whether a path is one of the kinds that are served.
fn is_discovery(segments: &[&str]) -> bool {
    matches!(segments, ["api"] | ["api" | "apis", _] | ["apis", _, _])
}

/// Reports whether a path is that of an object, a scale or a metric of the own namespace.
fn is_in_namespace(segments: &[&str]) -> bool {
    let rest = match segments {
        ["api", _, "namespaces", rest @ ..] | ["apis", _, _, "namespaces", rest @ ..] => rest,
        _ => return false,
    };
    let api = segments.get(1).copied().unwrap_or_default();
    matches!(
        (api, rest),
        (_, [OWN, _, _] | [OWN, _, _, "scale"])
            | ("metrics.k8s.io", [OWN, "pods"])
            | ("external.metrics.k8s.io", [OWN, _])
            | ("custom.metrics.k8s.io", [OWN, _, _, _])
    )
}

/// Reports whether an encoded segment is one segment, also once it is decoded.
fn is_segment(segment: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.~%*".contains(c);
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
    segment.chars().all(is_plain) && decoded.is_ok_and(|text| SegmentFault::find(&text).is_none())
}

/// A kind of another group may have the same name.
#[test]
fn only_a_namespace_of_the_core_group_is_the_own_one() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    for (api_version, path) in [
        ("v1", "metrics/hits"),
        ("example.com/v1", "namespaces.example.com/web/hits"),
    ] {
        let object = json!({
            "describedObject": { "apiVersion": api_version, "kind": "Namespace", "name": "web" },
            "metric": { "name": "hits" },
            "target": { "type": "AverageValue", "averageValue": "1" },
        });
        let metric = json!({ "type": "Object", "object": object });
        let metric = serde_json::from_value(metric).unwrap();
        let (client, requests) = api_server::client();
        measure_with(&runtime, client, &[(OWN, metric)]);
        let own = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/{OWN}/");
        let requests = requests.take();
        let asked = requests.iter().filter_map(|uri| uri.strip_prefix(&*own));
        let asked = asked.map(|rest| rest.trim_end_matches('?'));
        assert_eq!(Vec::from_iter(asked), [path], "{api_version}: {requests:?}");
    }
}

#[test]
fn the_pattern_of_a_segment_allows_what_its_check_allows() {
    let pattern = regex_lite::Regex::new(&SEGMENT_PATTERN.replace('$', "\\z")).unwrap();
    let mut runner = TestRunner::new(Config::with_cases(cases(2000)));
    let outcome = runner.run(&text(), |text| {
        let is_fine = SegmentFault::find(&text).is_none();
        prop_assert_eq!(pattern.is_match(&text), is_fine, "{:?}", text);
        Ok(())
    });
    outcome.unwrap();
}
