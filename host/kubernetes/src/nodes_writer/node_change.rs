//! Patches of nodes.

use flyball_nodes::ports::{DrainMark, NodeChange, TaintChange};
use k8s_openapi::api::core::v1::{Node, Taint};
use serde_json::{Map, Value, json};

/// Returns the merge patch that makes a change of a node. `None` if the node is already
/// as the change wants it.
///
/// The patch has the resourceVersion that was read: the taints are replaced as a whole,
/// so the API server must refuse it if another change came between.
pub(super) fn patch(node: &Node, change: &NodeChange) -> Option<Value> {
    let is_cordoned = is_cordoned(node);
    let change = &*change.resolve(is_cordoned, annotation(node, DrainMark::ANNOTATION));
    let (spec, annotations) = (spec(node, change), annotations(node, change));
    if spec.is_empty() && annotations.is_empty() {
        return None;
    }
    let mut metadata = Map::new();
    let version = &node.metadata.resource_version;
    metadata.insert("resourceVersion".to_owned(), json!(version));
    if !annotations.is_empty() {
        metadata.insert("annotations".to_owned(), Value::Object(annotations));
    }
    let mut patch = Map::new();
    patch.insert("metadata".to_owned(), Value::Object(metadata));
    if !spec.is_empty() {
        patch.insert("spec".to_owned(), Value::Object(spec));
    }
    Some(Value::Object(patch))
}

fn spec(node: &Node, change: &NodeChange) -> Map<String, Value> {
    let known = node.spec.as_ref();
    let mut spec = Map::new();
    let taints = known.and_then(|spec| spec.taints.as_deref());
    let before = taints.unwrap_or_default();
    let after = taints_after(before, change);
    if after != before {
        spec.insert("taints".to_owned(), json!(after));
    }
    if let Some(unschedulable) = change.unschedulable.filter(|to| *to != is_cordoned(node)) {
        // Without a cordon, the field is absent.
        let value = unschedulable.then_some(true);
        spec.insert("unschedulable".to_owned(), json!(value));
    }
    spec
}

/// Returns the taints of a node after a change. A taint that is there already keeps its
/// place.
fn taints_after(before: &[Taint], change: &NodeChange) -> Vec<Taint> {
    let is_added = |taint: &Taint| change.add_taints.iter().any(|add| is_same(taint, add));
    let is_removed = |taint: &Taint| change.remove_taints.iter().any(|key| **key == *taint.key);
    let kept = before.iter();
    let kept = kept.filter(|taint| is_added(taint) || !is_removed(taint));
    let mut after: Vec<Taint> = kept.cloned().collect();
    for add in &change.add_taints {
        let value = (!add.value.is_empty()).then(|| add.value.to_string());
        match after.iter_mut().find(|taint| is_same(taint, add)) {
            Some(taint) if taint.value.as_deref().unwrap_or_default() == &*add.value => {}
            Some(taint) => taint.value = value,
            None => after.push(Taint {
                key: add.key.to_string(),
                value,
                effect: add.effect.to_string(),
                time_added: None,
            }),
        }
    }
    after
}

/// Returns whether two taints can't be on a node together: the API server wants each pair
/// of key and effect once.
fn is_same(taint: &Taint, change: &TaintChange) -> bool {
    *taint.key == *change.key && *taint.effect == *change.effect
}

fn annotations(node: &Node, change: &NodeChange) -> Map<String, Value> {
    let changed = change.annotations.iter();
    let changed = changed.filter(|(key, to)| annotation(node, key) != to.as_deref());
    changed
        .map(|(key, to)| (key.to_string(), json!(to.as_deref())))
        .collect()
}

fn is_cordoned(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    spec.and_then(|spec| spec.unschedulable).unwrap_or(false)
}

fn annotation<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    let known = node.metadata.annotations.as_ref();
    known.and_then(|known| known.get(key)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use flyball_nodes::ports::{NodeChange, TaintChange};
    use k8s_openapi::api::core::v1::Node;
    use serde_json::{Value, json};

    use super::patch;

    const OURS: &str = "ToBeDeletedByClusterAutoscaler";

    fn node() -> Node {
        let node = json!({
            "metadata": {
                "name": "a", "resourceVersion": "7", "annotations": { "kept": "x", "old": "y" }
            },
            "spec": { "taints": [
                { "key": "dedicated", "value": "db", "effect": "NoSchedule" },
                { "key": OURS, "value": "1700000000", "effect": "NoSchedule" },
                { "key": "theirs", "effect": "NoExecute" },
            ] },
        });
        serde_json::from_value(node).unwrap_or_default()
    }

    fn taint(key: &str, value: &str, effect: &str) -> TaintChange {
        TaintChange {
            key: key.into(),
            value: value.into(),
            effect: effect.into(),
        }
    }

    fn patched(change: NodeChange) -> Value {
        patch(&node(), &change).unwrap_or_default()
    }

    #[test]
    fn a_patch_has_the_version_that_was_read_and_all_taints() {
        let change = NodeChange {
            add_taints: vec![taint("soft", "1", "PreferNoSchedule")],
            remove_taints: vec![OURS.into()],
            unschedulable: Some(true),
            annotations: vec![("new".into(), Some("z".into())), ("old".into(), None)],
            ..NodeChange::default()
        };
        let expected = json!({
            "metadata": { "resourceVersion": "7", "annotations": { "new": "z", "old": null } },
            "spec": {
                "taints": [
                    { "key": "dedicated", "value": "db", "effect": "NoSchedule" },
                    { "key": "theirs", "effect": "NoExecute" },
                    { "key": "soft", "value": "1", "effect": "PreferNoSchedule" },
                ],
                "unschedulable": true,
            },
        });
        assert_eq!(patched(change), expected);
    }

    #[test]
    fn a_taint_is_replaced_by_key_and_effect() {
        let add = vec![
            taint(OURS, "1800000000", "NoSchedule"),
            taint(OURS, "", "NoExecute"),
        ];
        let change = NodeChange {
            add_taints: add,
            remove_taints: vec![OURS.into()],
            ..NodeChange::default()
        };
        let taints = json!([
            { "key": "dedicated", "value": "db", "effect": "NoSchedule" },
            { "key": OURS, "value": "1800000000", "effect": "NoSchedule" },
            { "key": "theirs", "effect": "NoExecute" },
            { "key": OURS, "effect": "NoExecute" },
        ]);
        assert_eq!(patched(change)["spec"], json!({ "taints": taints }));
    }

    #[test]
    fn nothing_is_sent_for_what_is_there_already() {
        let change = NodeChange {
            add_taints: vec![
                taint(OURS, "1700000000", "NoSchedule"),
                taint("theirs", "", "NoExecute"),
            ],
            remove_taints: vec!["absent".into(), OURS.into()],
            unschedulable: Some(false),
            annotations: vec![("kept".into(), Some("x".into())), ("absent".into(), None)],
            ..NodeChange::default()
        };
        assert_eq!(patch(&node(), &change), None);
        assert_eq!(patch(&node(), &NodeChange::default()), None);
    }
}
