//! The zones that new nodes of a group may be in, and their zone labels.

use flyball_placement::{Labels, Name};

use super::Source;
use crate::census::GroupCensus;
use crate::state::{CommonLabels, ZONE_LABELS, zone_of};

/// Labels that name a node's zone in another way.
const ZONE_IDS: [&str; 1] = ["topology.k8s.aws/zone-id"];

/// Adds labels that all nodes have in common to those of a new node, unless it has them.
pub(super) fn add_common_labels(labels: &mut Labels, common: &CommonLabels) {
    for (key, value) in common.same() {
        if labels.get(key).is_none() {
            labels.set(key.into(), value.clone());
        }
    }
}

/// The zones that the next node of a group may be in, the one in `labels` first. Empty if
/// new nodes have no zone, or none is known.
///
/// A live node shows only its own zone. The zones that the provider names count too, and
/// those of the group's other nodes.
pub(super) fn zones_of(
    labels: &Labels,
    source: Source,
    census: &GroupCensus,
    common: &CommonLabels,
) -> Vec<Name> {
    let own = zone_of(labels);
    let named = &census.group.zones;
    let mut zones: Vec<Name> = match (source, own) {
        (Source::Node, None) => return Vec::new(),
        (Source::Provider, Some(own)) => return vec![own.clone()],
        (Source::Provider, None) if named.is_empty() => common.zones().cloned().collect(),
        (Source::Provider, None) => named.clone(),
        // The nodes' label may name the zone differently from the provider.
        (Source::Node, Some(own)) if named.len() == 1 => return vec![own.clone()],
        (Source::Node, Some(own)) => {
            let seen = named.iter().chain(&census.zones);
            seen.chain([own]).cloned().collect()
        }
    };
    zones.sort_unstable_by_key(|zone| (Some(zone) != own, zone.clone()));
    zones.dedup();
    zones
}

/// Sets the zone labels of a new node. `repeated` are keys, beside the usual ones, whose
/// value is the zone. A template from a live node has such labels already, and only those
/// with the former zone as their value change.
pub(super) fn put_in_zone(labels: &mut Labels, zone: &Name, source: Source, repeated: &[Name]) {
    let before = zone_of(labels).cloned();
    if source == Source::Provider {
        for key in std::iter::once(ZONE_LABELS[0]).chain(repeated.iter().map(|key| &**key)) {
            if labels.get(key).is_none() {
                labels.set(key.into(), zone.clone());
            }
        }
    }
    let Some(before) = before.filter(|before| before != zone) else {
        return;
    };
    let is_of_zone = |key: &Name| {
        let is_known = ZONE_LABELS.contains(&&**key) || repeated.contains(key);
        is_known && !ZONE_IDS.contains(&&**key)
    };
    let moved = labels.iter().map(|(key, value)| {
        let moves = *value == before && is_of_zone(key);
        let value = if moves { zone } else { value };
        (key.clone(), value.clone())
    });
    *labels = moved.collect();
}
