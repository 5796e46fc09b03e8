//! Why a metric asks for nothing, in upstream's words.

use flyball_policy::{Metric, Proposal, Source};

use crate::names::is_average;

/// A metric's failure: a stable class, and what there is to say.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    class: String,
    text: String,
    /// Whether the metric itself is at fault, and not what was measured.
    of_spec: bool,
}

impl Failure {
    /// What was measured does not do.
    pub(crate) fn measured(class: &str, text: impl Into<String>) -> Self {
        Self {
            class: class.into(),
            text: text.into(),
            of_spec: false,
        }
    }

    pub(crate) fn no_pods() -> Self {
        Self::measured(
            "noPods",
            "no pods returned by selector while calculating replica count",
        )
    }

    /// The spec names no target that the source knows.
    pub(crate) fn invalid_target(class: &str, text: &str) -> Self {
        Self {
            class: class.into(),
            text: text.into(),
            of_spec: true,
        }
    }

    pub(crate) fn unknown_type(metric: &Metric<'_>) -> Self {
        let text = format!("unknown metric source type {:?}", metric.columns().source);
        Self {
            class: "unknownMetricType".into(),
            text,
            of_spec: true,
        }
    }

    /// The host could not read the metric's selector: found before the target
    /// is looked at.
    pub(crate) fn invalid_selector(metric: &Metric<'_>) -> Option<Self> {
        let (class, text) = metric
            .error()
            .filter(|(class, _)| *class == "invalidMetricSelector")?;
        Some(Self {
            class: class.into(),
            text: text.into(),
            of_spec: true,
        })
    }

    /// The host could not have the metric.
    pub(crate) fn unavailable(metric: &Metric<'_>) -> Option<Self> {
        metric
            .error()
            .map(|(class, text)| Self::measured(class, text))
    }

    pub(crate) fn proposal(self, metric: &Metric<'_>) -> Proposal {
        let Self {
            class,
            text,
            of_spec,
        } = self;
        let outer = source(metric);
        let inner = if of_spec { String::new() } else { step(metric) };
        Proposal::failed(class, format!("{outer}{inner}{text}"))
    }
}

/// What failed, seen from the spec.
fn source(metric: &Metric<'_>) -> String {
    match metric.source() {
        Source::Resource => format!("failed to get {} resource metric value: ", metric.name()),
        Source::ContainerResource => {
            format!(
                "failed to get {} container metric value: ",
                metric.container()
            )
        }
        Source::Pods => "failed to get pods metric value: ".to_owned(),
        Source::Object => "failed to get object metric value: ".to_owned(),
        Source::External => format!("failed to get {} external metric value: ", metric.name()),
        Source::Other => String::new(),
    }
}

/// What failed, seen from the calculation.
fn step(metric: &Metric<'_>) -> String {
    let name = metric.name();
    match metric.source() {
        Source::Resource | Source::ContainerResource if is_average(metric) => {
            format!("failed to get {name} usage: ")
        }
        Source::Resource | Source::ContainerResource => {
            format!("failed to get {name} utilization: ")
        }
        Source::Object if is_average(metric) => format!("failed to get {name} object metric: "),
        Source::External if is_average(metric) => {
            format!("failed to get {name} external metric: ")
        }
        Source::External => format!("failed to get external metric {name}: "),
        Source::Pods | Source::Object | Source::Other => String::new(),
    }
}
