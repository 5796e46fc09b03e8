//! The status as a ConfigMap.

use std::sync::Arc;

use flyball_nodes::ports::StatusDocument;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Returns the status of a ConfigMap.
pub(super) fn document(map: ConfigMap) -> StatusDocument {
    let text = map.data.unwrap_or_default().remove(StatusDocument::KEY);
    let annotations = map.metadata.annotations.unwrap_or_default();
    let annotations = annotations.into_iter();
    StatusDocument {
        text: text.unwrap_or_default().into(),
        annotations: annotations
            .map(|(key, value)| (Arc::from(key), Arc::from(value)))
            .collect(),
    }
}

/// Returns the known ConfigMap, or a new one of this name, with a status. `None` if the
/// known one has it already. Its other keys and annotations are kept.
pub(super) fn with(
    known: Option<ConfigMap>,
    name: &str,
    status: &StatusDocument,
) -> Option<ConfigMap> {
    let is_new = known.is_none();
    let before = known.unwrap_or_else(|| ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    });
    let mut map = before.clone();
    let data = map.data.get_or_insert_default();
    data.insert(StatusDocument::KEY.to_owned(), status.text.to_string());
    if !status.annotations.is_empty() {
        let annotations = map.metadata.annotations.get_or_insert_default();
        let own = status.annotations.iter();
        annotations.extend(own.map(|(key, value)| (key.to_string(), value.to_string())));
    }
    (is_new || map != before).then_some(map)
}
