//! Annotations in JSON: those that the host reads, and the others until it is known which
//! of them policies want.

use std::collections::BTreeMap;
use std::fmt;

use flyball_decision::context::GrantedInput;
use flyball_nodes::state::AnnotationKeys;
use flyball_placement::Name;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::text::share;

/// The annotations of an object.
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
    /// The others. They are not kept beyond the conversion of the object.
    others: Vec<(Name, Name)>,
}

impl Annotations {
    /// Returns those with these keys. A value that is too long for a policy is cut right
    /// after its limit.
    pub(super) fn with_keys(&mut self, keys: &AnnotationKeys) -> BTreeMap<Name, Name> {
        match keys {
            AnnotationKeys::All => {
                let fields = FIELDS.iter();
                let fields =
                    fields.filter_map(|(key, field)| Some((share(key), field(self).clone()?)));
                let mut all: BTreeMap<Name, Name> = fields.collect();
                all.extend(self.kept.clone());
                all.extend(self.others.iter().cloned());
                all
            }
            AnnotationKeys::Only(keys) => {
                let wanted = keys.iter();
                wanted
                    .filter_map(|key| Some((Name::clone(key), self.get(key)?)))
                    .collect()
            }
        }
    }

    fn get(&mut self, key: &str) -> Option<Name> {
        if let Some((_, field)) = FIELDS.iter().find(|(field, _)| *field == key) {
            return field(self).clone();
        }
        let other = || self.others.iter().find(|(other, _)| **other == *key);
        let value = self.kept.get(key);
        value.or_else(|| other().map(|(_, value)| value)).cloned()
    }
}

/// The value of an annotation, cut right after the limit of texts for policies.
struct Cut(Name);

impl<'de> Deserialize<'de> for Cut {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Cut;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the value of an annotation")
            }

            fn visit_str<E>(self, text: &str) -> Result<Cut, E> {
                let ends = GrantedInput::MAX_TEXT + 1..text.len();
                let end = ends.into_iter().find(|&end| text.is_char_boundary(end));
                Ok(Cut(share(&text[..end.unwrap_or(text.len())])))
            }
        }

        deserializer.deserialize_str(Text)
    }
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
    Other(Name),
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
                    None => Key::Other(share(text)),
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
                        Key::Other(key) => {
                            let Cut(value) = all.next_value()?;
                            used.others.push((key, value));
                        }
                    }
                }
                Ok(used)
            }
        }

        deserializer.deserialize_map(Used)
    }
}
