//! The filter VolumeBinding: whether claims are bound to volumes that a node can
//! access, or can be bound to such volumes.

use hashbrown::HashSet;

use super::store::{KnownClaim, KnownVolume, NodeLabels, Reach};
use super::{Mounting, Storage};
use crate::{Claim, CsiNode, Name, PersistentVolume};

const NODE_CONFLICT: &str = "node(s) didn't match PersistentVolume's node affinity";
const BIND_CONFLICT: &str = "node(s) didn't find available persistent volumes to bind";
const NOT_ENOUGH_SPACE: &str = "node(s) did not have enough free storage";
const VOLUME_GONE: &str =
    "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";

/// An error of the scheduler, which it retries without end.
const UNTRANSLATABLE: &str = "could not translate pv";

/// Provisioner of classes whose volumes are created by an administrator.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

impl Storage {
    /// Returns why the first unusable claim can't be mounted. `None` if all claims are
    /// usable.
    pub(super) fn unusable_claim(&self, pod: Mounting<'_>) -> Option<String> {
        let mut claims = pod.volumes.claims.iter();
        claims.find_map(|wanted| {
            let name = &wanted.name;
            let Some(KnownClaim { claim, .. }) = self.claim(pod.namespace, name) else {
                return Some(format!(
                    "waiting for ephemeral volume controller to create the \
                     persistentvolumeclaim {name:?}"
                ));
            };
            if claim.lost {
                let volume = &claim.volume;
                return Some(format!(
                    "persistentvolumeclaim {name:?} bound to non-existent persistentvolume \
                     {volume:?}"
                ));
            }
            if claim.terminating {
                return Some(format!("persistentvolumeclaim {name:?} is being deleted"));
            }
            let owner = wanted.owner.as_ref()?;
            (claim.owner.as_ref() != Some(&owner.uid)).then(|| {
                let (namespace, pod) = (pod.namespace, &owner.name);
                format!(
                    "PVC {namespace}/{name} was not created for pod {namespace}/{pod} (pod is \
                     not owner)"
                )
            })
        })
    }

    /// Whether a claim with immediate binding is not bound yet.
    pub(super) fn has_unbound_immediate(&self, pod: Mounting<'_>) -> bool {
        let mut unbound = self.claims_of(pod).filter(|known| !is_bound(&known.claim));
        unbound.any(|known| !known.claim.volume.is_empty() || !self.binds_late(&known.claim))
    }

    /// Returns why the pod's claims don't allow a node, sorted by text.
    pub(super) fn binding_conflicts(
        &self,
        pod: Mounting<'_>,
        node_name: &str,
        node: NodeLabels<'_>,
        csi: Option<&CsiNode>,
    ) -> Vec<&'static str> {
        let mut conflicts = Vec::new();
        for known in self.claims_of(pod).filter(|known| is_bound(&known.claim)) {
            let volume = self.volume(&known.claim.volume);
            conflicts.push(match volume.map(|volume| volume.reach(node, csi)) {
                Some(Reach::Reachable) => continue,
                Some(Reach::Elsewhere) => NODE_CONFLICT,
                Some(Reach::Untranslatable) => UNTRANSLATABLE,
                None => VOLUME_GONE,
            });
            break;
        }
        let late = self.claims_of(pod).filter(|known| !is_bound(&known.claim));
        conflicts.extend(self.late_conflict(late, node_name, node));
        conflicts.sort_unstable();
        conflicts
    }

    /// Returns why claims with WaitForFirstConsumer can't be bound on a node.
    fn late_conflict<'a>(
        &self,
        claims: impl Iterator<Item = &'a KnownClaim>,
        node_name: &str,
        node: NodeLabels<'_>,
    ) -> Option<&'static str> {
        let (mut to_match, mut to_provision) = (Vec::new(), Vec::new());
        for known in claims {
            match &known.claim.selected_node {
                Some(selected) if selected.as_ref() != node_name => return Some(BIND_CONFLICT),
                Some(_) => to_provision.push(&known.claim),
                None => to_match.push(known),
            }
        }
        to_match.sort_by_key(|known| known.claim.size.unwrap_or(0));
        let mut chosen = HashSet::new();
        for known in to_match {
            match self.smallest_match(known, &chosen, node) {
                Some(volume) => drop(chosen.insert(volume.volume.name.clone())),
                None => to_provision.push(&known.claim),
            }
        }
        let mut refused = to_provision.into_iter();
        refused.find_map(|claim| self.provision_conflict(claim, node))
    }

    /// Returns the smallest volume that a claim can be bound to on a node.
    fn smallest_match(
        &self,
        known: &KnownClaim,
        chosen: &HashSet<Name>,
        node: NodeLabels<'_>,
    ) -> Option<&KnownVolume> {
        let claim = &known.claim;
        let mut smallest: Option<&KnownVolume> = None;
        for candidate in self.volumes_of(&claim.class) {
            let volume = &candidate.volume;
            let is_reserved = volume.claim.is_some();
            if chosen.contains(&volume.name)
                || is_reserved && !is_reserved_for(volume, claim)
                || !could_hold(volume, claim)
            {
                continue;
            }
            if is_reserved {
                return candidate.reachable_from(node).then_some(candidate);
            }
            let selected = known.selector.as_deref().is_none_or(|selector| {
                let labels = NodeLabels {
                    labels: &candidate.labels,
                    symbols: node.symbols,
                };
                labels.meet(selector)
            });
            let mut modes = claim.access_modes.iter();
            if volume.available
                && selected
                && modes.all(|mode| volume.access_modes.contains(mode))
                && smallest.is_none_or(|known| volume.capacity < known.volume.capacity)
                && candidate.reachable_from(node)
            {
                smallest = Some(candidate);
            }
        }
        smallest
    }

    /// Returns why a volume for a claim can't be provisioned for a node.
    fn provision_conflict(&self, claim: &Claim, node: NodeLabels<'_>) -> Option<&'static str> {
        let class = self.class(&claim.class);
        let provisions = class.filter(|known| {
            let provisioner = known.class.provisioner.as_ref();
            !provisioner.is_empty() && provisioner != NO_PROVISIONER && known.can_provision_at(node)
        });
        let Some(known) = provisions else {
            return Some(BIND_CONFLICT);
        };
        let size = claim.size?;
        let driver = self.driver(&known.class.provisioner);
        if !driver.is_some_and(|driver| driver.storage_capacity) {
            return None;
        }
        let enough = self.capacities().any(|known| {
            known.capacity.class == claim.class
                && known
                    .capacity
                    .largest
                    .is_some_and(|largest| largest >= size)
                && known.reachable_from(node)
        });
        (!enough).then_some(NOT_ENOUGH_SPACE)
    }

    fn claims_of(&self, pod: Mounting<'_>) -> impl Iterator<Item = &KnownClaim> {
        let claims = pod.volumes.claims.iter();
        claims.filter_map(move |claim| self.claim(pod.namespace, &claim.name))
    }

    fn binds_late(&self, claim: &Claim) -> bool {
        let class = self.class(&claim.class);
        class.is_some_and(|known| known.class.late_binding)
    }
}

fn is_bound(claim: &Claim) -> bool {
    !claim.volume.is_empty() && claim.bound
}

fn is_reserved_for(volume: &PersistentVolume, claim: &Claim) -> bool {
    volume.claim.as_ref().is_some_and(|reserved| {
        reserved.name == claim.name
            && reserved.namespace == claim.namespace
            && (reserved.uid.is_empty() || reserved.uid == claim.uid)
    })
}

/// Whether a volume matches a claim in the properties that even a reserved volume must
/// match.
fn could_hold(volume: &PersistentVolume, claim: &Claim) -> bool {
    volume.capacity >= claim.size.unwrap_or(0)
        && volume.block == claim.block
        && volume.attributes_class == claim.attributes_class
        && !volume.terminating
}
