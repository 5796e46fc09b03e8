//! Which pods count, which are missing, and which are not ready yet (step 6 of
//! the algorithm).

use flyball_policy::{Metric, Phase, Pod, Ready, Replica, Sample, Source};

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
    /// Rows of pods without a metric.
    pub missing: Vec<usize>,
    /// Rows of pods that are not ready to be judged.
    pub unready: Vec<usize>,
    /// Pods that count.
    pub ready_count: usize,
    /// Samples that count: those of ready pods and of pods nobody knows.
    pub samples: Vec<Sample>,
}

impl Groups {
    pub(crate) fn of(input: &Replica, metric: &Metric<'_>) -> Self {
        let mut sample_of = vec![None; input.pods().len()];
        for sample in metric.samples() {
            if let Some(slot) = sample.pod.and_then(|row| sample_of.get_mut(row)) {
                *slot = Some(sample);
            }
        }
        let is_cpu = metric.source() != Source::Pods && metric.name() == "cpu";
        let groups: Vec<Group> = input
            .pods()
            .zip(&sample_of)
            .map(|(pod, sample)| group(input, &pod, sample.as_ref(), is_cpu))
            .collect();
        let rows = |wanted| {
            let rows = groups.iter().enumerate();
            rows.filter(move |(_, group)| **group == wanted)
                .map(|(row, _)| row)
        };
        let counts = |sample: &Sample| {
            let group = sample.pod.and_then(|row| groups.get(row));
            !matches!(group, Some(Group::Ignored | Group::Unready))
        };
        Self {
            missing: rows(Group::Missing).collect(),
            unready: rows(Group::Unready).collect(),
            ready_count: rows(Group::Ready).count(),
            samples: metric.samples().filter(counts).collect(),
        }
    }
}

fn group(input: &Replica, pod: &Pod<'_>, sample: Option<&Sample>, is_cpu: bool) -> Group {
    match (pod.phase(), sample) {
        _ if pod.deleted().is_some() => Group::Ignored,
        (Phase::Failed, _) => Group::Ignored,
        (Phase::Pending, _) => Group::Unready,
        (_, None) => Group::Missing,
        (_, Some(sample)) if is_cpu && is_young(input, pod, sample) => Group::Unready,
        _ => Group::Ready,
    }
}

/// Whether a pod's cpu does not count yet: it starts up, which costs more than
/// its load.
fn is_young(input: &Replica, pod: &Pod<'_>, sample: &Sample) -> bool {
    let (Some(ready), Some(started)) = (pod.ready(), pod.started()) else {
        return true;
    };
    let changed = pod.ready_since();
    if started + input.cpu_initialization_period() > input.now() {
        let window_ended = changed.map(|changed| changed + sample.window);
        ready == Ready::False || sample.at < window_ended
    } else {
        ready == Ready::False && Some(started + input.initial_readiness_delay()) > changed
    }
}
