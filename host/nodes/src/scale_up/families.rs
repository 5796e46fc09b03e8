//! Families: groups that grow together, one in each topology domain that pods spread
//! over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_placement::Name;

use super::candidates::{Candidate, Candidates};

/// Maximum number of groups in a family. Pods that spread over more domains are rare, and
/// the time of an estimate grows with the number of groups.
const MAX_GROUPS: usize = 64;

/// Topology domain of a group's nodes: the value of each topology key, `None` if its
/// template has no such label.
pub(super) type Domain = Vec<Option<Arc<str>>>;

/// The domain of a candidate's nodes. Empty if there are no keys.
pub(super) fn domain_of(candidate: &Candidate<'_>, keys: &[Name]) -> Domain {
    let template = candidate.template();
    let labels = template.map(|template| &template.template.node.labels);
    keys.iter()
        .map(|key| labels.and_then(|labels| labels.get(key)).cloned())
        .collect()
}

/// Whether nodes in a domain have at least one of the labels.
fn is_somewhere(domain: &Domain) -> bool {
    domain.iter().any(Option::is_some)
}

/// A domain as text for people.
pub(super) fn domain_text(domain: &Domain, keys: &[Name]) -> String {
    let pairs = keys.iter().zip(domain);
    let pairs = pairs.filter_map(|(key, value)| Some(format!("{key}={}", value.as_deref()?)));
    pairs.collect::<Vec<_>>().join(",")
}

/// Groups that grow together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Family {
    /// Rows of the groups, ordered by domain.
    pub(super) rows: Vec<usize>,
    /// Rows of groups that differ from the others in more than the domain. Each stands in
    /// for a domain that has no such group.
    pub(super) stand_ins: Vec<usize>,
}

impl Family {
    /// The family of a group that grows alone.
    pub(super) fn of(row: usize) -> Self {
        Self {
            rows: vec![row],
            stand_ins: Vec::new(),
        }
    }
}

/// The groups that may grow, by domain, without those whose nodes may come in several
/// zones.
pub(super) struct Domains(BTreeMap<Domain, Vec<usize>>);

impl Domains {
    pub(super) fn new(candidates: &Candidates<'_>) -> Self {
        let mut domains: BTreeMap<Domain, Vec<usize>> = BTreeMap::new();
        for (row, candidate) in candidates.all.iter().enumerate() {
            if candidate.open_template().is_some() && !candidate.has_several_zones() {
                let domain = candidate.domain.clone();
                domains.entry(domain).or_default().push(row);
            }
        }
        Self(domains)
    }

    /// Domains with more than one group that could stand in for a group elsewhere that
    /// has no sibling there, with the rows of these groups.
    pub(super) fn unsettled(&self, candidates: &Candidates<'_>) -> Vec<(&Domain, &[usize])> {
        if self.0.len() < 2 {
            return Vec::new();
        }
        let lacks = |domain: &Domain, row: &usize| {
            let own = &candidates.all[*row];
            is_somewhere(&own.domain)
                && own.domain != *domain
                && candidates.sibling_in(*row, domain).is_none()
        };
        let rows = || self.0.values().flatten();
        let unsettled = self.0.iter().filter(|(domain, there)| {
            there.len() > 1 && is_somewhere(domain) && rows().any(|row| lacks(domain, row))
        });
        unsettled
            .map(|(domain, rows)| (domain, rows.as_slice()))
            .collect()
    }

    /// All families, each once. The family of a group has the group itself and its first
    /// sibling in every other domain. A domain without a sibling is represented by its
    /// only group, or the one in `best`, unless members cover all its label values. A
    /// group without any of the labels stays alone.
    pub(super) fn families(
        &self,
        candidates: &Candidates<'_>,
        best: &BTreeMap<Domain, usize>,
    ) -> Vec<Family> {
        let mut rows: Vec<usize> = self.0.values().flatten().copied().collect();
        rows.sort_unstable();
        let mut seen = BTreeSet::new();
        let families = rows
            .into_iter()
            .map(|row| self.family(candidates, best, row));
        families
            .filter(|family| seen.insert(family.clone()))
            .collect()
    }

    fn family(
        &self,
        candidates: &Candidates<'_>,
        best: &BTreeMap<Domain, usize>,
        row: usize,
    ) -> Family {
        let own = &candidates.all[row].domain;
        let mut family = Family::of(row);
        if !is_somewhere(own) {
            return family;
        }
        let elsewhere = self.0.iter();
        let elsewhere = elsewhere.filter(|(domain, _)| *domain != own && is_somewhere(domain));
        let (mut alike, mut others) = (Vec::new(), Vec::new());
        for (domain, there) in elsewhere {
            let only = (there.len() == 1).then(|| there[0]);
            if let Some(member) = candidates.sibling_in(row, domain) {
                alike.push((domain, member));
            } else if let Some(member) = only.or_else(|| best.get(domain).copied()) {
                others.push((domain, member));
            }
        }
        let mut covered = Covered::default();
        covered.add(own);
        // If there are too many, domains with a new value of any key come first.
        let (first, more): (Vec<_>, Vec<_>) = alike
            .into_iter()
            .partition(|(domain, _)| covered.add(domain));
        let alike = first.into_iter().chain(more).map(|(_, member)| member);
        family.rows.extend(alike.take(MAX_GROUPS - 1));
        for (domain, member) in others {
            if family.rows.len() == MAX_GROUPS {
                break;
            }
            if covered.add(domain) {
                family.rows.push(member);
                family.stand_ins.push(member);
            }
        }
        let domain = |row: &usize| &candidates.all[*row].domain;
        family.rows.sort_by(|a, b| domain(a).cmp(domain(b)));
        family
    }
}

/// Values of each topology key that the members of a family cover.
#[derive(Default)]
struct Covered(BTreeSet<(usize, Arc<str>)>);

impl Covered {
    /// Adds the values of a domain. Returns whether one of them is new.
    fn add(&mut self, domain: &Domain) -> bool {
        let mut is_new = false;
        for (key, value) in domain.iter().enumerate() {
            if let Some(value) = value {
                is_new |= self.0.insert((key, Arc::clone(value)));
            }
        }
        is_new
    }
}
