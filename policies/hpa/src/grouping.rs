//! Which pods count, which are missing, and which are not ready yet (step 6 of
//! the algorithm).

use std::time::Duration;

use flyball_policy::{Metric, MetricColumns as Columns, Phase, Pod, Ready, Replica, Source, Time};

/// What a pod counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// On its way out: as if it were not there.
    Ignored,
    /// Not ready to be judged: its metric is dropped.
    Unready,
    /// Without a metric.
    Missing,
    /// It counts.
    Ready,
}

/// The pods and the samples of a metric, sorted out.
#[derive(Debug)]
pub(crate) struct Groups {
    /// What each pod counts as, a row each.
    of_pod: Vec<Group>,
    /// Pods of each group.
    counts: [usize; 4],
    /// Samples that count: those of ready pods and of pods nobody knows.
    pub sample_count: usize,
}

/// A pod without a sample, in a column of rows.
const NO_SAMPLE: u32 = u32::MAX;

impl Groups {
    pub(crate) fn of(input: &Replica, metric: &Metric<'_>) -> Self {
        let columns = metric.columns();
        let mut sample_of = vec![NO_SAMPLE; input.pods().len()];
        for (sample, &pod) in (0..).zip(&columns.pod) {
            if let Some(slot) = sample_of.get_mut(pod as usize) {
                *slot = sample;
            }
        }
        let is_cpu = metric.source() != Source::Pods && metric.name() == "cpu";
        let rules = Rules::of(input, is_cpu);
        let mut counts = [0; 4];
        let mut of_pod = vec![Group::Missing; sample_of.len()];
        for ((slot, pod), &sample) in of_pod.iter_mut().zip(input.pods()).zip(&sample_of) {
            *slot = rules.group(&pod, columns, sample as usize);
            counts[*slot as usize] += 1;
        }
        let mut groups = Self {
            of_pod,
            counts,
            sample_count: 0,
        };
        groups.sample_count = groups.samples(metric).count();
        groups
    }

    /// Pods of a group.
    pub(crate) fn count(&self, group: Group) -> usize {
        self.counts[group as usize]
    }

    /// Pod and value of each sample that counts. The pod's row is beyond all
    /// rows if nobody knows it.
    pub(crate) fn samples(&self, metric: &Metric<'_>) -> impl Iterator<Item = (usize, i64)> {
        let columns = metric.columns();
        let rows = columns.pod.iter().map(|&pod| pod as usize);
        rows.zip(columns.value.iter().copied()).filter(|&(pod, _)| {
            let group = self.of_pod.get(pod);
            !matches!(group, Some(Group::Ignored | Group::Unready))
        })
    }

    /// Whether the pod of that row is one of the target's.
    pub(crate) fn knows(&self, pod: usize) -> bool {
        pod < self.of_pod.len()
    }

    /// Rows of the pods of a group.
    pub(crate) fn rows(&self, wanted: Group) -> impl Iterator<Item = usize> {
        let rows = self.of_pod.iter().enumerate();
        rows.filter(move |&(_, &group)| group == wanted)
            .map(|(row, _)| row)
    }
}

/// What decides on a pod's group beside the pod.
struct Rules {
    is_cpu: bool,
    /// Pods that started after this point may still have their first load.
    initialized: Time,
    initial_readiness_delay: Duration,
}

impl Rules {
    fn of(input: &Replica, is_cpu: bool) -> Self {
        Self {
            is_cpu,
            initialized: input.now() - input.cpu_initialization_period(),
            initial_readiness_delay: input.initial_readiness_delay(),
        }
    }

    fn group(&self, pod: &Pod<'_>, columns: &Columns, sample: usize) -> Group {
        let Some((&at_ms, &window_ms)) = columns
            .timestamp_ms
            .get(sample)
            .zip(columns.window_ms.get(sample))
        else {
            return self.group_without_sample(pod);
        };
        // Nearly all pods are like this, and the rules below come to the same.
        let settled = pod.started().is_some_and(|start| start <= self.initialized);
        if settled && pod.is_ready() && pod.deleted().is_none() {
            return Group::Ready;
        }
        match self.group_without_sample(pod) {
            Group::Missing if self.is_cpu && self.is_young(pod, at_ms, window_ms) => Group::Unready,
            Group::Missing => Group::Ready,
            group => group,
        }
    }

    fn group_without_sample(&self, pod: &Pod<'_>) -> Group {
        match pod.phase() {
            _ if pod.deleted().is_some() => Group::Ignored,
            Phase::Failed => Group::Ignored,
            Phase::Pending => Group::Unready,
            _ => Group::Missing,
        }
    }

    /// Whether a pod's cpu does not count yet: it starts up, which costs more than
    /// its load.
    fn is_young(&self, pod: &Pod<'_>, at_ms: i64, window_ms: i64) -> bool {
        let (Some(ready), Some(started)) = (pod.ready(), pod.started()) else {
            return true;
        };
        let changed = pod.ready_since();
        if started > self.initialized {
            let window_ended = changed.map(|changed| changed.ms().saturating_add(window_ms));
            ready == Ready::False || Some(at_ms) < window_ended
        } else {
            ready == Ready::False && Some(started + self.initial_readiness_delay) > changed
        }
    }
}
