//! The removals of the last hour, for limits such as `20/1h`. They outlive the process in an
//! annotation of the status.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::time::Timestamp;

const MINUTE_MS: i64 = 60_000;

/// How long a removal is kept: the longest time of a limit.
const KEPT_MS: i64 = 60 * MINUTE_MS;

/// Numbers of removed nodes by group, each with the minute since the Unix epoch at whose
/// end they count as removed. Minutes keep the annotation small.
type Saved = BTreeMap<Arc<str>, Vec<(i64, u32)>>;

/// The nodes that the cloud began to remove within the last hour.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentRemovals {
    removals: Vec<Removal>,
    /// Whether there are removals that were not saved.
    is_unsaved: bool,
}

#[derive(Clone, Debug)]
struct Removal {
    at: Timestamp,
    group: Arc<str>,
    count: u32,
    /// The node. `None` for removals by an earlier process.
    node: Option<Arc<str>>,
}

impl RecentRemovals {
    /// Notes that the cloud removes a node.
    pub(crate) fn note(&mut self, group: &Arc<str>, node: &Arc<str>, now: Timestamp) {
        self.forget(now);
        self.is_unsaved = true;
        self.removals.push(Removal {
            at: now,
            group: Arc::clone(group),
            count: 1,
            node: Some(Arc::clone(node)),
        });
    }

    /// Number of nodes of a group, or of all, that were removed within this time, and when
    /// the first of them counts no longer.
    pub(super) fn within(
        &self,
        window_ms: i64,
        group: Option<&str>,
        now: Timestamp,
    ) -> (u32, Option<Timestamp>) {
        let of_group = |one: &&Removal| group.is_none_or(|group| *one.group == *group);
        let removals = self.removals.iter().filter(of_group);
        let removals = removals.filter(|one| now.since(one.at) < window_ms);
        let (mut count, mut first): (u32, Option<Timestamp>) = (0, None);
        for removal in removals {
            count = count.saturating_add(removal.count);
            let end = removal.at.plus(window_ms);
            first = Some(first.map_or(end, |first| first.min(end)));
        }
        (count, first)
    }

    /// Whether the removal of a node within this time was noted by this process.
    pub(super) fn has(&self, node: &str, window_ms: i64, now: Timestamp) -> bool {
        let mut removals = self.removals.iter();
        removals.any(|one| one.node.as_deref() == Some(node) && now.since(one.at) < window_ms)
    }

    /// Whether there are removals that were not saved. They count as saved from then on.
    pub(crate) fn take_unsaved(&mut self) -> bool {
        std::mem::take(&mut self.is_unsaved)
    }

    /// Returns the removals as text. `None` if there are none.
    pub(crate) fn save(&mut self, now: Timestamp) -> Option<String> {
        self.forget(now);
        let mut saved = Saved::new();
        for Removal {
            at, group, count, ..
        } in &self.removals
        {
            let minute = at.plus(MINUTE_MS - 1).0.div_euclid(MINUTE_MS);
            let minutes = saved.entry(Arc::clone(group)).or_default();
            match minutes.last_mut() {
                Some((last, known)) if *last == minute => *known = known.saturating_add(*count),
                _ => minutes.push((minute, *count)),
            }
        }
        if saved.is_empty() {
            return None;
        }
        serde_json::to_string(&saved).ok()
    }

    /// Adds the removals of earlier processes. A time in the future counts as now.
    ///
    /// # Errors
    /// The text is not that of [`Self::save`].
    pub(crate) fn restore(&mut self, text: &str, now: Timestamp) -> Result<(), serde_json::Error> {
        let saved: Saved = serde_json::from_str(text)?;
        for (group, minutes) in saved {
            let removals = minutes.into_iter().map(|(minute, count)| Removal {
                at: Timestamp(minute.saturating_mul(MINUTE_MS)).min(now),
                group: Arc::clone(&group),
                count,
                node: None,
            });
            self.removals.extend(removals);
        }
        self.removals.sort_by_key(|removal| removal.at);
        self.forget(now);
        Ok(())
    }

    fn forget(&mut self, now: Timestamp) {
        self.removals
            .retain(|removal| now.since(removal.at) < KEPT_MS);
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_MS, MINUTE_MS, RecentRemovals};
    use flyball_decision::time::Timestamp;

    #[test]
    fn what_is_saved_is_restored_and_never_counts_for_less_long() {
        let mut removals = RecentRemovals::default();
        for (at, group, node) in [
            (1, "a", "a-1"),
            (2, "a", "a-2"),
            (MINUTE_MS + 1, "b", "b-1"),
        ] {
            removals.note(&group.into(), &node.into(), Timestamp(at));
        }
        let now = Timestamp(2 * MINUTE_MS);
        let text = removals.save(now).unwrap_or_default();
        assert_eq!(text, r#"{"a":[[1,2]],"b":[[2,1]]}"#);
        let mut restored = RecentRemovals::default();
        assert!(restored.restore(&text, now).is_ok());
        let end = Timestamp(MINUTE_MS + KEPT_MS);
        assert_eq!(restored.within(KEPT_MS, Some("a"), now), (2, Some(end)));
        assert_eq!(restored.within(KEPT_MS, None, now).0, 3);
        assert_eq!(restored.within(KEPT_MS, None, end).0, 1);
        assert_eq!(restored.save(now), Some(text), "each leader saves the same");
        assert_eq!(restored.save(Timestamp(3 * KEPT_MS)), None);
    }

    #[test]
    fn a_saved_time_in_the_future_counts_as_now_and_other_text_is_refused() {
        let now = Timestamp(5 * MINUTE_MS);
        let mut restored = RecentRemovals::default();
        let text = format!(r#"{{"a":[[{},1]]}}"#, i64::MAX);
        assert!(restored.restore(&text, now).is_ok());
        let end = now.plus(KEPT_MS);
        assert_eq!(restored.within(KEPT_MS, None, now), (1, Some(end)));
        for text in ["", "1", r#"{"a":[[1,-1]]}"#, r#"{"a":[["x",1]]}"#] {
            assert!(
                RecentRemovals::default().restore(text, now).is_err(),
                "{text}"
            );
        }
    }
}
