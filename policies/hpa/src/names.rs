//! What upstream calls a metric in conditions and events.

use flyball_policy::{Metric, Source};

/// The metric's name in conditions and events. Of an `Object` metric with an
/// average target upstream says "external metric". The kind of the object a
/// `Value` target describes is not part of a policy's input: the host knows it.
pub(crate) fn in_events(metric: &Metric<'_>) -> String {
    let name = metric.name();
    match metric.source() {
        Source::Resource if is_average(metric) => format!("{name} resource"),
        Source::Resource => format!("{name} resource utilization (percentage of request)"),
        Source::ContainerResource if is_average(metric) => format!("{name} container resource"),
        Source::ContainerResource => {
            format!("{name} container resource utilization (percentage of request)")
        }
        Source::Pods => format!("pods metric {name}"),
        Source::Object if metric.columns().target_type == "Value" => {
            format!("object metric {name}")
        }
        Source::Object | Source::External => {
            format!("external metric {name}({})", selector(metric))
        }
        Source::Other => format!("{} metric {name}", metric.columns().source),
    }
}

/// Whether a resource is held against an average: it wins over a utilization.
pub(crate) fn is_average(metric: &Metric<'_>) -> bool {
    metric.columns().target_average_value.is_some()
}

fn selector<'a>(metric: &Metric<'a>) -> &'a str {
    match metric.selector() {
        "" => "nil",
        selector => selector,
    }
}
