//! What a server answers about its groups and kinds.

use std::collections::BTreeMap;
use std::future::ready;

use http::{Request, Response, StatusCode};
use kube::api::DynamicObject;
use kube::client::Body;
use kube::{Client, Resource as _};
use serde_json::{Value, json};

use super::{Kind, KindError, Kinds};

/// Returns the kinds of a server that gives these answers, by path, and 404 otherwise.
fn kinds<const N: usize>(answers: [(&'static str, Value); N]) -> Kinds {
    let answers = BTreeMap::from(answers);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (code, text) = match answers.get(request.uri().path()) {
            Some(answer) => (StatusCode::OK, answer.to_string()),
            None => (StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
        };
        let body = Body::from(text.into_bytes());
        ready(Response::builder().status(code).body(body))
    });
    Kinds::new(Client::new(service, "default"))
}

/// Returns the path of the kind in a namespace, and whether it has a scale.
fn path_and_scale(kind: &Kind) -> (String, bool) {
    let path = DynamicObject::url_path(&kind.resource, Some("shop"));
    (path, kind.has_scale)
}

#[tokio::test]
async fn a_kind_that_its_version_lacks_is_that_of_the_most_stable_version_that_has_it() {
    let gadgets = json!({ "name": "gadgets", "kind": "Gadget" });
    let scale = json!({ "name": "gadgets/scale", "kind": "Scale" });
    let versions = ["v1alpha1", "v2beta1", "v4/../v2beta1", "v1", "v3"];
    let listed = versions.map(|version| json!({ "groupVersion": "", "version": version }));
    let answers = [
        ("/api", json!({ "versions": ["v1"] })),
        ("/api/v1", json!({ "resources": [scale, gadgets] })),
        ("/apis/example.com", json!({ "versions": listed })),
        ("/apis/example.com/v1", json!({ "resources": null })),
        (
            "/apis/example.com/v1alpha1",
            json!({ "resources": [gadgets, scale] }),
        ),
        (
            "/apis/example.com/v2beta1",
            json!({ "resources": [gadgets] }),
        ),
        ("/apis/example.com/v3", json!({ "resources": [{}] })),
    ];
    let kinds = kinds(answers);
    let beta = "/apis/example.com/v2beta1/namespaces/shop/gadgets";
    let core = "/api/v1/namespaces/shop/gadgets";
    for (api_version, path, has_scale) in [
        ("example.com/v1", beta, false),
        ("example.com/v9", beta, false),
        (
            "example.com/v1alpha1",
            "/apis/example.com/v1alpha1/namespaces/shop/gadgets",
            true,
        ),
        ("v9", core, true),
    ] {
        let found = kinds.get(api_version, "Gadget").await;
        let found = found.map(|kind| path_and_scale(&kind));
        assert_eq!(found, Ok((path.to_owned(), has_scale)), "{api_version}");
    }
}

#[tokio::test]
async fn a_kind_is_unknown_only_if_all_versions_of_its_group_say_so() {
    let none = json!({ "resources": [] });
    let versions = json!({ "versions": [{ "version": "v2" }, { "version": "v1" }] });
    let huge = json!({ "resources": [], "filler": "x".repeat(5 << 20) });
    let kinds = kinds([
        ("/apis/example.com", versions.clone()),
        ("/apis/example.com/v1", none.clone()),
        ("/apis/huge.example.com", versions),
        ("/apis/huge.example.com/v1", none),
        ("/apis/huge.example.com/v2", huge),
    ]);
    for group in ["example.com", "other.example.com"] {
        let unknown = KindError::Unknown {
            kind: "Gadget".to_owned(),
            group: group.to_owned(),
        };
        let found = kinds.get(&format!("{group}/v1"), "Gadget").await;
        assert_eq!(found.map(|kind| path_and_scale(&kind)), Err(unknown));
    }
    for api_version in ["huge.example.com/v1", "huge.example.com/v2"] {
        let found = kinds.get(api_version, "Gadget").await;
        assert!(
            matches!(&found, Err(KindError::Unavailable(problem)) if problem.contains("more than")),
            "{api_version}: {found:?}"
        );
    }
}
