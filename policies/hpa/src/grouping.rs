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
    /// What each pod counts as, a row each. Empty if all pods are settled.
    of_pod: Vec<Group>,
    /// Pods of each group.
    counts: [usize; 4],
    /// Samples that count: those of ready pods and of pods that are not the target's.
    pub sample_count: usize,
    /// Whether all pods are [settled](Rules::all_settled).
    pub are_settled: bool,
}

impl Groups {
    pub(crate) fn of(input: &Replica, metric: &Metric<'_>) -> Self {
        let is_cpu = metric.source() != Source::Pods && metric.name() == "cpu";
        let rules = Rules::of(input, is_cpu);
        let pods = input.pods().len();
        if rules.all_settled(input, metric.columns()) {
            let mut counts = [0; 4];
            counts[Group::Ready as usize] = pods;
            return Self {
                of_pod: Vec::new(),
                counts,
                sample_count: pods,
                are_settled: true,
            };
        }
        let mut groups = Self {
            of_pod: rules.groups(input, metric.columns()),
            counts: [0; 4],
            sample_count: 0,
            are_settled: false,
        };
        for &group in &groups.of_pod {
            groups.counts[group as usize] += 1;
        }
        groups.sample_count = groups.samples(metric).count();
        groups
    }

    /// Pods of a group.
    pub(crate) fn count(&self, group: Group) -> usize {
        self.counts[group as usize]
    }

    /// Pod and value of each sample that counts. The row is beyond all rows if the pod is
    /// not one of the target's.
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
        pod < self.counts.iter().sum()
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

    /// Whether every pod has one sample, in the pods' order, and started up long
    /// ago, is ready and is not on its way out: as nearly always. The rules below
    /// come to the same, but not as quickly.
    fn all_settled(&self, input: &Replica, columns: &Columns) -> bool {
        let pods = &input.columns().pods;
        let rows = pods.state.len();
        let known = [&pods.start_ms, &pods.deletion_ms];
        let measured = [&columns.value, &columns.timestamp_ms, &columns.window_ms];
        let lengths = known.into_iter().chain(measured).map(Vec::len);
        if !lengths
            .chain([columns.pod.len()])
            .all(|length| length == rows)
        {
            return false;
        }
        let last_start = self.initialized.ms();
        let starts = pods.start_ms.iter().zip(&pods.deletion_ms);
        let known = pods.state.iter().zip(starts);
        // Without a branch for each pod, which would cost more than the comparisons.
        (0_u32..).zip(&columns.pod).zip(known).fold(
            true,
            |settled, ((row, &pod), (&state, (&start, &deletion)))| {
                settled
                    & (pod == row)
                    & (state & Pod::READY == Pod::READY)
                    & (start != Time::UNKNOWN_MS)
                    & (start <= last_start)
                    & (deletion == Time::UNKNOWN_MS)
            },
        )
    }

    /// What each pod counts as. Of several samples of one pod the last one holds.
    fn groups(&self, input: &Replica, columns: &Columns) -> Vec<Group> {
        let mut groups: Vec<Group> = input
            .pods()
            .map(|pod| self.group_without_sample(&pod))
            .collect();
        let measured = columns.timestamp_ms.iter().zip(&columns.window_ms);
        for (&row, (&at_ms, &window_ms)) in columns.pod.iter().zip(measured) {
            let row = row as usize;
            if let Some((group, pod)) = groups.get_mut(row).zip(input.pod(row)) {
                *group = self.group(&pod, at_ms, window_ms);
            }
        }
        groups
    }

    fn group(&self, pod: &Pod<'_>, at_ms: i64, window_ms: i64) -> Group {
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
