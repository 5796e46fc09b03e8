//! Annotations in JSON: those that are used, and none of the others.

use std::collections::BTreeMap;
use std::fmt;

use flyball_placement::Name;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// The annotations that are used.
#[derive(Clone, Debug, Default)]
pub(super) struct Annotations {
    pub(super) mirror: Option<Name>,
    pub(super) daemon_set: Option<Name>,
    pub(super) scale_up_delay: Option<Name>,
    pub(super) safe_to_evict: Option<Name>,
    pub(super) safe_local_volumes: Option<Name>,
    pub(super) enable_ds_eviction: Option<Name>,
    pub(super) deletion_cost: Option<Name>,
    pub(super) bind_completed: Option<Name>,
    pub(super) migrated_plugins: Option<Name>,
    pub(super) storage_class: Option<Name>,
    pub(super) selected_node: Option<Name>,
    /// Those that are kept by key: [`KEPT`], and what begins with one of
    /// [`KEPT_PREFIXES`].
    pub(super) kept: BTreeMap<Name, Name>,
}

/// Returns the field of an annotation.
type Field = fn(&mut Annotations) -> &mut Option<Name>;

/// Annotations with a field.
const FIELDS: [(&str, Field); 11] = [
    ("kubernetes.io/config.mirror", |a| &mut a.mirror),
    ("cluster-autoscaler.kubernetes.io/daemonset-pod", |a| {
        &mut a.daemon_set
    }),
    ("cluster-autoscaler.kubernetes.io/pod-scale-up-delay", |a| {
        &mut a.scale_up_delay
    }),
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", |a| {
        &mut a.safe_to_evict
    }),
    (
        "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes",
        |a| &mut a.safe_local_volumes,
    ),
    ("cluster-autoscaler.kubernetes.io/enable-ds-eviction", |a| {
        &mut a.enable_ds_eviction
    }),
    ("controller.kubernetes.io/pod-deletion-cost", |a| {
        &mut a.deletion_cost
    }),
    ("pv.kubernetes.io/bind-completed", |a| &mut a.bind_completed),
    ("storage.alpha.kubernetes.io/migrated-plugins", |a| {
        &mut a.migrated_plugins
    }),
    ("volume.beta.kubernetes.io/storage-class", |a| {
        &mut a.storage_class
    }),
    ("volume.kubernetes.io/selected-node", |a| {
        &mut a.selected_node
    }),
];

/// Annotation of a node that is kept by its key.
const KEPT: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";

/// Prefixes of annotations of nodes that are kept by their key.
const KEPT_PREFIXES: [&str; 2] = [
    "flyball.dev/",
    "delay-deletion.cluster-autoscaler.kubernetes.io/",
];

/// What becomes of an annotation.
enum Key {
    Field(Field),
    Kept(Name),
    Ignored,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the key of an annotation")
            }

            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                let field = FIELDS.iter().find(|(key, _)| *key == text);
                Ok(match field {
                    Some((_, field)) => Key::Field(*field),
                    None if text == KEPT || KEPT_PREFIXES.iter().any(|p| text.starts_with(p)) => {
                        Key::Kept(text.into())
                    }
                    None => Key::Ignored,
                })
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Used;

        impl<'de> Visitor<'de> for Used {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Annotations, A::Error> {
                let mut used = Annotations::default();
                while let Some(key) = all.next_key::<Key>()? {
                    match key {
                        Key::Field(field) => *field(&mut used) = Some(all.next_value()?),
                        Key::Kept(key) => {
                            used.kept.insert(key, all.next_value()?);
                        }
                        Key::Ignored => {
                            all.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(used)
            }
        }

        deserializer.deserialize_map(Used)
    }
}
