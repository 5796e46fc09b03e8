//! Parsed selectors of targets, and a search for autoscalers that select the same pods.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map};
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_replicas::labels::Labels;
use flyball_replicas::selector::{InvalidSelector, Selector};
use flyball_replicas::spec::Mode;

/// The last selector of each autoscaler's target.
#[derive(Default)]
pub struct Selectors {
    by_key: BTreeMap<ObjectKey, Entry>,
    /// Autoscalers that write their target, by namespace and selector.
    groups: BTreeMap<GroupKey, Group>,
    /// Groups by namespace and a label that their selector requires. Those whose selector
    /// requires none, or one of more than [`MAX_LABELS`], have the empty label.
    by_label: HashMap<(Arc<str>, String, String), BTreeSet<GroupKey>>,
}

/// Namespace and selector.
type GroupKey = (Arc<str>, Arc<str>);

struct Entry {
    text: Arc<str>,
    selector: Arc<Selector>,
    mode: Mode,
    is_off: bool,
}

/// Autoscalers with one selector in one namespace.
struct Group {
    selector: Arc<Selector>,
    keys: BTreeSet<ObjectKey>,
}

/// Autoscalers that select the same pods.
#[derive(Default)]
pub struct Others<'a> {
    /// The first of them, at most [`MAX_FIRST`], ordered.
    pub(crate) first: BTreeSet<&'a ObjectKey>,
    /// The number of those with the first [`MAX_GROUPS`] selectors that were found.
    pub(crate) count: usize,
}

/// Maximum number of autoscalers that are named. With all of them, many autoscalers of one
/// selector would cost the square of their number at each sync.
const MAX_FIRST: usize = 16;

/// Number of selectors that match an autoscaler's pods after which no more are searched for.
const MAX_GROUPS: usize = MAX_FIRST + 1;

/// Number of labels by which a group is found at most. An entry for a label takes a hundred
/// times the memory of its value in the selector.
const MAX_LABELS: usize = 16;

/// More comparisons than were allowed would have been needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("labels would have to be compared with selectors too many times")]
pub struct TooManyComparisons;

/// Which groups match the label sets of pods: found once for all autoscalers of a sync, since
/// every autoscaler may select every pod.
#[derive(Default)]
pub struct MatchedGroups<'a> {
    /// By namespace, and by the address of a label set, which is kept so that no other one
    /// gets that address.
    by_labels: HashMap<(Arc<str>, usize), OfLabels<'a>>,
}

/// A label set, and groups that match it.
struct OfLabels<'a> {
    _labels: Arc<Labels>,
    groups: Vec<&'a GroupKey>,
}

impl<'a> MatchedGroups<'a> {
    /// Returns groups of a namespace that match a label set, at most [`MAX_GROUPS`].
    fn of(
        &mut self,
        selectors: &'a Selectors,
        namespace: &Arc<str>,
        labels: &Arc<Labels>,
        comparisons: &mut usize,
    ) -> Result<&[&'a GroupKey], TooManyComparisons> {
        let place = (Arc::clone(namespace), Arc::as_ptr(labels).addr());
        let of_labels = match self.by_labels.entry(place) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(new) => new.insert(OfLabels {
                _labels: Arc::clone(labels),
                groups: selectors.matching(namespace, labels, comparisons)?,
            }),
        };
        Ok(&of_labels.groups)
    }
}

impl Selectors {
    /// Sets the selector and mode of an autoscaler and returns the parsed selector. It
    /// is only parsed if the text has changed. A target that `is_off` has no pods that
    /// others could select.
    ///
    /// # Errors
    /// If the text is not a selector. The autoscaler then has none.
    pub fn set(
        &mut self,
        key: &ObjectKey,
        text: &Arc<str>,
        mode: Mode,
        is_off: bool,
    ) -> Result<Arc<Selector>, InvalidSelector> {
        let known = self.by_key.get(key).filter(|known| known.text == *text);
        let same = known.filter(|known| (known.mode, known.is_off) == (mode, is_off));
        if let Some(known) = same {
            return Ok(Arc::clone(&known.selector));
        }
        let selector = match known {
            Some(known) => Ok(Arc::clone(&known.selector)),
            None => Selector::parse(text).map(Arc::new),
        };
        self.remove(key);
        let selector = selector?;
        if mode == Mode::Active && !is_off {
            self.add(key, text, &selector);
        }
        let known = Entry {
            text: Arc::clone(text),
            selector: Arc::clone(&selector),
            mode,
            is_off,
        };
        self.by_key.insert(key.clone(), known);
        Ok(selector)
    }

    /// Removes autoscalers that have another mode by now (see [`Selectors::set`]) or
    /// are gone (`mode` returns `None`).
    pub(crate) fn retain(&mut self, mode: impl Fn(&ObjectKey) -> Option<Mode>) {
        let all = self.by_key.iter();
        let gone = all.filter(|(key, known)| mode(key) != Some(known.mode));
        let gone: Vec<_> = gone.map(|(key, _)| key.clone()).collect();
        for key in &gone {
            self.remove(key);
        }
    }

    /// Returns the autoscalers other than `key` whose selector matches the labels of
    /// any of `key`'s pods. Takes as many from `comparisons` as it makes at most.
    ///
    /// # Errors
    /// If there are not enough of them.
    pub fn others<'a>(
        &'a self,
        key: &ObjectKey,
        pods: &[Arc<Labels>],
        matched: &mut MatchedGroups<'a>,
        comparisons: &mut usize,
    ) -> Result<Others<'a>, TooManyComparisons> {
        let mut matching = BTreeSet::new();
        for labels in pods {
            matching.extend(matched.of(self, &key.namespace, labels, comparisons)?);
            if matching.len() > MAX_GROUPS {
                break;
            }
        }
        let mut others = Others::default();
        for group in matching.into_iter().filter_map(|key| self.groups.get(key)) {
            others.count += group.keys.len() - usize::from(group.keys.contains(key));
            let of_group = group.keys.iter().filter(|other| *other != key);
            others.first.extend(of_group.take(MAX_FIRST));
            while others.first.len() > MAX_FIRST {
                others.first.pop_last();
            }
        }
        Ok(others)
    }

    /// Returns the groups of a namespace whose selector matches a label set, at most
    /// [`MAX_GROUPS`].
    fn matching<'a>(
        &'a self,
        namespace: &Arc<str>,
        labels: &Labels,
        comparisons: &mut usize,
    ) -> Result<Vec<&'a GroupKey>, TooManyComparisons> {
        let of_pods = labels.iter().map(|(key, value)| (&**key, &**value));
        let groups = of_pods.chain([("", "")]).flat_map(|(label, value)| {
            let label = (Arc::clone(namespace), label.to_owned(), value.to_owned());
            self.by_label.get(&label).into_iter().flatten()
        });
        let value_of = |key: &str| labels.get(key).map(|value| &**value);
        let mut matching = Vec::new();
        for key in groups {
            let Some(Group { selector, .. }) = self.groups.get(key) else {
                continue;
            };
            let left = comparisons.checked_sub(selector.cost());
            *comparisons = left.ok_or(TooManyComparisons)?;
            if selector.matches(value_of) {
                matching.push(key);
                if matching.len() == MAX_GROUPS {
                    break;
                }
            }
        }
        Ok(matching)
    }

    /// Adds an autoscaler to the group of its selector.
    fn add(&mut self, key: &ObjectKey, text: &Arc<str>, selector: &Arc<Selector>) {
        let group_key = (Arc::clone(&key.namespace), Arc::clone(text));
        let group = self.groups.entry(group_key.clone());
        let group = group.or_insert_with(|| Group {
            selector: Arc::clone(selector),
            keys: BTreeSet::new(),
        });
        if group.keys.is_empty() {
            for label in labels(&group_key.0, selector) {
                let of_label = self.by_label.entry(label).or_default();
                of_label.insert(group_key.clone());
            }
        }
        group.keys.insert(key.clone());
    }

    fn remove(&mut self, key: &ObjectKey) {
        let Some(known) = self.by_key.remove(key) else {
            return;
        };
        let group_key = (Arc::clone(&key.namespace), known.text);
        let Some(group) = self.groups.get_mut(&group_key) else {
            return;
        };
        group.keys.remove(key);
        if !group.keys.is_empty() {
            return;
        }
        self.groups.remove(&group_key);
        for label in labels(&group_key.0, &known.selector) {
            if let Some(groups) = self.by_label.get_mut(&label) {
                groups.remove(&group_key);
                if groups.is_empty() {
                    self.by_label.remove(&label);
                }
            }
        }
    }
}

/// Returns labels of which each matching pod has one. The empty label stands for any.
fn labels(namespace: &Arc<str>, selector: &Selector) -> Vec<(Arc<str>, String, String)> {
    let one_of = selector.one_of();
    match one_of.filter(|(_, values)| values.len() <= MAX_LABELS) {
        Some((label, values)) => values
            .iter()
            .map(|value| (namespace.clone(), label.to_owned(), value.clone()))
            .collect(),
        None => vec![(namespace.clone(), String::new(), String::new())],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flyball_decision::key::ObjectKey;
    use flyball_replicas::labels::Labels;
    use flyball_replicas::selector::InvalidSelector;
    use flyball_replicas::spec::Mode;

    use super::{MAX_FIRST, MatchedGroups, Others, Selectors, TooManyComparisons};

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            namespace: "shop".into(),
            name: name.into(),
        }
    }

    #[test]
    fn many_autoscalers_of_one_selector_are_counted_and_few_of_them_named()
    -> Result<(), InvalidSelector> {
        let mut selectors = Selectors::default();
        let text = Arc::from("app=web");
        for number in 0..400 {
            selectors.set(
                &key(&format!("web-{number:03}")),
                &text,
                Mode::Active,
                false,
            )?;
        }
        selectors.set(
            &key("other"),
            &"app in (api,web),!old".into(),
            Mode::Active,
            false,
        )?;
        selectors.set(&key("looks"), &text, Mode::Observe, false)?;
        selectors.set(&key("far"), &"app=db".into(), Mode::Active, false)?;
        selectors.set(&key("off"), &text, Mode::Active, true)?;
        let pods: Arc<Labels> = Arc::new([("app".into(), "web".into())].into_iter().collect());
        let pods = [Arc::clone(&pods), pods];
        let first = key("web-000");
        let others = all_others(&selectors, &first, &pods, &mut MatchedGroups::default());
        assert_eq!((others.count, others.first.len()), (400, MAX_FIRST));
        let names: Vec<&str> = others.first.iter().map(|key| &*key.name).collect();
        assert_eq!(names[..2], ["other", "web-001"]);

        // Those that are gone or only observe count no longer.
        selectors.retain(|known| {
            (known.name != first.name && known.name.len() == 7).then_some(Mode::Active)
        });
        let count = |selectors: &Selectors| {
            all_others(selectors, &first, &pods, &mut MatchedGroups::default()).count
        };
        assert_eq!(count(&selectors), 399);
        selectors.retain(|_| None);
        assert_eq!(count(&selectors), 0);
        assert!(selectors.by_label.is_empty() && selectors.groups.is_empty());
        Ok(())
    }

    /// Each of many selectors matches each of many pods. Tested one by one for each
    /// autoscaler, these would be 27,000 million matches.
    #[test]
    fn many_different_selectors_that_match_all_pods_are_found_at_once()
    -> Result<(), InvalidSelector> {
        let mut selectors = Selectors::default();
        for number in 0..3000 {
            let name = format!("web-{number:04}");
            selectors.set(&key(&name), &format!("!{name}").into(), Mode::Active, false)?;
        }
        let pods: Vec<Arc<Labels>> = (0..3000)
            .map(|number| {
                let label = (format!("pod-{number:04}").into(), "".into());
                Arc::new([label].into_iter().collect())
            })
            .collect();
        let mut matched = MatchedGroups::default();
        for number in 0..3000 {
            let key = key(&format!("web-{number:04}"));
            let others = all_others(&selectors, &key, &pods, &mut matched);
            assert!(others.count >= MAX_FIRST, "{number}: {}", others.count);
        }
        Ok(())
    }

    /// Returns the others, however many comparisons that takes.
    fn all_others<'a>(
        selectors: &'a Selectors,
        key: &ObjectKey,
        pods: &[Arc<Labels>],
        matched: &mut MatchedGroups<'a>,
    ) -> Others<'a> {
        let mut comparisons = usize::MAX;
        let others = selectors.others(key, pods, matched, &mut comparisons);
        others.unwrap_or_default()
    }

    #[test]
    fn a_selector_of_many_values_has_no_entry_for_each() -> Result<(), InvalidSelector> {
        let mut selectors = Selectors::default();
        let values: Vec<String> = (0..1000).map(|number| format!("web-{number}")).collect();
        let text = format!("app in ({}),tier in (a,b)", values.join(",")).into();
        selectors.set(&key("few"), &text, Mode::Active, false)?;
        let text = format!("app in ({})", values.join(",")).into();
        selectors.set(&key("many"), &text, Mode::Active, false)?;
        assert_eq!(selectors.by_label.len(), 3, "two tiers, and any label");
        let labels = [("app", "web-7"), ("tier", "b")];
        let labels = labels.map(|(key, value)| (key.into(), value.into()));
        let pods = [Arc::new(labels.into_iter().collect::<Labels>())];
        let mut matched = MatchedGroups::default();
        let others = all_others(&selectors, &key("web"), &pods, &mut matched);
        assert_eq!(others.count, 2);
        Ok(())
    }

    /// None of many selectors matches a pod, and each is compared to its last requirement.
    #[test]
    fn comparisons_are_counted_and_end_when_there_are_none_left() -> Result<(), InvalidSelector> {
        let mut selectors = Selectors::default();
        for number in 0..100 {
            let text = format!("!a,!b,!app{number},!app").into();
            selectors.set(&key(&format!("web-{number}")), &text, Mode::Active, false)?;
        }
        let pods: Arc<Labels> = Arc::new([("app".into(), "web".into())].into_iter().collect());
        let mut matched = MatchedGroups::default();
        let mut count = |comparisons: &mut usize| {
            let pods = [Arc::clone(&pods)];
            let others = selectors.others(&key("web-0"), &pods, &mut matched, comparisons);
            others.map(|others| others.count)
        };
        assert_eq!(count(&mut 399), Err(TooManyComparisons));
        let mut comparisons = 500;
        assert_eq!(count(&mut comparisons), Ok(0));
        assert_eq!(comparisons, 100);
        assert_eq!(count(&mut comparisons), Ok(0));
        assert_eq!(comparisons, 100, "what is known is not compared again");
        Ok(())
    }
}
